//! Where tile data lie in a sample (AV1 5.9.1, 5.10, 5.11.1): what is encrypted of it (AV1 in
//! ISOBMFF 4.3). OBU headers, frame headers, tile group headers and tiles' sizes stay clear.

use std::ops::Range;

use super::frame::{self, Header};
use super::obu::{self, Obu, obus};
use super::references::{Reference, References};
use super::sequence::Sequence;
use super::tile_info::Tiles;
use crate::bits::BitReader;
use crate::error::Error;

/// What the samples of a fragment left so far; each starts anew with its key frame.
#[derive(Clone, Debug)]
pub struct Decoded {
    sequence: Sequence,
    references: References,
    /// A frame whose tiles are not yet all there, and the next of them.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    tiles: Tiles,
    next: u32,
    refresh: u32,
    reference: Reference,
}

impl Decoded {
    /// Before a fragment's first sample; `sequence` is av1C's.
    pub fn new(sequence: Sequence) -> Self {
        Self { sequence, references: References::default(), open: None }
    }

    /// The tiles of the fragment's next sample, where they lie in it, in order.
    ///
    /// A sequence header in the sample counts from there on: that of SVT-AV1 1.4 in av1C is not the
    /// one in its samples. Refused are one that contradicts what manifests say by av1C, spatial
    /// layers and tile lists.
    pub fn tiles(
        &mut self,
        sample: &[u8],
        mut tile: impl FnMut(Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut at = 0;
        for obu in obus(sample) {
            let obu = obu?;
            let start = at + obu.header_bytes;
            at = start + obu.payload.len();
            self.obu(&obu, &mut |range: Range<usize>| {
                tile(start + range.start..start + range.end)
            })?;
        }
        if self.open.is_some() {
            return Err(Error::damaged("sample", "ends before a frame's last tile"));
        }
        Ok(())
    }

    fn obu(
        &mut self,
        obu: &Obu<'_>,
        tile: &mut impl FnMut(Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match obu.kind {
            obu::TILE_LIST => return Err(Error::unsupported("sample", "a tile list OBU")),
            obu::FRAME_HEADER | obu::REDUNDANT_FRAME_HEADER | obu::FRAME | obu::TILE_GROUP
                if obu.layers.1 > 0 =>
            {
                let detail = format!("spatial layer {}: expected one layer", obu.layers.1);
                return Err(Error::unsupported("sample", detail));
            }
            _ => {}
        }
        match obu.kind {
            obu::SEQUENCE_HEADER => {
                let sequence = Sequence::parse(obu.payload)?;
                if !sequence.looks_like(&self.sequence) {
                    let detail = "a sequence header of another profile, level, size or colour \
                                  than av1C's: expected one";
                    return Err(Error::unsupported("sample", detail));
                }
                self.sequence = sequence;
                Ok(())
            }
            obu::FRAME_HEADER | obu::FRAME => {
                let is_copy = obu.kind == obu::FRAME_HEADER && self.open.is_some();
                if is_copy {
                    return Ok(());
                }
                let header_bytes = self.frame_header(obu)?;
                if obu.kind == obu::FRAME {
                    self.tile_group(obu, header_bytes, tile)
                } else {
                    Ok(())
                }
            }
            obu::TILE_GROUP => self.tile_group(obu, 0, tile),
            _ => Ok(()),
        }
    }

    /// Reads a header and what stands behind it: trailing bits, or in a frame OBU zeros up to the
    /// tile group. A header that was read wrongly rarely ends where they do.
    fn frame_header(&mut self, obu: &Obu<'_>) -> Result<usize, Error> {
        if self.open.is_some() {
            return Err(Error::damaged("sample", "a frame before the last one's last tile"));
        }
        let mut r = BitReader::plain(obu.payload, frame::AT);
        let header = frame::read(&mut r, &self.sequence, &mut self.references, obu.layers.0)?;
        let is_frame = obu.kind == obu::FRAME;
        match header {
            Header::Shown if is_frame => {
                return Err(Error::damaged("sample", "a frame OBU that shows another frame"));
            }
            Header::Shown => {}
            Header::Coded { tiles, refresh, reference } => {
                self.open = Some(Open { tiles, next: 0, refresh, reference });
            }
        }
        let trailing_one = is_frame || r.flag();
        let bits = u32::try_from(r.bits_left() % 8).expect("below 8");
        let zeros = r.bits(bits);
        r.finish()?;
        if !trailing_one || zeros != 0 {
            return Err(Error::damaged(frame::AT, "does not end where its OBU or its tiles say"));
        }
        Ok(r.raw_bytes_read())
    }

    /// tile_group_obu() (5.11.1), which starts at `from` of the OBU's payload.
    fn tile_group(
        &mut self,
        obu: &Obu<'_>,
        from: usize,
        tile: &mut impl FnMut(Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        const AT: &str = "tile group";
        let mut open = self.open.ok_or_else(|| Error::damaged(AT, "without a frame header"))?;
        let Tiles { count, number_bits, size_bytes } = open.tiles;
        let mut r = BitReader::plain(obu.payload.get(from..).unwrap_or(&[]), AT);
        let (mut first, mut last) = (0, count - 1);
        if count > 1 && r.flag() {
            (first, last) = (r.bits(number_bits), r.bits(number_bits));
        }
        r.finish()?;
        if first != open.next || last < first || last >= count {
            let detail = format!("tiles {first} to {last}: expected {} of {count}", open.next);
            return Err(Error::damaged(AT, detail));
        }
        let mut at = from + r.raw_bytes_read();
        for number in first..=last {
            let rest = obu.payload.get(at..).unwrap_or(&[]);
            let (field_bytes, len_bytes) = if number == last {
                (0, Some(rest.len()))
            } else {
                // le(TileSizeBytes), tile_size_minus_1.
                let field = rest.get(..size_bytes);
                let value = field.map(|field| {
                    field.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte))
                });
                (size_bytes, value.map(|value| value + 1))
            };
            let start = at + field_bytes;
            let end = len_bytes.map(|len| start + len).filter(|&end| end <= obu.payload.len());
            let Some(end) = end.filter(|&end| end > start) else {
                let detail = format!("tile {number} ends past its OBU, or is empty");
                return Err(Error::damaged(AT, detail));
            };
            tile(start..end)?;
            at = end;
        }
        open.next = last + 1;
        self.open = Some(open);
        if open.next == count {
            self.references.refresh(open.refresh, open.reference);
            self.open = None;
        }
        Ok(())
    }
}
