//! ffmpeg and ffprobe: the only place that builds a command line or runs a child.
//!
//! ```text
//! able      whether this ffmpeg can do what a plan needs
//! command   plan to arguments, pure
//! copy      a stream to a file of its own, undecoded
//! filters   plan to a filter graph, pure
//! part      a chunk, or one track of sound: command lines, pure
//! run       a child, watched: silent for too long or cancelled, it is killed
//! sandbox   what holds a child: no network, no privileges, limits
//! progress  what ffmpeg writes to -progress
//! log       what it writes to stderr: damage, tallies, the last lines
//! locate    where in a damaged source the damage is
//! ```
//!
//! A child gets no standard input, no environment but `PATH`, no protocol but local files, only
//! container formats on a list, and dies with this process. Its exit code alone is never believed:
//! ffmpeg ends with 0 after a source that was cut off.

mod able;
pub mod command;
mod copy;
mod filters;
pub mod locate;
pub mod log;
pub mod part;
pub mod progress;
pub mod run;
pub mod sandbox;

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cancel::Cancel;
use crate::cost;
use crate::error::{Error, Kind};
use crate::limits;
use crate::plan::{self, Plan};
use crate::probe::{Probe, Stream};
use crate::sample::Sample;
use crate::scan::Scan;

pub use copy::Copied;
pub use log::{Damage, Log, Tally};
pub use progress::Progress;
pub use sandbox::{Limits, Sandbox};

/// The programs and the patience for them.
#[derive(Clone, Debug)]
pub struct Tools {
    /// ffmpeg: a path, or a name in `PATH`.
    pub ffmpeg: PathBuf,
    /// ffprobe: a path, or a name in `PATH`.
    pub ffprobe: PathBuf,
    /// A child that shows no movement for so long is killed.
    pub stall: Duration,
    /// Threads for the decoder and for each encoder.
    pub threads: u32,
    /// What holds every child.
    pub sandbox: Sandbox,
    /// How many times the CPU time that its work was seen to need a child may take.
    pub cpu_factor: u32,
}

