//! The whole way through a server that others run in production.

use std::collections::BTreeMap;
use std::path::Path;

use headwater_tests::garage::{self, Garage};
use headwater_tests::hls::Master;
use headwater_tests::origin::{self, Origin, Settings};
use headwater_tests::s3::{self, outcome};
use headwater_tests::s3_proxy::{Asked, Fault, Kind, Proxy};
use headwater_tests::web::Web;
use headwater_tests::{binaries, measured, run, scratch, skip};

use crate::common::{HASTY, SEGMENT_MS, names};
use crate::publish::{large, small};

/// Parts as small as they may be, so that a film of seconds is sent in several.
const PARTS: &str = "attempt_timeout_ms = 20000\npart_size_mib = 5";
/// What a large body takes on a machine that does much else is no fault here.
const PATIENT: &str = "attempt_timeout_ms = 20000\noperation_timeout_ms = 40000\n\
     stall_timeout_ms = 20000\n[origin.store]\nread_timeout_ms = 60000";
/// One thread, because rate control by several depends on which of them is ahead, and so do the
/// bytes. Every encode of this file is the same.
const LADDER: &str =
    "threads = 1\n[[encoder.ladder]]\nheight = 288\nmax_bitrate_kbps = 200000\ncrf = 10\n";

/// A Garage, and a proxy before it.
struct Bench {
    garage: Garage,
    proxy: Proxy,
    work: tempfile::TempDir,
}

impl Bench {
    fn start() -> Option<Self> {
        if !skip::is_long("Garage") {
            return None;
        }
        let garage = Garage::start()?;
        let proxy = Proxy::start(garage.address());
        Some(Self { garage, proxy, work: scratch::folder() })
    }

    fn store(&self, more: &str) -> String {
        garage::store(self.proxy.address(), more)
    }

    /// The encoder on it; exit code and words.
    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        self.run_on(args, &self.store(PARTS))
    }

    fn run_on(&self, args: &[&str], store: &str) -> (Option<i32>, String) {
        let mut command = s3::encoder(self.work.path(), args, store, LADDER);
        outcome(command.envs(self.garage.env()))
    }

    fn encode(&self, source: &Path) -> (Option<i32>, String) {
        self.run(&["encode", "--title", "film", source.to_str().unwrap()])
    }
}

fn count(asked: &[Asked], kind: Kind) -> usize {
    asked.iter().filter(|asked| asked.kind == kind).count()
}

/// Published twice in parts, verified, checked and served by a key that may only read, with the
/// same bytes as from a folder and as few requests.
#[test]
fn garage_takes_and_serves_a_title() {
    let Some(bench) = Bench::start() else { return };
    let source = large().to_str().unwrap();
    let folder =
        format!("[store]\nurl = \"file://{}\"\n", bench.work.path().join("store").display());
    for store in [&folder, &bench.store(PARTS), &bench.store(PARTS)] {
        for args in [&["encode", "--title", "film", source][..], &["verify", "film"]] {
            let (code, text) = bench.run_on(args, store);
            assert_eq!(code, Some(0), "{args:?}: {text}");
        }
    }
    let asked = bench.proxy.taken();
    assert_eq!((count(&asked, Kind::Create), count(&asked, Kind::Complete)), (2, 2), "{asked:#?}");
    let parts = count(&asked, Kind::Part);
    assert!(parts >= 4, "{parts} parts in two uploads");
    measured(format_args!(
        "garage: two encodes and verifies were {} requests, {parts} parts",
        asked.len()
    ));

    let reader = bench.garage.env_of_a_reader();
    let checked = check(&bench, &reader);
    assert_eq!(checked.0, Some(0), "{}", checked.1);

    let settings = Settings { segment_ms: SEGMENT_MS, responses_mib: 64 };
    let launch = |store: &str| {
        let mut origin = Origin::launch(&origin::toml(store, &settings), &reader);
        origin.wait_until_ready();
        origin
    };
    let wanted = media(launch(&folder).web());
    assert!(wanted.len() >= 4, "{} bodies", wanted.len());
    let origin = launch(&bench.store(PATIENT));
    bench.proxy.taken();
    for _ in 0..2 {
        let served = media(origin.web());
        assert_eq!(served.len(), wanted.len());
        for (file, bytes) in &wanted {
            let (got, len) = (&served[file], bytes.len());
            let same = bytes.iter().zip(got).take_while(|(a, b)| a == b).count();
            assert!(
                got == bytes,
                "{file:?}: {} bytes, from a folder {len}; the first {same} are the same",
                got.len()
            );
        }
    }
    let asked = bench.proxy.taken();
    let segments = wanted.keys().filter(|(_, place)| *place > 0).count();
    assert_eq!(count(&asked, Kind::Range), segments, "one read for each cold segment: {asked:#?}");
    assert_eq!(asked.iter().filter(|a| names(a, "heads.bin")).count(), 1, "{asked:#?}");
    let answer = origin.web().get("/clear/nobody/master.m3u8");
    assert_eq!((answer.status, answer.error()), (404, "unknown_title".to_owned()));
    measured(format_args!(
        "garage: {segments} segments served twice with {} requests",
        asked.len()
    ));

    // What a wrong key and a wrong region are told, with Garage's own words.
    for (wrong, env) in [("region = \"garage\"", bench.garage.env()), ("", s3::env())] {
        let store = bench
            .store(HASTY)
            .replace(wrong, if wrong.is_empty() { "" } else { "region = \"elsewhere\"" });
        let origin = Origin::launch(&origin::toml(&store, &settings), &env);
        let answer = origin.web().get("/clear/film/master.m3u8");
        measured(format_args!(
            "garage: {} {} for {}",
            answer.status,
            answer.error(),
            if wrong.is_empty() { "an unknown key" } else { "another region" }
        ));
        assert!(answer.status == 503 && answer.is_no_store(), "{}", answer.status);
    }
}

