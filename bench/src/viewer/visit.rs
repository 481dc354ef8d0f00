//! What viewers want, drawn from chance: which title, from where, for how long, with how many
//! jumps and how good a line.

use std::time::Duration;

use crate::chance::Chance;
use crate::number;
use crate::zipf::Zipf;

/// How viewers are, as a crowd.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Which titles they like.
    pub titles: Zipf,
    /// Seconds after which they leave, on average; none stay to the end.
    pub watch_s: Option<f64>,
    /// Seconds of watching between jumps, on average.
    pub seek_every_s: Option<f64>,
    /// Share of those who begin somewhere in the middle.
    pub join_middle: f64,
    /// Slowest and fastest line in Mbit/s; each doubling is as likely as the next.
    pub line_mbps: Option<(f64, f64)>,
}

/// What one viewer wants.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Which title.
    pub title: usize,
    /// Where in it to begin, as a share of its length.
    pub from: f64,
    /// After what time to leave.
    pub leaves_after: Option<Duration>,
    /// Bytes a second of the line.
    pub line_bytes_per_s: Option<f64>,
    /// A session id as CMCD wants one.
    pub session: String,
    seek_every_s: Option<f64>,
    chance: Chance,
}

impl Visit {
    /// The `n`th viewer of a run. It is the same one whatever became of those before.
    pub fn draw(habits: &Habits, seed: u64, n: u64) -> Self {
        let mut chance = Chance::of(seed, n);
        let title = habits.titles.draw(&mut chance);
        let (middle, share) = (chance.unit() < habits.join_middle, chance.unit());
        let from = if middle { share } else { 0.0 };
        let leaves = habits.watch_s.map(|mean| number::seconds(chance.exponential(mean)));
        let line = habits.line_mbps.map(|(low, high)| chance.doubling(low, high) * 1e6 / 8.0);
        let [high, low] = [chance.bits(), chance.bits()];
        Self {
            title,
            from,
            leaves_after: leaves,
            line_bytes_per_s: line,
            session: session_id(high, low),
            seek_every_s: habits.seek_every_s,
            chance,
        }
    }

    /// How long to watch until the next jump.
    pub fn until_seek(&mut self) -> Option<Duration> {
        let mean = self.seek_every_s?;
        Some(number::seconds(self.chance.exponential(mean)))
    }

    /// Where to jump, as a share of the title.
    pub fn seek_to(&mut self) -> f64 {
        self.chance.unit()
    }
}

/// How long a line takes for some bytes.
pub fn line_time(bytes_per_s: f64, len_bytes: u64) -> Duration {
    number::seconds(number::ratio(len_bytes as f64, bytes_per_s))
}

/// A UUID of version 4 (RFC 9562 5.4).
fn session_id(high: u64, low: u64) -> String {
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xfff | 0x4000);
    let (d, e) = (low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habits() -> Habits {
        Habits {
            titles: Zipf::new(10, 0.8),
            watch_s: Some(60.0),
            seek_every_s: Some(30.0),
            join_middle: 0.25,
            line_mbps: Some((1.0, 16.0)),
        }
    }

    #[test]
    fn viewers_repeat_and_differ() {
        let told = |seed, n| {
            let mut visit = Visit::draw(&habits(), seed, n);
            let jumps = (visit.until_seek(), visit.seek_to().to_bits());
            (visit.session, visit.title, visit.leaves_after, jumps)
        };
        assert_eq!(told(1, 5), told(1, 5));
        assert_ne!(told(1, 5), told(1, 6));
        assert_ne!(told(1, 5), told(2, 5));
    }

    #[test]
    fn the_crowd_is_as_described() {
        let crowd: Vec<_> = (0..10_000).map(|n| Visit::draw(&habits(), 3, n)).collect();
        let middle = crowd.iter().filter(|visit| visit.from > 0.0).count();
        assert!((2_300..2_700).contains(&middle), "{middle}");
        let seconds: f64 = crowd.iter().map(|v| v.leaves_after.unwrap().as_secs_f64()).sum();
        assert!((57.0..63.0).contains(&(seconds / 1e4)), "{seconds}");
        for visit in &crowd {
            let bytes = visit.line_bytes_per_s.unwrap();
            assert!((125_000.0..2_000_000.0).contains(&bytes), "{bytes}");
        }
        let quiet = Habits { watch_s: None, seek_every_s: None, line_mbps: None, ..habits() };
        let mut visit = Visit::draw(&quiet, 3, 1);
        assert_eq!((visit.leaves_after, visit.until_seek()), (None, None));
    }

    #[test]
    fn sessions_are_uuids() {
        assert_eq!(session_id(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(session_id(0, 0), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn lines_take_their_time() {
        assert_eq!(line_time(1e6, 250_000), Duration::from_millis(250));
    }
}
