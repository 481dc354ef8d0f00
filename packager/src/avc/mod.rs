//! AVC in ISOBMFF (ISO/IEC 14496-15 5.3): avcC, and NAL units in length-prefixed samples.

mod parameter_sets;
mod slice;

pub use parameter_sets::{Pps, Sps};
pub use slice::ParameterSets;

use crate::error::Error;
use crate::wire::Reader;

/// nal_unit_type of a coded slice of an IDR picture (ITU-T H.264 table 7-1).
const IDR_SLICE: u8 = 5;
/// nal_unit_type of a coded slice of a picture that is not IDR.
const NON_IDR_SLICE: u8 = 1;
/// nal_unit_type of a sequence parameter set.
const SPS: u8 = 7;
/// nal_unit_type of coded slice data partitions, of profiles that no player of films has.
const PARTITIONS: std::ops::RangeInclusive<u8> = 2..=4;

/// AVCDecoderConfigurationRecord (14496-15 5.3.3.1), as far as manifests and checks need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// profile_idc, constraint flags and level_idc, as in the sequence parameter set itself.
    pub profile_compatibility_level: [u8; 3],
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub nal_length_bytes: usize,
    /// Bits of a luma sample: 8 but in the profiles that can have more.
    pub bit_depth: u8,
}

/// profile_idc values that may have more than 8 bits, whose records say it (5.3.3.1.2).
const DEEP_PROFILES: [u8; 3] = [110, 122, 244];

impl Config {
    /// Reads an avcC box's payload; the record and its first SPS must agree.
    pub fn parse(avcc: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(avcc, "avcC");
        let version = r.u8();
        let claimed: [u8; 3] = r.array();
        let nal_length_bytes = usize::from(r.u8() & 3) + 1;
        let sps_count = r.u8() & 0x1f;
        let sps_len = r.u16();
        let sps = r.take(usize::from(sps_len));
        r.finish()?;
        if version != 1 || nal_length_bytes == 3 || sps_count == 0 {
            return Err(Error::damaged(
                "avcC",
                format!(
                    "version {version}, {nal_length_bytes}-byte lengths, {sps_count} SPS: \
                     expected version 1, lengths of 1, 2 or 4 bytes, an SPS"
                ),
            ));
        }
        match sps {
            [header, p, c, l, ..] if header & 0x1f == SPS && [*p, *c, *l] == claimed => {
                let bit_depth = bit_depth(&mut r, claimed[0], sps_count - 1);
                Ok(Self { profile_compatibility_level: claimed, nal_length_bytes, bit_depth })
            }
            _ => Err(Error::damaged(
                "avcC",
                format!("profile and level {claimed:02x?} are not those of the SPS"),
            )),
        }
    }

    /// The RFC 6381 string: `avc1.` and six hex digits.
    pub fn codecs(&self) -> String {
        let [p, c, l] = self.profile_compatibility_level;
        format!("avc1.{p:02X}{c:02X}{l:02X}")
    }
}

/// bit_depth_luma of a record's end, behind its other parameter sets; 8 where it has no such end.
fn bit_depth(r: &mut Reader<'_>, profile: u8, sps_left: u8) -> u8 {
    if !DEEP_PROFILES.contains(&profile) {
        return 8;
    }
    let pass = |r: &mut Reader<'_>, sets: u8| {
        for _ in 0..sets {
            let len = r.u16();
            r.skip(len.into());
        }
    };
    pass(r, sps_left);
    let pps_count = r.u8();
    pass(r, pps_count);
    r.skip(1); // chroma_format
    let minus8 = r.u8() & 7;
    if r.is_short() { 8 } else { 8 + minus8 }
}

impl ParameterSets {
    /// Reads every parameter set of an avcC box's payload.
    pub fn parse(avcc: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(avcc, "avcC");
        r.take(5);
        let count = r.u8() & 0x1f;
        let sps = sets(&mut r, count, Sps::parse)?;
        let count = r.u8();
        let pps = sets(&mut r, count, Pps::parse)?;
        Ok(Self { sps, pps })
    }
}

