//! What a player does: one thing at a time, the next one decided when the last one is done.
//!
//! ```text
//! manifest ─► playlists of the chosen variant ─► init ─► segment ─► segment ... ─► leave
//! ```
//!
//! It fills the track that has least ahead, up to [`FULL`], one request at a time; players that
//! fetch picture and sound side by side are a little earlier. A quality is chosen before each
//! segment of the picture. What fails is asked for again; after [`MAX_ATTEMPTS`] it gives up.

use std::sync::Arc;
use std::time::Duration;

use super::abr::{self, Throughput};
use super::buffer::{AS_GOOD_AS_OVER, Account, Buffer, Wait};
use super::visit::Visit;
use crate::limits::MAX_ATTEMPTS;
use crate::manifest::{Presentation, Segment, Segments, Timeline, Variant};

/// Media ahead at which a player rests (hls.js maxBufferLength).
pub const FULL: Duration = Duration::from_secs(30);
/// Rest before what failed is asked for again (hls.js retryDelayMs).
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Two renditions' boundaries that are closer than this are the same one.
const SAME_BOUNDARY: Duration = AS_GOOD_AS_OVER;
/// The shortest rest, so that what is due is over then.
const LEAST_REST: Duration = Duration::from_millis(10);
/// Nobody begins or jumps nearer to the end than this.
const LAST: Duration = Duration::from_secs(1);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fetch the manifest.
    Manifest,
    /// Fetch the playlist of a track.
    Playlist(usize),
    /// Fetch an init section of a track.
    Init(usize, usize),
    /// Fetch a segment of a track.
    Segment(usize, usize),
    /// Nothing, until then.
    Rest(Duration),
    /// The visit is over.
    Leave(Leave),
}

/// Why a visit is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The viewer had enough.
    Wanted,
    /// All was shown.
    Ended,
    /// What it needs cannot be had.
    GaveUp,
}

/// One player.
#[derive(Debug)]
pub struct Player {
    visit: Visit,
    joined: Duration,
    title: Option<Arc<Presentation>>,
    timelines: Vec<Option<Arc<Timeline>>>,
    /// Until where each track of the variant is loaded: picture, sound.
    loaded: [Duration; SLOTS],
    /// Track and index of the init section that was last loaded for it.
    inits: [Option<(usize, usize)>; SLOTS],
    variant: Option<usize>,
    buffer: Option<Buffer>,
    throughput: Throughput,
    attempts: u32,
    retry_at: Duration,
    /// Media shown at which the viewer jumps.
    next_seek: Option<Duration>,
    switches: u32,
    /// Stalls that the server was told of.
    told_stalls: u32,
}

/// Tracks of a variant.
const SLOTS: usize = 2;

impl Player {
    /// A viewer joins.
    pub fn join(mut visit: Visit, now: Duration) -> Self {
        let next_seek = visit.until_seek();
        Self {
            visit,
            joined: now,
            title: None,
            timelines: Vec::new(),
            loaded: [Duration::ZERO; SLOTS],
            inits: [None; SLOTS],
            variant: None,
            buffer: None,
            throughput: Throughput::default(),
            attempts: 0,
            retry_at: Duration::ZERO,
            next_seek,
            switches: 0,
            told_stalls: 0,
        }
    }

    /// What to do now.
    pub fn step(&mut self, now: Duration) -> Step {
        if let Some(buffer) = &mut self.buffer {
            buffer.advance(now);
        }
        if self.leaves_at().is_some_and(|at| now >= at) {
            return Step::Leave(Leave::Wanted);
        }
        if self.attempts >= MAX_ATTEMPTS {
            return Step::Leave(Leave::GaveUp);
        }
        if self.buffer.as_ref().is_some_and(Buffer::is_over) {
            return Step::Leave(Leave::Ended);
        }
        if now < self.retry_at {
            return Step::Rest(self.retry_at);
        }
        let Some(title) = self.title.clone() else { return Step::Manifest };
        self.seek_if_wanted(now);
        self.fill(&title, now)
    }

