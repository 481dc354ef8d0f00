//! What a player learns from a manifest: variants, their tracks, and where each segment lies in
//! time. HLS and DASH become the same plain values; what they differ in ends here.
//!
//! On demand only. Left out on purpose, and never asked for: I-frame playlists, subtitles, content
//! keys, and more than one period.

pub mod dash;
pub mod hls;
mod xml;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// What a player speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A multivariant playlist and media playlists.
    Hls,
    /// An MPD.
    Dash,
}

impl Protocol {
    /// By a manifest's path; its bytes are read accordingly.
    pub fn of(url: &Url) -> Result<Self, String> {
        let path = url.path();
        match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("m3u8") => Ok(Self::Hls),
            Some("mpd") => Ok(Self::Dash),
            _ => Err(format!("{url}: a manifest's path ends with .m3u8 or .mpd")),
        }
    }
}

/// A title as its manifest tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Presentation {
    /// What is played together, by rising rate.
    pub variants: Vec<Variant>,
    /// Which of them an HLS player begins with: the first of the list.
    pub first: Option<usize>,
    /// What variants are made of.
    pub tracks: Vec<Track>,
}

/// A picture of one quality with its sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Bits a second of all its tracks together.
    pub bandwidth_bps: u64,
    /// Indexes into the presentation's tracks: the picture, or all in one; then sound.
    pub tracks: Vec<usize>,
}

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Both in one.
    Muxed,
}

/// One track in one quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// What it carries.
    pub kind: Kind,
    /// Bits a second, where a manifest tells it for this track alone.
    pub bandwidth_bps: Option<u64>,
    /// Where its segments are.
    pub segments: Segments,
}

/// Where segments are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Segments {
    /// In a media playlist of its own.
    Playlist(Url),
    /// Here.
    Known(Arc<Timeline>),
}

/// The segments of a track in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Init sections.
    pub inits: Vec<Piece>,
    /// Never empty.
    pub segments: Vec<Segment>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// What is asked for.
    pub piece: Piece,
    /// Which init section it needs.
    pub init: Option<usize>,
    /// When it begins, from the start of the title.
    pub start: Duration,
    /// How long it lasts.
    pub duration: Duration,
}

/// A resource, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where.
    pub url: Url,
    /// Which bytes, where not all.
    pub range: Option<Range<u64>>,
}

impl Segment {
    /// When it ends.
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }
}

impl Timeline {
    /// When its last segment ends.
    pub fn end(&self) -> Duration {
        self.segments.last().map_or(Duration::ZERO, Segment::end)
    }

    /// The segment that is shown at a time; the last one for what is later.
    pub fn at(&self, time: Duration) -> usize {
        let after = self.segments.partition_point(|segment| segment.start <= time);
        after.saturating_sub(1)
    }

    /// Init sections, then segments.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.inits.iter().chain(self.segments.iter().map(|segment| &segment.piece))
    }

    /// The index of an init section, which is added where it is new.
    fn init(&mut self, piece: Piece) -> usize {
        let known = self.inits.iter().position(|init| *init == piece);
        known.unwrap_or_else(|| {
            self.inits.push(piece);
            self.inits.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MPD: &str = "<MPD mediaPresentationDuration=\"PT1M3.5S\"><Period><AdaptationSet \
        mimeType=\"video/mp4\"><Representation id=\"v\" bandwidth=\"9\"><SegmentTemplate \
        timescale=\"90000\" duration=\"540000\" media=\"$Number%05d$-$Time$\"><SegmentTimeline>\
        <S t=\"0\" d=\"540000\" r=\"9\"/></SegmentTimeline></SegmentTemplate></Representation>\
        </AdaptationSet></Period></MPD>";
    const PLAYLIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"i\",BYTERANGE=\"9@0\"\n\
        #EXTINF:6.006,\n#EXT-X-BYTERANGE:100@10\na\n#EXTINF:1e9,\nb\n#EXT-X-ENDLIST\n";
    const MASTER: &str = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"x\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=900,CODECS=\"avc1\",AUDIO=\"a\"\nv\n";

    proptest! {
        /// A manifest that was spoilt on its way is refused or read; nothing panics or runs away.
        #[test]
        fn spoilt_manifests_do_no_harm(which in 0_usize..3,
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), "[ -~]{0,3}"), 0..6),
            cut in any::<prop::sample::Index>()) {
            let mut text = [MPD, PLAYLIST, MASTER][which].to_owned();
            for (at, with) in spoilt {
                let at = at.index(text.len());
                let end = (at + with.len()).min(text.len());
                text.replace_range(at..end, &with);
            }
            if cut.index(4) == 0 {
                text.truncate(cut.index(text.len()));
            }
            let url = Url::parse("http://h/t/m").unwrap();
            let read = if which == 0 { dash::read(&text, &url) } else { hls::multivariant(&text, &url) };
            if let Ok(title) = read {
                prop_assert!(!title.variants.is_empty());
                let tracks = title.variants.iter().flat_map(|variant| &variant.tracks);
                prop_assert!(tracks.into_iter().all(|track| *track < title.tracks.len()));
            }
        }
    }

    #[test]
    fn the_segment_at_a_time() {
        let url = Url::parse("http://h/1").unwrap();
        let segment = |start_s, duration_s| Segment {
            piece: Piece { url: url.clone(), range: None },
            init: None,
            start: Duration::from_secs(start_s),
            duration: Duration::from_secs(duration_s),
        };
        let timeline = Timeline {
            inits: Vec::new(),
            segments: vec![segment(0, 6), segment(6, 6), segment(12, 1)],
        };
        for (at_ms, wanted) in [(0, 0), (5_999, 0), (6_000, 1), (12_000, 2), (99_000, 2)] {
            assert_eq!(timeline.at(Duration::from_millis(at_ms)), wanted, "{at_ms}");
        }
        assert_eq!(timeline.end(), Duration::from_secs(13));
    }

    #[test]
    fn protocols_by_their_path() {
        for (path, wanted) in [
            ("a/master.m3u8?x=.mpd", Some(Protocol::Hls)),
            ("manifest.mpd", Some(Protocol::Dash)),
            ("a", None),
        ] {
            let url = Url::parse(&format!("http://h/{path}")).unwrap();
            assert_eq!(Protocol::of(&url).ok(), wanted, "{path}");
        }
    }
}
