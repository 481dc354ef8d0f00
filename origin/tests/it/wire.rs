//! Connections: framing, limits, and how they end. The adapter on real sockets, without Pingora's
//! listeners; `binary` has those.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use headwater_origin::adapter::Terms;

use crate::common::{Client, Stored};
use crate::net::{TERMS, until, wired};

#[test]
fn answers_are_framed_by_their_length_and_connections_kept() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    let mut client = Client::connect(wired.address);
    let segment = format!("{}v360/2.m4s", wired.origin.base());
    let wanted = stored.track("v360").segment(2);
    // On one connection, so that a wrong length would spoil the next answer.
    for _ in 0..2 {
        let whole = client.ask("GET", &segment);
        assert!(whole.status == 200 && whole.body == wanted);
        assert_eq!(whole.header("content-length"), wanted.len().to_string());
        assert_eq!(whole.header("transfer-encoding"), "");
        assert!(!whole.header("date").is_empty());
        let head = client.ask("HEAD", &segment);
        assert_eq!(head.header("content-length"), wanted.len().to_string());
        let missing = client.ask("HEAD", "/nothing");
        assert_eq!(missing.status, 404);
        assert_ne!(missing.header("content-length"), "0");
        client.send(&format!("GET {segment} HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n"));
        let part = client.read(false);
        assert!(part.status == 206 && part.body == wanted[5..10]);
        let tag = whole.header("etag");
        client.send(&format!("GET {segment} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n"));
        assert_eq!(client.read(false).status, 304);
        assert_eq!(client.ask("OPTIONS", &segment).status, 204);
        assert_eq!(client.ask("GET", "/healthz").body, b"ok\n");
        assert_eq!(client.ask("HEAD", "/healthz").header("content-length"), "3");
        assert_eq!(client.ask("GET", "http://other.example/healthz").status, 200);
    }
    client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((client.read(false).status, client.read(false).status), (200, 404), "pipelined");
    client.send("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(client.read(false).status, 200);
    assert!(client.is_closed(), "HTTP/1.0 keeps nothing");
    assert_eq!(wired.origin.counted("connections_total"), 1);
    until("the count goes down", || wired.open() == 0);
    let sent = wired.origin.counted("sent_bytes_total{kind=\"segment\"}");
    assert_eq!(sent, 2 * (wanted.len() as u64 + 5));
}

#[test]
fn large_bodies_come_whole_through_small_frames() {
    let stored = Stored::with_movie_scaled(200);
    let wired = wired(&stored, TERMS);
    let mut client = Client::connect(wired.address);
    for n in 1..=2 {
        let wanted = stored.track("v720").segment(n);
        assert!(wanted.len() > 2_000_000);
        let seen = client.ask("GET", &format!("{}v720/{n}.m4s", wired.origin.base()));
        assert!(seen.body == wanted, "segment {n}");
    }
}

#[test]
fn bodies_of_requests_are_refused_and_end_the_connection() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    let live = "/clear/movie/master.m3u8 HTTP/1.1\r\nHost: x\r\n";
    let refused = (413, "body_refused");
    for (request, wanted) in [
        // What is wrong here is the method.
        (format!("POST {live}Content-Length: 9999999999\r\n\r\n"), (405, "method_refused")),
        (format!("GET {live}Transfer-Encoding: chunked\r\n\r\n"), refused),
        (format!("OPTIONS {live}Content-Length: 5\r\n\r\n"), refused),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".to_owned(), refused),
    ] {
        let mut client = Client::connect(wired.address);
        client.send(&request);
        let seen = client.read(false);
        assert_eq!((seen.status, seen.error().as_str()), wanted, "{request}");
        assert!(client.is_closed(), "{request}");
    }
}

#[test]
fn a_request_names_one_host_and_may_ask_about_the_server() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    for (request, status, error) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", 400, "host_refused"),
        ("GET http://x/healthz HTTP/1.1\r\n\r\n", 400, "host_refused"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400, "host_refused"),
        ("OPTIONS * HTTP/1.1\r\n\r\n", 400, "host_refused"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204, ""),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_url"),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200, ""),
    ] {
        let mut client = Client::connect(wired.address);
        client.send(request);
        let seen = client.read(false);
        assert_eq!((seen.status, seen.error().as_str()), (status, error), "{request}");
    }
}

