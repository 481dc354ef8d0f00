//! What the table asks for beside a clear title: one that wants a token, a redirect to it, one under
//! keys that are given away, and the page's files.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_origin::access::base64url;
use headwater_origin::page::Page;
use http::Method;

use super::{Form, HLS, IMMUTABLE, Is, Thing, tag_of, text};
use crate::clients::{Ask, Fields};
use crate::common::{Stored, VERSION, skip};
use crate::tokens::issue::{K1, raw};

const PRIVATE_MANIFEST: &str = "private, max-age=2, stale-while-revalidate=60";
const PRIVATE: &str = "private, max-age=31536000, immutable";
const KEY_TYPE: &str = "application/octet-stream";

/// Publishes what is served beside `movie`; the settings of all profiles.
pub fn publish(stored: &Stored) -> String {
    stored.publish("kept", VERSION, None);
    stored.publish_sound("sound", VERSION);
    let file = |name: &str, text: &str| {
        fs::write(stored.path(name), text).unwrap();
        format!("file:{}", stored.path(name).display())
    };
    let digits: String = K1.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        r#"
        [origin.tokens]
        keys = [{{ id = "k1", secret = "{}" }}, {{ id = "own", secret = "{}" }}]
        own_keys = ["own"]
        [keys.main]
        provider = "derived"
        master = "{}"
        [profiles.clear]
        titles = ["movie"]
        [profiles.kept]
        titles = ["kept"]
        [profiles.kept.access]
        enforced_by = "origin"
        exchange = true
        [profiles.keyed]
        titles = ["sound"]
        [profiles.keyed.protection]
        scheme = "cbcs"
        keys = "main"
        systems = ["clearkey"]
        deliver_keys = true
        "#,
        file("k1", &digits),
        file("own", &"ab".repeat(32)),
        file("master", &"cd".repeat(32)),
    )
}

/// One URL of each kind.
pub fn things(stored: &Stored, client: &mut dyn Ask) -> Vec<Thing> {
    [guarded(stored, client), keyed(client), page(client)].concat()
}

/// Under a token; without one; and by a token for one URL, to what that leads to.
fn guarded(stored: &Stored, client: &mut dyn Ask) -> Vec<Thing> {
    const LIVE: &str = "/kept/kept/master.m3u8";
    let all = token(&[]);
    let live = format!("/~{all}{LIVE}");
    let bound = bound(client, &live);
    let segment = format!("/~{all}/kept/kept/{bound}/v720/1.m4s");
    let head = client.ask(&Method::HEAD, &segment, &Fields::new());
    let forms = vec![Form { body: stored.track("v720").segment(1), tag: tag_of(&head) }];
    let is = Is::Found { kind: "video/mp4", lifetime: PRIVATE, is_text: false, forms };
    let single = token(&[(4, LIVE.as_bytes())]);
    vec![
        text(client, live, HLS, PRIVATE_MANIFEST),
        Thing { path: segment, is },
        Thing {
            path: format!("/~{single}{LIVE}"),
            is: Is::Elsewhere(format!("/kept/kept/{bound}/master.m3u8")),
        },
        Thing { path: LIVE.to_owned(), is: Is::Missing(401, "token_missing", "no-store", true) },
    ]
}

/// A track's key, raw and in a Clear Key licence; and none, where the profile has none.
fn keyed(client: &mut dyn Ask) -> Vec<Thing> {
    let bound_clear = bound(client, "/clear/movie/master.m3u8");
    let bound = bound(client, "/keyed/sound/master.m3u8");
    let base = format!("/keyed/sound/{bound}");
    let path = format!("{base}/a-en/key");
    let key = client.ask(&Method::GET, &path, &Fields::new()).body;
    assert_eq!(key.len(), 16, "{path}");
    let init = client.ask(&Method::GET, &format!("{base}/a-en/init.mp4"), &Fields::new()).body;
    let tenc = init.windows(4).position(|name| name == b"tenc").unwrap();
    let (id, k) = (base64url::encode(&init[tenc + 12..tenc + 28]), base64url::encode(&key));
    let licence = Is::Licence {
        request: format!("{{\"kids\":[\"{id}\"],\"type\":\"temporary\"}}"),
        answer: format!(
            "{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"{id}\",\"k\":\"{k}\"}}],\"type\":\"temporary\"}}"
        ),
    };
    let none = Is::Missing(404, "keys_not_delivered", "public, max-age=2", true);
    vec![
        Thing { path, is: Is::Now(KEY_TYPE, key) },
        Thing { path: format!("{base}/clearkey"), is: licence },
        Thing { path: format!("/clear/movie/{bound_clear}/a-en/key"), is: none },
    ]
}

/// A file that the page asks for; counted as a skip where the page was not built.
fn page(client: &mut dyn Ask) -> Vec<Thing> {
    if !Page::is_built() {
        skip("the page is not built: `make page`");
        return Vec::new();
    }
    let page = client.ask(&Method::GET, "/", &Fields::new());
    let page = String::from_utf8(page.body).unwrap();
    let mut quoted = page.split('"');
    let style = quoted.find(|name| name.contains("assets/") && name.ends_with(".css")).unwrap();
    let path = format!("/{}", style.trim_start_matches(['.', '/']));
    vec![text(client, path, "text/css; charset=utf-8", IMMUTABLE)]
}

/// `<version>.<rev>` of a live playlist.
fn bound(client: &mut dyn Ask, live: &str) -> String {
    let master = client.ask(&Method::GET, live, &Fields::new());
    assert_eq!(master.status, 200, "{live}");
    let master = String::from_utf8(master.body).unwrap();
    let version = VERSION.to_string();
    let from = &master[master.find(&version).unwrap()..];
    from[..from.find('/').unwrap()].to_owned()
}

/// A token of the site's for an hour, with claims beside its expiry.
fn token(claims: &[(u8, &[u8])]) -> String {
    let end = SystemTime::now() + Duration::from_secs(3_600);
    let end_s = end.duration_since(UNIX_EPOCH).unwrap().as_secs().to_be_bytes();
    let claims = [claims, &[(8, &end_s)]].concat();
    base64url::encode(&raw(1, "k1", &claims, K1))
}
