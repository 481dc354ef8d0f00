//! MPDs (ISO/IEC 23009-1) of type static: SegmentTemplate with a SegmentTimeline or a constant
//! duration, one period. Templates are inherited attribute by attribute (5.3.9.1).

use std::time::Duration;

use url::Url;

use super::xml::Element;
use super::{Kind, Piece, Presentation, Segment, Segments, Timeline, Track, Variant};
use crate::address::follow;
use crate::limits::{MAX_RENDITIONS, MAX_SEGMENTS};
use crate::number;

/// An MPD.
pub fn read(text: &str, url: &Url) -> Result<Presentation, String> {
    let said = |what: String| format!("{url}: {what}");
    let mpd = Element::parse(text).map_err(said)?;
    if mpd.name != "MPD" {
        return Err(said(format!("expected an MPD, got <{}>", mpd.name)));
    }
    if mpd.attribute("type").is_some_and(|kind| kind != "static") {
        return Err(said("a dynamic MPD: only what is complete can be played".to_owned()));
    }
    let mut periods = mpd.all("Period");
    let (Some(period), None) = (periods.next(), periods.next()) else {
        return Err(said("expected one Period".to_owned()));
    };
    let told = mpd.attribute("mediaPresentationDuration").or(period.attribute("duration"));
    let duration = told.and_then(xs_duration);
    let base = below(&below(url, &mpd)?, period)?;
    let (mut video, mut audio) = (Vec::new(), Vec::new());
    for set in period.all("AdaptationSet") {
        for representation in set.all("Representation") {
            let Some(kind) = kind(set, representation) else { continue };
            let inside = Inside { outer: [period, set, representation], duration };
            let base = below(&below(&base, set)?, representation)?;
            let track = inside.track(kind, &base).map_err(|what| {
                said(format!("{}: {what}", representation.attribute("id").unwrap_or("?")))
            })?;
            let of_its_kind = if kind == Kind::Audio { &mut audio } else { &mut video };
            of_its_kind.push(track);
            if video.len() + audio.len() > MAX_RENDITIONS {
                return Err(said(format!("more than {MAX_RENDITIONS} representations")));
            }
        }
    }
    paired(video, audio).ok_or_else(|| said("no representation to play".to_owned()))
}

/// Each picture with the first sound; sound alone where there is no picture.
fn paired(mut video: Vec<Track>, mut audio: Vec<Track>) -> Option<Presentation> {
    audio.truncate(1);
    if video.is_empty() {
        std::mem::swap(&mut video, &mut audio);
    }
    let rate = |track: &Track| track.bandwidth_bps.unwrap_or(0);
    video.sort_by_key(rate);
    let sound = audio.first().map_or(0, rate);
    let variants: Vec<_> = video
        .iter()
        .enumerate()
        .map(|(n, track)| {
            let mut tracks = vec![n];
            tracks.extend(audio.first().map(|_| video.len()));
            Variant { bandwidth_bps: rate(track) + sound, tracks }
        })
        .collect();
    let tracks: Vec<_> = video.into_iter().chain(audio).collect();
    (!variants.is_empty()).then_some(Presentation { variants, first: None, tracks })
}

/// By contentType or mimeType, of the representation or its set; text and images are none.
fn kind(set: &Element, representation: &Element) -> Option<Kind> {
    let told = ["contentType", "mimeType"]
        .iter()
        .find_map(|name| representation.attribute(name).or_else(|| set.attribute(name)))?;
    match told.split('/').next() {
        Some("video") => Some(Kind::Video),
        Some("audio") => Some(Kind::Audio),
        _ => None,
    }
}

/// The base below an element: its first BaseURL (5.6).
fn below(base: &Url, element: &Element) -> Result<Url, String> {
    let found = element.first("BaseURL").map(|base| base.text.trim());
    found.map_or_else(|| Ok(base.clone()), |reference| follow(base, reference))
}

/// A representation with what it inherits from.
struct Inside<'a> {
    outer: [&'a Element; 3],
    duration: Option<Duration>,
}

