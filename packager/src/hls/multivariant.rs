//! The multivariant playlist: every rendition and what it costs (8216bis 4.4.6).

use std::fmt::Write;

use super::keys;
use crate::bandwidth::Rates;
use crate::colour::VideoRange;
use crate::heads::{Media, Role};
use crate::signalling::Protection;
use crate::timeline::{Timeline, TrackRates};
use crate::title::{Title, Track};

/// A player without a measurement of its own starts with the first variant: the best one that
/// fits this rate comes first (Apple's authoring specification suggests about 2 Mbit/s).
const FIRST_VARIANT_BPS: u64 = 2_000_000;

/// The multivariant playlist. `prefix` leads from its folder to the version's: empty, or
/// `<version>.<rev>/`.
///
/// In the clear it has no EXT-X-VERSION: nothing in it needs more than version 1 (8216bis 8).
pub fn multivariant(
    title: &Title,
    timeline: &Timeline,
    protection: Option<&Protection>,
    prefix: &str,
) -> Vec<u8> {
    let renditions = title.tracks().iter().zip(timeline.rates());
    let (videos, audios): (Vec<_>, Vec<_>) = renditions
        .map(|(track, &rates)| Rendition { track, rates })
        .partition(|r| r.track.is_video());
    let groups = AudioGroup::all(&audios);

    let mut to = String::with_capacity(512 + title.tracks().len() * 512);
    to.push_str("#EXTM3U\n");
    if protection.is_some() {
        // KEYFORMAT and KEYFORMATVERSIONS.
        to.push_str("#EXT-X-VERSION:5\n");
    }
    if title.tracks().iter().all(Track::is_independent) {
        to.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    if let Some(protection) = protection {
        to.push_str(&keys::of_session(protection, prefix));
    }
    if videos.is_empty() {
        // Sound alone: its renditions are the variants.
        audios.iter().for_each(|audio| stream_inf(&mut to, audio, None, None, prefix));
        return to.into_bytes();
    }
    let language = audios.first().and_then(|first| first.track.language());
    groups.iter().for_each(|group| group.write(&mut to, language, prefix));
    // Said of every variant or of none: without it all are SDR.
    let says_range = videos.iter().any(|v| v.track.range() != VideoRange::Sdr);
    let range = |v: &Rendition<'_>| says_range.then(|| v.track.range());
    for video in families(&videos).iter().flat_map(|family| in_order_of_choice(family)) {
        if groups.is_empty() {
            stream_inf(&mut to, &video, None, range(&video), prefix);
        }
        for group in &groups {
            stream_inf(&mut to, &video, Some(group), range(&video), prefix);
        }
    }
    let has_iframes = |v: &&Rendition<'_>| v.track.is_independent() && timeline.form().has_ranges();
    for video in videos.iter().filter(has_iframes) {
        iframe_stream_inf(&mut to, video, range(video), prefix);
    }
    to.into_bytes()
}

/// A track and its rates in this delivery.
#[derive(Clone, Copy)]
struct Rendition<'a> {
    track: &'a Track,
    rates: TrackRates,
}

/// Video of one codec family and range each, in the order in which they are stored. A player stays
/// in one of them: the first variant of each is one to start with.
fn families<'a>(videos: &[Rendition<'a>]) -> Vec<Vec<Rendition<'a>>> {
    let mut families: Vec<Vec<Rendition<'a>>> = Vec::new();
    for &video in videos {
        let family = |r: &Rendition<'a>| (r.track.family(), r.track.range());
        match families.iter_mut().find(|others| family(&others[0]) == family(&video)) {
            Some(others) => others.push(video),
            None => families.push(vec![video]),
        }
    }
    families
}

/// The variant to start with, then the others from best to worst.
fn in_order_of_choice<'a>(videos: &[Rendition<'a>]) -> Vec<Rendition<'a>> {
    let mut ordered = videos.to_vec();
    ordered.sort_by_key(|v| std::cmp::Reverse(v.rates.segments.peak_bps));
    let first = ordered
        .iter()
        .position(|v| v.rates.segments.peak_bps <= FIRST_VARIANT_BPS)
        .unwrap_or(ordered.len() - 1);
    ordered[..=first].rotate_right(1);
    ordered
}

/// Sound tracks of one codec and as many channels: a variant names one group, whose members may
/// stand in for each other (8216bis 4.4.6.1.1).
struct AudioGroup<'a> {
    id: String,
    members: Vec<Rendition<'a>>,
}

impl<'a> AudioGroup<'a> {
    fn all(audios: &[Rendition<'a>]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for &audio in audios {
            let facts = |r: &Rendition<'a>| (r.track.codecs(), channels(r.track));
            let same = |group: &&mut Self| facts(&group.members[0]) == facts(&audio);
            match groups.iter_mut().find(same) {
                Some(group) => group.members.push(audio),
                None => {
                    let id = format!("audio{}", groups.len() + 1);
                    groups.push(Self { id, members: vec![audio] });
                }
            }
        }
        groups
    }

