//! uncompressed_header (AV1 5.9.2): nothing of it is kept but how many bits it has, how the frame is
//! cut into tiles, and what later headers are read with.

use super::references::{Reference, References, SEGMENTS, order_of_references};
use super::sequence::Sequence;
use super::tile_info::{Tiles, tile_info};
use crate::bits::BitReader;
use crate::error::Error;

pub(super) const AT: &str = "frame header";
/// frame_type (6.8.2).
pub(super) const KEY_FRAME: u32 = 0;
const INTER_FRAME: u32 = 1;
const INTRA_ONLY_FRAME: u32 = 2;
const SWITCH_FRAME: u32 = 3;
/// primary_ref_frame of none (3).
const PRIMARY_REF_NONE: u32 = 7;
/// Every slot is refreshed.
const ALL_FRAMES: u32 = 0xff;
/// seq_force_screen_content_tools, seq_force_integer_mv: each frame says.
const SELECT: u8 = 2;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// show_existing_frame: nothing is coded.
    Shown,
    /// Tiles follow.
    Coded {
        /// How it is cut.
        tiles: Tiles,
        /// refresh_frame_flags: the slots that it takes once it is decoded.
        refresh: u32,
        /// What the slots then hold.
        reference: Reference,
    },
}

/// Reads a header; `r` then stands behind its last bit. `layer` is the OBU's temporal id.
pub(super) fn read(
    r: &mut BitReader<'_>,
    s: &Sequence,
    references: &mut References,
    layer: u8,
) -> Result<Header, Error> {
    let mut frame = Frame { r, s, references, show: true, showable: false, frame_type: KEY_FRAME };
    let header = frame.header(layer)?;
    r.finish()?;
    Ok(header)
}

struct Frame<'r, 'n> {
    r: &'r mut BitReader<'n>,
    s: &'r Sequence,
    references: &'r mut References,
    show: bool,
    showable: bool,
    frame_type: u32,
}

/// frame_size() and its like.
#[derive(Clone, Copy)]
struct Size {
    upscaled_width: u32,
    width: u32,
    height: u32,
}

/// What quantization_params() leaves.
struct Quantizer {
    base: i32,
    /// Whether every delta of it is zero.
    plain: bool,
}

