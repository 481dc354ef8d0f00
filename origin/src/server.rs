//! All rooms put together from a configuration, and run under Pingora until a signal ends it.
//!
//! ```text
//! SIGTERM, SIGQUIT   stop listening, end running responses within grace_s, exit
//! SIGINT             the same within two seconds
//! a second signal    exit at once
//! SIGHUP             read the configuration and the certificates again; see `reload`
//! ```
//!
//! Pingora always sleeps for its whole grace period. So it runs in a thread of its own, and the
//! main thread leaves as soon as the last connection is gone.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use headwater_config::{Config, StoreUrl};
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora_core::services::listening;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::access::SecretError;
use crate::access::tokens::Tokens;
use crate::access_log::AccessLog;
use crate::adapter::{Adapter, Answers, Doors, Terms};
use crate::admin::Admin;
use crate::cache::ResponseCache;
use crate::delivery::Books;
use crate::edge::Edge;
use crate::limits;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::profile::{self, NotReady, Profiles};
use crate::recent::Recent;
use crate::reload::{Live, Load};
use crate::service::Service;
use crate::store::{FileStore, Guarded, S3Store, Store, StoreError};
use crate::titles::{self, Titles};
use crate::tls::{CertificateError, Tls, Watch};

/// How often the main thread looks whether connections are left.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long Pingora may take to listen on addresses that were free a moment before.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Everything between the listeners and the store.
#[derive(Clone)]
pub struct Rooms {
    /// Answers players and CDNs.
    pub service: Arc<Service>,
    /// Answers on the admin port.
    pub admin: Arc<Admin>,
}

impl Rooms {
    /// Builds every room; the access log is opened, nothing else is touched.
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let dropped = metrics.access_log_dropped.clone();
        let access_log = AccessLog::open(&config.origin.access_log, dropped).map_err(|error| {
            StartError::AccessLog(config.origin.access_log.clone().into(), error)
        })?;
        let store = store(config, &metrics).map_err(StartError::Store)?;
        Self::with_store(config, store, metrics, access_log)
    }

    /// The rooms around a store.
    pub fn with_store(
        config: &Config,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        access_log: AccessLog,
    ) -> Result<Self, StartError> {
        let titles = titles(config, Arc::clone(&store), &metrics);
        let cache = cache(config, &metrics);
        let books = Arc::new(Books { metrics, access_log });
        Self::around(config, store, titles, cache, books)
    }

    /// The rooms under another configuration. Store, books and caches stay, but for what was made
    /// under rules that no longer hold: a response in the cache was admitted when it was made, and
    /// a version was cut to every profile's segments when it was opened.
    pub fn under(&self, old: &Config, new: &Config) -> Result<Self, StartError> {
        let service = &self.service;
        let books = Arc::clone(&service.books);
        let lengths = |config: &Config| profile::segment_lengths_ms(&config.profiles);
        let keeps_titles = lengths(old) == lengths(new) && old.origin.cache == new.origin.cache;
        let titles = if keeps_titles {
            Arc::clone(&service.titles)
        } else {
            titles(new, Arc::clone(&service.store), &books.metrics)
        };
        let cache = if old.profiles == new.profiles {
            service.cache.clone()
        } else {
            cache(new, &books.metrics)
        };
        Self::around(new, Arc::clone(&service.store), titles, cache, books)
    }

    fn around(
        config: &Config,
        store: Arc<dyn Store>,
        titles: Arc<Titles>,
        cache: ResponseCache,
        books: Arc<Books>,
    ) -> Result<Self, StartError> {
        let profiles = Profiles::new(&config.profiles).map_err(StartError::Profile)?;
        let tokens = Tokens::open(&config.origin.tokens).map_err(StartError::Tokens)?;
        let metrics = &books.metrics;
        let admin = Admin {
            metrics: Arc::clone(metrics),
            cache: cache.clone(),
            titles: Arc::clone(&titles),
        };
        let service = Service {
            profiles,
            tokens: Arc::new(tokens),
            titles,
            cache,
            store,
            page: config.origin.page.then(Page::embedded),
            books,
            edge: Edge::new(&config.origin),
            max_uri_bytes: count(config.origin.limits.max_uri_bytes),
            ready: Recent::new(limits::LOOK_TTL),
            listed: Recent::new(limits::LOOK_TTL),
        };
        Ok(Self { service: Arc::new(service), admin: Arc::new(admin) })
    }
}

