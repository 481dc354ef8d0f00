//! The only file that knows a codec: hyper's HTTP/1.1 on a stream that Pingora accepted.
//!
//! Pingora keeps listeners, threads and the shutdown signal; hyper reads requests and writes
//! answers; the service between them sees neither. Measured when chosen: hyper on Pingora's stream
//! costs .6 CPU-s per 100,000 small answers, Pingora's own HTTP app 1.2, nginx .6.
//!
//! A connection has one clock, which ticks a few times in its shortest time limit and looks
//! whether anything moved. That bounds a header that drips in, a silent kept-alive connection and
//! a client that takes nothing, without a timer for each request.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::MissedTickBehavior;

use crate::admin::Admin;
use crate::delivery::Delivery;
use crate::exchange::{Answer, Request};
use crate::limits;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::slices::Slices;

/// Whatever answers requests.
pub trait Answers: Send + Sync + 'static {
    /// Answers a request that arrived at `now`, which the wall clock calls `at`.
    fn answer(
        &self,
        request: &Request,
        now: Instant,
        at: SystemTime,
    ) -> impl Future<Output = Answer> + Send;
}

impl Answers for Service {
    async fn answer(&self, request: &Request, now: Instant, at: SystemTime) -> Answer {
        self.answer(request, now, at).await
    }
}

impl Answers for Admin {
    async fn answer(&self, request: &Request, _now: Instant, _at: SystemTime) -> Answer {
        self.answer(request).await
    }
}

/// Time and size limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// From the first byte of a request, or the start of the connection, to the header's end.
    pub header_timeout: Duration,
    /// Silence between requests.
    pub idle_timeout: Duration,
    /// Time in which a client takes no byte of what is ready for it.
    pub write_timeout: Duration,
    /// Bytes of a header, request line included.
    pub max_header_bytes: usize,
    /// Fields of a header.
    pub max_headers: usize,
}

/// Speaks HTTP/1.1 on behalf of something that answers.
pub struct Adapter<A> {
    answers: Arc<A>,
    terms: Terms,
    metrics: Arc<Metrics>,
}

#[async_trait]
impl<A: Answers> ServerApp for Adapter<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        // Asked for before the stream is given away.
        let digest = stream.get_socket_digest();
        let remote = digest.and_then(|digest| match digest.peer_addr() {
            Some(SocketAddr::Inet(address)) => Some(address.ip()),
            _ => None,
        });
        self.serve(stream, remote, shutdown.clone()).await;
        None
    }
}

impl<A: Answers> Adapter<A> {
    /// An adapter for `answers`.
    pub fn new(answers: Arc<A>, terms: Terms, metrics: Arc<Metrics>) -> Self {
        Self { answers, terms, metrics }
    }

    /// Serves a connection until either side ends it. Once `stop` turns true it ends with the
    /// answer that is being sent, or at once if there is none.
    pub async fn serve<S>(&self, stream: S, remote: Option<IpAddr>, mut stop: ShutdownWatch)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let _open = OpenConnection::new(&self.metrics);
        let progress = Arc::new(Progress::default());
        let wire = Wire { stream, progress: Arc::clone(&progress) };
        let service = service_fn(|request| self.exchange(request, remote, &progress));
        let connection = http1::Builder::new()
            // Our own clock does it, for three limits at once.
            .header_read_timeout(None)
            .max_headers(self.terms.max_headers)
            .max_header_size(self.terms.max_header_bytes)
            .serve_connection(TokioIo::new(wire), service);
        tokio::pin!(connection);
        let mut clock = Clock::new(self.terms);
        let mut ticks = tokio::time::interval(clock.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        let fault = loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break fault_of(ended),
                _ = ticks.tick() => {
                    if let Some(timeout) = clock.ticked(&progress) {
                        break Some(timeout);
                    }
                }
                _ = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        };
        if let Some(fault) = fault {
            self.metrics.connection_faults.with_label_values(&[fault]).inc();
        }
    }

    async fn exchange(
        &self,
        request: http::Request<Incoming>,
        remote: Option<IpAddr>,
        progress: &Arc<Progress>,
    ) -> Result<http::Response<SentBody>, Infallible> {
        progress.enter(Phase::Answering);
        let has_body = !request.body().is_end_stream();
        let (parts, unread_body) = request.into_parts();
        let hosts = parts.headers.get_all(http::header::HOST).iter().count();
        let request = Request {
            lacks_host: parts.version == http::Version::HTTP_11 && hosts != 1,
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            has_body,
            remote,
        };
        let answer = self.answers.answer(&request, Instant::now(), SystemTime::now()).await;
        // A body that nobody read is left on the wire; hyper then ends the connection.
        drop(unread_body);
        let Answer { status, headers, body, delivery } = answer;
        let mut response = http::Response::new(SentBody::new(body, delivery, Arc::clone(progress)));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// The fault that ended a connection, as the metric calls it; ends that a client may well choose
/// are none.
fn fault_of(ended: hyper::Result<()>) -> Option<&'static str> {
    let error = ended.err()?;
    if error.is_parse() || error.is_parse_too_large() {
        Some("bad_request")
    } else {
        Some("broken")
    }
}

