//! Segments of a delivery: runs of fragments, the same runs for every track and both manifests.
//!
//! A segment takes fragments while the next one brings its length nearer to the profile's. The
//! reference track decides; because fragment i of every track covers the same time, the others
//! follow. Segments count from 1.

use std::ops::Range;

use crate::bandwidth::{self, Rates, Sent};
use crate::protect::Form;
use crate::time;
use crate::title::{Position, Title, Track};

/// A version cut for one segment length and form: where segments start, how long they are, and what
/// follows from that for every manifest. Made once when a version is opened, since it looks at every
/// row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    form: Form,
    /// First fragment of each segment, and the fragment count as a last element.
    starts: Vec<u32>,
    target_duration_s: u64,
    rates: Vec<TrackRates>,
}

/// What a track costs to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackRates {
    /// Its segments.
    pub segments: Rates,
    /// The first sample of each fragment alone, with its moof, over the fragment's duration; none for sound.
    pub iframes: Rates,
}

/// One segment of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Counts from 1.
    pub number: u32,
    /// The fragments it is made of.
    pub fragments: Range<u32>,
    /// Time and clear bytes of the track before it.
    pub start: Position,
    /// Time and clear bytes of the track up to its end.
    pub end: Position,
}

impl Segment {
    /// Ticks.
    pub fn duration_ticks(&self) -> u64 {
        self.end.ticks - self.start.ticks
    }

    /// Length in microseconds such that all lengths up to here add up to the rounded end.
    pub fn duration_us(&self, timescale: u32) -> u64 {
        time::micros(self.end.ticks, timescale) - time::micros(self.start.ticks, timescale)
    }

    /// Bytes in the clear.
    pub fn clear_bytes(&self) -> u64 {
        self.end.bytes - self.start.bytes
    }
}

impl Timeline {
    /// Cuts a version into segments of about `segment_ms` milliseconds, which leave in this form.
    pub fn new(title: &Title, segment_ms: u32, form: Form) -> Self {
        let wanted_us = u64::from(segment_ms) * 1000;
        let reference = title.reference();
        let longest = title.tracks().iter().max_by_key(|t| t.fragments()).unwrap_or(reference);
        let mut starts = vec![0];
        let mut segment_us = 0;
        for i in 0..longest.fragments() {
            let track = if i < reference.fragments() { reference } else { longest };
            let fragment_us =
                time::micros(u64::from(track.row(i).duration_ticks), track.timescale());
            // The fragment goes in when that leaves the length no further from the wanted one.
            let farther =
                (segment_us + fragment_us).abs_diff(wanted_us) > wanted_us.abs_diff(segment_us);
            if segment_us > 0 && farther {
                starts.push(i);
                segment_us = 0;
            }
            segment_us += fragment_us;
        }
        starts.push(longest.fragments());
        let mut timeline = Self { form, starts, target_duration_s: 1, rates: Vec::new() };
        timeline.measure(title);
        timeline
    }

    /// Sets target duration and rates; the latter depend on the former.
    fn measure(&mut self, title: &Title) {
        let sent = |track: &Track, segment: Segment| Sent {
            duration_us: segment.duration_us(track.timescale()),
            size_bytes: self.segment_bytes(track, &segment),
        };
        let segments: Vec<Vec<Sent>> = title
            .tracks()
            .iter()
            .map(|track| self.segments_of(track).map(|s| sent(track, s)).collect())
            .collect();
        let longest_us = segments.iter().flatten().map(|s| s.duration_us).max().unwrap_or(0);
        self.target_duration_s = ((longest_us + 500_000) / 1_000_000).max(1);
        self.rates = segments
            .iter()
            .zip(title.tracks())
            .map(|(segments, track)| TrackRates {
                segments: bandwidth::rates(segments, self.target_duration_s),
                iframes: match track.is_video() {
                    true => bandwidth::rates(&self.iframes_of(track), self.target_duration_s),
                    false => Rates::default(),
                },
            })
            .collect();
    }