impl Frame<'_, '_> {
    fn header(&mut self, layer: u8) -> Result<Header, Error> {
        let mut error_resilient = true;
        if !self.s.reduced_still_picture_header {
            if self.r.flag() {
                self.show_existing()?;
                return Ok(Header::Shown);
            }
            self.frame_type = self.r.bits(2);
            self.show = self.r.flag();
            if self.show {
                self.temporal_point();
            }
            self.showable = if self.show { self.frame_type != KEY_FRAME } else { self.r.flag() };
            error_resilient =
                self.frame_type == SWITCH_FRAME || self.is_shown_key() || self.r.flag();
        }
        if self.is_shown_key() {
            self.references.clear();
        }
        let disable_cdf_update = self.r.flag();
        let choose = |r: &mut BitReader<'_>, forced| match forced {
            SELECT => r.flag(),
            forced => forced != 0,
        };
        let screen_content = choose(self.r, self.s.screen_content_tools);
        let integer_mv = screen_content && choose(self.r, self.s.integer_mv) || self.is_intra();
        if let Some((_, id_bits)) = self.s.frame_id_bits {
            self.r.skip(id_bits); // current_frame_id
        }
        let size_override = self.frame_type == SWITCH_FRAME
            || !self.s.reduced_still_picture_header && self.r.flag();
        let order_hint = self.r.bits(self.s.order_hint_bits);
        let primary =
            if self.is_intra() || error_resilient { PRIMARY_REF_NONE } else { self.r.bits(3) };
        self.buffer_removal_times(layer);
        let refresh = if self.frame_type == SWITCH_FRAME || self.is_shown_key() {
            ALL_FRAMES
        } else {
            self.r.bits(8)
        };
        if (!self.is_intra() || refresh != ALL_FRAMES)
            && error_resilient
            && self.s.order_hint_bits > 0
        {
            for slot in 0..8 {
                let hint = self.r.bits(self.s.order_hint_bits); // ref_order_hint
                self.references.expect_hint(slot, hint);
            }
        }
        let mut intra_block_copy = false;
        let mut precise_mv = false;
        let mut used = [0; 7];
        let size = if self.is_intra() {
            let size = self.size(size_override);
            self.render_size();
            if screen_content && size.upscaled_width == size.width {
                intra_block_copy = self.r.flag();
            }
            size
        } else {
            used = self.references_of_frame(order_hint)?;
            let size = if size_override && !error_resilient {
                self.size_with_references(&used)?
            } else {
                let size = self.size(size_override);
                self.render_size();
                size
            };
            precise_mv = !integer_mv && self.r.flag();
            if !self.r.flag() {
                self.r.skip(2); // interpolation_filter
            }
            self.r.flag(); // is_motion_mode_switchable
            if !error_resilient && self.s.ref_frame_mvs {
                self.r.flag(); // use_ref_frame_mvs
            }
            size
        };
        if !self.s.reduced_still_picture_header && !disable_cdf_update {
            self.r.flag(); // disable_frame_end_update_cdf
        }
        let tiles = tile_info(self.r, self.s.superblocks_of_128, size.width, size.height)?;
        let quantizer = self.quantization();
        let primary_slot = used.get(usize::try_from(primary).expect("3 bits")).copied();
        let alternate_q = self.segmentation(primary_slot)?;
        self.deltas(&quantizer, intra_block_copy);
        let lossless = |q: i32| q.clamp(0, 255) == 0 && quantizer.plain;
        let coded_lossless = alternate_q.iter().all(|q| lossless(quantizer.base + q.unwrap_or(0)));
        if !coded_lossless && !intra_block_copy {
            self.loop_filter();
            if self.s.cdef {
                self.cdef();
            }
        }
        let all_lossless = coded_lossless && size.width == size.upscaled_width;
        if !all_lossless && !intra_block_copy && self.s.restoration {
            self.loop_restoration();
        }
        if !coded_lossless {
            self.r.flag(); // tx_mode_select
        }
        let reference_select = !self.is_intra() && self.r.flag();
        if reference_select && self.skip_mode_allowed(order_hint, &used)? {
            self.r.flag(); // skip_mode_present
        }
        if !self.is_intra() && !error_resilient && self.s.warped_motion {
            self.r.flag(); // allow_warped_motion
        }
        self.r.flag(); // reduced_tx_set
        if !self.is_intra() {
            (0..7).for_each(|_| self.global_motion(precise_mv));
        }
        if self.s.film_grain && (self.show || self.showable) {
            self.film_grain();
        }
        let Size { upscaled_width, height, .. } = size;
        let is_key = self.frame_type == KEY_FRAME;
        let reference = Reference { is_key, order_hint, upscaled_width, height, alternate_q };
        Ok(Header::Coded { tiles, refresh, reference })
    }

    fn is_intra(&self) -> bool {
        matches!(self.frame_type, KEY_FRAME | INTRA_ONLY_FRAME)
    }

    fn is_shown_key(&self) -> bool {
        self.frame_type == KEY_FRAME && self.show
    }

    /// A key frame that is shown again takes every slot (7.21).
    fn show_existing(&mut self) -> Result<(), Error> {
        let slot = self.r.bits(3);
        self.temporal_point();
        if let Some((_, id_bits)) = self.s.frame_id_bits {
            self.r.skip(id_bits); // display_frame_id
        }
        let shown = self.references.get(slot)?;
        if shown.is_key {
            self.references.refresh(ALL_FRAMES, shown);
        }
        Ok(())
    }

    /// temporal_point_info(), where there is one (5.9.31).
    fn temporal_point(&mut self) {
        if let Some(model) = self.s.decoder_model
            && !self.s.equal_picture_interval
        {
            self.r.skip(model.frame_presentation_time_bits);
        }
    }

    fn buffer_removal_times(&mut self, temporal_layer: u8) {
        let Some(model) = self.s.decoder_model else { return };
        if !self.r.flag() {
            return;
        }
        for &(idc, has_model) in &self.s.operating_points {
            // Spatial layers above the first were refused.
            let is_in = idc == 0 || idc >> temporal_layer & 1 == 1 && idc >> 8 & 1 == 1;
            if has_model && is_in {
                self.r.skip(model.buffer_removal_time_bits);
            }
        }
    }

    /// frame_refs_short_signaling to the last delta_frame_id: the slot of each reference.
    fn references_of_frame(&mut self, order_hint: u32) -> Result<[u32; 7], Error> {
        let mut slots = None;
        if self.s.order_hint_bits > 0 && self.r.flag() {
            let (last, golden) = (self.r.bits(3), self.r.bits(3));
            slots = Some(order_of_references(
                self.references,
                self.s.order_hint_bits,
                order_hint,
                last,
                golden,
            )?);
        }
        let mut used = slots.unwrap_or_default();
        for slot in &mut used {
            if slots.is_none() {
                *slot = self.r.bits(3);
            }
            if let Some((delta_bits, _)) = self.s.frame_id_bits {
                self.r.skip(delta_bits); // delta_frame_id_minus_1
            }
        }
        Ok(used)
    }

    /// frame_size() (5.9.5).
    fn size(&mut self, size_override: bool) -> Size {
        let (width, height) = if size_override {
            let (width_bits, height_bits) = self.s.size_bits;
            (self.r.bits(width_bits) + 1, self.r.bits(height_bits) + 1)
        } else {
            self.s.size
        };
        self.super_resolution(width, height)
    }

    /// superres_params() (5.9.8): the width before it is scaled up.
    fn super_resolution(&mut self, upscaled_width: u32, height: u32) -> Size {
        let denominator = if self.s.superres && self.r.flag() { self.r.bits(3) + 9 } else { 8 };
        let width = (upscaled_width * 8 + denominator / 2) / denominator;
        Size { upscaled_width, width, height }
    }

    fn render_size(&mut self) {
        if self.r.flag() {
            self.r.skip(32); // render_width_minus_1, render_height_minus_1
        }
    }

    /// frame_size_with_refs() (5.9.7).
    fn size_with_references(&mut self, used: &[u32; 7]) -> Result<Size, Error> {
        for &slot in used {
            if self.r.flag() {
                let found = self.references.get(slot)?;
                return Ok(self.super_resolution(found.upscaled_width, found.height));
            }
        }
        let size = self.size(true);
        self.render_size();
        Ok(size)
    }

    /// quantization_params() (5.9.12).
    fn quantization(&mut self) -> Quantizer {
        let base = i32::try_from(self.r.bits(8)).expect("8 bits");
        let mut plain = self.delta_q() == 0;
        if !self.s.monochrome {
            let apart = self.s.separate_uv_delta_q && self.r.flag();
            for _ in 0..if apart { 4 } else { 2 } {
                plain &= self.delta_q() == 0;
            }
        }
        if self.r.flag() {
            self.r.skip(8); // qm_y, qm_u
            if self.s.separate_uv_delta_q {
                self.r.skip(4); // qm_v
            }
        }
        Quantizer { base, plain }
    }

    fn delta_q(&mut self) -> i32 {
        if self.r.flag() { self.signed(7) } else { 0 }
    }

    /// su(n) (4.10.6).
    fn signed(&mut self, bits: u32) -> i32 {
        let value = i32::try_from(self.r.bits(bits)).expect("at most 9 bits");
        let sign = 1 << (bits - 1);
        if value & sign != 0 { value - 2 * sign } else { value }
    }

    /// segmentation_params() (5.9.14): SEG_LVL_ALT_Q of each segment that has it, which alone
    /// bears on what follows.
    fn segmentation(&mut self, primary_slot: Option<u32>) -> Result<AlternateQ, Error> {
        /// Bits of each feature's value, with its sign.
        const FEATURE_BITS: [u32; 8] = [9, 7, 7, 7, 7, 3, 0, 0];
        if !self.r.flag() {
            return Ok([None; SEGMENTS]);
        }
        if let Some(slot) = primary_slot {
            if self.r.flag() {
                self.r.flag(); // segmentation_temporal_update
            }
            if !self.r.flag() {
                return Ok(self.references.get(slot)?.alternate_q);
            }
        }
        let mut alternate_q = [None; SEGMENTS];
        for q in &mut alternate_q {
            for (feature, &bits) in FEATURE_BITS.iter().enumerate() {
                if self.r.flag() {
                    if feature == 0 {
                        *q = Some(self.signed(bits));
                    } else {
                        self.r.skip(bits);
                    }
                }
            }
        }
        Ok(alternate_q)
    }

    /// delta_q_params(), delta_lf_params() (5.9.17, 5.9.18).
    fn deltas(&mut self, quantizer: &Quantizer, intra_block_copy: bool) {
        if quantizer.base > 0 && self.r.flag() {
            self.r.skip(2); // delta_q_res
            if !intra_block_copy && self.r.flag() {
                self.r.skip(3); // delta_lf_res, delta_lf_multi
            }
        }
    }

    /// loop_filter_params() (5.9.11).
    fn loop_filter(&mut self) {
        let levels = self.r.bits(6) | self.r.bits(6);
        if !self.s.monochrome && levels != 0 {
            self.r.skip(12); // levels of U and V
        }
        self.r.skip(3); // loop_filter_sharpness
        if self.r.flag() && self.r.flag() {
            for _ in 0..8 + 2 {
                if self.r.flag() {
                    self.r.skip(7); // loop_filter_ref_deltas, loop_filter_mode_deltas
                }
            }
        }
    }

    /// cdef_params() (5.9.19).
    fn cdef(&mut self) {
        self.r.skip(2); // cdef_damping_minus_3
        let strengths = 1 << self.r.bits(2);
        self.r.skip(strengths * if self.s.monochrome { 6 } else { 12 });
    }

    /// lr_params() (5.9.20).
    fn loop_restoration(&mut self) {
        let luma = self.r.bits(2) != 0;
        let chroma = !self.s.monochrome && self.r.bits(2) | self.r.bits(2) != 0;
        if luma || chroma {
            // lr_unit_shift, and without superblocks of 128 lr_unit_extra_shift behind a one.
            if self.r.flag() && !self.s.superblocks_of_128 {
                self.r.flag();
            }
            if chroma && self.s.subsampling == (true, true) {
                self.r.flag(); // lr_uv_shift
            }
        }
    }

    /// skipModeAllowed of skip_mode_params() (5.9.22).
    fn skip_mode_allowed(&self, order_hint: u32, used: &[u32; 7]) -> Result<bool, Error> {
        if self.s.order_hint_bits == 0 {
            return Ok(false);
        }
        let mut distances = [0; 7];
        for (distance, &slot) in distances.iter_mut().zip(used) {
            let hint = self.references.get(slot)?.order_hint;
            *distance = distance_of(hint, order_hint, self.s.order_hint_bits);
        }
        let forward = distances.iter().copied().filter(|&d| d < 0).max();
        let has_backward = distances.iter().any(|&d| d > 0);
        // Two before the frame, unlike each other, do as well as one on each side.
        let second = forward.is_some_and(|nearest| distances.iter().any(|&d| d < nearest));
        Ok(forward.is_some() && (has_backward || second))
    }

    /// global_motion_params() of one reference (5.9.24).
    fn global_motion(&mut self, precise_mv: bool) {
        if !self.r.flag() {
            return;
        }
        let rotates = self.r.flag();
        let translates = !rotates && self.r.flag();
        let (alphas, bits) = match (rotates, translates) {
            (true, _) => (2, 12),
            (_, true) => (0, if precise_mv { 9 } else { 8 }),
            _ => (4, 12),
        };
        for _ in 0..alphas {
            self.sub_exponential(12);
        }
        for _ in 0..2 {
            self.sub_exponential(bits);
        }
    }

    /// decode_signed_subexp_with_ref(-mx, mx + 1) (5.9.26 to 5.9.28), mx of `bits` bits: what it is
    /// relative to changes its value and not its length.
    fn sub_exponential(&mut self, bits: u32) {
        let symbols = 2 * (1 << bits) + 1;
        let (mut i, mut below) = (0, 0);
        loop {
            let group_bits = if i > 0 { 2 + i } else { 3 };
            let group = 1 << group_bits;
            if symbols <= below + 3 * group {
                self.non_symmetric(symbols - below);
                return;
            }
            if !self.r.flag() {
                self.r.skip(group_bits);
                return;
            }
            i += 1;
            below += group;
        }
    }

    fn non_symmetric(&mut self, values: u32) {
        non_symmetric(self.r, values);
    }

    /// film_grain_params() (5.9.30).
    fn film_grain(&mut self) {
        if !self.r.flag() {
            return;
        }
        self.r.skip(16); // grain_seed
        if self.frame_type == INTER_FRAME && !self.r.flag() {
            self.r.skip(3); // film_grain_params_ref_idx
            return;
        }
        let luma_points = self.r.bits(4);
        self.r.skip(16 * luma_points);
        let from_luma = !self.s.monochrome && self.r.flag();
        let is_420 = self.s.subsampling == (true, true);
        let mut chroma_points = [0; 2];
        if !(self.s.monochrome || from_luma || is_420 && luma_points == 0) {
            for points in &mut chroma_points {
                *points = self.r.bits(4);
                self.r.skip(16 * *points);
            }
        }
        self.r.skip(2); // grain_scaling_minus_8
        let lag = self.r.bits(2);
        let luma_positions = 2 * lag * (lag + 1);
        let has_luma = luma_points > 0;
        self.r.skip(if has_luma { 8 * luma_positions } else { 0 });
        for points in chroma_points {
            if from_luma || points > 0 {
                self.r.skip(8 * (luma_positions + u32::from(has_luma)));
            }
        }
        self.r.skip(4); // ar_coeff_shift_minus_6, grain_scale_shift
        for points in chroma_points {
            self.r.skip(if points > 0 { 25 } else { 0 }); // mult, luma_mult, offset
        }
        self.r.skip(2); // overlap_flag, clip_to_restricted_range
    }
}

/// SEG_LVL_ALT_Q of each segment that has it.
pub(super) type AlternateQ = [Option<i32>; SEGMENTS];

/// get_relative_dist() (5.9.3) of order hints of `bits` bits, at least 1.
pub(super) fn distance_of(a: u32, b: u32, bits: u32) -> i32 {
    let difference = a.wrapping_sub(b).cast_signed();
    let sign = 1 << (bits - 1);
    (difference & (sign - 1)) - (difference & sign)
}

/// ns(n) (4.10.7).
pub(super) fn non_symmetric(r: &mut BitReader<'_>, values: u32) -> u32 {
    let width = u32::BITS - values.leading_zeros();
    let short = (1 << width) - values;
    let value = r.bits(width - 1);
    if value < short { value } else { (value << 1) - short + u32::from(r.flag()) }
}
