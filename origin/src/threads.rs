//! The threads that serve, and how what runs on them takes turns.
//!
//! Pingora would start each service on a runtime that looks at its sockets after every 61 tasks, as long as there is one
//! that can go on. Where a task encrypts a segment that is a tenth of a second, in which nobody is sent what he could
//! take: so a service runs on threads that are started here. See `ARCHITECTURE.md` for what that gains.

use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::limits;

/// Threads that run tasks until this is dropped.
#[derive(Debug)]
pub struct Threads(Option<Runtime>);

impl Threads {
    /// So many, called `name`.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn start(name: &str, count: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name(name)
            .event_interval(limits::TASKS_BETWEEN_SOCKETS)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where tasks are given to them.
    pub fn handle(&self) -> Handle {
        self.0.as_ref().expect("taken by drop alone").handle().clone()
    }
}

impl Drop for Threads {
    /// Waits for nothing: a store that hangs may keep a thread for ever.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Ends when all that is ready now has run. A task that wakes itself while it runs goes to the end of its
/// thread's queue; one that yields ([`tokio::task::yield_now`]) is put off until there is nothing else, or
/// sockets are looked at.
pub fn behind_all_that_is_ready() -> impl Future<Output = ()> {
    let mut has_waited = false;
    poll_fn(move |task| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        task.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    /// What comes is seen after a few of the tasks that can always go on.
    #[test]
    fn sockets_are_looked_at_while_there_is_enough_to_do() {
        const TASKS: u64 = 3;
        const ROUNDS: u64 = 100;
        let threads = Threads::start("busy", 1).unwrap();
        let (ran, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        for _ in 0..TASKS {
            let (ran, over) = (Arc::clone(&ran), Arc::clone(&over));
            threads.handle().spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_micros(50));
                    ran.fetch_add(1, Ordering::Relaxed);
                    behind_all_that_is_ready().await;
                }
            });
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (at, from) = (socket.local_addr().unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.set_nonblocking(true).unwrap();
        let (seen, by) = std::sync::mpsc::channel();
        let counted = Arc::clone(&ran);
        threads.handle().spawn(async move {
            let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
            while socket.recv(&mut [0; 9]).await.is_ok() {
                seen.send(counted.load(Ordering::Relaxed)).unwrap();
            }
        });
        let mut waited = 0;
        for round in 0..ROUNDS {
            // At another place between two looks each time.
            std::thread::sleep(Duration::from_micros(500 + 97 * round));
            let before = ran.load(Ordering::Relaxed);
            from.send_to(b"x", at).unwrap();
            waited += by.recv_timeout(Duration::from_secs(20)).unwrap() - before;
        }
        over.store(true, Ordering::Relaxed);
        // Half as many as lie between two looks, and who is in the queue.
        let most = u64::from(limits::TASKS_BETWEEN_SOCKETS) / 2 + 2 * TASKS + 5;
        assert!(waited <= most * ROUNDS, "{} tasks each", waited / ROUNDS);
    }
}
