//! One child process, watched until it ends.
//!
//! It runs in a process group of its own, so that a terminal's Ctrl-C reaches us alone (an ffmpeg
//! that is asked to stop writes a valid, shorter file), and is killed with SIGKILL when it shows no
//! movement, when it is cancelled, at the first damage of the source, and by the kernel when this
//! process dies.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Interval, MissedTickBehavior};

use super::log::Log;
use super::sandbox::{Limits, Sandbox};
use crate::cancel::Cancel;
use crate::error::Error;
use crate::limits;

/// How a child ended and what it said.
#[derive(Debug)]
pub struct End {
    /// Its exit.
    pub status: ExitStatus,
    /// Its stderr.
    pub log: Log,
    /// What it was allowed.
    pub limits: Limits,
}

impl End {
    /// An error unless it ended with 0. A disk that was full when its last bytes were written is in its
    /// log alone.
    pub fn success(&self, name: &str) -> Result<(), Error> {
        if self.log.lines().any(|line| line.ends_with(NO_ROOM)) {
            return Err(Error::storage(
                "encoder.work_dir",
                format!("no space left on its disk: {name} could not write what it made"),
            ));
        }
        if self.status.success() {
            return Ok(());
        }
        let said = self.log.last_lines();
        if let Some(limit) = self.beyond() {
            return Err(Error::tool(format!(
                "{name} was ended: {limit}, more than its work should take; a source that is made \
                 to be expensive does that, or a limit that is too low for this machine: raise \
                 encoder.cpu_factor where CPU seconds were used up. It says: {said}"
            )));
        }
        Err(Error::tool(format!("{name} failed ({}); it says: {said}", self.status)))
    }

    /// The limit that ended it, in words.
    pub fn beyond(&self) -> Option<String> {
        let Limits { cpu_s, file_bytes, memory_bytes } = self.limits;
        // A shell in between reports a signal as 128 and more.
        let signal = self.status.signal().or(self.status.code().and_then(|c| c.checked_sub(128)));
        if signal == Some(Signal::KILL.as_raw()) {
            // We kill for our own reasons, and those end elsewhere.
            return Some(format!("it used up its {cpu_s} CPU seconds, or the machine's memory"));
        }
        if signal == Some(Signal::XFSZ.as_raw()) {
            return Some(format!("a file grew beyond its {file_bytes} bytes"));
        }
        let lacks = ["Cannot allocate memory", "memory exhausted", "out of memory"];
        let is_short = self.log.lines().any(|line| lacks.iter().any(|words| line.contains(words)));
        is_short.then(|| format!("it had {} MiB of memory", memory_bytes >> 20))
    }
}

/// What holds a child.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Namespaces and privileges.
    pub sandbox: Sandbox,
    /// What it may use.
    pub limits: Limits,
}

/// When to give up on a child.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Killed when it shows no movement for so long.
    pub stall: Duration,
    /// Killed when its log tells of a damaged source: what it would still make is of no use.
    pub stops_at_damage: bool,
    /// Killed when this is wished.
    pub cancel: &'a Cancel,
    /// Told how many bytes it has read, when there are more of them: a lead-in is decoded in silence.
    pub on_read: Option<&'a dyn Fn(u64)>,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stall, stops_at_damage, .. } = self;
        f.debug_struct("Watch")
            .field("stall", stall)
            .field("stops_at_damage", stops_at_damage)
            .finish_non_exhaustive()
    }
}

/// Takes a line of the child's standard output; says whether it means movement.
pub type OnLine<'a> = &'a mut dyn FnMut(&str) -> Result<bool, Error>;

