//! A soak: four fifths of what the origin can do, while titles are purged, the configuration is read again,
//! processes change, and the store goes away or is damaged. Every body is compared; nothing fails but for
//! what was done to the store; memory stays where it is.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use headwater_tests::load::{LoadClient, Speaks, believing};
use headwater_tests::titles::{Rate, Title, noise};
use headwater_tests::{measured, scratch, skip};

use crate::load::{Bodies, wanted};
use crate::process::Origin;

const CLIENTS: usize = 8;
/// How long after the store came back failures are still its own: a connection may wait for an answer, and
/// failures are told to all who wait.
const AFTERMATH: Duration = Duration::from_secs(2);
/// What a process may take more at its end than the first one did, beside its cache: it is a debug build,
/// and allocators keep what they were given.
const GROWTH_KIB: u64 = 24 * 1024;

/// What is asked for, and how much of it there is room for.
struct Work {
    title: fn() -> &'static Title,
    /// Before the first reload and after it, and so on.
    responses_mib: [u32; 2],
    /// Whether what is asked for often lies in files of memory.
    is_filed: bool,
}

/// More than there is room for.
const SMALL: Work = Work { title: || Rate::Film.title(), responses_mib: [2, 1], is_filed: false };
/// Segments of megabytes, which a quarter of the cache has room for.
const LARGE: Work = Work { title: noise, responses_mib: [128, 96], is_filed: true };

#[test]
fn a_soak_of_half_a_minute() {
    soak(&SMALL, Duration::from_secs(24), 2);
}

#[test]
fn a_soak_of_twenty_minutes() {
    if skip::is_long("twenty minutes of purges, reloads, upgrades and faults") {
        soak(&SMALL, Duration::from_secs(1_200), 20);
    }
}

#[test]
fn a_soak_of_large_segments_for_twenty_minutes() {
    if skip::is_long("twenty minutes of the same with large segments") {
        soak(&LARGE, Duration::from_secs(1_200), 20);
    }
}

/// What the clients see.
struct Watch {
    wanted: Bodies,
    over: AtomicBool,
    /// The store is being tampered with.
    is_faulty: AtomicBool,
    /// Nanoseconds between one client's requests; 0 for none.
    pace_ns: AtomicU64,
    asked: AtomicU64,
    good: AtomicU64,
    injected: AtomicU64,
    wrong: std::sync::Mutex<Vec<String>>,
    began: Instant,
    /// Milliseconds from the beginning until when faults are the store's.
    forgiven_ms: AtomicU64,
}

impl Watch {
    fn is_forgiven(&self) -> bool {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        self.is_faulty.load(Ordering::SeqCst) || now_ms < self.forgiven_ms.load(Ordering::SeqCst)
    }

    fn fault(&self, tamper: impl FnOnce(), mend: impl FnOnce()) {
        self.is_faulty.store(true, Ordering::SeqCst);
        tamper();
        std::thread::sleep(Duration::from_millis(400));
        mend();
        let until_ms = u64::try_from((self.began.elapsed() + AFTERMATH).as_millis()).unwrap();
        self.forgiven_ms.store(until_ms, Ordering::SeqCst);
        self.is_faulty.store(false, Ordering::SeqCst);
    }
}

