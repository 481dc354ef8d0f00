//! Which bytes of a sample are encrypted (ISO/IEC 23001-7 9.5, 10; AV1 in ISOBMFF 4.3): of AVC and
//! HEVC slice data alone, of AV1 tile data alone; of sound, everything.
//!
//! NAL unit lengths, headers, slice headers and every NAL unit that is no slice stay in the clear:
//! captions in SEI live on, and a decoder's parser can read a sample without its key. So do headers
//! of OBUs, frames and tile groups, and tiles' sizes.
//!
//! Where tiles lie depends on the frames before: samples are looked at fragment by fragment, in
//! decode order, with [`Finder::fragment`].

use crate::avc::{self, NalKind, ParameterSets};
use crate::bmff::boxes;
use crate::bmff::protection::Subsample;
use crate::codec::{self, SampleEntry, VideoConfig};
use crate::encrypt::BLOCK_BYTES;
use crate::error::Error;
use crate::{av1, hevc};

/// Clear bytes of an entry that others follow. The field has 16 bits; 15 bytes of it are left, so
/// that a map has as many entries whether the tail is aligned or not.
const CLEAR_BYTES: usize = 65_535 - (BLOCK_BYTES - 1);
/// The most entries of a sample: `saiz` counts a sample's bytes in 8 bits, of which an IV of 16 and
/// a count of 2 are used (255 = 16 + 2 + 6 x 39 + 3).
pub const ENTRIES: usize = 39;

/// How the last bytes of slice data that fill no whole block are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They are moved before the protected data, so that it is whole blocks (cenc).
    Aligned,
    /// They are counted as protected and the scheme leaves them clear (cbcs).
    Left,
}

/// Finds the protected bytes of a track's samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finder {
    /// Slices of AVC.
    Avc {
        /// Bytes of the length before each NAL unit.
        nal_length_bytes: usize,
        /// What slice headers are read with.
        sets: ParameterSets,
    },
    /// Slice segments of HEVC.
    Hevc {
        /// Bytes of the length before each NAL unit.
        nal_length_bytes: usize,
        /// What slice segment headers are read with.
        sets: hevc::ParameterSets,
    },
    /// Tiles of AV1.
    Av1 {
        /// What frame headers are read with.
        sequence: Box<av1::Sequence>,
    },
    /// Whole samples, without a map.
    Whole,
}

/// Finds the protected bytes of a fragment's samples, one after the other.
#[derive(Debug)]
pub struct Samples<'f> {
    finder: &'f Finder,
    /// What frames of AV1 left behind.
    decoded: Option<av1::Decoded>,
}

impl Finder {
    /// The finder for a sample entry, a whole box.
    pub fn new(entry: &[u8]) -> Result<Self, Error> {
        let SampleEntry::Video(video) = SampleEntry::parse(entry)? else {
            return Ok(Self::Whole);
        };
        match video.config {
            VideoConfig::Avc(config) => {
                let avcc = boxes::need(codec::inner_boxes(entry)?, b"avcC", "avc1")?.payload;
                let sets = ParameterSets::parse(avcc)?;
                Ok(Self::Avc { nal_length_bytes: config.nal_length_bytes, sets })
            }
            VideoConfig::Hevc(config) => {
                let hvcc = boxes::need(codec::inner_boxes(entry)?, b"hvcC", "hvc1")?.payload;
                let sets = hevc::ParameterSets::parse(hvcc)?;
                Ok(Self::Hevc { nal_length_bytes: config.nal_length_bytes, sets })
            }
            VideoConfig::Av1(config) => Ok(Self::Av1 { sequence: Box::new(config.sequence) }),
        }
    }

    /// Whether samples have maps.
    pub fn has_maps(&self) -> bool {
        !matches!(self, Self::Whole)
    }

    /// What of a sample is encrypted, one by one.
    fn parts(&self) -> &'static str {
        match self {
            Self::Avc { .. } => "AVC's slices",
            Self::Hevc { .. } => "HEVC's slice segments",
            Self::Av1 { .. } => "AV1's tiles, over all frames of the sample",
            Self::Whole => "its parts",
        }
    }

    /// A fragment's samples, before its first.
    pub fn fragment(&self) -> Samples<'_> {
        let decoded = match self {
            Self::Av1 { sequence } => Some(av1::Decoded::new(av1::Sequence::clone(sequence))),
            _ => None,
        };
        Samples { finder: self, decoded }
    }

    /// Entries of the maps of a fragment's samples, in decode order: what heads store of it. Under
    /// every scheme there are as many.
    pub fn entries<'a>(&self, samples: impl IntoIterator<Item = &'a [u8]>) -> Result<usize, Error> {
        let mut map = Vec::new();
        let mut finder = self.fragment();
        for (k, sample) in samples.into_iter().enumerate() {
            let found = finder.map(sample, Tail::Aligned, &mut map);
            found.map_err(|e| e.within(&format!("sample {k}")))?;
        }
        Ok(map.len())
    }
}