impl Inside<'_> {
    fn track(&self, kind: Kind, base: &Url) -> Result<Track, String> {
        let [_, _, representation] = self.outer;
        let rate = representation.attribute("bandwidth").and_then(|rate| rate.parse().ok());
        let id = representation.attribute("id").unwrap_or("");
        let fill = |template: &str, number: u64, time: u64| {
            follow(base, &filled(template, id, rate.unwrap_or(0), number, time)?)
        };
        let media = self.template("media").ok_or("no SegmentTemplate with media")?;
        let mut timeline = Timeline::default();
        let init = match self.template("initialization") {
            Some(template) => {
                let url = fill(template, 0, 0)?;
                Some(timeline.init(Piece { url, range: None }))
            }
            None => None,
        };
        let timescale = self.number("timescale")?.unwrap_or(1).max(1) as f64;
        let offset = self.number("presentationTimeOffset")?.unwrap_or(0);
        let first = self.number("startNumber")?.unwrap_or(1);
        for (at, (start, ticks)) in (0..).zip(self.ticks(timescale)?) {
            let number = first.checked_add(at).ok_or("segments beyond all numbers")?;
            let url = fill(media, number, start)?;
            let at_s = |ticks: u64| ticks.saturating_sub(offset) as f64 / timescale;
            let starts = number::seconds(at_s(start));
            let duration = number::seconds(at_s(start.saturating_add(ticks))) - starts;
            let piece = Piece { url, range: None };
            timeline.segments.push(Segment { piece, init, start: starts, duration });
        }
        if timeline.segments.is_empty() {
            return Err("no segments".to_owned());
        }
        Ok(Track { kind, bandwidth_bps: rate, segments: Segments::Known(timeline.into()) })
    }

    /// Start and length in ticks of each segment.
    fn ticks(&self, timescale: f64) -> Result<Vec<(u64, u64)>, String> {
        let timeline = self.templates().find_map(|template| template.first("SegmentTimeline"));
        if let Some(timeline) = timeline {
            return laid_out(timeline);
        }
        let ticks = self.number("duration")?.filter(|ticks| *ticks > 0);
        let ticks = ticks.ok_or("neither SegmentTimeline nor duration")?;
        let whole = self.duration.ok_or("no mediaPresentationDuration")?;
        let all = number::whole((whole.as_secs_f64() * timescale).ceil());
        let count = all.div_ceil(ticks);
        if count > MAX_SEGMENTS as u64 {
            return Err(format!("{count} segments, at most {MAX_SEGMENTS}"));
        }
        let starts = (0..count).map(|n| n * ticks);
        Ok(starts.map(|start| (start, ticks.min(all - start))).collect())
    }

    fn template(&self, attribute: &str) -> Option<&str> {
        self.templates().find_map(|template| template.attribute(attribute))
    }

    fn number(&self, attribute: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.template(attribute) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{attribute}=\"{text}\": expected a number"))
    }

    /// The nearest first.
    fn templates(&self) -> impl Iterator<Item = &Element> {
        self.outer.iter().rev().filter_map(|element| element.first("SegmentTemplate"))
    }
}

/// A SegmentTimeline, repeats laid out (5.3.9.6).
fn laid_out(timeline: &Element) -> Result<Vec<(u64, u64)>, String> {
    let mut all = Vec::new();
    let mut at = 0_u64;
    for s in timeline.all("S") {
        let number = |name: &str| match s.attribute(name) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("S@{name}=\"{text}\"")),
        };
        at = number("t")?.unwrap_or(at);
        let ticks = number("d")?.filter(|ticks| *ticks > 0).ok_or("S without a duration")?;
        for _ in 0..=number("r")?.unwrap_or(0) {
            if all.len() == MAX_SEGMENTS {
                return Err(format!("more than {MAX_SEGMENTS} segments"));
            }
            all.push((at, ticks));
            at = at.checked_add(ticks).ok_or("time beyond 64 bits")?;
        }
    }
    Ok(all)
}

/// A template with its identifiers replaced, `$Number%05d$` included (5.3.9.4.4).
fn filled(template: &str, id: &str, rate: u64, number: u64, time: u64) -> Result<String, String> {
    let mut text = String::new();
    // What lies between `$` is a name at every second place.
    for (n, part) in template.split('$').enumerate() {
        if n % 2 == 0 {
            text.push_str(part);
            continue;
        }
        let (name, width) = match part.split_once("%0") {
            Some((name, width)) => {
                (name, width.strip_suffix('d').and_then(|width| width.parse().ok()))
            }
            None => (part, Some(0_usize)),
        };
        let width = width.filter(|width| *width <= 20);
        match (name, width) {
            ("", _) => text.push('$'),
            ("RepresentationID", _) => text.push_str(id),
            ("Number", Some(width)) => text.push_str(&format!("{number:0width$}")),
            ("Time", Some(width)) => text.push_str(&format!("{time:0width$}")),
            ("Bandwidth", Some(width)) => text.push_str(&format!("{rate:0width$}")),
            _ => return Err(format!("`{template}`: unknown ${part}$")),
        }
    }
    Ok(text)
}

