//! Where a title is cut into chunks that are encoded apart: runs of whole GOPs on the title's grid.
//!
//! The first ones are short and grow (2, 4, 8 s), so that what is watched while it is encoded starts
//! soon; the rest is cut evenly, as long as is allowed, for each chunk costs a start of ffmpeg and a
//! lead-in that is decoded for nothing. Pure: the same grid is cut the same everywhere, and a
//! chunk's frames are the grid's, so no two chunks disagree about a frame.

use std::ops::Range;

use crate::grid::Grid;
use crate::job::Span;

/// How long chunks are, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The first ones, one after the other.
    pub first_ms: Vec<u32>,
    /// The longest of all others; none of those is shorter than half of it, less a GOP, unless the
    /// title ends.
    pub most_ms: u32,
}

impl Lengths {
    /// A single chunk.
    pub fn whole() -> Self {
        Self { first_ms: Vec::new(), most_ms: u32::MAX }
    }
}

impl Lengths {
    /// Runs of sound, which one process makes: each costs an upload and a word to the queue, and the
    /// words of all of them are kept together.
    pub fn of_sound() -> Self {
        Self { first_ms: (1..8).map(|doublings| 1_000 << doublings).collect(), most_ms: 256_000 }
    }
}

impl Default for Lengths {
    fn default() -> Self {
        Self { first_ms: vec![2_000, 4_000, 8_000], most_ms: 20_000 }
    }
}

/// The chunks of a title.
pub fn cut(grid: &Grid, lengths: &Lengths) -> Vec<Span> {
    let all = grid.fragments();
    let mut spans = Vec::new();
    let mut start = 0_u32;
    for length_ms in &lengths.first_ms {
        let end = start.saturating_add(fragments_in(grid, *length_ms)).min(all);
        if end > start {
            spans.push(span(grid, start..end));
        }
        start = end;
    }
    let rest = all - start;
    let count = rest.div_ceil(fragments_in(grid, lengths.most_ms));
    for chunk in 0..count {
        // Rounded down, so that lengths differ by one fragment at most.
        let at = |chunk: u32| start + share(rest, chunk, count);
        spans.push(span(grid, at(chunk)..at(chunk + 1)));
    }
    spans
}

/// The frames of a chunk, counted from the title's first.
pub fn frames(grid: &Grid, fragments: &Range<u32>) -> Range<u64> {
    grid.fragment(fragments.start).start..grid.fragment(fragments.end - 1).end
}

fn span(grid: &Grid, fragments: Range<u32>) -> Span {
    let frames = frames(grid, &fragments);
    Span { fragments, frames: frames.end - frames.start }
}

/// Whole GOPs that fit into some time, at least one.
fn fragments_in(grid: &Grid, length_ms: u32) -> u32 {
    (grid.rate().frames_in(length_ms) / grid.gop_frames()).max(1)
}

/// `rest * chunk / count`, rounded down.
fn share(rest: u32, chunk: u32, count: u32) -> u32 {
    let share = u64::from(rest) * u64::from(chunk) / u64::from(count);
    u32::try_from(share).expect("a part is no more than the whole")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grid::Rate;
    use crate::limits;

    fn grid(rate: &str, seconds: u64) -> Grid {
        let rate = Rate::parse(rate).unwrap();
        let frames = seconds * u64::from(rate.num()) / u64::from(rate.den());
        Grid::new(rate, frames.max(1), 2_000)
    }

    #[test]
    fn short_ones_first_then_even_ones() {
        let table: [(&str, u64, &[u32]); 7] = [
            ("24", 1, &[1]),
            ("24", 5, &[1, 2]),
            ("24", 14, &[1, 2, 4]),
            ("24", 16, &[1, 2, 4, 1]),
            ("30000/1001", 36, &[1, 2, 4, 5, 6]),
            ("12.5", 60, &[1, 2, 4, 7, 8, 8]),
            ("24", 94, &[1, 2, 4, 10, 10, 10, 10]),
        ];
        for (rate, seconds, wanted) in table {
            let spans = cut(&grid(rate, seconds), &Lengths::default());
            let lengths: Vec<_> = spans.iter().map(|span| span.fragments.len()).collect();
            let wanted: Vec<_> = wanted.iter().map(|&count| count as usize).collect();
            assert_eq!(lengths, wanted, "{seconds} s of {rate}");
        }
    }

    #[test]
    fn the_longest_title_is_no_longer_list_than_a_queue_takes() {
        let longest = grid("60", u64::from(limits::SECONDS));
        let lengths = Lengths { most_ms: 2_000, ..Lengths::default() };
        assert!(cut(&longest, &lengths).len() <= limits::CHUNKS);
    }

    proptest! {
        #[test]
        fn chunks_tile_the_title_in_whole_gops(
            num in 1..120_000u32, den in 1..2000u32, frames in 1..1_000_000u64,
            gop_ms in 500..10_000u32, most_ms in 1_000..60_000u32,
            first_ms in prop::collection::vec(500..10_000u32, 0..5),
        ) {
            let grid = Grid::new(Rate::new(num, den).unwrap(), frames, gop_ms);
            let lengths = Lengths { first_ms, most_ms };
            let spans = cut(&grid, &lengths);
            let (mut end, mut frame) = (0, 0);
            for span in &spans {
                prop_assert_eq!(span.fragments.start, end);
                prop_assert!(!span.fragments.is_empty());
                let of_it = super::frames(&grid, &span.fragments);
                prop_assert_eq!(of_it.start, frame);
                prop_assert_eq!(of_it.end - of_it.start, span.frames);
                prop_assert_eq!(of_it.start % u64::from(grid.gop_frames()), 0);
                (end, frame) = (span.fragments.end, of_it.end);
            }
            prop_assert_eq!((end, frame), (grid.fragments(), frames));
            let most = fragments_in(&grid, most_ms) as usize;
            let rest = spans.get(lengths.first_ms.len()..).unwrap_or(&[]);
            let lens: Vec<_> = rest.iter().map(|span| span.fragments.len()).collect();
            prop_assert!(lens.iter().all(|&len| len <= most));
            if lens.len() > 1 {
                prop_assert!(lens.iter().all(|&len| len >= most / 2), "{:?} of {}", lens, most);
            }
        }
    }
}