impl Tools {
    /// The programs that the configuration names, or why they cannot be shut in here.
    pub fn new(config: &headwater_config::Encoder) -> Result<Self, Error> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = match config.threads {
            0 => u32::try_from(cores()).unwrap_or(1),
            threads => threads,
        };
        Ok(Self {
            ffmpeg: config.ffmpeg.clone(),
            ffprobe: config.ffprobe.clone(),
            stall: Duration::from_secs(config.stall_s.into()),
            threads,
            sandbox: Sandbox::new(config.sandbox)?,
            cpu_factor: config.cpu_factor,
        })
    }

    fn held(&self, limits: Limits) -> run::Held {
        run::Held { sandbox: self.sandbox, limits: limits.within_ours() }
    }

    /// The first line of `ffmpeg -version`: which build makes the bytes.
    pub async fn version(&self, cancel: &Cancel) -> Result<String, Error> {
        let mut first = String::new();
        let mut keep = |line: &str| {
            if first.is_empty() {
                line.clone_into(&mut first);
            }
            Ok(true)
        };
        let args = vec!["-version".into()];
        let held = self.held(Limits::headers());
        let watch = patient(limits::PROBE_TIME, cancel);
        let end = run::run(&self.ffmpeg, args, held, watch, &mut keep).await?;
        end.success("ffmpeg -version")?;
        Ok(first)
    }

    /// What is in the file, by its headers.
    pub async fn probe(&self, input: &Path, cancel: &Cancel) -> Result<Probe, Error> {
        let mut json = String::new();
        let mut keep = |line: &str| {
            if line.len() >= limits::LINE_BYTES {
                let text = format!(
                    "a tag of the source, such as a language, fills {} bytes or more; remux it \
                     without the tag",
                    limits::LINE_BYTES
                );
                return Err(Error::new(Kind::Refused, text));
            }
            if json.len() + line.len() > limits::PROBE_JSON_BYTES {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "the source's headers fill more than {} bytes",
                        limits::PROBE_JSON_BYTES
                    ),
                ));
            }
            json.push_str(line);
            json.push('\n');
            Ok(true)
        };
        let args = command::probe(input);
        let held = self.held(Limits::headers());
        let watch = patient(limits::PROBE_TIME, cancel);
        let end = run::run(&self.ffprobe, args, held, watch, &mut keep).await?;
        if !end.status.success() {
            return Err(unreadable(input, &end));
        }
        let mut probe = Probe::parse(json.as_bytes())?;
        for stream in &mut probe.streams {
            if end.log.has_captions(stream.index) {
                stream.closed_captions = Some(1);
            }
        }
        Ok(probe)
    }

    /// Every picture of the file, decoded: for streams whose packets are no pictures.
    pub async fn frames(
        &self,
        input: &Path,
        video: &Stream,
        scan: &mut Scan,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let mut frames = Scan::new(video.index);
        let mut take = |line: &str| frames.line(&frame_as_packet(line)).map(|()| true);
        let args = command::frames(input, video.index, self.threads);
        let held = self.held(cost::frames(video, scan.frames(), self.threads, self.cpu_factor));
        let watch = patient(self.stall, cancel);
        let end = run::run(&self.ffprobe, args, held, watch, &mut take).await?;
        if !end.status.success() {
            return Err(unreadable(input, &end));
        }
        frames.finish();
        scan.shows(frames);
        Ok(())
    }

    /// Every packet of the file, without decoding.
    pub async fn scan(
        &self,
        input: &Path,
        video_index: u32,
        cancel: &Cancel,
    ) -> Result<(Scan, Log), Error> {
        let mut scan = Scan::new(video_index);
        let mut take = |line: &str| scan.line(line).map(|()| true);
        let args = command::scan(input);
        let held = self.held(Limits::packets(input));
        let watch = patient(self.stall, cancel);
        let end = run::run(&self.ffprobe, args, held, watch, &mut take).await?;
        if !end.status.success() {
            return Err(unreadable(input, &end));
        }
        scan.finish();
        Ok((scan, end.log))
    }

    /// Decodes one part of the source and encodes every rung of it into `into`. Whether its output is
    /// what was planned is for the remuxer to say; damage is in the log.
    pub async fn chunk(
        &self,
        cut: &part::Cut<'_>,
        into: &Path,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Log, Error> {
        self.sandbox.admit(into)?;
        let args = part::chunk(cut, into, self.threads);
        let watch = run::Watch { stall: self.stall, stops_at_damage: false, cancel, on_read: None };
        let limits = cost::encode(&cut.share(), self.threads, self.cpu_factor);
        self.part(args, limits, watch, progress).await
    }

    /// Encodes one track of sound of the source into `into`. Stops at the first damage, or where it
    /// becomes another sound: that is then in the log.
    pub async fn sound(
        &self,
        plan: &Plan,
        sound: &plan::AudioPlan,
        into: &Path,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Log, Error> {
        self.sandbox.admit(into)?;
        let args = part::sound(plan, sound, into, self.threads);
        let watch = run::Watch { stall: self.stall, stops_at_damage: true, cancel, on_read: None };
        let limits = cost::encode(plan, self.threads, self.cpu_factor);
        self.part(args, limits, watch, progress).await
    }

    async fn part(
        &self,
        args: Vec<std::ffi::OsString>,
        limits: Limits,
        watch: run::Watch<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Log, Error> {
        let end = self.child(args, limits, watch, progress).await?;
        let is_explained = watch.stops_at_damage && end.log.damage().is_some();
        if !is_explained && end.log.changed().is_none() {
            end.success("ffmpeg")?;
        }
        Ok(end.log)
    }

    /// Writes a stream of subtitles of `input` as WebVTT into `folder`. What goes wrong with it stands in
    /// the log, and a missing or short file is its sign.
    pub async fn text(
        &self,
        input: &Path,
        stream: u32,
        folder: &Path,
        cancel: &Cancel,
    ) -> Result<Log, Error> {
        let limits = Limits { file_bytes: limits::TEXT_BYTES, ..Limits::packets(input) };
        self.sandbox.admit(folder)?;
        let args = command::text(input, stream, &folder.join(plan::text_name(stream)));
        // Between two cues nothing is written: that it reads on is movement.
        let (watch, mut moves) = (patient(self.stall, cancel), |_: &str| Ok(true));
        let end = run::run(&self.ffmpeg, args, self.held(limits), watch, &mut moves).await?;
        Ok(end.log)
    }

    /// Makes a test film.
    pub async fn sample(
        &self,
        sample: &Sample,
        into: &Path,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), Error> {
        let limits = cost::sample(sample, self.cpu_factor);
        // It reads nothing of a stranger's, and writes where its caller may.
        let tools = Self { sandbox: Sandbox::Outer, ..self.clone() };
        let end = tools.watch(command::sample(sample, into), limits, cancel, progress).await?;
        end.success("ffmpeg")
    }

    /// Where `streams` of a damaged source are damaged first; `None` when it is not found again.
    /// `reached_s` is how far decoding had come, on the container's clock.
    pub async fn locate(
        &self,
        plan: &Plan,
        streams: Vec<u32>,
        reached_s: f64,
        cancel: &Cancel,
    ) -> Result<Option<locate::Place>, Error> {
        let mut found = locate::Locate::new(streams);
        let mut take = |line: &str| {
            found.line(line);
            Ok(true)
        };
        // ffmpeg works ahead of the frames it reports, so damage lies behind what was reached.
        let from_s = (reached_s - 10.0).max(0.0);
        let seconds = from_s..from_s + f64::from(limits::LOCATE_SECONDS);
        let args = command::locate(&plan.input, seconds);
        let held = self.held(cost::locate(plan, limits::LOCATE_SECONDS, self.cpu_factor));
        // Its exit code says nothing new: the source is known to be damaged.
        run::run(&self.ffprobe, args, held, patient(self.stall, cancel), &mut take).await?;
        Ok(found.first())
    }

    /// The first damage of the picture that lies in a chunk: elsewhere a decoder may complain with
    /// reason, as where it begins in the middle of an open GOP. An error where that cannot be told.
    pub async fn damage_within(
        &self,
        cut: &part::Cut<'_>,
        cancel: &Cancel,
    ) -> Result<Option<locate::Place>, Error> {
        let (stream, clock_s) = (cut.plan.source.video.index, cut.clock_s());
        let mut found = locate::Locate::new(vec![stream]);
        let (mut is_within, mut seen_s) = (false, f64::NEG_INFINITY);
        let mut take = |line: &str| {
            if let Some(at_s) = locate::frame_s(line) {
                is_within = clock_s.contains(&at_s);
                seen_s = at_s.max(seen_s);
            }
            if is_within {
                found.line(line);
            }
            Ok(true)
        };
        // To a frame behind it, which says that all of it was looked at.
        let from_s = cut.from.map_or(0.0, |_| clock_s.start - LOOK_BACK_S);
        let args = command::locate(cut.input, from_s..clock_s.end + LOOK_AHEAD_S);
        let looked_s = Duration::try_from_secs_f64(clock_s.end + LOOK_AHEAD_S - from_s.max(0.0));
        let looked_s = looked_s.map_or(0, |t| u32::try_from(t.as_secs()).unwrap_or(u32::MAX));
        let looked_s = looked_s.saturating_add(limits::LOCATE_SECONDS);
        let held = self.held(cost::locate(cut.plan, looked_s, self.cpu_factor));
        let watch = patient(self.stall, cancel);
        let end = run::run(&self.ffprobe, args, held, watch, &mut take).await?;
        end.success("ffprobe")?;
        let frame_s = f64::from(cut.plan.grid.rate().den()) / f64::from(cut.plan.grid.rate().num());
        if found.first().is_none() && seen_s < clock_s.end - 2.0 * frame_s {
            return Err(Error::tool(format!(
                "the decoder complained, and of the {:.3} to {:.3} s that were decoded again \
                 nothing is seen behind {seen_s:.3} s",
                clock_s.start, clock_s.end
            )));
        }
        Ok(found.first())
    }

    async fn watch(
        &self,
        args: Vec<std::ffi::OsString>,
        limits: Limits,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<run::End, Error> {
        let watch = run::Watch { stall: self.stall, stops_at_damage: true, cancel, on_read: None };
        self.child(args, limits, watch, progress).await
    }

    /// One run of ffmpeg that tells its progress.
    async fn child(
        &self,
        args: Vec<std::ffi::OsString>,
        limits: Limits,
        watch: run::Watch<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<run::End, Error> {
        let state = RefCell::new((Progress::default(), progress));
        let mut take = |line: &str| {
            let (said, progress) = &mut *state.borrow_mut();
            let moved = said.line(line);
            if moved {
                progress(said);
            }
            Ok(moved)
        };
        let on_read = |bytes: u64| {
            let (said, progress) = &mut *state.borrow_mut();
            said.in_bytes = bytes;
            progress(said);
        };
        let watch = run::Watch { on_read: Some(&on_read), ..watch };
        run::run(&self.ffmpeg, args, self.held(limits), watch, &mut take).await
    }
}

/// How far before a chunk its damage is looked for, so that its own frames are decoded from a key frame.
const LOOK_BACK_S: f64 = 10.0;
/// And how far behind it.
const LOOK_AHEAD_S: f64 = 5.0;

/// A sound that is not one from its start to its end.
pub(crate) fn sound_changes(name: impl std::fmt::Display, reached_s: f64) -> Error {
    Error::new(
        Kind::Refused,
        format!(
            "{name}: its channels, rate or samples change behind {reached_s:.0} s, which this version \
             does not take yet; encode its sound to one layout first (ffmpeg -c:v copy -c:a aac -ac 2)"
        ),
    )
}

/// ffprobe's line of a frame with the names that a packet's has; the time is the one that decoders give.
fn frame_as_packet(line: &str) -> String {
    let guessed = if line.contains("|pts=N/A|") { "|guessed=1" } else { "" };
    format!("{}{guessed}", line.trim_end())
        .replace("|pts=", "|own_pts=")
        .replace("best_effort_timestamp=", "pts=")
        .replace("pkt_duration=", "duration=")
        .replace("pkt_size=", "size=")
}

/// Lets a child say everything it has to say.
fn patient(stall: Duration, cancel: &Cancel) -> run::Watch<'_> {
    run::Watch { stall, stops_at_damage: false, cancel, on_read: None }
}

/// Why ffprobe could not read a source, for the one who sent it.
fn unreadable(input: &Path, end: &run::End) -> Error {
    let (name, log) = (input.display(), &end.log);
    if let Some(limit) = end.beyond() {
        return Error::new(
            Kind::Refused,
            format!(
                "{name} takes more to read than a film of its size: {limit}; convert it to MP4 or \
                 MKV first. ffprobe says: {}",
                log.last_lines()
            ),
        );
    }
    if starts_like_mp4(input) {
        return Error::new(
            Kind::SourceDamaged,
            format!(
                "{name} starts like an MP4 but cannot be read to its index (moov), like a file \
                 whose upload or recording was cut off; send the whole file. ffprobe says: {}",
                log.last_lines()
            ),
        );
    }
    Error::new(
        Kind::Refused,
        format!(
            "{name} is not a film in a container that this version takes \
             (mp4, mov, mkv, webm, ts, mpg, avi, flv, wmv, mxf); ffprobe says: {}",
            log.last_lines()
        ),
    )
}

/// ffprobe believes a file's name: any `x.mp4` without boxes lacks a moov to it.
fn starts_like_mp4(input: &Path) -> bool {
    const FIRST_BOXES: [&[u8]; 5] = [b"ftyp", b"moov", b"mdat", b"wide", b"free"];
    let mut start = [0; 8];
    let read = std::fs::File::open(input).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && FIRST_BOXES.contains(&&start[4..])
}
