//! DASH manifests (ISO/IEC 23009-1 5th edition): a static MPD with a Period for each key period,
//! or one.
//!
//! One adaptation set for each codec family, language and kind; SegmentTemplate with $Number$ and
//! a SegmentTimeline. Media URLs are those of HLS, so one cached segment serves both. The order of
//! elements is the schema's.
//!
//! There is no Location: every media URL in an MPD names its version already, and players differ
//! in whether relative URLs then start at the Location (see ARCHITECTURE.md).

mod descriptors;
mod protection;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, Event};

use crate::colour::VideoRange;
use crate::heads::Media;
use crate::label::Label;
use crate::period::{Period, Periods};
use crate::signalling::Protection;
use crate::text::{push, push_integer};
use crate::timeline::{Timeline, TrackRates};
use crate::title::{Title, Track};

type Out = Writer<Vec<u8>>;

const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";

/// The MPD. `prefix` leads from its folder to the version's: empty, or `<version>.<rev>/`.
pub fn mpd(
    title: &Title,
    timeline: &Timeline,
    protection: Option<&Protection>,
    prefix: &str,
) -> Vec<u8> {
    let duration = iso_seconds(title.duration_us());
    let mut w = Writer::new(Vec::with_capacity(4096));
    emit(&mut w, Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
    let mut mpd = BytesStart::new("MPD").with_attributes([("xmlns", NAMESPACE)]);
    if protection.is_some() {
        mpd.extend_attributes(protection::NAMESPACES);
    }
    mpd.extend_attributes([
        ("profiles", "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"),
        ("type", "static"),
        ("mediaPresentationDuration", duration.as_str()),
        ("minBufferTime", &format!("PT{}S", timeline.target_duration_s())),
    ]);
    element(&mut w, mpd, |w| {
        let sets = adaptation_sets(title, timeline, protection);
        // Nothing but keys changes: where there are none, or always the same, one Period will do.
        let whole = Periods::new(title, timeline, 0);
        for period in protection.map_or(&whole, Protection::periods).iter() {
            let duration = iso_seconds(period.end_us - period.start_us);
            let start = BytesStart::new("Period").with_attributes([
                ("id", period.number().to_string().as_str()),
                ("start", &iso_seconds(period.start_us)),
                ("duration", &duration),
            ]);
            let part = Part { timeline, period, protection, prefix };
            element(w, start, |w| {
                let sets = part.sets(&sets);
                for set in &sets {
                    let others = Others {
                        switching: others(&sets, set),
                        has_sdr: title.tracks().iter().any(is_sdr),
                    };
                    adaptation_set(w, &part, set, &others);
                }
            });
        }
    });
    w.into_inner()
}

/// What a Period is about, and where its files lie.
struct Part<'a> {
    timeline: &'a Timeline,
    period: &'a Period,
    protection: Option<&'a Protection>,
    prefix: &'a str,
}

impl Part<'_> {
    /// Of these sets what has something to play in the Period.
    fn sets<'a>(&self, sets: &[Set<'a>]) -> Vec<Set<'a>> {
        let is_there = |(track, _): &Rendition<'a>| {
            self.timeline.fragments(track, self.period.segments.start).is_some()
        };
        sets.iter()
            .map(|Set { id, members }| {
                let members = members.iter().copied().filter(|member| is_there(member)).collect();
                Set { id: id.clone(), members }
            })
            .filter(|set| !set.members.is_empty())
            .collect()
    }
}

/// A track and its rates.
type Rendition<'a> = (&'a Track, &'a TrackRates);

/// Tracks of one key that a player may switch between.
struct Set<'a> {
    id: String,
    members: Vec<Rendition<'a>>,
}

/// What a set says in view of the others.
struct Others {
    /// Ids of those that a player may switch to.
    switching: String,
    /// Whether there is video that every screen can show.
    has_sdr: bool,
}

fn is_sdr(track: &Track) -> bool {
    track.is_video() && track.range() == VideoRange::Sdr
}

/// Tracks of the same kind, codec family, language and role (5.3.3.1), and under one key.
fn adaptation_sets<'a>(
    title: &'a Title,
    timeline: &'a Timeline,
    protection: Option<&Protection>,
) -> Vec<Set<'a>> {
    let one_key =
        |a: &Track, b: &Track| protection.is_none() || Label::of(a.media()) == Label::of(b.media());
    let mut sets: Vec<Set<'a>> = Vec::new();
    for rendition @ (track, _) in title.tracks().iter().zip(timeline.rates()) {
        let fits = |set: &&mut Set<'a>| {
            let (first, _) = set.members[0];
            may_switch(first, track) && one_key(first, track)
        };
        match sets.iter_mut().find(fits) {
            Some(set) => set.members.push(rendition),
            None => {
                let id = (sets.len() + 1).to_string();
                sets.push(Set { id, members: vec![rendition] });
            }
        }
    }
    sets
}

