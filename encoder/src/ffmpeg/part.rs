//! Command lines of parts: one chunk of all rungs, one track of sound. Pure.
//!
//! ```text
//! ... lead-in ...│ warm-up │ first frame of the chunk ............ │ first one of the next
//!      ▲ seek    │◄───── trim: half a frame before each ────────► │
//! ```
//!
//! A chunk's frames are chosen by their times on the title's clock, which start at the picture's
//! first frame however a container counts: so every chunk finds the same frames that one pass from
//! start to end would number. A seek to a key frame only saves decoding what lies before; everything
//! that the decoder gives from there on is taken (`-noaccurate_seek`), as a frame may stand for long,
//! and what open GOPs cannot decode lies in the lead-in.
//!
//! An encoder that has seen nothing yet chooses its first key frame's quantizer without knowing what came
//! before, and does not know how full the buffer is. So a second in front of the chunk is encoded
//! with it, as a GOP of its own that the remuxer drops: what stands at the seam is then as good as in one
//! pass (measured: up to 1.1 dB worse without, .3 dB with), and the buffer is as full as one pass has it.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use headwater_config::VideoCodec;

use super::command::{args, audio_output, begin, file_url, video_output};
use super::filters;
use crate::chunks;
use crate::plan::{self, AudioPlan, Plan};
use crate::points::{self, Point, Points};
use crate::source::Timing;

/// How long an encoder is warmed up before a chunk. Its lead-in is longer, so nothing more is decoded.
const WARM_MS: u32 = 1_000;

/// A chunk of a plan.
#[derive(Clone, Debug)]
pub struct Cut<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The source, where it lies on this machine.
    pub input: &'a Path,
    /// The fragments that it makes.
    pub fragments: Range<u32>,
    /// Where decoding begins; `None` for the source's start.
    pub from: Option<Point>,
}

impl Cut<'_> {
    /// Its frames, counted from the title's first.
    pub fn frames(&self) -> Range<u64> {
        chunks::frames(&self.plan.grid, &self.fragments)
    }

    /// Frames in front of it that are encoded for the sake of those behind them and dropped.
    pub fn warm_frames(&self, codec: VideoCodec) -> u64 {
        match codec {
            VideoCodec::H264 | VideoCodec::Hevc => self.warm(),
            // SVT-AV1 puts key frames where it counts, not where it is told.
            VideoCodec::Av1 => 0,
        }
    }

    /// The same, of an encoder that can do that: no more than a GOP, and none at the title's start.
    fn warm(&self) -> u64 {
        let grid = &self.plan.grid;
        let most = grid.rate().frames_in(WARM_MS).min(grid.gop_frames());
        u64::from(most).min(self.frames().start)
    }

    /// Whether a frame of the source that is shown at `ticks` is one of those that it is made of.
    pub fn is_of(&self, ticks: i64) -> bool {
        self.clock_us().contains(&points::since(self.plan.source.video.start, ticks))
    }

    /// How many of the frames that are shown at these times, which are in order, it is made of.
    pub fn held(&self, shown: &[i64]) -> u64 {
        let clock_us = self.clock_us();
        let start = self.plan.source.video.start;
        let before =
            |end_us: i128| shown.partition_point(|ticks| points::since(start, *ticks) < end_us);
        let held = before(clock_us.end).saturating_sub(before(clock_us.start));
        u64::try_from(held).expect("a count fits")
    }

    /// Whether it is all of the title.
    pub fn is_whole(&self) -> bool {
        self.fragments == (0..self.plan.grid.fragments())
    }

    /// How many frames of the source it is made of at the least, where each or each n-th is one of the
    /// title's; of the whole title all.
    pub fn least_held(&self) -> u64 {
        let video = &self.plan.source.video;
        let frames = self.frames();
        match video.timing {
            _ if self.is_whole() => video.held_frames,
            Timing::Numbered { every } => (frames.end - frames.start - 1) * u64::from(every) + 1,
            Timing::Timed => 0,
        }
    }

    /// The times of its frames, in microseconds behind the title's first one.
    fn clock_us(&self) -> Range<i128> {
        let frames = self.frames();
        let is_last = frames.end == self.plan.grid.frames();
        let end_us = if is_last { i128::MAX } else { self.before_us(frames.end) };
        self.before_us(frames.start)..end_us
    }

    /// Where its decoding is to begin, that far before its first frame at least.
    pub fn point(&self, points: &Points, lead_s: u32) -> Option<Point> {
        let first_us = self.before_us(self.frames().start);
        points.before(self.plan.source.video.start, first_us - i128::from(lead_s) * 1_000_000)
    }

    /// Where it starts and ends, in seconds of the source's own clock.
    pub fn clock_s(&self) -> Range<f64> {
        let zero_s = self.plan.source.video.start.seconds();
        let Range { start, end } = self.frames();
        zero_s + seconds(self.before_us(start))..zero_s + seconds(self.before_us(end))
    }

    /// The plan of this chunk alone, for what it may cost.
    pub fn share(&self) -> Plan {
        let mut share = self.plan.clone();
        let Range { start, end } = self.frames();
        // The warm-up is a part of the fragment before.
        let first = self.fragments.start.saturating_sub(1);
        share.grid = self.plan.grid.part(&(first..self.fragments.end));
        share.sounds.clear();
        let before = self.lead_frames().min(start);
        let title_frames = self.plan.grid.frames().max(1);
        // As many of the source as of the title, whatever the one is made of the other.
        let held = (end - start + before).saturating_mul(self.plan.source.video.held_frames);
        share.source.video.held_frames = held.div_ceil(title_frames);
        share
    }

    /// Frames of the lead-in, and of the group of pictures before it that a seek may land in.
    fn lead_frames(&self) -> u64 {
        let Some(from) = self.from else { return u64::MAX };
        let video = &self.plan.source.video;
        let lead_us = self.before_us(self.frames().start) - points::since(video.start, from.shown);
        let lead_ms = u32::try_from(lead_us / 1000).unwrap_or(u32::MAX);
        u64::from(self.plan.grid.rate().frames_in(lead_ms.saturating_add(30_000)))
    }

    /// Half a source's frame before frame `frame` of the title, in microseconds of its clock.
    fn before_us(&self, frame: u64) -> i128 {
        let rate = self.plan.grid.rate();
        let every = match self.plan.source.video.timing {
            Timing::Numbered { every } => i128::from(every),
            Timing::Timed => 1,
        };
        let halves = 2 * i128::from(frame) * every - 1;
        halves * i128::from(rate.den()) * 1_000_000 / (2 * i128::from(rate.num()) * every)
    }
}

