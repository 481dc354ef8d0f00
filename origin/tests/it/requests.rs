//! Every kind of resource under every kind of request.

use headwater_packager::stored::{self, Pointer};
use http::Method;
use proptest::prelude::*;
use std::time::{Duration, Instant};

use crate::common::{OTHER_VERSION, Origin, SEGMENTS, Stored, VERSION, title_id};

const HLS: &str = "application/vnd.apple.mpegurl";
const DASH: &str = "application/dash+xml";
const MANIFEST_LIFETIME: &str = "public, max-age=2, stale-while-revalidate=60";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Header fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// Path, content type and Cache-Control of one resource of each kind.
fn kinds(base: &str) -> Vec<(String, &'static str, &'static str)> {
    let versioned = [
        ("master.m3u8", HLS, MANIFEST_LIFETIME),
        ("manifest.mpd", DASH, MANIFEST_LIFETIME),
        ("v720/index.m3u8", HLS, MANIFEST_LIFETIME),
        ("v720/iframes.m3u8", HLS, MANIFEST_LIFETIME),
        ("a-en/index.m3u8", HLS, MANIFEST_LIFETIME),
        ("v720/init.mp4", "video/mp4", IMMUTABLE),
        ("a-en/init.mp4", "audio/mp4", IMMUTABLE),
        ("v720/1.m4s", "video/mp4", IMMUTABLE),
        ("v360/2.m4s", "video/mp4", IMMUTABLE),
        ("a-en/4.m4s", "audio/mp4", IMMUTABLE),
    ];
    let live = [
        ("/clear/movie/master.m3u8", HLS, MANIFEST_LIFETIME),
        ("/clear/movie/manifest.mpd", DASH, MANIFEST_LIFETIME),
        ("/titles.json", "application/json", "no-cache"),
        ("/", "text/html; charset=utf-8", "no-cache"),
    ];
    let versioned =
        versioned.map(|(file, kind, lifetime)| (format!("{base}{file}"), kind, lifetime));
    let live = live.map(|(path, kind, lifetime)| (path.to_owned(), kind, lifetime));
    versioned.into_iter().chain(live).collect()
}

#[tokio::test]
async fn each_kind_under_each_method_and_condition() {
    let stored = Stored::with_movie();
    let base = stored.origin().base();
    for (path, kind, lifetime) in kinds(&base) {
        for warm in [false, true] {
            let origin = stored.origin();
            if warm {
                origin.get(&path).await;
            }
            each_method_and_condition(&origin, &path, kind, lifetime).await;
        }
    }
}

