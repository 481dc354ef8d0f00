//! Which sources this version takes, which streams of them, and what is said about the rest.
//!
//! Two looks: [`select`] at the headers, [`measure`] at the packets. What is refused is refused
//! with the stream, what was found and what to do; nothing odd is encoded wrongly in silence.

mod picture;
mod sound;
mod timing;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::ffmpeg::Log;
use crate::grid::Rate;
use crate::language::Language;
use crate::limits;
use crate::probe::{Probe, Stream};
use crate::scan::{self, Scan, Span};

pub use headwater_packager::heads::Role;
pub use picture::{Colours, Light, usual_colours};
pub use sound::{Said, Sound};
pub use timing::Timing;

/// The streams of a source that are encoded.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The picture.
    pub video: Stream,
    /// Every sound, the main one first.
    pub sounds: Vec<Sound>,
    /// Texts that can be kept: subtitles that are no pictures.
    pub texts: Vec<Stream>,
    /// What the uploader should know about streams that are left out or changed.
    pub notices: Vec<String>,
}

/// A source that can be encoded: what a plan needs to know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The picture.
    pub video: VideoSource,
    /// Every sound, the main one first.
    pub sounds: Vec<AudioSource>,
}

/// The picture of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoSource {
    /// Stream index.
    pub index: u32,
    /// ffmpeg's name of its codec.
    pub codec: String,
    /// Pixels as shown: upright and square.
    pub width: u32,
    /// Pixels as shown.
    pub height: u32,
    /// Constant frames per second, of the title.
    pub rate: Rate,
    /// Frames of the title.
    pub frames: u64,
    /// Frames that the source holds.
    pub held_frames: u64,
    /// How the one are made of the other.
    pub timing: Timing,
    /// Time stamp of the first frame: the title's zero.
    pub start: Stamp,
    /// Some packets do not say when they are shown.
    pub is_guessed: bool,
    /// Two fields of half the lines each in a frame.
    pub is_interlaced: bool,
    /// What light its samples stand for.
    pub light: Light,
    /// More than 8 bits a sample.
    pub is_deep: bool,
    /// Colours with red, green and blue and no matrix yet.
    pub is_rgb: bool,
    /// Luma from 0 to 255 and not from 16 to 235.
    pub is_full_range: bool,
    /// Nothing is said of the matrix that made its samples.
    pub is_untagged: bool,
    /// What AVC would need for the busiest GOP, in kbit/s.
    pub peak_kbps: u32,
}

/// A sound of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioSource {
    /// Stream index.
    pub index: u32,
    /// ffmpeg's name of its codec.
    pub codec: String,
    /// Channels that it has.
    pub channels: u32,
    /// Samples a second.
    pub sample_rate: u32,
    /// The language it declares, or is said to have.
    pub language: Option<Language>,
    /// What it is for.
    pub role: Role,
    /// How its frames lie in the file.
    pub coded: Option<Coded>,
}

/// How the coded frames of a sound lie in the file: what passing them through asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coded {
    /// How long before the picture the first one starts; negative after it.
    pub early: Stamp,
    /// How many.
    pub packets: u64,
    /// How much longer they take than they last: holes, in milliseconds.
    pub missing_ms: u64,
}

/// A point of time as a container writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Ticks.
    pub ticks: i64,
    /// Seconds for each tick, as a fraction.
    pub base: (u32, u32),
}

impl Stamp {
    /// In seconds, for messages.
    pub fn seconds(self) -> f64 {
        scan::seconds(self.ticks, self.base)
    }

    /// In whole milliseconds, for texts.
    pub fn ms(self) -> i64 {
        let (num, den) = (i128::from(self.base.0), i128::from(self.base.1));
        i64::try_from(i128::from(self.ticks) * num * 1000 / den).unwrap_or(0)
    }
}

impl Selected {
    /// The streams' indexes.
    pub fn indexes(&self) -> Vec<u32> {
        let sounds = self.sounds.iter().map(|sound| sound.stream.index);
        std::iter::once(self.video.index).chain(sounds).collect()
    }

