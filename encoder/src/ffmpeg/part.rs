//! Command lines of parts: one chunk of all rungs, one track of sound. Pure.
//!
//! ```text
//! ... lead-in ...│ first frame of the chunk ............ │ first one of the next
//!      ▲ seek    │◄── trim: half a frame before each ──► │
//! ```
//!
//! A chunk's frames are chosen by their times on the title's clock, which start at the picture's
//! first frame however a container counts: so every chunk finds the same frames that one pass from
//! start to end would number. A seek only saves decoding what lies before; everything that the
//! decoder gives from there on is taken (`-noaccurate_seek`), as a frame may stand for long, and
//! what open GOPs cannot decode lies in the lead-in.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use super::command::{args, audio_output, begin, file_url, video_output};
use super::filters;
use crate::chunks;
use crate::plan::{self, AudioPlan, Plan};
use crate::source::Timing;

/// What is decoded before a chunk's first frame and thrown away, in microseconds.
const LEAD_US: i128 = 2_000_000;

/// A chunk of a plan.
#[derive(Clone, Debug)]
pub struct Cut<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The source, where it lies on this machine.
    pub input: &'a Path,
    /// The fragments that it makes.
    pub fragments: Range<u32>,
    /// Whether what lies before is skipped; otherwise all is decoded from the start.
    pub seeks: bool,
}

impl Cut<'_> {
    /// Its frames, counted from the title's first.
    pub fn frames(&self) -> Range<u64> {
        chunks::frames(&self.plan.grid, &self.fragments)
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
        share.grid = self.plan.grid.part(&self.fragments);
        share.sounds.clear();
        let before = if self.seeks { self.lead_frames().min(start) } else { start };
        let title_frames = self.plan.grid.frames().max(1);
        // As many of the source as of the title, whatever the one is made of the other.
        let held = (end - start + before).saturating_mul(self.plan.source.video.held_frames);
        share.source.video.held_frames = held.div_ceil(title_frames);
        share
    }

    /// Frames of the lead-in, and of the longest group of pictures that a seek may start in.
    fn lead_frames(&self) -> u64 {
        u64::from(self.plan.grid.rate().frames_in(30_000))
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
    all.push(filters::pictures(cut.plan, &timing(cut)).into());
    let frames = cut.frames();
    // Of the last one more than planned may come, which must be seen.
    let is_last = frames.end == cut.plan.grid.frames();
    for (i, rung) in cut.plan.rungs.iter().enumerate() {
        all.extend(args(&["-map", &format!("[v{i}]")]));
        if !is_last {
            all.extend(args(&["-frames:v", &(frames.end - frames.start).to_string()]));
        }
        all.extend(video_output(cut.plan, rung, &threads));
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
    all.push(file_url(&into.join(plan::raw_name(&sound.track))));
    all
}

/// Where reading begins, in seconds of the source's own clock; `None` for its start.
fn seek(cut: &Cut<'_>) -> Option<String> {
    let at_us = cut.before_us(cut.frames().start) - LEAD_US;
    if !cut.seeks || at_us <= 0 {
        return None;
    }
    let start = cut.plan.source.video.start;
    let zero_us = i128::from(start.ticks) * i128::from(start.base.0) * 1_000_000
        / i128::from(start.base.1.max(1));
    Some(decimal(zero_us + at_us))
}

/// From decoded frames to those of the chunk.
fn timing(cut: &Cut<'_>) -> String {
    let video = &cut.plan.source.video;
    let (num, den) = (video.rate.num(), video.rate.den());
    let (base_num, base_den) = video.start.base;
    let mut graph = filters::whole(video);
    let ticks = video.start.ticks;
    let zero = format!("setpts=PTS-round(({ticks}*{base_num}/{base_den})/TB),");
    let frames = cut.frames();
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