impl Samples<'_> {
    /// Appends the next sample's map to `map`. Nothing is appended for samples that are encrypted
    /// whole.
    pub fn map(
        &mut self,
        sample: &[u8],
        tail: Tail,
        map: &mut Vec<Subsample>,
    ) -> Result<(), Error> {
        let from = map.len();
        // Each tile has an entry of its own under cbcs, however small (AV1 in ISOBMFF 4.3).
        let least = if self.decoded.is_some() { 1 } else { BLOCK_BYTES };
        let mut to = Map { map, tail, least, clear: 0 };
        match self.finder {
            Finder::Whole => return Ok(()),
            Finder::Avc { nal_length_bytes, sets } => {
                for nal in avc::nal_units(sample, *nal_length_bytes) {
                    let nal = nal?;
                    let header = match avc::nal_kind(nal)? {
                        NalKind::Slice => sets.header_bytes(nal)?,
                        NalKind::Other => nal.len(),
                    };
                    to.add(nal_length_bytes + header, nal.len() - header)?;
                }
            }
            Finder::Hevc { nal_length_bytes, sets } => {
                for nal in avc::nal_units(sample, *nal_length_bytes) {
                    let nal = nal?;
                    let header = sets.clear_bytes(nal)?;
                    to.add(nal_length_bytes + header, nal.len() - header)?;
                }
            }
            Finder::Av1 { .. } => {
                let decoded = self.decoded.as_mut().expect("made with the finder");
                let mut at = 0;
                decoded.tiles(sample, |tile| {
                    to.add(tile.start - at, tile.len())?;
                    at = tile.end;
                    Ok(())
                })?;
                to.add(sample.len() - at, 0)?;
            }
        }
        let clear = to.clear;
        if clear > 0 {
            push(map, clear, 0, 0)?;
        }
        if map.len() - from > ENTRIES {
            let entries = map.len() - from;
            let detail = format!(
                "{entries} entries in its encryption map, one for each of {}: saiz counts at most \
                 {ENTRIES}. Encode it with fewer",
                self.finder.parts()
            );
            return Err(Error::unsupported("sample", detail));
        }
        Ok(())
    }
}

/// A sample's map that is being made.
struct Map<'m> {
    map: &'m mut Vec<Subsample>,
    tail: Tail,
    /// Bytes of data that make an entry.
    least: usize,
    /// Clear bytes since the last protected ones.
    clear: usize,
}

impl Map<'_> {
    /// Adds clear bytes and the data behind them.
    fn add(&mut self, clear: usize, data: usize) -> Result<(), Error> {
        let protected = match self.tail {
            Tail::Aligned => data - data % BLOCK_BYTES,
            Tail::Left => data,
        };
        self.clear += clear;
        if data >= self.least {
            push(self.map, self.clear, data - protected, protected)?;
            self.clear = 0;
        } else {
            self.clear += data;
        }
        Ok(())
    }
}

