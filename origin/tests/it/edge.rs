//! What proxies and CDNs are told, and what is believed of them.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use headwater_config::{Config, CorsOrigins};
use headwater_origin::failure::Failure;
use http::Method;

use crate::common::{Origin, Seen, Stored, VERSION, request};

/// Header fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

const LIVE: &str = "/clear/movie/master.m3u8";

fn gunzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

async fn get_gzip(origin: &Origin, path: &str) -> Seen {
    origin.ask(Method::GET, path, &[("accept-encoding", "gzip, br")]).await
}

#[tokio::test]
async fn texts_come_as_gzip_with_a_tag_and_ranges_of_their_own() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let base = origin.base();
    let long = format!("{base}v720/iframes.m3u8");
    for path in [LIVE, "/clear/movie/manifest.mpd", &long, &format!("{base}manifest.mpd")] {
        let coded = get_gzip(&origin, path).await;
        let plain = origin.get(path).await;
        assert_eq!(coded.header("content-encoding"), "gzip", "{path}");
        assert!(coded.body.len() < plain.body.len() && gunzipped(&coded.body) == plain.body);
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let (coded_tag, plain_tag) = (coded.header("etag"), plain.header("etag"));
        assert_ne!(coded_tag, plain_tag, "{path}");
        for seen in [&coded, &plain] {
            assert_eq!(seen.header("vary"), "accept-encoding", "{path}");
            assert_eq!(seen.header("content-type"), plain.header("content-type"), "{path}");
        }
        // tag, accepted, status
        for (tag, accepted, status) in [
            (coded_tag, "gzip", 304),
            (coded_tag, "identity", 200),
            (plain_tag, "gzip", 200),
            (plain_tag, "gzip;q=0", 304),
        ] {
            let fields = [("if-none-match", tag), ("accept-encoding", accepted)];
            let seen = origin.ask(Method::GET, path, &fields).await;
            assert_eq!(seen.status, status, "{path} {fields:?}");
            assert_eq!(seen.header("vary"), "accept-encoding", "{path} {fields:?}");
        }
        let fields = [("range", "bytes=3-9"), ("accept-encoding", "gzip"), ("if-range", coded_tag)];
        let part = origin.ask(Method::GET, path, &fields).await;
        assert_eq!((part.status, &part.body[..]), (206, &coded.body[3..10]), "{path}");
        assert_eq!(part.header("content-encoding"), "gzip", "{path}");
        let wanted = format!("bytes 3-9/{}", coded.body.len());
        assert_eq!(part.header("content-range"), wanted, "{path}");
        let fields = [("range", "bytes=3-9"), ("accept-encoding", "gzip"), ("if-range", plain_tag)];
        let whole = origin.ask(Method::GET, path, &fields).await;
        assert!(whole.status == 200 && whole.body == coded.body, "{path}: other bytes");
        let head = origin.ask(Method::HEAD, path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(head.header("content-length"), coded.body.len().to_string(), "{path}");
        assert_eq!(head.header("etag"), coded_tag, "{path}");
    }
}

#[tokio::test]
async fn media_and_small_texts_are_never_coded() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let base = origin.base();
    for path in [format!("{base}v720/1.m4s"), format!("{base}v720/init.mp4"), "/healthz".into()] {
        let seen = get_gzip(&origin, &path).await;
        assert_eq!((seen.header("content-encoding"), seen.header("vary")), ("", ""), "{path}");
    }
    // 220 bytes.
    let list = get_gzip(&origin, "/titles.json").await;
    assert_eq!((list.header("content-encoding"), list.header("vary")), ("", "accept-encoding"));
    let mut config = stored.config("");
    config.origin.gzip = false;
    let seen = get_gzip(&Origin::new(&config), LIVE).await;
    assert_eq!((seen.header("content-encoding"), seen.header("vary")), ("", ""));
}

