//! AV1 in ISOBMFF (AV1 Codec ISO Media File Format Binding): av1C, where tile data lie, and which
//! temporal units a player can start at.
//!
//! A sample is a temporal unit: OBUs, each with its size. The sequence header stands in av1C too.

mod frame;
mod obu;
mod references;
mod sequence;
mod tile_info;
mod tiles;

pub use obu::{Obu, obus};
pub use sequence::Sequence;
pub use tiles::Decoded;

use crate::bits::BitReader;
use crate::colour::Colour;
use crate::error::Error;
use crate::wire::Reader;

/// First byte of an av1C: marker and version 1.
const MARKER_AND_VERSION: u8 = 0x81;

/// AV1CodecConfigurationRecord (2.3.3), as far as manifests and checks need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The sequence header of its configOBUs.
    pub sequence: Sequence,
}

impl Config {
    /// Reads an av1C box's payload; the record and its sequence header must agree.
    pub fn parse(av1c: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(av1c, "av1C");
        let marker_and_version = r.u8();
        let claimed: [u8; 2] = r.array();
        r.u8(); // initial_presentation_delay
        let config_obus = r.rest();
        r.finish()?;
        if marker_and_version != MARKER_AND_VERSION {
            let detail = format!("marker and version {marker_and_version:#04x}: expected 0x81");
            return Err(Error::damaged("av1C", detail));
        }
        let mut sequence = None;
        for obu in obus(config_obus) {
            let obu = obu.map_err(|e| e.within("av1C"))?;
            if obu.kind == obu::SEQUENCE_HEADER {
                sequence = Some(Sequence::parse(obu.payload)?);
                break;
            }
        }
        let sequence = sequence.ok_or_else(|| {
            Error::unsupported("av1C", "no sequence header in it: expected one (2.3.4: SHOULD)")
        })?;
        let said = sequence.record_bytes();
        if claimed != said {
            let detail = format!("{claimed:02x?} are not the sequence header's {said:02x?}");
            return Err(Error::damaged("av1C", detail));
        }
        Ok(Self { sequence })
    }

    /// The codecs string (section 5): colour is that of the entry's colr, else the sequence
    /// header's, else the defaults; the short form where all the rest are defaults.
    pub fn codecs(&self, colr: Option<Colour>) -> String {
        let s = &self.sequence;
        let tier = if s.high_tier { 'H' } else { 'M' };
        let short = format!("av01.{}.{:02}{tier}.{:02}", s.profile, s.level, s.bit_depth);
        let default = Colour { primaries: 1, transfer: 1, matrix: 1, ..s.colour };
        let coded = if s.has_colour { s.colour } else { default };
        let Colour { primaries, transfer, matrix, full_range } = colr.unwrap_or(coded);
        let (x, y) = s.subsampling;
        let position = if x && y { s.chroma_sample_position } else { 0 };
        let long = format!(
            ".{}.{}{}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
            u8::from(s.monochrome),
            u8::from(x),
            u8::from(y),
            u8::from(full_range)
        );
        if long == ".0.110.01.01.01.0" { short } else { short + &long }
    }
}

impl Sequence {
    /// Whether manifests would say the same of both.
    fn looks_like(&self, other: &Self) -> bool {
        let facts = |s: &Self| (s.record_bytes(), s.size, s.has_colour, s.colour);
        facts(self) == facts(other)
    }

    /// What a record says of a sequence header: its second and third byte.
    fn record_bytes(&self) -> [u8; 2] {
        let bit = |flag: bool, at: u8| u8::from(flag) << at;
        let (x, y) = self.subsampling;
        [
            self.profile << 5 | self.level,
            bit(self.high_tier, 7)
                | bit(self.bit_depth > 8, 6)
                | bit(self.bit_depth == 12, 5)
                | bit(self.monochrome, 4)
                | bit(x, 3)
                | bit(y, 2)
                | self.chroma_sample_position,
        ]
    }
}

/// Whether a sample is a sync sample (2.4): a sequence header, then a key frame that is shown,
/// before any other frame. What starts with a forward key frame is none.
pub fn starts_independent(sample: &[u8], config: &Config) -> Result<bool, Error> {
    let mut has_sequence = false;
    for obu in obus(sample) {
        let obu = obu?;
        match obu.kind {
            obu::SEQUENCE_HEADER => has_sequence = true,
            obu::FRAME | obu::FRAME_HEADER => {
                if !has_sequence {
                    return Ok(false);
                }
                if config.sequence.reduced_still_picture_header {
                    return Ok(true);
                }
                let mut r = BitReader::plain(obu.payload, "frame header");
                let show_existing_frame = r.flag();
                let frame_type = r.bits(2);
                let show_frame = r.flag();
                r.finish()?;
                return Ok(!show_existing_frame && frame_type == frame::KEY_FRAME && show_frame);
            }
            _ => {}
        }
    }
    Err(Error::damaged("sample", "no frame in it"))
}

#[cfg(test)]
mod tests;
