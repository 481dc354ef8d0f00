//! What is served from a bucket, and how often the bucket is asked.

use std::collections::BTreeMap;
use std::thread;

use headwater_tests::origin::{self, Origin, Settings};
use headwater_tests::s3::{self, Server, outcome};
use headwater_tests::s3_proxy::{Asked, Fault, Kind};
use headwater_tests::{binaries, run, scratch};

use crate::common::{Bench, HASTY, SEGMENT_MS, names};

/// Long enough that a pointer is read once in a test.
const PATIENT: &str = "";

#[test]
fn a_bucket_serves_what_a_folder_serves() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let mut origin = bench.origin(PATIENT, 0, "");
    origin.wait_until_ready();
    for (path, body) in wanted.all() {
        let answer = origin.web().get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", origin.log());
        assert!(answer.body == body, "{path}: other bytes than from a folder");
        assert!(answer.header("etag").is_some(), "{path}");
    }
    let list = origin.web().get("/clear/nobody/master.m3u8");
    assert_eq!((list.status, list.error()), (404, "unknown_title".to_owned()));
}

#[test]
fn one_ranged_read_for_a_cold_segment_and_one_of_heads_for_a_cold_version() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let mut origin = bench.origin(PATIENT, 64, "");
    origin.wait_until_ready();
    bench.proxy.taken();
    let mut answers = BTreeMap::new();
    for _ in 0..2 {
        for path in wanted.segments.keys() {
            answers.insert(path.clone(), origin.web().body(path));
        }
    }
    assert!(answers == wanted.segments, "other bytes");
    let asked = bench.proxy.taken();
    let count = |kind: fn(&Asked) -> bool| asked.iter().filter(|asked| kind(asked)).count();
    assert_eq!(count(|a| a.kind == Kind::Range), wanted.segments.len(), "{asked:#?}");
    assert_eq!(count(|a| names(a, "heads.bin")), 1, "{asked:#?}");
    assert_eq!(count(|a| a.kind == Kind::Get && !names(a, "title.json")), 1, "only heads");
    assert_eq!(count(|a| a.kind == Kind::List || a.kind.writes()), 0, "{asked:#?}");
}

#[test]
fn many_who_want_one_cold_segment_are_one_read() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let mut origin = bench.origin(PATIENT, 64, "");
    origin.wait_until_ready();
    let (path, body) = wanted.segments.first_key_value().unwrap();
    bench.proxy.taken();
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| assert!(origin.web().body(path) == *body));
        }
    });
    let asked = bench.proxy.taken();
    assert_eq!(asked.iter().filter(|a| a.kind == Kind::Range).count(), 1, "{asked:#?}");
    assert_eq!(asked.iter().filter(|a| names(a, "heads.bin")).count(), 1, "{asked:#?}");
}

#[test]
fn a_pointer_is_asked_for_by_what_is_known_of_it_and_heads_once() {
    let bench = Bench::new();
    let mut origin = bench.origin(PATIENT, 64, "");
    origin.wait_until_ready();
    for _ in 0..3 {
        assert_eq!(origin.web().get(&bench.title.master()).status, 200);
    }
    let asked = bench.proxy.taken();
    let pointers: Vec<_> = asked.iter().filter(|a| names(a, "title.json")).collect();
    let by_tag: Vec<_> = pointers.iter().map(|a| a.if_none_match.starts_with('"')).collect();
    assert_eq!(by_tag, [false, true, true], "{asked:#?}");
    assert_eq!(asked.iter().filter(|a| names(a, "heads.bin")).count(), 1, "{asked:#?}");
}

#[test]
fn no_more_reads_at_a_time_than_allowed() {
    const AT_ONCE: usize = 3;
    let bench = Bench::new();
    let wanted = bench.wanted();
    let limits = format!("[origin.store]\nmax_concurrent_reads = {AT_ONCE}\n");
    let mut origin = bench.origin(PATIENT, 64, &limits);
    origin.wait_until_ready();
    let web = origin.web();
    bench.proxy.inject(|_| Fault::Late(100));
    bench.proxy.most_at_once();
    thread::scope(|scope| {
        for (path, body) in &wanted.segments {
            scope.spawn(move || assert!(web.body(path) == *body, "{path}"));
        }
    });
    assert!(wanted.segments.len() > 2 * AT_ONCE);
    assert_eq!(bench.proxy.most_at_once(), AT_ONCE, "all that are allowed, and no more");
}

/// A server whose certificate comes from an authority of one's own is believed by naming it, and
/// by nothing else.
#[test]
fn tls_to_the_bucket_trusts_the_authority_that_is_named() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let (server, authority) = Server::with_tls(bench.title);
    let (_, another) = Server::with_tls(bench.title);
    let folder = scratch::folder();
    let plain = s3::settings(server.address(), HASTY).replace("http://", "https://");
    let trusting = |name: &str, pem: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, pem).unwrap();
        format!("{plain}ca_file = \"{}\"\n", file.display())
    };
    let settings = Settings { segment_ms: SEGMENT_MS, responses_mib: 64 };
    let launch = |store: &str| Origin::launch(&origin::toml(store, &settings), &s3::env());

    let mut served = launch(&trusting("ours.pem", &authority));
    served.wait_until_ready();
    for (path, body) in wanted.all() {
        assert!(served.web().body(&path) == body, "{path}");
    }
    for store in [&plain, &trusting("another.pem", &another)] {
        let refusing = launch(store);
        let answer = refusing.web().get(&bench.title.master());
        assert_eq!((answer.status, answer.error()), (503, "store_unavailable".to_owned()));
        assert!(refusing.log().contains("certificate"), "{}", refusing.log());
    }
    let store = trusting("empty.pem", "");
    let config = folder.path().join("headwater.toml");
    std::fs::write(&config, &store).unwrap();
    for arguments in [&["check"][..], &[]] {
        let mut command = run::command(binaries::origin());
        command.args(arguments).arg("--config").arg(&config).envs(s3::env());
        let (code, text) = outcome(&mut command);
        assert_ne!(code, Some(0), "{text}");
        assert!(text.contains("`store.s3.ca_file`") && text.contains("holds no"), "{text}");
    }
}
