//! The multivariant playlist: every rendition and what it costs (8216bis 4.4.6).

use std::fmt::Write;

use super::keys;
use crate::bandwidth::Rates;
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
        audios.iter().for_each(|audio| stream_inf(&mut to, audio, None, prefix));
        return to.into_bytes();
    }
    groups.iter().for_each(|group| group.write(&mut to, prefix));
    for video in in_order_of_choice(&videos) {
        if groups.is_empty() {
            stream_inf(&mut to, video, None, prefix);
        }
        groups.iter().for_each(|group| stream_inf(&mut to, video, Some(group), prefix));
    }
    let has_iframes = |v: &&Rendition<'_>| v.track.is_independent() && timeline.form().has_ranges();
    for video in videos.iter().filter(has_iframes) {
        iframe_stream_inf(&mut to, video, prefix);
    }
    to.into_bytes()
}

/// A track and its rates in this delivery.
#[derive(Clone, Copy)]
struct Rendition<'a> {
    track: &'a Track,
    rates: TrackRates,
}

/// The variant to start with, then the others from best to worst.
fn in_order_of_choice<'a>(videos: &'a [Rendition<'a>]) -> Vec<&'a Rendition<'a>> {
    let mut ordered: Vec<_> = videos.iter().collect();
    ordered.sort_by_key(|v| std::cmp::Reverse(v.rates.segments.peak_bps));
    let first = ordered
        .iter()
        .position(|v| v.rates.segments.peak_bps <= FIRST_VARIANT_BPS)
        .unwrap_or(ordered.len() - 1);
    ordered[..=first].rotate_right(1);
    ordered
}

/// Sound tracks of one codec: a variant names one group, whose members may stand in for each
/// other (8216bis 4.4.6.1.1).
struct AudioGroup<'a> {
    id: String,
    members: Vec<Rendition<'a>>,
}

impl<'a> AudioGroup<'a> {
    fn all(audios: &[Rendition<'a>]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for &audio in audios {
            let same = |group: &&mut Self| group.members[0].track.codecs() == audio.track.codecs();
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

    fn write(&self, to: &mut String, prefix: &str) {
        for (i, Rendition { track, .. }) in self.members.iter().enumerate() {
            let _ = write!(to, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\"", self.id);
            let _ = write!(to, ",NAME=\"{}\"", self.member_name(track));
            if let Some(language) = track.language() {
                let _ = write!(to, ",LANGUAGE=\"{language}\"");
            }
            // DEFAULT=YES implies AUTOSELECT=YES, which must then be said (8216bis 4.4.6.1).
            to.push_str(if i == 0 { ",DEFAULT=YES" } else { ",DEFAULT=NO" });
            to.push_str(",AUTOSELECT=YES");
            if let Media::Audio { channels, .. } = track.media() {
                let _ = write!(to, ",CHANNELS=\"{channels}\"");
            }
            let _ = writeln!(to, ",URI=\"{prefix}{}/index.m3u8\"", track.id());
        }
    }

    /// The language where it names one member alone, the track's id otherwise: names are unique
    /// in a group.
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

fn stream_inf(
    to: &mut String,
    variant: &Rendition<'_>,
    audio: Option<&AudioGroup<'_>>,
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
    if let Some(group) = audio {
        let _ = write!(to, ",AUDIO=\"{}\"", group.id);
    }
    // Said outright: else Shaka fetches the middle and the last segment to look for captions.
    let _ = writeln!(to, ",CLOSED-CAPTIONS=NONE\n{prefix}{}/index.m3u8", track.id());
}

fn iframe_stream_inf(to: &mut String, variant: &Rendition<'_>, prefix: &str) {
    let Rendition { track, rates } = variant;
    let Media::Video { width, height, .. } = *track.media() else { return };
    let _ = writeln!(
        to,
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",\
         RESOLUTION={width}x{height},URI=\"{prefix}{}/iframes.m3u8\"",
        rates.iframes.peak_bps,
        rates.iframes.average_bps,
        track.codecs(),
        track.id()
    );
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
