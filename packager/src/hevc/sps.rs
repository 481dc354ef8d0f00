//! The sequence parameter set (ITU-T H.265 7.3.2.2), as far as manifests and the length of a slice
//! segment header depend on it.

use super::reference_sets::ReferenceSet;
use super::vui;
use crate::bits::BitReader;
use crate::colour::Colour;
use crate::error::Error;

/// num_short_term_ref_pic_sets is at most this (7.4.3.2.1).
const REFERENCE_SETS: u32 = 64;
/// num_long_term_ref_pics_sps is at most this (7.4.3.2.1).
const LONG_TERM: u32 = 32;
/// log2_max_pic_order_cnt_lsb is at most this.
const POC_BITS: u32 = 16;

/// profile_tier_level() of the whole sequence (7.3.3): the same 12 bytes as in hvcC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileTierLevel {
    /// general_profile_space.
    pub profile_space: u8,
    /// general_tier_flag: the High tier.
    pub high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10.
    pub profile: u8,
    /// general_profile_compatibility_flag\[0\] is the highest bit.
    pub compatibility_flags: u32,
    /// From general_progressive_source_flag on.
    pub constraint_flags: [u8; 6],
    /// general_level_idc: 30 times the level.
    pub level: u8,
}

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// sps_seq_parameter_set_id.
    pub id: u32,
    /// Profile, tier and level.
    pub profile_tier_level: ProfileTierLevel,
    /// ChromaArrayType: chroma_format_idc, or 0 with separate_colour_plane_flag.
    pub chroma_array_type: u32,
    /// separate_colour_plane_flag.
    pub separate_colour_plane: bool,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// log2_max_pic_order_cnt_lsb.
    pub poc_lsb_bits: u32,
    /// PicSizeInCtbsY: slice_segment_address is below it.
    pub picture_ctbs: u32,
    /// sample_adaptive_offset_enabled_flag.
    pub sample_adaptive_offset: bool,
    /// st_ref_pic_set of each index.
    pub reference_sets: Vec<ReferenceSet>,
    /// used_by_curr_pic_lt_sps_flag of each long-term picture, where long_term_ref_pics_present_flag
    /// is set.
    pub long_term: Option<Vec<bool>>,
    /// sps_temporal_mvp_enabled_flag.
    pub temporal_mvp: bool,
    /// What vui_parameters say of colour.
    pub colour: Option<Colour>,
}

impl ProfileTierLevel {
    /// From hvcC's bytes, or an RBSP's.
    pub(super) fn from_bytes(bytes: [u8; 12]) -> Self {
        let [first, a, b, c, d, constraint_flags @ .., level] = bytes;
        Self {
            profile_space: first >> 6,
            high_tier: first & 0x20 != 0,
            profile: first & 0x1f,
            compatibility_flags: u32::from_be_bytes([a, b, c, d]),
            constraint_flags,
            level,
        }
    }
}

