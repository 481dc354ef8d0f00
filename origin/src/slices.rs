//! A body as ready slices with a known end. Cheap to clone and to cut; nothing is copied.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::filing::Filed;

/// Slices that follow each other. `Debug` shows no byte of them: some answers are keys.
#[derive(Clone, Default)]
pub struct Slices {
    parts: Arc<[Bytes]>,
    len_bytes: u64,
    /// Where all of them lie, if that is a file of memory.
    filed: Option<Arc<Filed>>,
}

impl Slices {
    /// No bytes at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// All of a file of memory.
    pub fn of_file(filed: Arc<Filed>) -> Self {
        let whole = Self::from(filed.bytes());
        Self { filed: Some(filed), ..whole }
    }

    /// Total length in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// The slices in order.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// The file of memory that they lie in.
    pub fn filed(&self) -> Option<&Arc<Filed>> {
        self.filed.as_ref()
    }

    /// Memory held: the bytes and what leads to them. Every slice is taken to own all of its
    /// allocation, which holds for what the origin caches: whole reads and whole manifests.
    pub fn resident_bytes(&self) -> u64 {
        let of_bytes = match &self.filed {
            Some(filed) => filed.file.resident_bytes(),
            None => self.len_bytes,
        };
        of_bytes + size_of_val::<[Bytes]>(&self.parts) as u64
    }

    /// The bytes `range` of the whole; what lies beyond the end is left out.
    #[must_use]
    pub fn cut(&self, range: &Range<u64>) -> Self {
        let mut start_bytes = 0u64;
        let parts = self.parts.iter().filter_map(|part| {
            let part_range = start_bytes..start_bytes + part.len() as u64;
            start_bytes = part_range.end;
            let from = range.start.max(part_range.start);
            let to = range.end.min(part_range.end);
            (from < to).then(|| part.slice(within(from, &part_range)..within(to, &part_range)))
        });
        Self { filed: self.filed.clone(), ..parts.collect() }
    }
}

/// `at` relative to the start of `part`, which is an allocation in memory.
fn within(at: u64, part: &Range<u64>) -> usize {
    usize::try_from(at - part.start).expect("lies inside a slice in memory")
}

impl fmt::Debug for Slices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slices({} of {} bytes)", self.parts.len(), self.len_bytes)
    }
}

impl FromIterator<Bytes> for Slices {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        let parts: Arc<[Bytes]> = parts.into_iter().collect();
        let len_bytes = parts.iter().map(|part| part.len() as u64).sum();
        Self { parts, len_bytes, filed: None }
    }
}

impl From<Bytes> for Slices {
    fn from(bytes: Bytes) -> Self {
        [bytes].into_iter().collect()
    }
}

impl From<Vec<u8>> for Slices {
    fn from(bytes: Vec<u8>) -> Self {
        // An exact allocation, so that what is weighed is what is held.
        Self::from(Bytes::from(bytes.into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(slices: &Slices) -> Vec<u8> {
        slices.parts().concat()
    }

    #[test]
    fn no_byte_is_shown() {
        let slices = Slices::from(b"a key".to_vec());
        assert_eq!(format!("{slices:?}"), "Slices(1 of 5 bytes)");
    }

    proptest! {
        #[test]
        fn any_range_equals_a_slice_of_the_whole(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
            from in 0..170u64, len in 0..170u64,
        ) {
            let slices: Slices = parts.iter().cloned().map(Bytes::from).collect();
            let whole = parts.concat();
            let clamp = |at: u64| usize::try_from(at).unwrap().min(whole.len());
            let cut = slices.cut(&(from..from + len));
            prop_assert_eq!(joined(&cut), &whole[clamp(from)..clamp(from + len)]);
            prop_assert_eq!(cut.len_bytes(), joined(&cut).len() as u64);
        }
    }
}
