//! A profile that wants a token with every request: by each carrier, before any cache, and with
//! nothing of the token in caches and logs.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use headwater_config::Config;
use headwater_origin::access::base64url;
use http::Method;

use crate::collector::{self, Collector, Mode};
use crate::common::{Origin, Seen, Stored, VERSION, request};
use crate::tokens::issue::{K1, compact_with, raw};

/// Header fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// `main` wants tokens, `edge` the CDN's secret; `vip` takes the tokens of a key that is another.
fn config(stored: &Stored, more: &str) -> Config {
    let digits: String = K1.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(stored.path("k1"), digits).unwrap();
    fs::write(stored.path("k2"), "ab".repeat(32)).unwrap();
    fs::write(stored.path("cdn"), "the-secret-of-the-cdn").unwrap();
    let file = |name: &str| format!("file:{}", stored.path(name).display());
    let config = stored.config(&format!(
        r#"
        {more}
        [origin.tokens]
        keys = [{{ id = "k1", secret = "{}" }}, {{ id = "k2", secret = "{}" }}]
        audience = "headwater"
        [profiles.main]
        cors_origins = ["https://shop.example"]
        [profiles.main.access]
        enforced_by = "origin"
        [profiles.vip.access]
        enforced_by = "origin"
        token_keys = ["k2"]
        [profiles.edge.access]
        enforced_by = "cdn"
        cdn_secrets = ["{}"]
        "#,
        file("k1"),
        file("k2"),
        file("cdn"),
    ));
    assert_eq!(config.check().len(), 0);
    config
}

/// A token that ends at a second of 1970, opened before it.
fn until(expires_s: u64, claims: &[(u8, &[u8])]) -> String {
    let expires = expires_s.to_be_bytes();
    let mut claims = claims.to_vec();
    claims.push((8, &expires));
    claims.sort_by_key(|(tag, _)| *tag);
    base64url::encode(&raw(1, "k1", &claims, K1))
}

fn paths(origin: &Origin) -> Vec<String> {
    let base = format!("/main/movie/{VERSION}.{}", origin.rev("main"));
    let bound = ["master.m3u8", "manifest.mpd", "v720/index.m3u8", "v720/init.mp4", "v720/1.m4s"];
    let bound = bound.iter().map(|file| format!("{base}/{file}"));
    bound.chain(["/main/movie/master.m3u8".to_owned()]).collect()
}

#[tokio::test]
async fn every_carrier_opens_and_nothing_else_does() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, ""));
    let token = compact_with(&[(3, b"/main/movie/")]);
    let cookie = format!("a=b; headwater-token={token}");
    let bearer = format!("Bearer {token}");
    let other = compact_with(&[(3, b"/main/mov")]);
    for _ in ["cold", "warm"] {
        for path in paths(&origin) {
            let by_path = format!("/~{token}{path}");
            let by_query = format!("{path}?token={token}");
            let good: [(&str, Fields<'_>); 4] = [
                (&by_path, &[]),
                (&by_query, &[]),
                (&path, &[("cookie", &cookie)]),
                (&path, &[("authorization", &bearer)]),
            ];
            let mut bodies = Vec::new();
            for (target, fields) in good {
                let served = origin.ask(Method::GET, target, fields).await;
                assert_eq!(served.status, 200, "{target}");
                assert!(served.header("cache-control").starts_with("private, "), "{target}");
                bodies.push((served.header("etag").to_owned(), served.body));
            }
            assert!(bodies.iter().all(|body| *body == bodies[0]), "{path}: the same for everybody");
            let by_other = format!("/~{other}{path}");
            let both = format!("/~{token}{path}?token={token}");
            let broken = format!("/~{token}x{path}");
            let bad: [(&str, Fields<'_>, u16, &str); 5] = [
                (&path, &[], 401, "token_missing"),
                (&by_other, &[], 403, "not_permitted"),
                (&both, &[], 401, "token_invalid"),
                (&broken, &[], 401, "token_invalid"),
                (&by_path, &[("authorization", &bearer)], 401, "token_invalid"),
            ];
            for (target, fields, status, error) in bad {
                let hits = origin.metrics().cache_lookups.with_label_values(&["hit"]).get();
                let refused = origin.ask(Method::GET, target, fields).await;
                assert_eq!((refused.status, refused.error().as_str()), (status, error), "{target}");
                assert_eq!(refused.header("cache-control"), "no-store");
                let challenge = if status == 401 { "Bearer" } else { "" };
                assert_eq!(refused.header("www-authenticate"), challenge);
                let after = origin.metrics().cache_lookups.with_label_values(&["hit"]).get();
                assert_eq!(after, hits, "{target}: refused before the cache is asked");
            }
        }
    }
    let counted = |reason| origin.counted(&format!("refusals_total{{reason=\"{reason}\"}}"));
    let each = 2 * u64::try_from(paths(&origin).len()).unwrap();
    assert_eq!(counted("token_missing"), each);
    assert_eq!(counted("path_refused"), each);
    assert_eq!(counted("two_tokens"), each * 2);
    assert_eq!(counted("token_malformed") + counted("signature_wrong"), each);
}

#[tokio::test]
async fn a_thousand_tokens_are_one_entry_and_one_read() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, ""));
    let segment = paths(&origin).into_iter().find(|path| path.ends_with("1.m4s")).unwrap();
    for n in 0..1_000u32 {
        let session = format!("viewer-{n}");
        let token = compact_with(&[(128, session.as_bytes())]);
        let target = match n % 2 {
            0 => format!("/~{token}{segment}"),
            _ => format!("{segment}?token={token}"),
        };
        assert_eq!(origin.get(&target).await.status, 200);
    }
    assert_eq!(origin.counted("store_reads_total{part=\"media\"}"), 1);
    assert_eq!(origin.counted("cache_fills_total{outcome=\"kept\"}"), 1);
}

