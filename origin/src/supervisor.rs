//! What the service manager is told (sd_notify(3)): datagrams to the socket that `NOTIFY_SOCKET`
//! names. Without that variable nobody asked, and nobody is told.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Something that the service manager should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The service can be used.
    Ready,
    /// It ends, because it was told to.
    Stopping,
    /// Another process is the service from now on.
    MainPid(i32),
}

/// Tells it. What cannot be told is in the log; the service goes on.
pub fn tell(news: News) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    let words = match news {
        News::Ready => "READY=1".to_owned(),
        News::Stopping => "STOPPING=1".to_owned(),
        News::MainPid(pid) => format!("MAINPID={pid}"),
    };
    if let Err(error) = send(&socket, &words) {
        tracing::warn!(%error, ?socket, words, "the service manager cannot be told");
    }
}

fn send(socket: &OsStr, words: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // A name that is no path.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(words.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("headwater-{}", std::process::id());
        let at = [
            (path.as_os_str().to_owned(), SocketAddr::from_pathname(&path).unwrap()),
            (format!("@{name}").into(), SocketAddr::from_abstract_name(&name).unwrap()),
        ];
        for (socket, address) in at {
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            send(&socket, "READY=1").unwrap();
            let mut got = [0; 32];
            let len = manager.recv(&mut got).unwrap();
            assert_eq!(&got[..len], b"READY=1");
        }
        assert!(send(OsStr::new("/nowhere/at/all"), "READY=1").is_err());
    }
}
