//! Which sources this version takes, which streams of them, and what is said about the rest.
//!
//! Two looks: [`select`] at the headers, [`measure`] at the packets. What is refused is refused
//! with the stream, what was found and what to do; nothing odd is encoded wrongly in silence.

use crate::error::{Error, Kind};
use crate::ffmpeg::Log;
use crate::grid::Rate;
use crate::language::{self, Language};
use crate::limits;
use crate::probe::{Probe, Stream};
use crate::scan::{self, Scan, Span};

/// The streams of a source that are encoded.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The picture.
    pub video: Stream,
    /// The sound, if there is any.
    pub audio: Option<Stream>,
    /// What the uploader should know about streams that are left out.
    pub notices: Vec<String>,
}

/// A source that can be encoded: what a plan needs to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The picture.
    pub video: VideoSource,
    /// The sound, if there is any.
    pub audio: Option<AudioSource>,
}

/// The picture of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoSource {
    /// Stream index.
    pub index: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Constant frames per second.
    pub rate: Rate,
    /// Frames, counted.
    pub frames: u64,
    /// Time stamp of the first frame: the title's zero.
    pub start: Stamp,
    /// Colours with red, green and blue and no matrix yet.
    pub is_rgb: bool,
    /// Luma from 0 to 255 and not from 16 to 235.
    pub is_full_range: bool,
    /// What AVC would need for the busiest GOP, in kbit/s.
    pub peak_kbps: u32,
}

/// The sound of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioSource {
    /// Stream index.
    pub index: u32,
    /// Channels to make: one stays one, more become two.
    pub channels: u32,
    /// The language it declares.
    pub language: Option<Language>,
}

/// A point of time as a container writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Selected {
    /// The streams' indexes.
    pub fn indexes(&self) -> Vec<u32> {
        let audio = self.audio.as_ref().map(|a| a.index);
        std::iter::once(self.video.index).chain(audio).collect()
    }

    /// The selected stream with this index, for messages.
    pub fn describe(&self, index: u32) -> String {
        let streams = std::iter::once(&self.video).chain(&self.audio);
        let named = streams.into_iter().find(|stream| stream.index == index);
        named.map_or_else(|| format!("stream {index}"), Stream::describe)
    }
}

/// Chooses the streams by their headers, or refuses the source.
pub fn select(probe: &Probe) -> Result<Selected, Error> {
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
    let audio = preferred(probe, Stream::is_audio, "sound", &mut notices);
    check_picture(video)?;
    if video.closed_captions == Some(1) {
        notices.push(format!(
            "{} carries closed captions (CEA-608/708), which this version leaves out",
            video.describe()
        ));
    }
    if let Some(audio) = audio {
        check_sound(audio)?;
    } else {
        notices.push("the source has no sound; the title will have none".to_owned());
    }
    Ok(Selected { video: video.clone(), audio: audio.cloned(), notices })
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

fn check_picture(video: &Stream) -> Result<(), Error> {
    let refuse = |found: &str, remedy: &str| Err(refusal(video, found, remedy));
    if video.codec_name.is_none() {
        return refuse("a codec that ffmpeg does not know", "convert the source first");
    }
    let (width, height) = (video.width.unwrap_or(0), video.height.unwrap_or(0));
    if width.min(height) < limits::LEAST_SIDE {
        return refuse(
            &format!("a picture of {width}x{height} pixels"),
            &format!("each side needs at least {} pixels", limits::LEAST_SIDE),
        );
    }
    if u64::from(width) * u64::from(height) > limits::PIXELS {
        return refuse(
            &format!("a picture of {width}x{height} pixels"),
            &format!("scale it to at most {} pixels first", limits::PIXELS),
        );
    }
    if let Some(order) = interlaced(video) {
        return refuse(
            &format!("interlaced pictures ({order})"),
            "deinterlace the source first (ffmpeg's filter bwdif)",
        );
    }
    let rotation = video.side_data_list.iter().find_map(|data| data.rotation);
    if let Some(degrees) = rotation.filter(|&degrees| degrees != 0.0) {
        return refuse(
            &format!("a picture to be rotated by {degrees} degrees"),
            "turn the source upright first (ffmpeg does so when it converts)",
        );
    }
    if let Some(hdr) = high_dynamic_range(video) {
        return refuse(&hdr, "tone-map the source to BT.709 first");
    }
    let pix_fmt = video.pix_fmt.as_deref().unwrap_or("unknown");
    if !is_eight_bit(pix_fmt) {
        return refuse(
            &format!("the pixel format {pix_fmt} with other than 8 bits a sample"),
            "convert the source to 8 bits first (ffmpeg -pix_fmt yuv420p)",
        );
    }
    match video.sample_aspect_ratio.as_deref() {
        Some(ratio) if !is_nearly_square(ratio, width) => refuse(
            &format!("pixels that are not square ({ratio})"),
            "scale the source to square pixels first (ffmpeg's filters scale and setsar)",
        ),
        _ => Ok(()),
    }
}

/// Whether the picture's width would change by less than a pixel: scalers that round to even sizes
/// leave such ratios behind (854x480 with 1280:1281). 0:1 means unknown.
fn is_nearly_square(ratio: &str, width: u32) -> bool {
    let parts = ratio.split_once(':').map(|(num, den)| (num.parse::<u64>(), den.parse::<u64>()));
    match parts {
        Some((Ok(num), Ok(den))) => {
            num == 0 || num.abs_diff(den).saturating_mul(u64::from(width)) < den
        }
        _ => true,
    }
}

/// The field order in words, of a stream that says it is interlaced.
fn interlaced(video: &Stream) -> Option<&'static str> {
    match video.field_order.as_deref()? {
        "tt" | "tb" => Some("top field first"),
        "bb" | "bt" => Some("bottom field first"),
        _ => None,
    }
}

