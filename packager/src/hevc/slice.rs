//! The length of a slice segment header (ITU-T H.265 7.3.6.1): what must stay in the clear before
//! slice data (ISO/IEC 23001-7 10.2, 10.4).

use super::pps::{Pps, REFERENCES};
use super::reference_sets::ReferenceSet;
use super::sps::Sps;
use super::{NO_SLICE, each_nal, kind, nal_kind};
use crate::bits::BitReader;
use crate::error::Error;
use crate::wire::Reader;

const AT: &str = "slice segment header";
/// Long-term pictures of a slice at most: those of the decoded picture buffer and its SPS.
const LONG_TERM: u32 = 33;
/// slice_segment_header_extension_length is at most this (7.4.7.1).
const EXTENSION_BYTES: u32 = 256;

/// Parameter sets of a track: those of its sample entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    sps: Vec<Sps>,
    pps: Vec<Pps>,
    /// Every NAL unit of hvcC that is a parameter set.
    nals: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SliceType {
    B,
    P,
    I,
}

impl ParameterSets {
    /// Reads every parameter set of an hvcC box's payload.
    pub fn parse(hvcc: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(hvcc, "hvcC");
        r.skip(22);
        let arrays = r.u8();
        let mut to = Self { sps: Vec::new(), pps: Vec::new(), nals: Vec::new() };
        each_nal(&mut r, arrays, |nal| {
            match nal_kind(nal) {
                Some(kind::VPS) => {}
                Some(kind::SPS) => to.sps.push(Sps::parse(nal)?),
                Some(kind::PPS) => to.pps.push(Pps::parse(nal)?),
                _ => return Ok(()),
            }
            to.nals.push(nal.to_vec());
            Ok(())
        })?;
        Ok(to)
    }

    /// Bytes of `nal` that stay in the clear: all of it, or those before slice data with the
    /// alignment behind the header.
    ///
    /// A parameter set in a sample must be one of the entry's, or slices after it would be read
    /// wrongly; further layers are refused.
    pub fn clear_bytes(&self, nal: &[u8]) -> Result<usize, Error> {
        let kind = nal_kind(nal).unwrap_or(NO_SLICE);
        let is_parameter_set = matches!(kind, kind::VPS | kind::SPS | kind::PPS);
        if is_parameter_set && !self.nals.iter().any(|known| known == nal) {
            let detail = "a parameter set that is not in hvcC: expected hvc1 to have all";
            return Err(Error::unsupported("sample", detail));
        }
        if kind >= NO_SLICE {
            return Ok(nal.len());
        }
        self.header_bytes(nal, kind)
    }

    /// Bytes of `nal`, a slice segment, up to its slice data: both headers, emulation prevention
    /// bytes among them, and the alignment.
    fn header_bytes(&self, nal: &[u8], nal_kind: u8) -> Result<usize, Error> {
        let mut r = BitReader::new(nal, AT);
        r.skip(1 + 6); // forbidden_zero_bit, nal_unit_type
        let layer = r.bits(6);
        r.skip(3); // nuh_temporal_id_plus1
        if layer != 0 {
            return Err(Error::unsupported(AT, format!("layer {layer}: expected one layer")));
        }
        let is_first = r.flag();
        if (kind::BLA_W_LP..=kind::RSV_IRAP_VCL23).contains(&nal_kind) {
            r.flag(); // no_output_of_prior_pics_flag
        }
        let pps_id = r.ue();
        r.finish()?;
        let pps = self.pps.iter().find(|pps| pps.id == pps_id);
        let sps = pps.and_then(|pps| self.sps.iter().find(|sps| sps.id == pps.sps_id));
        let (Some(pps), Some(sps)) = (pps, sps) else {
            let detail = format!("refers to picture parameter set {pps_id}, which is not in hvcC");
            return Err(Error::damaged(AT, detail));
        };
        let mut is_dependent = false;
        if !is_first {
            is_dependent = pps.dependent_slice_segments && r.flag();
            r.skip(ceil_log2(sps.picture_ctbs)); // slice_segment_address
        }
        if !is_dependent {
            let is_idr = matches!(nal_kind, kind::IDR_W_RADL | kind::IDR_N_LP);
            Header { r: &mut r, sps, pps }.read(is_idr)?;
        }
        if pps.entry_points {
            entry_points(&mut r, sps)?;
        }
        if pps.slice_header_extension {
            let bytes = r.ue();
            r.finish()?;
            bounded("slice_segment_header_extension_length", bytes, EXTENSION_BYTES)?;
            r.skip(8 * bytes);
        }
        let alignment_bit = r.flag();
        r.finish()?;
        if !alignment_bit {
            return Err(Error::damaged(AT, "its alignment does not start with a one"));
        }
        Ok(r.raw_bytes_read())
    }
}