    /// The selected stream with this index, for messages.
    pub fn describe(&self, index: u32) -> String {
        let sounds = self.sounds.iter().map(|sound| &sound.stream);
        let named = std::iter::once(&self.video).chain(sounds).find(|s| s.index == index);
        named.map_or_else(|| format!("stream {index}"), Stream::describe)
    }
}

/// Chooses the streams by their headers, or refuses the source. `said` is what the uploader says
/// of its sounds.
pub fn select(probe: &Probe, said: &[Said]) -> Result<Selected, Error> {
    let mut notices = Vec::new();
    let video = preferred(probe, Stream::is_video, "picture", &mut notices).ok_or_else(|| {
        let found: Vec<String> = probe.streams.iter().map(Stream::describe).collect();
        let found = match found.len() {
            0 => "no stream".to_owned(),
            _ => found.join(", "),
        };
        Error::new(
            Kind::Refused,
            format!("there is no moving picture in the source: found {found}; this version makes titles with a picture only"),
        )
    })?;
    picture::check(video)?;
    if video.closed_captions == Some(1) {
        notices.push(format!(
            "{} carries closed captions (CEA-608/708), which this version leaves out",
            video.describe()
        ));
    }
    let sounds = sound::select(probe, said, &mut notices)?;
    if sounds.is_empty() {
        notices.push("the source has no sound; the title will have none".to_owned());
    }
    let (texts, pictures): (Vec<&Stream>, Vec<&Stream>) =
        probe.streams.iter().filter(|s| s.is_subtitle()).partition(|s| s.is_text());
    for left in pictures {
        notices.push(format!(
            "left out: {}, subtitles that are pictures; send them as SRT or WebVTT with --text",
            left.describe()
        ));
    }
    for left in texts.iter().skip(limits::TEXTS) {
        let most = limits::TEXTS;
        notices.push(format!("left out: {}, as a title has at most {most} texts", left.describe()));
    }
    let texts = texts.into_iter().take(limits::TEXTS).cloned().collect();
    Ok(Selected { video: video.clone(), sounds, texts, notices })
}

/// The default one of a kind, or the first, with a notice about the others.
fn preferred<'p>(
    probe: &'p Probe,
    is_kind: impl Fn(&Stream) -> bool,
    kind: &str,
    notices: &mut Vec<String>,
) -> Option<&'p Stream> {
    let all: Vec<&Stream> = probe.streams.iter().filter(|s| is_kind(s)).collect();
    let chosen = *all.iter().find(|s| s.has("default")).or(all.first())?;
    if all.len() > 1 {
        let others: Vec<String> = all
            .iter()
            .filter(|stream| stream.index != chosen.index)
            .map(|stream| stream.describe())
            .collect();
        notices.push(format!(
            "of {} {kind} streams this version takes one, {}; left out: {}",
            all.len(),
            chosen.describe(),
            others.join(", ")
        ));
    }
    Some(chosen)
}

/// An error that names stream, finding and remedy.
fn refusal(stream: &Stream, found: &str, remedy: &str) -> Error {
    Error::new(
        Kind::Refused,
        format!(
            "{}: found {found}, which this version does not take yet; {remedy}",
            stream.describe()
        ),
    )
}

/// Whether the packets of the picture may be other than its pictures: fields apart, pictures that are not
/// shown (VP8's alternate references), packets without a time. Then they are to be decoded to be counted.
pub fn packets_are_doubtful(video: &Stream, scan: &Scan) -> bool {
    let length_s = match (scan.span(video.index), video.time_base()) {
        (Some(span), Some(base)) => span.length_s(base),
        _ => 0.0,
    };
    let claimed = video.claimed_rates().map(|rate| f64::from(rate.num()) / f64::from(rate.den()));
    let slowest = claimed.reduce(f64::min).unwrap_or(f64::INFINITY);
    let packets = f64::from(u32::try_from(scan.frames()).unwrap_or(u32::MAX));
    let is_in_fields = picture::interlaced(video).is_some()
        && matches!(video.codec(), "h264" | "hevc" | "vc1" | "mpeg2video")
        && packets > 1.5 * slowest * length_s;
    let may_hide = video.codec() == "vp8" && scan.constant_rate(video).is_err();
    scan.frames_without_time() > 0 || is_in_fields || may_hide
}

