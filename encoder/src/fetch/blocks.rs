//! Which parts of a file are here: a bit for each block of it. Pure.

use std::ops::Range;

/// The blocks of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    len_bytes: u64,
    bits: Vec<u8>,
}

impl Blocks {
    /// Bytes of a block; the last one of a file may be shorter.
    pub const BYTES: u64 = 256 << 10;

    /// None of a file of `len_bytes`.
    pub fn none(len_bytes: u64) -> Self {
        let bytes = usize::try_from(len_bytes.div_ceil(Self::BYTES).div_ceil(8));
        Self { len_bytes, bits: vec![0; bytes.expect("a source's length is bounded")] }
    }

    /// Those that a map says are there; `None` where it is no map of such a file.
    pub fn of(len_bytes: u64, bits: &[u8]) -> Option<Self> {
        let none = Self::none(len_bytes);
        (bits.len() == none.bits.len()).then(|| Self { bits: bits.to_vec(), ..none })
    }

    /// The map.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Says that the blocks of `run` are there, whose bytes [`Blocks::missing`] gave.
    pub fn add(&mut self, run: &Range<u64>) {
        for block in run.start / Self::BYTES..run.end.div_ceil(Self::BYTES) {
            let (byte, bit) = place(block);
            if let Some(byte) = self.bits.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// What is missing of `wanted`, as bytes of whole blocks: in order, at most `runs` of them, none
    /// longer than `run_bytes`, which is some blocks.
    pub fn missing(&self, wanted: &[Range<u64>], runs: usize, run_bytes: u64) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for block in self.absent(wanted) {
            let bytes = block * Self::BYTES..((block + 1) * Self::BYTES).min(self.len_bytes);
            let count = missing.len();
            match missing.last_mut() {
                Some(last) if last.end == bytes.start && bytes.end - last.start <= run_bytes => {
                    last.end = bytes.end;
                }
                _ if count == runs => break,
                _ => missing.push(bytes),
            }
        }
        missing
    }

    /// Bytes of `wanted` that are not here, in whole blocks.
    pub fn missing_bytes(&self, wanted: &[Range<u64>]) -> u64 {
        let blocks = u64::try_from(self.absent(wanted).count()).unwrap_or(u64::MAX);
        blocks.saturating_mul(Self::BYTES)
    }

    /// Whether all of it is here.
    pub fn is_whole(&self) -> bool {
        self.absent(std::slice::from_ref(&(0..self.len_bytes))).next().is_none()
    }

    /// The blocks of `wanted` that are not here, each once and in order.
    fn absent(&self, wanted: &[Range<u64>]) -> impl Iterator<Item = u64> {
        let inside = wanted.iter().map(|range| range.start..range.end.min(self.len_bytes));
        let mut wanted: Vec<Range<u64>> = inside
            .filter(|range| range.start < range.end)
            .map(|range| range.start / Self::BYTES..range.end.div_ceil(Self::BYTES))
            .collect();
        wanted.sort_unstable_by_key(|blocks| blocks.start);
        let mut next = 0;
        let once = wanted.into_iter().flat_map(move |blocks| {
            let blocks = blocks.start.max(next)..blocks.end;
            next = next.max(blocks.end);
            blocks
        });
        once.filter(|&block| {
            let (byte, bit) = place(block);
            self.bits.get(byte).is_none_or(|bits| bits & bit == 0)
        })
    }
}

fn place(block: u64) -> (usize, u8) {
    (usize::try_from(block / 8).expect("a source's length is bounded"), 1 << (block % 8))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const B: u64 = Blocks::BYTES;

    /// What is wanted, runs and bytes of one, what is missing.
    type Case<'a> = (&'a [Range<u64>], usize, u64, &'a [Range<u64>]);

    #[test]
    fn runs_are_bounded_and_in_order() {
        let mut blocks = Blocks::none(10 * B + 5);
        let table: [Case<'_>; 7] = [
            (&[0..1], 9, 4 * B, &[0..B]),
            (&[B - 1..B + 1], 9, 4 * B, &[0..2 * B]),
            (&[0..10 * B + 5], 9, 4 * B, &[0..4 * B, 4 * B..8 * B, 8 * B..10 * B + 5]),
            (&[0..10 * B + 5], 2, 4 * B, &[0..4 * B, 4 * B..8 * B]),
            (&[0..1, 9 * B..99 * B], 9, 4 * B, &[0..B, 9 * B..10 * B + 5]),
            (&[5..5, 99 * B..100 * B], 9, 4 * B, &[]),
            (&[4 * B..6 * B, 0..1, 5 * B..7 * B], 9, 4 * B, &[0..B, 4 * B..7 * B]),
        ];
        for (wanted, runs, run_bytes, got) in table {
            assert_eq!(blocks.missing(wanted, runs, run_bytes), got, "{wanted:?}");
        }
        blocks.add(&(2 * B..4 * B));
        assert_eq!(blocks.missing(&[0..6 * B], 9, 4 * B), [0..2 * B, 4 * B..6 * B]);
        assert_eq!(blocks.missing_bytes(&[0..6 * B]), 4 * B);
        assert!(!blocks.is_whole());
        blocks.add(&(0..10 * B + 5));
        assert!(blocks.is_whole());
        assert_eq!(Blocks::of(10 * B + 5, blocks.bits()), Some(blocks.clone()));
        assert_eq!(Blocks::of(20 * B, blocks.bits()), None);
    }

    proptest! {
        /// Whatever is wanted in whatever order: no block comes twice, and what was wanted is there.
        #[test]
        fn no_block_is_asked_for_twice(
            len in 1u64..40 * B,
            wanted in proptest::collection::vec(
                proptest::collection::vec((0u64..50 * B, 0u64..20 * B), 1..4), 1..4,
            ),
        ) {
            let mut blocks = Blocks::none(len);
            let mut read = 0;
            for wanted in wanted {
                let wanted: Vec<_> = wanted.into_iter().map(|(at, size)| at..at + size).collect();
                loop {
                    let runs = blocks.missing(&wanted, 2, 3 * B);
                    if runs.is_empty() {
                        break;
                    }
                    for run in runs {
                        prop_assert!(run.start < run.end && run.end <= len);
                        prop_assert_eq!(run.start % B, 0);
                        read += run.end - run.start;
                        blocks.add(&run);
                    }
                }
                prop_assert_eq!(blocks.missing_bytes(&wanted), 0);
            }
            prop_assert!(read <= len);
        }
    }
}
