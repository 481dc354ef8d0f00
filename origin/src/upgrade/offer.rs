//! What a running process offers: one line of JSON, and with its first byte a descriptor for each
//! listener that it names, in that order (SCM_RIGHTS, unix(7)).

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::limits;

/// To be raised when either side would misunderstand the other; this line's first field for ever.
pub const PROTOCOL: u64 = 1;

const SPACE_BYTES: usize = rustix::cmsg_space!(ScmRights(limits::HANDED_LISTENERS));

/// The listeners of a running process.
#[derive(Debug)]
pub struct Offer {
    /// Whose they are.
    pub pid: u32,
    /// Each with the address that it was configured by.
    pub listeners: Vec<(SocketAddr, TcpListener)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Words {
    protocol: u64,
    pid: u32,
    listeners: Vec<SocketAddr>,
}

impl Offer {
    /// Offers listeners, which stay open here too.
    pub fn send(line: &UnixStream, listeners: &[(SocketAddr, TcpListener)]) -> io::Result<()> {
        let addresses = listeners.iter().map(|(address, _)| *address).collect();
        let words = Words { protocol: PROTOCOL, pid: std::process::id(), listeners: addresses };
        let mut text = serde_json::to_vec(&words)?;
        text.push(b'\n');
        let fds: Vec<BorrowedFd<'_>> = listeners.iter().map(|(_, open)| open.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); SPACE_BYTES];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("more listeners than one message can carry"));
        }
        // As one: it is far smaller than a socket's buffer.
        let sent = sendmsg(line, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
        if sent == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Waits for an offer.
    pub fn receive(line: impl AsFd) -> Result<Self, BadOffer> {
        let (mut text, mut fds) = (Vec::new(), Vec::new());
        while text.last() != Some(&b'\n') {
            let mut bytes = [0; limits::OFFER_BYTES];
            let mut space = [MaybeUninit::uninit(); SPACE_BYTES];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let got = recvmsg(&line, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
            let got = got.map_err(|error| BadOffer::Unread(error.into()))?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(more) = message {
                    fds.extend(more);
                }
            }
            text.extend_from_slice(&bytes[..got.bytes]);
            if got.bytes == 0 || text.len() > limits::OFFER_BYTES {
                return Err(BadOffer::Words("it has no end".to_owned()));
            }
        }
        Self::read(&text, fds)
    }

    fn read(text: &[u8], fds: Vec<OwnedFd>) -> Result<Self, BadOffer> {
        let bad = |error: serde_json::Error| BadOffer::Words(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(text).map_err(bad)?;
        // Before anything else is expected of it.
        let protocol = &value["protocol"];
        if protocol.as_u64() != Some(PROTOCOL) {
            return Err(BadOffer::Protocol(protocol.to_string()));
        }
        let words: Words = serde_json::from_value(value).map_err(bad)?;
        if words.listeners.len() != fds.len() {
            let (named, came) = (words.listeners.len(), fds.len());
            return Err(BadOffer::Words(format!("it names {named} listeners, {came} came")));
        }
        let listeners = words.listeners.into_iter().zip(fds.into_iter().map(TcpListener::from));
        Ok(Self { pid: words.pid, listeners: listeners.collect() })
    }
}

/// Why nothing can be taken over.
#[derive(Debug)]
pub enum BadOffer {
    /// Standard input is not a running process.
    Unread(io::Error),
    /// The running process speaks another language.
    Protocol(String),
    /// It speaks this one, badly.
    Words(String),
}

impl fmt::Display for BadOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(error) => write!(
                f,
                "cannot read an offer of listeners from standard input: {error}; a running origin \
                 starts its successor so when it gets SIGUSR2, a person does not"
            ),
            Self::Protocol(theirs) => write!(
                f,
                "the running origin hands over by protocol {theirs}, this one takes over by \
                 {PROTOCOL}: restart the service to change between these releases"
            ),
            Self::Words(error) => write!(
                f,
                "cannot understand the running origin's offer of listeners: {error}; restart the \
                 service"
            ),
        }
    }
}

impl std::error::Error for BadOffer {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpStream;

    #[test]
    fn listeners_arrive_and_are_the_same_sockets() {
        let open: Vec<_> = (0..limits::HANDED_LISTENERS)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .map(|listener| (listener.local_addr().unwrap(), listener))
            .collect();
        let (ours, theirs) = UnixStream::pair().unwrap();
        Offer::send(&ours, &open).unwrap();
        let offer = Offer::receive(&theirs).unwrap();
        assert_eq!(offer.pid, std::process::id());
        let came: Vec<_> = offer.listeners.iter().map(|(address, _)| *address).collect();
        assert_eq!(came, open.iter().map(|(address, _)| *address).collect::<Vec<_>>());
        // The first holder goes; who connects meets the second.
        drop(open);
        for (address, listener) in &offer.listeners {
            let client = TcpStream::connect(address).unwrap();
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    }

    #[test]
    fn what_is_no_offer_of_this_protocol_is_refused() {
        let protocol = "the running origin hands over by protocol 99, this one takes over by 1";
        for (said, wanted) in [
            ("{\"protocol\":99,\"fds\":[]}\n", protocol),
            ("{}\n", "by protocol null"),
            ("{\"protocol\":1,\"pid\":1}\n", "missing field `listeners`"),
            (
                "{\"protocol\":1,\"pid\":1,\"listeners\":[\"127.0.0.1:1\"]}\n",
                "it names 1 listeners, 0 came",
            ),
            ("GET / HTTP/1.1\r\n", "expected value"),
            ("{\"protocol\":1", "it has no end"),
            ("", "it has no end"),
        ] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(said.as_bytes()).unwrap();
            drop(ours);
            let refused = Offer::receive(&theirs).unwrap_err().to_string();
            assert!(refused.contains(wanted), "{said}: {refused}");
        }
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(&[b' '; limits::OFFER_BYTES + 1]).unwrap();
        assert!(matches!(Offer::receive(&theirs), Err(BadOffer::Words(_))), "for ever");
        let no_socket = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(Offer::receive(&no_socket), Err(BadOffer::Unread(_))));
    }
}
