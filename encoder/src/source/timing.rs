//! When pictures are shown: the grid that a title gets from the times of a source's frames.
//!
//! A constant rate is kept to the fraction, and its frames are numbered: each decoded frame is one
//! of the title. Above 60 a second only each second, third, ... of them is taken. Where the rate
//! varies, or frames are missing in between, the title has the standard rate next to the average,
//! and each of its frames is the one that is nearest in time.

use serde::{Deserialize, Serialize};

use super::refusal;
use crate::error::{Error, Kind};
use crate::grid::Rate;
use crate::limits;
use crate::probe::Stream;
use crate::scan::{Scan, Span};

/// How the title's frames are made of the source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timing {
    /// Each `every`th decoded frame, by its number.
    Numbered {
        /// One is every frame.
        every: u32,
    },
    /// The frame nearest in time, repeated or left out.
    Timed,
}

/// A title's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Frames a second.
    pub rate: Rate,
    /// How many.
    pub count: u64,
    /// How they are made.
    pub timing: Timing,
}

impl Frames {
    /// How long they last.
    #[expect(clippy::cast_precision_loss, reason = "frames of two days at most")]
    pub fn length_s(&self) -> f64 {
        self.count as f64 * f64::from(self.rate.den()) / f64::from(self.rate.num())
    }
}

/// Rates that a title gets where its source has none, and what a source of rounded time stamps is
/// tried with.
const STANDARD: [(u32, u32); 8] =
    [(60, 1), (60_000, 1001), (50, 1), (30, 1), (30_000, 1001), (25, 1), (24, 1), (24_000, 1001)];
/// For slow ones, such as recorded screens.
const SLOW: [(u32, u32); 4] = [(20, 1), (15, 1), (12, 1), (10, 1)];

/// The title's frames for a picture whose packets were read, and what is to be said of them.
pub fn frames(video: &Stream, scan: &Scan, span: Span) -> Result<(Frames, Option<String>), Error> {
    let length_s = span.length_s(video.time_base().unwrap_or((1, 1)));
    if length_s > f64::from(limits::SECONDS) {
        return Err(too_long(video, length_s));
    }
    let rate = match scan.constant_rate(video) {
        Ok(rate) => rate,
        Err(at_s) => return varying(video, scan, length_s, at_s),
    };
    if rate.lasts_longer(1, limits::FRAME_SECONDS) {
        return Err(refusal(
            video,
            &format!("{rate} frames a second"),
            &format!("repeat its frames first, one each {} s or more often", limits::FRAME_SECONDS),
        ));
    }
    if rate.lasts_longer(scan.frames(), limits::SECONDS) {
        return Err(too_long(video, length_s));
    }
    let most = u64::from(limits::FRAMES_PER_SECOND) * u64::from(rate.den());
    let every = u32::try_from(u64::from(rate.num()).div_ceil(most)).unwrap_or(u32::MAX);
    let count = scan.frames().div_ceil(u64::from(every));
    let timing = Timing::Numbered { every };
    if every == 1 {
        return Ok((Frames { rate, count, timing }, None));
    }
    let slower = rate.den().checked_mul(every).and_then(|den| Rate::new(rate.num(), den));
    let Some(slower) = slower else {
        return Err(refusal(
            video,
            &format!("{rate} frames a second"),
            &format!("reduce the source to {} or less first", limits::FRAMES_PER_SECOND),
        ));
    };
    let said = format!("{} has {rate} frames a second: one of {every} is taken", video.describe());
    Ok((Frames { rate: slower, count, timing }, Some(said)))
}

