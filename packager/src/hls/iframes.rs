//! I-frame playlists: one byte range for each fragment's IDR picture (8216bis 4.4.3.6).
//!
//! The range is the moof, the mdat header and the first sample: what a player needs to show that
//! one picture. It lies in the segment that normal playback fetches, so nothing is stored or
//! cached twice, and it is known from the rows alone.

use std::ops::Range;

use super::keys;
use crate::protect::Form;
use crate::signalling::Protection;
use crate::text::{Piece, push, push_integer, push_seconds};
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
    let mut pictures = Pictures::of(track, timeline.form());
    match protection {
        None => {
            push(&mut to, "#EXT-X-MAP:URI=\"init.mp4\"\n");
            pictures.push(&mut to, timeline.fragments_of(track));
        }
        Some(protection) => {
            for period in protection.periods().of_track(timeline, track) {
                push(&mut to, &keys::of_period(protection, track, period));
                let of_period = timeline.fragments_within(track, period.segments.clone());
                pictures.push(&mut to, of_period);
            }
        }
    }
    push(&mut to, "#EXT-X-ENDLIST\n");
    Some(to)
}

/// The pictures' lines, and where a track's clock stands before the next.
struct Pictures<'a> {
    track: &'a Track,
    form: Form,
    ticks: u64,
    us: u64,
    duration_us: u64,
    before: Piece<BEFORE_BYTES>,
}

/// What stands before a range: `#EXTINF:`, seconds of 64 bits of microseconds, `,\n#EXT-X-BYTERANGE:`.
const BEFORE_BYTES: usize = 8 + 21 + 19;
/// A line's end, a name of 32 bits, a line's end.
const NAME_BYTES: usize = 1 + 14 + 1;

impl<'a> Pictures<'a> {
    fn of(track: &'a Track, form: Form) -> Self {
        let before = Piece::new(b"");
        Self { track, form, ticks: 0, us: 0, duration_us: u64::MAX, before }
    }

    fn push(&mut self, to: &mut Vec<u8>, segments: impl Iterator<Item = (u32, Range<u32>)>) {
        let mut scratch = Vec::with_capacity(BEFORE_BYTES);
        for (number, fragments) in segments {
            scratch.clear();
            push(&mut scratch, "\n");
            push_integer(&mut scratch, number.into());
            push(&mut scratch, ".m4s\n");
            let name: Piece<NAME_BYTES> = Piece::new(&scratch);
            let mut offset_bytes = 0;
            for row in self.track.rows(fragments) {
                self.ticks += u64::from(row.duration_ticks);
                let next_us = time::micros(self.ticks, self.track.timescale());
                let duration_us = next_us - self.us;
                if duration_us != self.duration_us {
                    self.last(duration_us, &mut scratch);
                }
                self.us = next_us;
                self.before.push_to(to);
                push_integer(to, self.form.first_sample_end(true, row));
                to.push(b'@');
                push_integer(to, offset_bytes);
                name.push_to(to);
                offset_bytes += self.form.fragment_bytes(true, row);
            }
        }
    }

    /// The fragments from here on last so long. Most last as long as the one before.
    fn last(&mut self, duration_us: u64, scratch: &mut Vec<u8>) {
        scratch.clear();
        push(scratch, "#EXTINF:");
        push_seconds(scratch, duration_us);
        push(scratch, ",\n#EXT-X-BYTERANGE:");
        self.before = Piece::new(scratch);
        self.duration_us = duration_us;
    }
}
