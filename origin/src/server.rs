//! All rooms run under Pingora until a signal ends the process, or another takes its place.
//!
//! Pingora always sleeps for its whole grace period. So it runs in a thread of its own, and the
//! main thread, which decides everything here, leaves as soon as the last connection is gone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use headwater_config::{Config, StoreUrl};
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use tokio::sync::Notify;

use crate::adapter::{Adapter, Doors};
use crate::limits;
use crate::listeners::Listeners;
use crate::metrics::Metrics;
use crate::reload::{Live, Load};
use crate::rooms::{self, Rooms, count, tls};
use crate::service::Service;
use crate::signals::{self, Asked, Stop};
use crate::start_error::StartError;
use crate::supervisor::{self, News};
use crate::threads::Threads;
use crate::tls::{Tls, Watch};
use crate::upgrade::{HangUp, NoSuccessor, Predecessor, Successor};

/// How often a second signal is looked for while running responses end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Serves until a signal says stop, or a successor takes over, and the running responses have
/// ended or their time is up. A reload gets its configuration from `load`. With `take_over` the
/// listeners come from the running process that started this one.
pub fn run(config: &Config, load: Load<'_>, take_over: bool) -> Result<(), StartError> {
    if let StoreUrl::File(folder) = &config.store.url
        && !folder.is_dir()
    {
        return Err(StartError::NoFolder(folder.clone()));
    }
    let (tell, events) = channel();
    let of_signals = tell.clone();
    signals::listen(move |asked| of_signals.send(Event::Asked(asked)).is_ok())
        .map_err(StartError::Thread)?;
    let (predecessor, offered) = if take_over {
        let (predecessor, offered) = Predecessor::on_stdin().map_err(StartError::Offer)?;
        (Some(predecessor), offered)
    } else {
        (None, Vec::new())
    };
    let listeners = Listeners::open(addresses(config), offered)?;
    let rooms = Rooms::new(config)?;
    let tls = tls(config, &rooms.admin.metrics)?;
    if predecessor.is_some() {
        ask_store(config)?;
    }
    let live = Live::new(config, rooms, tls.clone());
    live.warm_up().map_err(StartError::Thread)?;
    look_at_keys(Arc::clone(&live.service))?;
    let pingora = Pingora::start(config, &live, tls, &listeners)?;
    let mut origin = Running { live, listeners, tell, events, pending: None };
    let took_over_from = predecessor.as_ref().map(|predecessor| predecessor.pid);
    if let Some(predecessor) = predecessor
        && let Err(error) = predecessor.relieve()
    {
        origin.end(&End::Stop(Stop::Terminate), &pingora);
        return Err(StartError::Unwanted(error));
    }
    announce(config, took_over_from);
    supervisor::tell(News::Ready);
    let end = origin.wait(load);
    origin.end(&end, &pingora);
    Ok(())
}

fn addresses(config: &Config) -> impl Iterator<Item = &SocketAddr> {
    let origin = &config.origin;
    origin.listen.iter().chain(&origin.tls.listen).chain([&origin.admin_listen])
}

/// Whether the store answers. A start does without: the store may come later. But while another
/// process serves, with titles and media that it holds already, it is the better one.
fn ask_store(config: &Config) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(StartError::Thread)?;
    let store = rooms::store(config, &Arc::new(Metrics::new())).map_err(StartError::Store)?;
    runtime.block_on(store.probe()).map_err(StartError::Unready)
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

/// Pingora, running in a thread of its own.
struct Pingora {
    /// Ends its listening.
    stop: Arc<Notify>,
    /// Said before that: a successor goes on listening.
    handed_over: Arc<AtomicBool>,
    /// Disconnected when nothing listens any more and the last connection has ended.
    idle: Receiver<Infallible>,
    /// What connections are served by: they outlive Pingora's services.
    _threads: [Threads; 2],
}