/// Runs `program` until it ends or `watch` ends it; `on_line` gets each line of its standard
/// output.
pub async fn run(
    program: &Path,
    args: Vec<OsString>,
    held: Held,
    watch: Watch<'_>,
    on_line: OnLine<'_>,
) -> Result<End, Error> {
    let Watch { stall, cancel, .. } = watch;
    cancel.check()?;
    let mut child = Running::spawn(program, args, &held)?;
    let mut stdout = child.child.stdout.take();
    let mut stderr = child.child.stderr.take();
    let (mut out_lines, mut err_lines) = (Lines::default(), Lines::default());
    let (mut out_bytes, mut err_bytes) = (vec![0; 64 * 1024], vec![0; 16 * 1024]);
    let mut log = Log::default();
    let mut patience = Patience::new(watch, child.child.id());
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            read = read_some(&mut stdout, &mut out_bytes) => {
                let mut moved = false;
                out_lines.push(read, |line| {
                    moved |= on_line(line)?;
                    Ok(())
                })?;
                if moved {
                    patience.idle = Duration::ZERO;
                }
            }
            read = read_some(&mut stderr, &mut err_bytes) => {
                err_lines.push(read, |line| {
                    log.line(line);
                    Ok(())
                })?;
                if watch.stops_at_damage && log.damage().is_some() {
                    child.kill();
                }
            }
            () = cancel.cancelled() => return Err(Error::interrupted()),
            () = patience.ends() => return Err(hung(program, stall, &log)),
        }
    }
    // It has ended, or is about to: what it did is done, and it is not yet forgotten.
    log.took(child.child.id().and_then(cpu_ms).unwrap_or(0));
    tokio::select! {
        status = child.child.wait() => {
            let status = status.map_err(|e| Error::tool(format!("{}: {e}", program.display())))?;
            child.ended = true;
            if status.code() == Some(NOT_FOUND) {
                return Err(missing(program));
            }
            Ok(End { status, log, limits: held.limits })
        }
        () = cancel.cancelled() => Err(Error::interrupted()),
        () = patience.ends() => Err(hung(program, stall, &log)),
    }
}

/// CPU time of a process (proc_pid_stat(5), utime and stime), which counts hundredths of a second on
/// every Linux (`USER_HZ`).
fn cpu_ms(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name is in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * 10)
}

/// How long a child has shown no movement: counted in beats of our own, because a machine or a
/// container that stood still (a pause, Ctrl-Z) says nothing of the child.
struct Patience<'a> {
    stall: Duration,
    idle: Duration,
    beats: Interval,
    child: Option<u32>,
    place_bytes: u64,
    read_bytes: u64,
    on_read: Option<&'a dyn Fn(u64)>,
}

impl<'a> Patience<'a> {
    const BEAT: Duration = Duration::from_secs(1);

    fn new(watch: Watch<'a>, child: Option<u32>) -> Self {
        let mut beats = tokio::time::interval(Self::BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first beat comes at once.
        beats.reset();
        let Watch { stall, on_read, .. } = watch;
        Self { stall, idle: Duration::ZERO, beats, child, place_bytes: 0, read_bytes: 0, on_read }
    }

    /// Ready once it is at its end. Given up and asked again it goes on counting.
    async fn ends(&mut self) {
        while self.idle < self.stall {
            self.beats.tick().await;
            self.idle += Self::BEAT;
            self.look();
        }
    }

    /// Whether it has read on.
    fn look(&mut self) {
        let place = self.child.and_then(place_bytes).unwrap_or(self.place_bytes);
        if place != self.place_bytes {
            self.read_bytes = self.read_bytes.saturating_add(place.abs_diff(self.place_bytes));
            (self.place_bytes, self.idle) = (place, Duration::ZERO);
            if let Some(tell) = self.on_read {
                tell(self.read_bytes);
            }
        }
    }
}

/// Where a process stands in the files that it reads, all of them together. (What the kernel counts as
/// read holds what its children read, were it their own libraries.)
fn place_bytes(process: u32) -> Option<u64> {
    let files = std::fs::read_dir(format!("/proc/{process}/fdinfo")).ok()?;
    let place = |said: String| -> Option<u64> {
        let value = |key| said.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        // The last octal digit is how it was opened, 0 to be read.
        value("flags:")?.ends_with(['0', '4']).then(|| value("pos:")?.parse().ok())?
    };
    let said = files.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok());
    Some(said.filter_map(place).fold(0, u64::saturating_add))
}

/// What ffmpeg says behind the name of whatever it could not do (ENOSPC).
const NO_ROOM: &str = ": No space left on device";
/// prlimit's exit code when there is no such program, like a shell's.
const NOT_FOUND: i32 = 127;

fn missing(program: &Path) -> Error {
    Error::tool(format!(
        "there is no program `{}`; install ffmpeg (Debian: apt-get install ffmpeg) or say where it \
         is with `encoder.ffmpeg` and `encoder.ffprobe` in the configuration",
        program.display()
    ))
}