/// What a dependent slice segment does not repeat.
struct Header<'r, 'n> {
    r: &'r mut BitReader<'n>,
    sps: &'r Sps,
    pps: &'r Pps,
}

impl Header<'_, '_> {
    fn read(&mut self, is_idr: bool) -> Result<(), Error> {
        self.r.skip(self.pps.extra_slice_header_bits);
        let slice = match self.r.ue() {
            0 => SliceType::B,
            1 => SliceType::P,
            2 => SliceType::I,
            other => return Err(Error::damaged(AT, format!("slice_type {other}"))),
        };
        if self.pps.output_flag {
            self.r.flag(); // pic_output_flag
        }
        if self.sps.separate_colour_plane {
            self.r.skip(2); // colour_plane_id
        }
        let (used, temporal_mvp) = if is_idr { (0, false) } else { self.references()? };
        let mut sao = false;
        if self.sps.sample_adaptive_offset {
            sao = self.r.flag();
            sao |= self.sps.chroma_array_type != 0 && self.r.flag();
        }
        if slice != SliceType::I {
            self.prediction(slice, used, temporal_mvp)?;
        }
        self.r.se(); // slice_qp_delta
        if self.pps.slice_chroma_qp_offsets {
            self.r.se(); // slice_cb_qp_offset
            self.r.se(); // slice_cr_qp_offset
        }
        if self.pps.chroma_qp_offset_list {
            self.r.flag(); // cu_chroma_qp_offset_enabled_flag
        }
        let mut deblocking_disabled = self.pps.deblocking_disabled;
        if self.pps.deblocking_override && self.r.flag() {
            deblocking_disabled = self.r.flag();
            if !deblocking_disabled {
                self.r.se(); // slice_beta_offset_div2
                self.r.se(); // slice_tc_offset_div2
            }
        }
        if self.pps.loop_filter_across_slices && (sao || !deblocking_disabled) {
            self.r.flag(); // slice_loop_filter_across_slices_enabled_flag
        }
        Ok(())
    }

    /// slice_pic_order_cnt_lsb to slice_temporal_mvp_enabled_flag: how many pictures the current
    /// one refers to (NumPicTotalCurr), and the flag.
    fn references(&mut self) -> Result<(usize, bool), Error> {
        self.r.skip(self.sps.poc_lsb_bits);
        let sets = &self.sps.reference_sets;
        let mut used = if self.r.flag() {
            let count = u32::try_from(sets.len()).expect("at most 64");
            let index = self.r.bits(ceil_log2(count));
            let set = usize::try_from(index).ok().and_then(|index| sets.get(index));
            let detail = || format!("reference picture set {index} of {count}");
            set.ok_or_else(|| Error::damaged(AT, detail()))?.used()
        } else {
            ReferenceSet::read(self.r, sets, true)?.used()
        };
        if let Some(known) = &self.sps.long_term {
            used += self.long_term(known)?;
        }
        Ok((used, self.sps.temporal_mvp && self.r.flag()))
    }