fn high_dynamic_range(video: &Stream) -> Option<String> {
    if let Some(data) = video.side_data_list.iter().find(|d| d.side_data_type.starts_with("DOVI")) {
        return Some(format!("Dolby Vision ({})", data.side_data_type));
    }
    match (video.color_transfer.as_deref(), video.color_primaries.as_deref()) {
        (Some("smpte2084"), _) => Some("high dynamic range (PQ, smpte2084)".to_owned()),
        (Some("arib-std-b67"), _) => Some("high dynamic range (HLG, arib-std-b67)".to_owned()),
        (_, Some("bt2020")) => Some("a wide colour gamut (BT.2020)".to_owned()),
        _ => None,
    }
}

/// ffmpeg's names put the bits of a sample last (`yuv420p10le`, `gray12be`); names without any
/// have 8, but for packed formats with more.
fn is_eight_bit(pix_fmt: &str) -> bool {
    const EIGHT_BIT: [&str; 28] = [
        "yuv420p", "yuvj420p", "yuva420p", "yuv422p", "yuvj422p", "yuva422p", "yuv444p",
        "yuvj444p", "yuva444p", "yuv440p", "yuvj440p", "yuv411p", "yuvj411p", "yuv410p", "yuyv422",
        "uyvy422", "nv12", "nv21", "nv16", "gray", "gbrp", "gbrap", "rgb24", "bgr24", "rgba",
        "bgra", "bgr0", "pal8",
    ];
    EIGHT_BIT.contains(&pix_fmt)
}