#[tokio::test]
async fn a_token_ends_while_everything_is_warm() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, ""));
    let token = until(100, &[]);
    for path in paths(&origin) {
        for (at_s, status, error) in [(99, 200, ""), (109, 200, ""), (110, 401, "token_expired")] {
            let request = request(Method::GET, &format!("/~{token}{path}"), &[]);
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at_s);
            let answer = origin.rooms.service.answer(&request, Instant::now(), at).await;
            let seen = Seen::of(answer);
            assert_eq!((seen.status, seen.error().as_str()), (status, error), "{path} at {at_s}");
        }
    }
}

/// The height is the track's, whatever its name says; sound and manifests are for every height.
#[tokio::test]
async fn tracks_up_to_a_height() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, ""));
    let base = format!("/main/movie/{VERSION}.{}", origin.rev("main"));
    let lines = 719u32.to_be_bytes();
    let token = compact_with(&[(5, &lines)]);
    let exact = 720u32.to_be_bytes();
    let all = compact_with(&[(5, &exact)]);
    for (file, low, high) in [
        ("v720/1.m4s", 403, 200),
        ("v720/init.mp4", 403, 200),
        ("v720/index.m3u8", 200, 200),
        ("master.m3u8", 200, 200),
        ("v9/1.m4s", 404, 404),
    ] {
        assert_eq!(origin.get(&format!("/~{token}{base}/{file}")).await.status, low, "{file}");
        assert_eq!(origin.get(&format!("/~{all}{base}/{file}")).await.status, high, "{file}");
    }
}

#[tokio::test]
async fn profiles_choose_whose_tokens_they_take_and_a_cdn_may_hand_tokens_on() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, ""));
    let token = compact_with(&[]);
    let cdn = [("x-headwater-cdn", "the-secret-of-the-cdn")];
    let table: [(String, Fields<'_>, u16); 8] = [
        (format!("/~{token}/main/movie/master.m3u8"), &[], 200),
        (format!("/~{token}/vip/movie/master.m3u8"), &[], 403),
        ("/edge/movie/master.m3u8".into(), &cdn, 200),
        (format!("/~{token}/edge/movie/master.m3u8"), &cdn, 200),
        (format!("/~{token}/edge/movie/master.m3u8"), &[], 403),
        (format!("/~{token}x/edge/movie/master.m3u8"), &cdn, 401),
        (format!("/~{token}/healthz"), &[], 404),
        (format!("/~{token}/~{token}/main/movie/master.m3u8"), &[], 404),
    ];
    for (target, fields, status) in table {
        let seen = origin.ask(Method::GET, &target, fields).await;
        assert_eq!(seen.status, status, "{target}");
        let shared = target.contains("edge") && status == 200;
        let is_public = seen.header("cache-control").starts_with("public");
        assert_eq!(is_public, shared, "{target}");
    }
}

#[tokio::test]
async fn pages_may_send_what_carries_a_token() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, ""));
    let page = [("origin", "https://shop.example")];
    let preflight = origin.ask(Method::OPTIONS, "/main/movie/master.m3u8", &page).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        "*, Authorization, Content-Type, Range"
    );
    let refused = origin.ask(Method::GET, "/main/movie/master.m3u8", &page).await;
    for answer in [preflight, refused] {
        assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(answer.header("vary").contains("origin"));
    }
}

#[tokio::test]
async fn no_log_and_no_span_shows_a_token() {
    let stored = Stored::with_movie();
    let log = stored.path("access.log");
    // The first line of the test's defaults turns the log off.
    let mut config = config(&stored, "");
    config.origin.access_log = headwater_config::AccessLog::File(log.clone());
    let collector = Collector::start(&[Mode::Well]);
    config.origin.telemetry = collector.settings();
    let origin = Origin::new(&config);
    let token = compact_with(&[]);
    let cookie = format!("headwater-token={token}");
    let bearer = format!("Bearer {token}");
    origin.get(&format!("/~{token}/main/movie/master.m3u8")).await;
    origin.get(&format!("/~{token}/main/nothing/master.m3u8")).await;
    origin.get(&format!("/~{token}/main//x")).await;
    origin.get(&format!("/~{token}")).await;
    origin.get(&format!("/main/movie/master.m3u8?token={token}")).await;
    origin.ask(Method::GET, "/main/movie/master.m3u8", &[("cookie", &cookie)]).await;
    origin.ask(Method::GET, "/main/movie/master.m3u8", &[("authorization", &bearer)]).await;
    origin.rooms.service.books.access_log.finish(Duration::from_secs(5));
    let lines = fs::read_to_string(log).unwrap();
    assert_eq!(lines.lines().count(), 7);
    assert!(lines.contains("\"/~/main/movie/master.m3u8\""), "{lines}");
    assert!(!lines.contains(&token[..12]), "{lines}");
    origin.rooms.service.books.telemetry.finish(Duration::from_secs(20));
    assert_eq!(collector.servers(7).len(), 7);
    let paths = collector
        .servers(7)
        .iter()
        .map(|span| collector::attributes(&span.attributes)["url.path"].clone())
        .collect::<Vec<_>>();
    assert!(paths.contains(&"/~/main/movie/master.m3u8".to_owned()), "{paths:?}");
    // Nor anything else of them: every byte that went there.
    for asked in collector.asked.lock().unwrap().iter() {
        let holds = asked.body.windows(12).any(|bytes| bytes == &token.as_bytes()[..12]);
        assert!(!holds && !asked.head.contains(&token[..12]), "{:?}", asked.head);
    }
}