    /// The manifest came.
    pub fn manifest(&mut self, title: Arc<Presentation>) {
        self.attempts = 0;
        let known = |segments: &Segments| match segments {
            Segments::Known(timeline) => Some(Arc::clone(timeline)),
            Segments::Playlist(_) => None,
        };
        self.timelines = title.tracks.iter().map(|track| known(&track.segments)).collect();
        self.title = Some(title);
    }

    /// A track's playlist came.
    pub fn playlist(&mut self, track: usize, timeline: Arc<Timeline>) {
        self.attempts = 0;
        if let Some(known) = self.timelines.get_mut(track) {
            *known = Some(timeline);
        }
    }

    /// An init section came.
    pub fn init(&mut self, track: usize, init: usize) {
        self.attempts = 0;
        if let Some(slot) = self.slot(track) {
            self.inits[slot] = Some((track, init));
        }
    }

    /// A segment came.
    pub fn segment(
        &mut self,
        now: Duration,
        track: usize,
        index: usize,
        len_bytes: u64,
        took: Duration,
    ) {
        self.attempts = 0;
        self.throughput.measured(len_bytes, took);
        let end = self
            .timeline(track)
            .and_then(|timeline| timeline.segments.get(index))
            .map(Segment::end);
        let (Some(slot), Some(end)) = (self.slot(track), end) else { return };
        self.loaded[slot] = self.loaded[slot].max(end);
        let until = self.slots().map(|slot| self.loaded[slot]).min().unwrap_or_default();
        if let Some(buffer) = &mut self.buffer {
            buffer.filled(now, until);
        }
    }

    /// What was asked for last did not come.
    pub fn failed(&mut self, now: Duration) {
        self.attempts += 1;
        self.retry_at = now + RETRY_AFTER;
    }

    /// The viewer is gone; how it was.
    pub fn leave(mut self, now: Duration) -> Account {
        self.buffer.take().map_or_else(Account::default, |mut buffer| {
            buffer.leave(now);
            buffer.account()
        })
    }

    /// When the viewer leaves, whatever is on its way.
    pub fn leaves_at(&self) -> Option<Duration> {
        self.visit.leaves_after.map(|after| self.joined + after)
    }

    /// What the viewer wants.
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    /// The title, once its manifest came.
    pub fn title(&self) -> Option<&Arc<Presentation>> {
        self.title.as_ref()
    }

    /// A track's segments, once they are known.
    pub fn timeline(&self, track: usize) -> Option<&Arc<Timeline>> {
        self.timelines.get(track)?.as_ref()
    }

    /// What is played now.
    pub fn variant(&self) -> Option<&Variant> {
        self.title.as_ref()?.variants.get(self.variant?)
    }

    /// Media ahead.
    pub fn ahead(&self) -> Option<Duration> {
        self.buffer.as_ref().map(Buffer::ahead)
    }

    /// Why nothing moves; a player that has nothing yet waits for its start.
    pub fn waits(&self) -> Option<Wait> {
        self.buffer.as_ref().map_or(Some(Wait::Start), Buffer::waits)
    }

    /// Bits a second that were measured.
    pub fn throughput_bps(&self) -> Option<f64> {
        self.throughput.estimate_bps()
    }

    /// How often the quality changed.
    pub fn switches(&self) -> u32 {
        self.switches
    }

    /// Whether it stalled since this was last asked.
    pub fn take_starved(&mut self) -> bool {
        let stalls = self.buffer.as_ref().map_or(0, |buffer| buffer.account().stalls);
        std::mem::replace(&mut self.told_stalls, stalls) < stalls
    }

