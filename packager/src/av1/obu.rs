//! Open bitstream units (AV1 5.3 to 5.5, 4.10.5).

use crate::error::Error;

// obu_type (6.2.2).
pub(crate) const SEQUENCE_HEADER: u8 = 1;
pub(crate) const FRAME_HEADER: u8 = 3;
pub(crate) const TILE_GROUP: u8 = 4;
pub(crate) const FRAME: u8 = 6;
pub(crate) const REDUNDANT_FRAME_HEADER: u8 = 7;
pub(crate) const TILE_LIST: u8 = 8;

/// An OBU of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obu<'a> {
    /// obu_type.
    pub kind: u8,
    /// temporal_id and spatial_id of an extension.
    pub layers: (u8, u8),
    /// Header and size.
    pub header_bytes: usize,
    /// What follows them, trailing bits included.
    pub payload: &'a [u8],
}

/// The OBUs of a sample or of av1C; the last may lack a size and then ends with the bytes.
pub fn obus(bytes: &[u8]) -> impl Iterator<Item = Result<Obu<'_>, Error>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = bytes.len() - rest.len();
        let obu = first(rest);
        rest = match &obu {
            Some(obu) => &rest[obu.header_bytes + obu.payload.len()..],
            None => &[],
        };
        Some(obu.ok_or_else(|| {
            let detail = format!(
                "the OBU at byte {at} ends past the {} bytes it is in, or is none",
                bytes.len()
            );
            Error::damaged("sample", detail)
        }))
    })
}

fn first(bytes: &[u8]) -> Option<Obu<'_>> {
    let (&header, mut rest) = bytes.split_first()?;
    if header & 0x80 != 0 {
        return None; // obu_forbidden_bit
    }
    let mut layers = (0, 0);
    if header & 4 != 0 {
        let (&extension, after) = rest.split_first()?;
        layers = (extension >> 5, extension >> 3 & 3);
        rest = after;
    }
    let mut size = rest.len();
    if header & 2 != 0 {
        (size, rest) = leb128(rest)?;
    }
    let header_bytes = bytes.len() - rest.len();
    Some(Obu { kind: header >> 3 & 15, layers, header_bytes, payload: rest.get(..size)? })
}

/// leb128() (4.10.5), at most 32 bits in at most 8 bytes; what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_extensions() {
        type Facts = (u8, (u8, u8), usize, usize);
        let walk = |bytes: &[u8]| -> Vec<Option<Facts>> {
            let facts = |o: Obu<'_>| (o.kind, o.layers, o.header_bytes, o.payload.len());
            obus(bytes).map(|obu| obu.ok().map(facts)).collect()
        };
        let whole = |kind, header, payload| Some((kind, (0, 0), header, payload));
        let cases: [(&[u8], Vec<_>); 7] = [
            (&[0x12, 0, 0x32, 1, 9], vec![whole(2, 2, 0), whole(6, 2, 1)]),
            // Without a size it ends with the sample.
            (&[0x12, 0, 0x30, 9, 9], vec![whole(2, 2, 0), whole(6, 1, 2)]),
            (&[0x36, 0x28, 1, 9], vec![Some((6, (1, 1), 3, 1))]),
            // A size may be padded.
            (&[0x32, 0x81, 0x80, 0, 9], vec![whole(6, 4, 1)]),
            (&[0x32, 2, 9], vec![None]),
            (&[0xb2, 0], vec![None]),
            (&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], vec![None]),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(walk(bytes), wanted, "{bytes:02x?}");
        }
    }
}