#[tokio::test]
async fn both_codings_are_one_entry_made_once() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let plain = origin.get(LIVE).await;
    origin.rooms.service.cache.measure().await;
    let (entries, before) = gauges(&origin);
    let mut coded_bytes = 0;
    for _ in 0..3 {
        coded_bytes = get_gzip(&origin, LIVE).await.body.len();
    }
    origin.rooms.service.cache.measure().await;
    let (entries_after, after) = gauges(&origin);
    assert_eq!((entries, entries_after), (1, 1));
    let grown = usize::try_from(after - before).unwrap();
    assert!((coded_bytes..coded_bytes + 200).contains(&grown), "{coded_bytes}: {before} {after}");
    assert_eq!(origin.counted("cache_fills_total{outcome=\"kept\"}"), 1);
    assert_eq!(origin.get(LIVE).await, plain);
}

fn gauges(origin: &Origin) -> (i64, i64) {
    (origin.metrics().cache_entries.get(), origin.metrics().cache_bytes.get())
}

#[tokio::test]
async fn cache_status_says_what_the_cache_did() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    config.origin.name = "edge-7.example".to_owned().try_into().unwrap();
    let origin = Origin::new(&config);
    let segment = format!("{}v720/1.m4s", origin.base());
    let beyond = [("range", "bytes=99999999-")];
    // method, path, fields, what it says after the name
    let (get, head) = (Method::GET, Method::HEAD);
    let steps: &[(&Method, &str, Fields<'_>, &str)] = &[
        (&head, &segment, &[], ""),
        (&get, &segment, &[], "fwd=uri-miss; stored"),
        (&get, &segment, &[], "hit"),
        (&head, &segment, &[], "hit"),
        (&get, &segment, &[("range", "bytes=0-9")], "hit"),
        (&get, &segment, &[("if-none-match", "*")], "hit"),
        (&get, &segment, &beyond, ""),
        (&get, LIVE, &[], "fwd=uri-miss; stored"),
        (&get, LIVE, &[("accept-encoding", "gzip")], "hit"),
        (&get, "/titles.json", &[], ""),
        (&get, "/clear/none/master.m3u8", &[], ""),
        (&Method::OPTIONS, &segment, &[], ""),
    ];
    for (method, path, fields, wanted) in steps {
        let seen = origin.ask((*method).clone(), path, fields).await;
        let wanted = match *wanted {
            "" => String::new(),
            wanted => format!("edge-7.example; {wanted}"),
        };
        assert_eq!(seen.cache_status, wanted, "{method} {path} {fields:?}");
        assert_eq!(seen.header("age"), "", "what was made here has no age");
    }
    config.origin.cache.responses_mib = 0;
    let origin = Origin::new(&config);
    let seen = origin.get(LIVE).await;
    assert_eq!(seen.cache_status, "edge-7.example; fwd=uri-miss", "nothing is kept");
}

#[tokio::test]
async fn who_waits_for_anothers_fill_is_told_so() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let path = format!("{}v720/1.m4s", origin.base());
    let asks = (0..20).map(|_| {
        let (service, path) = (Arc::clone(&origin.rooms.service), path.clone());
        async move {
            let request = request(Method::GET, &path, &[]);
            let answer = service.answer(&request, Instant::now(), SystemTime::now()).await;
            answer.headers["cache-status"].to_str().unwrap().to_owned()
        }
    });
    let mut said = futures_util::future::join_all(asks).await;
    said.sort_unstable();
    assert_eq!(said[0], "headwater; fwd=uri-miss; stored");
    assert!(said[1..].iter().all(|said| said == "headwater; fwd=uri-miss; stored; collapsed"));
}

fn with_profile(stored: &Stored, more: &str) -> Config {
    stored.config(&format!("[profiles.clear]\n{more}"))
}

