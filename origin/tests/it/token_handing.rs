//! What the origin hands to viewers in place of, or beside, a token of their site's: exchange,
//! renewal, and manifests that pass a query's token on.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use headwater_config::Config;
use headwater_origin::access::base64url;
use headwater_origin::access::tokens::Tokens;
use http::Method;

use crate::common::{Origin, Seen, Stored, VERSION, request};
use crate::tokens::issue::{K1, raw};

const CDN: (&str, &str) = ("x-headwater-cdn", "the-secret-of-the-cdn");
const MASTER: &str = "/main/movie/master.m3u8";

/// `main` with what a test asks for, `plain` without anything handed out.
fn config(stored: &Stored, main: &str) -> Config {
    let digits: String = K1.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(stored.path("k1"), digits).unwrap();
    fs::write(stored.path("own"), "ab".repeat(32)).unwrap();
    fs::write(stored.path("cdn"), CDN.1).unwrap();
    let file = |name: &str| format!("file:{}", stored.path(name).display());
    let config = stored.config(&format!(
        r#"
        [origin.tokens]
        keys = [{{ id = "k1", secret = "{}" }}, {{ id = "own", secret = "{}" }}]
        own_keys = ["own"]
        [profiles.main.access]
        enforced_by = "origin"
        token_keys = ["k1"]
        {main}
        [profiles.plain.access]
        enforced_by = "origin"
        [profiles.edge.access]
        enforced_by = "cdn"
        cdn_secrets = ["{}"]
        propagate_query = "reference"
        "#,
        file("k1"),
        file("own"),
        file("cdn"),
    ));
    assert_eq!(config.check(), []);
    config
}

/// A token of the site's, with claims beside its expiry.
fn token(expires_s: u64, claims: &[(u8, &[u8])]) -> String {
    let expires = expires_s.to_be_bytes();
    let mut claims = claims.to_vec();
    claims.push((8, &expires));
    claims.sort_by_key(|(tag, _)| *tag);
    base64url::encode(&raw(1, "k1", &claims, K1))
}

async fn ask(origin: &Origin, at_s: u64, target: &str, fields: &[(&str, &str)]) -> Seen {
    let request = request(Method::GET, target, fields);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at_s);
    Seen::of(origin.rooms.service.answer(&request, Instant::now(), at).await)
}

/// Where a relative `Location` leads from a path (RFC 3986 5.2.4).
fn resolved(from: &str, location: &str) -> String {
    let mut elements: Vec<&str> = from.split('?').next().unwrap().split('/').collect();
    elements.pop();
    for element in location.split('/') {
        match element {
            ".." => assert!(elements.pop().is_some_and(|gone| !gone.is_empty()), "{location}"),
            other => elements.push(other),
        }
    }
    elements.join("/")
}

fn base(origin: &Origin) -> String {
    format!("/main/movie/{VERSION}.{}", origin.rev("main"))
}

#[tokio::test]
async fn a_single_url_is_exchanged_for_what_it_leads_to() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, "exchange = true"));
    let base = base(&origin);
    let bound = format!("{base}/master.m3u8");
    let playlist = format!("{base}/v720/index.m3u8");
    let (by_master, by_track) = (format!("{base}/"), format!("{base}/v720/"));
    // The URL that the token names, and the folder that the child opens.
    let mpd = "/main/movie/manifest.mpd".to_owned();
    let table = [
        (MASTER.to_owned(), &by_master),
        (mpd, &by_master),
        (bound, &by_master),
        (playlist, &by_track),
    ];
    for (url, folder) in table {
        let single = token(100, &[(4, url.as_bytes())]);
        for target in [format!("/~{single}{url}"), format!("{url}?a=b&token={single}")] {
            let sent = ask(&origin, 99, &target, &[]).await;
            assert_eq!((sent.status, sent.header("cache-control")), (302, "no-store"), "{target}");
            let to = resolved(&target, sent.header("location"));
            let (child, path) = to.strip_prefix("/~").unwrap().split_once('/').unwrap();
            let file = url.rsplit_once('/').unwrap().1;
            assert_eq!(format!("/{path}"), format!("{folder}{file}"));
            let opened = ask(&origin, 99, &to, &[]).await;
            assert_eq!(opened.status, 200, "{to}");
            // It opens the folder and nothing else, and ends with its parent.
            let media = format!("{base}/v720/1.m4s");
            let sound = format!("{base}/a-en/1.m4s");
            let in_all = if *folder == by_master { 200 } else { 403 };
            for (path, at_s, status) in [
                (media.as_str(), 99, 200),
                (media.as_str(), 109, 200),
                (media.as_str(), 110, 401),
                (sound.as_str(), 99, in_all),
                (MASTER, 99, 403),
                ("/main/movie2/master.m3u8", 99, 403),
                ("/plain/movie/master.m3u8", 99, 403),
            ] {
                let seen = ask(&origin, at_s, &format!("/~{child}{path}"), &[]).await;
                assert_eq!(seen.status, status, "{url}: {path} at {at_s}");
            }
        }
    }
    assert_eq!(origin.counted("token_grants_total{grant=\"exchange\"}"), 8);
}

