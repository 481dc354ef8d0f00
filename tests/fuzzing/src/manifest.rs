//! What the load harness reads of a server that it knows nothing of.

use std::time::Duration;

use headwater_bench::manifest::{Presentation, Segments, Timeline, dash, hls};
use url::Url;

/// A manifest: an MPD, a multivariant or a media playlist. What is played is there, times go forward,
/// and whatever a player looks for is found.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let at = Url::parse("http://origin.test/clear/film/manifest").unwrap();
    let read = match text.trim_start().starts_with('<') {
        true => dash::read(text, &at),
        false if hls::is_media(text) => {
            let timeline = hls::media(text, &at);
            return timeline.is_ok_and(|timeline| holds(&timeline));
        }
        false => hls::multivariant(text, &at),
    };
    let Ok(Presentation { variants, first, tracks }) = read else { return false };
    assert!(!variants.is_empty() && first.is_none_or(|first| first < variants.len()));
    for variant in &variants {
        assert!(!variant.tracks.is_empty() && variant.tracks.iter().all(|n| *n < tracks.len()));
    }
    for track in &tracks {
        if let Segments::Known(timeline) = &track.segments {
            holds(timeline);
        }
    }
    true
}

fn holds(timeline: &Timeline) -> bool {
    let Timeline { inits, segments } = timeline;
    assert!(!segments.is_empty());
    let mut before = Duration::ZERO;
    for segment in segments {
        assert!(before <= segment.start && segment.start <= segment.end(), "{segment:?}");
        assert!(segment.init.is_none_or(|init| init < inits.len()));
        before = segment.start;
    }
    for time in [Duration::ZERO, before, timeline.end(), Duration::MAX] {
        assert!(timeline.at(time) < segments.len());
    }
    for piece in timeline.pieces() {
        assert!(piece.range.as_ref().is_none_or(|range| range.start <= range.end));
        assert!(matches!(piece.url.scheme(), "http" | "https"), "{}", piece.url);
    }
    true
}
