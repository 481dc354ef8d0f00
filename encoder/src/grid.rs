//! The grid that every fragment of every track lies on, planned before encoding starts.
//!
//! Pure integers: a frame rate is an exact fraction, a GOP a whole number of frames, and every
//! boundary follows from the frame count alone, so nothing drifts however long the title is.

use std::fmt;
use std::ops::Range;

use headwater_packager::time;
use serde::{Deserialize, Serialize};

/// Frames per second as a fraction in lowest terms, whose ticks fit in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// The rate `num/den`; `None` for zeros, and where a frame's ticks need more than 32 bits.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let common = common_divisor(num, den);
        let rate = Self { num: num / common, den: den / common };
        match rate.den.checked_mul(rate.finer()) {
            Some(_) => Some(rate),
            None => None,
        }
    }

    /// Reads `24`, `12.5` or `30000/1001`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((num, den)) = text.split_once('/') {
            return Self::new(num.parse().ok()?, den.parse().ok()?);
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let den = 10u32.checked_pow(u32::try_from(part.len()).ok()?)?;
        let part: u32 = if part.is_empty() { 0 } else { part.parse().ok()? };
        let whole: u32 = whole.parse().ok()?;
        Self::new(whole.checked_mul(den)?.checked_add(part)?, den)
    }

    /// Frames.
    pub fn num(self) -> u32 {
        self.num
    }

    /// Per this many seconds.
    pub fn den(self) -> u32 {
        self.den
    }

    /// Whether it is more than `limit` frames a second.
    pub fn is_above(self, limit: u32) -> bool {
        u64::from(self.num) > u64::from(limit) * u64::from(self.den)
    }

    /// Whether `frames` of it last longer than `limit_s` seconds.
    pub fn lasts_longer(self, frames: u64, limit_s: u32) -> bool {
        let ticks = u128::from(frames) * u128::from(self.den);
        ticks > u128::from(limit_s) * u128::from(self.num)
    }

    /// Whole frames nearest `duration_ms`, at least one.
    pub fn frames_in(self, duration_ms: u32) -> u32 {
        let thousandths = u64::from(self.num) * u64::from(duration_ms);
        let per_frame = u64::from(self.den) * 1000;
        let frames = (thousandths + per_frame / 2) / per_frame;
        u32::try_from(frames).unwrap_or(u32::MAX).max(1)
    }

    /// Ticks a second for media of this rate: a frame is a whole number of ticks, and the clock is
    /// fine enough for players that count in milliseconds.
    pub fn timescale(self) -> u32 {
        self.num * self.finer()
    }

    /// Ticks of a frame in [`Rate::timescale`].
    pub fn frame_ticks(self) -> u32 {
        self.den * self.finer()
    }

    const fn finer(self) -> u32 {
        if self.num < 1000 { 1000 } else { 1 }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

const fn common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The frames of a title, cut into fragments of one GOP each; the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    rate: Rate,
    gop_frames: u32,
    frames: u64,
}

impl Grid {
    /// `frames` frames of `rate`, in GOPs nearest `gop_ms`; `frames` is not zero.
    pub fn new(rate: Rate, frames: u64, gop_ms: u32) -> Self {
        Self { rate, gop_frames: rate.frames_in(gop_ms), frames }
    }

    /// Frames per second.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Frames of a whole GOP.
    pub fn gop_frames(&self) -> u32 {
        self.gop_frames
    }

    /// Frames of the title.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Fragments of the title.
    pub fn fragments(&self) -> u32 {
        let fragments = self.frames.div_ceil(u64::from(self.gop_frames));
        u32::try_from(fragments).expect("a source's frames are bounded")
    }

    /// Frames of fragment `i`, counted from the title's first.
    pub fn fragment(&self, i: u32) -> Range<u64> {
        let start = u64::from(i) * u64::from(self.gop_frames);
        start..(start + u64::from(self.gop_frames)).min(self.frames)
    }

    /// Where each fragment ends, in ticks.
    pub fn ends(&self) -> impl Iterator<Item = u64> {
        (0..self.fragments()).map(|i| self.ticks(self.fragment(i).end))
    }

    /// Some fragments of it, as a grid of their own that starts at zero.
    #[must_use]
    pub fn part(&self, fragments: &Range<u32>) -> Self {
        let first = self.fragment(fragments.start).start;
        let end = fragments.end.checked_sub(1).map_or(first, |last| self.fragment(last).end);
        Self { frames: end - first, ..*self }
    }

    /// Where frame `frame` starts, in ticks of the video's timescale.
    pub fn ticks(&self, frame: u64) -> u64 {
        frame * u64::from(self.rate.frame_ticks())
    }

    /// When a frame is shown, in seconds, for messages.
    #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
    pub fn seconds(&self, frame: u64) -> f64 {
        self.ticks(frame) as f64 / f64::from(self.rate.timescale())
    }

    /// Length of the title in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        time::millis(self.ticks(self.frames), self.rate.timescale())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates() {
        let table = [
            ("24", Some((24, 1, 24_000, 1000, 48))),
            ("24/1", Some((24, 1, 24_000, 1000, 48))),
            ("12.5", Some((25, 2, 25_000, 2000, 25))),
            ("30000/1001", Some((30_000, 1001, 30_000, 1001, 60))),
            ("29.97", Some((2997, 100, 2997, 100, 60))),
            ("24000/1001", Some((24_000, 1001, 24_000, 1001, 48))),
            ("60000/1001", Some((60_000, 1001, 60_000, 1001, 120))),
            ("1/4", Some((1, 4, 1000, 4000, 1))),
            ("1/4294967", Some((1, 4_294_967, 1000, 4_294_967_000, 1))),
            ("1/4294968", None),
            ("1/100000000", None),
            ("0/0", None),
            ("0", None),
            ("-24", None),
            ("24.", Some((24, 1, 24_000, 1000, 48))),
            ("1.00000000000", None),
            ("", None),
            ("x", None),
        ];
        for (text, wanted) in table {
            let got = Rate::parse(text)
                .map(|r| (r.num(), r.den(), r.timescale(), r.frame_ticks(), r.frames_in(2000)));
            assert_eq!(got, wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn fragments_tile_the_frames(num in 1..120_000u32, den in 1..2000u32, frames in 1..100_000u64, gop_ms in 500..10_000u32) {
            let grid = Grid::new(Rate::new(num, den).unwrap(), frames, gop_ms);
            let mut end = 0;
            for i in 0..grid.fragments() {
                let range = grid.fragment(i);
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start);
                end = range.end;
            }
            prop_assert_eq!(end, frames);
        }
    }
}
