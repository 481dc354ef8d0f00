//! The length of a slice header (ITU-T H.264 7.3.3): what must stay in the clear before slice data
//! (ISO/IEC 23001-7 10.2, 10.4).

use super::parameter_sets::{Pps, Sps};
use crate::bits::BitReader;
use crate::error::Error;

/// Commands of one list of reference modifications or markings, so that no bit string loops on: a
/// list has at most 33 entries (7.4.3.1, 7.4.3.3).
const COMMANDS: u32 = 66;
/// num_ref_idx_active_minus1 is at most this (7.4.3).
const REFERENCES: u32 = 31;

/// Active parameter sets of a track: those of its sample entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    /// Sequence parameter sets.
    pub sps: Vec<Sps>,
    /// Picture parameter sets.
    pub pps: Vec<Pps>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SliceType {
    P,
    B,
    I,
    Sp,
    Si,
}

impl ParameterSets {
    /// Bytes of `nal` up to its slice data: the NAL unit's header, the slice header, emulation
    /// prevention bytes among them, and the byte that both share. `nal` is of type 1 or 5.
    pub fn header_bytes(&self, nal: &[u8]) -> Result<usize, Error> {
        let mut r = BitReader::new(nal, "slice header");
        r.flag(); // forbidden_zero_bit
        let ref_idc = r.bits(2);
        let idr = r.bits(5) == 5;
        r.ue(); // first_mb_in_slice
        let slice = slice_type(r.ue())?;
        let pps_id = r.ue();
        r.finish()?;
        let pps = self.pps.iter().find(|pps| pps.id == pps_id);
        let sps = pps.and_then(|pps| self.sps.iter().find(|sps| sps.id == pps.sps_id));
        let (Some(pps), Some(sps)) = (pps, sps) else {
            let detail = format!("refers to picture parameter set {pps_id}, which is not in avcC");
            return Err(Error::damaged("slice header", detail));
        };
        rest(&mut r, sps, pps, slice, ref_idc != 0, idr)?;
        r.finish()?;
        Ok(r.raw_bytes_read())
    }
}

fn slice_type(code: u32) -> Result<SliceType, Error> {
    match code % 5 {
        _ if code > 9 => Err(Error::damaged("slice header", format!("slice_type {code}"))),
        0 => Ok(SliceType::P),
        1 => Ok(SliceType::B),
        2 => Ok(SliceType::I),
        3 => Ok(SliceType::Sp),
        _ => Ok(SliceType::Si),
    }
}

/// What follows pic_parameter_set_id.
fn rest(
    r: &mut BitReader<'_>,
    sps: &Sps,
    pps: &Pps,
    slice: SliceType,
    is_reference: bool,
    idr: bool,
) -> Result<(), Error> {
    use SliceType::{B, I, P, Si, Sp};
    if sps.separate_colour_plane {
        r.bits(2); // colour_plane_id
    }
    r.bits(sps.frame_num_bits);
    let field = !sps.frame_mbs_only && r.flag();
    if field {
        r.flag(); // bottom_field_flag
    }
    if idr {
        r.ue(); // idr_pic_id
    }
    if sps.pic_order_cnt_type == 0 {
        r.bits(sps.pic_order_cnt_lsb_bits);
        if pps.field_order_present && !field {
            r.se(); // delta_pic_order_cnt_bottom
        }
    }
    if sps.pic_order_cnt_type == 1 && !sps.delta_pic_order_always_zero {
        r.se(); // delta_pic_order_cnt[0]
        if pps.field_order_present && !field {
            r.se(); // delta_pic_order_cnt[1]
        }
    }
    if pps.redundant_pic_cnt {
        r.ue(); // redundant_pic_cnt
    }
    if slice == B {
        r.flag(); // direct_spatial_mv_pred_flag
    }
    let mut references_less_1 = pps.default_references_less_1;
    if matches!(slice, P | Sp | B) && r.flag() {
        references_less_1[0] = r.ue();
        if slice == B {
            references_less_1[1] = r.ue();
        }
    }
    if references_less_1.iter().any(|&n| n > REFERENCES) {
        return Err(Error::damaged("slice header", "more than 32 references"));
    }
    let lists: usize = match slice {
        P | Sp => 1,
        B => 2,
        I | Si => 0,
    };
    for _ in 0..lists {
        list_modification(r)?;
    }
    if (pps.weighted_pred && matches!(slice, P | Sp)) || (pps.weighted_bipred == 1 && slice == B) {
        pred_weight_table(r, sps.chroma_array_type, &references_less_1[..lists]);
    }
    if is_reference {
        marking(r, idr)?;
    }
    if pps.cabac && !matches!(slice, I | Si) {
        r.ue(); // cabac_init_idc
    }
    r.se(); // slice_qp_delta
    if matches!(slice, Sp | Si) {
        if slice == Sp {
            r.flag(); // sp_for_switch_flag
        }
        r.se(); // slice_qs_delta
    }
    if pps.deblocking_control && r.ue() != 1 {
        r.se(); // slice_alpha_c0_offset_div2
        r.se(); // slice_beta_offset_div2
    }
    Ok(())
}

/// ref_pic_list_modification of one list (7.3.3.1).
fn list_modification(r: &mut BitReader<'_>) -> Result<(), Error> {
    if !r.flag() {
        return Ok(());
    }
    for _ in 0..COMMANDS {
        if r.ue() == 3 {
            return Ok(());
        }
        r.ue(); // abs_diff_pic_num_minus1 or long_term_pic_num
        r.finish()?;
    }
    Err(Error::damaged("slice header", "a reference list is modified without end"))
}

/// pred_weight_table (7.3.3.2).
fn pred_weight_table(r: &mut BitReader<'_>, chroma_array_type: u32, references_less_1: &[u32]) {
    r.ue(); // luma_log2_weight_denom
    if chroma_array_type != 0 {
        r.ue(); // chroma_log2_weight_denom
    }
    for &last in references_less_1 {
        for _ in 0..=last {
            if r.flag() {
                r.se(); // luma_weight
                r.se(); // luma_offset
            }
            if chroma_array_type != 0 && r.flag() {
                (0..4).for_each(|_| {
                    r.se(); // chroma_weight, chroma_offset of Cb and Cr
                });
            }
        }
    }
}

/// dec_ref_pic_marking (7.3.3.3).
fn marking(r: &mut BitReader<'_>, idr: bool) -> Result<(), Error> {
    if idr {
        r.bits(2); // no_output_of_prior_pics_flag, long_term_reference_flag
        return Ok(());
    }
    if !r.flag() {
        return Ok(());
    }
    for _ in 0..COMMANDS {
        match r.ue() {
            0 => return Ok(()),
            1 | 2 | 4 | 6 => {
                r.ue();
            }
            3 => {
                r.ue(); // difference_of_pic_nums_minus1
                r.ue(); // long_term_frame_idx
            }
            5 => {}
            other => {
                let detail = format!("memory_management_control_operation {other}");
                return Err(Error::damaged("slice header", detail));
            }
        }
        r.finish()?;
    }
    Err(Error::damaged("slice header", "references are marked without end"))
}