    fn fill(&mut self, title: &Presentation, now: Duration) -> Step {
        // Before the first choice nothing is loaded, so the picture is chosen first.
        let slot = self.least_loaded();
        if slot == 0 && !self.is_full() && !self.is_loaded(0) {
            let ahead = self.ahead().unwrap_or_default();
            let chosen = abr::choose(title, self.variant, &self.throughput, ahead);
            self.switches += u32::from(self.variant.is_some_and(|variant| variant != chosen));
            self.variant = Some(chosen);
        }
        let Some(variant) = self.variant() else { return Step::Leave(Leave::GaveUp) };
        let tracks = variant.tracks.clone();
        if let Some(track) = tracks.iter().find(|track| self.timeline(**track).is_none()) {
            return Step::Playlist(*track);
        }
        self.know_the_end(&tracks, now);
        let slot = self.least_loaded();
        if self.is_full() || self.is_loaded(slot) {
            return Step::Rest(self.rests_until(now));
        }
        let Some((track, timeline)) = self.track_in(slot) else {
            return Step::Leave(Leave::GaveUp);
        };
        let index = timeline.at(self.loaded[slot] + SAME_BOUNDARY);
        match timeline.segments.get(index).and_then(|segment| segment.init) {
            Some(init) if self.inits[slot] != Some((track, init)) => Step::Init(track, init),
            _ => Step::Segment(track, index),
        }
    }

    /// The first time that all tracks are known, the viewer takes a seat.
    fn know_the_end(&mut self, tracks: &[usize], now: Duration) {
        let ends = tracks.iter().filter_map(|track| self.timeline(*track)).map(|known| known.end());
        let end = ends.min().unwrap_or_default();
        if let Some(buffer) = &mut self.buffer {
            buffer.ends_at(end);
            return;
        }
        let from = place(end, self.visit.from);
        let mut buffer = Buffer::join(self.joined, from, end);
        buffer.advance(now);
        self.buffer = Some(buffer);
        self.loaded = [from; SLOTS];
    }

    fn seek_if_wanted(&mut self, now: Duration) {
        let Some(buffer) = &mut self.buffer else { return };
        let played = buffer.account().played;
        if self.next_seek.is_none_or(|at| played < at) {
            return;
        }
        let end = self.timelines.iter().flatten().map(|known| known.end()).min();
        let to = place(end.unwrap_or_default(), self.visit.seek_to());
        buffer.seek(now, to);
        self.loaded = [to; SLOTS];
        self.next_seek = self.visit.until_seek().map(|after| played + after);
    }

    /// Until the buffer has room, or something else is due.
    fn rests_until(&self, now: Duration) -> Duration {
        let Some(buffer) = &self.buffer else { return now + RETRY_AFTER };
        let until_room = if self.is_full() { buffer.ahead() - FULL } else { buffer.ahead() };
        let until_seek = self.next_seek.map(|at| at.saturating_sub(buffer.account().played));
        let shortest = until_seek.map_or(until_room, |seek| seek.min(until_room));
        let at = now + shortest + LEAST_REST;
        self.leaves_at().map_or(at, |leaves| leaves.min(at))
    }

    fn is_full(&self) -> bool {
        self.ahead().is_some_and(|ahead| ahead >= FULL)
    }

    /// Whether nothing is left to load for a track of the variant.
    fn is_loaded(&self, slot: usize) -> bool {
        self.track_in(slot).is_some_and(|(_, timeline)| {
            self.buffer.is_some() && self.loaded[slot] + SAME_BOUNDARY >= timeline.end()
        })
    }

    fn least_loaded(&self) -> usize {
        self.slots().min_by_key(|slot| self.loaded[*slot]).unwrap_or(0)
    }

    fn slots(&self) -> std::ops::Range<usize> {
        0..self.variant().map_or(1, |variant| variant.tracks.len().min(SLOTS))
    }

    fn slot(&self, track: usize) -> Option<usize> {
        self.variant()?.tracks.iter().take(SLOTS).position(|known| *known == track)
    }

    fn track_in(&self, slot: usize) -> Option<(usize, &Arc<Timeline>)> {
        let track = *self.variant()?.tracks.get(slot)?;
        Some((track, self.timeline(track)?))
    }
}

/// A share of a title as a time that has something after it.
fn place(end: Duration, share: f64) -> Duration {
    end.mul_f64(share).min(end.saturating_sub(LAST))
}

#[cfg(test)]
mod tests;