fn hung(program: &Path, stall: Duration, log: &Log) -> Error {
    Error::tool(format!(
        "{} showed no movement for {} s and was killed (`encoder.stall_s`); it says: {}",
        program.display(),
        stall.as_secs(),
        log.last_lines()
    ))
}

/// Reads what there is into `buffer`; closes the pipe at its end. Never ready when closed.
async fn read_some<'b, R: AsyncRead + Unpin>(
    pipe: &mut Option<R>,
    buffer: &'b mut [u8],
) -> &'b [u8] {
    let Some(reader) = pipe else {
        return std::future::pending().await;
    };
    // A broken pipe of a child is its end; its exit code tells the rest.
    let len = reader.read(buffer).await.unwrap_or(0);
    if len == 0 {
        *pipe = None;
    }
    &buffer[..len]
}

/// Cuts bytes into lines of bounded length.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes, none at the end, and gives every finished line.
    fn push(
        &mut self,
        bytes: &[u8],
        mut line: impl FnMut(&str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if bytes.is_empty() && !self.partial.is_empty() {
            line(&String::from_utf8_lossy(&std::mem::take(&mut self.partial)))?;
        }
        for piece in bytes.split_inclusive(|&b| b == b'\n' || b == b'\r') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n' | b'\r', text)) => (text, true),
                _ => (piece, false),
            };
            let room = limits::LINE_BYTES - self.partial.len();
            self.partial.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                line(&String::from_utf8_lossy(&self.partial))?;
                self.partial.clear();
            }
        }
        Ok(())
    }
}

/// A child that does not outlive its owner.
struct Running {
    child: Child,
    group: Option<Pid>,
    ended: bool,
}

impl Running {
    fn spawn(program: &Path, args: Vec<OsString>, held: &Held) -> Result<Self, Error> {
        let words = held.sandbox.wrap(&held.limits);
        let (first, rest) = words.split_first().expect("something holds every child");
        let child = Command::new(first)
            .args(rest)
            .arg(program)
            .args(args)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("LC_ALL", "C")
            .env("AV_LOG_FORCE_NOCOLOR", "1")
            // SVT-AV1 tells its settings on stderr by itself; only errors are wanted.
            .env("SVT_LOG", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| {
                Error::tool(format!(
                    "{first} cannot be run ({e}); install util-linux: ffmpeg is started by it"
                ))
            })?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group, ended: false })
    }

    /// SIGKILL to the child and whatever it started.
    fn kill(&self) {
        if let Some(group) = self.group
            && !self.ended
        {
            // It may have ended by itself just now.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_bounded() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        let long = "x".repeat(limits::LINE_BYTES * 2);
        let chunks: [&[u8]; 6] = [b"a=1\nb", b"=2\r", b"c=3", long.as_bytes(), b"\nend", b""];
        for chunk in chunks {
            let keep = |line: &str| {
                got.push(line.to_owned());
                Ok(())
            };
            lines.push(chunk, keep).unwrap();
        }
        assert_eq!(got[..2], ["a=1", "b=2"]);
        assert_eq!(got[2].len(), limits::LINE_BYTES);
        assert_eq!(got[3..], ["end"]);
    }

    #[test]
    fn who_reads_on_is_not_hung() {
        let table = [
            ("exec 3< Cargo.toml; for i in 1 2 3 4 5; do read x <&3; sleep 1; done", true),
            // Whose children read alone, their libraries, moves nothing.
            ("while :; do sleep .3; done", false),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (script, ends) in table {
            let (_canceller, cancel) = crate::cancel::pair();
            let told = std::cell::Cell::new(0);
            let on_read = |bytes| told.set(bytes);
            let stall = Duration::from_secs(3);
            let watch =
                Watch { stall, stops_at_damage: false, cancel: &cancel, on_read: Some(&on_read) };
            let held = Held { sandbox: Sandbox::Outer, limits: Limits::headers() };
            let args = vec!["-c".into(), script.into()];
            let mut silent = |_: &str| Ok(false);
            let end = runtime.block_on(run("sh".as_ref(), args, held, watch, &mut silent));
            assert_eq!(end.is_ok(), ends, "{script}: {end:?}");
            assert_eq!(told.get() > 0, ends, "{script}");
        }
    }
}
