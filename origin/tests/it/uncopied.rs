//! What is asked for often lies in files of memory, and leaves over plain HTTP/1.1 without a copy:
//! the same bytes, however they are asked for and whatever is let go meanwhile.

use std::io::Read;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use headwater_config::Tls;
use headwater_origin::adapter::{Door, Terms};
use headwater_origin::filing::Filing;
use headwater_origin::memory_file::{LEAST_BYTES, MemoryFile};
use http::Method;

use crate::binary::{Running, segment_path};
use crate::caches::post;
use crate::common::{Client, Origin, Seen, Stored, skip};
use crate::net::{TERMS, Wired, ask, until, wired, wired_behind};

/// Segments of more than a huge page.
const SCALE: usize = 200;

/// Whether this system makes files of memory.
fn is_possible() -> bool {
    let made = MemoryFile::copy_of(&[Bytes::from(vec![0; LEAST_BYTES])]);
    made.map_err(|error| skip(format!("no files of memory here: {error}"))).is_ok()
}

/// Asks until the segment lies in a file, and leaves from there.
fn ask_often(wired: &Wired, path: &str, wanted: &[u8]) {
    let mut client = Client::connect(wired.address);
    let before = uncopied(wired);
    until("it leaves without a copy", || {
        let seen = client.ask("GET", path);
        assert!(seen.status == 200 && seen.body == wanted);
        uncopied(wired) > before
    });
}

fn uncopied(wired: &Wired) -> u64 {
    wired.origin.counted("uncopied_bytes_total")
}

fn files(wired: &Wired) -> u64 {
    wired.runtime.block_on(wired.origin.rooms.service.preparer.measure());
    wired.origin.counted("memory_files")
}

#[test]
fn it_is_the_same_however_it_is_asked_for() {
    if !is_possible() {
        return;
    }
    let stored = Stored::with_movie_scaled(SCALE);
    let wired = wired(&stored, TERMS);
    let path = format!("{}v720/1.m4s", wired.origin.base());
    let wanted = stored.track("v720").segment(1);
    ask_often(&wired, &path, &wanted);
    assert_eq!(files(&wired), 1);
    let mut client = Client::connect(wired.address);
    let before = uncopied(&wired);
    let whole = client.ask("GET", &path);
    assert!(whole.body == wanted);
    assert_eq!(whole.header("content-length"), wanted.len().to_string());
    until("all of it is counted", || uncopied(&wired) == before + wanted.len() as u64);
    assert_eq!(client.ask("HEAD", &path).status, 200);
    let len = wanted.len();
    for (from, to, is_uncopied) in [
        (0, len, true),
        (0, 100_000, false),
        (1, len - 1, true),
        (len - 70_000, len, false),
        (1_000_000, 1_000_001, false),
        (4_095, 4_095 + (1 << 20), true),
        (4_095, 4_094 + (1 << 20), false),
    ] {
        let before = uncopied(&wired);
        let range = format!("Range: bytes={from}-{}", to - 1);
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{range}\r\n\r\n"));
        let part = client.read(false);
        assert!(part.status == 206 && part.body == wanted[from..to], "{range}");
        let sent = if is_uncopied { to - from } else { 0 };
        until(&range, || uncopied(&wired) - before == sent as u64);
    }
    // Both before either is read, and something else behind them.
    let other = format!("{}v720/2.m4s", wired.origin.base());
    for path in [&path, &other, &path] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    assert!(client.read(false).body == wanted);
    assert!(client.read(false).body == stored.track("v720").segment(2));
    assert!(client.read(false).body == wanted);
    // Those who get copies read it from the file.
    let before = uncopied(&wired);
    wired.runtime.block_on(async {
        let seen = ask(&wired.h2c().await, Method::GET, &path).await.unwrap();
        assert!(seen.body == wanted, "over HTTP/2");
        assert!(wired.origin.get(&path).await.body == wanted);
    });
    assert_eq!(uncopied(&wired), before);
}

/// Sockets still hold what was let go: its memory is nobody else's until they are done.
#[test]
fn what_is_let_go_while_it_is_sent_arrives_whole() {
    if !is_possible() {
        return;
    }
    // More than a socket takes, so that some of it is still to be sent.
    let stored = Stored::with_movie_scaled(4 * SCALE);
    let wired = wired(&stored, TERMS);
    let path = format!("{}v720/1.m4s", wired.origin.base());
    let wanted = stored.track("v720").segment(1);
    ask_often(&wired, &path, &wanted);
    let mut slow: Vec<_> = (0..4).map(|_| Client::connect(wired.address)).collect();
    for client in &mut slow {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let mut some = [0; 1];
        client.0.read_exact(&mut some).unwrap();
        assert_eq!(&some, b"H");
    }
    wired.runtime.block_on(post(&wired.origin, "/admin/purge?all=true"));
    // Whatever is made now would be made of its memory.
    ask_often(
        &wired,
        &format!("{}v720/2.m4s", wired.origin.base()),
        &stored.track("v720").segment(2),
    );
    for client in &mut slow {
        thread::sleep(Duration::from_millis(20));
        let seen = read_behind(client, b"H");
        assert!(seen.status == 200 && seen.body == wanted);
    }
    drop(slow);
    wired.runtime.block_on(post(&wired.origin, "/admin/purge?all=true"));
    until("all is given back", || {
        files(&wired) == 0 && wired.origin.metrics().body_bytes.get() == 0
    });
}

