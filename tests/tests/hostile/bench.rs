//! An origin under attack, and who watches what that costs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use headwater_tests::hls::Master;
use headwater_tests::identity::Identity;
use headwater_tests::origin::Origin;
use headwater_tests::titles::{self, Title};
use headwater_tests::{measured, scratch, skip};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Requests that say what is usual, before anything happens.
const CALM_REQUESTS: usize = 100;
/// Others' median under attack: at most so many times the one before, ...
const SLOWER: u32 = 10;
/// ... or this, where a busy machine makes the ratio say nothing.
const ANY_MEDIAN: Duration = Duration::from_millis(200);
/// No single request of others takes longer.
const WORST: Duration = Duration::from_secs(15);
/// How long anything may take that must happen in the end.
pub const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1024 * 1024;

/// An origin with TLS, and with a listener for proxies. Only one at a time, so that what is
/// measured is the attack.
pub struct Bench {
    pub origin: Origin,
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub behind_proxy: SocketAddr,
    pub identity: Identity,
    /// The largest segment, and its bytes.
    pub large: Known,
    /// What others ask for.
    usual: Vec<Known>,
    calm: Duration,
    _files: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    /// `limits` are lines of `[origin.limits]`.
    pub fn new(responses_mib: u32, limits: &str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let title = titles::noise();
        let files = scratch::folder();
        let identity = Identity::write(files.path(), "h2");
        let [tls, behind_proxy] = free_addresses();
        let (store, cert, key) =
            (title.store.display(), identity.cert.display(), identity.key.display());
        let toml = format!(
            "[store]\nurl = \"file://{store}\"\n\
             [origin]\nworkers = 2\ngrace_s = 1\nproxy_protocol = [\"{behind_proxy}\"]\n\
             trusted_proxies = [\"127.0.0.0/8\"]\naccess_log = \"off\"\n\
             [origin.tls]\nlisten = [\"{tls}\", \"{behind_proxy}\"]\nhandshake_timeout_s = 3\n\
             certificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n\
             [origin.cache]\nresponses_mib = {responses_mib}\n\
             [origin.limits]\n{limits}\n[profiles.clear]\nsegment_ms = 6000\n"
        );
        let mut origin = Origin::launch(&toml, &[]);
        origin.wait_until_ready();
        let plain = origin.address().parse().unwrap();
        let (large, usual) = bodies(title, &origin);
        let bench = Self {
            origin,
            plain,
            tls,
            behind_proxy,
            identity,
            large,
            usual,
            calm: Duration::ZERO,
            _files: files,
            _alone: alone,
        };
        let calm = bench.ask_as_others(|asked| asked < CALM_REQUESTS);
        assert!(calm.worst < WORST);
        Self { calm: calm.median, ..bench }
    }

    /// What `attack` does to others and to memory. It is given the bench, and others ask until it
    /// returns.
    pub fn attacked<T>(&self, name: &str, attack: impl FnOnce() -> T) -> (Cost, T) {
        let before = self.origin.resident_bytes();
        let over = AtomicBool::new(false);
        let (felt, most, outcome) = thread::scope(|scope| {
            let others = scope.spawn(|| self.ask_as_others(|_| !over.load(Ordering::Relaxed)));
            let memory = scope.spawn(|| {
                let mut most = before;
                while !over.load(Ordering::Relaxed) {
                    most = most.max(self.origin.resident_bytes());
                    thread::sleep(Duration::from_millis(20));
                }
                most
            });
            // Also when the attack fails, or the scope would wait for ever.
            let end = OnEnd(&over);
            let outcome = attack();
            drop(end);
            (others.join().unwrap(), memory.join().unwrap(), outcome)
        });
        let grown_bytes = most - before;
        measured(format_args!(
            "{name}: memory {} MiB + {} MiB; others' median {:.1} ms (before {:.1} ms), \
             worst of {} {:.0} ms",
            before / MIB,
            grown_bytes / MIB,
            ms(felt.median),
            ms(self.calm),
            felt.asked,
            ms(felt.worst),
        ));
        let bound = (self.calm * SLOWER).max(ANY_MEDIAN);
        assert!(
            felt.median <= bound,
            "{name}: others' median {:?}, calm {:?}",
            felt.median,
            self.calm
        );
        assert!(felt.worst < WORST, "{name}: {:?}", felt.worst);
        (Cost { grown_bytes }, outcome)
    }

