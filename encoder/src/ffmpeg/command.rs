//! Command lines, as pure functions of a plan. Every argument that stands here was measured or
//! seen to matter; the reason stands beside it.

use std::ffi::OsString;
use std::path::Path;

use headwater_config::{AudioCodec, Preset, VideoCodec};

use super::filters;
use crate::ladder::{Look, Rung};
use crate::limits;
use crate::plan::{self, AudioPlan, Plan};
use crate::probe;
use crate::sample::Sample;
use crate::source::Light;

/// Demuxers that may open a source. Playlists (hls, concat, dash) are not among them: one of them
/// named `film.mp4` would make ffmpeg open other files of this machine.
const FORMATS: &str = "mov,matroska,mpegts,mpeg,avi,flv,asf,mxf,ogg,wav,mp3,aac,flac";

/// `file:` and the path: a name with a colon or a dash in front stays a file's name.
pub(super) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

/// What every reading of a source says first.
pub(super) fn guarded() -> Vec<OsString> {
    let max_pixels = limits::PIXELS.to_string();
    args(&["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-max_pixels", &max_pixels])
}

pub(super) fn args(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// ffprobe: headers as JSON. Captions it names in the summary that it logs, and nowhere else: its
/// JSON knows of them only where frames are decoded for it.
pub fn probe(input: &Path) -> Vec<OsString> {
    let mut all = args(&["-hide_banner", "-v", "level+info", "-of", "json"]);
    all.extend(args(&["-show_entries", probe::ENTRIES]));
    all.extend(guarded());
    all.push(file_url(input));
    all
}

/// ffprobe: every packet, for [`crate::scan::Scan`].
pub fn scan(input: &Path) -> Vec<OsString> {
    let mut all = args(&["-v", "level+warning", "-of", "compact=p=0", "-show_entries"]);
    all.push("packet=stream_index,pts,dts,duration,size,pos,flags".into());
    all.extend(guarded());
    all.push(file_url(input));
    all
}

/// ffprobe: every picture of stream `video`, decoded.
pub fn frames(input: &Path, video: u32, threads: u32) -> Vec<OsString> {
    let mut all = args(&["-v", "level+warning", "-of", "compact=p=0", "-threads"]);
    all.extend(args(&[&threads.to_string(), "-select_streams", &video.to_string()]));
    all.extend(args(&["-show_frames", "-show_entries"]));
    all.push("frame=stream_index,pts,best_effort_timestamp,pkt_duration,duration,pkt_size".into());
    all.extend(guarded());
    all.push(file_url(input));
    all
}

/// ffprobe: decodes `seconds` of the source's clock again, for [`super::locate::Locate`].
pub fn locate(input: &Path, seconds: std::ops::Range<f64>) -> Vec<OsString> {
    let mut all = args(&["-v", "quiet", "-of", "compact", "-show_log", "16", "-threads", "1"]);
    all.extend(args(&["-show_frames", "-show_entries"]));
    all.push(
        "frame=stream_index,pts_time,best_effort_timestamp_time,pkt_duration_time,duration_time"
            .into(),
    );
    let interval = format!("{:.3}%{:.3}", seconds.start.max(0.0), seconds.end);
    all.extend(args(&["-read_intervals", &interval]));
    all.extend(guarded());
    all.push(file_url(input));
    all
}

/// ffmpeg: one decode, every rung and the sound, as fragmented MP4 in `into`, its frames numbered as they come.
/// Titles are made of chunks, which choose frames by their times: this is the one pass that tests hold them against.
pub fn encode(plan: &Plan, into: &Path, threads: u32) -> Vec<OsString> {
    let threads = threads.to_string();
    let mut all = begin(plan, &threads);
    all.push("-i".into());
    all.push(file_url(&plan.input));
    all.push("-filter_complex".into());
    all.push(filters::graph(plan).into());
    for (i, rung) in plan.rungs.iter().enumerate() {
        all.extend(args(&["-map", &format!("[v{i}]")]));
        all.extend(video_output(plan, rung, 0, &threads));
        all.push(file_url(&into.join(plan::raw_name(&rung.track))));
    }
    for (i, sound) in plan.sounds.iter().enumerate() {
        all.extend(args(&["-map", &format!("[a{i}]")]));
        all.extend(audio_output(sound));
        all.push(file_url(&into.join(plan::raw_name(&sound.track))));
    }
    all
}

/// How every encoding begins, up to its input.
pub(super) fn begin(plan: &Plan, threads: &str) -> Vec<OsString> {
    // verbose has the tally of decoded frames; the progress comes on standard output.
    let mut all = args(&["-nostdin", "-hide_banner", "-nostats", "-v", "level+verbose", "-y"]);
    all.extend(args(&["-progress", "pipe:1", "-stats_period", "0.5"]));
    // Scaling is one after the other: more threads there cost CPU and gain nothing.
    all.extend(args(&["-filter_complex_threads", "1", "-threads", threads]));
    all.extend(guarded());
    // Time stamps as they stand in the file: the filters make the picture's first one zero.
    all.push("-copyts".into());
    // A change in mid-stream would have the whole graph made anew, and counting start again. Scalers
    // take another size as it comes, but not what makes whole pictures of fields.
    all.extend(args(&["-reinit_filter:a", "0"]));
    if !plan.source.video.is_interlaced {
        all.extend(args(&["-reinit_filter:v", "0"]));
    }
    all
}

/// ffmpeg: subtitles of the source, each as WebVTT at `into`.
pub fn text(input: &Path, stream: u32, into: &Path) -> Vec<OsString> {
    let mut all = args(&["-nostdin", "-hide_banner", "-nostats", "-v", "level+warning", "-y"]);
    all.extend(args(&["-progress", "pipe:1", "-stats_period", "0.5"]));
    all.extend(guarded());
    all.push("-copyts".into());
    all.push("-i".into());
    all.push(file_url(input));
    all.extend(args(&["-map", &format!("0:{stream}"), "-c:s", "webvtt", "-f", "webvtt"]));
    all.push(file_url(into));
    all
}

/// One encoder and its file. The first `warm_frames` of what it gets are a GOP of their own.
pub(super) fn video_output(
    plan: &Plan,
    rung: &Rung,
    warm_frames: u64,
    threads: &str,
) -> Vec<OsString> {
    let gop = plan.grid.gop_frames().to_string();
    let timescale = plan.grid.rate().timescale().to_string();
    let mut all = match rung.codec {
        VideoCodec::H264 => x264(plan, &gop, warm_frames, threads),
        VideoCodec::Hevc => x265(plan, rung, &gop, warm_frames, threads),
        VideoCodec::Av1 => svt_av1(plan, threads),
    };
    all.extend(args(&["-pix_fmt", pixel_format(rung.look), "-crf", &rung.crf.to_string()]));
    all.extend(args(&["-maxrate", &format!("{}k", rung.max_kbps)]));
    all.extend(args(&["-bufsize", &format!("{}k", 2 * rung.max_kbps)]));
    // Closed GOPs of equal length: counted in frames, as seconds slip at 29.97.
    all.extend(args(&["-g", &gop]));
    all.extend(args(&["-fps_mode", "passthrough", "-enc_time_base", &format!("1:{timescale}")]));
    all.extend(args(&["-video_track_timescale", &timescale]));
    all.extend(container("+cmaf+frag_keyframe"));
    all
}

/// The samples that a rung has.
pub(super) fn pixel_format(look: Look) -> &'static str {
    match look {
        Look::Flat => "yuv420p",
        Look::Deep | Look::Hdr => "yuv420p10le",
    }
}

