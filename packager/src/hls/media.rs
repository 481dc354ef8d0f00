//! Media playlists: the segments of one track (8216bis 4.4.3, 4.4.4).

use super::keys;
use crate::signalling::Protection;
use crate::text::{push, push_integer, push_seconds};
use crate::time;
use crate::timeline::Timeline;
use crate::title::Track;

/// The media playlist of a track, with its init and segments beside it.
pub fn media(timeline: &Timeline, track: &Track, protection: Option<&Protection>) -> Vec<u8> {
    let count = usize::try_from(timeline.segments()).expect("u32 fits");
    let mut to = Vec::with_capacity(256 + count * 28);
    // EXT-X-MAP outside an I-frame playlist needs version 6 (8216bis 8).
    push(&mut to, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:");
    push_integer(&mut to, timeline.target_duration_s());
    push(&mut to, "\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    if track.is_independent() {
        push(&mut to, "#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let mut lines = Lines { track, number: 1, ticks: 0, us: 0 };
    match protection {
        None => {
            push(&mut to, "#EXT-X-MAP:URI=\"init.mp4\"\n");
            lines.push(&mut to, timeline.durations_of(track), |_| None);
        }
        Some(protection) => {
            for period in protection.periods().of_track(timeline, track) {
                push(&mut to, &keys::of_period(protection, track, period));
                let protected = protection.of(track, period.segments.start);
                let own_key = |number| keys::of_segment(protected, period.suffix(), number);
                let of_period = timeline.durations_within(track, period.segments.clone());
                lines.push(&mut to, of_period, own_key);
            }
        }
    }
    push(&mut to, "#EXT-X-ENDLIST\n");
    to
}

/// The segments' lines, and where a track's clock stands before the next.
struct Lines<'a> {
    track: &'a Track,
    number: u32,
    ticks: u64,
    us: u64,
}

impl Lines<'_> {
    fn push(
        &mut self,
        to: &mut Vec<u8>,
        durations_ticks: impl Iterator<Item = u64>,
        own_key: impl Fn(u32) -> Option<String>,
    ) {
        for duration_ticks in durations_ticks {
            if let Some(key) = own_key(self.number) {
                push(to, &key);
            }
            self.ticks += duration_ticks;
            // Of cumulative times, so that all lengths up to here add up to the rounded end.
            let next_us = time::micros(self.ticks, self.track.timescale());
            push(to, "#EXTINF:");
            push_seconds(to, next_us - self.us);
            push(to, ",\n");
            push_integer(to, u64::from(self.number));
            push(to, ".m4s\n");
            self.us = next_us;
            self.number += 1;
        }
    }
}
