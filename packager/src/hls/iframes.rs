//! I-frame playlists: one byte range for each fragment's IDR picture (8216bis 4.4.3.6).
//!
//! The range is the moof, the mdat header and the first sample: what a player needs to show that
//! one picture. It lies in the segment that normal playback fetches, so nothing is stored or
//! cached twice, and it is known from the rows alone.

use super::keys;
use super::text::{push, push_integer, push_seconds};
use crate::signalling::Protection;
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
    let mut to = Vec::with_capacity(256 + fragments * 56);
    // EXT-X-MAP in an I-frame playlist needs version 5 (8216bis 8).
    push(&mut to, "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:");
    push_integer(&mut to, timeline.target_duration_s());
    push(&mut to, "\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    push(
        &mut to,
        "#EXT-X-I-FRAMES-ONLY\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n",
    );
    if let Some(protection) = protection {
        push(&mut to, &keys::of_track(protection, protection.of(track)));
    }
    let form = timeline.form();
    for segment in timeline.segments_of(track) {
        let mut at = segment.start;
        let mut offset_bytes = 0;
        for row in track.rows(segment.fragments.clone()) {
            let next = at.after(row);
            let duration_us = time::micros(next.ticks, track.timescale())
                - time::micros(at.ticks, track.timescale());
            push(&mut to, "#EXTINF:");
            push_seconds(&mut to, duration_us);
            push(&mut to, ",\n#EXT-X-BYTERANGE:");
            push_integer(&mut to, form.first_sample_end(true, row));
            push(&mut to, "@");
            push_integer(&mut to, offset_bytes);
            push(&mut to, "\n");
            push_integer(&mut to, u64::from(segment.number));
            push(&mut to, ".m4s\n");
            at = next;
            offset_bytes += form.fragment_bytes(true, row);
        }
    }
    push(&mut to, "#EXT-X-ENDLIST\n");
    Some(to)
}
