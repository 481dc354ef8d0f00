//! Connections: from what Pingora accepted to answers on the wire.
//!
//! ```text
//! accepted ─► PROXY header ─► TLS ─► which HTTP ─┬─► h1  hyper
//!             (some doors)   (some)  ALPN, or    └─► h2  the h2 crate
//!                                    the preface
//! ```
//!
//! Pingora keeps accepting and the shutdown signal; the service sees neither codec nor TLS. Measured
//! when chosen: hyper's HTTP/1.1 on Pingora's stream costs .6 CPU-s per 100,000 small answers,
//! Pingora's own HTTP app 1.2, nginx .6. TLS is not left to Pingora because a PROXY header comes
//! before the handshake, and because certificates change while connections live.
//!
//! A connection has one clock, which ticks a few times in its shortest time limit and looks
//! whether anything moved; see `wire`.

mod ahead;
mod body;
mod door;
mod exchange;
mod h1;
mod h2;
mod outgoing;
mod request_body;
mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use headwater_config::{Config, Network};
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::socket::SocketAddr as AnyAddress;
use pingora_core::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::admin::Admin;
use crate::clients::{Clients, Seat};
use crate::exchange::{Answer, Request};
use crate::metrics::Metrics;
use crate::proxy_protocol::{self, Sender};
use crate::rooms::count;
use crate::service::Service;
use crate::tls::Tls;

use ahead::Ahead;
pub use door::{Door, Doors};
pub use outgoing::Direct;
use wire::Wire;

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

/// What is replaced by a reload: each request is answered by what is current when it arrives.
impl<A: Answers> Answers for ArcSwap<A> {
    async fn answer(&self, request: &Request, now: Instant, at: SystemTime) -> Answer {
        self.load_full().answer(request, now, at).await
    }
}

/// Time and size limits of a connection, and whose word about addresses is believed.
#[derive(Clone, Debug)]
pub struct Terms {
    /// From the first byte of a request, or the start of the connection, to the header's end.
    pub header_timeout: Duration,
    /// Silence between requests.
    pub idle_timeout: Duration,
    /// Time in which a client takes no byte of what is ready for it.
    pub write_timeout: Duration,
    /// For a TLS handshake.
    pub handshake_timeout: Duration,
    /// Bytes of a header, request line included.
    pub max_header_bytes: usize,
    /// Fields of a header.
    pub max_headers: usize,
    /// Connections at one time.
    pub max_connections: usize,
    /// Connections of one address at one time; 0 for any.
    pub max_client_connections: u32,
    /// Requests at one time on an HTTP/2 connection.
    pub max_streams: u32,
    /// Bytes a second that a client takes at least of what is ready for it; 0 sets no floor.
    pub min_send_bytes_s: u64,
    /// Who may send a PROXY header.
    pub trusted_proxies: Vec<Network>,
}

impl Terms {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        let limits = &config.origin.limits;
        Self {
            header_timeout: Duration::from_secs(limits.header_timeout_s.into()),
            idle_timeout: Duration::from_secs(limits.idle_timeout_s.into()),
            write_timeout: Duration::from_secs(limits.write_timeout_s.into()),
            max_header_bytes: count(limits.max_header_bytes),
            max_headers: count(limits.max_headers),
            max_connections: count(limits.max_connections),
            max_client_connections: limits.max_client_connections,
            max_streams: limits.max_streams,
            min_send_bytes_s: u64::from(limits.min_send_kib_s) * 1024,
            handshake_timeout: Duration::from_secs(config.origin.tls.handshake_timeout_s.into()),
            trusted_proxies: config.origin.trusted_proxies.clone(),
        }
    }
}

/// Speaks HTTP on behalf of something that answers.
pub struct Adapter<A> {
    answers: Arc<A>,
    terms: Arc<ArcSwap<Terms>>,
    doors: Doors,
    tls: Option<Arc<Tls>>,
    handed_over: Arc<AtomicBool>,
    /// Held for as long as anything is served here.
    #[expect(dead_code, reason = "whoever waits sees it dropped")]
    alive: Option<mpsc::Sender<Infallible>>,
    metrics: Arc<Metrics>,
    /// What is open here; the metric counts it for all adapters.
    open: AtomicUsize,
    clients: Arc<Clients>,
}