fn sets<T>(
    r: &mut Reader<'_>,
    count: u8,
    parse: impl Fn(&[u8]) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let one = |_| {
        let len = r.u16();
        let nal = r.take(usize::from(len));
        r.finish()?;
        parse(nal)
    };
    (0..count).map(one).collect()
}

/// What a NAL unit means to encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// A coded slice: what follows its header is encrypted.
    Slice,
    /// Anything else stays in the clear.
    Other,
}

/// The kind of a NAL unit by its first byte.
pub fn nal_kind(nal: &[u8]) -> Result<NalKind, Error> {
    match nal.first().map(|header| header & 0x1f) {
        Some(IDR_SLICE | NON_IDR_SLICE) => Ok(NalKind::Slice),
        Some(kind) if PARTITIONS.contains(&kind) => {
            Err(Error::unsupported("sample", "slices in data partitions (extended profile)"))
        }
        _ => Ok(NalKind::Other),
    }
}

/// Whether a sample's first slice is of an IDR picture, so that decoding can start at it with
/// nothing before it and no leading picture after it.
pub fn is_idr(sample: &[u8], config: Config) -> Result<bool, Error> {
    for nal in nal_units(sample, config.nal_length_bytes) {
        match nal?.first().map(|header| header & 0x1f) {
            Some(IDR_SLICE) => return Ok(true),
            Some(slice) if (NON_IDR_SLICE..IDR_SLICE).contains(&slice) => return Ok(false),
            _ => {}
        }
    }
    Err(Error::damaged("sample", "no coded slice in it"))
}

/// The NAL units of a sample, without the `length_bytes` of length before each.
pub fn nal_units(sample: &[u8], length_bytes: usize) -> impl Iterator<Item = Result<&[u8], Error>> {
    let mut rest = sample;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let nal = rest.split_at_checked(length_bytes).and_then(|(len, after)| {
            let len = len.iter().fold(0usize, |len, &b| len << 8 | usize::from(b));
            after.split_at_checked(len)
        });
        match nal {
            Some((nal, after)) => {
                rest = after;
                Some(Ok(nal))
            }
            None => {
                let at = sample.len() - rest.len();
                rest = &[];
                Some(Err(Error::damaged(
                    "sample",
                    format!("NAL unit at byte {at} ends past the sample's {}", sample.len()),
                )))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config =
        Config { profile_compatibility_level: [0x64, 0, 0x28], nal_length_bytes: 4, bit_depth: 8 };

    #[test]
    fn avcc_and_its_sps_must_agree() {
        let good = [1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 5, 0x67, 0x64, 0, 0x28, 0xac];
        assert_eq!(Config::parse(&good).unwrap(), CONFIG);
        assert_eq!(CONFIG.codecs(), "avc1.640028");
        for (at, value) in [(0, 0), (1, 0x4d), (4, 0xfe), (5, 0xe0), (8, 0x68)] {
            let mut bad = good;
            bad[at] = value;
            assert!(Config::parse(&bad).is_err(), "byte {at}");
        }
        assert!(Config::parse(&good[..12]).is_err());
        // High 10 with one PPS, and what its record says of bits.
        let mut deep = good.to_vec();
        (deep[1], deep[9]) = (110, 110);
        deep.extend([1, 0, 2, 0x68, 0xee, 0xfd, 0xfa, 0xfa, 0]);
        assert_eq!(Config::parse(&deep).unwrap().bit_depth, 10);
        assert_eq!(Config::parse(&deep[..18]).unwrap().bit_depth, 8, "it says nothing");
    }

    #[test]
    fn the_first_slice_decides() {
        let cases: [(&[u8], Result<bool, ()>); 5] = [
            (&[0, 0, 0, 1, 0x06, 0, 0, 0, 2, 0x65, 0x88], Ok(true)),
            (&[0, 0, 0, 1, 0x09, 0, 0, 0, 1, 0x41], Ok(false)),
            (&[0, 0, 0, 1, 0x06], Err(())),
            (&[0, 0, 0, 9, 0x65], Err(())),
            (&[0, 0], Err(())),
        ];
        for (sample, wanted) in cases {
            assert_eq!(is_idr(sample, CONFIG).map_err(drop), wanted, "{sample:?}");
        }
    }
}
