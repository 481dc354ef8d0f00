//! Key periods: runs of segments under keys of their own, the same runs for every track and both
//! manifests.
//!
//! A segment belongs to the period in which it starts, by the time of the reference track; so a
//! boundary lies on a segment's, up to a segment behind the clock's. Periods count from 0 by the
//! clock: one in which no segment starts is not there.

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
}

/// Segments under one set of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    number: u32,
    /// Whether names say which period it is.
    is_named: bool,
    /// Its segments. The last period's have no end: where a track ends, its segments do.
    pub segments: Range<u32>,
    /// When it starts, in microseconds of the reference track.
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
        let end_us = title.duration_us();
        let is_named = key_period_s > 0;
        let first = Period { number: 0, is_named, segments: 1..u32::MAX, start_us: 0, end_us };
        let mut periods = Self { all: vec![first] };
        if !is_named {
            return periods;
        }
        let least_us = end_us.div_ceil(limits::KEY_PERIODS.into());
        let period_us = (u64::from(key_period_s) * 1_000_000).max(least_us);
        let reference = title.reference();
        for segment in timeline.segments_of(reference) {
            let start_us = time::micros(segment.start.ticks, reference.timescale());
            let number = u32::try_from(start_us / period_us).unwrap_or(u32::MAX);
            // In a period all tracks have something to play.
            let is_there = |track: &Track| segment.fragments.start < track.fragments();
            let Some(last) = periods.all.last_mut() else { break };
            if number > last.number && title.tracks().iter().all(is_there) {
                (last.segments.end, last.end_us) = (segment.number, start_us);
                let segments = segment.number..u32::MAX;
                periods.all.push(Period { number, is_named, segments, start_us, end_us });
            }
        }
        periods
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Period> {
        self.all.iter()
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

    /// When it starts on a track's own clock: what presentation times count from.
    pub fn start_ticks(&self, timescale: u32) -> u64 {
        time::ticks(self.start_us, timescale)
    }
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |number| write!(f, ".{number}"))
    }
}
