//! What is served from a bucket, and how often the bucket is asked.

use std::collections::BTreeMap;
use std::thread;

use headwater_tests::s3_proxy::{Asked, Kind};

use crate::common::{Bench, names};

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
    assert_eq!(asked.iter().filter(|a| names(a, "title.json")).count(), 3, "{asked:#?}");
    assert_eq!(asked.iter().filter(|a| names(a, "heads.bin")).count(), 1, "{asked:#?}");
}