/// Ids of the sets that a player may switch to although they have another key (5.3.3.5).
fn others(sets: &[Set<'_>], set: &Set<'_>) -> String {
    let ids: Vec<_> = sets
        .iter()
        .filter(|other| other.id != set.id && may_switch(other.members[0].0, set.members[0].0))
        .map(|other| other.id.as_str())
        .collect();
    ids.join(",")
}

fn may_switch(a: &Track, b: &Track) -> bool {
    let shape = |track: &Track| match *track.media() {
        Media::Video { .. } => None,
        Media::Audio { sample_rate, channels } => Some((sample_rate, channels)),
    };
    a.is_video() == b.is_video()
        && a.family() == b.family()
        && a.range() == b.range()
        && a.role() == b.role()
        && a.joc() == b.joc()
        && a.language() == b.language()
        && shape(a) == shape(b)
}

fn adaptation_set(w: &mut Out, part: &Part<'_>, Set { id, members }: &Set<'_>, others: &Others) {
    let (first, _) = members[0];
    let (kind, mime) =
        if first.is_video() { ("video", "video/mp4") } else { ("audio", "audio/mp4") };
    // Renditions cut from one source share their timeline; those that do not carry their own.
    let own: Vec<Vec<u8>> =
        members.iter().map(|(track, _)| segment_timeline(part, track)).collect();
    let shared = own.iter().zip(members).all(|(segments, (track, _))| {
        *segments == own[0] && track.timescale() == first.timescale()
    });
    let mut start = BytesStart::new("AdaptationSet").with_attributes([
        ("id", id.as_str()),
        ("contentType", kind),
        ("mimeType", mime),
    ]);
    if shared {
        start.push_attribute(("segmentAlignment", "true"));
    }
    if members.iter().all(|(track, _)| track.is_independent()) {
        start.push_attribute(("startWithSAP", "1"));
    }
    if let Some(language) = first.language() {
        start.push_attribute(("lang", language));
    }
    element(w, start, |w| {
        if let Some(protection) = part.protection {
            let track = protection.of(first, part.period.segments.start);
            protection::write(w, protection, track, part.prefix);
        }
        descriptors::colour(w, first, others.has_sdr);
        if !others.switching.is_empty() {
            let scheme = "urn:mpeg:dash:adaptation-set-switching:2016";
            descriptors::write(w, "SupplementalProperty", scheme, &others.switching);
        }
        descriptors::role(w, first.role());
        if shared {
            segment_template(w, part, first, &own[0]);
        }
        for (rendition, segments) in members.iter().zip(&own) {
            representation(w, part, rendition, (!shared).then_some(segments));
        }
    });
}

fn representation(
    w: &mut Out,
    part: &Part<'_>,
    (track, rates): &Rendition<'_>,
    own_timeline: Option<&Vec<u8>>,
) {
    let mut start = BytesStart::new("Representation").with_attributes([
        ("id", track.id().as_str()),
        ("codecs", track.codecs()),
        ("bandwidth", rates.segments.peak_bps.to_string().as_str()),
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
        }
        Media::Audio { sample_rate, .. } => {
            start.push_attribute(("audioSamplingRate", sample_rate.to_string().as_str()));
        }
    }
    element(w, start, |w| {
        if let Media::Audio { channels, .. } = *track.media() {
            descriptors::channels(w, track, channels);
        }
        if let Some(segments) = own_timeline {
            segment_template(w, part, track, segments);
        }
    });
}

fn segment_template(w: &mut Out, part: &Part<'_>, track: &Track, segments: &[u8]) {
    let Part { period, prefix, .. } = part;
    let suffix = period.suffix();
    let mut start = BytesStart::new("SegmentTemplate").with_attributes([
        ("timescale", track.timescale().to_string().as_str()),
        ("initialization", &format!("{prefix}$RepresentationID$/init{suffix}.mp4")),
        ("media", &format!("{prefix}$RepresentationID$/$Number$.m4s")),
        ("startNumber", &period.segments.start.to_string()),
    ]);
    // The same moment for every track, which may lie within a frame of sound (5.3.9.2).
    let offset_ticks = period.start_ticks(track.timescale());
    if offset_ticks > 0 {
        start.push_attribute(("presentationTimeOffset", offset_ticks.to_string().as_str()));
    }
    element(w, start, |w| {
        element(w, BytesStart::new("SegmentTimeline"), |w| {
            // Whole elements of our own, thousands of them where sound is cut unevenly.
            w.get_mut().extend_from_slice(segments);
        });
    });
}

/// The S elements of a track, equal neighbours as one with @r (5.3.9.6).
fn segment_timeline(part: &Part<'_>, track: &Track) -> Vec<u8> {
    let Part { timeline, period, .. } = part;
    let mut to = Vec::new();
    let mut run: Option<(u64, u64)> = None; // duration, repeats
    let first = timeline.fragments(track, period.segments.start);
    let start_ticks = first.map_or(0, |first| track.position(first.start).ticks);
    for duration in timeline.durations_within(track, period.segments.clone()) {
        run = match run {
            Some((same, repeats)) if same == duration => Some((same, repeats + 1)),
            other => {
                other.into_iter().for_each(|run| push_s(&mut to, start_ticks, run));
                Some((duration, 0))
            }
        };
    }
    run.into_iter().for_each(|run| push_s(&mut to, start_ticks, run));
    to
}

/// One S element; the first says where the timeline starts.
fn push_s(to: &mut Vec<u8>, start_ticks: u64, (duration, repeats): (u64, u64)) {
    if to.is_empty() {
        push(to, "<S t=\"");
        push_integer(to, start_ticks);
        push(to, "\" d=\"");
    } else {
        push(to, "<S d=\"");
    }
    push_integer(to, duration);
    if repeats > 0 {
        push(to, "\" r=\"");
        push_integer(to, repeats);
    }
    push(to, "\"/>");
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