/// Counts a connection while it lives.
struct OpenConnection<'a>(&'a Metrics);

impl<'a> OpenConnection<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.connections.inc();
        metrics.connections_open.inc();
        Self(metrics)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections_open.dec();
    }
}

/// What a connection is doing, and a count that moves whenever it gets somewhere.
#[derive(Debug, Default)]
struct Progress {
    phase: AtomicU8,
    steps: AtomicU32,
    /// The client has not taken what is ready for it.
    write_blocked: AtomicBool,
}

/// What a connection waits for. A new one owes its first header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Header = 0,
    Answering = 1,
    Idle = 2,
}

impl Progress {
    fn enter(&self, phase: Phase) {
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
struct Clock {
    terms: Terms,
    tick: Duration,
    seen_steps: u32,
    unmoved: Duration,
}

impl Clock {
    /// Ticks a few times in the shortest limit, and no more often than is any use.
    fn new(terms: Terms) -> Self {
        let shortest = terms.header_timeout.min(terms.idle_timeout).min(terms.write_timeout);
        let tick = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        Self { terms, tick, seen_steps: 0, unmoved: Duration::ZERO }
    }

    /// Time passed; the limit that was overstepped, if one was.
    fn ticked(&mut self, progress: &Progress) -> Option<&'static str> {
        let steps = progress.steps.load(Ordering::Relaxed);
        if steps != self.seen_steps {
            self.seen_steps = steps;
            self.unmoved = Duration::ZERO;
            return None;
        }
        self.unmoved += self.tick;
        let (limit, fault) = if progress.write_blocked.load(Ordering::Relaxed) {
            (self.terms.write_timeout, "write_timeout")
        } else {
            match progress.phase() {
                Phase::Header => (self.terms.header_timeout, "header_timeout"),
                Phase::Idle => (self.terms.idle_timeout, "idle_timeout"),
                // What the service does has its own limits.
                Phase::Answering => return None,
            }
        };
        (self.unmoved >= limit).then_some(fault)
    }
}

/// The stream, watched.
struct Wire<S> {
    stream: S,
    progress: Arc<Progress>,
}

impl<S> Wire<S> {
    fn wrote(&self, outcome: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
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
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        // Later bytes of a header do not count as progress: one a second would last for ever.
        if buf.filled().len() > before && self.progress.phase() == Phase::Idle {
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
    ) -> Poll<std::io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress.write_blocked.store(outcome.is_pending(), Ordering::Relaxed);
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A body made of ready slices. Its exact size is known, so hyper writes Content-Length.
struct SentBody {
    body: Slices,
    part: usize,
    /// Where in `part` the next frame starts.
    at: usize,
    left_bytes: u64,
    delivery: Option<Delivery>,
    progress: Arc<Progress>,
}

impl SentBody {
    fn new(body: Slices, delivery: Option<Delivery>, progress: Arc<Progress>) -> Self {
        Self { left_bytes: body.len_bytes(), body, part: 0, at: 0, delivery, progress }
    }

    fn next_frame(&mut self) -> Option<Bytes> {
        while let Some(part) = self.body.parts().get(self.part) {
            let end = part.len().min(self.at + limits::FRAME_BYTES);
            if self.at < end {
                let frame = part.slice(self.at..end);
                self.at = end;
                return Some(frame);
            }
            self.part += 1;
            self.at = 0;
        }
        None
    }
}

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(frame) = self.next_frame() else { return Poll::Ready(None) };
        let len_bytes = frame.len() as u64;
        self.left_bytes -= len_bytes;
        if let Some(delivery) = &mut self.delivery {
            delivery.sent(len_bytes);
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.progress.enter(Phase::Idle);
    }
}