#[test]
fn header_bombs_are_refused() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    let many = "X-A: b\r\n".repeat(65);
    let long = format!("X-A: {}\r\n", "b".repeat(20_000));
    for (fields, status) in
        [(many.as_str(), 431), (long.as_str(), 431), ("no colon\r\n", 400), ("A: \0\r\n", 400)]
    {
        let mut client = Client::connect(wired.address);
        client.send(&format!("GET /healthz HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(client.read(false).status, status, "{fields:.20}");
        assert!(client.is_closed());
    }
    until("faults are counted", || wired.faults("bad_request") == 4);
    let mut endless = Client::connect(wired.address);
    let line = format!("X-A: {}\r\n", "b".repeat(1000));
    endless.send("GET /healthz HTTP/1.1\r\n");
    let refused = (0..10_000).any(|_| endless.0.write_all(line.as_bytes()).is_err());
    assert!(refused, "a header without end");
}

#[test]
fn a_header_that_drips_in_is_cut_off() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, Terms { header_timeout: Duration::from_secs(1), ..TERMS });
    let mut client = Client::connect(wired.address);
    assert_eq!(client.ask("GET", "/healthz").status, 200);
    let start = Instant::now();
    let dripping = "GET /healthz HTTP/1.1\r\nHost: a-slow-client.example\r\nX: y\r\n";
    let cut = dripping.bytes().cycle().any(|byte| {
        thread::sleep(Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_secs(15), "never cut off");
        client.0.write_all(&[byte]).is_err()
    });
    assert!(cut && start.elapsed() >= Duration::from_secs(1));
    let mut silent = Client::connect(wired.address);
    assert!(silent.is_closed(), "a new connection owes its first header as soon");
    until("both are counted", || wired.faults("header_timeout") == 2);
}

#[test]
fn a_kept_connection_may_be_silent_for_longer() {
    let stored = Stored::with_movie();
    let header_timeout = Duration::from_millis(500);
    let wired =
        wired(&stored, Terms { header_timeout, idle_timeout: Duration::from_secs(4), ..TERMS });
    let mut client = Client::connect(wired.address);
    assert_eq!(client.ask("GET", "/healthz").status, 200);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(client.ask("GET", "/healthz").status, 200);
    let start = Instant::now();
    assert!(client.is_closed());
    assert!(start.elapsed() >= Duration::from_millis(3900), "{:?}", start.elapsed());
    until("it is counted", || wired.faults("idle_timeout") == 1);
    assert_eq!(wired.faults("header_timeout"), 0);
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() {
    let stored = Stored::with_movie_scaled(1000);
    let wired = wired(&stored, Terms { write_timeout: Duration::from_millis(1500), ..TERMS });
    let request = format!("GET {}v720/1.m4s HTTP/1.1\r\nHost: x\r\n\r\n", wired.origin.base());
    let mut stuck = Client::connect(wired.address);
    stuck.send(&request);
    until("the stuck client is cut off", || wired.faults("write_timeout") == 1);

    let mut slow = Client::connect(wired.address);
    slow.send(&request);
    let len = stored.track("v720").segment(1).len();
    let mut got = Vec::new();
    let mut piece = vec![0; 700_000];
    let start = Instant::now();
    while got.len() < len {
        thread::sleep(Duration::from_millis(100));
        let n = slow.0.read(&mut piece).unwrap();
        assert_ne!(n, 0, "cut off after {} of {len} bytes", got.len());
        got.extend_from_slice(&piece[..n]);
    }
    assert!(start.elapsed() > Duration::from_millis(1500));
    assert_eq!(wired.faults("write_timeout"), 1);
}

#[test]
fn on_a_stop_idle_connections_end_and_running_answers_finish() {
    let stored = Stored::with_movie_scaled(1000);
    let wired = wired(&stored, TERMS);
    let mut idle = Client::connect(wired.address);
    assert_eq!(idle.ask("GET", "/healthz").status, 200);
    let mut silent = Client::connect(wired.address);
    let mut slow = Client::connect(wired.address);
    let path = format!("{}v720/1.m4s", wired.origin.base());
    slow.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let mut first = [0; 1000];
    slow.0.read_exact(&mut first).unwrap();
    wired.stop.send(true).unwrap();
    assert!(idle.is_closed() && silent.is_closed());
    thread::sleep(Duration::from_millis(300));
    let mut rest = Vec::new();
    slow.0.read_to_end(&mut rest).unwrap();
    let all = [&first[..], &rest].concat();
    assert!(all.ends_with(&stored.track("v720").segment(1)), "the running answer is whole");
    until("nothing is open", || wired.open() == 0);
}

#[test]
fn with_a_successor_a_kept_connection_may_ask_once_more() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, TERMS);
    let (mut kept, mut fresh) = (Client::connect(wired.address), Client::connect(wired.address));
    assert_eq!(kept.ask("GET", "/healthz").header("connection"), "");
    wired.handed_over.store(true, std::sync::atomic::Ordering::Relaxed);
    wired.stop.send(true).unwrap();
    thread::sleep(Duration::from_millis(200));
    for client in [&mut kept, &mut fresh] {
        let last = client.ask("GET", "/healthz");
        assert_eq!((last.status, last.header("connection")), (200, "close"));
        assert!(client.is_closed());
    }
    until("nothing is open", || wired.open() == 0);
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let stored = Stored::with_movie();
    let wired = wired(&stored, Terms { max_connections: 3, ..TERMS });
    let mut open: Vec<_> = (0..3).map(|_| Client::connect(wired.address)).collect();
    for client in &mut open {
        assert_eq!(client.ask("GET", "/healthz").status, 200);
    }
    assert!(Client::connect(wired.address).is_closed());
    until("it is counted", || wired.faults("too_many") == 1);
    open.pop();
    until("there is room again", || wired.open() == 2);
    assert_eq!(Client::connect(wired.address).ask("GET", "/healthz").status, 200);
}
