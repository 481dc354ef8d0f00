//! Media playlists: the segments of one track (8216bis 4.4.3, 4.4.4).

use super::keys;
use crate::signalling::Protection;
use crate::text::{push, push_integer, push_seconds};
use crate::time;
use crate::timeline::Timeline;
use crate::title::Track;

/// The media playlist of a track, with its init and segments beside it.
pub fn media(timeline: &Timeline, track: &Track, protection: Option<&Protection>) -> Vec<u8> {
    let segments = usize::try_from(timeline.segments()).expect("u32 fits");
    let mut to = Vec::with_capacity(256 + segments * 28);
    // EXT-X-MAP outside an I-frame playlist needs version 6 (8216bis 8).
    push(&mut to, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:");
    push_integer(&mut to, timeline.target_duration_s());
    push(&mut to, "\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    if track.is_independent() {
        push(&mut to, "#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let protected = protection.map(|protection| (protection, protection.of(track)));
    let own_key = |number| protected.and_then(|(_, track)| keys::of_segment(track, number));
    // A key applies to every map after it: one stands before a map that is encrypted itself.
    push(&mut to, &own_key(0).unwrap_or_default());
    push(&mut to, "#EXT-X-MAP:URI=\"init.mp4\"\n");
    if let Some((protection, track)) = protected {
        push(&mut to, &keys::of_track(protection, track));
    }
    let (mut ticks, mut us) = (0, 0);
    for (number, duration_ticks) in (1..).zip(timeline.durations_of(track)) {
        if let Some(key) = own_key(number) {
            push(&mut to, &key);
        }
        ticks += duration_ticks;
        // Of cumulative times, so that all lengths up to here add up to the rounded end.
        let next_us = time::micros(ticks, track.timescale());
        push(&mut to, "#EXTINF:");
        push_seconds(&mut to, next_us - us);
        push(&mut to, ",\n");
        push_integer(&mut to, u64::from(number));
        push(&mut to, ".m4s\n");
        us = next_us;
    }
    push(&mut to, "#EXT-X-ENDLIST\n");
    to
}