fn check_sound(audio: &Stream) -> Result<(), Error> {
    let refuse = |found: &str, remedy: &str| Err(refusal(audio, found, remedy));
    if audio.codec_name.is_none() {
        return refuse("a codec that ffmpeg does not know", "convert the sound first");
    }
    match audio.channels {
        Some(1..=limits::CHANNELS) => Ok(()),
        channels => refuse(
            &format!("{} channels", channels.unwrap_or(0)),
            "mix the sound down to stereo first",
        ),
    }
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
    let length_s = span.length_s(video.time_base().unwrap_or((1, 1)));
    if length_s > f64::from(limits::SECONDS) {
        return Err(too_long(video, length_s));
    }
    let rate = scan.constant_rate(video).map_err(|at_s| irregular(video, span, at_s))?;
    if rate.is_above(limits::FRAMES_PER_SECOND) {
        return Err(refusal(
            video,
            &format!("{rate} frames a second"),
            &format!("reduce the source to {} or less first", limits::FRAMES_PER_SECOND),
        ));
    }
    if rate.lasts_longer(1, limits::FRAME_SECONDS) {
        return Err(refusal(
            video,
            &format!("{rate} frames a second"),
            &format!("repeat its frames first, one each {} s or more often", limits::FRAME_SECONDS),
        ));
    }
    if rate.lasts_longer(scan.frames(), limits::SECONDS) {
        return Err(too_long(video, length_s));
    }
    let audio = selected.audio.as_ref().and_then(|a| Some((a, scan.span(a.index)?)));
    let mut notices = Vec::new();
    if let (Some(stream), None) = (&selected.audio, audio) {
        notices.push(format!("{} is empty; the title will have no sound", stream.describe()));
    }
    if let Some((stream, sound)) = audio {
        notices.extend(misfit(video, span, rate, scan.frames(), stream, sound));
    }
    let source = Source {
        video: VideoSource {
            index: video.index,
            width: video.width.unwrap_or(0),
            height: video.height.unwrap_or(0),
            rate,
            frames: scan.frames(),
            start: Stamp { ticks: span.start_pts, base: video.time_base().unwrap_or((1, 1)) },
            is_rgb: is_rgb(video),
            is_full_range: is_full_range(video),
            peak_kbps: avc_kbps(video.codec(), scan.peak_kbps(rate, rate.frames_in(gop_ms))),
        },
        audio: audio.map(|(stream, _)| AudioSource {
            index: stream.index,
            channels: stream.channels.unwrap_or(2).min(2),
            language: stream.tags.get("language").and_then(|tag| language::parse(tag)),
        }),
    };
    Ok((source, notices))
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

/// Longer than a title may be: two frames days apart would become days of silence.
fn too_long(video: &Stream, length_s: f64) -> Error {
    refusal(
        video,
        &format!("{length_s:.0} s"),
        &format!("cut it into parts of at most {} s first", limits::SECONDS),
    )
}

/// Frames that do not lie on a grid: a rate that varies, or the last frames of a cut stream, which
/// are missing in the order in which they are shown.
fn irregular(video: &Stream, span: Span, at_s: f64) -> Error {
    let base = video.time_base().unwrap_or((1, 1));
    let length_s = span.length_s(base);
    if length_s - at_s < limits::TRUNCATION_SLACK_SECONDS {
        return Error::new(
            Kind::SourceDamaged,
            format!(
                "{} lacks frames near its end, at {at_s:.3} s of {length_s:.3} s, like a file that \
                 was cut off; send the whole file",
                video.describe()
            ),
        );
    }
    refusal(
        video,
        &format!("a frame rate that varies (first at {at_s:.3} s)"),
        "give the source a constant rate first (ffmpeg's filter fps)",
    )
}

/// What is done to sound that starts or ends elsewhere than the picture, when it is more than a
/// frame of video.
fn misfit(
    video: &Stream,
    picture: Span,
    rate: Rate,
    frames: u64,
    audio: &Stream,
    sound: Span,
) -> Option<String> {
    let start_s = scan::seconds(picture.start_pts, video.time_base()?);
    let frame_s = f64::from(rate.den()) / f64::from(rate.num());
    let frames = f64::from(u32::try_from(frames).ok()?);
    let end_s = start_s + frames * frame_s;
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

fn is_rgb(video: &Stream) -> bool {
    let pix_fmt = video.pix_fmt.as_deref().unwrap_or("");
    ["gbr", "rgb", "bgr", "pal8"].iter().any(|prefix| pix_fmt.starts_with(prefix))
}

fn is_full_range(video: &Stream) -> bool {
    let pix_fmt = video.pix_fmt.as_deref().unwrap_or("");
    video.color_range.as_deref() == Some("pc") || pix_fmt.starts_with("yuvj")
}

/// What AVC may use for what another codec says in `kbps`: twice as much where that codec is of a
/// later generation.
fn avc_kbps(codec: &str, kbps: u32) -> u32 {
    match codec {
        "hevc" | "vp9" | "av1" | "vvc" => kbps.saturating_mul(2),
        _ => kbps,
    }
}