/// Measures the selected streams by their packets, or refuses the source. `gop_ms` is over how
/// long the busiest part is taken.
pub fn measure(
    probe: &Probe,
    selected: &Selected,
    scan: &Scan,
    log: &Log,
    gop_ms: u32,
) -> Result<(Source, Vec<String>), Error> {
    let video = &selected.video;
    let no_frames = || {
        Error::new(
            Kind::SourceDamaged,
            format!("{} holds no frame; send the whole file", video.describe()),
        )
    };
    let span = scan.span(video.index).ok_or_else(no_frames)?;
    check_end(probe, selected, scan, log)?;
    if scan.frames_without_time() > 0 {
        return Err(refusal(
            video,
            &format!("{} frames without a time stamp", scan.frames_without_time()),
            "remux the source to mp4 or mkv first",
        ));
    }
    let (frames, said) = timing::frames(video, scan, span)?;
    let mut notices = Vec::from_iter(said);
    let (width, height) = picture::shown(video);
    let light = picture::light(video);
    notices.extend(picture_notices(video, light, (width, height)));
    let end_s = frames.length_s();
    let mut sounds = Vec::new();
    for Sound { stream, role, language } in &selected.sounds {
        let Some(sound) = scan.span(stream.index) else {
            notices.push(format!("{} is empty; the title will be without it", stream.describe()));
            continue;
        };
        notices.extend(misfit(video, span, frames.rate, end_s, stream, sound));
        sounds.push(AudioSource {
            index: stream.index,
            codec: stream.codec().to_owned(),
            channels: stream.channels.unwrap_or(2),
            sample_rate: stream.sample_rate.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0),
            language: language.clone(),
            role: *role,
            coded: coded(video, span, stream, scan),
        });
    }
    // The main one may have been the empty one.
    if let Some(first) = sounds.first_mut() {
        first.role = Role::Main;
    }
    let source = Source {
        video: VideoSource {
            index: video.index,
            codec: video.codec().to_owned(),
            width,
            height,
            rate: frames.rate,
            frames: frames.count,
            held_frames: scan.frames(),
            timing: frames.timing,
            start: Stamp { ticks: span.start_pts, base: video.time_base().unwrap_or((1, 1)) },
            is_guessed: scan.is_guessed(),
            is_interlaced: picture::interlaced(video).is_some(),
            light,
            is_deep: picture::is_deep(video),
            is_rgb: picture::is_rgb(video),
            is_full_range: picture::is_full_range(video),
            is_untagged: picture::is_untagged(video),
            peak_kbps: avc_kbps(video.codec(), scan.peak_kbps(frames.rate, gop_ms)),
        },
        sounds,
    };
    Ok((source, notices))
}

/// What is done to a picture that is not simply shown.
fn picture_notices(video: &Stream, light: Light, shown: (u32, u32)) -> Vec<String> {
    let name = video.describe();
    let mut said = Vec::new();
    if let Some(order) = picture::interlaced(video) {
        said.push(format!("{name} is interlaced ({order}): its fields are made whole pictures"));
    }
    if picture::rotation(video).is_some()
        || shown != (video.width.unwrap_or(0), video.height.unwrap_or(0))
    {
        said.push(format!(
            "{name} is shown as {}x{}, upright with square pixels",
            shown.0, shown.1
        ));
    }
    match light {
        Light::Sdr if picture::is_untagged(video) && !picture::is_rgb(video) => {
            let colours = usual_colours(shown.0.min(shown.1)).in_words;
            said.push(format!("{name} does not say what its colours are: taken for {colours}"));
        }
        Light::Sdr => {}
        Light::Wide => said.push(format!("{name} has a wide gamut: SDR rungs get BT.709")),
        Light::Pq | Light::Hlg => {
            said.push(format!("{name} is HDR ({}): SDR rungs are toned down", light.as_str()));
        }
    }
    said
}

