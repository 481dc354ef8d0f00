//! Key periods: runs of segments under keys of their own, the same runs for every track and both
//! manifests.
//!
//! A segment belongs to the period in which it starts, by the time of the reference track; so a
//! boundary lies on a segment's, up to a segment behind the clock's. Periods count from 0 by the
//! clock: one in which no segment starts is not there.
//!
//! A track that ends early has nothing in later periods, and is left out of them. But where all
//! sound, or all video, ends early, what remains is one period with the end of it: a player that is
//! to go on without a kind of media from one DASH Period to the next loses it in all of them (Shaka
//! Player) or stops.

use std::fmt;
use std::ops::Range;

use crate::limits;
use crate::time;
use crate::timeline::Timeline;
use crate::title::{Title, Track};

/// The periods of a version, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    all: Vec<Period>,
    held_from_us: Option<u64>,
}

/// Segments under one set of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    number: u32,
    /// Whether names say which period it is.
    is_named: bool,
    /// Its segments. The last period's have no end: where a track ends, its segments do.
    pub segments: Range<u32>,
    /// When it starts, in ticks of the reference track, of which there are so many in a second.
    start: (u64, u32),
    /// The same in microseconds.
    pub start_us: u64,
    /// When the next one starts, or the title ends.
    pub end_us: u64,
}

/// What stands between a file's name and its extension, or behind it where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suffix(pub Option<u32>);

impl Periods {
    /// Periods of `key_period_s` seconds, or longer ones of equal length where there would be more
    /// than [`limits::KEY_PERIODS`]; 0 is one for the whole version.
    pub fn new(title: &Title, timeline: &Timeline, key_period_s: u32) -> Self {
        Self::at_most(limits::KEY_PERIODS, title, timeline, key_period_s)
    }

    /// The same, where so many are too many; at least one.
    pub fn at_most(most: u32, title: &Title, timeline: &Timeline, key_period_s: u32) -> Self {
        let end_us = title.duration_us();
        let is_named = key_period_s > 0;
        let reference = title.reference();
        let timescale = reference.timescale();
        let (segments, start) = (1..u32::MAX, (0, timescale));
        let first = Period { number: 0, is_named, segments, start, start_us: 0, end_us };
        let mut periods = Self { all: vec![first], held_from_us: None };
        if !is_named {
            return periods;
        }
        let least_us = end_us.div_ceil(most.max(1).into());
        let period_us = (u64::from(key_period_s) * 1_000_000).max(least_us);
        for segment in timeline.segments_of(reference) {
            let start_us = time::micros(segment.start.ticks, timescale);
            let number = u32::try_from(start_us / period_us).unwrap_or(u32::MAX);
            let Some(last) = periods.all.last_mut() else { break };
            if number <= last.number {
                continue;
            }
            if !has_all_kinds(title, segment.fragments.start) {
                periods.held_from_us = Some(start_us);
                break;
            }
            (last.segments.end, last.end_us) = (segment.number, start_us);
            let (segments, start) = (segment.number..u32::MAX, (segment.start.ticks, timescale));
            periods.all.push(Period { number, is_named, segments, start, start_us, end_us });
        }
        periods
    }

    /// From when on keys would change and do not, because a kind of media has ended.
    pub fn held_from_us(&self) -> Option<u64> {
        self.held_from_us
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Period> {
        self.all.iter()
    }

    /// Those in which a track has something to play, in order.
    pub fn of_track<'a>(
        &'a self,
        timeline: &'a Timeline,
        track: &'a Track,
    ) -> impl Iterator<Item = &'a Period> {
        self.iter().take_while(|period| timeline.fragments(track, period.segments.start).is_some())
    }

    /// The period of a segment; a segment that is not there counts to the last.
    pub fn of(&self, segment: u32) -> &Period {
        &self.all[self.index(segment)]
    }

    /// The period that files of this name are of.
    pub fn named(&self, suffix: Suffix) -> Option<&Period> {
        self.all.iter().find(|period| period.suffix() == suffix)
    }

    /// The period's place, from 0 without a gap.
    pub(crate) fn index(&self, segment: u32) -> usize {
        self.all.partition_point(|period| period.segments.start <= segment).saturating_sub(1)
    }
}

impl Period {
    /// Counts from 0, by the clock.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What names of its files say.
    pub fn suffix(&self) -> Suffix {
        Suffix(self.is_named.then_some(self.number))
    }

    /// When it starts on a track's own clock, no later than it does: what presentation times count
    /// from. Of the reference track it is the first segment's, exactly: a sample before it might be
    /// dropped, with all that depends on it.
    pub fn start_ticks(&self, timescale: u32) -> u64 {
        let (ticks, own) = self.start;
        time::rescale_down(ticks, own, timescale)
    }
}

/// Whether there is something of each kind of media that the title has from a fragment on.
fn has_all_kinds(title: &Title, fragment: u32) -> bool {
    let goes_on = |is_video: bool| {
        let mut kind =
            title.tracks().iter().filter(|track| track.is_video() == is_video).peekable();
        kind.peek().is_none() || kind.any(|track| fragment < track.fragments())
    };
    goes_on(true) && goes_on(false)
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |number| write!(f, ".{number}"))
    }
}
