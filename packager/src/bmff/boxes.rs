//! Walking boxes (14496-12 4.2): type, header, payload.

use crate::error::Error;

/// A box's type.
pub type Kind = [u8; 4];

/// A box header as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Four-character type.
    pub kind: Kind,
    /// Header bytes: 8, or 16 with a 64-bit size.
    pub header_bytes: u64,
    /// Whole box including the header; `None` when it runs to the end of the file (size 0).
    pub size_bytes: Option<u64>,
}

/// Bytes that [`header`] may need.
pub const HEADER_BYTES: usize = 16;

/// Reads a box header from the start of `bytes`, of which [`HEADER_BYTES`] are enough.
pub fn header(bytes: &[u8]) -> Result<Header, Error> {
    let short =
        || Error::damaged("box header", format!("expected 8 or 16 bytes, got {}", bytes.len()));
    let (&size, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let (&kind, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (header_bytes, size_bytes) = match u32::from_be_bytes(size) {
        0 => (8, None),
        1 => {
            let (&large, _) = rest.split_first_chunk::<8>().ok_or_else(short)?;
            (16, Some(u64::from_be_bytes(large)))
        }
        size => (8, Some(u64::from(size))),
    };
    if size_bytes.is_some_and(|size| size < header_bytes) {
        return Err(Error::damaged(
            name(kind),
            format!("box size {} is below its header's {header_bytes}", size_bytes.unwrap_or(0)),
        ));
    }
    Ok(Header { kind, header_bytes, size_bytes })
}

/// One box of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Boxed<'a> {
    /// Four-character type.
    pub kind: Kind,
    /// The whole box, header included.
    pub whole: &'a [u8],
    /// What follows the header.
    pub payload: &'a [u8],
}

/// Every box directly inside `bytes`, which boxes must fill exactly.
pub fn children(bytes: &[u8]) -> Children<'_> {
    Children { rest: bytes }
}

/// Iterator over sibling boxes; ends after its first error.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Children<'a> {
    type Item = Result<Boxed<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = split(self.rest);
        self.rest = match &item {
            Ok(boxed) => &self.rest[boxed.whole.len()..],
            Err(_) => &[],
        };
        Some(item)
    }
}

fn split(bytes: &[u8]) -> Result<Boxed<'_>, Error> {
    let header = header(bytes)?;
    let size = header.size_bytes.map_or(Ok(bytes.len()), usize::try_from);
    let whole = size.ok().and_then(|size| bytes.get(..size)).ok_or_else(|| {
        Error::damaged(
            name(header.kind),
            format!("box of {:?} bytes ends past its parent's {}", header.size_bytes, bytes.len()),
        )
    })?;
    let payload = &whole[if header.header_bytes == 16 { 16 } else { 8 }..];
    Ok(Boxed { kind: header.kind, whole, payload })
}

/// The first child of `bytes` with this type.
pub fn find<'a>(bytes: &'a [u8], kind: &Kind) -> Result<Option<Boxed<'a>>, Error> {
    for child in children(bytes) {
        let child = child?;
        if &child.kind == kind {
            return Ok(Some(child));
        }
    }
    Ok(None)
}

/// The first child of `bytes` with this type, or an error that names `parent`.
pub fn need<'a>(bytes: &'a [u8], kind: &Kind, parent: &str) -> Result<Boxed<'a>, Error> {
    find(bytes, kind)
        .map_err(|e| e.within(parent))?
        .ok_or_else(|| Error::damaged(format!("{parent}/{}", name(*kind)), "box is missing"))
}

/// A type as text for errors.
pub fn name(kind: Kind) -> String {
    kind.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        type Size = Result<Option<u64>, ()>;
        let cases: [(&[u8], Size); 6] = [
            (b"\0\0\0\x08free", Ok(Some(8))),
            (b"\0\0\0\x00mdat", Ok(None)),
            (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x10", Ok(Some(16))),
            (b"\0\0\0\x07free", Err(())),
            (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f", Err(())),
            (b"\0\0\0\x08fre", Err(())),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(header(bytes).map(|h| h.size_bytes).map_err(drop), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn a_child_past_its_parent_ends_the_walk() {
        let all: Vec<_> = children(b"\0\0\0\x08free\0\0\0\x09skip").collect();
        assert_eq!(all.len(), 2);
        assert!(all[0].is_ok() && all[1].is_err());
    }
}