/// A client has as many connections as it may.
struct TooMany;

/// What is said of one connection to its codec.
#[derive(Debug)]
struct Line<A> {
    answers: Arc<A>,
    terms: Arc<Terms>,
    metrics: Arc<Metrics>,
    remote: Option<IpAddr>,
    over_tls: bool,
    /// Whether a stop leaves listeners to a successor; see `h1`.
    handed_over: Arc<AtomicBool>,
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
        let inet = |address: Option<&AnyAddress>| match address {
            Some(AnyAddress::Inet(address)) => Some(*address),
            _ => None,
        };
        let peer = inet(digest.as_ref().and_then(|digest| digest.peer_addr()));
        let local = inet(digest.as_ref().and_then(|digest| digest.local_addr()));
        let door = local.map_or(Door::default(), |local: SocketAddr| self.doors.at(local));
        self.serve(stream, peer.map(|peer| peer.ip()), door, shutdown.clone()).await;
        None
    }
}

impl<A: Answers> Adapter<A> {
    /// An adapter for `answers`, behind plain doors alone.
    pub fn new(answers: Arc<A>, terms: Arc<ArcSwap<Terms>>, metrics: Arc<Metrics>) -> Self {
        Self {
            answers,
            terms,
            doors: Doors::default(),
            tls: None,
            handed_over: Arc::default(),
            alive: None,
            metrics,
            open: AtomicUsize::new(0),
            clients: Clients::new(),
        }
    }

    /// With these doors, and TLS behind those that speak it.
    #[must_use]
    pub fn behind(self, doors: Doors, tls: Option<Arc<Tls>>) -> Self {
        Self { doors, tls, ..self }
    }

    /// With a flag that says whether a stop hands the listeners over to a successor.
    #[must_use]
    pub fn succeeded(self, handed_over: Arc<AtomicBool>) -> Self {
        Self { handed_over, ..self }
    }

    /// With something that whoever waits for the last connection waits for: Pingora's listeners and
    /// each connection, from the moment it is accepted, hold the adapter.
    #[must_use]
    pub fn held(self, alive: mpsc::Sender<Infallible>) -> Self {
        Self { alive: Some(alive), ..self }
    }

    /// Serves a connection until either side ends it. Once `stop` turns true it ends with the
    /// answer that is being sent, or at once if there is none.
    pub async fn serve<S>(
        &self,
        stream: S,
        remote: Option<IpAddr>,
        door: Door,
        mut stop: ShutdownWatch,
    ) where
        S: AsyncRead + AsyncWrite + Direct + Unpin + Send + 'static,
    {
        let terms = self.terms.load_full();
        let open = OpenConnection::new(&self.metrics, &self.open);
        if open.others >= terms.max_connections {
            return self.fault("too_many");
        }
        let mut stream = Ahead::new(stream);
        let remote = match self.client(&mut stream, remote, door, &terms).await {
            Ok(remote) => remote,
            Err(fault) => return self.fault(fault),
        };
        let Ok(_seat) = self.seat(remote, &terms) else {
            self.metrics.client_refusals.with_label_values(&["connections"]).inc();
            return self.fault("too_many_of_client");
        };
        let line = Line {
            answers: Arc::clone(&self.answers),
            terms: Arc::clone(&terms),
            metrics: Arc::clone(&self.metrics),
            remote,
            over_tls: door.tls,
            handed_over: Arc::clone(&self.handed_over),
        };
        let fault = if door.tls {
            let Some(tls) = &self.tls else { return self.fault("broken") };
            let Some(stream) = tls.accept(stream, terms.handshake_timeout).await else { return };
            let speaks_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            line.speak(stream, speaks_h2, stop).await
        } else {
            let preface = stream.begins_with(h2::PREFACE);
            let preface = tokio::time::timeout(terms.header_timeout, preface);
            let speaks_h2 = tokio::select! {
                biased;
                speaks_h2 = preface => speaks_h2,
                () = stopped_for_good(&mut stop, &self.handed_over) => return,
            };
            match speaks_h2 {
                Err(_) => Some("header_timeout"),
                Ok(Err(_)) => None,
                Ok(Ok(speaks_h2)) => line.speak(stream, speaks_h2, stop).await,
            }
        };
        if let Some(fault) = fault {
            self.fault(fault);
        }
    }

