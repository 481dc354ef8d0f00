//! Who takes what was asked for slowly, or not at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use headwater_tests::origin::Origin;
use rustls::{ClientConnection, StreamOwned};

use crate::bench::{Bench, PATIENCE, connect, fetch};
use crate::frames::{get, hello, window_update};

/// Readers of each kind; those of HTTP/2 have so many streams on each connection.
const H1: usize = 300;
const H1_TLS: usize = 200;
const H2: usize = 15;
const H2_TLS: usize = 10;
const STREAMS: usize = 100;
const READERS: usize = H1 + H1_TLS + (H2 + H2_TLS) * STREAMS;
/// A reader that takes nothing, its body aside, docs/operations.md.
const READER_BYTES: u64 = 64 * 1024;
/// `max_body_mib` and cache of these tests, and what the process takes more for any reason.
const BODIES_MIB: u64 = 96;
const CACHE_MIB: u32 = 16;
const SLACK_MIB: u64 = 64;
const TIMES: &str = "write_timeout_s = 4\nheader_timeout_s = 20\nmax_streams = 100";

/// Each has a body of its own in memory: segments are larger than the cache keeps.
#[test]
fn readers_of_bodies_that_are_not_shared_have_so_much_memory_and_no_more() {
    let bench = Bench::new(CACHE_MIB, &format!("{TIMES}\nmax_body_mib = {BODIES_MIB}"));
    let len = bench.large.1.len() as u64;
    let cache_mib = u64::from(CACHE_MIB);
    assert!(len > cache_mib * 1024 * 1024 / 4, "{len} bytes would be kept");
    for round in 1..=2 {
        let (cost, refused) =
            bench.attacked(&format!("{READERS} stalled readers, round {round}"), || {
                let readers = Readers::open(&bench);
                bench.until("there is no room for more", |bench| overloaded(&bench.origin) > 0.0);
                let (status, body) = fetch(bench.plain, &bench.large.0);
                assert!(status == 503 || body == bench.large.1, "{status}");
                bench.until("all were answered", |bench| {
                    bench.origin.metric("headwater_origin_requests_total{kind=\"segment\"")
                        >= (round * READERS) as f64
                });
                drop_when_cut_off(&bench, &readers);
                overloaded(&bench.origin)
            });
        cost.is_at_most(BODIES_MIB + cache_mib + SLACK_MIB, READERS, READER_BYTES);
        assert!(refused > 0.0);
        // As soon as the stalled are cut off there is room again.
        let (status, body) = fetch(bench.plain, &bench.large.0);
        assert!(status == 200 && body == bench.large.1, "{status} afterwards");
    }
    bench.until("no body is left", |bench| {
        bench.origin.metric("headwater_origin_body_bytes ") <= f64::from(CACHE_MIB) * 1_048_576.0
    });
}

/// All share the body that the cache holds.
#[test]
fn readers_of_a_shared_body_cost_little_and_nobody_is_refused() {
    let bench = Bench::new(256, TIMES);
    let (cost, ()) = bench.attacked(&format!("{READERS} stalled readers of one body"), || {
        let readers = Readers::open(&bench);
        bench.until("all were answered", |bench| {
            bench.origin.metric("headwater_origin_requests_total{kind=\"segment\"")
                >= READERS as f64
        });
        drop_when_cut_off(&bench, &readers);
    });
    cost.is_at_most(SLACK_MIB, READERS, READER_BYTES);
    assert!(overloaded(&bench.origin) < 1.0);
}

/// A byte now and then is no way to stay.
#[test]
fn who_takes_a_little_now_and_then_is_cut_off() {
    let bench = Bench::new(64, "write_timeout_s = 2\nmin_send_kib_s = 16");
    let path = &bench.large.0;
    assert!(drip(&bench, path), "streams and connections end");
    // Who is slow but not that slow gets it all, though not at once.
    let mut slow = connect(bench.plain);
    slow.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let (mut piece, mut got) = (vec![0; 512 * 1024], Vec::new());
    let from = Instant::now();
    while let Ok(len @ 1..) = slow.read(&mut piece) {
        got.extend_from_slice(&piece[..len]);
        thread::sleep(Duration::from_millis(300));
    }
    assert!(got.ends_with(&bench.large.1), "{} bytes in {:?}", got.len(), from.elapsed());
}

/// One of HTTP/1.1 and one of HTTP/2 that take a byte ten times a second.
fn drip(bench: &Bench, path: &str) -> bool {
    let mut h1 = connect(bench.plain);
    h1.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    let mut h2 = connect(bench.plain);
    h2.write_all(&[hello(1), get(1, path)].concat()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // Between the client and what the origin sees of it lie the system's buffers: of so little
        // taken from a socket it sees nothing at all, of a window that opens it sees each byte.
        let _ = h1.read(&mut vec![0; 2048]);
        let _ = h2.write_all(&window_update(1, 1));
        thread::sleep(Duration::from_millis(100));
        let over = |faults: f64| faults >= 1.0;
        let h1_over = over(bench.faults("too_slow")) || over(bench.faults("write_timeout"));
        if h1_over && over(bench.stream_faults("too_slow")) {
            return true;
        }
    }
    false
}

/// Readers that asked and take nothing.
struct Readers {
    _h1: Vec<TcpStream>,
    _tls: Vec<StreamOwned<ClientConnection, TcpStream>>,
}

impl Readers {
    fn open(bench: &Bench) -> Self {
        let path = &bench.large.0;
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        let streams: Vec<u8> = {
            let ids = (0..STREAMS).map(|n| u32::try_from(2 * n + 1).unwrap());
            [hello(1)].into_iter().chain(ids.map(|id| get(id, path))).flatten().collect()
        };
        let mut h1 = Vec::new();
        for sent in
            std::iter::repeat_n(request.as_bytes(), H1).chain(std::iter::repeat_n(&streams[..], H2))
        {
            let mut stream = connect(bench.plain);
            stream.write_all(sent).unwrap();
            h1.push(stream);
        }
        let mut tls = Vec::new();
        for _ in 0..H1_TLS {
            let mut stream = bench.identity.speaking("http/1.1").connect(bench.tls);
            stream.write_all(request.as_bytes()).unwrap();
            tls.push(stream);
        }
        for _ in 0..H2_TLS {
            let mut stream = bench.identity.connect(bench.tls);
            stream.write_all(&streams).unwrap();
            tls.push(stream);
        }
        Self { _h1: h1, _tls: tls }
    }
}

/// Waits until the origin has cut off all that takes nothing.
fn drop_when_cut_off(bench: &Bench, _held: &Readers) {
    bench.until("connections that take nothing end", |bench| bench.faults("write_timeout") > 0.0);
    bench
        .until("streams that take nothing end", |bench| bench.stream_faults("write_timeout") > 0.0);
    bench.until("bodies are let go", |bench| {
        let cached = bench.origin.metric("headwater_origin_cache_bytes ");
        bench.origin.metric("headwater_origin_body_bytes ") <= cached + 1024.0
    });
}

fn overloaded(origin: &Origin) -> f64 {
    origin.metric("headwater_origin_failures_total{error=\"overloaded\"}")
}
