//! What an encode says while it runs: a bar on a terminal, a line now and then elsewhere, or one
//! JSON object a line for programs.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

/// A part of the work, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading headers and packets.
    Probe,
    /// ffmpeg at work.
    Encode,
    /// A ladder's files taken apart.
    Copy,
    /// Cutting, indexing and checking its output.
    Package,
    /// Writing to the store.
    Publish,
    /// Reading everything back.
    Verify,
}

impl Stage {
    /// The word for it, for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Encode => "encode",
            Self::Copy => "copy",
            Self::Package => "package",
            Self::Publish => "publish",
            Self::Verify => "verify",
        }
    }
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Which.
    pub stage: Stage,
    /// Of 0 to 1.
    pub done: f64,
    /// Media seconds for each second of the clock, while encoding.
    pub speed: Option<f64>,
    /// Frames for each second of the clock, while encoding.
    pub frames_per_s: Option<f64>,
    /// Seconds until this stage is done.
    pub left_s: Option<f64>,
}

/// Someone who is told.
pub trait Report: Send + Sync {
    /// How far the work is.
    fn step(&self, step: &Step);
    /// Something the uploader should know.
    fn notice(&self, text: &str);
    /// No more steps will come.
    fn end(&self);
}

/// The reporter for `--json`, a terminal, or a log.
pub fn choose(json: bool) -> Arc<dyn Report> {
    if json {
        Arc::new(Json::default())
    } else if io::stderr().is_terminal() {
        Arc::new(Bar::new())
    } else {
        Arc::new(Plain::default())
    }
}

/// Measures one stage and gives it to a reporter.
pub struct Meter {
    report: Arc<dyn Report>,
    stage: Stage,
    started: Instant,
}

impl Meter {
    /// Starts a stage.
    pub fn start(report: &Arc<dyn Report>, stage: Stage) -> Self {
        let meter = Self { report: Arc::clone(report), stage, started: Instant::now() };
        meter.at(0.0);
        meter
    }

    /// The stage is `done` of 0 to 1.
    pub fn at(&self, done: f64) {
        self.report.step(&self.step(done));
    }

    /// `part` of `whole` is done.
    pub fn of(&self, part: u64, whole: u64) {
        self.at(share(part, whole));
    }

    /// `frames` of `planned` are encoded, which is `media_s` seconds, at `frames_per_s`.
    pub fn encoding(&self, frames: u64, planned: u64, media_s: f64, frames_per_s: f64) {
        let spent_s = self.started.elapsed().as_secs_f64().max(0.001);
        self.report.step(&Step {
            speed: Some(media_s / spent_s),
            frames_per_s: Some(frames_per_s),
            ..self.step(share(frames, planned))
        });
    }

    /// The same, at the pace so far.
    #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
    pub fn frames(&self, frames: u64, planned: u64, media_s: f64) {
        let spent_s = self.started.elapsed().as_secs_f64().max(0.001);
        self.encoding(frames, planned, media_s, frames as f64 / spent_s);
    }

    fn step(&self, done: f64) -> Step {
        let done = done.clamp(0.0, 1.0);
        let spent_s = self.started.elapsed().as_secs_f64();
        Step {
            stage: self.stage,
            done,
            speed: None,
            frames_per_s: None,
            left_s: (done > 0.01).then(|| spent_s * (1.0 - done) / done),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to a person")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// `1:02:03`, `2:03`.
fn clock(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match whole / 3600 {
        0 => format!("{}:{:02}", whole / 60, whole % 60),
        hours => format!("{hours}:{:02}:{:02}", whole / 60 % 60, whole % 60),
    }
}

/// `1.4x real time, 33 frames/s, 0:21 left`.
fn details(step: &Step) -> String {
    let parts = [
        step.speed.map(|speed| format!("{speed:.2}x real time")),
        step.frames_per_s.map(|fps| format!("{fps:.0} frames/s")),
        step.left_s.map(|left_s| format!("{} left", clock(left_s))),
    ];
    Vec::from_iter(parts.into_iter().flatten()).join(", ")
}

struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:8} [{bar:30}] {percent:>3} % {msg}");
        bar.set_style(style.expect("a constant").progress_chars("=> "));
        Self(bar)
    }
}

impl Report for Bar {
    fn step(&self, step: &Step) {
        self.0.set_prefix(step.stage.as_str());
        self.0.set_message(details(step));
        self.0.set_position(thousandths(step.done));
    }

    fn notice(&self, text: &str) {
        self.0.suspend(|| eprintln!("note: {text}"));
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 1 was made sure of"
)]
fn thousandths(done: f64) -> u64 {
    (done * 1000.0) as u64
}

/// For logs: a line when a stage starts and every so often.
#[derive(Default)]
struct Plain(Mutex<Option<(Stage, Instant)>>);

/// Between two lines of a log.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Report for Plain {
    fn step(&self, step: &Step) {
        let mut last = self.0.lock().expect("nothing panics while holding it");
        let due = match *last {
            Some((stage, at)) => stage != step.stage || at.elapsed() >= LINE_EVERY,
            None => true,
        };
        if due {
            *last = Some((step.stage, Instant::now()));
            let stage = step.stage.as_str();
            match details(step) {
                empty if empty.is_empty() => eprintln!("{stage}"),
                details => eprintln!("{stage}: {:.0} %, {details}", step.done * 100.0),
            }
        }
    }

    fn notice(&self, text: &str) {
        eprintln!("note: {text}");
    }

    fn end(&self) {}
}

/// For programs: an object a line on standard output.
#[derive(Default)]
struct Json(Mutex<Option<(Stage, Instant)>>);

/// Between two progress objects of a stage.
const OBJECT_EVERY: Duration = Duration::from_millis(500);

impl Report for Json {
    fn step(&self, step: &Step) {
        let mut last = self.0.lock().expect("nothing panics while holding it");
        let due = match *last {
            Some((stage, at)) => {
                stage != step.stage || at.elapsed() >= OBJECT_EVERY || step.done >= 1.0
            }
            None => true,
        };
        if due {
            *last = Some((step.stage, Instant::now()));
            print_json(&json!({
                "event": "progress",
                "stage": step.stage.as_str(),
                "percent": tenths(step.done * 100.0),
                "speed": step.speed.map(hundredths),
                "frames_per_s": step.frames_per_s.map(tenths),
                "left_s": step.left_s.map(tenths),
            }));
        }
    }

    fn notice(&self, text: &str) {
        print_json(&json!({"event": "notice", "text": text}));
    }

    fn end(&self) {}
}

/// Writes one JSON object as a line on standard output.
pub fn print_json(value: &serde_json::Value) {
    print_line(&value.to_string());
}

/// Writes a line on standard output; a reader that went away is no reason to stop.
pub fn print_line(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let step = Step {
            stage: Stage::Encode,
            done: 0.5,
            speed: Some(1.4151),
            frames_per_s: Some(33.7),
            left_s: Some(3723.9),
        };
        assert_eq!(details(&step), "1.42x real time, 34 frames/s, 1:02:03 left");
        assert_eq!(clock(61.0), "1:01");
        assert_eq!(clock(f64::NAN), "0:00");
    }
}