/// ffmpeg: the frames of a chunk, as fragmented MP4 in `into`, from time zero.
pub fn chunk(cut: &Cut<'_>, into: &Path, threads: u32) -> Vec<OsString> {
    let threads = threads.to_string();
    let mut all = begin(cut.plan, &threads);
    if let Some(seek) = seek(cut) {
        all.extend(args(&["-seek_timestamp", "1", "-noaccurate_seek", "-ss", &seek]));
    }
    all.push("-i".into());
    all.push(file_url(cut.input));
    all.push("-filter_complex".into());
    all.push(filters::pictures(cut.plan, &timing(cut), cut.warm()).into());
    let frames = cut.frames();
    // Of the last one more than planned may come, which must be seen.
    let is_last = frames.end == cut.plan.grid.frames();
    for (i, rung) in cut.plan.rungs.iter().enumerate() {
        all.extend(args(&["-map", &format!("[v{i}]")]));
        let warm_frames = cut.warm_frames(rung.codec);
        if !is_last {
            let count = frames.end - frames.start + warm_frames;
            all.extend(args(&["-frames:v", &count.to_string()]));
        }
        all.extend(video_output(cut.plan, rung, warm_frames, &threads));
        all.push(file_url(&into.join(plan::raw_name(&rung.track))));
    }
    all
}

/// ffmpeg: one track of sound, from the title's start to its end.
pub fn sound(plan: &Plan, sound: &AudioPlan, into: &Path, threads: u32) -> Vec<OsString> {
    let mut all = begin(plan, &threads.to_string());
    all.push("-i".into());
    all.push(file_url(&plan.input));
    all.push("-filter_complex".into());
    all.push(format!("{}[a0]", filters::sound_filters(plan, sound)).into());
    all.extend(args(&["-map", "[a0]"]));
    all.extend(audio_output(sound));
    // Each fragment is in the file when it is closed, and not a quarter of a MiB later.
    all.extend(args(&["-flush_packets", "1"]));
    all.push(file_url(&into.join(plan::raw_name(&sound.track))));
    all
}

/// Where reading begins, in seconds of the source's own clock; `None` for its start.
fn seek(cut: &Cut<'_>) -> Option<String> {
    let from = cut.from?;
    Some(decimal(points::us(from.decoded, cut.plan.source.video.start.base)))
}

/// From decoded frames to those of the chunk.
fn timing(cut: &Cut<'_>) -> String {
    let video = &cut.plan.source.video;
    let (num, den) = (video.rate.num(), video.rate.den());
    let (base_num, base_den) = video.start.base;
    let mut graph = filters::whole(video);
    let ticks = video.start.ticks;
    let zero = format!("setpts=PTS-round(({ticks}*{base_num}/{base_den})/TB),");
    let mut frames = cut.frames();
    frames.start -= cut.warm();
    let is_last = frames.end == cut.plan.grid.frames();
    match video.timing {
        Timing::Numbered { every } => {
            let mut bounds = Vec::new();
            if frames.start > 0 {
                bounds.push(format!("start={}", decimal(cut.before_us(frames.start))));
            }
            if !is_last {
                bounds.push(format!("end={}", decimal(cut.before_us(frames.end))));
            }
            // trim rounds to the clock it is given, and a container's may have a tick for each frame.
            graph.push_str(&format!("settb=AVTB,{zero}"));
            if !bounds.is_empty() {
                graph.push_str(&format!("trim={},", bounds.join(":")));
            }
            if every > 1 {
                graph.push_str(&format!("framestep={every},"));
            }
        }
        Timing::Timed => {
            let start = if frames.start == 0 { ":start_time=0" } else { "" };
            let more = video.rate.frames_in(2000);
            // What was decoded is told frame by frame: one that is lacking would be made up for.
            let told = if video.is_guessed { "" } else { "showinfo=checksum=0," };
            graph.insert_str(0, told);
            // Behind fps a tick is a frame of the title.
            graph.push_str(&format!(
                "{zero}fps={num}/{den}:round=near{start},tpad=stop={more}:stop_mode=clone,\
                 trim=start_pts={}:end_pts={},",
                frames.start, frames.end
            ));
        }
    }
    graph.push_str(&format!("settb={den}/{num},setpts=N,fps={num}/{den}"));
    graph
}

/// Microseconds as seconds, which ffmpeg reads to the microsecond.
fn decimal(us: i128) -> String {
    let sign = if us < 0 { "-" } else { "" };
    let us = us.unsigned_abs();
    format!("{sign}{}.{:06}", us / 1_000_000, us % 1_000_000)
}

#[expect(clippy::cast_precision_loss, reason = "a time that is compared to frames")]
fn seconds(us: i128) -> f64 {
    us as f64 / 1e6
}
