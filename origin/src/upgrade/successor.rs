//! The running process's side.

use std::env;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Offer, SERVING, STARTING, Step, YOURS, arguments};
use crate::limits;

/// The process that is to take this one's place.
#[derive(Debug)]
pub struct Successor {
    /// The one that starts it.
    midwife: Child,
    /// Open for as long as one of the two lives: it is their standard input.
    line: UnixStream,
    pid: Option<Pid>,
}

impl Successor {
    /// Starts what lies now where this process was started from, with the same arguments and
    /// variables, and offers it the listeners.
    pub fn start(listeners: &[(SocketAddr, TcpListener)]) -> Result<Self, NoSuccessor> {
        // The first process of a container takes the container with it when it ends.
        if std::process::id() == 1 {
            return Err(NoSuccessor::FirstProcess);
        }
        let (line, theirs) = UnixStream::pair().map_err(NoSuccessor::Start)?;
        // As it was called, not what that was then: a link may lead to another release now.
        let program = env::args_os().next().unwrap_or_default();
        let midwife = Command::new(program)
            .args(arguments(Step::Detach))
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .map_err(NoSuccessor::Start)?;
        let mut successor = Self { midwife, line, pid: None };
        match Offer::send(&successor.line, listeners) {
            Ok(()) => Ok(successor),
            Err(_) => Err(successor.ended()),
        }
    }

    /// The means to call it off, from another thread than the one that waits.
    pub fn hang_up(&self) -> Result<HangUp, NoSuccessor> {
        self.line.try_clone().map(HangUp).map_err(NoSuccessor::Start)
    }

    /// Waits until it serves beside this process. If it does not, it is no more. The limit holds
    /// for each of its two words.
    pub fn wait(mut self, limit: Duration) -> Result<Self, NoSuccessor> {
        let set = self.line.set_read_timeout(Some(limit));
        let heard = set.and_then(|()| self.line.try_clone()).map_err(NoSuccessor::Start)?;
        let mut words = BufReader::new(heard.take(limits::OFFER_BYTES as u64)).lines();
        loop {
            match words.next() {
                Some(Ok(word)) if word == SERVING && self.pid.is_some() => return Ok(self),
                Some(Ok(word)) => {
                    let pid = word.strip_prefix(STARTING).and_then(|pid| pid.parse().ok());
                    self.pid = pid.and_then(Pid::from_raw);
                    if self.pid.is_none() {
                        return Err(self.misunderstood(&word));
                    }
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.end();
                    return Err(NoSuccessor::Late(limit));
                }
                Some(Err(_)) | None => return Err(self.ended()),
            }
        }
    }

    /// Tells it that it is the service now; its process id.
    pub fn hand_over(mut self) -> Result<i32, NoSuccessor> {
        match (self.line.write_all(YOURS.as_bytes()), self.pid) {
            (Ok(()), Some(pid)) => {
                // Long gone; only nobody has asked.
                let _ = self.midwife.wait();
                Ok(pid.as_raw_nonzero().get())
            }
            _ => Err(self.ended()),
        }
    }

    fn misunderstood(&mut self, word: &str) -> NoSuccessor {
        self.end();
        NoSuccessor::Words(word.to_owned())
    }

    /// The line is closed at its end, so it is no more.
    fn ended(&mut self) -> NoSuccessor {
        let _ = self.midwife.wait();
        NoSuccessor::Ended
    }

    fn end(&mut self) {
        // Either may have ended by itself meanwhile.
        if let Some(pid) = self.pid {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.midwife.kill();
        let _ = self.midwife.wait();
    }
}

/// Closes the line to a successor when dropped: one that was not told that it is the service then
/// ends.
#[derive(Debug)]
pub struct HangUp(UnixStream);

impl Drop for HangUp {
    fn drop(&mut self) {
        // It may have closed its end.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Why nobody takes this process's place.
#[derive(Debug)]
pub enum NoSuccessor {
    /// This process must not end.
    FirstProcess,
    /// It cannot be started.
    Start(io::Error),
    /// It ended.
    Ended,
    /// It said something else than it should.
    Words(String),
    /// It did not serve in time.
    Late(Duration),
}

impl fmt::Display for NoSuccessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstProcess => f.write_str(
                "this is the first process of its container, which ends with it: replace the \
                 container",
            ),
            Self::Start(error) => write!(f, "the new one cannot be started: {error}"),
            Self::Ended => f.write_str("the new one ended before it served; it has said why"),
            Self::Words(word) => write!(f, "the new one said {word:?} and was ended"),
            Self::Late(limit) => write!(
                f,
                "the new one did not serve within {} s and was ended; see what it waits for, or \
                 raise `origin.upgrade_timeout_s`",
                limit.as_secs()
            ),
        }
    }
}

impl std::error::Error for NoSuccessor {}
