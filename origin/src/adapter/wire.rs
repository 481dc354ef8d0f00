//! A connection's clock, and the stream that tells it what moves.
//!
//! That bounds a header that drips in, a silent kept-alive connection and a client that takes
//! nothing, without a timer for each request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Terms;
use super::outgoing::{Direct, Found, Outgoing};
use crate::limits;

/// What a connection is doing, and counts that move whenever it gets somewhere.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    steps: AtomicU32,
    /// The client has not taken what is ready for it.
    write_blocked: AtomicBool,
    written_bytes: AtomicU64,
    /// Bytes that may still come in without a request; see `limits::H2_CREDIT_BYTES`.
    credit_bytes: AtomicI64,
    /// What is sent out of a file of memory.
    pub outgoing: Outgoing,
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
    /// The client to close, now that we have.
    Closing = 3,
    /// Nothing any more.
    Ended = 4,
}

impl Progress {
    /// A phase begins.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.step();
    }

    /// The client gains some of what it may send without asking.
    pub fn gain(&self, credit_bytes: i64) {
        let more = |left: i64| Some((left + credit_bytes).min(limits::H2_CREDIT_BYTES));
        let _ = self.credit_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Whether it sent more than that.
    pub fn is_flooded(&self) -> bool {
        self.credit_bytes.load(Ordering::Relaxed) < 0
    }

    /// Whether the client is waited for, to close.
    pub fn is_closing(&self) -> bool {
        self.phase() == Phase::Closing
    }

    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Header,
            1 => Phase::Answering,
            2 => Phase::Idle,
            3 => Phase::Closing,
            _ => Phase::Ended,
        }
    }
}

/// How much a client took of what was ready for it while it made us wait. One that takes a byte
/// now and then is never silent, and would keep a body in memory for ever.
#[derive(Debug)]
pub struct Pace {
    floor_bytes_s: u64,
    /// The pace is judged over so much waiting.
    window: Duration,
    waited: Duration,
    taken_bytes: u64,
}

impl Pace {
    /// Nobody waited yet.
    pub fn new(terms: &Terms) -> Self {
        Self {
            floor_bytes_s: terms.min_send_bytes_s,
            window: terms.write_timeout,
            waited: Duration::ZERO,
            taken_bytes: 0,
        }
    }

    /// The client took so much, having made us wait so long; whether that is too slow.
    pub fn is_too_slow(&mut self, waited: Duration, taken_bytes: u64) -> bool {
        self.waited += waited;
        self.taken_bytes += taken_bytes;
        if self.waited < self.window {
            return false;
        }
        let wanted = u128::from(self.floor_bytes_s) * self.waited.as_millis() / 1000;
        // Who took nothing at all is silent, which is another fault.
        let too_slow = self.taken_bytes > 0 && u128::from(self.taken_bytes) < wanted;
        (self.waited, self.taken_bytes) = (Duration::ZERO, 0);
        too_slow
    }

    /// The client keeps up: what was before says nothing.
    pub fn keeps_up(&mut self) {
        (self.waited, self.taken_bytes) = (Duration::ZERO, 0);
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
    seen_bytes: u64,
    was_blocked: bool,
    pace: Pace,
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
            seen_bytes: 0,
            was_blocked: false,
            pace: Pace::new(terms),
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
        let written = progress.written_bytes.load(Ordering::Relaxed);
        let taken_bytes = written - std::mem::replace(&mut self.seen_bytes, written);
        let is_blocked = progress.write_blocked.load(Ordering::Relaxed);
        // What went before the first wait went into the system's buffers.
        if !std::mem::replace(&mut self.was_blocked, is_blocked) || !is_blocked {
            self.pace.keeps_up();
        } else if self.pace.is_too_slow(self.tick, taken_bytes) {
            return Some("too_slow");
        }
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
                Phase::Closing => (self.write_timeout, "write_timeout"),
                // What the service does has its own limits.
                Phase::Answering | Phase::Ended => return None,
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
    /// Nothing more is written.
    is_shut: bool,
    /// Counts what leaves without a copy.
    uncopied_bytes: Option<IntCounter>,
}

impl<S> Wire<S> {
    /// A stream that speaks HTTP/1.1.
    pub fn for_h1(stream: S, uncopied_bytes: IntCounter) -> Self {
        let uncopied_bytes = Some(uncopied_bytes);
        let progress = Arc::default();
        Self { stream, progress, reads_begin_a_header: true, is_shut: false, uncopied_bytes }
    }

