//! I-frame playlists: one byte range for each fragment's IDR picture (8216bis 4.4.3.6).
//!
//! The range is the moof, the mdat header and the first sample: what a player needs to show that
//! one picture. It lies in the segment that normal playback fetches, so nothing is stored or
//! cached twice, and it is known from the rows alone.

use super::keys;
use crate::protect::Form;
use crate::signalling::Protection;
use crate::text::{push, push_integer, push_seconds};
use crate::time;
use crate::timeline::{Segment, Timeline};
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
    let mut to = Vec::with_capacity(256 + fragments * 56);
    // EXT-X-MAP in an I-frame playlist needs version 5 (8216bis 8).
    push(&mut to, "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:");
    push_integer(&mut to, timeline.target_duration_s());
    push(&mut to, "\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    push(&mut to, "#EXT-X-I-FRAMES-ONLY\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let before = Before { duration_us: u64::MAX, text: Vec::new() };
    let (form, name) = (timeline.form(), Vec::new());
    let mut pictures = Pictures { track, form, ticks: 0, us: 0, before, name };
    match protection {
        None => {
            push(&mut to, "#EXT-X-MAP:URI=\"init.mp4\"\n");
            pictures.push(&mut to, timeline.segments_of(track));
        }
        Some(protection) => {
            for period in protection.periods().of_track(timeline, track) {
                push(&mut to, &keys::of_period(protection, track, period));
                let of_period = timeline.segments_within(track, period.segments.clone());
                pictures.push(&mut to, of_period);
            }
        }
    }
    push(&mut to, "#EXT-X-ENDLIST\n");
    Some(to)
}

/// The pictures' lines, and where a track's clock stands before the next. Most fragments last as
/// long as the one before, and all of a segment end on its name.
struct Pictures<'a> {
    track: &'a Track,
    form: Form,
    ticks: u64,
    us: u64,
    before: Before,
    name: Vec<u8>,
}

impl Pictures<'_> {
    fn push(&mut self, to: &mut Vec<u8>, segments: impl Iterator<Item = Segment>) {
        for segment in segments {
            self.name.clear();
            push(&mut self.name, "\n");
            push_integer(&mut self.name, u64::from(segment.number));
            push(&mut self.name, ".m4s\n");
            self.of_segment(to, &segment);
        }
    }

    fn of_segment(&mut self, to: &mut Vec<u8>, segment: &Segment) {
        let mut offset_bytes = 0;
        for row in self.track.rows(segment.fragments.clone()) {
            self.ticks += u64::from(row.duration_ticks);
            let next_us = time::micros(self.ticks, self.track.timescale());
            self.before.push(to, next_us - self.us);
            push_integer(to, self.form.first_sample_end(true, row));
            to.push(b'@');
            push_integer(to, offset_bytes);
            to.extend_from_slice(&self.name);
            self.us = next_us;
            offset_bytes += self.form.fragment_bytes(true, row);
        }
    }
}

/// What stands before a range.
struct Before {
    duration_us: u64,
    text: Vec<u8>,
}

impl Before {
    fn push(&mut self, to: &mut Vec<u8>, duration_us: u64) {
        if duration_us != self.duration_us {
            self.duration_us = duration_us;
            self.text.clear();
            push(&mut self.text, "#EXTINF:");
            push_seconds(&mut self.text, duration_us);
            push(&mut self.text, ",\n#EXT-X-BYTERANGE:");
        }
        to.extend_from_slice(&self.text);
    }
}
