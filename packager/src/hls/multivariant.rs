//! The multivariant playlist: every rendition and what it costs (8216bis 4.4.6).

use std::fmt::Write;

use super::audio_groups::AudioGroup;
use super::keys;
use crate::bandwidth::Rates;
use crate::colour::VideoRange;
use crate::heads::Media;
use crate::signalling::Protection;
use crate::timeline::{Timeline, TrackRates};
use crate::title::{Title, Track};

/// A player without a measurement of its own starts with the first variant: the best one that
/// fits this rate comes first (Apple's authoring specification suggests about 2 Mbit/s).
const FIRST_VARIANT_BPS: u64 = 2_000_000;

/// The multivariant playlist. `prefix` leads from its folder to the version's: empty, or
/// `<version>.<rev>/`.
///
/// It has no EXT-X-VERSION unless it names keys: nothing else in it needs more than version 1
/// (8216bis 8).
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
    let keys = protection.map(|protection| keys::of_session(protection, prefix));
    let keys = keys.unwrap_or_default();
    if !keys.is_empty() {
        // KEYFORMAT and KEYFORMATVERSIONS.
        to.push_str("#EXT-X-VERSION:5\n");
    }
    if title.tracks().iter().all(Track::is_independent) {
        to.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    to.push_str(&keys);
    if videos.is_empty() && is_one_part(&audios) {
        // Sound alone, and nothing to choose but its quality: its renditions are the variants.
        audios.iter().for_each(|audio| stream_inf(&mut to, audio, None, None, prefix));
        return to.into_bytes();
    }
    groups.iter().for_each(|group| group.write(&mut to, prefix));
    if videos.is_empty() {
        for group in &groups {
            stream_inf(&mut to, &group.default().rendition, Some(group), None, prefix);
        }
        return to.into_bytes();
    }
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
pub(super) struct Rendition<'a> {
    pub track: &'a Track,
    pub rates: TrackRates,
}

/// Whether all of it is the same in the same language.
fn is_one_part(audios: &[Rendition<'_>]) -> bool {
    audios.windows(2).all(|two| {
        let [a, b] = [two[0].track, two[1].track];
        (a.language(), a.role()) == (b.language(), b.role())
    })
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

fn stream_inf(
    to: &mut String,
    variant: &Rendition<'_>,
    audio: Option<&AudioGroup<'_>>,
    range: Option<VideoRange>,
    prefix: &str,
) {
    let Rendition { track, rates } = variant;
    // Of sound alone the group has the variant itself.
    let own = if track.is_video() || audio.is_none() { rates.segments } else { Rates::default() };
    let worst = audio.map_or_else(Rates::default, AudioGroup::worst);
    let mut codecs =
        if track.is_video() || audio.is_none() { vec![track.codecs()] } else { vec![] };
    codecs.extend(audio.map_or_else(Vec::new, AudioGroup::codecs));
    let _ = write!(
        to,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        own.peak_bps + worst.peak_bps,
        own.average_bps + worst.average_bps,
        codecs.join(",")
    );
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
