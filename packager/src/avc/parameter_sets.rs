//! Sequence and picture parameter sets (ITU-T H.264 7.3.2.1, 7.3.2.2), as far as the length of a
//! slice header depends on them.

use crate::bits::BitReader;
use crate::error::Error;

/// profile_idc values whose SPS says how colour is sampled (7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// num_ref_idx_active_minus1 is at most this (7.4.2.2).
const REFERENCES: u32 = 31;

/// Of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// seq_parameter_set_id.
    pub id: u32,
    /// chroma_format_idc, or 0 with separate_colour_plane_flag (7.4.2.1.1).
    pub chroma_array_type: u32,
    /// separate_colour_plane_flag.
    pub separate_colour_plane: bool,
    /// log2_max_frame_num: bits of frame_num.
    pub frame_num_bits: u32,
    /// pic_order_cnt_type.
    pub pic_order_cnt_type: u32,
    /// log2_max_pic_order_cnt_lsb: bits of pic_order_cnt_lsb.
    pub pic_order_cnt_lsb_bits: u32,
    /// delta_pic_order_always_zero_flag.
    pub delta_pic_order_always_zero: bool,
    /// frame_mbs_only_flag.
    pub frame_mbs_only: bool,
}

/// Of a picture parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    /// pic_parameter_set_id.
    pub id: u32,
    /// seq_parameter_set_id.
    pub sps_id: u32,
    /// entropy_coding_mode_flag: CABAC.
    pub cabac: bool,
    /// bottom_field_pic_order_in_frame_present_flag.
    pub field_order_present: bool,
    /// num_ref_idx_l0_default_active_minus1 and its like for list 1.
    pub default_references_less_1: [u32; 2],
    /// weighted_pred_flag.
    pub weighted_pred: bool,
    /// weighted_bipred_idc.
    pub weighted_bipred: u32,
    /// deblocking_filter_control_present_flag.
    pub deblocking_control: bool,
    /// redundant_pic_cnt_present_flag.
    pub redundant_pic_cnt: bool,
}

impl Sps {
    /// Reads a NAL unit of type 7, its header included.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(nal, "sps");
        r.bits(8); // NAL unit header
        let profile = r.bits(8);
        r.bits(16); // constraint flags, level
        let id = r.ue();
        let (mut chroma_format, mut separate_colour_plane) = (1, false);
        if HIGH_PROFILES.contains(&profile) {
            chroma_format = r.ue();
            separate_colour_plane = chroma_format == 3 && r.flag();
            r.ue(); // bit_depth_luma_minus8
            r.ue(); // bit_depth_chroma_minus8
            r.flag(); // qpprime_y_zero_transform_bypass_flag
            if r.flag() {
                let lists = if chroma_format == 3 { 12 } else { 8 };
                (0..lists).for_each(|i| scaling_list(&mut r, if i < 6 { 16 } else { 64 }));
            }
        }
        let frame_num_bits = r.ue().saturating_add(4);
        let pic_order_cnt_type = r.ue();
        let (mut pic_order_cnt_lsb_bits, mut delta_pic_order_always_zero) = (0, false);
        match pic_order_cnt_type {
            0 => pic_order_cnt_lsb_bits = r.ue().saturating_add(4),
            1 => {
                delta_pic_order_always_zero = r.flag();
                r.se(); // offset_for_non_ref_pic
                r.se(); // offset_for_top_to_bottom_field
                let cycle = r.ue();
                check("sps", "num_ref_frames_in_pic_order_cnt_cycle", cycle, 255)?;
                (0..cycle).for_each(|_| {
                    r.se(); // offset_for_ref_frame
                });
            }
            _ => {}
        }
        r.ue(); // max_num_ref_frames
        r.flag(); // gaps_in_frame_num_value_allowed_flag
        r.ue(); // pic_width_in_mbs_minus1
        r.ue(); // pic_height_in_map_units_minus1
        let frame_mbs_only = r.flag();
        r.finish()?;
        check("sps", "seq_parameter_set_id", id, 31)?;
        check("sps", "chroma_format_idc", chroma_format, 3)?;
        check("sps", "log2_max_frame_num", frame_num_bits, 16)?;
        check("sps", "pic_order_cnt_type", pic_order_cnt_type, 2)?;
        check("sps", "log2_max_pic_order_cnt_lsb", pic_order_cnt_lsb_bits, 16)?;
        Ok(Self {
            id,
            chroma_array_type: if separate_colour_plane { 0 } else { chroma_format },
            separate_colour_plane,
            frame_num_bits,
            pic_order_cnt_type,
            pic_order_cnt_lsb_bits,
            delta_pic_order_always_zero,
            frame_mbs_only,
        })
    }
}

impl Pps {
    /// Reads a NAL unit of type 8, its header included. Slice groups (baseline's flexible
    /// macroblock order) are refused: no encoder of films writes them.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(nal, "pps");
        r.bits(8); // NAL unit header
        let (id, sps_id) = (r.ue(), r.ue());
        let cabac = r.flag();
        let field_order_present = r.flag();
        let slice_groups = r.ue();
        let default_references_less_1 = [r.ue(), r.ue()];
        let weighted_pred = r.flag();
        let weighted_bipred = r.bits(2);
        r.se(); // pic_init_qp_minus26
        r.se(); // pic_init_qs_minus26
        r.se(); // chroma_qp_index_offset
        let deblocking_control = r.flag();
        r.flag(); // constrained_intra_pred_flag
        let redundant_pic_cnt = r.flag();
        r.finish()?;
        if slice_groups != 0 {
            return Err(Error::unsupported("pps", "slice groups (flexible macroblock order)"));
        }
        check("pps", "pic_parameter_set_id", id, 255)?;
        for references in default_references_less_1 {
            check("pps", "num_ref_idx_default_active_minus1", references, REFERENCES)?;
        }
        Ok(Self {
            id,
            sps_id,
            cabac,
            field_order_present,
            default_references_less_1,
            weighted_pred,
            weighted_bipred,
            deblocking_control,
            redundant_pic_cnt,
        })
    }
}

fn check(place: &'static str, field: &str, got: u32, most: u32) -> Result<(), Error> {
    if got > most {
        return Err(Error::damaged(place, format!("{field}: expected at most {most}, got {got}")));
    }
    Ok(())
}

/// Passes over a scaling list, its present flag included (7.3.2.1.1.1).
fn scaling_list(r: &mut BitReader<'_>, len: u32) {
    if !r.flag() {
        return;
    }
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..len {
        if next != 0 {
            next = (last + r.se()).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
}
