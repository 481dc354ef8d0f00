//! Headers that are too large, and frames without end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, connect};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, frame, get, get_block, hello, read, window_update,
};
use headwater_tests::measured;

/// Connections that do it at a time.
const ATTACKERS: usize = 8;
/// A flood that is not refused goes on for so long.
const FLOOD: Duration = Duration::from_secs(3);
/// What any of it may take of memory, MiB: less than its bytes that were sent.
const FLOOD_MIB: u64 = 48;
/// Frames written at a time.
const BATCH: u32 = 200;

/// How a flood ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// The origin ends the connection.
    Refused,
    /// Each is refused by itself, and the connection may go on.
    Either,
}

type Flood = fn(u32, &Bench) -> Vec<u8>;

#[test]
fn floods_of_frames() {
    let bench = Bench::new(16, "write_timeout_s = 2\nidle_timeout_s = 3");
    let floods: [(&str, Ends, Flood); 9] = [
        ("rapid resets", Ends::Refused, |n, _| {
            let id = 2 * n + 1;
            [get(id, "/healthz"), frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()
        }),
        ("rapid resets of cold segments", Ends::Refused, |n, bench| {
            let id = 2 * n + 1;
            [get(id, &bench.large.0), frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()
        }),
        ("a header without end", Ends::Refused, |n, _| match n {
            0 => frame(HEADERS, END_STREAM, 1, &get_block("/healthz")),
            _ => frame(CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b']),
        }),
        ("a header of empty frames", Ends::Refused, |n, _| match n {
            0 => frame(HEADERS, END_STREAM, 1, &get_block("/healthz")),
            _ => frame(CONTINUATION, 0, 1, &[]),
        }),
        ("a table's entry again and again", Ends::Either, |n, _| hpack_bomb(2 * n + 1)),
        ("settings", Ends::Refused, |_, _| frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0])),
        ("pings", Ends::Refused, |n, _| frame(PING, 0, 0, &u64::from(n).to_be_bytes())),
        ("empty data", Ends::Refused, |n, _| match n {
            0 => frame(HEADERS, END_HEADERS, 1, &get_block("/healthz")),
            _ => frame(DATA, 0, 1, &[]),
        }),
        ("priorities", Ends::Refused, |n, _| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 9])),
    ];
    for (name, ends, flood) in floods {
        for reads in [true, false] {
            let told = format!("{name}, {}", if reads { "answers taken" } else { "answers left" });
            let (cost, outcomes) = bench.attacked(&told, || attack(&bench, flood, reads));
            let sent: usize = outcomes.iter().map(|outcome| outcome.sent_bytes).sum();
            let refused = outcomes.iter().filter(|outcome| outcome.refused).count();
            measured(format_args!("{told}: {refused} of {ATTACKERS} refused, {sent} bytes sent"));
            assert!(ends == Ends::Either || refused == ATTACKERS, "{told}: {refused} refused");
            cost.is_at_most(FLOOD_MIB, 0, 0);
        }
    }
    bench.until("nothing of it is left", |bench| bench.open() < 2.0);
    assert!(bench.faults("resets") + bench.faults("flood") >= 1.0);
}

#[test]
fn headers_that_are_too_large() {
    let bench = Bench::new(16, "header_timeout_s = 5");
    let many = "X-A: b\r\n".repeat(100_000);
    let long = format!("X-A: {}\r\n", "b".repeat(4 << 20));
    let target = "a".repeat(1 << 20);
    let bombs = [
        ("100,000 fields", format!("GET /healthz HTTP/1.1\r\nHost: test\r\n{many}\r\n")),
        ("a field of 4 MB", format!("GET /healthz HTTP/1.1\r\nHost: test\r\n{long}\r\n")),
        ("a target of 1 MB", format!("GET /{target} HTTP/1.1\r\nHost: test\r\n\r\n")),
    ];
    for (name, bomb) in bombs {
        let (cost, ()) = bench.attacked(name, || {
            for _ in 0..20 {
                let mut streams: Vec<_> = (0..ATTACKERS).map(|_| connect(bench.plain)).collect();
                for stream in &mut streams {
                    let _ = stream.write_all(bomb.as_bytes());
                }
                for stream in &mut streams {
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer);
                    let status = answer.get(9..12).unwrap_or(b"");
                    // The rest of what was sent may reset the connection before the answer is read.
                    assert!(matches!(status, b"431" | b"414" | b"400" | b""), "{name}");
                }
            }
        });
        cost.is_at_most(FLOOD_MIB, 0, 0);
    }
    assert!(bench.faults("bad_request") >= 60.0);
}

struct Outcome {
    sent_bytes: usize,
    refused: bool,
}

/// All attackers at once.
fn attack(bench: &Bench, flood: Flood, reads: bool) -> Vec<Outcome> {
    thread::scope(|scope| {
        let attackers: Vec<_> =
            (0..ATTACKERS).map(|_| scope.spawn(move || one(bench, flood, reads))).collect();
        attackers.into_iter().map(|attacker| attacker.join().unwrap()).collect()
    })
}

fn one(bench: &Bench, flood: Flood, reads: bool) -> Outcome {
    let mut stream = connect(bench.plain);
    stream.set_write_timeout(Some(FLOOD * 3)).unwrap();
    stream.write_all(&[hello(65_535), window_update(0, 1 << 30)].concat()).unwrap();
    let reader = reads.then(|| {
        let mut stream = stream.try_clone().unwrap();
        thread::spawn(move || {
            while !matches!(
                read(&mut stream),
                None | Some(crate::frames::Frame { kind: GOAWAY, .. })
            ) {}
        })
    });
    let (from, mut n, mut sent_bytes, mut refused) = (Instant::now(), 0, 0, false);
    while from.elapsed() < FLOOD {
        let batch: Vec<u8> = (n..n + BATCH).flat_map(|n| flood(n, bench)).collect();
        n += BATCH;
        if stream.write_all(&batch).is_err() {
            refused = true;
            break;
        }
        sent_bytes += batch.len();
    }
    end(&stream);
    if let Some(reader) = reader {
        reader.join().unwrap();
    }
    Outcome { sent_bytes, refused }
}

fn end(stream: &TcpStream) {
    // It may have been ended from the other side.
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

/// A field of 4,000 bytes is entered into the table, and named a thousand times (RFC 7541 2.3.2).
fn hpack_bomb(stream: u32) -> Vec<u8> {
    let mut block = get_block("/healthz");
    if stream == 1 {
        // A literal with indexing: name of 1 byte, value of 4,000 (7-bit prefix: 127 + 3873).
        block.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
        block.extend(std::iter::repeat_n(b'b', 4000));
    }
    block.extend(std::iter::repeat_n(0xbe, 1000));
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}
