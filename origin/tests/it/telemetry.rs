//! Spans: what a collector is told of requests, and that requests never notice it.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headwater_config::{Config, Telemetry};
use headwater_origin::adapter::Door;
use headwater_origin::trace;
use http::Method;
use rustix::process::Signal;
use rustls::version::TLS13;

use crate::binary::{Running, config_file, outcome, segment_path};
use crate::collector::{Collector, Mode, attributes, hex, spans_of};
use crate::common::{Origin, Stored, VERSION, request};
use crate::net::{Certificates, TERMS, ask, client_config, h2_over, tls_to, until, wired_logging};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn config(stored: &Stored, telemetry: Telemetry) -> Config {
    let mut config = stored.config("");
    config.origin.telemetry = telemetry;
    config
}

/// The real binary: what the wire says of a request, in the span and, alike, in the access log.
/// Nothing is sent until the end, and then everything.
#[test]
fn a_request_is_a_span_and_a_line() {
    let stored = Stored::with_movie();
    let collector = Collector::start(&[Mode::Well]);
    let settings = format!(
        "[origin.telemetry]\nendpoint = \"http://127.0.0.1:{}/in?a=b\"\nservice_name = \"vod\"\n\
         service_instance = \"node-1\"\nsample_per_million = 1_000_000\nbatch_wait_ms = 60_000\n\
         header_secrets = [{{ name = \"authorization\", secret = \"env:OTLP_SECRET\" }}]\n",
        collector.port
    );
    let variables = [("OTLP_SECRET", "Bearer abc")];
    let mut running = Running::start_with(&stored, &settings, &variables);
    let began = SystemTime::now();
    let mut client = running.client();
    let segment = segment_path(&mut client);
    client.send(&format!(
        "GET {segment}?token=secret HTTP/1.1\r\nHost: x\r\ntraceparent: {CALLER}\r\n\
         User-Agent: player/1\r\n\r\n"
    ));
    let answer = client.read(false);
    let missing = client.ask("BREW", "/clear/none/manifest.mpd");
    assert_eq!((answer.status, missing.status), (200, 405));
    drop(client);
    assert_eq!(collector.count(), 0, "they wait for others");
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code(Duration::from_secs(15)), Some(0));

    let asked = collector.asked.lock().unwrap().clone();
    let head = asked[0].head.to_ascii_lowercase();
    for line in [
        "post /in?a=b http/1.1\r\n",
        &format!("\r\nhost: 127.0.0.1:{}\r\n", collector.port),
        "\r\ncontent-type: application/x-protobuf\r\n",
        "\r\nauthorization: bearer abc\r\n",
    ] {
        assert!(head.contains(line), "{line:?} is not in {head}");
    }
    let requests = collector.requests();
    let resource = &requests[0].resource_spans[0];
    let wanted = [
        ("service.instance.id", "node-1".to_owned()),
        ("service.name", "vod".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let said = attributes(&resource.resource.as_ref().unwrap().attributes);
    assert_eq!(said, wanted.into());
    let scope = resource.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!(scope.name, "headwater-origin");

    let spans = collector.servers(3);
    let span = spans.iter().find(|span| span.name.ends_with(".m4s")).unwrap();
    assert_eq!(span.name, "GET /{profile}/{title}/{version}/{track}/{segment}.m4s");
    assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    // Sampled, and the parent is known to be another process's.
    assert_eq!((span.kind, span.flags, span.status.as_ref()), (2, 0x301, None));
    let nanos =
        |at: SystemTime| u64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let times = [nanos(began), span.start_time_unix_nano, span.end_time_unix_nano];
    assert!(times.is_sorted() && times[2] <= nanos(SystemTime::now()), "{times:?}");
    let log = fs::read_to_string(stored.path("access.log")).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (first, line, refused) = (&lines[0], &lines[1], &lines[2]);
    let length = answer.body.len().to_string();
    let wanted = [
        ("client.address", "127.0.0.1"),
        ("headwater.cache", "miss"),
        ("headwater.kind", "segment"),
        ("headwater.request_id", &answer.request_id),
        ("headwater.title", "movie"),
        ("headwater.version", &VERSION.to_string()),
        ("http.request.method", "GET"),
        ("http.response.body.size", &length),
        ("http.response.status_code", "200"),
        ("http.route", "/{profile}/{title}/{version}/{track}/{segment}.m4s"),
        ("network.peer.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("url.path", &segment),
        ("url.scheme", "http"),
        ("user_agent.original", "player/1"),
    ];
    let wanted = wanted.map(|(name, value)| (name, value.to_owned()));
    assert_eq!(attributes(&span.attributes), wanted.into());
    assert_eq!(line["trace_id"], hex(&span.trace_id));
    assert_eq!(line["parent_id"], hex(&span.parent_span_id));
    assert_eq!(line["span_id"], hex(&span.span_id));

    // Who says nothing of a trace begins one.
    let root = spans.iter().find(|span| span.name.ends_with("master.m3u8")).unwrap();
    assert!(root.parent_span_id.is_empty() && root.flags == 0x101);
    assert_eq!(
        (&first["trace_id"], &first["span_id"]),
        (&hex(&root.trace_id).into(), &hex(&root.span_id).into())
    );
    assert_eq!(first["parent_id"], serde_json::Value::Null);

    // A client's mistake is no error of the span, and its words are no names.
    let wrong = spans.iter().find(|span| span.name == "HTTP /{profile}/{title}/manifest.mpd");
    let said = attributes(&wrong.unwrap().attributes);
    assert_eq!(
        (said["http.request.method"].as_str(), &*said["http.request.method_original"]),
        ("_OTHER", "BREW")
    );
    assert_eq!(
        (&*said["http.response.status_code"], &*said["headwater.error"]),
        ("405", refused["error"].as_str().unwrap())
    );
    assert!(!said.contains_key("error.type") && wrong.unwrap().status.is_none());
}

#[tokio::test]
async fn reads_of_the_store_stand_below_the_request_that_waits_for_them() {
    let stored = Stored::with_movie();
    let collector = Collector::start(&[Mode::Well]);
    let origin = Origin::new(&config(&stored, collector.settings()));
    let segment = format!("{}v720/2.m4s", origin.base());
    assert_eq!(origin.get(&segment).await.status, 200);
    assert_eq!(origin.get(&segment).await.status, 200, "from memory");
    fs::remove_file(stored.path(&format!("titles/movie/{VERSION}/a-en.mp4"))).unwrap();
    assert_eq!(origin.get(&format!("{}a-en/2.m4s", origin.base())).await.status, 502);
    let servers = collector.servers(3);
    let by_cache = |cache: &str, status: &str| {
        let matches = |span: &&_| {
            let span: &opentelemetry_proto::tonic::trace::v1::Span = span;
            let said = attributes(&span.attributes);
            said["headwater.cache"] == cache && said["http.response.status_code"] == status
        };
        servers.iter().find(matches).unwrap()
    };
    let reads: Vec<_> = collector.spans().into_iter().filter(|span| span.kind == 3).collect();
    let below = |server: &opentelemetry_proto::tonic::trace::v1::Span| {
        let below = reads.iter().filter(|read| read.parent_span_id == server.span_id);
        below
            .map(|read| {
                assert_eq!((read.name.as_str(), &read.trace_id), ("store read", &server.trace_id));
                assert_eq!(read.flags, 0x101, "its parent is this process's");
                assert!(read.start_time_unix_nano <= read.end_time_unix_nano);
                let said = attributes(&read.attributes);
                let came = said.get("headwater.store.bytes").is_some_and(|bytes| bytes != "0");
                let failed = said.get("error.type").cloned().unwrap_or_default();
                assert_eq!(came, read.status.is_none(), "{said:?}");
                (said["headwater.store.part"].clone(), failed)
            })
            .collect::<Vec<_>>()
    };
    let read = |part: &str, error: &str| (part.to_owned(), error.to_owned());
    let miss = by_cache("miss", "200");
    assert_eq!(below(miss), [read("heads", ""), read("media", "")]);
    assert_eq!(below(by_cache("hit", "200")), []);
    // The object is gone and the heads are looked for once more: damage, and our fault.
    let broken = by_cache("miss", "502");
    assert_eq!(below(broken), [read("media", "not_found"), read("heads", "")]);
    let said = attributes(&broken.attributes);
    assert_eq!(said["error.type"], said["headwater.error"]);
    assert_eq!(broken.status.as_ref().unwrap().code, 2, "an error");
    assert_eq!(reads.len(), 4);
}

#[test]
fn proxies_say_what_is_traced_and_chance_does_else() {
    let stored = Stored::with_movie();
    let collector = Collector::start(&[Mode::Well]);
    let sampled = |per_million, caller: Option<&str>, trusted| {
        let settings = Telemetry { sample_per_million: per_million, ..collector.settings() };
        let origin = Origin::new(&config(&stored, settings));
        let telemetry = &origin.rooms.service.books.telemetry;
        let trace = caller.and_then(trace::parse);
        (0..4_000).filter(|_| telemetry.sample(trace, trusted).is_some()).count()
    };
    let not = CALLER.replace("-01", "-00");
    for (per_million, caller, trusted, wanted) in [
        (1_000_000, None, false, 4_000..=4_000),
        (0, None, false, 0..=0),
        // 14 standard deviations.
        (250_000, None, false, 600..=1_400),
        (250_000, Some(CALLER), false, 600..=1_400),
        (0, Some(CALLER), true, 4_000..=4_000),
        (0, Some(CALLER), false, 0..=0),
        (1_000_000, Some(&*not), true, 0..=0),
        (1_000_000, Some(&*not), false, 4_000..=4_000),
    ] {
        let count = sampled(per_million, caller, trusted);
        assert!(wanted.contains(&count), "{per_million} {caller:?} {trusted}: {count}");
    }
    let off = Origin::new(&config(&stored, Telemetry::default()));
    assert_eq!(off.rooms.service.books.telemetry.sample(trace::parse(CALLER), true), None);
}

/// Requests of a trusted proxy, with and without the flag, from the header to the span.
#[tokio::test]
async fn a_proxys_flag_is_read_from_its_request() {
    let stored = Stored::with_movie();
    let collector = Collector::start(&[Mode::Well]);
    let mut config = config(&stored, Telemetry { sample_per_million: 0, ..collector.settings() });
    config.origin.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let origin = Origin::new(&config);
    for (remote, flags, title) in [
        ("10.0.0.1", "00", "a"),
        ("10.0.0.1", "01", "b"),
        ("192.0.2.1", "01", "c"),
        ("10.0.0.1", "03", "d"),
    ] {
        let caller = CALLER.replace("-01", &format!("-{flags}"));
        let path = format!("/clear/{title}/master.m3u8");
        let mut request = request(Method::GET, &path, &[("traceparent", &caller)]);
        request.remote = Some(remote.parse().unwrap());
        drop(origin.rooms.service.answer(&request, Instant::now(), SystemTime::now()).await);
    }
    origin.rooms.service.books.telemetry.finish(Duration::from_secs(20));
    let spans = collector.servers(2);
    let titles = spans.iter().map(|span| attributes(&span.attributes)["headwater.title"].clone());
    assert_eq!(titles.collect::<Vec<_>>(), ["b", "d"]);
}

/// While the collector says nothing at all, every request is answered; what waits is bounded.
#[tokio::test]
async fn a_silent_collector_costs_spans_and_no_request() {
    let stored = Stored::with_movie();
    let collector = Collector::start(&[Mode::Silent]);
    let settings =
        Telemetry { queue_spans: 20, batch_spans: 5, timeout_ms: 60_000, ..collector.settings() };
    let origin = Origin::new(&config(&stored, settings));
    origin.get("/healthz").await;
    until("the first batch", || collector.count() == 1);
    for _ in 0..500 {
        assert_eq!(origin.get("/healthz").await.status, 200);
    }
    assert_eq!(collector.count(), 1, "it still holds the first request");
    assert_eq!(spans_of(&origin, "queue_full"), 500 - 20);
    let began = Instant::now();
    origin.rooms.service.books.telemetry.finish(Duration::from_millis(200));
    assert!(began.elapsed() < Duration::from_secs(30), "the end waits for no answer");
}

#[tokio::test]
async fn what_a_collector_can_do_wrong_is_counted() {
    let stored = Stored::with_movie();
    // What it does, then what becomes of 10 spans: exported, refused, failed; times it is asked.
    let table: &[(&[Mode], [u64; 3], usize)] = &[
        (&[Mode::Well], [10, 0, 0], 1),
        (&[Mode::Rejects(3)], [7, 3, 0], 1),
        (&[Mode::Rejects(i64::MAX)], [0, 10, 0], 1),
        (&[Mode::Says(400, "")], [0, 10, 0], 1),
        (&[Mode::Says(500, "")], [0, 10, 0], 1),
        (&[Mode::Says(302, "location: http://127.0.0.1:1/\r\n")], [0, 10, 0], 1),
        (&[Mode::Page(b"<html>Hello</html>")], [0, 10, 0], 1),
        (&[Mode::Endless], [0, 10, 0], 1),
        (&[Mode::Says(503, "retry-after: 0\r\n"), Mode::Well], [10, 0, 0], 2),
        (&[Mode::Says(429, ""), Mode::Well], [10, 0, 0], 2),
        (&[Mode::Hangs, Mode::Well], [10, 0, 0], 2),
        (&[Mode::Says(502, "retry-after: 0\r\n")], [0, 0, 10], 4),
    ];
    for (modes, wanted, asked) in table {
        let collector = Collector::start(modes);
        let settings = Telemetry { batch_spans: 10, batch_wait_ms: 60_000, ..collector.settings() };
        let origin = Origin::new(&config(&stored, settings));
        for _ in 0..10 {
            assert_eq!(origin.get("/healthz").await.status, 200, "{modes:?}");
        }
        let outcomes = || ["exported", "refused", "failed"].map(|o| spans_of(&origin, o));
        until("all are accounted for", || outcomes().iter().sum::<u64>() == 10);
        assert_eq!((outcomes(), collector.count()), (*wanted, *asked), "{modes:?}");
    }
}

/// A slow collector, one that is down and is well again: nobody's request fails, and later spans
/// arrive.
#[tokio::test]
async fn a_collector_that_comes_back_gets_what_comes_then() {
    let stored = Stored::with_movie();
    let collector = Collector::start(&[Mode::Silent]);
    let settings = Telemetry { batch_spans: 1, timeout_ms: 100, ..collector.settings() };
    let origin = Origin::new(&config(&stored, settings));
    assert_eq!(origin.get("/healthz").await.status, 200);
    until("it is asked again", || collector.count() == 2);
    collector.be(Mode::Well);
    assert_eq!(origin.get("/readyz").await.status, 200);
    // /readyz reads the store, too.
    until("all are there", || spans_of(&origin, "exported") == 3);
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert!(names.contains(&"GET /readyz".to_owned()), "{names:?}");

    // Nobody listens there.
    let port = TcpStream::connect(("127.0.0.1", collector.port)).unwrap().local_addr().unwrap();
    let endpoint = format!("http://{port}/v1/traces").parse().unwrap();
    let settings = Telemetry { endpoint: Some(endpoint), ..collector.settings() };
    let origin = Origin::new(&config(&stored, settings));
    for _ in 0..10 {
        assert_eq!(origin.get("/healthz").await.status, 200);
    }
    origin.rooms.service.books.telemetry.finish(Duration::from_secs(20));
    assert_eq!(spans_of(&origin, "failed"), 10);
}

#[test]
fn over_tls_both_ways_and_http_2() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let a = files.write("a", &["a.example"], 90);
    let theirs = files.write("collector", &["localhost"], 90);
    let strangers = files.write("stranger", &["localhost"], 90);
    let collector = Collector::over_tls(&theirs);
    let endpoint = format!("https://localhost:{}/v1/traces", collector.port);
    let settings = |ca_file: &std::path::Path| Telemetry {
        endpoint: Some(endpoint.parse().unwrap()),
        ca_file: ca_file.to_owned(),
        ..collector.settings()
    };
    let door = Door { proxy: false, tls: true };
    let tls =
        headwater_config::Tls { certificates: vec![a.clone()], ..headwater_config::Tls::default() };
    let config_of = |ca| config(&stored, settings(ca));
    let wired = wired_logging(&config_of(&theirs.cert), TERMS, door, Some(&tls));
    wired.runtime.block_on(async {
        let believes = client_config(&[&a], &["h2"], &[&TLS13]);
        let client = h2_over(tls_to(wired.address, &believes, "a.example").await.unwrap()).await;
        assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
    });
    let said = attributes(&collector.servers(1)[0].attributes)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>();
    for wanted in ["url.scheme=https", "network.protocol.version=2", "http.route=/healthz"] {
        assert!(said.contains(&wanted.to_owned()), "{wanted} is not in {said:?}");
    }

    // A collector that shows somebody else's certificate is told nothing.
    let origin = Origin::new(&config_of(&strangers.cert));
    wired.runtime.block_on(origin.get("/healthz"));
    origin.rooms.service.books.telemetry.finish(Duration::from_secs(20));
    assert_eq!((spans_of(&origin, "failed"), collector.count()), (1, 1));
}

#[test]
fn what_is_not_ready_is_said_before_and_at_a_start() {
    let stored = Stored::with_movie();
    let telemetry = "[origin.telemetry]\nendpoint = \"https://127.0.0.1:1/v1/traces\"\n";
    for (more, wanted) in [
        (
            "header_secrets = [{ name = \"x-a\", secret = \"env:NO_SUCH_SECRET\" }]\n",
            "`origin.telemetry.header_secrets`: env:NO_SUCH_SECRET",
        ),
        ("ca_file = \"/no/such/file\"\n", "`origin.telemetry.ca_file`: /no/such/file cannot be"),
    ] {
        let config = config_file(&stored, &format!("{telemetry}{more}"));
        let (code, stdout, _) = outcome(&["check", "--config", &config]);
        assert!(code == Some(1) && stdout.contains(&format!("error: {wanted}")), "{stdout}");
        let (code, _, stderr) = outcome(&["--config", &config]);
        assert!(code == Some(1) && stderr.contains(wanted), "{stderr}");
    }
}
