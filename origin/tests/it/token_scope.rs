//! What a token is for, asked of a whole origin: where the client is, which service and session it
//! is, and every other spelling of what was signed.

use std::fs;
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use headwater_config::Config;
use http::Method;

use crate::common::{Origin, Seen, Stored, VERSION, request};
use crate::tokens::issue::{K1, class, compact_with};

const MASTER: &str = "/main/movie/master.m3u8";
const PROXY: &str = "10.1.2.3";
const STRANGER: &str = "198.51.100.9";

fn config(stored: &Stored) -> Config {
    let digits: String = K1.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(stored.path("k1"), digits).unwrap();
    let config = stored.config(&format!(
        "origin.trusted_proxies = [\"10.0.0.0/8\"]\n\
         [origin.tokens]\nkeys = [{{ id = \"k1\", secret = \"file:{}\" }}]\n\
         country_header = \"cf-ipcountry\"\naudience = \"headwater\"\n\
         [profiles.main.access]\nenforced_by = \"origin\"\n",
        stored.path("k1").display()
    ));
    assert_eq!(config.check(), []);
    config
}

async fn ask(origin: &Origin, remote: &str, target: &str, fields: &[(&str, &str)]) -> Seen {
    let mut request = request(Method::GET, target, fields);
    request.remote = Some(remote.parse::<IpAddr>().unwrap());
    let service = &origin.rooms.service;
    Seen::of(service.answer(&request, Instant::now(), SystemTime::UNIX_EPOCH).await)
}

/// `ok`, or the reason that was counted.
async fn outcome(
    origin: &Origin,
    remote: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Result<(), String> {
    let refusals = || {
        let text = String::from_utf8(origin.metrics().exposition()).unwrap();
        let counted = text.lines().filter(|line| line.contains("_refusals_total{"));
        counted.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = refusals();
    let seen = ask(origin, remote, target, fields).await;
    let after = refusals();
    match (seen.status, after.iter().find(|line| !before.contains(line))) {
        (200, None) => Ok(()),
        (_, None) => Err(seen.error()),
        (status, Some(line)) => {
            assert!(matches!(status, 401 | 403), "{status}: {line}");
            assert_eq!(seen.header("cache-control"), "no-store");
            Err(line.split('"').nth(1).unwrap().to_owned())
        }
    }
}

#[tokio::test]
async fn where_the_client_is_by_the_word_of_a_trusted_proxy() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored));
    let networks = compact_with(&[(9, b"203.0.113.0/24,2001:db8::/32")]);
    let countries = compact_with(&[(10, b"DE,AT")]);
    let audience = compact_with(&[(11, b"headwater")]);
    let other = compact_with(&[(11, b"other")]);
    let session = compact_with(&[(12, b"s-1")]);
    let cdn = compact_with(&[(13, b"cdn")]);
    let inside = ("x-forwarded-for", "203.0.113.7");
    let outside = ("x-forwarded-for", "203.0.114.7");
    let (de, fr) = (("cf-ipcountry", "DE"), ("cf-ipcountry", "FR"));
    let id = |id| ("x-playback-session-id", id);
    type Case<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
    let table: &[Case<'_>] = &[
        ("in the network", &networks, "203.0.113.7", &[], "ok"),
        ("in the other one", &networks, "2001:db8::7", &[], "ok"),
        ("behind a proxy", &networks, PROXY, &[inside], "ok"),
        ("the proxy itself", &networks, PROXY, &[], "network_refused"),
        ("elsewhere behind it", &networks, PROXY, &[outside], "network_refused"),
        ("elsewhere", &networks, STRANGER, &[], "network_refused"),
        ("elsewhere by a stranger's word", &networks, STRANGER, &[inside], "network_refused"),
        (
            "a client's own word before the proxy's",
            &networks,
            PROXY,
            &[("x-forwarded-for", "203.0.113.7, 198.51.100.9")],
            "network_refused",
        ),
        ("in the country", &countries, PROXY, &[de], "ok"),
        ("in another", &countries, PROXY, &[fr], "country_refused"),
        ("in none", &countries, PROXY, &[], "country_refused"),
        ("in two", &countries, PROXY, &[de, ("cf-ipcountry", "AT")], "country_refused"),
        ("in one of another case", &countries, PROXY, &[("cf-ipcountry", "de")], "country_refused"),
        ("by a stranger's word", &countries, STRANGER, &[de], "country_refused"),
        ("by another field's word", &countries, PROXY, &[("x-country", "DE")], "country_refused"),
        ("for this service", &audience, STRANGER, &[], "ok"),
        ("for another", &other, STRANGER, &[], "audience_refused"),
        ("of the session", &session, STRANGER, &[id("s-1")], "ok"),
        ("of another", &session, STRANGER, &[id("s-2")], "session_refused"),
        ("of a longer one", &session, STRANGER, &[id("s-11")], "session_refused"),
        ("of none", &session, STRANGER, &[], "session_refused"),
        ("of two", &session, STRANGER, &[id("s-1"), id("s-1")], "session_refused"),
        ("for a CDN to enforce", &cdn, STRANGER, &[], "enforcer_refused"),
    ];
    class("where, for whom, in which session", table.iter().map(|case| case.4));
    for _ in ["cold", "warm"] {
        for (name, token, remote, fields, wanted) in table {
            let seen = outcome(&origin, remote, &format!("/~{token}{MASTER}"), fields).await;
            assert_eq!(seen.as_ref().map_or_else(String::as_str, |()| "ok"), *wanted, "{name}");
        }
    }
}

