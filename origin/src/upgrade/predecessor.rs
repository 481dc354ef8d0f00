//! The new process's side.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process;

use super::{BadOffer, Offer, SERVING, STARTING, YOURS};
use crate::limits;

/// The running process whose place is to be taken.
#[derive(Debug)]
pub struct Predecessor {
    line: UnixStream,
    /// Its process id.
    pub pid: u32,
}

impl Predecessor {
    /// The one at the other end of standard input, and the listeners that it offers.
    pub fn on_stdin() -> Result<(Self, Vec<(SocketAddr, TcpListener)>), BadOffer> {
        let line = io::stdin().as_fd().try_clone_to_owned().map_err(BadOffer::Unread)?;
        let line = UnixStream::from(line);
        line.set_read_timeout(Some(limits::HANDOVER_PATIENCE)).map_err(BadOffer::Unread)?;
        let Offer { pid, listeners } = Offer::receive(&line)?;
        writeln!(&line, "{STARTING}{}", process::id()).map_err(BadOffer::Unread)?;
        Ok((Self { line, pid }, listeners))
    }

    /// Says that this process accepts, and waits for the word that it is the service now. An error
    /// means that it is not: the other one was stopped, or would not wait any longer.
    pub fn relieve(mut self) -> io::Result<()> {
        writeln!(self.line, "{SERVING}")?;
        let mut word = [0; YOURS.len()];
        self.line.read_exact(&mut word)?;
        if word == YOURS.as_bytes() { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}
