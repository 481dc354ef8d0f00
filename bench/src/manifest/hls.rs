//! Playlists (RFC 8216) by m3u8-rs.

use std::collections::HashMap;
use std::time::Duration;

use m3u8_rs::{AlternativeMedia, AlternativeMediaType, ByteRange, VariantStream};
use url::Url;

use super::{Kind, Piece, Presentation, Segment, Segments, Timeline, Track, Variant};
use crate::address::follow;
use crate::limits::{MAX_RENDITIONS, MAX_SEGMENTS};
use crate::number;

/// Whether a text is a media playlist, which can be played by itself.
pub fn is_media(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("#EXTINF"))
}

/// A multivariant playlist; a media playlist is taken for its only variant.
pub fn multivariant(text: &str, url: &Url) -> Result<Presentation, String> {
    if is_media(text) {
        let timeline = media(text, url)?;
        return Ok(alone(Track {
            kind: Kind::Muxed,
            bandwidth_bps: None,
            segments: Segments::Known(timeline.into()),
        }));
    }
    let playlist = m3u8_rs::parse_master_playlist_res(text.as_bytes())
        .map_err(|_| format!("{url}: not a multivariant playlist (RFC 8216 4.3.4)"))?;
    let playing = || playlist.variants.iter().filter(|variant| !variant.is_i_frame);
    if playing().count() > MAX_RENDITIONS || playlist.alternatives.len() > MAX_RENDITIONS {
        return Err(format!("{url}: more than {MAX_RENDITIONS} renditions"));
    }
    let mut tracks = Tracks::default();
    let mut variants = Vec::new();
    for variant in playing() {
        let sound = sound_of(variant, &playlist.alternatives);
        let kind = if sound.is_some() { Kind::Video } else { Kind::Muxed };
        let mut of_it = vec![tracks.of(follow(url, &variant.uri)?, kind)];
        if let Some(uri) = sound {
            of_it.push(tracks.of(follow(url, uri)?, Kind::Audio));
        }
        variants.push(Variant { bandwidth_bps: variant.bandwidth, tracks: of_it });
    }
    let first = variants.first().cloned();
    variants.sort_by_key(|variant| variant.bandwidth_bps);
    let first = variants.iter().position(|variant| Some(variant) == first.as_ref());
    if first.is_none() {
        return Err(format!("{url}: no variant to play"));
    }
    Ok(Presentation { variants, first, tracks: tracks.all })
}

/// A media playlist of something that is complete.
pub fn media(text: &str, url: &Url) -> Result<Timeline, String> {
    let playlist = m3u8_rs::parse_media_playlist_res(text.as_bytes())
        .map_err(|_| format!("{url}: not a media playlist (RFC 8216 4.3.3)"))?;
    if !playlist.end_list {
        return Err(format!("{url}: no EXT-X-ENDLIST: only what is complete can be played"));
    }
    if playlist.segments.is_empty() || playlist.segments.len() > MAX_SEGMENTS {
        let count = playlist.segments.len();
        return Err(format!("{url}: {count} segments, expected 1 to {MAX_SEGMENTS}"));
    }
    let mut timeline = Timeline::default();
    let (mut start, mut init, mut ends) = (Duration::ZERO, None, HashMap::new());
    for segment in playlist.segments {
        if let Some(map) = &segment.map {
            let range = map.byte_range.as_ref().map(|range| span(range, 0));
            init = Some(timeline.init(Piece { url: follow(url, &map.uri)?, range }));
        }
        let at = follow(url, &segment.uri)?;
        // RFC 8216 4.3.2.2: without an offset a range follows the one before of this resource.
        let range = segment.byte_range.as_ref().map(|range| {
            let after = ends.get(&segment.uri).copied().unwrap_or(0);
            span(range, after)
        });
        if let Some(range) = &range {
            ends.insert(segment.uri.clone(), range.end);
        }
        let duration = number::seconds(f64::from(segment.duration));
        timeline.segments.push(Segment { piece: Piece { url: at, range }, init, start, duration });
        start += duration;
    }
    Ok(timeline)
}

