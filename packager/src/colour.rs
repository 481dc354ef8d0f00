//! Colour of a track (ITU-T H.273): what colr or the bitstream say, and the range that a manifest
//! derives from it.

use serde::{Deserialize, Serialize};

use crate::bmff::boxes;
use crate::error::Error;
use crate::wire::Reader;

/// Code points of colour (H.273 8.1 to 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colour {
    /// ColourPrimaries: 1 for BT.709, 9 for BT.2020, 2 where nothing is said.
    pub primaries: u16,
    /// TransferCharacteristics: 1 for BT.709, 16 for PQ, 18 for HLG, 2 where nothing is said.
    pub transfer: u16,
    /// MatrixCoefficients: 1 for BT.709, 9 for BT.2020, 2 where nothing is said.
    pub matrix: u16,
    /// VideoFullRangeFlag.
    pub full_range: bool,
}

/// TransferCharacteristics of SMPTE ST 2084.
const PQ: u16 = 16;
/// TransferCharacteristics of ARIB STD-B67.
const HLG: u16 = 18;

/// VIDEO-RANGE of HLS (8216bis 4.4.6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VideoRange {
    /// Everything that is neither of the others.
    #[default]
    Sdr,
    /// Hybrid log-gamma.
    Hlg,
    /// SMPTE ST 2084: HDR10.
    Pq,
}

impl VideoRange {
    /// HLS's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sdr => "SDR",
            Self::Hlg => "HLG",
            Self::Pq => "PQ",
        }
    }
}

impl Colour {
    /// The range that the transfer function means.
    pub fn range(self) -> VideoRange {
        match self.transfer {
            PQ => VideoRange::Pq,
            HLG => VideoRange::Hlg,
            _ => VideoRange::Sdr,
        }
    }

    /// The colr box with code points among a sample entry's boxes (14496-12 12.1.5): `nclx`, or
    /// QuickTime's `nclc`, which has no range flag.
    pub fn find(inner: &[u8]) -> Result<Option<Self>, Error> {
        for child in boxes::children(inner) {
            let child = child?;
            if &child.kind != b"colr" {
                continue;
            }
            let mut r = Reader::new(child.payload, "colr");
            let kind: [u8; 4] = r.array();
            let is_nclx = &kind == b"nclx";
            if !is_nclx && &kind != b"nclc" {
                continue;
            }
            let (primaries, transfer, matrix) = (r.u16(), r.u16(), r.u16());
            let full_range = is_nclx && r.u8() & 0x80 != 0;
            r.finish()?;
            return Ok(Some(Self { primaries, transfer, matrix, full_range }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BoxWriter;

    #[test]
    fn ranges_and_which_colr_counts() {
        let colr = |kind: &[u8; 4], codes: [u16; 3], range: Option<u8>| {
            let mut w = BoxWriter::default();
            w.boxed(b"colr", |w| {
                w.slice(kind);
                codes.iter().for_each(|&code| w.u16(code));
                range.into_iter().for_each(|range| w.u8(range));
            });
            w.into_bytes()
        };
        let pq = colr(b"nclx", [9, 16, 9], Some(0x80));
        let profile = colr(b"prof", [1, 1, 1], None);
        let wanted = Colour { primaries: 9, transfer: 16, matrix: 9, full_range: true };
        assert_eq!(Colour::find(&[profile.clone(), pq].concat()).unwrap(), Some(wanted));
        assert_eq!(Colour::find(&profile).unwrap(), None);
        let old = Colour::find(&colr(b"nclc", [9, 18, 9], None)).unwrap().unwrap();
        assert_eq!((old.range(), old.full_range), (VideoRange::Hlg, false));
        assert!(Colour::find(&colr(b"nclx", [9, 18, 9], None)).is_err(), "no range flag");
        for (transfer, wanted) in
            [(1, "SDR"), (2, "SDR"), (14, "SDR"), (16, "PQ"), (17, "SDR"), (18, "HLG")]
        {
            assert_eq!(Colour { transfer, ..old }.range().as_str(), wanted);
        }
    }
}