#[tokio::test]
async fn what_is_not_exchanged_is_refused() {
    let stored = Stored::with_movie();
    let on = Origin::new(&config(&stored, "exchange = true"));
    let off = Origin::new(&config(&stored, ""));
    let single = token(100, &[(4, MASTER.as_bytes())]);
    let by_path = format!("/~{single}{MASTER}");
    let cookie = format!("headwater-token={single}");
    let bearer = format!("Bearer {single}");
    // Off; and with carriers that would come along with the child.
    for (origin, target, fields) in [
        (&off, by_path.as_str(), vec![]),
        (&on, MASTER, vec![("cookie", cookie.as_str())]),
        (&on, MASTER, vec![("authorization", bearer.as_str())]),
    ] {
        let seen = ask(origin, 99, target, &fields).await;
        assert_eq!((seen.status, seen.error().as_str()), (403, "not_permitted"), "{target}");
        assert_eq!(origin.counted("refusals_total{reason=\"path_refused\"}"), 0);
    }
    assert_eq!(on.counted("refusals_total{reason=\"single_url_on_manifest\"}"), 2);
    // A token that is no good is none to exchange, and the own key is no key of the site's.
    let over = ask(&on, 110, &by_path, &[]).await;
    assert_eq!((over.status, over.error().as_str()), (401, "token_expired"));
    let other = ask(&on, 99, &format!("/~{single}/main/movie/manifest.mpd"), &[]).await;
    assert_eq!(other.status, 403);
    let missing = token(100, &[(4, b"/main/none/master.m3u8")]);
    assert_eq!(ask(&on, 99, &format!("/~{missing}/main/none/master.m3u8"), &[]).await.status, 404);
    let segment = format!("{}/v720/1.m4s", base(&on));
    let one = token(100, &[(4, segment.as_bytes())]);
    assert_eq!(ask(&on, 99, &format!("/~{one}{segment}"), &[]).await.status, 200, "as it is");
    let own_secret = [0xab; 32];
    let forged = base64url::encode(&raw(1, "own", &[(8, &100u64.to_be_bytes())], &own_secret));
    assert_eq!(ask(&off, 99, &format!("/~{forged}{MASTER}"), &[]).await.status, 403);
}

#[tokio::test]
async fn a_child_keeps_what_its_parent_said() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, "exchange = true"));
    let lines = 360u32.to_be_bytes();
    let single = token(100, &[(4, MASTER.as_bytes()), (5, &lines), (12, b"s-1")]);
    let target = format!("/~{single}{MASTER}");
    assert_eq!(ask(&origin, 9, &target, &[]).await.status, 403, "another session");
    let session = [("x-playback-session-id", "s-1")];
    let sent = ask(&origin, 9, &target, &session).await;
    let to = resolved(&target, sent.header("location"));
    let folder = to.rsplit_once('/').unwrap().0;
    for (file, fields, status) in [
        ("v360/1.m4s", &session[..], 200),
        ("v720/1.m4s", &session[..], 403),
        ("v360/1.m4s", &[][..], 403),
    ] {
        assert_eq!(ask(&origin, 9, &format!("{folder}/{file}"), fields).await.status, status);
    }
}

/// The name and value of a Set-Cookie, as a browser sends them back.
fn cookie(seen: &Seen) -> Option<&str> {
    seen.header("set-cookie").split(';').next().filter(|pair| !pair.is_empty())
}

