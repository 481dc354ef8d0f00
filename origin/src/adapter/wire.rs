//! A connection's clock, and the stream that tells it what moves.
//!
//! That bounds a header that drips in, a silent kept-alive connection and a client that takes
//! nothing, without a timer for each request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Terms;

/// What a connection is doing, and counts that move whenever it gets somewhere.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    steps: AtomicU32,
    /// The client has not taken what is ready for it.
    write_blocked: AtomicBool,
}

/// What a connection waits for. A new one owes its first header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The rest of a header.
    Header = 0,
    /// An answer, or a client that takes it.
    Answering = 1,
    /// A request.
    Idle = 2,
}

impl Progress {
    /// A phase begins.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.step();
    }

    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Header,
            1 => Phase::Answering,
            _ => Phase::Idle,
        }
    }
}

/// Finds a connection that got nowhere for too long.
pub struct Clock {
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    tick: Duration,
    seen_steps: u32,
    unmoved: Duration,
}

impl Clock {
    /// Ticks a few times in the shortest limit, and no more often than is any use.
    pub fn new(terms: &Terms) -> Self {
        let shortest = terms.header_timeout.min(terms.idle_timeout).min(terms.write_timeout);
        let tick = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        Self {
            header_timeout: terms.header_timeout,
            idle_timeout: terms.idle_timeout,
            write_timeout: terms.write_timeout,
            tick,
            seen_steps: 0,
            unmoved: Duration::ZERO,
        }
    }

    /// The time between ticks.
    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// Its ticks.
    pub fn ticks(&self) -> Interval {
        let mut ticks = interval_at(Instant::now() + self.tick, self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Time passed; the limit that was overstepped, if one was.
    pub fn ticked(&mut self, progress: &Progress) -> Option<&'static str> {
        let steps = progress.steps.load(Ordering::Relaxed);
        if steps != self.seen_steps {
            self.seen_steps = steps;
            self.unmoved = Duration::ZERO;
            return None;
        }
        self.unmoved += self.tick;
        let (limit, fault) = if progress.write_blocked.load(Ordering::Relaxed) {
            (self.write_timeout, "write_timeout")
        } else {
            match progress.phase() {
                Phase::Header => (self.header_timeout, "header_timeout"),
                Phase::Idle => (self.idle_timeout, "idle_timeout"),
                // What the service does has its own limits.
                Phase::Answering => return None,
            }
        };
        (self.unmoved >= limit).then_some(fault)
    }
}

/// The stream, watched.
pub struct Wire<S> {
    stream: S,
    /// What it reports.
    pub progress: Arc<Progress>,
    /// Whether bytes that come in while nothing is asked begin a request. HTTP/2 sends frames that
    /// ask for nothing; there `h2` itself knows what is asked.
    reads_begin_a_header: bool,
}

impl<S> Wire<S> {
    /// A stream that speaks HTTP/1.1.
    pub fn for_h1(stream: S) -> Self {
        Self { stream, progress: Arc::default(), reads_begin_a_header: true }
    }

    /// A stream that speaks HTTP/2.
    pub fn for_h2(stream: S) -> Self {
        let progress = Arc::new(Progress::default());
        progress.enter(Phase::Answering);
        Self { stream, progress, reads_begin_a_header: false }
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let blocked = outcome.is_pending();
        self.progress.write_blocked.store(blocked, Ordering::Relaxed);
        if !blocked {
            self.progress.step();
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        // Later bytes of a header do not count as progress: one a second would last for ever.
        let got_some = self.reads_begin_a_header && buf.filled().len() > before;
        if got_some && self.progress.phase() == Phase::Idle {
            self.progress.enter(Phase::Header);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress.write_blocked.store(outcome.is_pending(), Ordering::Relaxed);
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