/// The configured store, behind its time limit and counters.
///
/// # Errors
/// Where what is needed to reach it cannot be read. The store itself is not asked.
pub fn store(config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<dyn Store>, StoreError> {
    let reads = &config.origin.store;
    let max_reads = count(reads.max_concurrent_reads);
    let timeout = Duration::from_millis(reads.read_timeout_ms.into());
    let metrics = Arc::clone(metrics);
    Ok(match &config.store.url {
        StoreUrl::File(folder) => {
            Arc::new(Guarded::new(FileStore::new(folder.clone(), max_reads), timeout, metrics))
        }
        StoreUrl::S3(bucket) => {
            let store = S3Store::new(bucket, &config.store.s3, max_reads)?;
            Arc::new(Guarded::new(store, timeout, metrics))
        }
    })
}

/// The configured cache of titles.
pub fn titles(config: &Config, store: Arc<dyn Store>, metrics: &Arc<Metrics>) -> Arc<Titles> {
    let cache = &config.origin.cache;
    let terms = titles::Terms {
        capacity_bytes: mib(cache.titles_mib),
        pointer_ttl: Duration::from_millis(cache.pointer_ttl_ms.into()),
        not_found_ttl: Duration::from_millis(cache.not_found_ttl_ms.into()),
        segment_lengths_ms: profile::segment_lengths_ms(&config.profiles),
    };
    Titles::new(store, Arc::clone(metrics), terms)
}

/// TLS, where anything speaks it.
fn tls(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<Tls>>, StartError> {
    let settings = &config.origin.tls;
    if settings.listen.is_empty() {
        return Ok(None);
    }
    let tls = Tls::new(settings, Arc::clone(metrics)).map_err(StartError::Certificate)?;
    Ok(Some(Arc::new(tls)))
}

fn cache(config: &Config, metrics: &Arc<Metrics>) -> ResponseCache {
    ResponseCache::new(mib(config.origin.cache.responses_mib), Arc::clone(metrics))
}

/// Serves until a signal says stop and the running responses have ended or their time is up.
/// A reload gets its configuration from `load`.
pub fn run(config: &Config, load: Load<'_>) -> Result<(), StartError> {
    if let StoreUrl::File(folder) = &config.store.url
        && !folder.is_dir()
    {
        return Err(StartError::NoFolder(folder.clone()));
    }
    let origin = &config.origin;
    let addresses = || origin.listen.iter().chain(&origin.tls.listen).chain([&origin.admin_listen]);
    check_free(addresses())?;
    let rooms = Rooms::new(config)?;
    let tls = tls(config, &rooms.admin.metrics)?;
    let books = Arc::clone(&rooms.service.books);
    let (stops, stopped) = channel();
    let mut live = Live::new(config, rooms, tls.clone());
    look_at_keys(Arc::clone(&live.service))?;
    let server = server(config, &live, tls);
    // Left alone at the end: the process does not wait for Pingora's sleep.
    let _running = thread::Builder::new()
        .name("pingora".to_owned())
        .spawn(move || server.run(RunArgs { shutdown_signal: Box::new(Signals(stops)) }))
        .map_err(StartError::Thread)?;
    for address in addresses() {
        wait_until_listening(*address)?;
    }
    announce(config);
    let stop = wait(&stopped, &mut live, load);
    drain(stop, &stopped, origin.grace_s, &books.metrics);
    books.access_log.finish(limits::ACCESS_LOG_PATIENCE);
    Ok(())
}

/// Reads the keys of tokens again and again, as the configuration in use says, for as long as the
/// process lives.
fn look_at_keys(service: Arc<ArcSwap<Service>>) -> Result<(), StartError> {
    let look = move || {
        loop {
            let look_s = service.load().tokens.look_s();
            thread::sleep(Duration::from_secs(look_s.max(1).into()));
            if look_s == 0 {
                continue;
            }
            let tokens = Arc::clone(&service.load().tokens);
            match tokens.reload() {
                Ok(true) => tracing::info!(keys = tokens.listed(), "the keys of tokens changed"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the keys of tokens stay as they were"),
            }
        }
    };
    let started = thread::Builder::new().name("token-keys".to_owned()).spawn(look);
    started.map(drop).map_err(StartError::Thread)
}

/// Whether all these can be listened on at once: each is held until the last one is, so that two
/// which overlap are noticed. Pingora would try for half a minute and then go on without one.
fn check_free<'a>(addresses: impl Iterator<Item = &'a SocketAddr>) -> Result<(), StartError> {
    let mut held = Vec::new();
    for address in addresses {
        let bound = TcpListener::bind(address);
        held.push(bound.map_err(|error| StartError::Listen(*address, error))?);
    }
    Ok(())
}

fn server(config: &Config, live: &Live, tls: Option<Arc<Tls>>) -> Server {
    let origin = &config.origin;
    let workers = match origin.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => count(workers),
    };
    let conf = ServerConf {
        threads: workers,
        grace_period_seconds: Some(origin.grace_s.into()),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let metrics = Arc::clone(&live.admin.load().metrics);
    let (service, admin, terms) = (&live.service, &live.admin, &live.terms);
    let adapter = Adapter::new(Arc::clone(service), Arc::clone(terms), Arc::clone(&metrics))
        .behind(Doors::new(origin), tls);
    let served = origin.listen.iter().chain(&origin.tls.listen);
    server.add_service(listening("origin", adapter, served, workers));
    let admin = Adapter::new(Arc::clone(admin), Arc::clone(terms), metrics);
    server.add_service(listening("admin", admin, [&origin.admin_listen].into_iter(), 1));
    server
}

/// The limits of connections.
pub fn terms(config: &Config) -> Terms {
    let limits = &config.origin.limits;
    Terms {
        header_timeout: Duration::from_secs(limits.header_timeout_s.into()),
        idle_timeout: Duration::from_secs(limits.idle_timeout_s.into()),
        write_timeout: Duration::from_secs(limits.write_timeout_s.into()),
        max_header_bytes: count(limits.max_header_bytes),
        max_headers: count(limits.max_headers),
        max_connections: count(limits.max_connections),
        max_streams: limits.max_streams,
        handshake_timeout: Duration::from_secs(config.origin.tls.handshake_timeout_s.into()),
        trusted_proxies: config.origin.trusted_proxies.clone(),
    }
}

/// One of Pingora's services: an adapter on its listeners. TLS is the adapter's.
fn listening<'a, A: Answers>(
    name: &str,
    adapter: Adapter<A>,
    addresses: impl Iterator<Item = &'a SocketAddr>,
    threads: usize,
) -> listening::Service<Adapter<A>> {
    let mut service = listening::Service::new(name.to_owned(), adapter);
    service.threads = Some(threads);
    for address in addresses {
        service.add_tcp(&address.to_string());
    }
    service
}

fn wait_until_listening(address: SocketAddr) -> Result<(), StartError> {
    let started = Instant::now();
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(error) if started.elapsed() > START_LIMIT => {
                return Err(StartError::Listen(address, error));
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

/// One line that says what runs and where.
fn announce(config: &Config) {
    let origin = &config.origin;
    let join = |words: Vec<String>| words.join(", ");
    let plain = origin.listen.iter().map(|address| format!("http://{address}"));
    let tls = origin.tls.listen.iter().map(|address| format!("https://{address}"));
    let listen = join(plain.chain(tls).collect());
    let profiles = join(config.profiles.keys().map(ToString::to_string).collect());
    let metrics = format!("http://{}/metrics", origin.admin_listen);
    let store = config.store.url.to_string();
    let page = match origin.listen.first() {
        Some(address) if origin.page => format!("http://{address}/"),
        _ => "off".to_owned(),
    };
    tracing::info!(listen, profiles, store, metrics, page, "serving");
}

/// Waits for the first signal that stops; reloads, and looks after certificates meanwhile.
fn wait(stopped: &Receiver<Asked>, live: &mut Live, load: Load<'_>) -> Stop {
    let mut watch = Watch::new(&live.config().origin.tls.certificates);
    loop {
        let look_s = live.config().origin.tls.certificates_look_s;
        let waited = if live.tls().is_none() || look_s == 0 {
            stopped.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            stopped.recv_timeout(Duration::from_secs(look_s.into()))
        };
        match waited {
            Ok(Asked::Stop(stop)) => return stop,
            Ok(Asked::Reload) => live.reload(load),
            Err(RecvTimeoutError::Timeout) => {
                let settings = &live.config().origin.tls;
                if let Some(tls) = live.tls()
                    && watch.changed(&settings.certificates)
                {
                    tls.read_and_tell(settings);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Stop::Terminate,
        }
    }
}

/// Waits for the last connection, the end of the grace, or another signal.
fn drain(stop: Stop, stopped: &Receiver<Asked>, grace_s: u32, metrics: &Metrics) {
    let grace_s = match stop {
        Stop::Terminate => grace_s,
        Stop::Interrupt => grace_s.min(limits::INTERRUPT_GRACE_S),
    };
    tracing::info!(grace_s, "stopping: no new connections, running responses may end");
    let stop_at = Instant::now() + Duration::from_secs(grace_s.into());
    loop {
        let open = metrics.connections_open.get();
        if open == 0 {
            tracing::info!("stopped: every response was sent");
            return;
        }
        if Instant::now() >= stop_at || matches!(stopped.try_recv(), Ok(Asked::Stop(_))) {
            tracing::warn!(connections = open, "stopped: these were cut off");
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Stop(Stop),
    Reload,
}

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Terminate,
    Interrupt,
}

/// Tells Pingora and the main thread of signals.
struct Signals(Sender<Asked>);

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let mut listened = Listened::new();
        // The main thread may be gone already; then nobody needs to know.
        loop {
            let asked = listened.next().await;
            let _ = self.0.send(asked);
            if asked != Asked::Reload {
                break;
            }
        }
        let asks = self.0.clone();
        tokio::spawn(async move { while asks.send(listened.next().await).is_ok() {} });
        // Both kinds end alike for Pingora; how long it takes is for the main thread to say.
        ShutdownSignal::GracefulTerminate
    }
}

/// The signals that mean something here.
struct Listened {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Listened {
    fn new() -> Self {
        let listen = |kind| signal(kind).expect("signals can be listened to");
        Self {
            terminate: listen(SignalKind::terminate()),
            quit: listen(SignalKind::quit()),
            interrupt: listen(SignalKind::interrupt()),
            hang_up: listen(SignalKind::hangup()),
        }
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop(Stop::Terminate),
            _ = self.quit.recv() => Asked::Stop(Stop::Terminate),
            _ = self.interrupt.recv() => Asked::Stop(Stop::Interrupt),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }
}

/// Why the service does not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The store's folder does not exist.
    NoFolder(PathBuf),
    /// A profile lacks a secret.
    Profile(NotReady),
    /// What is needed to reach the store cannot be read.
    Store(StoreError),
    /// A key of tokens cannot be had.
    Tokens(SecretError),
    /// The access log cannot be opened.
    AccessLog(String, io::Error),
    /// A certificate cannot be shown.
    Certificate(CertificateError),
    /// The system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "{address} is in use: stop what listens there, or set `origin.listen` or \
                 `origin.admin_listen` to another address"
            ),
            Self::Listen(address, error) => write!(
                f,
                "cannot listen on {address}: {error}; check `origin.listen` and \
                 `origin.admin_listen`"
            ),
            Self::NoFolder(folder) => write!(
                f,
                "`store.url` = {}: no such folder; create it, run `headwater-encoder encode` to \
                 put a title there, or name another one",
                folder.display()
            ),
            Self::Profile(not_ready) => write!(f, "{not_ready}"),
            Self::Store(error) => f.write_str(&error.detail),
            Self::Tokens(error) => write!(f, "`origin.tokens`: {error}"),
            Self::AccessLog(path, error) => write!(
                f,
                "cannot open the access log {path}: {error}; make its folder writable, or set \
                 `origin.access_log` to \"stdout\" or \"off\""
            ),
            Self::Certificate(error) => write!(f, "{error}"),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

fn mib(mib: u32) -> u64 {
    u64::from(mib) * 1024 * 1024
}

fn count(number: u32) -> usize {
    usize::try_from(number).expect("usize has at least 32 bits here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_that_overlap_are_not_free() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let all = SocketAddr::from(([0, 0, 0, 0], free.port()));
        assert!(check_free([&all].into_iter()).is_ok());
        for addresses in [[&all, &free], [&free, &all]] {
            let refused = check_free(addresses.into_iter());
            let at_last = matches!(refused, Err(StartError::Listen(at, _)) if at == *addresses[1]);
            assert!(at_last, "{addresses:?}");
        }
    }
}