    /// The client's seat for as long as the connection lives, where seats are counted. A proxy that is
    /// trusted has as many as it likes: its clients are others.
    fn seat(&self, remote: Option<IpAddr>, terms: &Terms) -> Result<Option<Seat>, TooMany> {
        let most = terms.max_client_connections;
        let is_trusted = |of: &IpAddr| terms.trusted_proxies.iter().any(|net| net.contains(*of));
        match remote.filter(|remote| most > 0 && !is_trusted(remote)) {
            None => Ok(None),
            Some(remote) => self.clients.seat(remote, most).map(Some).ok_or(TooMany),
        }
    }

    /// Who is at the far end: what the PROXY header says where there is one.
    async fn client<S>(
        &self,
        stream: &mut Ahead<S>,
        peer: Option<IpAddr>,
        door: Door,
        terms: &Terms,
    ) -> Result<Option<IpAddr>, &'static str>
    where
        S: AsyncRead + Unpin,
    {
        if !door.proxy {
            return Ok(peer);
        }
        let is_trusted = |peer| terms.trusted_proxies.iter().any(|net| net.contains(peer));
        if !peer.is_some_and(is_trusted) {
            return Err("proxy_untrusted");
        }
        let header = stream.take_front(proxy_protocol::parse);
        match tokio::time::timeout(terms.header_timeout, header).await {
            Err(_) => Err("header_timeout"),
            Ok(Err(_)) => Err("proxy_malformed"),
            Ok(Ok(Sender::Proxied(client))) => Ok(Some(client.ip())),
            Ok(Ok(Sender::Itself)) => Ok(peer),
        }
    }

    fn fault(&self, fault: &'static str) {
        self.metrics.connection_faults.with_label_values(&[fault]).inc();
    }
}

impl<A: Answers> Line<A> {
    async fn speak<S>(self, stream: S, speaks_h2: bool, stop: ShutdownWatch) -> Option<&'static str>
    where
        S: AsyncRead + AsyncWrite + Direct + Unpin + Send + 'static,
    {
        let protocol = if speaks_h2 { "h2" } else { "http/1.1" };
        self.metrics.connection_protocols.with_label_values(&[protocol]).inc();
        if speaks_h2 {
            h2::serve(Wire::for_h2(stream), Arc::new(self), stop).await
        } else {
            let uncopied_bytes = self.metrics.uncopied_bytes.clone();
            h1::serve(Wire::for_h1(stream, uncopied_bytes), &self, stop).await
        }
    }
}

/// Ends when the process stops.
async fn stopped(stop: &mut ShutdownWatch) {
    // An error means that whoever says so is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Ends when the process stops and nobody takes its place. With a successor, who has just come may
/// still ask: it costs the old process nothing and the client a failed request.
async fn stopped_for_good(stop: &mut ShutdownWatch, handed_over: &AtomicBool) {
    stopped(stop).await;
    if handed_over.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Counts a connection while it lives.
struct OpenConnection<'a> {
    metrics: &'a Metrics,
    here: &'a AtomicUsize,
    /// How many there were before it.
    others: usize,
}

impl<'a> OpenConnection<'a> {
    fn new(metrics: &'a Metrics, here: &'a AtomicUsize) -> Self {
        metrics.connections.inc();
        metrics.connections_open.inc();
        Self { metrics, here, others: here.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.here.fetch_sub(1, Ordering::Relaxed);
        self.metrics.connections_open.dec();
    }
}