/// Pingora's own streams keep short writes back for a moment, heads among them.
#[test]
fn heads_come_before_their_bodies() {
    if !is_possible() {
        return;
    }
    let stored = Stored::with_movie_scaled(SCALE);
    let running = Running::start(&stored, "");
    let (mut client, mut admin) = (running.client(), Client::connect(running.admin));
    let path = segment_path(&mut client);
    until("it leaves without a copy", || {
        let seen = client.ask("GET", &path);
        assert!(seen.status == 200 && seen.body == stored.track("v720").segment(1));
        let metrics = String::from_utf8(admin.ask("GET", "/metrics").body).unwrap();
        let (_, counted) = metrics.split_once("\nheadwater_origin_uncopied_bytes_total ").unwrap();
        !counted.starts_with("0\n")
    });
}

/// Who takes nothing of it, or too little, is found as if it were copied.
#[test]
fn slow_readers_are_sent_away() {
    if !is_possible() {
        return;
    }
    let stored = Stored::with_movie_scaled(4 * SCALE);
    for (min_send_bytes_s, taken_bytes, fault) in
        [(0, 0, "write_timeout"), (1 << 30, 1_024, "too_slow")]
    {
        let terms = Terms { write_timeout: Duration::from_secs(1), min_send_bytes_s, ..TERMS };
        let wired = wired(&stored, terms);
        let path = format!("{}v720/1.m4s", wired.origin.base());
        ask_often(&wired, &path, &stored.track("v720").segment(1));
        let before = uncopied(&wired);
        let mut client = Client::connect(wired.address);
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let mut some = vec![0; taken_bytes];
        until(fault, || {
            let _taken = client.0.read(&mut some);
            wired.faults(fault) == 1
        });
        assert!(uncopied(&wired) > before);
    }
}

#[test]
fn behind_a_proxy_header_too() {
    if !is_possible() {
        return;
    }
    let stored = Stored::with_movie_scaled(SCALE);
    let door = Door { proxy: true, tls: false };
    let terms = Terms { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..TERMS };
    let wired = wired_behind(&stored, terms, door, None);
    let path = format!("{}v720/1.m4s", wired.origin.base());
    let mut client = Client::connect(wired.address);
    client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    until("it leaves without a copy", || {
        assert!(client.ask("GET", &path).body == stored.track("v720").segment(1));
        uncopied(&wired) > 0
    });
}

/// The rest of an answer of which `read` was read.
fn read_behind(client: &mut Client, read: &[u8]) -> Seen {
    let mut head = read.to_vec();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.0.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; len.trim().parse().unwrap()];
    client.0.read_exact(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Seen::new(status, http::HeaderMap::new(), body)
}

/// Its memory is weighed and counted as what it takes.
#[test]
fn a_file_is_weighed_with_the_rest_of_its_last_page() {
    if !is_possible() {
        return;
    }
    let stored = Stored::with_movie_scaled(SCALE);
    let wired = wired(&stored, TERMS);
    let path = format!("{}v720/1.m4s", wired.origin.base());
    let wanted = stored.track("v720").segment(1);
    ask_often(&wired, &path, &wanted);
    let resident = MemoryFile::resident_bytes_of(wanted.len());
    assert!(resident > wanted.len() as u64);
    until("the heap's is gone", || {
        let held = wired.origin.metrics().body_bytes.get();
        files(&wired) == 1 && u64::try_from(held).unwrap() == resident
    });
    let weighed = wired.origin.metrics().cache_bytes.get();
    assert!(u64::try_from(weighed).unwrap() >= resident);
}

#[test]
fn nothing_is_moved_where_nobody_gains() {
    let stored = Stored::with_movie_scaled(SCALE);
    let mut config = stored.config("");
    assert!(filing(&config).is_some());
    config.origin.tls = Tls { listen: std::mem::take(&mut config.origin.listen), ..Tls::default() };
    assert!(filing(&config).is_none(), "behind TLS alone");
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    let mut client = Client::connect(wired.address);
    let small = format!("{}v720/1.m4s", wired.origin.base());
    for _ in 0..10 {
        assert_eq!(client.ask("GET", &small).status, 200);
        assert_eq!(client.ask("GET", "/clear/movie/master.m3u8").status, 200);
    }
    assert_eq!((files(&wired), uncopied(&wired)), (0, 0));
}

fn filing(config: &headwater_config::Config) -> Option<Filing> {
    Origin::new(config).rooms.service.cache.filing()
}
