//! Big-endian readers and box writers (ISO/IEC 14496-12 4.2).
//!
//! [`Reader`] keeps its first error and then reads zeros, so that a decoder reads as a list of
//! fields with one check at its end. [`BoxWriter`] fills in box sizes when a box closes.

use crate::error::Error;

/// A cursor over bytes that remembers the first short read.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    place: &'static str,
    short_at: Option<usize>,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; `place` names them in errors.
    pub fn new(bytes: &'a [u8], place: &'static str) -> Self {
        Self { bytes, position: 0, place, short_at: None }
    }

    /// The next `len` bytes, or an empty slice past the end.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let end = self.position.checked_add(len);
        match end.and_then(|end| self.bytes.get(self.position..end)) {
            Some(slice) if self.short_at.is_none() => {
                self.position += len;
                slice
            }
            _ => {
                self.short_at.get_or_insert(self.position);
                &[]
            }
        }
    }

    /// The next bytes as an array, zeros past the end.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    /// Passes over `len` bytes.
    pub fn skip(&mut self, len: usize) {
        self.take(len);
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Four bytes, big-endian, signed.
    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.array())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// A full box's version and 24-bit flags (14496-12 4.2).
    pub fn version_and_flags(&mut self) -> (u8, u32) {
        let word = self.u32();
        let [version, ..] = word.to_be_bytes();
        (version, word & 0x00ff_ffff)
    }

    /// Everything not yet read.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(self.remaining())
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether a read went past the end.
    pub fn is_short(&self) -> bool {
        self.short_at.is_some()
    }

    /// The first short read as an error.
    pub fn finish(&self) -> Result<(), Error> {
        match self.short_at {
            None => Ok(()),
            Some(at) => Err(Error::damaged(
                self.place,
                format!("ends inside a field at byte {at} of {}", self.bytes.len()),
            )),
        }
    }
}

/// Builds boxes in one buffer; sizes are patched when a box closes.
#[derive(Debug, Default)]
pub struct BoxWriter {
    bytes: Vec<u8>,
}

impl BoxWriter {
    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// A box of type `kind` around what `body` writes.
    pub fn boxed(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u32(0);
        self.slice(kind);
        body(self);
        let size = u32::try_from(self.bytes.len() - start).expect("boxes written here are small");
        self.bytes[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    /// A full box: version and flags before what `body` writes.
    pub fn full_box(
        &mut self,
        kind: &[u8; 4],
        version: u8,
        flags: u32,
        body: impl FnOnce(&mut Self),
    ) {
        self.boxed(kind, |w| {
            w.u32(u32::from(version) << 24 | (flags & 0x00ff_ffff));
            body(w);
        });
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) {
        self.slice(&value.to_be_bytes());
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.slice(&value.to_be_bytes());
    }

    /// Four bytes, big-endian, signed.
    pub fn i32(&mut self, value: i32) {
        self.slice(&value.to_be_bytes());
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.slice(&value.to_be_bytes());
    }

    /// Bytes as they are.
    pub fn slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `len` zero bytes: reserved fields.
    pub fn zeros(&mut self, len: usize) {
        self.bytes.resize(self.bytes.len() + len, 0);
    }

    /// Bytes written so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Overwrites four bytes at `at`, for an offset known only after its box.
    pub fn patch_u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// The finished bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_short_read_is_kept_and_later_reads_are_zero() {
        let mut r = Reader::new(&[1, 2, 3], "three");
        assert_eq!(r.u16(), 0x0102);
        assert_eq!(r.u32(), 0);
        assert_eq!(r.u8(), 0, "nothing is read after a short read");
        assert_eq!(
            r.finish().unwrap_err().to_string(),
            "three: ends inside a field at byte 2 of 3"
        );
    }

    #[test]
    fn nested_boxes_get_their_sizes() {
        let mut w = BoxWriter::default();
        w.boxed(b"moof", |w| w.full_box(b"mfhd", 1, 2, |w| w.u32(7)));
        assert_eq!(w.into_bytes(), b"\0\0\0\x18moof\0\0\0\x10mfhd\x01\0\0\x02\0\0\0\x07");
    }
}