/// An upload whose part fails is taken back; an answer that is lost loses no title.
#[test]
fn garage_keeps_nothing_of_an_upload_that_failed() {
    let Some(bench) = Bench::start() else { return };
    bench.proxy.inject(|asked| match asked.kind {
        Kind::Part if asked.target.contains("partNumber=2") => Fault::Status(500, "InternalError"),
        _ => Fault::Pass,
    });
    let (code, text) = bench.encode(large());
    assert_eq!(code, Some(6), "{text}");
    assert_eq!(count(&bench.proxy.taken(), Kind::Abort), 1);
    let mut first = true;
    bench.proxy.inject(move |asked| {
        let hit = asked.kind == Kind::Complete && std::mem::take(&mut first);
        if hit { Fault::LoseAnswer } else { Fault::Pass }
    });
    let (code, text) = bench.encode(large());
    let asked = bench.proxy.taken();
    measured(format_args!(
        "garage: a completion whose answer is lost: exit {code:?}, asked {} times",
        count(&asked, Kind::Complete)
    ));
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(bench.run(&["verify", "film"]).0, Some(0));
}

/// It ignores If-None-Match (2.5): of two encoders at once one refuses all the same.
#[test]
fn garage_has_one_writer_a_title() {
    let Some(bench) = Bench::start() else { return };
    let (code, text) = bench.encode(small());
    assert_eq!(code, Some(0), "{text}");
    let asked = bench.proxy.taken();
    let claims = asked.iter().filter(|a| a.kind == Kind::Put && a.if_none_match == "*").count();
    measured(format_args!("garage: a lease took {claims} writes with If-None-Match"));
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let encoders: Vec<_> = ["a", "b"]
            .map(|name| {
                let bench = &bench;
                scope.spawn(move || {
                    let work = bench.work.path().join(name);
                    std::fs::create_dir_all(&work).unwrap();
                    let args = ["encode", "--title", "film", large().to_str().unwrap()];
                    let mut command = s3::encoder(&work, &args, &bench.store(PARTS), LADDER);
                    outcome(command.envs(bench.garage.env()))
                })
            })
            .into_iter()
            .collect();
        encoders.into_iter().map(|encoder| encoder.join().unwrap()).collect()
    });
    let done = outcomes.iter().filter(|(code, _)| *code == Some(0)).count();
    let refused = outcomes
        .iter()
        .filter(|(code, text)| {
            *code == Some(6) && text.contains("is being encoded by another process")
        })
        .count();
    assert_eq!((done, refused), (1, 1), "{outcomes:#?}");
    assert_eq!(bench.run(&["verify", "film"]).0, Some(0));
}

fn check(bench: &Bench, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let config = bench.work.path().join("check.toml");
    let settings = Settings { segment_ms: SEGMENT_MS, responses_mib: 0 };
    std::fs::write(&config, origin::toml(&bench.store(HASTY), &settings)).unwrap();
    let mut command = run::command(binaries::origin());
    outcome(command.arg("check").arg("--config").arg(&config).envs(env.iter().copied()))
}

/// Every init section and segment of the title, by track and place in its playlist.
fn media(web: &Web) -> BTreeMap<(String, usize), Vec<u8>> {
    let master = Master::fetch(web, "/clear/film/master.m3u8");
    let mut bodies = BTreeMap::new();
    for playlist in master.all_media(web) {
        let paths = [vec![playlist.init_path()], playlist.segment_paths()].concat();
        for (place, path) in paths.iter().enumerate() {
            bodies.insert((playlist.track().to_owned(), place), web.body(path));
        }
    }
    bodies
}
