//! The failure table on S3: what happens on the way, what is answered, and that it passes.

use headwater_tests::origin::Origin;
use headwater_tests::s3_proxy::{Fault, Kind};
use headwater_tests::web::Answer;

use crate::common::{Bench, HASTY, Wanted, names};

type Row = (u16, &'static str);

const DOWN: Row = (503, "store_unavailable");
const DENIED: Row = (503, "store_denied");
const BUSY: Row = (503, "store_throttled");
const SLOW: Row = (504, "store_timeout");
const DAMAGED: Row = (502, "source_damaged");
const UNKNOWN: Row = (404, "unknown_title");

/// What happens, and the row for it in the pointer, in heads, in media.
const TABLE: &[(&str, Fault, [Row; 3])] = &[
    ("reset", Fault::Reset, [DOWN; 3]),
    ("the answer is lost", Fault::LoseAnswer, [DOWN; 3]),
    ("the first byte is late", Fault::Late(5_000), [SLOW; 3]),
    ("the body stops", Fault::Stall(400), [SLOW; 3]),
    ("the body drips", Fault::Drip, [SLOW; 3]),
    ("the body is cut", Fault::Cut(400), [DOWN; 3]),
    ("wrong bytes", Fault::Flip(700), [DAMAGED; 3]),
    ("403", Fault::Status(403, "AccessDenied"), [DENIED; 3]),
    ("the clocks differ", Fault::Status(403, "RequestTimeTooSkewed"), [DENIED; 3]),
    ("a wrong signature", Fault::Status(403, "SignatureDoesNotMatch"), [DENIED; 3]),
    ("404", Fault::Status(404, "NoSuchKey"), [UNKNOWN, DAMAGED, DAMAGED]),
    ("no bucket", Fault::Status(404, "NoSuchBucket"), [DOWN; 3]),
    ("a 404 of somebody else", Fault::Status(404, ""), [DOWN; 3]),
    ("429", Fault::Status(429, "TooManyRequests"), [BUSY; 3]),
    ("500", Fault::Status(500, "InternalError"), [DOWN; 3]),
    ("503", Fault::Status(503, "ServiceUnavailable"), [DOWN; 3]),
    ("slow down", Fault::Status(503, "SlowDown"), [BUSY; 3]),
];

#[test]
fn each_fault_has_its_row_and_passes() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    // Rows run side by side: each waits for its own time limits.
    std::thread::scope(|scope| {
        for chunk in TABLE.chunks(TABLE.len().div_ceil(4)) {
            let (title, wanted) = (bench.title, &wanted);
            let server = &bench.server;
            scope.spawn(move || {
                for (name, fault, rows) in chunk {
                    let proxy = headwater_tests::s3_proxy::Proxy::start(server.address());
                    let bench = Lane { title, proxy, wanted };
                    bench.try_row(name, *fault, rows);
                }
            });
        }
    });
}

/// A proxy of its own for each row.
struct Lane<'a> {
    title: &'static headwater_tests::titles::Title,
    proxy: headwater_tests::s3_proxy::Proxy,
    wanted: &'a Wanted,
}

impl Lane<'_> {
    fn try_row(&self, name: &str, fault: Fault, rows: &[Row; 3]) {
        let mut origin = self.origin();
        origin.wait_until_ready();
        let master = self.title.master();
        let (segment, body) = self.wanted.segments.first_key_value().unwrap();
        let parts: [(&'static str, &String); 3] =
            [("title.json", &master), ("heads.bin", &master), ("media", segment)];
        for ((object, path), row) in parts.into_iter().zip(rows) {
            self.proxy.inject(move |asked| {
                let hit = match object {
                    "media" => asked.kind == Kind::Range,
                    name => names(asked, name),
                };
                if hit { fault } else { Fault::Pass }
            });
            let answer = origin.web().get(path);
            self.is_row(&format!("{name}, {object}"), &answer, *row, &origin);
        }
        self.proxy.heal();
        let path = format!("{name}, after it: ");
        assert!(origin.web().get(&master).body == self.wanted.manifests[&master], "{path}{master}");
        let answer = origin.web().get(segment);
        assert_eq!(answer.status, 200, "{path}{}", origin.log());
        assert!(answer.body == *body, "{path}{segment}: other bytes");
    }

    fn origin(&self) -> Origin {
        use headwater_tests::{origin, s3};
        let settings =
            origin::Settings { segment_ms: crate::common::SEGMENT_MS, responses_mib: 64 };
        let store = s3::settings(self.proxy.address(), HASTY);
        Origin::launch(&(origin::toml(&store, &settings) + READS), &s3::env())
    }

    fn is_row(&self, what: &str, answer: &Answer, (status, error): Row, origin: &Origin) {
        let got = (answer.status, answer.error());
        assert_eq!(got, (status, error.to_owned()), "{what}\n{}", origin.log());
        let kept = answer.header("cache-control");
        if status == 404 {
            assert_eq!(kept, Some("public, max-age=2"), "{what}");
        } else {
            assert_eq!(kept, Some("no-store"), "{what}");
        }
        let again = answer.header("retry-after").is_some();
        assert_eq!(again, matches!(status, 503 | 504), "{what}: Retry-After");
        assert_eq!(answer.header("etag"), None, "{what}");
    }
}

const READS: &str = "[origin.store]\nread_timeout_ms = 3000\n";

#[test]
fn a_store_that_is_gone_is_a_503_and_its_return_is_noticed() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let mut origin = bench.origin(HASTY, 64, READS);
    origin.wait_until_ready();
    let mut segments = wanted.segments.iter();
    let (warm, warm_body) = segments.next().unwrap();
    let (cold, cold_body) = segments.next().unwrap();
    assert!(origin.web().body(warm) == *warm_body);
    assert_eq!(origin.web().get(&bench.title.master()).status, 200);
    bench.proxy.refuse();
    let answer = origin.web().get(cold);
    assert_eq!((answer.status, answer.error()), (503, "store_unavailable".to_owned()));
    assert!(origin.web().body(warm) == *warm_body, "what is in memory goes on");
    assert_eq!(origin.web().get(&bench.title.master()).status, 200, "with the last pointer");
    assert_eq!(origin.web().get("/clear/other/master.m3u8").status, 503, "not: no such title");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(origin.web().get("/readyz").status, 503);
    bench.proxy.heal();
    assert!(origin.web().body(cold) == *cold_body);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(origin.web().get("/readyz").status, 200);
}