/// A presentation of one track.
fn alone(track: Track) -> Presentation {
    let variant = Variant { bandwidth_bps: 0, tracks: vec![0] };
    Presentation { variants: vec![variant], first: Some(0), tracks: vec![track] }
}

/// The playlist of the sound that goes with a variant: the default of its group, or the first. One
/// without a URI is in the variant itself (RFC 8216 4.3.4.1).
fn sound_of<'a>(variant: &VariantStream, media: &'a [AlternativeMedia]) -> Option<&'a str> {
    let group = variant.audio.as_deref()?;
    let members = || {
        media.iter().filter(|media| {
            media.media_type == AlternativeMediaType::Audio && media.group_id == group
        })
    };
    members().find(|media| media.default).or_else(|| members().next())?.uri.as_deref()
}

fn span(range: &ByteRange, after: u64) -> std::ops::Range<u64> {
    let start = range.offset.unwrap_or(after);
    start..start.saturating_add(range.length)
}

/// Tracks by the playlist that they come from.
#[derive(Default)]
struct Tracks {
    all: Vec<Track>,
    known: HashMap<Url, usize>,
}

impl Tracks {
    fn of(&mut self, url: Url, kind: Kind) -> usize {
        *self.known.entry(url).or_insert_with_key(|url| {
            let segments = Segments::Playlist(url.clone());
            self.all.push(Track { kind, bandwidth_bps: None, segments });
            self.all.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        Url::parse("http://h/clear/t/1.a/master.m3u8").unwrap()
    }

    #[test]
    fn variants_rise_and_share_their_sound() {
        let text = "#EXTM3U\n#EXT-X-VERSION:7\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"x/index.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"y\",DEFAULT=YES,URI=\"y/index.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=900,AUDIO=\"a\"\nv2/index.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=300,AUDIO=\"a\"\nv1/index.m3u8\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI=\"v1/iframes.m3u8\"\n";
        let title = multivariant(text, &url()).unwrap();
        let told: Vec<_> =
            title.variants.iter().map(|v| (v.bandwidth_bps, v.tracks.clone())).collect();
        assert_eq!(told, [(300, vec![2, 1]), (900, vec![0, 1])]);
        assert_eq!(title.first, Some(1));
        let Segments::Playlist(sound) = &title.tracks[1].segments else { panic!("a playlist") };
        assert_eq!(sound.as_str(), "http://h/clear/t/1.a/y/index.m3u8");
        assert_eq!(title.tracks[1].kind, Kind::Audio);
    }

    #[test]
    fn segments_lie_in_time_and_ranges_follow_each_other() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"10@0\"\n\
            #EXTINF:6.006,\n#EXT-X-BYTERANGE:100@10\nall.mp4\n\
            #EXTINF:6.006,\n#EXT-X-BYTERANGE:50\nall.mp4\n\
            #EXTINF:1.5,\nlast.mp4\n#EXT-X-ENDLIST\n";
        let timeline = media(text, &url()).unwrap();
        let told: Vec<_> = timeline
            .segments
            .iter()
            .map(|s| (s.start.as_millis(), s.piece.range.clone(), s.init))
            .collect();
        assert_eq!(
            told,
            [(0, Some(10..110), Some(0)), (6006, Some(110..160), Some(0)), (12012, None, Some(0))]
        );
        assert_eq!(timeline.inits[0].range, Some(0..10));
        assert_eq!(timeline.end().as_millis(), 13_512);
        // By itself it is a presentation of one variant.
        assert_eq!(multivariant(text, &url()).unwrap().variants.len(), 1);
    }

    #[test]
    fn what_is_refused() {
        let table = [
            ("#EXTM3U\n", "no variant"),
            ("<MPD/>", "not a multivariant playlist"),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na\n", "no EXT-X-ENDLIST"),
        ];
        for (text, why) in table {
            let error = multivariant(text, &url()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let error =
            media("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-ENDLIST\n", &url()).unwrap_err();
        assert!(error.contains("0 segments"), "{error}");
    }
}