    /// The member to start with is that of `language`, the title's first, or else the first.
    fn write(&self, to: &mut String, language: Option<&str>, prefix: &str) {
        let spoken =
            |r: &Rendition<'_>| r.track.language() == language && r.track.role() == Role::Main;
        let default = self.members.iter().position(spoken).unwrap_or(0);
        for (i, Rendition { track, .. }) in self.members.iter().enumerate() {
            let _ = write!(to, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\"", self.id);
            let _ = write!(to, ",NAME=\"{}\"", self.member_name(track));
            if let Some(language) = track.language() {
                let _ = write!(to, ",LANGUAGE=\"{language}\"");
            }
            // DEFAULT=YES implies AUTOSELECT=YES, which must then be said (8216bis 4.4.6.1).
            to.push_str(if i == default { ",DEFAULT=YES" } else { ",DEFAULT=NO" });
            // Nobody who did not ask for it hears a commentary.
            let by_itself = i == default || track.role() != Role::Commentary;
            to.push_str(if by_itself { ",AUTOSELECT=YES" } else { ",AUTOSELECT=NO" });
            if track.role() == Role::Description {
                to.push_str(",CHARACTERISTICS=\"public.accessibility.describes-video\"");
            }
            let _ = write!(to, ",CHANNELS=\"{}\"", channels(track));
            let _ = writeln!(to, ",URI=\"{prefix}{}/index.m3u8\"", track.id());
        }
    }

    /// The language where it names one member alone, the track's id otherwise: names are unique
    /// in a group, and alike in all of them where languages are.
    fn member_name(&self, track: &'a Track) -> &'a str {
        let alike = |other: &&Rendition<'_>| other.track.language() == track.language();
        match track.language() {
            Some(language) if self.members.iter().filter(alike).count() == 1 => language,
            _ => track.id().as_str(),
        }
    }

    fn worst(&self) -> Rates {
        Rates {
            peak_bps: self.members.iter().map(|m| m.rates.segments.peak_bps).max().unwrap_or(0),
            average_bps: self
                .members
                .iter()
                .map(|m| m.rates.segments.average_bps)
                .max()
                .unwrap_or(0),
        }
    }
}

/// CHANNELS (8216bis 4.4.6.1): of jointly coded objects their complexity and `JOC`.
fn channels(track: &Track) -> String {
    match (track.joc(), track.media()) {
        (Some(complexity), _) => format!("{complexity}/JOC"),
        (None, Media::Audio { channels, .. }) => channels.to_string(),
        (None, Media::Video { .. }) => "0".to_owned(),
    }
}

fn stream_inf(
    to: &mut String,
    variant: &Rendition<'_>,
    audio: Option<&AudioGroup<'_>>,
    range: Option<VideoRange>,
    prefix: &str,
) {
    let Rendition { track, rates } = variant;
    let worst = audio.map_or_else(Rates::default, AudioGroup::worst);
    let _ = write!(
        to,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}",
        rates.segments.peak_bps + worst.peak_bps,
        rates.segments.average_bps + worst.average_bps,
        track.codecs()
    );
    if let Some(group) = audio {
        let _ = write!(to, ",{}", group.members[0].track.codecs());
    }
    to.push('"');
    if let Media::Video { width, height, frame_rate } = *track.media() {
        let _ = write!(to, ",RESOLUTION={width}x{height},FRAME-RATE={}", thousandths(frame_rate));
    }
    if let Some(range) = range {
        let _ = write!(to, ",VIDEO-RANGE={}", range.as_str());
    }
    if let Some(group) = audio {
        let _ = write!(to, ",AUDIO=\"{}\"", group.id);
    }
    // Said outright: else Shaka fetches the middle and the last segment to look for captions.
    let _ = writeln!(to, ",CLOSED-CAPTIONS=NONE\n{prefix}{}/index.m3u8", track.id());
}

fn iframe_stream_inf(
    to: &mut String,
    variant: &Rendition<'_>,
    range: Option<VideoRange>,
    prefix: &str,
) {
    let Rendition { track, rates } = variant;
    let Media::Video { width, height, .. } = *track.media() else { return };
    let _ = write!(
        to,
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",\
         RESOLUTION={width}x{height}",
        rates.iframes.peak_bps,
        rates.iframes.average_bps,
        track.codecs(),
    );
    if let Some(range) = range {
        let _ = write!(to, ",VIDEO-RANGE={}", range.as_str());
    }
    let _ = writeln!(to, ",URI=\"{prefix}{}/iframes.m3u8\"", track.id());
}

/// A frame rate with three decimals, rounded to nearest (8216bis 4.4.6.2: at least three).
fn thousandths((numerator, denominator): (u32, u32)) -> String {
    let (n, d) = (u64::from(numerator), u64::from(denominator));
    let scaled = (n * 1000 + d / 2) / d;
    format!("{}.{:03}", scaled / 1000, scaled % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates() {
        for (rate, wanted) in [
            ((24, 1), "24.000"),
            ((24_000, 1001), "23.976"),
            ((30_000, 1001), "29.970"),
            ((25, 2), "12.500"),
        ] {
            assert_eq!(thousandths(rate), wanted);
        }
    }
}