/// Counted in frames from the end of the warm-up on, which begins with a key frame itself.
fn key_frames(gop: &str, warm_frames: u64) -> String {
    match warm_frames {
        0 => format!("expr:not(mod(n,{gop}))"),
        warm => format!("expr:gte(n,{warm})*not(mod(n-{warm},{gop}))"),
    }
}

/// How full the buffer is at the start. Half full: a title that begins like that keeps its cap, whatever
/// comes. With a warm-up more: one second spends the rest where pictures are so rich that one pass has no
/// more than half (measured; .8 would not be spent), and where they are not, the buffer is full by then.
fn fullness(warm_frames: u64) -> &'static str {
    if warm_frames == 0 { "0.5" } else { "0.7" }
}

fn x264(plan: &Plan, gop: &str, warm_frames: u64, threads: &str) -> Vec<OsString> {
    let mut all = args(&["-c:v", "libx264", "-threads", threads, "-preset", plan.preset.as_str()]);
    all.extend(args(&["-profile:v", "high"]));
    all.extend(args(&["-keyint_min", gop, "-sc_threshold", "0", "-bf", "3"]));
    all.extend(args(&["-force_key_frames", &key_frames(gop, warm_frames)]));
    all.push("-x264-params".into());
    let fullness = fullness(warm_frames);
    all.push(format!("open-gop=0:scenecut=0:stitchable=1:vbv-init={fullness}").into());
    all
}

