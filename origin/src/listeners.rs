//! The sockets that are listened on, opened here and not by Pingora.
//!
//! Pingora tries for half a minute to open an address that is taken, and then goes on without it.
//! What is opened here is refused at once, with every address that comes before it still held, and
//! can be handed to a successor whenever it asks; Pingora's own way to do that waits for fixed
//! numbers of seconds, and stops accepting whether or not the other side has begun to.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::mpsc::Sender;

use async_trait::async_trait;
use futures_util::poll;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::{Service, listening};
use tokio::runtime::Handle;

use crate::adapter::{Adapter, Answers};
use crate::start_error::StartError;
use crate::threads::Threads;

/// Open sockets, each with the address that it was configured by.
#[derive(Debug)]
pub struct Listeners(Vec<(SocketAddr, TcpListener)>);

impl Listeners {
    /// Listens on every address: with the socket that a predecessor offers for it, or a new one.
    /// What is offered and not wanted is closed.
    pub fn open<'a>(
        addresses: impl Iterator<Item = &'a SocketAddr>,
        mut offered: Vec<(SocketAddr, TcpListener)>,
    ) -> Result<Self, StartError> {
        let mut open = Vec::new();
        for address in addresses {
            let place = offered.iter().position(|(other, _)| other == address);
            let listener = match place {
                Some(place) => offered.swap_remove(place).1,
                None => TcpListener::bind(address)
                    .map_err(|error| StartError::Listen(*address, error))?,
            };
            // Tokio wants it so, and the flag is shared with a predecessor, who did too.
            let asked = listener.set_nonblocking(true);
            asked.map_err(|error| StartError::Listen(*address, error))?;
            open.push((*address, listener));
        }
        Ok(Self(open))
    }

    /// All of them.
    pub fn all(&self) -> &[(SocketAddr, TcpListener)] {
        &self.0
    }

    /// One of Pingora's services, to answer on some of them by these threads. `started` is told when it
    /// accepts, or dropped if it never will.
    pub fn serve<'a, A: Answers>(
        &self,
        name: &str,
        adapter: Adapter<A>,
        addresses: impl Iterator<Item = &'a SocketAddr>,
        threads: &Threads,
        started: Sender<()>,
    ) -> Result<Served<A>, StartError> {
        let mut service = listening::Service::new(name.to_owned(), adapter);
        let mut open = Vec::new();
        for address in addresses {
            service.add_tcp(&address.to_string());
            for (_, listener) in self.0.iter().filter(|(other, _)| other == address) {
                let copy = listener.try_clone();
                let copy = copy.map_err(|error| StartError::Listen(*address, error))?;
                open.push((address.to_string(), copy));
            }
        }
        let (name, threads) = (name.to_owned(), threads.handle());
        Ok(Served { name, threads, begun: Some((service, started)), open })
    }
}

/// Pingora's service on listeners that are open already.
pub struct Served<A> {
    name: String,
    threads: Handle,
    /// Until it begins.
    begun: Option<(listening::Service<Adapter<A>>, Sender<()>)>,
    open: Vec<(String, TcpListener)>,
}

#[async_trait]
impl<A: Answers> Service for Served<A> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        if let Some(fds) = &fds {
            let mut table = fds.lock();
            for (address, listener) in self.open.drain(..) {
                table.add(address, listener.into_raw_fd());
            }
        }
        let Some((mut service, started)) = self.begun.take() else { return };
        let serving = self.threads.spawn(async move {
            // The first time that Pingora waits is when it has its listeners and accepts.
            let mut serving = service.start_service(fds, shutdown, listeners_per_fd);
            if poll!(&mut serving).is_pending() {
                // Nobody is left to know only where the start was given up.
                let _ = started.send(());
                serving.await;
            }
        });
        // An error says that the threads are gone, at the end, or that Pingora panicked, and `started` is gone.
        let _ = serving.await;
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn threads(&self) -> Option<usize> {
        // Of Pingora's, for nothing but waiting.
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.begun.as_ref().and_then(|(service, _)| service.listen_addresses())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn listeners_that_overlap_are_not_free() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let all = SocketAddr::from(([0, 0, 0, 0], free.port()));
        assert!(Listeners::open([&all].into_iter(), Vec::new()).is_ok());
        for addresses in [[&all, &free], [&free, &all]] {
            let refused = Listeners::open(addresses.into_iter(), Vec::new());
            let at_last = matches!(refused, Err(StartError::Listen(at, _)) if at == *addresses[1]);
            assert!(at_last, "{addresses:?}");
        }
    }

    #[test]
    fn what_is_offered_is_taken_and_what_is_not_wanted_closed() {
        let bound = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (kept, gone, fresh) = (bound(), bound(), bound());
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let (at_kept, at_gone, at_fresh) = (address(&kept), address(&gone), address(&fresh));
        drop(fresh);
        let offered = vec![(at_gone, gone), (at_kept, kept)];
        let open = Listeners::open([&at_kept, &at_fresh].into_iter(), offered).unwrap();
        assert_eq!(open.all().len(), 2);
        for at in [at_kept, at_fresh] {
            assert!(TcpStream::connect(at).is_ok());
        }
        assert!(TcpStream::connect(at_gone).is_err());
    }
}
