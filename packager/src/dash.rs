//! DASH manifests (ISO/IEC 23009-1 5th edition): a static MPD with one Period.
//!
//! One adaptation set for each codec family, language and kind; SegmentTemplate with $Number$ and
//! a SegmentTimeline. Media URLs are those of HLS, so one cached segment serves both. The order of
//! elements is the schema's.
//!
//! There is no Location: every media URL in an MPD names its version already, and players differ
//! in whether relative URLs then start at the Location (see ARCHITECTURE.md).

use std::fmt::Write as _;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::bandwidth::track_rates;
use crate::heads::Media;
use crate::timeline::Timeline;
use crate::title::{Title, Track};

type Out = Writer<Vec<u8>>;

/// The MPD. `prefix` leads from its folder to the version's: empty, or `<version>.<rev>/`.
pub fn mpd(title: &Title, timeline: &Timeline, prefix: &str) -> Vec<u8> {
    let target_duration_s = timeline.target_duration_s(title);
    let duration = iso_seconds(title.duration_us());
    let mut w = Writer::new(Vec::with_capacity(4096));
    emit(&mut w, Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
    let mpd = BytesStart::new("MPD").with_attributes([
        ("xmlns", "urn:mpeg:dash:schema:mpd:2011"),
        ("profiles", "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"),
        ("type", "static"),
        ("mediaPresentationDuration", duration.as_str()),
        ("minBufferTime", &format!("PT{target_duration_s}S")),
    ]);
    element(&mut w, mpd, |w| {
        let period = BytesStart::new("Period").with_attributes([
            ("id", "0"),
            ("start", "PT0S"),
            ("duration", duration.as_str()),
        ]);
        element(w, period, |w| {
            for (id, set) in adaptation_sets(title).iter().enumerate() {
                adaptation_set(w, timeline, set, id + 1, target_duration_s, prefix);
            }
        });
    });
    w.into_inner()
}

/// Tracks that a player may switch between: same kind, codec family and language (5.3.3.1).
fn adaptation_sets(title: &Title) -> Vec<Vec<&Track>> {
    let mut sets: Vec<Vec<&Track>> = Vec::new();
    for track in title.tracks() {
        match sets.iter_mut().find(|set| may_switch(set[0], track)) {
            Some(set) => set.push(track),
            None => sets.push(vec![track]),
        }
    }
    sets
}

fn may_switch(a: &Track, b: &Track) -> bool {
    let family = |track: &Track| track.codecs().split('.').next().map(str::to_owned);
    let shape = |track: &Track| match *track.media() {
        Media::Video { .. } => None,
        Media::Audio { sample_rate, channels } => Some((sample_rate, channels)),
    };
    a.is_video() == b.is_video()
        && family(a) == family(b)
        && a.language() == b.language()
        && shape(a) == shape(b)
}

fn adaptation_set(
    w: &mut Out,
    timeline: &Timeline,
    set: &[&Track],
    id: usize,
    target_duration_s: u64,
    prefix: &str,
) {
    let (kind, mime) =
        if set[0].is_video() { ("video", "video/mp4") } else { ("audio", "audio/mp4") };
    let mut start = BytesStart::new("AdaptationSet").with_attributes([
        ("id", id.to_string().as_str()),
        ("contentType", kind),
        ("mimeType", mime),
        ("segmentAlignment", "true"),
    ]);
    if set.iter().all(|track| track.is_independent()) {
        start.push_attribute(("startWithSAP", "1"));
    }
    if let Some(language) = set[0].language() {
        start.push_attribute(("lang", language));
    }
    // Renditions cut from one source share their timeline; those that do not carry their own.
    let timelines: Vec<String> =
        set.iter().map(|track| segment_timeline(timeline, track)).collect();
    let same = timelines.iter().zip(set).all(|(segments, track)| {
        *segments == timelines[0] && track.timescale() == set[0].timescale()
    });
    element(w, start, |w| {
        let role = [("schemeIdUri", "urn:mpeg:dash:role:2011"), ("value", "main")];
        empty(w, BytesStart::new("Role").with_attributes(role));
        if same {
            segment_template(w, set[0], &timelines[0], prefix);
        }
        for (track, segments) in set.iter().zip(&timelines) {
            let own = (!same).then_some(segments.as_str());
            representation(w, timeline, track, own, target_duration_s, prefix);
        }
    });
}

fn representation(
    w: &mut Out,
    timeline: &Timeline,
    track: &Track,
    own_timeline: Option<&str>,
    target_duration_s: u64,
    prefix: &str,
) {
    let rates = track_rates(timeline, track, target_duration_s);
    let bandwidth = rates.peak_bps.to_string();
    let mut start = BytesStart::new("Representation").with_attributes([
        ("id", track.id().as_str()),
        ("codecs", track.codecs()),
        ("bandwidth", bandwidth.as_str()),
    ]);
    match *track.media() {
        Media::Video { width, height, frame_rate: (numerator, denominator) } => {
            start.push_attribute(("width", width.to_string().as_str()));
            start.push_attribute(("height", height.to_string().as_str()));
            let rate = match denominator {
                1 => numerator.to_string(),
                _ => format!("{numerator}/{denominator}"),
            };
            start.push_attribute(("frameRate", rate.as_str()));
            start.push_attribute(("sar", "1:1"));
        }
        Media::Audio { sample_rate, .. } => {
            start.push_attribute(("audioSamplingRate", sample_rate.to_string().as_str()));
        }
    }
    element(w, start, |w| {
        if let Media::Audio { channels, .. } = *track.media() {
            let channels = channels.to_string();
            let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
            let configuration = [("schemeIdUri", scheme), ("value", channels.as_str())];
            empty(w, BytesStart::new("AudioChannelConfiguration").with_attributes(configuration));
        }
        if let Some(segments) = own_timeline {
            segment_template(w, track, segments, prefix);
        }
    });
}

fn segment_template(w: &mut Out, track: &Track, segments: &str, prefix: &str) {
    let start = BytesStart::new("SegmentTemplate").with_attributes([
        ("timescale", track.timescale().to_string().as_str()),
        ("initialization", &format!("{prefix}$RepresentationID$/init.mp4")),
        ("media", &format!("{prefix}$RepresentationID$/$Number$.m4s")),
        ("startNumber", "1"),
    ]);
    element(w, start, |w| {
        element(w, BytesStart::new("SegmentTimeline"), |w| {
            // Numbers only: nothing in it could need escaping.
            emit(w, Event::Text(BytesText::from_escaped(segments)));
        });
    });
}

/// The S elements of a track, equal neighbours as one with @r (5.3.9.6).
fn segment_timeline(timeline: &Timeline, track: &Track) -> String {
    let mut text = String::new();
    let mut run: Option<(u64, u64)> = None; // duration, repeats
    let mut first = true;
    let mut flush = |(duration, repeats): (u64, u64)| {
        let t = if std::mem::take(&mut first) { " t=\"0\"" } else { "" };
        let _ = match repeats {
            0 => write!(text, "<S{t} d=\"{duration}\"/>"),
            _ => write!(text, "<S{t} d=\"{duration}\" r=\"{repeats}\"/>"),
        };
    };
    for segment in timeline.segments_of(track) {
        let duration = segment.duration_ticks();
        run = match run {
            Some((same, repeats)) if same == duration => Some((same, repeats + 1)),
            other => {
                other.into_iter().for_each(&mut flush);
                Some((duration, 0))
            }
        };
    }
    run.into_iter().for_each(&mut flush);
    text
}

/// An xs:duration in seconds, trailing zeros left off.
fn iso_seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    format!("PT{}S", text.trim_end_matches('0').trim_end_matches('.'))
}

fn element(w: &mut Out, start: BytesStart<'_>, body: impl FnOnce(&mut Out)) {
    let end = BytesEnd::from(start.name()).into_owned();
    emit(w, Event::Start(start));
    body(w);
    emit(w, Event::End(end));
}

fn empty(w: &mut Out, start: BytesStart<'_>) {
    emit(w, Event::Empty(start));
}

fn emit(w: &mut Out, event: Event<'_>) {
    w.write_event(event).expect("writing into memory does not fail");
}