#[tokio::test]
async fn a_session_slides_while_requests_come_and_ends_at_its_end() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, "renewal = \"cookie\"\nrenewal_s = 120"));
    let until = 1_000u64.to_be_bytes();
    let renewable = token(120, &[(3, b"/main/movie/"), (14, &until)]);
    let file = format!("{}/v720/1.m4s", base(&origin));
    let by_path = format!("/~{renewable}{file}");
    let by_query = format!("{file}?token={renewable}");
    let by_cookie = format!("headwater-token={renewable}");
    let bearer = format!("Bearer {renewable}");
    for (target, carrier) in [
        (by_path.as_str(), None),
        (by_query.as_str(), None),
        (file.as_str(), Some(("cookie", by_cookie.as_str()))),
        (file.as_str(), Some(("authorization", bearer.as_str()))),
    ] {
        let first = ask(&origin, 0, target, carrier.as_slice()).await;
        assert_eq!((first.status, cookie(&first)), (200, None), "a fresh token is enough");
        let mut held: Option<String> = None;
        let mut last_s = 0;
        for at_s in (30..2_000).step_by(60) {
            let mut fields: Vec<_> = carrier.into_iter().collect();
            fields.extend(held.as_deref().map(|held| ("cookie", held)));
            let seen = ask(&origin, at_s, target, &fields).await;
            if seen.status != 200 {
                assert_eq!(seen.error(), "token_expired");
                assert_eq!(cookie(&seen), None);
                break;
            }
            last_s = at_s;
            held = cookie(&seen).map(str::to_owned).or(held);
        }
        assert_eq!(last_s, 990, "{target}: to the end and no further");
        // Without the cookie, with another token's, after too long a pause: over.
        let held = held.unwrap();
        let other = token(120, &[(14, &until)]);
        for (target, fields, at_s, status) in [
            (target, carrier.into_iter().collect::<Vec<_>>(), 700, 401),
            (&format!("/~{other}{file}"), vec![("cookie", held.as_str())], 700, 401),
        ] {
            assert_eq!(ask(&origin, at_s, target, &fields).await.status, status, "{target}");
        }
    }
    assert!(origin.counted("token_grants_total{grant=\"cookie\"}") > 30);
}

#[tokio::test]
async fn a_session_ends_after_a_pause_and_only_renewable_tokens_have_one() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, "renewal = \"cookie\"\nrenewal_s = 120"));
    let until = 1_000u64.to_be_bytes();
    let renewable = format!("/~{}{MASTER}", token(120, &[(14, &until)]));
    let seen = ask(&origin, 100, &renewable, &[]).await;
    let set = seen.header("set-cookie").to_owned();
    assert!(set.ends_with("; Max-Age=120; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    assert!(seen.header("cache-control").starts_with("private"), "never in a shared cache");
    let held = [("cookie", cookie(&seen).unwrap())];
    for (at_s, status) in [(219, 200), (229, 200), (230, 401)] {
        assert_eq!(ask(&origin, at_s, &renewable, &held).await.status, status, "{at_s}");
    }
    // What the cookie says of time is all it says.
    let height = format!(
        "/~{}{}/v720/1.m4s",
        token(120, &[(5, &[0, 0, 1, 0]), (14, &until)]),
        base(&origin)
    );
    assert_eq!(ask(&origin, 100, &height, &[]).await.status, 403);
    let fixed = format!("/~{}{MASTER}", token(120, &[]));
    assert_eq!(cookie(&ask(&origin, 119, &fixed, &[]).await), None);
    let plain = renewable.replace("/main/", "/plain/");
    assert_eq!(cookie(&ask(&origin, 100, &plain, &[]).await), None, "where it is not configured");
    assert_eq!(ask(&origin, 200, &plain, &held).await.status, 401);
}

#[tokio::test]
async fn a_manifest_is_handed_on_with_a_longer_token() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored, "renewal = \"exchange\"\nrenewal_s = 400"));
    let until = 1_000u64.to_be_bytes();
    let renewable = token(120, &[(3, b"/main/movie"), (14, &until)]);
    let file = format!("{}/v720/1.m4s", base(&origin));
    let mut target = format!("{MASTER}?token={renewable}");
    let mut ends = Vec::new();
    for at_s in [100, 450, 800] {
        let sent = ask(&origin, at_s, &target, &[]).await;
        assert_eq!(sent.status, 302, "{at_s}");
        target = resolved(&target, sent.header("location"));
        assert_eq!(ask(&origin, at_s, &target, &[]).await.status, 200, "no second time");
        let child = &target[..target[1..].find('/').unwrap() + 1];
        let media = format!("{child}{file}");
        let last = (at_s..1_200).step_by(10);
        let mut good = Vec::new();
        for at_s in last {
            if ask(&origin, at_s, &media, &[]).await.status == 200 {
                good.push(at_s);
            }
        }
        ends.push(*good.last().unwrap());
    }
    // Ten seconds of skew; the issuer's end bounds the last.
    assert_eq!(ends, [500, 850, 1_000]);
    let by_cookie = format!("headwater-token={renewable}");
    let kept = ask(&origin, 100, MASTER, &[("cookie", &by_cookie)]).await;
    assert_eq!(kept.status, 200, "a cookie would come along with the child");
}