/// Frames that do not lie on a grid: a rate that varies, or the last frames of a cut stream, which
/// are missing in the order in which they are shown.
fn varying(
    video: &Stream,
    scan: &Scan,
    length_s: f64,
    at_s: f64,
) -> Result<(Frames, Option<String>), Error> {
    if length_s - at_s < limits::TRUNCATION_SLACK_SECONDS && at_s > limits::TRUNCATION_SLACK_SECONDS
    {
        return Err(Error::new(
            Kind::SourceDamaged,
            format!(
                "{} lacks frames near its end, at {at_s:.3} s of {length_s:.3} s, like a file that \
                 was cut off; send the whole file",
                video.describe()
            ),
        ));
    }
    if let Some((before_s, gap_s)) = scan.longest_gap(video)
        && gap_s > f64::from(limits::FRAME_SECONDS)
    {
        return Err(refusal(
            video,
            &format!("no frame for {gap_s:.0} s from {before_s:.3} s on"),
            &format!("repeat its frames first, one each {} s or more often", limits::FRAME_SECONDS),
        ));
    }
    let rate = standard_rate(scan.frames(), length_s, video.claimed_rates());
    let count = frames_in(rate, length_s);
    if count > u64::try_from(limits::FRAMES).expect("a length fits") {
        return Err(too_long(video, length_s));
    }
    let said = format!(
        "{} has a frame rate that varies (first at {at_s:.3} s): the title has {rate} frames a \
         second, each the one nearest in time",
        video.describe()
    );
    Ok((Frames { rate, count, timing: Timing::Timed }, Some(said)))
}

/// The standard rate of this average: a claimed one or the nearest within a fortieth, else the next
/// below; never below ten, which costs little and keeps what moves.
fn standard_rate(frames: u64, length_s: f64, claimed: impl Iterator<Item = Rate>) -> Rate {
    let average = f64::from(u32::try_from(frames).unwrap_or(u32::MAX)) / length_s.max(0.001);
    let value = |(num, den): (u32, u32)| f64::from(num) / f64::from(den);
    let off = |rate: (u32, u32)| (value(rate) - average).abs();
    let mut claimed = claimed.map(|rate| (rate.num(), rate.den()));
    let is_standard = |rate: &(u32, u32)| STANDARD.contains(rate) || SLOW.contains(rate);
    if let Some((num, den)) =
        claimed.find(|&rate| is_standard(&rate) && off(rate) * 40.0 <= average)
    {
        return Rate::new(num, den).expect("a standard rate");
    }
    let near = STANDARD.iter().chain(&SLOW).filter(|&&rate| off(rate) * 40.0 <= average);
    let near = near.min_by(|&&a, &&b| off(a).total_cmp(&off(b)));
    let below = || STANDARD.iter().chain(&SLOW).find(|&&rate| value(rate) <= average);
    let (num, den) = near.or_else(below).copied().unwrap_or((10, 1));
    Rate::new(num, den).expect("a standard rate")
}

/// Frames of `rate` nearest `length_s`, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length of at most two days"
)]
fn frames_in(rate: Rate, length_s: f64) -> u64 {
    let frames = length_s * f64::from(rate.num()) / f64::from(rate.den());
    (frames.round() as u64).max(1)
}

/// Longer than a title may be: two frames days apart would become days of silence.
fn too_long(video: &Stream, length_s: f64) -> Error {
    refusal(
        video,
        &format!("{length_s:.0} s"),
        &format!("cut it into parts of at most {} s first", limits::SECONDS),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_rates() {
        let table = [
            (2999, 100.0, "30"),
            (2996, 100.0, "30000/1001"),
            (2500, 100.0, "25"),
            (2830, 100.0, "25"),
            (2390, 100.0, "24000/1001"),
            (2200, 100.0, "20"),
            (300, 100.0, "10"),
            (9000, 100.0, "60"),
        ];
        for (frames, length_s, wanted) in table {
            let rate = standard_rate(frames, length_s, std::iter::empty());
            assert_eq!(rate.to_string(), wanted, "{frames}");
        }
        let claimed = ["90000/1", "30", "25"].map(|rate| Rate::parse(rate).unwrap());
        assert_eq!(standard_rate(2994, 100.0, claimed.into_iter()).to_string(), "30");
    }
}