/// An xs:duration of days and less (`P1DT2H3M4.5S`): years and months have no length.
fn xs_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('P')?;
    let (mut seconds, mut in_time) = (0.0, false);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (rest, in_time) = (time, true);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..end].parse().ok()?;
        seconds += match (rest.get(end..=end)?, in_time) {
            ("D", false) => value * 86_400.0,
            ("H", true) => value * 3_600.0,
            ("M", true) => value * 60.0,
            ("S", true) => value,
            _ => return None,
        };
        rest = &rest[end + 1..];
    }
    Some(number::seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://h/clear/t/manifest.mpd";

    fn mpd(inner: &str) -> Result<Presentation, String> {
        let text =
            format!("<MPD type=\"static\" mediaPresentationDuration=\"PT13S\">{inner}</MPD>");
        read(&text, &Url::parse(BASE).unwrap())
    }

    fn timeline(title: &Presentation, track: usize) -> &Timeline {
        let Segments::Known(timeline) = &title.tracks[track].segments else { panic!("known") };
        timeline
    }

    #[test]
    fn a_timeline_is_laid_out_and_inherited() {
        let title = mpd("<Period><AdaptationSet contentType=\"video\">\
            <SegmentTemplate timescale=\"10\" media=\"1.a/$RepresentationID$/$Number$.m4s\" \
              initialization=\"1.a/$RepresentationID$/init.mp4\" startNumber=\"1\">\
              <SegmentTimeline><S t=\"0\" d=\"60\" r=\"1\"/><S d=\"10\"/></SegmentTimeline></SegmentTemplate>\
            <Representation id=\"v2\" bandwidth=\"900\"/><Representation id=\"v1\" bandwidth=\"300\"/>\
            </AdaptationSet><AdaptationSet mimeType=\"audio/mp4\">\
            <Representation id=\"a\" bandwidth=\"100\"><SegmentTemplate timescale=\"1\" duration=\"6\" \
              media=\"$RepresentationID$-$Time$-$Number%03d$\"/></Representation></AdaptationSet></Period>")
        .unwrap();
        let told: Vec<_> =
            title.variants.iter().map(|v| (v.bandwidth_bps, v.tracks.clone())).collect();
        assert_eq!(told, [(400, vec![0, 2]), (1000, vec![1, 2])]);
        let low = timeline(&title, 0);
        let urls: Vec<_> = low.pieces().map(|piece| piece.url.path()).collect();
        assert_eq!(
            urls,
            ["init.mp4", "1.m4s", "2.m4s", "3.m4s"].map(|name| format!("/clear/t/1.a/v1/{name}"))
        );
        let times: Vec<_> =
            low.segments.iter().map(|s| (s.start.as_secs(), s.duration.as_secs())).collect();
        assert_eq!(times, [(0, 6), (6, 6), (12, 1)]);
        let sound = timeline(&title, 2);
        let urls: Vec<_> = sound.pieces().map(|piece| piece.url.path()).collect();
        assert_eq!(urls, ["a-0-001", "a-6-002", "a-12-003"].map(|name| format!("/clear/t/{name}")));
        assert_eq!(sound.end(), Duration::from_secs(13));
    }

    #[test]
    fn numbers_and_letters_from_afar_are_refused() {
        assert_eq!(xs_duration("P1é"), None);
        let last = u64::MAX;
        let far = format!(
            "<Period><AdaptationSet contentType=\"video\"><SegmentTemplate duration=\"6\" \
             startNumber=\"{last}\" media=\"$Number$\"/><Representation id=\"v\"/></AdaptationSet></Period>"
        );
        assert!(mpd(&far).is_err());
    }

    #[test]
    fn bases_nest() {
        let title = mpd("<BaseURL>x/</BaseURL><Period><AdaptationSet contentType=\"video\">\
            <BaseURL>y/</BaseURL><Representation id=\"v\"><BaseURL>z/</BaseURL>\
            <SegmentTemplate duration=\"13\" media=\"m\"/></Representation></AdaptationSet></Period>")
        .unwrap();
        assert_eq!(timeline(&title, 0).segments[0].piece.url.path(), "/clear/t/x/y/z/m");
    }

    #[test]
    fn what_is_refused() {
        let one = |inner: &str| {
            format!(
                "<Period><AdaptationSet contentType=\"video\"><Representation id=\"v\">{inner}\
                </Representation></AdaptationSet></Period>"
            )
        };
        let table = [
            (String::new(), "one Period"),
            ("<Period/><Period/>".to_owned(), "one Period"),
            ("<Period/>".to_owned(), "no representation"),
            (one(""), "no SegmentTemplate"),
            (one("<SegmentTemplate media=\"$X$\" duration=\"1\"/>"), "unknown $X$"),
            (one("<SegmentTemplate media=\"m\"/>"), "neither SegmentTimeline"),
            (
                one("<SegmentTemplate media=\"m\" timescale=\"1000000000\" duration=\"1\"/>"),
                "at most",
            ),
            (
                one("<SegmentTemplate media=\"m\"><SegmentTimeline><S d=\"1\" r=\"99999999999\"/>\
                    </SegmentTimeline></SegmentTemplate>"),
                "more than",
            ),
            (
                one("<SegmentTemplate media=\"m\"><SegmentTimeline><S d=\"0\"/></SegmentTimeline>\
                    </SegmentTemplate>"),
                "without a duration",
            ),
        ];
        for (inner, why) in table {
            let error = mpd(&inner).unwrap_err();
            assert!(error.contains(why), "{inner}: {error}");
        }
        let url = Url::parse(BASE).unwrap();
        for (text, why) in [("<a/>", "expected an MPD"), ("<MPD type=\"dynamic\"/>", "dynamic")] {
            let error = read(text, &url).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn durations() {
        let table = [
            ("PT13S", Some(13_000)),
            ("PT1H2M3.5S", Some(3_723_500)),
            ("P1DT1S", Some(86_401_000)),
            ("P1Y", None),
            ("PT", Some(0)),
            ("13", None),
            ("PT5", None),
        ];
        for (text, wanted_ms) in table {
            assert_eq!(xs_duration(text).map(|d| d.as_millis()), wanted_ms, "{text}");
        }
    }
}