    /// Long-term pictures, some by their index among those that the SPS knows.
    fn long_term(&mut self, known: &[bool]) -> Result<usize, Error> {
        let by_index = if known.is_empty() { 0 } else { self.r.ue() };
        let others = self.r.ue();
        self.r.finish()?;
        bounded("num_long_term_sps", by_index, LONG_TERM)?;
        bounded("num_long_term_pics", others, LONG_TERM)?;
        let index_bits = ceil_log2(u32::try_from(known.len()).expect("at most 32"));
        let mut used = 0;
        for i in 0..by_index + others {
            let is_used = if i < by_index {
                let index = usize::try_from(self.r.bits(index_bits)).expect("5 bits");
                known.get(index).copied().unwrap_or(false)
            } else {
                self.r.skip(self.sps.poc_lsb_bits); // poc_lsb_lt
                self.r.flag()
            };
            used += usize::from(is_used);
            if self.r.flag() {
                self.r.ue(); // delta_poc_msb_cycle_lt
            }
        }
        Ok(used)
    }

    /// num_ref_idx_active_override_flag to five_minus_max_num_merge_cand, of P and B slices.
    fn prediction(
        &mut self,
        slice: SliceType,
        used: usize,
        temporal_mvp: bool,
    ) -> Result<(), Error> {
        let is_b = slice == SliceType::B;
        let mut less_1 = self.pps.default_references_less_1;
        if self.r.flag() {
            less_1[0] = self.r.ue();
            if is_b {
                less_1[1] = self.r.ue();
            }
        }
        less_1.iter().try_for_each(|&n| bounded("num_ref_idx_active_minus1", n, REFERENCES))?;
        let lists = &less_1[..if is_b { 2 } else { 1 }];
        if self.pps.lists_modification && used > 1 {
            let entry_bits = ceil_log2(u32::try_from(used).expect("few"));
            for less_1 in lists {
                if self.r.flag() {
                    self.r.skip((less_1 + 1) * entry_bits); // list_entry
                }
            }
        }
        if is_b {
            self.r.flag(); // mvd_l1_zero_flag
        }
        if self.pps.cabac_init {
            self.r.flag(); // cabac_init_flag
        }
        if temporal_mvp {
            let from_list_1 = is_b && !self.r.flag();
            if less_1[usize::from(from_list_1)] > 0 {
                self.r.ue(); // collocated_ref_idx
            }
        }
        let is_weighted = if is_b { self.pps.weighted_bipred } else { self.pps.weighted_pred };
        if is_weighted {
            pred_weight_table(self.r, self.sps.chroma_array_type, lists);
        }
        self.r.ue(); // five_minus_max_num_merge_cand
        Ok(())
    }
}

/// pred_weight_table() (7.3.6.3): flags of all pictures of a list stand before the weights.
fn pred_weight_table(r: &mut BitReader<'_>, chroma_array_type: u32, lists: &[u32]) {
    r.ue(); // luma_log2_weight_denom
    let has_chroma = chroma_array_type != 0;
    if has_chroma {
        r.se(); // delta_chroma_log2_weight_denom
    }
    for &less_1 in lists {
        let luma: u32 = (0..=less_1).map(|_| u32::from(r.flag())).sum();
        let chroma: u32 =
            if has_chroma { (0..=less_1).map(|_| u32::from(r.flag())).sum() } else { 0 };
        // A weight and an offset of luma, two of each of chroma: whose they are does not matter.
        (0..2 * luma + 4 * chroma).for_each(|_| {
            r.se();
        });
    }
}

fn entry_points(r: &mut BitReader<'_>, sps: &Sps) -> Result<(), Error> {
    let count = r.ue();
    r.finish()?;
    bounded("num_entry_point_offsets", count, sps.picture_ctbs)?;
    if count > 0 {
        let less_1 = r.ue();
        r.finish()?;
        bounded("offset_len_minus1", less_1, 31)?;
        for _ in 0..count {
            r.skip(less_1 + 1);
            r.finish()?;
        }
    }
    Ok(())
}

/// Ceil(Log2(n)) of a count that is not 0.
fn ceil_log2(n: u32) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}

fn bounded(field: &str, got: u32, most: u32) -> Result<(), Error> {
    if got > most {
        return Err(Error::damaged(AT, format!("{field}: expected at most {most}, got {got}")));
    }
    Ok(())
}