    /// The form in which segments leave.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Bytes of a segment as it is sent.
    pub fn segment_bytes(&self, track: &Track, segment: &Segment) -> u64 {
        match self.form {
            Form::Clear => segment.clear_bytes(),
            Form::Protected(_) => {
                let rows = track.rows(segment.fragments.clone());
                let fragments = rows.map(|row| self.form.fragment_bytes(track.is_video(), row));
                self.form.segment_bytes(fragments.sum())
            }
        }
    }

    /// How many segments the longest track has.
    pub fn segments(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).expect("no more than fragments")
    }

    /// Fragments of segment `number` in `track`; `None` outside the track.
    pub fn fragments(&self, track: &Track, number: u32) -> Option<Range<u32>> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        let (&start, &end) = (self.starts.get(index)?, self.starts.get(index + 1)?);
        (start < track.fragments()).then(|| start..end.min(track.fragments()))
    }

    /// Segment `number` of `track`; `None` outside the track.
    pub fn segment(&self, track: &Track, number: u32) -> Option<Segment> {
        let fragments = self.fragments(track, number)?;
        let (start, end) = (track.position(fragments.start), track.position(fragments.end));
        Some(Segment { number, fragments, start, end })
    }

    /// Every segment of `track` in order, each row looked at once.
    pub fn segments_of<'a>(&'a self, track: &'a Track) -> impl Iterator<Item = Segment> + 'a {
        self.segments_within(track, 1..self.segments() + 1)
    }

    /// Those of these numbers that `track` has, in order.
    pub fn segments_within<'a>(
        &'a self,
        track: &'a Track,
        numbers: Range<u32>,
    ) -> impl Iterator<Item = Segment> + 'a {
        let first = self.fragments(track, numbers.start);
        let mut at = first.map_or_else(Position::default, |first| track.position(first.start));
        numbers.map_while(move |number| {
            let fragments = self.fragments(track, number)?;
            let start = at;
            at = track.rows(fragments.clone()).fold(at, Position::after);
            Some(Segment { number, fragments, start, end: at })
        })
    }

    /// Number and fragments of every segment of `track` in order, for what asks about nothing else.
    pub fn fragments_of<'a>(
        &'a self,
        track: &'a Track,
    ) -> impl Iterator<Item = (u32, Range<u32>)> + 'a {
        self.fragments_within(track, 1..self.segments() + 1)
    }

    /// Number and fragments of those of these numbers that `track` has, in order.
    pub fn fragments_within<'a>(
        &'a self,
        track: &'a Track,
        numbers: Range<u32>,
    ) -> impl Iterator<Item = (u32, Range<u32>)> + 'a {
        numbers.map_while(move |number| Some((number, self.fragments(track, number)?)))
    }

    /// Ticks of every segment of `track` in order, for what asks about nothing else.
    pub fn durations_of<'a>(&'a self, track: &'a Track) -> impl Iterator<Item = u64> + 'a {
        self.durations_within(track, 1..self.segments() + 1)
    }

    /// Ticks of those of these numbers that `track` has, in order.
    pub fn durations_within<'a>(
        &'a self,
        track: &'a Track,
        numbers: Range<u32>,
    ) -> impl Iterator<Item = u64> + 'a {
        numbers.map_while(move |number| {
            let fragments = self.fragments(track, number)?;
            Some(track.rows(fragments).map(|row| u64::from(row.duration_ticks)).sum())
        })
    }

    /// EXT-X-TARGETDURATION: the longest segment of any track, each rounded to the nearest second,
    /// so that every playlist of a title says the same (draft-pantos-hls-rfc8216bis 4.4.3.1).
    pub fn target_duration_s(&self) -> u64 {
        self.target_duration_s
    }

    /// Rates of every track, in the order of [`Title::tracks`].
    pub fn rates(&self) -> &[TrackRates] {
        &self.rates
    }

    fn iframes_of(&self, track: &Track) -> Vec<Sent> {
        track
            .rows(0..track.fragments())
            .map(|row| Sent {
                duration_us: time::micros(u64::from(row.duration_ticks), track.timescale()),
                size_bytes: self.form.first_sample_end(track.is_video(), row),
            })
            .collect()
    }
}