#[tokio::test]
async fn cdns_have_lifetimes_of_their_own_for_what_changes() {
    let stored = Stored::with_movie();
    let more = "cdn_cache_control = true\nmanifest_max_age_s = 0\nmanifest_stale_s = 1\n\
                cdn_manifest_max_age_s = 30\ncdn_manifest_stale_s = 600\n";
    let origin = Origin::new(&with_profile(&stored, more));
    let base = origin.base();
    for path in [LIVE.to_owned(), format!("{base}v720/index.m3u8"), format!("{base}manifest.mpd")] {
        for fields in [&[][..], &[("if-none-match", "*")]] {
            let seen = origin.ask(Method::GET, &path, fields).await;
            let said = (seen.header("cache-control"), seen.header("cdn-cache-control"));
            let wanted = (
                "public, max-age=0, stale-while-revalidate=1",
                "public, max-age=30, stale-while-revalidate=600",
            );
            assert_eq!(said, wanted, "{path} {fields:?}");
        }
    }
    for path in [format!("{base}v720/1.m4s"), "/clear/none/master.m3u8".into(), "/".into()] {
        let seen = origin.get(&path).await;
        assert_eq!(seen.header("cdn-cache-control"), "", "{path}: Cache-Control says it all");
    }
    let off = stored.origin().get(LIVE).await;
    assert_eq!(off.header("cdn-cache-control"), "");
}

#[tokio::test]
async fn what_belongs_to_a_version_can_be_purged_by_name() {
    let stored = Stored::with_movie();
    let mut config = stored.config("origin.cache_tags = [\"cache-tag\", \"surrogate-key\"]\n");
    let origin = Origin::new(&config);
    let base = origin.base();
    let tags = format!("title-movie,version-{VERSION},profile-clear");
    let files = ["master.m3u8", "v720/index.m3u8", "v720/init.mp4", "v720/1.m4s", "v720/2.m4s"];
    let paths = files.map(|file| format!("{base}{file}"));
    for path in paths.iter().map(String::as_str).chain([LIVE]) {
        let head = origin.ask(Method::HEAD, path, &[]).await;
        let gzip = get_gzip(&origin, path).await;
        for seen in [head, origin.get(path).await, gzip] {
            assert_eq!(seen.header("cache-tag"), tags, "{path}");
            assert_eq!(seen.header("surrogate-key"), tags.replace(',', " "), "{path}");
            assert_eq!(seen.header("edge-cache-tag"), "", "{path}");
        }
    }
    assert_eq!(origin.get("/titles.json").await.header("cache-tag"), "");
    config.origin.cache_tags.clear();
    assert_eq!(Origin::new(&config).get(LIVE).await.header("cache-tag"), "");
}

#[tokio::test]
async fn a_request_that_was_here_before_is_refused() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let ask = async |method: Method, path: &str, passed: &str| {
        origin.ask(method, path, &[("cdn-loop", passed)]).await
    };
    for path in [LIVE, "/healthz", "/"] {
        let refused = ask(Method::GET, path, "a.example, headwater; x=\"1\"").await;
        assert_eq!((refused.status, refused.error().as_str()), (508, "loop_detected"), "{path}");
        assert_eq!(refused.header("cache-control"), "no-store");
        assert_eq!(ask(Method::OPTIONS, path, "headwater").await.status, 508, "{path}");
        assert_eq!(ask(Method::GET, path, "a.example, b.example").await.status, 200, "{path}");
    }
    assert_eq!(Failure::LoopDetected.row().status, 508);
}

