//! Viewers' tokens through the cache: judged one by one, while bodies are shared by all.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use headwater_tests::hls::{Master, Media};
use headwater_tests::nginx::Nginx;
use headwater_tests::origin::{self, Origin, Settings};
use headwater_tests::titles::Rate;
use headwater_tests::web::Web;
use headwater_tests::{binaries, run, scratch};

const SECRET: &str = "thisSecretMustNeverAppearInAnyLog-cdn";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const VIEWERS: usize = 1_000;

/// An origin whose profile `paid` nginx guards and whose profile `vip` it guards by itself; `clear`
/// serves another title to everybody.
struct Guarded {
    origin: Origin,
    config: String,
    /// Holds what the configuration names.
    _folder: tempfile::TempDir,
}

fn guarded(store: &Path) -> Guarded {
    let folder = scratch::folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("secret"), SECRET).unwrap();
    fs::write(path("k1"), KEY).unwrap();
    let store = format!("[store]\nurl = \"file://{}\"\n", store.display());
    let rest = format!(
        r#"
titles = ["pal"]
[profiles.paid]
titles = ["film"]
[profiles.paid.access]
enforced_by = "cdn"
cdn_secrets = ["file:{}"]
[profiles.vip]
titles = ["film"]
[profiles.vip.access]
enforced_by = "origin"
[origin.tokens]
keys = [{{ id = "k1", secret = "file:{}" }}]
skew_s = 0
"#,
        path("secret"),
        path("k1")
    );
    let toml = format!("{}{rest}", origin::toml(&store, &Settings::default()));
    let config = path("config.toml");
    fs::write(&config, &toml).unwrap();
    Guarded { origin: Origin::launch(&toml, &[]), config, _folder: folder }
}

impl Guarded {
    /// A token of a folder, by the command that operators use.
    fn token(&self, folder: &str, lasts_s: u64) -> String {
        let mut sign = run::command(binaries::origin());
        sign.args(["sign", "--config", &self.config, "--key", "k1"]);
        sign.args(["--lasts-s", &lasts_s.to_string(), "--folder", folder]);
        String::from_utf8(run::succeed(&mut sign)).unwrap().trim().to_owned()
    }

    fn segments(&self, web: &Web, profile: &str) -> Vec<String> {
        let token = self.token(&format!("/{profile}"), 600);
        let master = Master::fetch(web, &format!("/~{token}/{profile}/film/master.m3u8"));
        let paths = master.all_media(web).iter().flat_map(Media::segment_paths).collect::<Vec<_>>();
        paths.iter().map(|path| path.split_once(&token).unwrap().1.to_owned()).collect()
    }
}

/// A thousand different tokens of a folder, each with an expiry of its own, by the script that
/// comes with the documentation.
fn tokens(folder: &str) -> Vec<String> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let program = format!(
        "import hw_token as t\nfor n in range({VIEWERS}): \
         print(t.issue(bytes.fromhex('{KEY}'), 'k1', {{3: '{folder}', 8: {now_s} + 600 + n}}))"
    );
    let mut python = run::command("/usr/bin/python3");
    python.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    let printed = run::succeed(python.args(["-c", &program]));
    let tokens: Vec<_> = std::str::from_utf8(&printed).unwrap().lines().map(String::from).collect();
    assert_eq!(tokens.len(), VIEWERS);
    tokens
}

fn by(token: &str, path: &str, in_query: bool) -> String {
    if in_query { format!("{path}?token={token}") } else { format!("/~{token}{path}") }
}

#[test]
fn a_thousand_tokens_share_one_body() {
    let guarded = guarded(&Rate::Film.title().store);
    let origin = &guarded.origin;
    let Some(nginx) = Nginx::judging([origin, origin], Some(SECRET), &["paid"]) else { return };
    let path = guarded.segments(nginx.web(), "paid").swap_remove(0);
    let (before, reads) = (nginx.cached(), "headwater_origin_store_reads_total{part=\"media\"}");
    assert_eq!(origin.metric(reads), 0.0);
    let mut bodies = Vec::new();
    for (viewer, token) in tokens("/paid").iter().enumerate() {
        let answer = nginx.web().get(&by(token, &path, viewer % 2 == 0));
        assert_eq!(answer.status, 200, "{}", answer.text());
        bodies.push(answer.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0] && !body.is_empty()));
    assert_eq!(origin.metric(reads), 1.0, "one store read");
    assert_eq!(nginx.cached() - before, 1, "one cached body");
    let sent = origin.metric("headwater_origin_sent_bytes_total{kind=\"segment\"}");
    assert_eq!(sent, bodies[0].len() as f64, "one body left the origin");
}