async fn each_method_and_condition(origin: &Origin, path: &str, kind: &str, lifetime: &str) {
    // HEAD first, so that a cold origin answers it without having made the body.
    let head = origin.ask(Method::HEAD, path, &[]).await;
    let cold_tag = origin.ask(Method::HEAD, path, &[]).await.header("etag").to_owned();
    let not_modified = origin.ask(Method::GET, path, &[("if-none-match", &cold_tag)]).await;
    let whole = origin.get(path).await;
    let len = whole.body.len();
    let tag = whole.header("etag").to_owned();
    assert_eq!(whole.status, 200, "{path}");
    assert_eq!(whole.header("content-type"), kind, "{path}");
    assert_eq!(whole.header("cache-control"), lifetime, "{path}");
    assert_eq!(whole.header("accept-ranges"), "bytes", "{path}");
    assert_eq!(whole.header("access-control-allow-origin"), "*", "{path}");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 26, "{path}: {tag}");
    assert_eq!(tag, cold_tag, "{path}: the tag does not depend on having the body");

    assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    assert_eq!(head.header("content-length"), len.to_string(), "{path}");
    let mut as_get = head.headers.clone();
    as_get.remove("content-length");
    assert_eq!(as_get, whole.headers, "{path}: HEAD tells what GET tells");

    assert_eq!((not_modified.status, not_modified.body.len()), (304, 0), "{path}");
    assert_eq!(not_modified.header("etag"), tag);
    assert_eq!(not_modified.header("cache-control"), lifetime);
    assert_eq!(not_modified.header("access-control-allow-origin"), "*");
    assert_eq!(not_modified.header("content-length"), "");

    let weak = format!("\"x\", W/{tag}");
    let last = format!("bytes={}-", len - 1);
    let beyond = format!("bytes={len}-");
    let star = format!("bytes */{len}");
    let all = format!("bytes 0-{}/{len}", len - 1);
    // name, method, request header, status, body, Content-Range
    let body = &whole.body[..];
    let first = format!("bytes 0-9/{len}");
    let final_byte = format!("bytes {}-{}/{len}", len - 1, len - 1);
    let get = Method::GET;
    let cases: &[(&Method, Fields<'_>, u16, &[u8], &str)] = &[
        (&get, &[("if-none-match", &weak)], 304, b"", ""),
        (&get, &[("if-none-match", "*")], 304, b"", ""),
        (&get, &[("if-none-match", "\"x\"")], 200, body, ""),
        (&Method::HEAD, &[("if-none-match", &tag)], 304, b"", ""),
        (&get, &[("if-match", &tag)], 200, body, ""),
        (&get, &[("if-match", "*")], 200, body, ""),
        (&get, &[("range", "bytes=0-9")], 206, &body[..10], &first),
        (&get, &[("range", "bytes=0-")], 206, body, &all),
        (&get, &[("range", "bytes=-1")], 206, &body[len - 1..], &final_byte),
        (&get, &[("range", &last)], 206, &body[len - 1..], &final_byte),
        (&get, &[("range", "bytes=0-1,4-5")], 200, body, ""),
        (&get, &[("range", "pages=1-2")], 200, body, ""),
        (&Method::HEAD, &[("range", "bytes=0-9")], 200, b"", ""),
        (&get, &[("range", "bytes=0-9"), ("if-range", &tag)], 206, &body[..10], &first),
        (&get, &[("range", "bytes=0-9"), ("if-range", "\"x\"")], 200, body, ""),
        (
            &get,
            &[("range", "bytes=0-9"), ("if-range", "Sun, 06 Nov 1994 08:49:37 GMT")],
            200,
            body,
            "",
        ),
        (&get, &[("range", &beyond), ("if-range", "\"x\"")], 200, body, ""),
        (&get, &[("range", "bytes=0-9"), ("if-none-match", &tag)], 304, b"", ""),
    ];
    for (method, fields, status, wanted, content_range) in cases {
        let seen = origin.ask((*method).clone(), path, fields).await;
        assert_eq!(seen.status, *status, "{method} {path} {fields:?}");
        assert!(seen.body == *wanted, "{method} {path} {fields:?}: the body differs");
        assert_eq!(seen.header("content-range"), *content_range, "{method} {path} {fields:?}");
        assert_eq!(seen.header("etag"), tag, "{method} {path} {fields:?}");
        assert_eq!(seen.header("cache-control"), lifetime, "{method} {path} {fields:?}");
    }
    // method, request header, status, error, Content-Range
    let failing: &[(&Method, Fields<'_>, u16, &str, &str)] = &[
        (&get, &[("range", &beyond)], 416, "range_not_satisfiable", &star),
        (&get, &[("range", "bytes=-0")], 416, "range_not_satisfiable", &star),
        (&get, &[("if-match", "\"x\"")], 412, "precondition_failed", ""),
        (&get, &[("if-match", &weak)], 412, "precondition_failed", ""),
        (&Method::POST, &[], 405, "method_refused", ""),
        (&Method::DELETE, &[], 405, "method_refused", ""),
    ];
    for (method, fields, status, error, content_range) in failing {
        let seen = origin.ask((*method).clone(), path, fields).await;
        assert_eq!((seen.status, seen.error().as_str()), (*status, *error), "{path} {fields:?}");
        assert_eq!(seen.header("content-range"), *content_range, "{path}");
        assert_eq!(seen.header("cache-control"), "no-store", "{path}");
        assert_eq!(seen.header("access-control-allow-origin"), "*", "{path}");
    }
    let options = origin.ask(Method::OPTIONS, path, &[("origin", "https://a.example")]).await;
    assert_eq!((options.status, options.body.len()), (204, 0), "{path}");
    assert_eq!(options.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert_eq!(options.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn heads_and_conditions_read_no_media() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let path = format!("{}v720/1.m4s", origin.base());
    let head = origin.ask(Method::HEAD, &path, &[]).await;
    let tag = head.header("etag").to_owned();
    assert_eq!(head.header("content-length"), stored.track("v720").segment(1).len().to_string());
    for (fields, status) in [
        ([("if-none-match", tag.as_str())], 304),
        ([("if-match", "\"x\"")], 412),
        ([("range", "bytes=99999999-")], 416),
    ] {
        assert_eq!(origin.ask(Method::GET, &path, &fields).await.status, status, "{fields:?}");
    }
    assert_eq!(origin.counted("store_reads_total{part=\"media\"}"), 0);
    assert_eq!(origin.get(&path).await.status, 200);
    assert_eq!(origin.counted("store_reads_total{part=\"media\"}"), 1);
}

#[tokio::test]
async fn segments_are_the_source_bytes_one_read_for_each_object() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let base = origin.base();
    for track in &stored.tracks {
        let init = origin.get(&format!("{base}{}/init.mp4", track.id)).await;
        assert!(init.body == track.init, "{}", track.id);
        for n in 1..=SEGMENTS {
            let seen = origin.get(&format!("{base}{}/{n}.m4s", track.id)).await;
            let wanted = track.segment(usize::try_from(n).unwrap());
            assert!(seen.body == wanted, "{} {n}", track.id);
        }
    }
    // Three tracks of four segments, one of which lies in two objects.
    assert_eq!(origin.counted("store_reads_total{part=\"media\"}"), 13);
    assert_eq!(origin.counted("store_reads_total{part=\"heads\"}"), 1);
}

#[tokio::test]
async fn what_does_not_exist() {
    let stored = Stored::with_movie();
    stored.publish("gone", VERSION, None);
    let tombstone = Pointer { deleted: true, ..Pointer::to_live(VERSION, None) };
    stored.write(&stored::pointer_key(&title_id("gone")), &tombstone.to_json());
    let unfinished = Pointer { live: None, ..Pointer::to_live(VERSION, None) };
    stored.write(&stored::pointer_key(&title_id("soon")), &unfinished.to_json());
    let origin = stored.origin();
    let base = origin.base();
    let rev = origin.rev("clear");
    let few = "public, max-age=2";
    let cases = [
        ("/clear/none/master.m3u8".to_owned(), "unknown_title", few),
        ("/other/movie/master.m3u8".into(), "unknown_profile", few),
        ("/clear/gone/master.m3u8".into(), "unknown_title", few),
        (format!("/clear/none/{VERSION}.{rev}/master.m3u8"), "unknown_version", few),
        ("/clear/soon/master.m3u8".into(), "nothing_live", few),
        (format!("/clear/movie/{OTHER_VERSION}.{rev}/master.m3u8"), "unknown_version", few),
        (format!("/clear/movie/{VERSION}.00000000/master.m3u8"), "unknown_rev", "no-store"),
        (format!("/clear/movie/{VERSION}.00000000/v720/1.m4s"), "unknown_rev", "no-store"),
        (format!("{base}v1080/1.m4s"), "unknown_track", few),
        (format!("{base}v1080/init.mp4"), "unknown_track", few),
        (format!("{base}v720/5.m4s"), "unknown_segment", few),
        (format!("{base}v720/4294967295.m4s"), "unknown_segment", few),
        (format!("{base}a-en/iframes.m3u8"), "unknown_segment", few),
        (format!("{base}v720/0.m4s"), "unknown_path", "no-store"),
        ("/favicon.ico".into(), "unknown_path", "no-store"),
    ];
    for (path, error, lifetime) in cases {
        let seen = origin.get(&path).await;
        assert_eq!((seen.status, seen.error().as_str()), (404, error), "{path}");
        assert_eq!(seen.header("cache-control"), lifetime, "{path}");
        assert_eq!(seen.header("access-control-allow-origin"), "*", "{path}");
        let head = origin.ask(Method::HEAD, &path, &[]).await;
        assert_eq!((head.status, head.body.len()), (404, 0), "{path}");
        assert_eq!(head.header("content-length"), seen.body.len().to_string(), "{path}");
    }
    let told = origin.get("/nothing").await.body;
    assert_eq!(told, b"{\"error\":\"unknown_path\",\"detail\":\"nothing has such a URL\"}\n");
    let malformed = origin.get("/clear/%6dovie/master.m3u8").await;
    assert_eq!((malformed.status, malformed.error().as_str()), (400, "malformed_url"));
    let long = origin.get(&format!("/clear/movie/master.m3u8?{}", "x".repeat(5000))).await;
    assert_eq!((long.status, long.error().as_str()), (414, "url_too_long"));
    assert_eq!(origin.get("/clear/movie/master.m3u8?CMCD=bl%3D2000").await.status, 200);
}

#[tokio::test]
async fn a_profile_serves_what_it_admits_and_the_rest_looks_like_nothing() {
    let stored = Stored::with_movie();
    stored.publish("vip", VERSION, Some("paid"));
    stored.publish("lost", VERSION, Some("paid"));
    // A pointer that lost its class: heads still carry it.
    let pointer = Pointer::to_live(VERSION, None).to_json();
    stored.write(&stored::pointer_key(&title_id("lost")), &pointer);
    let config = stored.config(
        "[profiles.clear]\n\
         [profiles.some]\ntitles = [\"mov*\"]\nformats = [\"dash\"]\n\
         [profiles.paid]\ntitles = []\naccess_classes = [\"paid\"]\n",
    );
    let origin = Origin::new(&config);
    let rev = origin.rev("clear");
    let bound = |profile, title| format!("/{profile}/{title}/{VERSION}.{rev}/v720/1.m4s");
    let cases = [
        ("/clear/movie/master.m3u8".to_owned(), 200, ""),
        ("/clear/vip/master.m3u8".into(), 404, "unknown_title"),
        (bound("clear", "vip"), 404, "unknown_version"),
        ("/clear/lost/master.m3u8".into(), 404, "unknown_title"),
        ("/some/movie/manifest.mpd".into(), 200, ""),
        ("/some/movie/master.m3u8".into(), 404, "format_not_offered"),
        ("/some/vip/manifest.mpd".into(), 404, "unknown_title"),
        (bound("some", "movie"), 200, ""),
        ("/paid/movie/master.m3u8".into(), 404, "unknown_title"),
        (bound("paid", "movie"), 404, "unknown_version"),
        ("/paid/vip/master.m3u8".into(), 200, ""),
        (bound("paid", "vip"), 200, ""),
    ];
    for (path, status, error) in cases {
        let seen = origin.get(&path).await;
        assert_eq!((seen.status, seen.error().as_str()), (status, error), "{path}");
    }
    let hidden = origin.get("/clear/vip/master.m3u8").await;
    let missing = origin.get("/clear/none/master.m3u8").await;
    assert_eq!(hidden, missing, "a title that is not admitted looks like none");
    let hidden = origin.get(&bound("clear", "vip")).await;
    let missing = origin.get(&bound("clear", "none")).await;
    assert_eq!(hidden, missing, "nor does its version tell that it is there");

    let list: serde_json::Value =
        serde_json::from_slice(&origin.get("/titles.json").await.body).unwrap();
    let wanted = serde_json::json!([
        { "id": "movie", "duration_ms": 24_000, "profiles": {
            "clear": { "hls": "/clear/movie/master.m3u8", "dash": "/clear/movie/manifest.mpd" },
            "some": { "dash": "/some/movie/manifest.mpd" },
        } },
    ]);
    assert_eq!(list, wanted, "a title with an access class is never listed");
}

#[tokio::test]
async fn pages_of_listed_origins_alone_may_read_and_caches_can_tell() {
    let stored = Stored::with_movie();
    let origin =
        Origin::new(&stored.config("[profiles.clear]\ncors_origins = [\"https://a.example\"]\n"));
    let good = "/clear/movie/master.m3u8";
    let bad = "/clear/none/master.m3u8";
    // path, Origin, Access-Control-Allow-Origin
    let cases: &[(&str, Fields<'_>, &str)] = &[
        (good, &[("origin", "https://a.example")], "https://a.example"),
        (bad, &[("origin", "https://a.example")], "https://a.example"),
        (good, &[("origin", "https://b.example")], ""),
        (good, &[], ""),
    ];
    for (path, fields, allowed) in cases {
        for method in [Method::GET, Method::OPTIONS] {
            let seen = origin.ask(method.clone(), path, fields).await;
            assert_eq!(seen.header("access-control-allow-origin"), *allowed, "{method} {fields:?}");
            let by_coding = *path == good && method == Method::GET;
            let vary = if by_coding { "accept-encoding, origin" } else { "origin" };
            assert_eq!(seen.header("vary"), vary, "{method} {path} {fields:?}");
        }
    }
}

/// What no profile answers may be read by the pages of any profile, and by no other.
#[tokio::test]
async fn what_belongs_to_no_profile_is_for_the_pages_of_all() {
    let stored = Stored::with_movie();
    let listing = |b: &str| {
        let profile = |name, origins: &str| {
            format!("[profiles.{name}]\ntitles = [\"{name}-*\"]\ncors_origins = {origins}\n")
        };
        Origin::new(&stored.config(&(profile("a", r#"["https://a.example"]"#) + &profile("b", b))))
    };
    let (listed, open) = (listing(r#"["https://b.example"]"#), listing(r#"["*"]"#));
    for path in ["/clear/x/y", "/nothing", "//", "/healthz", "/titles.json", "/no/such/master.m3u8"]
    {
        for (page, allowed) in
            [("https://a.example", true), ("https://b.example", true), ("https://c.example", false)]
        {
            for method in [Method::GET, Method::OPTIONS] {
                let seen = listed.ask(method.clone(), path, &[("origin", page)]).await;
                let wanted = if allowed { page } else { "" };
                let got = seen.header("access-control-allow-origin");
                assert_eq!(got, wanted, "{method} {path} {page}");
                assert!(seen.header("vary").ends_with("origin"), "{method} {path} {page}");
            }
        }
        let seen = open.ask(Method::GET, path, &[("origin", "https://c.example")]).await;
        assert_eq!(seen.header("access-control-allow-origin"), "*", "{path}");
    }
}

#[tokio::test]
async fn live_manifests_follow_the_pointer_and_bound_ones_stay() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let bound = format!("{}master.m3u8", origin.base());
    let (old_live, old_bound) =
        (origin.get("/clear/movie/master.m3u8").await, origin.get(&bound).await);
    assert!(String::from_utf8_lossy(&old_live.body).contains(&VERSION.to_string()));
    assert!(!String::from_utf8_lossy(&old_bound.body).contains(&VERSION.to_string()));
    stored.publish("movie", OTHER_VERSION, None);
    let new_live = origin.get("/clear/movie/master.m3u8").await;
    assert!(String::from_utf8_lossy(&new_live.body).contains(&OTHER_VERSION.to_string()));
    assert_ne!(new_live.header("etag"), old_live.header("etag"));
    assert_eq!(origin.get(&bound).await, old_bound);
}

#[tokio::test]
async fn a_pointer_is_believed_for_its_time_and_no_longer() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    config.origin.cache.pointer_ttl_ms = 2_000;
    config.origin.cache.not_found_ttl_ms = 1_000;
    let origin = Origin::new(&config);
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let live = "/clear/movie/master.m3u8";
    let new = "/clear/new/master.m3u8";
    let get = |ms, path| origin.ask_at(at(ms), Method::GET, path, &[]);
    let old = get(0, live).await;
    assert_eq!(get(0, new).await.status, 404);
    stored.publish("movie", OTHER_VERSION, None);
    stored.publish("new", VERSION, None);
    assert_eq!(get(1_999, live).await, old);
    assert_ne!(get(2_000, live).await, old);
    assert_eq!(get(999, new).await.status, 404);
    assert_eq!(get(1_000, new).await.status, 200);
}

#[tokio::test]
async fn what_is_published_stays_while_the_store_is_away() {
    let stored = Stored::with_movie();
    let folder = stored.folder.path();
    // The whole folder gone, and a mount point left behind.
    for gone in [folder.to_owned(), folder.join("titles")] {
        serves_on_without(&stored, &gone).await;
    }
}

async fn serves_on_without(stored: &Stored, here: &std::path::Path) {
    let origin = stored.origin();
    let live = "/clear/movie/master.m3u8";
    let segment = format!("{}v720/1.m4s", origin.base());
    let (manifest, media) = (origin.get(live).await, origin.get(&segment).await);
    let away = here.with_extension("away");
    std::fs::rename(here, &away).unwrap();
    assert_eq!(origin.get(live).await, manifest);
    assert_eq!(origin.get(&segment).await, media);
    let cold = origin.get(&format!("{}v720/2.m4s", origin.base())).await;
    assert_eq!((cold.status, cold.error().as_str()), (503, "store_unavailable"));
    assert_eq!((cold.header("retry-after"), cold.header("cache-control")), ("2", "no-store"));
    let unknown = origin.get("/clear/none/master.m3u8").await;
    assert_eq!(unknown.status, 503, "an absent store is not an absent title");
    let later = Instant::now() + Duration::from_secs(5);
    assert_eq!(origin.ask_at(later, Method::GET, "/readyz", &[]).await.status, 503);
    assert_eq!(origin.get("/healthz").await.status, 200);
    std::fs::rename(&away, here).unwrap();
    assert_eq!(origin.get(&format!("{}v720/2.m4s", origin.base())).await.status, 200);
    let later = later + Duration::from_secs(5);
    assert_eq!(origin.ask_at(later, Method::GET, "/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn without_the_page_titles_are_not_listed() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    config.origin.page = false;
    let origin = Origin::new(&config);
    for path in ["/", "/titles.json", "/assets/x.js"] {
        assert_eq!(origin.get(path).await.status, 404, "{path}");
    }
    assert_eq!(origin.get("/clear/movie/master.m3u8").await.status, 200);
}

#[tokio::test]
async fn two_nodes_and_two_starts_give_the_same_bytes_and_tags() {
    let stored = Stored::with_movie();
    let (a, b) = (stored.origin(), stored.origin());
    for (path, ..) in kinds(&a.base()) {
        let (from_a, from_b) = (a.get(&path).await, b.get(&path).await);
        assert_eq!(from_a, from_b, "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any range of any media, cold or warm, is that slice of the whole.
    #[test]
    fn any_range_equals_a_slice_of_the_whole(
        track in 0..3usize, n in 1..=4usize, from in 0..16_000usize, len in 1..16_000usize,
        warm: bool,
    ) {
        let stored = shared();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let origin = stored.origin();
            let track = &stored.tracks[track];
            let path = format!("{}{}/{n}.m4s", origin.base(), track.id);
            if warm {
                origin.get(&path).await;
            }
            let whole = track.segment(n);
            let range = format!("bytes={from}-{}", from + len - 1);
            let seen = origin.ask(Method::GET, &path, &[("range", &range)]).await;
            if from < whole.len() {
                let end = whole.len().min(from + len);
                prop_assert_eq!(seen.status, 206);
                prop_assert!(seen.body == whole[from..end]);
                let content_range = format!("bytes {from}-{}/{}", end - 1, whole.len());
                prop_assert_eq!(seen.header("content-range"), content_range);
            } else {
                prop_assert_eq!(seen.status, 416);
            }
            Ok(())
        })?;
    }
}

/// One store for all cases of a property.
fn shared() -> &'static Stored {
    static STORED: std::sync::OnceLock<Stored> = std::sync::OnceLock::new();
    STORED.get_or_init(Stored::with_movie)
}
