//! vui_parameters() and hrd_parameters() (ITU-T H.265 E.2.1 to E.2.3): colour, and all that lies
//! between it and the extensions of the SPS.

use super::sps::check;
use crate::bits::BitReader;
use crate::colour::Colour;
use crate::error::Error;

/// aspect_ratio_idc of a ratio in full.
const EXTENDED_SAR: u32 = 255;
/// cpb_cnt_minus1 is at most this (E.3.2).
const BUFFERS: u32 = 31;

/// Passes over the VUI and gives its colour.
pub(super) fn read(r: &mut BitReader<'_>, sub_layers_less_1: u32) -> Result<Option<Colour>, Error> {
    if r.flag() && r.bits(8) == EXTENDED_SAR {
        r.skip(32); // sar_width, sar_height
    }
    if r.flag() {
        r.flag(); // overscan_appropriate_flag
    }
    let colour = if r.flag() { signal_type(r) } else { None };
    if r.flag() {
        r.ue(); // chroma_sample_loc_type_top_field
        r.ue(); // chroma_sample_loc_type_bottom_field
    }
    r.skip(3); // neutral_chroma_indication, field_seq, frame_field_info_present
    if r.flag() {
        (0..4).for_each(|_| {
            r.ue(); // default display window
        });
    }
    if r.flag() {
        r.skip(64); // vui_num_units_in_tick, vui_time_scale
        if r.flag() {
            r.ue(); // vui_num_ticks_poc_diff_one_minus1
        }
        if r.flag() {
            hrd_parameters(r, sub_layers_less_1)?;
        }
    }
    if r.flag() {
        r.skip(3); // tiles_fixed_structure, motion_vectors_over_pic_boundaries, restricted lists
        (0..5).for_each(|_| {
            r.ue(); // min_spatial_segmentation_idc to log2_max_mv_length_vertical
        });
    }
    Ok(colour)
}

fn signal_type(r: &mut BitReader<'_>) -> Option<Colour> {
    r.skip(3); // video_format
    let full_range = r.flag();
    let described = r.flag();
    let mut code = || u16::try_from(r.bits(8)).expect("8 bits");
    // Without a description only the range is said.
    described.then(|| Colour { primaries: code(), transfer: code(), matrix: code(), full_range })
}

/// hrd_parameters(1, sub_layers_less_1) (E.2.2).
fn hrd_parameters(r: &mut BitReader<'_>, sub_layers_less_1: u32) -> Result<(), Error> {
    let (nal, vcl) = (r.flag(), r.flag());
    let mut sub_picture = false;
    if nal || vcl {
        sub_picture = r.flag();
        if sub_picture {
            r.skip(8 + 5 + 1 + 5); // tick_divisor_minus2 to dpb_output_delay_du_length_minus1
        }
        r.skip(4 + 4); // bit_rate_scale, cpb_size_scale
        if sub_picture {
            r.skip(4); // cpb_size_du_scale
        }
        r.skip(5 + 5 + 5); // lengths of delays
    }
    for _ in 0..=sub_layers_less_1 {
        let fixed_general = r.flag();
        let fixed_within_cvs = fixed_general || r.flag();
        let mut low_delay = false;
        if fixed_within_cvs {
            r.ue(); // elemental_duration_in_tc_minus1
        } else {
            low_delay = r.flag();
        }
        let buffers_less_1 = if low_delay { 0 } else { r.ue() };
        r.finish()?;
        check("cpb_cnt_minus1", buffers_less_1, BUFFERS)?;
        for _ in 0..u32::from(nal) + u32::from(vcl) {
            for _ in 0..=buffers_less_1 {
                (0..if sub_picture { 4 } else { 2 }).for_each(|_| {
                    r.ue(); // rates and sizes
                });
                r.flag(); // cbr_flag
            }
        }
    }
    Ok(())
}
