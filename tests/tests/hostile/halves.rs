//! What begins and never ends.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, connect, is_ended};
use crate::frames::{self, END_STREAM, HEADERS, frame, get_block, hello};
use headwater_tests::measured;

const HALVES: usize = 1000;
/// A connection that owes the rest of what it began, docs/operations.md.
const HALF_BYTES: u64 = 64 * 1024;
const SLACK_MIB: u64 = 32;
const HEADER_TIMEOUT_S: u64 = 6;

/// The beginning of a TLS record that promises a ClientHello (RFC 8446 5.1, 4).
const HALF_HANDSHAKE: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

#[test]
fn a_thousand_half_requests() {
    let bench = Bench::new(16, &format!("header_timeout_s = {HEADER_TIMEOUT_S}"));
    let header = frame(HEADERS, END_STREAM, 1, &get_block("/healthz"));
    let settings = frame(frames::SETTINGS, 0, 0, &[]);
    let kinds: [(_, Vec<u8>); 10] = [
        (bench.plain, Vec::new()),
        (bench.plain, b"GET /healthz HT".to_vec()),
        (bench.plain, b"GET /healthz HTTP/1.1\r\nHost: test\r\nX-A: b".to_vec()),
        (bench.plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n".to_vec()),
        (bench.plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (bench.plain, [hello(65_535), settings].concat()),
        // A header whose end is owed (RFC 9113 6.10).
        (bench.plain, [hello(65_535), header].concat()),
        (bench.tls, HALF_HANDSHAKE.to_vec()),
        (bench.behind_proxy, b"PROXY TCP4 192.0.2.1 ".to_vec()),
        (bench.behind_proxy, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".to_vec()),
    ];
    let (cost, longest) = bench.attacked("1,000 half requests", || {
        let from = Instant::now();
        let mut halves: Vec<_> = (0..HALVES)
            .map(|n| {
                let (address, sent) = &kinds[n % kinds.len()];
                let mut stream = connect(*address);
                stream.write_all(sent).unwrap();
                stream
            })
            .collect();
        assert!(halves.iter_mut().all(is_ended), "each one ends");
        from.elapsed()
    });
    measured(format_args!("1,000 half requests: all ended after {longest:?}"));
    assert!(longest >= Duration::from_secs(HEADER_TIMEOUT_S) / 2, "they were kept for a while");
    cost.is_at_most(SLACK_MIB, HALVES, HALF_BYTES);
    let handshakes = "headwater_origin_tls_handshakes_total{outcome=\"timeout\"}";
    let tenth = (HALVES / kinds.len()) as f64;
    assert!(bench.origin.metric(handshakes) >= tenth);
    // Of HTTP/2 once the client has closed, or a moment later: it is waited for.
    bench.until("all are counted", |bench| bench.faults("header_timeout") >= 9.0 * tenth);
}

/// Each sends a byte now and then, in time for every limit on silence.
#[test]
fn requests_that_drip_in_end_with_the_time_for_a_header() {
    const DRIPPING: usize = 300;
    let bench = Bench::new(16, "header_timeout_s = 3\nidle_timeout_s = 60");
    let (cost, longest) = bench.attacked("300 requests that drip in", || {
        let from = Instant::now();
        let mut dripping: Vec<TcpStream> = (0..DRIPPING).map(|_| connect(bench.plain)).collect();
        let endless =
            b"GET /healthz HTTP/1.1\r\nHost: test\r\n".iter().chain(b"X-A: b\r\n".iter().cycle());
        for byte in endless {
            dripping.retain_mut(|stream| stream.write_all(&[*byte]).is_ok());
            if dripping.is_empty() {
                break;
            }
            assert!(from.elapsed() < crate::bench::PATIENCE, "{} are left", dripping.len());
            thread::sleep(Duration::from_millis(100));
        }
        from.elapsed()
    });
    measured(format_args!("300 requests that drip in: all ended after {longest:?}"));
    cost.is_at_most(SLACK_MIB, DRIPPING, HALF_BYTES);
}