/// Paths that look like those of the token's folder, each with what the origin says.
#[tokio::test]
async fn paths_that_look_like_the_tokens() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored));
    let token = compact_with(&[(3, b"/main/movie")]);
    let table = [
        ("/main/movie/master.m3u8", "ok"),
        ("/main/movie2/master.m3u8", "path_refused"),
        ("/main/movi/master.m3u8", "path_refused"),
        ("/main/Movie/master.m3u8", "path_refused"),
        ("/main/movie./master.m3u8", "path_refused"),
        ("/main/.movie/master.m3u8", "path_refused"),
        ("/main/movie-/master.m3u8", "path_refused"),
        ("/main/other/master.m3u8", "path_refused"),
        ("/Main/movie/master.m3u8", "unknown_profile"),
        ("/mains/movie/master.m3u8", "unknown_profile"),
        ("/movie/main/master.m3u8", "unknown_profile"),
        ("/main/movie/../other/master.m3u8", "malformed_url"),
        ("/main/other/../movie/master.m3u8", "malformed_url"),
        ("/main/./movie/master.m3u8", "malformed_url"),
        ("/main//movie/master.m3u8", "malformed_url"),
        ("//main/movie/master.m3u8", "malformed_url"),
        ("/main/movie//master.m3u8", "malformed_url"),
        ("/main/movie/master.m3u8/", "malformed_url"),
        ("/main/%6dovie/master.m3u8", "malformed_url"),
        ("/main/movie%2fmaster.m3u8", "malformed_url"),
        ("/main/movie%2Fmaster.m3u8", "malformed_url"),
        ("/main/movie/%2e%2e/other/master.m3u8", "malformed_url"),
        ("/main/movie/%252e%252e/other/master.m3u8", "malformed_url"),
        ("/main/movie/..%2fother/master.m3u8", "malformed_url"),
        ("/main/movie/..;/other/master.m3u8", "unknown_path"),
        ("/main/movie\\..\\other/master.m3u8", "malformed_url"),
        ("/main/movie/~x/master.m3u8", "unknown_path"),
        ("/main/m%C3%B6vie/master.m3u8", "malformed_url"),
        ("/main/movie%00/master.m3u8", "malformed_url"),
    ];
    class("paths", table.iter().map(|case| case.1));
    let mut others = Vec::new();
    for (path, wanted) in table {
        let seen = outcome(&origin, STRANGER, &format!("/~{token}{path}"), &[]).await;
        let seen = seen.map_or_else(|refused| refused, |()| "ok".to_owned());
        if seen != wanted {
            others.push((path, seen));
        }
    }
    assert_eq!(others, []);
}

/// Any other byte in the token or in the path that it was signed for: never what it protects, also
/// while that lies in the cache.
#[tokio::test]
async fn changing_a_byte_of_token_or_scope_opens_nothing() {
    let stored = Stored::with_movie();
    let origin = Origin::new(&config(&stored));
    let path = format!("/main/movie/{VERSION}.{}/v720/1.m4s", origin.rev("main"));
    let single = compact_with(&[(4, path.as_bytes())]);
    let target = format!("/~{single}{path}");
    let good = ask(&origin, STRANGER, &target, &[]).await;
    assert_eq!(good.status, 200);
    let mut tried = 0;
    for at in 2..target.len() {
        for other in ["A", "a", "0", "9", "/", "%", ".", "~", "-", "_"] {
            let mut changed = target.clone();
            changed.replace_range(at..=at, other);
            if changed == target || changed.parse::<http::Uri>().is_err() {
                continue;
            }
            let seen = ask(&origin, STRANGER, &changed, &[]).await;
            assert!(matches!(seen.status, 400..=404), "{}: {changed}", seen.status);
            assert_ne!(seen.body, good.body);
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried}");
}