fn soak(work: &Work, length: Duration, rounds: u32) {
    let folder = scratch::folder();
    let title = (work.title)().copy(&folder.path().join("store"));
    let (at, responses_mib) = (title.store.clone(), work.responses_mib[0]);
    let mut origin = Origin::start(folder, move |plain, _tls| settings(&at, plain, responses_mib));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let tls = believing(&[]);
    let watch = Arc::new(Watch {
        wanted: runtime.block_on(wanted(&title, origin.plain, &tls)),
        over: AtomicBool::new(false),
        is_faulty: AtomicBool::new(false),
        pace_ns: AtomicU64::new(0),
        asked: AtomicU64::new(0),
        good: AtomicU64::new(0),
        injected: AtomicU64::new(0),
        wrong: std::sync::Mutex::default(),
        began: Instant::now(),
        forgiven_ms: AtomicU64::new(0),
    });
    let kinds = [Speaks::Kept, Speaks::H2c, Speaks::Fresh, Speaks::Kept];
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let client = LoadClient::new(kinds[n % kinds.len()], origin.plain, &tls);
            runtime.spawn(ask(client, n, Arc::clone(&watch)))
        })
        .collect();
    // As fast as it goes, then four fifths of that.
    let calm = length / 8;
    std::thread::sleep(calm);
    let most = watch.good.load(Ordering::SeqCst);
    let capacity = most as f64 / calm.as_secs_f64();
    let pace = Duration::from_secs_f64(CLIENTS as f64 / (0.8 * capacity));
    watch.pace_ns.store(u64::try_from(pace.as_nanos()).unwrap(), Ordering::SeqCst);
    let began = Instant::now();
    let (mut resident, mut uncopied_bytes) = (Vec::new(), 0);
    for round in 0..rounds {
        uncopied_bytes += counted(origin.admin, "uncopied_bytes_total");
        disturb(&mut origin, &title, (work, round), &watch);
        let next = (length - calm) * (round + 1) / rounds;
        std::thread::sleep(next.saturating_sub(began.elapsed()));
        resident.push(origin.resident_kib());
    }
    let paced = watch.good.load(Ordering::SeqCst) - most;
    watch.over.store(true, Ordering::SeqCst);
    for client in clients {
        runtime.block_on(client).unwrap();
    }
    let (asked, injected) =
        (watch.asked.load(Ordering::SeqCst), watch.injected.load(Ordering::SeqCst));
    let rate = paced as f64 / began.elapsed().as_secs_f64();
    let wrong = watch.wrong.lock().unwrap();
    let mut kib = String::new();
    resident.iter().for_each(|one| write!(kib, " {one}").unwrap());
    measured(format_args!(
        "soak of {} s: {asked} requests, {uncopied_bytes} bytes without a copy, {} wrong or failed, {injected} failed while the store was tampered \
         with; {rate:.0} a second of {capacity:.0}; {rounds} upgrades; KiB resident after each:{kib}",
        length.as_secs(),
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{:#?}\n{}", &wrong[..wrong.len().min(10)], origin.log());
    assert!(injected > 0, "nothing was noticed of the store's faults");
    assert!(rate >= 0.5 * capacity, "{rate:.0} a second, and {capacity:.0} at most");
    let first = resident[0].max(*resident.get(1).unwrap_or(&0));
    let last = *resident.last().unwrap();
    let most = first + GROWTH_KIB + u64::from(work.responses_mib[0]) * 1024;
    assert!(last <= most, "memory grew from {first} KiB to {last}");
    let refused = counted(origin.admin, "memory_file_refusals_total{reason=\"system\"}");
    match (work.is_filed, refused) {
        (true, 1..) => skip::skip("the system has no files of memory"),
        (is_filed, _) => assert_eq!(uncopied_bytes > 0, is_filed, "{uncopied_bytes}"),
    }
    assert!(!origin.log().contains("panicked"), "{}", origin.log());
}

/// One of each thing.
fn disturb(origin: &mut Origin, title: &Title, (work, round): (&Work, u32), watch: &Watch) {
    let version = title.version.to_string();
    for query in ["title=", "profile=clear", "all=true", "version="] {
        let query = match query {
            "title=" => format!("title={}", title.id),
            "version=" => format!("version={version}"),
            other => other.to_owned(),
        };
        let told = post(origin.admin, &format!("/admin/purge?{query}"));
        assert!(told.contains(" 200 ") && told.contains("\"responses\""), "{told}");
    }
    let config = fs::read_to_string(origin.config()).unwrap();
    let key = |mib: u32| format!("responses_mib = {mib}\n");
    let [mut old, mut new] = work.responses_mib.map(key);
    if !round.is_multiple_of(2) {
        std::mem::swap(&mut old, &mut new);
    }
    fs::write(origin.config(), config.replace(&old, &new)).unwrap();
    origin.reload("origin.cache.responses_mib: ");
    // The store goes away and comes back.
    let (titles, away) = (title.store.join("titles"), title.store.join("away"));
    watch.fault(
        || {
            fs::rename(&titles, &away).unwrap();
            post(origin.admin, "/admin/purge?all=true");
        },
        || fs::rename(&away, &titles).unwrap(),
    );
    // Bytes of it change and change back.
    let object = largest(&titles);
    let whole = fs::read(&object).unwrap();
    let mut damaged = whole.clone();
    damaged.iter_mut().skip(whole.len() / 3).step_by(997).for_each(|byte| *byte ^= 1);
    watch.fault(
        || {
            replace(&object, &damaged);
            post(origin.admin, "/admin/purge?all=true");
        },
        || replace(&object, &whole),
    );
    origin.upgrade();
    let told = post(origin.admin, &format!("/admin/warm?title={}", title.id));
    assert!(told.contains("\"failed\":[]"), "{told}");
}

async fn ask(mut client: LoadClient, first: usize, watch: Arc<Watch>) {
    let mut due = Instant::now();
    // Clients do not walk in step.
    for n in (first * 7..).step_by(3) {
        if watch.over.load(Ordering::SeqCst) {
            return;
        }
        let pace = Duration::from_nanos(watch.pace_ns.load(Ordering::SeqCst));
        due = (due + pace).max(Instant::now().checked_sub(pace).unwrap_or(due));
        tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
        let (path, body) = &watch.wanted[n % watch.wanted.len()];
        let was_forgiven = watch.is_forgiven();
        let got = tokio::time::timeout(Duration::from_secs(60), client.get(path)).await;
        watch.asked.fetch_add(1, Ordering::SeqCst);
        let fault = match got {
            Ok(Ok((200, got))) if got == *body => {
                watch.good.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            // Never forgiven.
            Ok(Ok((200, got))) => format!("wrong body, {} bytes", got.len()),
            Ok(Ok((502..=504, _))) if was_forgiven || watch.is_forgiven() => {
                watch.injected.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            Ok(Ok((status, body))) => {
                format!("status {status}: {}", String::from_utf8_lossy(&body))
            }
            Ok(Err(error)) => error,
            Err(_) => "no answer within 60 s".to_owned(),
        };
        watch.wrong.lock().unwrap().push(format!("{:?} {path}: {fault}", client.speaks()));
    }
}

/// The largest file below a folder.
fn largest(folder: &Path) -> PathBuf {
    let mut found = (0, PathBuf::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found = found.max((fs::metadata(&path).unwrap().len(), path));
            }
        }
    }
    found.1
}

/// Whole, or as it was.
fn replace(object: &Path, bytes: &[u8]) {
    let beside = object.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, object).unwrap();
}

/// A counter's value in the process that runs.
fn counted(admin: SocketAddr, series: &str) -> u64 {
    let text = ask_admin(admin, "GET", "/metrics");
    let wanted = format!("headwater_origin_{series} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&wanted));
    line.map_or(0, |value| value.parse().unwrap())
}

fn post(admin: SocketAddr, target: &str) -> String {
    ask_admin(admin, "POST", target)
}

fn ask_admin(admin: SocketAddr, method: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn settings(store: &Path, plain: SocketAddr, responses_mib: u32) -> String {
    let store = store.display();
    format!(
        r#"[store]
url = "file://{store}"
[origin]
listen = ["{plain}"]
workers = 2
grace_s = 60
access_log = "off"
[origin.cache]
responses_mib = {responses_mib}
sources_mib = 1
pointer_ttl_ms = 200
[origin.prefetch]
segments = 1
memory_mib = 1
[profiles.clear]
segment_ms = 2000
"#
    )
}
