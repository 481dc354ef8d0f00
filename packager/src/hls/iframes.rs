//! I-frame playlists: one byte range for each fragment's IDR picture (8216bis 4.4.3.6).
//!
//! The range is the moof, the mdat header and the first sample: what a player needs to show that
//! one picture. It lies in the segment that normal playback fetches, so nothing is stored or
//! cached twice, and it is known from the rows alone.

use std::ops::Range;

use super::keys;
use crate::heads::Row;
use crate::protect::Form;
use crate::signalling::Protection;
use crate::text::{Lines, Piece, push, push_integer, push_seconds};
use crate::time;
use crate::timeline::Timeline;
use crate::title::Track;

/// The I-frame playlist of a video track; `None` for audio, for video in which a fragment may
/// start without an IDR picture, and where segments are encrypted whole: a range of one has no
/// padding of its own, and its IV would be the cipher block before it (8216bis 4.4.4.4 restarts
/// AES-128 with each segment, and here a range is one).
pub fn iframes(
    timeline: &Timeline,
    track: &Track,
    protection: Option<&Protection>,
) -> Option<Vec<u8>> {
    if !track.is_video() || !track.is_independent() || !timeline.form().has_ranges() {
        return None;
    }
    let fragments = usize::try_from(track.fragments()).expect("u32 fits");
    let mut to = Vec::with_capacity(256 + fragments * 64);
    // EXT-X-MAP in an I-frame playlist needs version 5 (8216bis 8).
    push(&mut to, "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:");
    push_integer(&mut to, timeline.target_duration_s());
    push(&mut to, "\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    push(&mut to, "#EXT-X-I-FRAMES-ONLY\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    // Asked once, and not of every fragment.
    match timeline.form() {
        Form::Clear => pictures(&mut to, timeline, track, protection, |_| 0),
        Form::Protected(scheme) => {
            pictures(&mut to, timeline, track, protection, |row| scheme.added_bytes(true, row));
        }
    }
    push(&mut to, "#EXT-X-ENDLIST\n");
    Some(to)
}

/// The pictures' lines, where moofs grow by `added_bytes`.
fn pictures(
    to: &mut Vec<u8>,
    timeline: &Timeline,
    track: &Track,
    protection: Option<&Protection>,
    added_bytes: impl Fn(Row) -> u64,
) {
    let mut pictures = Pictures::of(track);
    match protection {
        None => {
            push(to, "#EXT-X-MAP:URI=\"init.mp4\"\n");
            pictures.push(to, timeline.fragments_of(track), added_bytes);
        }
        Some(protection) => {
            for period in protection.periods().of_track(timeline, track) {
                push(to, &keys::of_period(protection, track, period));
                let of_period = timeline.fragments_within(track, period.segments.clone());
                pictures.push(to, of_period, &added_bytes);
            }
        }
    }
}

/// The pictures' lines, and where a track's clock stands before the next.
struct Pictures<'a> {
    track: &'a Track,
    ticks: u64,
    us: u64,
    duration_us: u64,
    /// Fragments of so many ticks last that long wherever they stand; none where rounding says.
    whole_ticks: Option<u32>,
    before: Piece<BEFORE_BYTES>,
}

/// What stands before a range: `#EXTINF:`, seconds of 64 bits of microseconds, `,\n#EXT-X-BYTERANGE:`.
const BEFORE_BYTES: usize = 8 + 21 + 19;

impl<'a> Pictures<'a> {
    fn of(track: &'a Track) -> Self {
        let before = Piece::new(b"");
        Self { track, ticks: 0, us: 0, duration_us: u64::MAX, whole_ticks: None, before }
    }

    fn push(
        &mut self,
        to: &mut Vec<u8>,
        segments: impl Iterator<Item = (u32, Range<u32>)>,
        added_bytes: impl Fn(Row) -> u64,
    ) {
        let behind: Piece<5> = Piece::new(b".m4s\n");
        let mut lines = Lines::new();
        for (number, fragments) in segments {
            let mut offset_bytes = 0;
            for row in self.track.rows(fragments) {
                self.go_on(row.duration_ticks);
                lines.next(to);
                lines.piece(&self.before);
                let added_bytes = added_bytes(row);
                lines.integer(row.first_sample_end() + added_bytes);
                lines.byte(b'@');
                lines.integer(offset_bytes);
                lines.byte(b'\n');
                lines.integer(number.into());
                lines.piece(&behind);
                offset_bytes += u64::from(row.size_bytes) + added_bytes;
            }
        }
        lines.end(to);
    }

    /// One more fragment of so many ticks.
    fn go_on(&mut self, duration_ticks: u32) {
        self.ticks += u64::from(duration_ticks);
        if Some(duration_ticks) == self.whole_ticks {
            self.us += self.duration_us;
            return;
        }
        let next_us = time::micros(self.ticks, self.track.timescale());
        let duration_us = next_us - self.us;
        self.us = next_us;
        if duration_us != self.duration_us {
            self.last(duration_us);
        }
        let is_whole = time::is_whole_micros(duration_ticks, self.track.timescale());
        self.whole_ticks = is_whole.then_some(duration_ticks);
    }

    /// The fragments from here on last so long. Most last as long as the one before.
    fn last(&mut self, duration_us: u64) {
        let mut before = Vec::with_capacity(BEFORE_BYTES);
        push(&mut before, "#EXTINF:");
        push_seconds(&mut before, duration_us);
        push(&mut before, ",\n#EXT-X-BYTERANGE:");
        self.before = Piece::new(&before);
        self.duration_us = duration_us;
    }
}