#[test]
fn every_token_is_judged_also_for_what_is_cached() {
    let guarded = guarded(&Rate::Film.title().store);
    let origin = &guarded.origin;
    let Some(nginx) = Nginx::judging([origin, origin], Some(SECRET), &["paid"]) else { return };
    let path = guarded.segments(nginx.web(), "paid").swap_remove(0);
    let good = guarded.token("/paid/film/", 600);
    let other = guarded.token("/paid/pal/", 600);
    let over = guarded.token("/paid/film/", 0);
    let web = nginx.web();
    for _ in ["cold", "warm"] {
        let changed = good.replacen('A', "B", 1);
        let table = [
            ("another title's", by(&other, &path, false), 403),
            ("another title's", by(&other, &path, true), 403),
            ("expired", by(&over, &path, false), 401),
            ("expired", by(&over, &path, true), 401),
            ("changed", by(&changed, &path, false), 401),
            ("changed", by(&changed, &path, true), 401),
            ("empty", by("", &path, false), 401),
            ("empty", by("", &path, true), 401),
            ("two", format!("{}?token={good}", by(&good, &path, false)), 401),
            ("two in the path", by(&good, &by(&over, &path, false), false), 404),
            ("a bad one before", by("x", &by(&good, &path, false), false), 404),
            ("none", path.clone(), 403),
            ("another name", format!("{path}?Token={good}"), 403),
            ("a name in a value", format!("{path}?a=token={good}"), 403),
            ("a longer name", format!("{path}?xtoken={good}"), 403),
            ("no value", format!("{path}?token"), 403),
            ("an encoded name", format!("{path}?%74oken={good}"), 403),
            ("a folder before", format!("/x/..{path}"), 400),
            ("two slashes", format!("/{path}"), 400),
            ("encoded", path.replacen("/paid/", "/%70aid/", 1), 400),
            ("an encoded mark", format!("/%7e{good}{path}"), 400),
        ];
        for (name, target, status) in &table {
            let refused = raw(web, target);
            assert_eq!(refused.0, *status, "{name}: {target}");
            assert!(!refused.1.to_lowercase().contains("x-cache: hit"), "{name}");
        }
        // And none of it kept anybody from it, nor was it kept.
        assert_eq!(web.get(&by(&good, &path, false)).status, 200);
        assert_eq!(web.get(&by(&good, &path, true)).header("x-cache"), Some("HIT"));
    }
    let refused = web.get_with(&by(&over, &path, false), &[("origin", "https://a.example")]);
    assert!(refused.is_no_store() && refused.error() == "token_expired");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "pages can read it");
    // A profile that is clear does not have the title, whatever comes along.
    for profile in ["clear", "short"] {
        let clear = path.replacen("/paid/", &format!("/{profile}/"), 1);
        for target in [clear.clone(), by(&good, &clear, false), by(&good, &clear, true)] {
            assert_eq!(raw(web, &target).0, 404, "{target}");
        }
    }
    assert!(!origin.log().contains(&good[8..]), "a token is in the log");
}

#[test]
fn what_the_origin_enforces_is_shared_with_nobody() {
    let guarded = guarded(&Rate::Film.title().store);
    let origin = &guarded.origin;
    let Some(nginx) = Nginx::judging([origin, origin], Some(SECRET), &["paid"]) else { return };
    let paths = guarded.segments(nginx.web(), "vip");
    for token in tokens("/vip").iter().take(10) {
        for in_query in [false, true] {
            let answer = nginx.web().get(&by(token, &paths[0], in_query));
            assert_eq!((answer.status, answer.header("x-cache")), (200, Some("MISS")));
            assert!(answer.header("cache-control").unwrap().starts_with("private"));
        }
    }
    assert_eq!(nginx.cached(), 0, "nothing is kept, manifests neither");
    assert_eq!(nginx.web().get(&paths[0]).status, 401);
}

/// The status and header of a target that is sent as it is written.
fn raw(web: &Web, target: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let address = web.url("");
    let address = address.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let head = answer.split("\r\n\r\n").next().unwrap();
    (head[9..12].parse().unwrap(), head.to_owned())
}