impl Pingora {
    /// Accepts on the listeners, or says that it cannot.
    fn start(
        config: &Config,
        live: &Live,
        tls: Option<Arc<Tls>>,
        listeners: &Listeners,
    ) -> Result<Self, StartError> {
        let origin = &config.origin;
        let workers = match origin.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => count(workers),
        };
        let conf = ServerConf {
            threads: 1,
            grace_period_seconds: Some(origin.grace_s.into()),
            graceful_shutdown_timeout_seconds: Some(1),
            ..ServerConf::default()
        };
        let mut server = Server::new_with_opt_and_conf(None, conf);
        server.bootstrap();
        let handed_over = Arc::new(AtomicBool::new(false));
        let (alive, idle) = channel();
        let (start, started) = channel();
        let metrics = Arc::clone(&live.admin.load().metrics);
        let (service, admin, terms) = (&live.service, &live.admin, &live.terms);
        let adapter = Adapter::new(Arc::clone(service), Arc::clone(terms), Arc::clone(&metrics))
            .behind(Doors::new(origin), tls)
            .succeeded(Arc::clone(&handed_over))
            .held(alive.clone());
        let served = origin.listen.iter().chain(&origin.tls.listen);
        let start_threads = |name, count| Threads::start(name, count).map_err(StartError::Thread);
        let threads = [start_threads("origin", workers)?, start_threads("admin", 1)?];
        let serve = listeners.serve("origin", adapter, served, &threads[0], start.clone())?;
        server.add_service(serve);
        let adapter = Adapter::new(Arc::clone(admin), Arc::clone(terms), metrics)
            .succeeded(Arc::clone(&handed_over))
            .held(alive);
        let served = [&origin.admin_listen].into_iter();
        server.add_service(listeners.serve("admin", adapter, served, &threads[1], start)?);
        let stop = Arc::new(Notify::new());
        let shutdown_signal = Box::new(Told(Arc::clone(&stop)));
        // Left alone at the end: the process does not wait for Pingora's sleep.
        thread::Builder::new()
            .name("pingora".to_owned())
            .spawn(move || server.run(RunArgs { shutdown_signal }))
            .map_err(StartError::Thread)?;
        for _service in 0..2 {
            started.recv().map_err(|_| StartError::Pingora)?;
        }
        Ok(Self { stop, handed_over, idle, _threads: threads })
    }
}

/// Tells Pingora to stop when the main thread says so. How long it takes is not for it to say.
struct Told(Arc<Notify>);

#[async_trait]
impl ShutdownSignalWatch for Told {
    async fn recv(&self) -> ShutdownSignal {
        self.0.notified().await;
        ShutdownSignal::GracefulTerminate
    }
}

/// One line that says what runs and where.
fn announce(config: &Config, took_over_from: Option<u32>) {
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
    let pid = process::id();
    tracing::info!(listen, profiles, store, metrics, page, pid, took_over_from, "serving");
}

/// What the main thread is told.
enum Event {
    Asked(Asked),
    /// How starting a successor came out.
    Upgrade(Result<Successor, NoSuccessor>),
}

/// Why it all ends.
enum End {
    Stop(Stop),
    /// Another process serves.
    HandedOver(i32),
}

/// The process as it serves.
struct Running {
    live: Live,
    listeners: Listeners,
    tell: Sender<Event>,
    events: Receiver<Event>,
    /// The end of the line to a successor that starts.
    pending: Option<HangUp>,
}

