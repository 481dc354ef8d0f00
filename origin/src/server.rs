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

use std::net::{SocketAddr, TcpListener, TcpStream};
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

use crate::adapter::{Adapter, Answers, Doors};
use crate::limits;
use crate::metrics::Metrics;
use crate::reload::{Live, Load};
use crate::rooms::{Rooms, count, tls};
use crate::service::Service;
use crate::start_error::StartError;
use crate::tls::{Tls, Watch};

/// How often the main thread looks whether connections are left.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long Pingora may take to listen on addresses that were free a moment before.
const START_LIMIT: Duration = Duration::from_secs(10);

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
