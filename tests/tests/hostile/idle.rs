//! Who connects and is silent.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::bench::{Bench, connect, fetch, is_ended, open_files};
use crate::frames::{exchange, hello};
use headwater_tests::measured;

const CONNECTIONS: usize = 10_000;
/// An idle HTTP/2 connection, docs/operations.md.
const IDLE_H2_BYTES: u64 = 64 * 1024;
/// What the process takes more for any reason, MiB.
const SLACK_MIB: u64 = 48;
const OPENERS: usize = 4;

#[test]
fn ten_thousand_idle_http_2_connections() {
    let wanted = open_files(CONNECTIONS);
    let bench = Bench::new(16, "idle_timeout_s = 45\nmax_connections = 12000");
    let (cost, (opened, idle)) = bench.attacked("10,000 idle h2 connections", || {
        let opened = open(&bench, wanted);
        // Others ask for a while among them.
        thread::sleep(Duration::from_secs(2));
        let idle = bench.open();
        (opened, idle)
    });
    measured(format_args!(
        "10,000 idle h2 connections: {} bytes each",
        cost.grown_bytes / wanted as u64
    ));
    assert_eq!(opened.len(), wanted);
    // The first ones may be over already where opening them all took that long.
    measured(format_args!("10,000 idle h2 connections: {idle} at one time"));
    cost.is_at_most(SLACK_MIB, wanted, IDLE_H2_BYTES);
    // They end without their clients' help.
    bench.until("idle connections end", |bench| bench.open() < 50.0);
    assert!(bench.faults("idle_timeout") >= (wanted / 2) as f64);
    drop(opened);
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once_and_room_comes_again() {
    let bench = Bench::new(16, "idle_timeout_s = 4\nmax_connections = 300");
    bench.until("nobody is left of before", |bench| bench.open() < 2.0);
    let mut opened: Vec<_> = (0..1000).map(|_| connect(bench.plain)).collect();
    bench.until("those beyond are closed", |bench| bench.faults("too_many") >= 700.0);
    for stream in &mut opened {
        // Whoever was taken gets an answer in the middle of it.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    // One more is the question how many there are.
    let peak = bench.open();
    assert!(peak <= 301.0, "{peak}");
    assert!(opened.iter_mut().all(is_ended), "each one ends, most of them at once");
    bench.until("there is room again", |bench| bench.open() < 2.0);
    assert_eq!(fetch(bench.plain, "/healthz").0, 200);
}

/// Connections that asked once and were answered.
fn open(bench: &Bench, count: usize) -> Vec<TcpStream> {
    thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS)
            .map(|opener| {
                let count = count / OPENERS + usize::from(opener < count % OPENERS);
                scope.spawn(move || (0..count).map(|_| asked_once(bench)).collect::<Vec<_>>())
            })
            .collect();
        openers.into_iter().flat_map(|opener| opener.join().unwrap()).collect()
    })
}

fn asked_once(bench: &Bench) -> TcpStream {
    let mut stream = connect(bench.plain);
    stream.write_all(&hello(65_535)).unwrap();
    assert!(exchange(&mut stream, 1, "/healthz"), "it is answered");
    stream
}