impl Running {
    /// Waits for what ends it; reloads, upgrades, and looks after certificates meanwhile.
    fn wait(&mut self, load: Load<'_>) -> End {
        let mut watch = Watch::new(&self.live.config().origin.tls.certificates);
        loop {
            match self.next_event() {
                Ok(Event::Asked(Asked::Stop(stop))) => return End::Stop(stop),
                Ok(Event::Asked(Asked::Reload)) => self.live.reload(load),
                Ok(Event::Asked(Asked::Upgrade)) => self.upgrade(),
                Ok(Event::Upgrade(outcome)) => {
                    if let Some(end) = self.upgraded(outcome) {
                        return end;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let settings = &self.live.config().origin.tls;
                    if let Some(tls) = self.live.tls()
                        && watch.changed(&settings.certificates)
                    {
                        tls.read_and_tell(settings);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return End::Stop(Stop::Terminate),
            }
        }
    }

    fn next_event(&self) -> Result<Event, RecvTimeoutError> {
        let look_s = self.live.config().origin.tls.certificates_look_s;
        if self.live.tls().is_none() || look_s == 0 {
            self.events.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.events.recv_timeout(Duration::from_secs(look_s.into()))
        }
    }

    /// Starts a successor, and has it waited for.
    fn upgrade(&mut self) {
        if self.pending.is_some() {
            tracing::warn!("an upgrade is under way already");
            return;
        }
        tracing::info!("upgrade: starting a new process to take the listeners over");
        let limit_s = self.live.config().origin.upgrade_timeout_s;
        let outcome = Successor::start(self.listeners.all()).and_then(|successor| {
            self.pending = Some(successor.hang_up()?);
            let tell = self.tell.clone();
            let wait = move || {
                // Nobody is left to know only where this process ends.
                let _ =
                    tell.send(Event::Upgrade(successor.wait(Duration::from_secs(limit_s.into()))));
            };
            let waiting = thread::Builder::new().name("successor".to_owned()).spawn(wait);
            waiting.map(drop).map_err(NoSuccessor::Start)
        });
        if let Err(refused) = outcome {
            self.refused(&refused);
        }
    }

    fn upgraded(&mut self, outcome: Result<Successor, NoSuccessor>) -> Option<End> {
        match outcome.and_then(Successor::hand_over) {
            Ok(pid) => Some(End::HandedOver(pid)),
            Err(refused) => {
                self.refused(&refused);
                None
            }
        }
    }

    fn refused(&mut self, refused: &NoSuccessor) {
        self.pending = None;
        tracing::error!(error = %refused, "upgrade refused: this process goes on");
        self.live.metrics().upgrades_refused.inc();
    }

    /// Lets nobody new in, and waits for what runs.
    fn end(self, end: &End, pingora: &Pingora) {
        let mut grace_s = self.live.config().origin.grace_s;
        match end {
            End::HandedOver(pid) => {
                supervisor::tell(News::MainPid(*pid));
                tracing::info!(pid, grace_s, "handed over: running responses may end");
                pingora.handed_over.store(true, Ordering::Relaxed);
            }
            End::Stop(stop) => {
                supervisor::tell(News::Stopping);
                if *stop == Stop::Interrupt {
                    grace_s = grace_s.min(limits::INTERRUPT_GRACE_S);
                }
                tracing::info!(grace_s, "stopping: no new connections, running responses may end");
            }
        }
        // A successor that is not needed any more sees its line closed.
        drop((self.pending, self.listeners));
        pingora.stop.notify_one();
        let metrics = Arc::clone(self.live.metrics());
        drain(&self.events, &pingora.idle, Duration::from_secs(grace_s.into()), &metrics);
        let books = Arc::clone(&self.live.service.load().books);
        books.access_log.finish(limits::ACCESS_LOG_PATIENCE);
        books.telemetry.finish(limits::TELEMETRY_PATIENCE);
    }
}

/// Waits for the last connection, the end of the grace, or another signal.
fn drain(
    events: &Receiver<Event>,
    idle: &Receiver<Infallible>,
    grace: Duration,
    metrics: &Metrics,
) {
    let stop_at = Instant::now() + grace;
    loop {
        if let Err(RecvTimeoutError::Disconnected) = idle.recv_timeout(LOOK_EVERY) {
            tracing::info!("stopped: every response was sent");
            return;
        }
        let again = events.try_iter().any(|event| matches!(event, Event::Asked(Asked::Stop(_))));
        if again || Instant::now() >= stop_at {
            let open = metrics.connections_open.get();
            tracing::warn!(connections = open, "stopped: these were cut off");
            return;
        }
    }
}