    /// A stream that speaks HTTP/2.
    pub fn for_h2(stream: S) -> Self {
        let progress = Arc::new(Progress::default());
        progress.enter(Phase::Answering);
        progress.gain(limits::H2_CREDIT_BYTES);
        Self { stream, progress, reads_begin_a_header: false, is_shut: false, uncopied_bytes: None }
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len_bytes)) = outcome {
            self.progress.written_bytes.fetch_add(len_bytes as u64, Ordering::Relaxed);
            self.progress.gain(signed(len_bytes) / limits::H2_CREDIT_SHARE);
        }
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
        let got_bytes = buf.filled().len() - before;
        if !self.reads_begin_a_header {
            self.progress.credit_bytes.fetch_sub(signed(got_bytes), Ordering::Relaxed);
            if self.progress.is_flooded() {
                return Poll::Ready(Err(io::Error::other("more than requests are made of")));
            }
        }
        // Later bytes of a header do not count as progress: one a second would last for ever.
        let got_some = self.reads_begin_a_header && got_bytes > 0;
        if got_some && self.progress.phase() == Phase::Idle {
            self.progress.enter(Phase::Header);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Direct + Unpin> Wire<S> {
    /// Sends a slice from the file that it lies in. Whatever keeps the system from it, an ordinary write
    /// does it instead, waits, or tells what is wrong with the connection.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        found: &Found,
        slice: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The stream may keep what was written before.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let tcp = self.stream.tcp();
        let sent = tcp.map(|tcp| found.filed.file.send(tcp, found.offset, slice.len()));
        match sent {
            Some(Ok(sent_bytes)) if sent_bytes > 0 => {
                if let Some(counter) = &self.uncopied_bytes {
                    counter.inc_by(sent_bytes as u64);
                }
                Poll::Ready(Ok(sent_bytes))
            }
            _ => Pin::new(&mut self.stream).poll_write(cx, slice),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Direct + Unpin> AsyncWrite for Wire<S> {
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
        let found = self.progress.outgoing.find(slices);
        let outcome = match found.filter(|_| self.stream.tcp().is_some()) {
            Some(found) if found.index == 0 => self.poll_send(cx, &found, &slices[0]),
            // What is before it goes by itself.
            Some(Found { index, .. }) => {
                Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..index])
            }
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        };
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

    /// An HTTP/2 client sends window updates for what it takes. A socket that is closed answers them with
    /// a reset, which throws away what it has not sent yet: so it is closed once the client has closed, or
    /// has been waited for for long enough ([`Phase::Ended`]). RFC 9112 9.6 says it of HTTP/1.1 too, whose
    /// clients send nothing of their own accord.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reads_begin_a_header {
            return Pin::new(&mut self.stream).poll_shutdown(cx);
        }
        match self.progress.phase() {
            Phase::Ended => return Poll::Ready(Ok(())),
            Phase::Closing => {}
            _ => self.progress.enter(Phase::Closing),
        }
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        self.poll_drain(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads until the client has closed, is gone, or sends more than it may.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; 1024];
        loop {
            let mut read = ReadBuf::new(&mut scrap);
            let outcome = ready!(Pin::new(&mut *self).poll_read(cx, &mut read));
            if outcome.is_err() || read.filled().is_empty() {
                return Poll::Ready(());
            }
            self.progress.step();
        }
    }
}

fn signed(len_bytes: usize) -> i64 {
    i64::try_from(len_bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use pingora_core::protocols::Stream;
    use pingora_core::protocols::l4::stream::Stream as Accepted;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::outgoing::tests::bodies;
    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn a_clock_tells_who_is_silent_from_who_is_slow() {
        let terms = Terms {
            header_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(60),
            max_header_bytes: 0,
            max_headers: 0,
            max_connections: 0,
            max_client_connections: 0,
            max_streams: 0,
            min_send_bytes_s: 10,
            trusted_proxies: Vec::new(),
        };
        for (taken, ended) in
            [(0, Some("write_timeout")), (1, Some("too_slow")), (9, Some("too_slow")), (10, None)]
        {
            let (mut client, server) = tokio::io::duplex(64);
            let mut wire = Wire::for_h1(server, Metrics::new().uncopied_bytes);
            let progress = Arc::clone(&wire.progress);
            let mut clock = Clock::new(&terms);
            assert_eq!(clock.tick(), Duration::from_secs(1));
            let mut found = None;
            for _ in 0..40 {
                let fill = poll_fn(|cx| {
                    while Pin::new(&mut wire).poll_write(cx, &[0; 16])?.is_ready() {}
                    Poll::Ready(Ok::<_, io::Error>(()))
                });
                fill.await.unwrap();
                found = found.or(clock.ticked(&progress));
                client.read_exact(&mut vec![0; taken]).await.unwrap();
            }
            assert_eq!(found, ended, "{taken} bytes a second");
        }
    }

    /// Whoever writes is called again once there is room, and by nothing else: here no clock ticks.
    #[tokio::test]
    async fn a_full_socket_is_waited_for() {
        let Some([body, _]) = bodies().await else { return };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let stream: Stream = Box::new(Accepted::from(accepted));
        let counter = Metrics::new().uncopied_bytes;
        let mut wire = Wire::for_h1(stream, counter.clone());
        wire.progress.outgoing.begin(&body);
        let bytes = body.parts()[0].clone();
        let wanted = [&b"head"[..], &bytes, &bytes, &bytes].concat();
        let writing = tokio::spawn(async move {
            wire.write_all(b"head").await.unwrap();
            for _ in 0..3 {
                let mut at = 0;
                while at < bytes.len() {
                    let rest = [io::IoSlice::new(&bytes[at..])];
                    let write =
                        |cx: &mut Context<'_>| Pin::new(&mut wire).poll_write_vectored(cx, &rest);
                    at += poll_fn(write).await.unwrap();
                }
            }
        });
        let mut got = vec![0; wanted.len()];
        for part in got.chunks_mut(300_000) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let read = tokio::time::timeout(Duration::from_secs(20), client.read_exact(part));
            read.await.expect("more comes").unwrap();
        }
        assert!(got == wanted);
        writing.await.unwrap();
        assert!(counter.get() > 0);
    }

    #[test]
    fn who_takes_some_but_too_little_is_too_slow() {
        const SECOND: Duration = Duration::from_secs(1);
        for (name, floor_bytes_s, taken, seconds) in [
            ("nothing at all", 100, &[0][..], None),
            ("a byte a second", 100, &[1], Some(10)),
            ("just below", 100, &[99], Some(10)),
            ("just enough", 100, &[100], None),
            ("in bursts", 100, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1000], None),
            ("no floor", 0, &[1], None),
        ] {
            let mut pace =
                Pace { floor_bytes_s, window: 10 * SECOND, waited: Duration::ZERO, taken_bytes: 0 };
            let mut taken = taken.iter().cycle();
            let cut = (1..=40).find(|_| pace.is_too_slow(SECOND, *taken.next().unwrap()));
            assert_eq!(cut, seconds, "{name}");
        }
    }
}
