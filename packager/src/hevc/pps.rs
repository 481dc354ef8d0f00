//! The picture parameter set (ITU-T H.265 7.3.2.3), as far as the length of a slice segment header
//! depends on it.

use super::sps::{check, scaling_list_data};
use crate::bits::BitReader;
use crate::error::Error;

/// num_ref_idx_active_minus1 is at most this (7.4.7.1).
pub(super) const REFERENCES: u32 = 14;
/// Columns and rows of tiles at most (A.4.2: level 6.2).
const TILES: u32 = 22;

/// A picture parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the bitstream")]
pub struct Pps {
    /// pps_pic_parameter_set_id.
    pub id: u32,
    /// pps_seq_parameter_set_id.
    pub sps_id: u32,
    /// dependent_slice_segments_enabled_flag.
    pub dependent_slice_segments: bool,
    /// output_flag_present_flag.
    pub output_flag: bool,
    /// num_extra_slice_header_bits.
    pub extra_slice_header_bits: u32,
    /// cabac_init_present_flag.
    pub cabac_init: bool,
    /// num_ref_idx_l0_default_active_minus1 and its like for list 1.
    pub default_references_less_1: [u32; 2],
    /// pps_slice_chroma_qp_offsets_present_flag.
    pub slice_chroma_qp_offsets: bool,
    /// weighted_pred_flag.
    pub weighted_pred: bool,
    /// weighted_bipred_flag.
    pub weighted_bipred: bool,
    /// tiles_enabled_flag or entropy_coding_sync_enabled_flag: slices have entry points.
    pub entry_points: bool,
    /// pps_loop_filter_across_slices_enabled_flag.
    pub loop_filter_across_slices: bool,
    /// deblocking_filter_override_enabled_flag.
    pub deblocking_override: bool,
    /// pps_deblocking_filter_disabled_flag.
    pub deblocking_disabled: bool,
    /// lists_modification_present_flag.
    pub lists_modification: bool,
    /// slice_segment_header_extension_present_flag.
    pub slice_header_extension: bool,
    /// chroma_qp_offset_list_enabled_flag.
    pub chroma_qp_offset_list: bool,
}

impl Pps {
    /// Reads a NAL unit of type 34, its header included. Extensions that change slice headers
    /// (multilayer, 3D, screen content) are refused.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(nal, "pps");
        r.skip(16); // NAL unit header
        let (id, sps_id) = (r.ue(), r.ue());
        let dependent_slice_segments = r.flag();
        let output_flag = r.flag();
        let extra_slice_header_bits = r.bits(3);
        r.flag(); // sign_data_hiding_enabled_flag
        let cabac_init = r.flag();
        let default_references_less_1 = [r.ue(), r.ue()];
        r.se(); // init_qp_minus26
        r.flag(); // constrained_intra_pred_flag
        let transform_skip = r.flag();
        if r.flag() {
            r.ue(); // diff_cu_qp_delta_depth
        }
        r.se(); // pps_cb_qp_offset
        r.se(); // pps_cr_qp_offset
        let slice_chroma_qp_offsets = r.flag();
        let (weighted_pred, weighted_bipred) = (r.flag(), r.flag());
        r.flag(); // transquant_bypass_enabled_flag
        let (tiles, entropy_coding_sync) = (r.flag(), r.flag());
        if tiles {
            tile_structure(&mut r)?;
        }
        let loop_filter_across_slices = r.flag();
        let (mut deblocking_override, mut deblocking_disabled) = (false, false);
        if r.flag() {
            deblocking_override = r.flag();
            deblocking_disabled = r.flag();
            if !deblocking_disabled {
                r.se(); // pps_beta_offset_div2
                r.se(); // pps_tc_offset_div2
            }
        }
        if r.flag() {
            scaling_list_data(&mut r);
        }
        let lists_modification = r.flag();
        r.ue(); // log2_parallel_merge_level_minus2
        let slice_header_extension = r.flag();
        let chroma_qp_offset_list = r.flag() && extensions(&mut r, transform_skip)?;
        r.finish()?;
        check("pps_pic_parameter_set_id", id, 63)?;
        for references in default_references_less_1 {
            check("num_ref_idx_default_active_minus1", references, REFERENCES)?;
        }
        Ok(Self {
            id,
            sps_id,
            dependent_slice_segments,
            output_flag,
            extra_slice_header_bits,
            cabac_init,
            default_references_less_1,
            slice_chroma_qp_offsets,
            weighted_pred,
            weighted_bipred,
            entry_points: tiles || entropy_coding_sync,
            loop_filter_across_slices,
            deblocking_override,
            deblocking_disabled,
            lists_modification,
            slice_header_extension,
            chroma_qp_offset_list,
        })
    }
}

fn tile_structure(r: &mut BitReader<'_>) -> Result<(), Error> {
    let (columns_less_1, rows_less_1) = (r.ue(), r.ue());
    r.finish()?;
    check("num_tile_columns_minus1", columns_less_1, TILES)?;
    check("num_tile_rows_minus1", rows_less_1, TILES)?;
    if !r.flag() {
        (0..columns_less_1 + rows_less_1).for_each(|_| {
            r.ue(); // column_width_minus1, row_height_minus1
        });
    }
    r.flag(); // loop_filter_across_tiles_enabled_flag
    Ok(())
}

/// chroma_qp_offset_list_enabled_flag of the range extension (7.3.2.3.2), the one that is read.
fn extensions(r: &mut BitReader<'_>, transform_skip: bool) -> Result<bool, Error> {
    let range = r.flag();
    let others = r.bits(7);
    if others != 0 {
        let detail = format!("extensions {others:07b}: multilayer, 3D or screen content");
        return Err(Error::unsupported("pps", detail));
    }
    if !range {
        return Ok(false);
    }
    if transform_skip {
        r.ue(); // log2_max_transform_skip_block_size_minus2
    }
    r.flag(); // cross_component_prediction_enabled_flag
    Ok(r.flag())
}