/// Appends `clear` bytes, `moved` ones that alignment made clear too, and `protected` bytes, in as
/// many entries as `clear` needs.
fn push(
    map: &mut Vec<Subsample>,
    mut clear: usize,
    moved: usize,
    protected: usize,
) -> Result<(), Error> {
    let split = u16::try_from(CLEAR_BYTES).expect("a constant");
    while clear > CLEAR_BYTES {
        map.push(Subsample { clear_bytes: split, protected_bytes: 0 });
        clear -= CLEAR_BYTES;
    }
    let protected_bytes = u32::try_from(protected)
        .map_err(|_| Error::too_large("sample", format!("{protected} bytes of slice data")))?;
    let clear_bytes = u16::try_from(clear + moved).expect("the loop leaves 65,520 at most");
    map.push(Subsample { clear_bytes, protected_bytes });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avc::{Pps, Sps};
    use proptest::prelude::*;

    const SPS: Sps = Sps {
        id: 0,
        chroma_array_type: 1,
        separate_colour_plane: false,
        frame_num_bits: 4,
        pic_order_cnt_type: 2,
        pic_order_cnt_lsb_bits: 0,
        delta_pic_order_always_zero: false,
        frame_mbs_only: true,
    };
    const PPS: Pps = Pps {
        id: 0,
        sps_id: 0,
        cabac: true,
        field_order_present: false,
        default_references_less_1: [0, 0],
        weighted_pred: false,
        weighted_bipred: 0,
        deblocking_control: false,
        redundant_pic_cnt: false,
    };

    fn finder() -> Finder {
        let sets = ParameterSets { sps: vec![SPS], pps: vec![PPS] };
        Finder::Avc { nal_length_bytes: 4, sets }
    }

    /// IDR slice: header byte; first_mb 0 `1`, slice_type 7 `0001000`; pps 0 `1`, frame_num
    /// `0000`, idr_pic_id 0 `1`, marking `00`; slice_qp_delta 0 `1`: 17 bits, so 3 bytes.
    const SLICE: [u8; 4] = [0x65, 0b1000_1000, 0b1000_0100, 0b1000_0000];
    const SEI: u8 = 6;

    fn sample(nals: &[(u8, usize)]) -> Vec<u8> {
        let mut sample = Vec::new();
        for &(kind, len) in nals {
            let mut nal = if kind == SEI { vec![SEI] } else { SLICE.to_vec() };
            nal.resize(nal.len() + len, 0xaa);
            sample.extend(u32::try_from(nal.len()).unwrap().to_be_bytes());
            sample.extend(nal);
        }
        sample
    }

    fn map(nals: &[(u8, usize)], tail: Tail) -> Vec<(u16, u32)> {
        let mut map = Vec::new();
        finder().fragment().map(&sample(nals), tail, &mut map).unwrap();
        map.iter().map(|s| (s.clear_bytes, s.protected_bytes)).collect()
    }

    #[test]
    fn maps() {
        use Tail::{Aligned, Left};
        type Case<'a> = (&'a [(u8, usize)], Tail, &'a [(u16, u32)]);
        let cases: [Case<'_>; 10] = [
            (&[(5, 100)], Left, &[(8, 100)]),
            (&[(5, 100)], Aligned, &[(12, 96)]),
            (&[(5, 16)], Aligned, &[(8, 16)]),
            (&[(5, 15)], Left, &[(23, 0)]),
            (&[(5, 15)], Aligned, &[(23, 0)]),
            (&[(SEI, 10), (5, 32), (5, 48)], Left, &[(23, 32), (8, 48)]),
            (&[(5, 32), (SEI, 10)], Aligned, &[(8, 32), (15, 0)]),
            // A slice too small for a block is clear before the next one.
            (&[(5, 3), (5, 40)], Left, &[(19, 40)]),
            (&[(SEI, 65_520), (5, 31)], Left, &[(65_520, 0), (13, 31)]),
            (&[(SEI, 65_520 - 13), (5, 31)], Aligned, &[(65_535, 16)]),
        ];
        for (nals, tail, wanted) in cases {
            assert_eq!(map(nals, tail), wanted, "{nals:?} {tail:?}");
        }
    }

    #[test]
    fn saiz_bounds_a_map() {
        let mut entries = Vec::new();
        let most = sample(&vec![(5, 16); ENTRIES]);
        finder().fragment().map(&most, Tail::Aligned, &mut entries).unwrap();
        assert_eq!(entries.len(), ENTRIES);
        let more = sample(&vec![(5, 16); ENTRIES + 1]);
        let error = finder().fragment().map(&more, Tail::Aligned, &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sample: 40 entries in its encryption map, one for each of AVC's slices: saiz counts at \
             most 39. Encode it with fewer"
        );
    }

    proptest! {
        /// The map covers the sample, both tails have as many entries, an aligned one protects
        /// whole blocks, and at most 15 bytes fewer for each slice.
        #[test]
        fn maps_cover(
            nals in prop::collection::vec(
                (prop_oneof![Just(5u8), Just(SEI)], prop_oneof![0..70usize, 65_480..65_560usize]),
                1..8,
            ),
        ) {
            let len = sample(&nals).len() as u64;
            let (left, aligned) = (map(&nals, Tail::Left), map(&nals, Tail::Aligned));
            prop_assert_eq!(left.len(), aligned.len());
            for (left, aligned) in left.iter().zip(&aligned) {
                prop_assert_eq!(aligned.1 % 16, 0);
                prop_assert_eq!(left.1 - aligned.1, left.1 % 16);
            }
            for map in [left, aligned] {
                let sum: u64 = map.iter().map(|e| u64::from(e.0) + u64::from(e.1)).sum();
                prop_assert_eq!(sum, len);
            }
        }
    }
}