/// hvc1: parameter sets in the sample entry alone, as Apple's players want them.
fn x265(plan: &Plan, rung: &Rung, gop: &str, warm_frames: u64, threads: &str) -> Vec<OsString> {
    let mut all = args(&["-c:v", "libx265", "-preset", plan.preset.as_str(), "-tag:v", "hvc1"]);
    let mut params = format!(
        "keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:vbv-init={}:pools={threads}:\
         info=0:log-level=warning",
        fullness(warm_frames)
    );
    if warm_frames > 0 {
        let key_frames = key_frames(gop, warm_frames);
        all.extend(args(&["-forced-idr", "1", "-force_key_frames", &key_frames]));
    }
    if rung.look == Look::Hdr {
        let transfer =
            if plan.source.video.light == Light::Hlg { "arib-std-b67" } else { "smpte2084" };
        params.push_str(&format!(
            ":colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited"
        ));
    }
    all.push("-x265-params".into());
    all.push(params.into());
    all
}

fn svt_av1(plan: &Plan, threads: &str) -> Vec<OsString> {
    // From 13, the fastest, to 0.
    let preset = match plan.preset {
        Preset::Ultrafast | Preset::Superfast => "12",
        Preset::Veryfast | Preset::Faster => "10",
        Preset::Fast | Preset::Medium => "8",
        Preset::Slow => "6",
        Preset::Slower => "5",
        Preset::Veryslow => "4",
    };
    let mut all = args(&["-c:v", "libsvtav1", "-preset", preset]);
    all.push("-svtav1-params".into());
    all.push(format!("scd=0:lp={threads}").into());
    all
}

pub(super) fn audio_output(audio: &AudioPlan) -> Vec<OsString> {
    let mut all = match audio.codec {
        AudioCodec::Aac | AudioCodec::Dolby => args(&["-c:a", "aac", "-profile:a", "aac_low"]),
        AudioCodec::HeAac => args(&["-c:a", "libfdk_aac", "-profile:a", "aac_he"]),
        AudioCodec::Opus => args(&["-c:a", "libopus", "-application", "audio"]),
    };
    all.extend(args(&["-b:a", &format!("{}k", audio.kbps)]));
    all.extend(match audio.codec {
        // An edit list tells by how much its encoder is late: not the same in each release.
        AudioCodec::HeAac => container_with("+cmaf+delay_moov", "1"),
        _ => container("+cmaf"),
    });
    all.extend(args(&["-frag_duration", "2000000"]));
    all
}

/// Fragmented MP4 that starts at zero: cmaf implies negative composition offsets, so that no edit
/// list is needed.
fn container(movflags: &str) -> Vec<OsString> {
    container_with(movflags, "0")
}

fn container_with(movflags: &str, use_editlist: &str) -> Vec<OsString> {
    let mut all = args(&["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]);
    all.extend(args(&["-f", "mp4", "-movflags", movflags, "-use_editlist", use_editlist]));
    all
}

/// ffmpeg: a test film.
pub fn sample(sample: &Sample, into: &Path) -> Vec<OsString> {
    let mut all = args(&["-nostdin", "-hide_banner", "-nostats", "-v", "level+warning", "-y"]);
    all.extend(args(&["-progress", "pipe:1", "-stats_period", "0.5"]));
    all.extend(args(&["-f", "lavfi", "-i", &sample.picture()]));
    all.extend(args(&["-f", "lavfi", "-i", &sample.bar_code()]));
    all.extend(args(&["-f", "lavfi", "-i", &sample.beeps()]));
    all.extend(args(&["-filter_complex", &sample.overlay(), "-map", "[film]", "-map", "2:a"]));
    all.extend(args(&["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]));
    all.extend(args(&["-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart", "-f", "mp4"]));
    all.push(file_url(into));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_counted_from_the_end_of_the_warm_up() {
        let table = [(0, "expr:not(mod(n,48))"), (24, "expr:gte(n,24)*not(mod(n-24,48))")];
        for (warm_frames, wanted) in table {
            assert_eq!(key_frames("48", warm_frames), wanted);
        }
    }
}