#[test]
fn what_happens_once_is_not_seen_by_players() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let once = [
        Fault::Reset,
        Fault::LoseAnswer,
        Fault::Late(1_000),
        Fault::Stall(300),
        Fault::Cut(700),
        Fault::Cut(0),
        Fault::Status(500, "InternalError"),
        Fault::Status(503, "SlowDown"),
        Fault::Status(503, "ServiceUnavailable"),
    ];
    let mut origin = bench.origin(HASTY, 64, "[origin.store]\nread_timeout_ms = 8000\n");
    origin.wait_until_ready();
    for (fault, (path, body)) in once.into_iter().zip(&wanted.segments) {
        let mut first = true;
        bench.proxy.inject(move |asked| {
            let hit = asked.kind == Kind::Range && std::mem::take(&mut first);
            if hit { fault } else { Fault::Pass }
        });
        bench.proxy.taken();
        let answer = origin.web().get(path);
        assert_eq!(answer.status, 200, "{fault:?}: {}", origin.log());
        assert!(answer.body == *body, "{fault:?}: other bytes");
        let reads = bench.proxy.taken().iter().filter(|a| a.kind == Kind::Range).count();
        assert_eq!(reads, 2, "{fault:?}: asked for once more");
    }
}

#[test]
fn an_answer_that_is_no_part_of_the_object_is_refused() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let mut origin = bench.origin(HASTY, 64, READS);
    origin.wait_until_ready();
    let (path, _) = wanted.segments.first_key_value().unwrap();
    bench.proxy.inject(|a| if a.kind == Kind::Range { Fault::NoRange } else { Fault::Pass });
    let answer = origin.web().get(path);
    assert_eq!((answer.status, answer.error()), (503, "store_unavailable".to_owned()));
    assert!(origin.log().contains("answers with no range"), "{}", origin.log());
}

#[test]
fn an_object_that_is_too_short_is_damage_with_its_place_in_the_log() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let mut origin = bench.origin(HASTY, 64, READS);
    origin.wait_until_ready();
    let on_server =
        headwater_tests::titles::Title { store: bench.server.folder(), ..bench.title.clone() };
    let path = wanted.segments.keys().rfind(|path| path.contains("/v144/")).unwrap();
    let file = on_server.track_file("v144");
    let bytes = std::fs::read(&file).unwrap();
    for keep in [bytes.len() - 1, 100] {
        std::fs::write(&file, &bytes[..keep]).unwrap();
        let answer = origin.web().get(path);
        assert_eq!((answer.status, answer.error()), (502, "source_damaged".to_owned()));
        assert!(origin.log().contains("the object has"), "{}", origin.log());
    }
    std::fs::write(&file, &bytes).unwrap();
    assert!(origin.web().body(path) == wanted.segments[path]);
}

#[test]
fn no_credential_is_ever_logged() {
    use headwater_tests::s3;
    const TOKEN: &str = "thisSessionTokenMustNotBeLoggedEither";
    let bench = Bench::new();
    let store = s3::settings(bench.proxy.address(), HASTY);
    let settings = headwater_tests::origin::Settings::default();
    let toml = headwater_tests::origin::toml(&store, &settings);
    let more = [("HEADWATER_ORIGIN__LOG_LEVEL", "trace"), ("AWS_SESSION_TOKEN", TOKEN)];
    let env: Vec<_> = s3::env().into_iter().chain(more).collect();
    let origin = Origin::launch(&toml, &env);
    let master = bench.title.master();
    for fault in [Fault::Pass, Fault::Reset, Fault::Status(403, "SignatureDoesNotMatch")] {
        bench.proxy.inject(move |_| fault);
        origin.web().get(&master);
        origin.web().get("/clear/other/master.m3u8");
    }
    let log = origin.log();
    assert!(log.contains("store_denied"), "{log}");
    for secret in [s3::SECRET_KEY, s3::ACCESS_KEY, TOKEN, "Signature="] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
}