impl Sps {
    /// Reads a NAL unit of type 33, its header included. Extensions that change slice headers
    /// (multilayer, 3D, screen content) are refused.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(nal, "sps");
        r.skip(16 + 4); // NAL unit header, sps_video_parameter_set_id
        let sub_layers_less_1 = r.bits(3);
        check("sps_max_sub_layers_minus1", sub_layers_less_1, 6)?;
        r.flag(); // sps_temporal_id_nesting_flag
        let profile_tier_level = profile_tier_level(&mut r, sub_layers_less_1);
        let id = r.ue();
        let chroma_format = r.ue();
        let separate_colour_plane = chroma_format == 3 && r.flag();
        let (width, height) = (r.ue(), r.ue());
        if r.flag() {
            (0..4).for_each(|_| {
                r.ue(); // conformance window
            });
        }
        let depth_less_8 = r.ue();
        r.ue(); // bit_depth_chroma_minus8
        let poc_lsb_bits = r.ue().saturating_add(4);
        let from = if r.flag() { 0 } else { sub_layers_less_1 };
        (from..=sub_layers_less_1).for_each(|_| {
            r.ue(); // sps_max_dec_pic_buffering_minus1
            r.ue(); // sps_max_num_reorder_pics
            r.ue(); // sps_max_latency_increase_plus1
        });
        let least_block_log2 = r.ue().saturating_add(3);
        let ctb_log2 = r.ue().saturating_add(least_block_log2);
        (0..4).for_each(|_| {
            r.ue(); // transform block sizes and hierarchy depths
        });
        r.finish()?;
        check("sps_seq_parameter_set_id", id, 15)?;
        check("chroma_format_idc", chroma_format, 3)?;
        check("bit_depth_luma_minus8", depth_less_8, 8)?;
        check("log2_max_pic_order_cnt_lsb", poc_lsb_bits, POC_BITS)?;
        check("log2 of the coding tree block", ctb_log2, 6)?;
        let picture_ctbs =
            u64::from(width.div_ceil(1 << ctb_log2)) * u64::from(height.div_ceil(1 << ctb_log2));
        let picture_ctbs = u32::try_from(picture_ctbs)
            .map_err(|_| Error::damaged("sps", format!("a picture of {width}x{height}")))?;
        if r.flag() && r.flag() {
            scaling_list_data(&mut r);
        }
        r.flag(); // amp_enabled_flag
        let sample_adaptive_offset = r.flag();
        if r.flag() {
            r.skip(8); // bit depths of PCM
            r.ue(); // log2_min_pcm_luma_coding_block_size_minus3
            r.ue(); // log2_diff_max_min_pcm_luma_coding_block_size
            r.flag(); // pcm_loop_filter_disabled_flag
        }
        let sets = r.ue();
        r.finish()?;
        check("num_short_term_ref_pic_sets", sets, REFERENCE_SETS)?;
        let mut reference_sets = Vec::new();
        for _ in 0..sets {
            reference_sets.push(ReferenceSet::read(&mut r, &reference_sets, false)?);
        }
        let long_term = if r.flag() { Some(long_term(&mut r, poc_lsb_bits)?) } else { None };
        let temporal_mvp = r.flag();
        r.flag(); // strong_intra_smoothing_enabled_flag
        let colour = if r.flag() { vui::read(&mut r, sub_layers_less_1)? } else { None };
        extensions(&mut r)?;
        r.finish()?;
        Ok(Self {
            id,
            profile_tier_level,
            chroma_array_type: if separate_colour_plane { 0 } else { chroma_format },
            separate_colour_plane,
            bit_depth: 8 + u8::try_from(depth_less_8).expect("checked above"),
            poc_lsb_bits,
            picture_ctbs,
            sample_adaptive_offset,
            reference_sets,
            long_term,
            temporal_mvp,
            colour,
        })
    }
}

/// profile_tier_level(1, sub_layers_less_1) (7.3.3).
fn profile_tier_level(r: &mut BitReader<'_>, sub_layers_less_1: u32) -> ProfileTierLevel {
    let bytes = std::array::from_fn(|_| u8::try_from(r.bits(8)).expect("8 bits"));
    let present: Vec<_> = (0..sub_layers_less_1).map(|_| (r.flag(), r.flag())).collect();
    if sub_layers_less_1 > 0 {
        r.skip(2 * (8 - sub_layers_less_1)); // reserved_zero_2bits
    }
    for (has_profile, has_level) in present {
        r.skip(if has_profile { 88 } else { 0 });
        r.skip(if has_level { 8 } else { 0 });
    }
    ProfileTierLevel::from_bytes(bytes)
}

/// lt_ref_pic_poc_lsb_sps and its flag, of each.
fn long_term(r: &mut BitReader<'_>, poc_lsb_bits: u32) -> Result<Vec<bool>, Error> {
    let count = r.ue();
    r.finish()?;
    check("num_long_term_ref_pics_sps", count, LONG_TERM)?;
    let one = |_| {
        r.skip(poc_lsb_bits);
        r.flag()
    };
    Ok((0..count).map(one).collect())
}

/// sps_range_extension_flag and its siblings. The range extension is the last thing that is read:
/// nothing in it changes a slice header.
fn extensions(r: &mut BitReader<'_>) -> Result<(), Error> {
    if !r.flag() {
        return Ok(());
    }
    r.flag(); // sps_range_extension_flag
    let others = r.bits(7);
    if others != 0 {
        let detail = format!("extensions {others:07b}: multilayer, 3D or screen content");
        return Err(Error::unsupported("sps", detail));
    }
    Ok(())
}

/// scaling_list_data() (7.3.4): of a PPS too.
pub(super) fn scaling_list_data(r: &mut BitReader<'_>) {
    for size in 0..4u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !r.flag() {
                r.ue(); // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size > 1 {
                r.se(); // scaling_list_dc_coef_minus8
            }
            (0..64.min(1 << (4 + (size << 1)))).for_each(|_: u32| {
                r.se(); // scaling_list_delta_coef
            });
        }
    }
}

/// A field's bound.
pub(super) fn check(field: &str, got: u32, most: u32) -> Result<(), Error> {
    if got > most {
        return Err(Error::damaged("sps", format!("{field}: expected at most {most}, got {got}")));
    }
    Ok(())
}