/// A file that was cut off: its demuxer says so, or it ends before its container's promise.
fn check_end(probe: &Probe, selected: &Selected, scan: &Scan, log: &Log) -> Result<(), Error> {
    // Some muxers count the promise from zero, some from the first time stamp: the lesser counts.
    let promised_s = probe.format.duration_s();
    let end_s = scan.end_s(probe);
    let cut = |what: String| {
        let promise = promised_s.map_or_else(String::new, |p| format!(" of {p:.3} s"));
        Err(Error::new(
            Kind::SourceDamaged,
            format!(
                "the source is cut off: {what} ends at {end_s:.3} s{promise}; send the whole file"
            ),
        ))
    };
    if let Some(damage) = log.damage() {
        let stream = damage.stream.unwrap_or(selected.video.index);
        return cut(selected.describe(stream));
    }
    match promised_s {
        Some(promised_s) if promised_s - end_s > limits::TRUNCATION_SLACK_SECONDS => {
            cut(selected.describe(selected.video.index))
        }
        _ => Ok(()),
    }
}

/// What is done to sound that starts or ends elsewhere than the picture, when it is more than a
/// frame of video.
fn misfit(
    video: &Stream,
    picture: Span,
    rate: Rate,
    length_s: f64,
    audio: &Stream,
    sound: Span,
) -> Option<String> {
    let start_s = scan::seconds(picture.start_pts, video.time_base()?);
    let frame_s = f64::from(rate.den()) / f64::from(rate.num());
    let end_s = start_s + length_s;
    let base = audio.time_base()?;
    let late_s = scan::seconds(sound.start_pts, base) - start_s;
    let short_s = end_s - scan::seconds(sound.end_pts, base);
    let mut done = Vec::new();
    if late_s > frame_s {
        done.push(format!("starts {late_s:.3} s after the picture: silence is put before it"));
    } else if -late_s > frame_s {
        done.push(format!("starts {:.3} s before the picture: its start is cut", -late_s));
    }
    if short_s > frame_s {
        done.push(format!("ends {short_s:.3} s before the picture: silence is put behind it"));
    } else if -short_s > frame_s {
        done.push(format!("ends {:.3} s after the picture: its end is cut", -short_s));
    }
    (!done.is_empty()).then(|| format!("{} {}", audio.describe(), done.join(", and ")))
}

/// How a sound's frames lie against the picture; frames of AC-3 and E-AC-3 have 1,536 samples (ETSI TS
/// 102 366 4.1, E.1.1).
fn coded(video: &Stream, picture: Span, sound: &Stream, scan: &Scan) -> Option<Coded> {
    let zero = Stamp { ticks: picture.start_pts, base: video.time_base()? };
    let (span, base) = (scan.span(sound.index)?, sound.time_base()?);
    let rate: u64 = sound.sample_rate.as_deref()?.parse().ok().filter(|&rate| rate > 0)?;
    let lasts_ms = span.packets.checked_mul(1_536_000)? / rate;
    let takes_ms = Stamp { ticks: span.end_pts.saturating_sub(span.start_pts), base }.ms();
    Some(Coded {
        early: scan::early(sound, scan, zero)?,
        packets: scan.coded_packets(sound.index),
        missing_ms: u64::try_from(takes_ms).unwrap_or(0).saturating_sub(lasts_ms),
    })
}

/// What AVC may use for what another codec says in `kbps`: twice as much where that codec is of a
/// later generation.
fn avc_kbps(codec: &str, kbps: u32) -> u32 {
    match codec {
        "hevc" | "vp9" | "av1" | "vvc" => kbps.saturating_mul(2),
        _ => kbps,
    }
}
