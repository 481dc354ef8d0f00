//! Where sound is cut: at its own frame nearest the accumulated video boundary (docs/rules.md 16).
//!
//! Counted from the title's start each time and never from the fragment before, so the distance
//! from the video's boundary stays below half a frame at any length.

use headwater_config::AudioCodec;
use serde::{Deserialize, Serialize};

use crate::grid::Grid;

/// Samples of an AAC-LC frame (ISO/IEC 14496-3 4.5.1.1).
pub const FRAME_SAMPLES: u32 = 1024;
/// Samples of an Opus packet: 20 ms (RFC 6716 2.1.4).
const OPUS_SAMPLES: u32 = 960;
/// What libopus puts before the first sample, and every decoder leaves out by itself: its PreSkip.
pub const OPUS_PRE_SKIP: u16 = 312;
/// Samples a second of all sound that we make.
pub const SAMPLE_RATE: u32 = 48_000;
/// Frames that ffmpeg's AAC encoder puts before the first: a warm-up that decodes to silence.
/// They are dropped, so that sound stands in its place with tfdt 0 and no edit list (docs/rules.md 17).
/// The price: a decoder starts in the middle, as after a seek, and fades in over the first 21 ms.
pub const PRIMING_FRAMES: u32 = 1;

/// Frames that HE-AAC is given behind its end, so that none is missing whatever its encoder's delay is.
const SPARE_FRAMES: u64 = 8;

/// How a sound track counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frames {
    /// Ticks a second.
    pub timescale: u32,
    /// Ticks of a frame.
    pub frame_ticks: u32,
    /// Ticks that an edit list hides: what lies before the title's start. Less than a frame.
    pub hidden_ticks: u32,
    /// Ticks before the first sample that decoders leave out by themselves.
    pub skipped_ticks: u32,
}

impl Frames {
    /// AAC-LC as we make it.
    pub const AAC: Self = Self {
        timescale: SAMPLE_RATE,
        frame_ticks: FRAME_SAMPLES,
        hidden_ticks: 0,
        skipped_ticks: 0,
    };

    /// Sound as we make it. What an encoder of HE-AAC hides is known when it is through.
    pub fn made_by(codec: AudioCodec) -> Self {
        let opus_skip = u32::from(OPUS_PRE_SKIP);
        match codec {
            AudioCodec::Aac | AudioCodec::Dolby => Self::AAC,
            // Two of the core's frames (14496-3 4.6.18): SBR doubles the rate.
            AudioCodec::HeAac => Self { frame_ticks: 2 * FRAME_SAMPLES, ..Self::AAC },
            AudioCodec::Opus => {
                Self { frame_ticks: OPUS_SAMPLES, skipped_ticks: opus_skip, ..Self::AAC }
            }
        }
    }

    /// Frames that lie before `delay` ticks, and how what follows them counts.
    pub fn behind(self, delay: u64) -> (u64, Self) {
        let frame = u64::from(self.frame_ticks);
        let hidden_ticks = u32::try_from(delay % frame).expect("less than a frame");
        (delay / frame, Self { hidden_ticks, ..self })
    }

    /// The frame that is first heard nearest `ticks` of `timescale` from the title's start; ties go
    /// up.
    fn nearest(self, ticks: u64, timescale: u32) -> u64 {
        let scaled = |ours: u32| u128::from(ours) * u128::from(timescale);
        let at = u128::from(ticks) * u128::from(self.timescale) + scaled(self.hidden_ticks);
        let frame = scaled(self.frame_ticks);
        u64::try_from((2 * at + frame) / (2 * frame)).expect("a source's frames are bounded")
    }
}

/// The last frame of each fragment plus one, counted from the track's first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioGrid {
    frames: Frames,
    ends: Vec<u64>,
}

impl AudioGrid {
    /// Cuts sound on the video's grid.
    pub fn new(grid: &Grid, frames: Frames) -> Self {
        Self::cut(grid.ends(), grid.rate().timescale(), frames)
    }

    /// Cuts sound at `ends`, in ticks of `timescale` from the title's start.
    ///
    /// Every fragment holds at least one frame: where a title's last pictures are shorter than half
    /// a frame of sound, the sound outlasts them by less than one.
    pub fn cut(ends: impl IntoIterator<Item = u64>, timescale: u32, frames: Frames) -> Self {
        let mut last = 0;
        let ends = ends.into_iter().map(|end| {
            last = frames.nearest(end, timescale).max(last + 1);
            last
        });
        Self { ends: ends.collect(), frames }
    }

    /// The same, of a track that has no more than `frames` frames: it ends with them, and may lack
    /// fragments.
    #[must_use]
    pub fn at_most(mut self, frames: u64) -> Self {
        let whole = self.ends.partition_point(|&end| end <= frames);
        let ended = whole.checked_sub(1).map_or(0, |last| self.ends[last]);
        if whole < self.ends.len() {
            self.ends.truncate(whole);
            if ended < frames {
                self.ends.push(frames);
            }
        }
        self
    }

    /// How its track counts.
    pub fn counts(&self) -> Frames {
        self.frames
    }

    /// Fragments.
    pub fn fragments(&self) -> u32 {
        u32::try_from(self.ends.len()).expect("a grid's fragments are counted in 32 bits")
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

    /// Ticks of the whole title that are heard: where the sound before encoding has to end.
    pub fn end_sample(&self) -> u64 {
        let Frames { frame_ticks, hidden_ticks, skipped_ticks, .. } = self.frames;
        self.frames() * u64::from(frame_ticks) - u64::from(hidden_ticks) - u64::from(skipped_ticks)
    }

    /// The same of a codec whose encoder is to be given more than is kept.
    pub fn end_sample_for(&self, codec: AudioCodec) -> u64 {
        match codec {
            AudioCodec::HeAac => {
                self.end_sample() + SPARE_FRAMES * u64::from(self.frames.frame_ticks)
            }
            _ => self.end_sample(),
        }
    }
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
            assert_eq!(AudioGrid::new(&grid, Frames::AAC).ends, wanted, "{rate}");
        }
    }

    /// libfdk-aac's 5,058 samples of delay: two frames are dropped, 962 samples hidden.
    #[test]
    fn a_delay_is_whole_frames_and_a_part_of_one() {
        let (dropped, rest) = Frames::made_by(AudioCodec::HeAac).behind(5058);
        assert_eq!((dropped, rest.frame_ticks, rest.hidden_ticks), (2, 2048, 962));
    }

    /// Hidden ticks lie before the start: Opus's 312 samples at 48 kHz, 2 s are 100.33 frames.
    #[test]
    fn hidden_ticks_and_short_tracks() {
        let opus =
            Frames { timescale: 48_000, frame_ticks: 960, hidden_ticks: 312, skipped_ticks: 0 };
        let grid = AudioGrid::cut([2, 4, 6], 1, opus);
        assert_eq!(grid.ends, [100, 200, 300]);
        assert_eq!(grid.end_sample(), 300 * 960 - 312);
        let late = Frames { hidden_ticks: 600, ..opus };
        assert_eq!(AudioGrid::cut([2, 4], 1, late).ends, [101, 201]);
        let table: [(u64, &[u64]); 6] = [
            (301, &[100, 200, 300]),
            (300, &[100, 200, 300]),
            (299, &[100, 200, 299]),
            (200, &[100, 200]),
            (1, &[1]),
            (0, &[]),
        ];
        for (frames, wanted) in table {
            assert_eq!(grid.clone().at_most(frames).ends, wanted, "{frames}");
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
            let audio = AudioGrid::new(&grid, Frames::AAC);
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