#[tokio::test]
async fn without_pages_no_answer_speaks_of_them() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    for profile in config.profiles.values_mut() {
        profile.cors_origins = CorsOrigins::Listed(Vec::new());
    }
    let origin = Origin::new(&config);
    let from_page = [("origin", "https://a.example")];
    for (method, path) in
        [(Method::GET, LIVE), (Method::OPTIONS, LIVE), (Method::GET, "/clear/x/y")]
    {
        let seen = origin.ask(method.clone(), path, &from_page).await;
        let said: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
        let of_pages =
            |name: &str| name.starts_with("access-control") || name.starts_with("timing");
        assert!(!said.iter().copied().any(of_pages), "{method} {path}: {said:?}");
    }
    assert_eq!(origin.ask(Method::GET, LIVE, &from_page).await.header("vary"), "accept-encoding");
    let open = stored.origin();
    assert_eq!(open.get(LIVE).await.header("timing-allow-origin"), "*");
    let preflight = open.ask(Method::OPTIONS, LIVE, &from_page).await;
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        "*, Authorization, Content-Type, Range"
    );
    assert_eq!(preflight.header("access-control-max-age"), "86400");
    assert_eq!(preflight.header("timing-allow-origin"), "");
}

/// Lines of the access log after these requests, each by who is connected and with its header.
async fn logged(more: &str, asks: &[(&str, Fields<'_>)]) -> Vec<(serde_json::Value, Seen)> {
    let stored = Stored::with_movie();
    let mut config = stored.config(more);
    let log = stored.folder.path().join("access.log");
    config.origin.access_log = headwater_config::AccessLog::File(log.clone());
    let origin = Origin::new(&config);
    let mut seen = Vec::new();
    for (remote, fields) in asks {
        let mut request = request(Method::GET, LIVE, fields);
        request.remote = remote.parse().ok();
        let service = &origin.rooms.service;
        let answer = service.answer(&request, Instant::now(), SystemTime::now()).await;
        seen.push(Seen::of(answer));
    }
    origin.rooms.service.books.access_log.finish(Duration::from_secs(20));
    let lines = std::fs::read_to_string(log).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.zip(seen).collect()
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asked_and_a_stranger_does_not() {
    let said: Fields<'_> = &[
        ("x-forwarded-for", "1.1.1.1, 203.0.113.7"),
        ("x-request-id", "abc-1"),
        ("forwarded", "for=9.9.9.9"),
    ];
    let trusting = "origin.trusted_proxies = [\"10.0.0.0/8\"]\n";
    let asks = [("10.1.2.3", said), ("198.51.100.9", said), ("10.1.2.3", &[])];
    let lines = logged(trusting, &asks).await;
    let clients: Vec<_> = lines.iter().map(|(line, _)| line["client"].as_str().unwrap()).collect();
    assert_eq!(clients, ["203.0.113.7", "198.51.100.9", "10.1.2.3"]);
    let remotes: Vec<_> = lines.iter().map(|(line, _)| line["remote"].as_str().unwrap()).collect();
    assert_eq!(remotes, ["10.1.2.3", "198.51.100.9", "10.1.2.3"]);
    assert_eq!(lines[0].1.request_id, "abc-1");
    for (line, seen) in &lines {
        assert_eq!(
            line["request_id"],
            seen.request_id.as_str(),
            "the answer carries what is logged"
        );
    }
    for (_, seen) in &lines[1..] {
        assert_eq!(seen.request_id.len(), 32, "{}", seen.request_id);
    }
    assert_ne!(lines[1].1.request_id, lines[2].1.request_id);
    let standard = format!("{trusting}origin.forwarded_header = \"forwarded\"\n");
    let lines = logged(&standard, &asks[..1]).await;
    assert_eq!(lines[0].0["client"], "9.9.9.9");
    let lines = logged("", &asks[..1]).await;
    assert_eq!(lines[0].0["client"], "10.1.2.3", "nobody is trusted by default");
}

#[tokio::test]
async fn a_trace_goes_into_the_log() {
    let traced: Fields<'_> =
        &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let wrong: Fields<'_> = &[("traceparent", "00-4bf92f35-00f067aa0ba902b7-01")];
    let lines = logged("", &[("192.0.2.1", traced), ("192.0.2.1", wrong)]).await;
    let (line, untraced) = (&lines[0].0, &lines[1].0);
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["parent_id"], "00f067aa0ba902b7");
    assert!(untraced.get("trace_id").is_none() && untraced.get("parent_id").is_none());
}
