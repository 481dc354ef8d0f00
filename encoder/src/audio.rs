//! Where sound is cut: at its own frame nearest the accumulated video boundary (docs/rules.md 16).
//!
//! Counted from the title's start each time and never from the fragment before, so the distance
//! from the video's boundary stays below half a frame at any length.

use crate::grid::Grid;

/// Samples of an AAC-LC frame (ISO/IEC 14496-3 4.5.1.1).
pub const FRAME_SAMPLES: u32 = 1024;
/// Samples a second of all sound that we make.
pub const SAMPLE_RATE: u32 = 48_000;
/// Frames that ffmpeg's AAC encoder puts before the first: a warm-up that decodes to silence.
/// They are dropped, so that sound stands in its place with tfdt 0 and no edit list (docs/rules.md 17).
/// The price: a decoder starts in the middle, as after a seek, and fades in over the first 21 ms.
pub const PRIMING_FRAMES: u32 = 1;

/// The last frame of each fragment plus one, counted from the title's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioGrid {
    ends: Vec<u64>,
}

impl AudioGrid {
    /// Cuts sound of [`SAMPLE_RATE`] on the video's grid.
    ///
    /// Every fragment holds at least one frame: where a title's last pictures are shorter than half
    /// a frame of sound, the sound outlasts them by less than one.
    pub fn new(grid: &Grid) -> Self {
        let mut ends = Vec::new();
        let mut last = 0;
        for i in 0..grid.fragments() {
            last = nearest_frame(grid, grid.fragment(i).end).max(last + 1);
            ends.push(last);
        }
        Self { ends }
    }

    /// Frames of the whole title.
    pub fn frames(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// How many frames fragment `i` holds.
    pub fn fragment_frames(&self, i: usize) -> u64 {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.ends[i] - start
    }

    /// Samples of the whole title: where the sound before encoding has to end.
    pub fn end_sample(&self) -> u64 {
        self.frames() * u64::from(FRAME_SAMPLES)
    }
}

/// The frame of sound that starts nearest the start of the video's frame `frame`; ties go up.
fn nearest_frame(grid: &Grid, frame: u64) -> u64 {
    let rate = grid.rate();
    let samples = u128::from(frame) * u128::from(rate.den()) * u128::from(SAMPLE_RATE);
    let per_frame = u128::from(rate.num()) * u128::from(FRAME_SAMPLES);
    u64::try_from((samples + per_frame / 2) / per_frame).expect("a source's frames are bounded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Rate;
    use proptest::prelude::*;

    #[test]
    fn boundaries() {
        let table: [(&str, u64, &[u64]); 4] = [
            // 2 s are 93.75 frames: 94, 187.5 -> 188, 281.25 -> 281, 375.
            ("24", 192, &[94, 188, 281, 375]),
            ("25", 60, &[94, 113]),
            // 60 frames of 30000/1001 are 2.002 s: 93.84 frames each.
            ("30000/1001", 180, &[94, 188, 282]),
            // The last picture lasts 16.7 ms, from frame 562.5 to 563.28 of sound: one frame.
            ("60", 721, &[94, 188, 281, 375, 469, 563, 564]),
        ];
        for (rate, frames, wanted) in table {
            let grid = Grid::new(Rate::parse(rate).unwrap(), frames, 2000);
            assert_eq!(AudioGrid::new(&grid).ends, wanted, "{rate}");
        }
    }

    proptest! {
        /// No drift: every boundary is within half a frame of the video's, at any length; only
        /// the last may be later, and by less than a frame.
        #[test]
        fn no_boundary_is_more_than_half_a_frame_off(
            num in 1..=60_000u32, den in 1..=1001u32, frames in 1..200_000u64, gop_ms in 500..=10_000u32,
        ) {
            let rate = Rate::new(num, den).unwrap();
            prop_assume!(!rate.is_above(60));
            let grid = Grid::new(rate, frames, gop_ms);
            let audio = AudioGrid::new(&grid);
            let mut start = 0;
            for i in 0..grid.fragments() {
                let index = usize::try_from(i).unwrap();
                // Twice the distance in 1/(num * SAMPLE_RATE) seconds.
                let video = i128::from(grid.fragment(i).end) * i128::from(den) * i128::from(SAMPLE_RATE);
                let sound = i128::from(audio.ends[index]) * i128::from(FRAME_SAMPLES) * i128::from(num);
                let frame = i128::from(FRAME_SAMPLES) * i128::from(num);
                let off = 2 * (sound - video);
                if i + 1 < grid.fragments() {
                    prop_assert!(off.abs() <= frame, "fragment {}: {} of {}", i, off, frame);
                } else {
                    prop_assert!(off >= -frame && off < 2 * frame, "end: {} of {}", off, frame);
                }
                prop_assert!(audio.ends[index] > start);
                prop_assert_eq!(audio.fragment_frames(index), audio.ends[index] - start);
                start = audio.ends[index];
            }
        }
    }
}