#[tokio::test]
async fn manifests_pass_on_a_querys_token_and_nobody_elses() {
    let stored = Stored::with_movie();
    let inline = Origin::new(&config(&stored, "propagate_query = \"inline\""));
    let reference = Origin::new(&config(&stored, "propagate_query = \"reference\""));
    for origin in [&inline, &reference] {
        let base = base(origin);
        let of = |n: u8| token(100, &[(128, &[n])]);
        let tags = |seen: &Seen| seen.header("etag").to_owned();
        for path in [
            MASTER.to_owned(),
            "/main/movie/manifest.mpd".to_owned(),
            format!("{base}/master.m3u8"),
            format!("{base}/v720/index.m3u8"),
            format!("{base}/v720/iframes.m3u8"),
        ] {
            let plain = ask(origin, 9, &format!("/~{}{path}", of(0)), &[]).await;
            let first = ask(origin, 9, &format!("{path}?token={}", of(1)), &[]).await;
            let second = ask(origin, 9, &format!("{path}?token={}", of(2)), &[]).await;
            let again = ask(origin, 9, &format!("/~{}{path}", of(3)), &[]).await;
            let hits = || origin.counted("cache_lookups_total{outcome=\"hit\"}");
            let before = hits();
            let third = ask(origin, 9, &format!("{path}?token={}", of(2)), &[]).await;
            let personal = std::ptr::eq(origin, &inline);
            assert_eq!((third.body == second.body, third.body.len()), (true, second.body.len()));
            assert_eq!(hits() - before, if personal { 1 } else { 2 }, "{path}: plain, and its own");
            assert_eq!(again.body, plain.body, "{path}: what others see is not touched");
            assert_eq!((plain.status, first.status, second.status), (200, 200, 200), "{path}");
            assert!(!String::from_utf8_lossy(&plain.body).contains("token"), "{path}");
            assert!(first.header("cache-control").starts_with("private"), "{path}");
            assert_eq!(first.body != second.body, personal, "{path}");
            assert_eq!(tags(&first) != tags(&second), personal, "{path}");
            assert_ne!(tags(&first), tags(&plain), "{path}");
            let text = String::from_utf8(first.body.clone()).unwrap();
            let marks = match (personal, path.ends_with("mpd")) {
                (true, _) => format!("?token={}", of(1)),
                (false, true) => "useMPDUrlQuery=\"true\"".to_owned(),
                (false, false) => "?token={$token}".to_owned(),
            };
            assert!(text.contains(&marks), "{path}: {text}");
            let media = path.contains("v720");
            let uris = text.lines().filter(|l| media && !l.starts_with('#'));
            assert!(uris.clone().all(|uri| uri.ends_with(&marks)), "{text}");
            assert!(!media || uris.count() >= 4, "{text}");
        }
        // Media is one entry for all of them.
        let segment = format!("{base}/v720/1.m4s");
        for n in 0..4 {
            let target = format!("{segment}?token={}", of(n));
            assert_eq!(ask(origin, 9, &target, &[]).await.status, 200);
        }
        assert_eq!(origin.counted("store_reads_total{part=\"media\"}"), 1);
    }
}

#[tokio::test]
async fn behind_a_cdn_every_manifest_refers_to_its_query() {
    let stored = Stored::with_movie();
    let config = config(&stored, "");
    let origin = Origin::new(&config);
    let path = "/edge/movie/master.m3u8";
    let plain = ask(&origin, 9, path, &[CDN]).await;
    let with = ask(&origin, 9, &format!("{path}?token={}", token(100, &[])), &[CDN]).await;
    assert_eq!(plain, with, "the same for all, whatever the CDN leaves of the URL");
    assert!(with.header("cache-control").starts_with("public"));
    let text = String::from_utf8(with.body).unwrap();
    assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:11\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n"));
    // What a reload calls it is what manifests say from then on, also those that others asked for before.
    let mut renamed = config.clone();
    renamed.origin.tokens.query = "t".parse().unwrap();
    let rooms = origin.rooms.under(&config, &renamed).unwrap().move_in();
    let origin = Origin { rooms };
    let text = String::from_utf8(ask(&origin, 9, path, &[CDN]).await.body).unwrap();
    assert!(text.contains("QUERYPARAM=\"t\"") && text.contains("?t={$t}"), "{text}");
}

/// A secret that is gone hands nothing out, and is no secret told.
#[tokio::test]
async fn without_its_key_nothing_is_handed_out() {
    let stored = Stored::with_movie();
    let config = config(&stored, "exchange = true");
    let tokens = Tokens::open(&config.origin.tokens).unwrap();
    assert!(tokens.own_key().is_some());
    let mut without = config.origin.tokens.clone();
    without.keys.retain(|key| key.id.as_str() != "own");
    assert!(Tokens::open(&without).unwrap().own_key().is_none());
}