    /// A number of the metric of connections that ended by a fault.
    pub fn faults(&self, fault: &str) -> f64 {
        self.origin
            .metric(&format!("headwater_origin_connection_faults_total{{fault=\"{fault}\"}}"))
    }

    /// The same of streams.
    pub fn stream_faults(&self, fault: &str) -> f64 {
        self.origin.metric(&format!("headwater_origin_stream_faults_total{{fault=\"{fault}\"}}"))
    }

    /// Connections that are open now.
    pub fn open(&self) -> f64 {
        self.origin.metric("headwater_origin_connections_open ")
    }

    /// Waits until it holds.
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "never: {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Viewers of what is in the cache, each request on a connection of its own.
    fn ask_as_others(&self, goes_on: impl Fn(usize) -> bool) -> Felt {
        let mut times = Vec::new();
        // Under a short attack too there is a median.
        while goes_on(times.len()) || times.len() < 10 {
            let (path, wanted) = &self.usual[times.len() % self.usual.len()];
            let from = Instant::now();
            let (status, body) = fetch(self.plain, path);
            times.push(from.elapsed());
            assert!(status == 200 && body == *wanted, "others got {status} for {path}");
            thread::sleep(Duration::from_millis(5));
        }
        times.sort_unstable();
        Felt { asked: times.len(), median: times[times.len() / 2], worst: times[times.len() - 1] }
    }
}

/// A path and the body that belongs there.
type Known = (String, Vec<u8>);

/// What others felt.
struct Felt {
    asked: usize,
    median: Duration,
    worst: Duration,
}

/// What an attack cost.
pub struct Cost {
    pub grown_bytes: u64,
}

impl Cost {
    /// Memory grew by no more than so much for each of `count`, over a fixed share.
    pub fn is_at_most(&self, fixed_mib: u64, count: usize, each_bytes: u64) {
        let bound = fixed_mib * MIB + count as u64 * each_bytes;
        assert!(self.grown_bytes <= bound, "{} bytes more, bound {bound}", self.grown_bytes);
    }
}

struct OnEnd<'a>(&'a AtomicBool);

impl Drop for OnEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection on which nothing waits for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Whether the origin ends the connection, within the patience, whatever it sends before.
pub fn is_ended(stream: &mut TcpStream) -> bool {
    let mut piece = vec![0; 65_536];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => {
                return !matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
            }
        }
    }
}

/// GET on a connection of its own: status and body.
pub fn fetch(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let mut stream = connect(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    assert!(end.is_some(), "{path}: no answer: {read:?}");
    let end = end.unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(end + 4))
}

/// How many of `wanted` files this process and the origin may have open beside their own.
pub fn open_files(wanted: usize) -> usize {
    const OWN: u64 = 1000;
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let may = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |may| may.saturating_sub(OWN));
    let may = usize::try_from(may).unwrap_or(usize::MAX);
    if may < wanted {
        skip::note(format!("{may} connections instead of {wanted}: `ulimit -Hn` allows no more"));
    }
    may.min(wanted)
}

fn bodies(title: &Title, origin: &Origin) -> (Known, Vec<Known>) {
    let web = origin.web();
    let master = Master::fetch(web, &title.master());
    let mut usual = vec![(title.master(), web.body(&title.master()))];
    let mut large = (String::new(), Vec::new());
    for playlist in master.all_media(web) {
        for path in playlist.segment_paths() {
            let body = web.body(&path);
            if playlist.track().starts_with('a') {
                usual.push((path, body));
            } else if body.len() > large.1.len() {
                large = (path, body);
            }
        }
    }
    (large, usual)
}

fn free_addresses() -> [SocketAddr; 2] {
    let listen = |()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    [(); 2].map(listen).map(|listener| listener.local_addr().expect("it is bound"))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
