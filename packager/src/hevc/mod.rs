//! HEVC in ISOBMFF (ISO/IEC 14496-15 8.3): hvcC, parameter sets, slice headers, and which pictures a
//! player can start at.
//!
//! Samples hold NAL units behind lengths, as those of AVC do: [`crate::avc::nal_units`].

mod pps;
mod reference_sets;
mod slice;
mod sps;
mod vui;

use std::fmt::Write as _;

pub use pps::Pps;
pub use slice::ParameterSets;
pub use sps::{ProfileTierLevel, Sps};

use crate::avc::nal_units;
use crate::colour::Colour;
use crate::error::Error;
use crate::wire::Reader;

/// nal_unit_type values (ITU-T H.265 table 7-1).
mod kind {
    /// The first of an intra random access point.
    pub(super) const BLA_W_LP: u8 = 16;
    pub(super) const IDR_W_RADL: u8 = 19;
    pub(super) const IDR_N_LP: u8 = 20;
    pub(super) const CRA: u8 = 21;
    /// The last of an intra random access point.
    pub(super) const RSV_IRAP_VCL23: u8 = 23;
    pub(super) const RADL: std::ops::RangeInclusive<u8> = 6..=7;
    pub(super) const RASL: std::ops::RangeInclusive<u8> = 8..=9;
    pub(super) const VPS: u8 = 32;
    pub(super) const SPS: u8 = 33;
    pub(super) const PPS: u8 = 34;
}

/// The first nal_unit_type that is of no slice segment: those below 32 are.
const NO_SLICE: u8 = 32;

/// HEVCDecoderConfigurationRecord (14496-15 8.3.3.1), as far as manifests and checks need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Profile, tier and level, as in the sequence parameter set itself.
    pub profile_tier_level: ProfileTierLevel,
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub nal_length_bytes: usize,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// What the sequence parameter set says of colour.
    pub colour: Option<Colour>,
}

impl Config {
    /// Reads an hvcC box's payload; the record and its first SPS must agree.
    pub fn parse(hvcc: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(hvcc, "hvcC");
        let version = r.u8();
        let claimed = ProfileTierLevel::from_bytes(r.array());
        r.skip(8); // min_spatial_segmentation_idc to avgFrameRate
        let nal_length_bytes = usize::from(r.u8() & 3) + 1;
        let arrays = r.u8();
        r.finish()?;
        if version != 1 || nal_length_bytes == 3 {
            return Err(Error::damaged(
                "hvcC",
                format!(
                    "version {version}, {nal_length_bytes}-byte lengths: expected version 1, \
                     lengths of 1, 2 or 4 bytes"
                ),
            ));
        }
        let mut sps = None;
        each_nal(&mut r, arrays, |nal| {
            if sps.is_none() && nal_kind(nal) == Some(kind::SPS) {
                sps = Some(Sps::parse(nal)?);
            }
            Ok(())
        })?;
        let sps = sps.ok_or_else(|| {
            Error::damaged("hvcC", "no sequence parameter set, which hvc1 has in its entry")
        })?;
        if sps.profile_tier_level != claimed {
            return Err(Error::damaged(
                "hvcC",
                format!(
                    "profile, tier and level {} are not the SPS's {}",
                    claimed.codecs(),
                    sps.profile_tier_level.codecs()
                ),
            ));
        }
        Ok(Self {
            profile_tier_level: claimed,
            nal_length_bytes,
            bit_depth: sps.bit_depth,
            colour: sps.colour,
        })
    }

    /// The RFC 6381 string of an hvc1 entry.
    pub fn codecs(&self) -> String {
        self.profile_tier_level.codecs()
    }
}

impl ProfileTierLevel {
    /// 14496-15 annex E.3: profile space and profile, compatibility flags in reverse bit order,
    /// tier and level, the bytes of constraints without the zeros behind them.
    pub fn codecs(&self) -> String {
        let space = ["", "A", "B", "C"][usize::from(self.profile_space & 3)];
        let compatibility = self.compatibility_flags.reverse_bits();
        let tier = if self.high_tier { 'H' } else { 'L' };
        let mut text =
            format!("hvc1.{space}{}.{compatibility:X}.{tier}{}", self.profile, self.level);
        let constraints = &self.constraint_flags;
        let len = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for byte in &constraints[..len] {
            let _ = write!(text, ".{byte:X}");
        }
        text
    }
}

/// Every NAL unit of a record's arrays.
fn each_nal<'a>(
    r: &mut Reader<'a>,
    arrays: u8,
    mut with: impl FnMut(&'a [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 0..arrays {
        r.u8(); // array_completeness, NAL_unit_type
        for _ in 0..r.u16() {
            let len = r.u16();
            let nal = r.take(len.into());
            r.finish()?;
            with(nal)?;
        }
    }
    r.finish()
}

/// nal_unit_type by a NAL unit's first byte (7.3.1.2).
fn nal_kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header >> 1 & 0x3f)
}

/// Whether a fragment whose samples are `first` and `others`, in decode order, starts with an IDR
/// picture, or with a CRA picture that no RASL picture follows: those refer to what lies before it
/// (8.1.3). RADL pictures do not, nor does anything that follows an IDR picture.
pub fn starts_independent<'a>(
    first: &[u8],
    others: impl Iterator<Item = &'a [u8]>,
    config: &Config,
) -> Result<bool, Error> {
    let slice_kind = |sample: &[u8]| first_slice(sample, config.nal_length_bytes);
    match slice_kind(first)? {
        kind::IDR_W_RADL | kind::IDR_N_LP => return Ok(true),
        kind::CRA => {}
        _ => return Ok(false),
    }
    // Leading pictures come before every trailing one in decode order (7.4.2.2).
    for sample in others {
        match slice_kind(sample)? {
            kind if kind::RASL.contains(&kind) => return Ok(false),
            kind if kind::RADL.contains(&kind) => {}
            _ => break,
        }
    }
    Ok(true)
}

/// nal_unit_type of a sample's first slice segment, which is that of all of them.
fn first_slice(sample: &[u8], nal_length_bytes: usize) -> Result<u8, Error> {
    for nal in nal_units(sample, nal_length_bytes) {
        if let Some(kind) = nal_kind(nal?).filter(|kind| *kind < NO_SLICE) {
            return Ok(kind);
        }
    }
    Err(Error::damaged("sample", "no coded slice segment in it"))
}

#[cfg(test)]
mod tests;
