//! Keys go to whom a token permits them, by both endpoints, and to nobody else.

use std::fs;
use std::path::PathBuf;

use headwater_tests::hls::Master;
use headwater_tests::origin::Origin;
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::{Answer, Web, follow};
use headwater_tests::{binaries, run, scratch};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: (&str, &str) =
    ("SECRET", "abababababababababababababababababababababababababababababababab");
const GIVEN: &str = "systems = [\"clearkey\"]\ndeliver_keys = true";
const MASTER: (&str, &str) = ("MASTER", "000102030405060708090a0b0c0d0e0f");

/// A profile that wants tokens and hands keys out, and one that keeps them.
struct Handed {
    origin: Origin,
    config: PathBuf,
    _folder: TempDir,
    title: &'static Title,
}

impl Handed {
    fn start() -> Self {
        let title = Rate::Sixty.title();
        let profile = |name: &str, scheme: &str, more: &str| {
            format!(
                "[profiles.{name}.access]\nenforced_by = \"origin\"\nexchange = true\n\
                 renewal = \"exchange\"\nrenewal_s = 60\n\
                 [profiles.{name}.protection]\nscheme = \"{scheme}\"\nkeys = \"main\"\n{more}\n"
            )
        };
        let toml = format!(
            "[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n\
             [origin.tokens]\nkeys = [{{ id = \"k\", secret = \"env:SECRET\" }}]\nown_keys = [\"k\"]\n\
             [keys.main]\nprovider = \"derived\"\nmaster = \"env:MASTER\"\n{}{}{}",
            title.store.display(),
            profile("open", "cbcs", GIVEN),
            profile("open-cenc", "cenc", GIVEN),
            profile("kept", "cbcs", "systems = [\"widevine\"]"),
        );
        let folder = scratch::folder();
        let config = folder.path().join("headwater.toml");
        fs::write(&config, &toml).unwrap();
        let mut origin = Origin::launch(&toml, &[SECRET, MASTER]);
        origin.wait_until_ready();
        Self { origin, config, _folder: folder, title }
    }

    fn web(&self) -> &Web {
        self.origin.web()
    }

    /// A token that says this, as `headwater-origin sign` makes it.
    fn token(&self, says: &[&str]) -> String {
        let mut sign = run::command(binaries::origin());
        sign.args(["sign", "--key", "k", "--lasts-s", "600", "--config"]).arg(&self.config);
        let output = run::finish(sign.args(says).envs([SECRET, MASTER]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The folder of a version's URLs under a profile, and its tracks' playlists by id.
    fn version(&self, profile: &str, token: &str) -> (String, Vec<String>) {
        let live = format!("/~{token}/{profile}/{}/master.m3u8", self.title.id);
        let master = Master::fetch(self.web(), &live);
        let media = master.all_media(self.web());
        let track = media[0].path.rsplit_once('/').unwrap().0;
        let folder = track.rsplit_once('/').unwrap().0.split_once(&format!("/{profile}/")).unwrap();
        let tracks = media.iter().map(|media| media.track().to_owned()).collect();
        (format!("/{profile}/{}", folder.1), tracks)
    }

    fn licence(&self, path: &str, kids: &[String]) -> Answer {
        self.web().post(path, &json!({ "kids": kids, "type": "temporary" }).to_string())
    }
}

/// A 16-byte value as Clear Key's messages write it.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)).peekable();
    let mut text = String::new();
    while bits.peek().is_some() {
        let six: usize = (0..6).fold(0, |six, _| six << 1 | usize::from(bits.next().unwrap_or(0)));
        text.push(char::from(DIGITS[six]));
    }
    text
}

fn key_id(web: &Web, track: &str) -> String {
    let init = web.body(&format!("{track}/init.mp4"));
    let tenc = init.windows(4).position(|name| name == b"tenc").unwrap();
    base64url(&init[tenc + 12..tenc + 28])
}

#[test]
fn keys_go_to_whom_a_token_permits_them() {
    let handed = Handed::start();
    let web = handed.web();
    let all = handed.token(&["--profile", "open"]);
    let (folder, tracks) = handed.version("open", &all);
    let video = tracks.iter().find(|id| id.starts_with('v')).unwrap();
    let audio = tracks.iter().find(|id| id.starts_with('a')).unwrap();
    let id = |track: &str| key_id(web, &format!("/~{all}{folder}/{track}"));
    let (video_id, audio_id) = (id(video), id(audio));
    assert_ne!(video_id, audio_id);
    let key = |token: &str, track: &str| web.get(&format!("/~{token}{folder}/{track}/key"));
    let licence = |token: &str, ids: &[&String]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        handed.licence(&format!("/~{token}{folder}/clearkey"), &ids)
    };
    let given = |answer: &Answer| -> Vec<(String, String)> {
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert!(answer.is_no_store());
        let licence: Value = serde_json::from_slice(&answer.body).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        licence["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|k| (text(&k["kid"]), text(&k["k"])))
            .collect()
    };

    // Both endpoints hand out the same keys, never to be kept.
    let raw = key(&all, video);
    assert_eq!((raw.status, raw.body.len(), raw.is_no_store()), (200, 16, true));
    let video_key = (video_id.clone(), base64url(&raw.body));
    let audio_key = (audio_id.clone(), base64url(&key(&all, audio).body));
    assert_eq!(
        given(&licence(&all, &[&video_id, &audio_id])),
        [video_key.clone(), audio_key.clone()]
    );

    // A token for the sound gets the sound's key alone.
    let sound = handed.token(&["--profile", "open", "--label", "AUDIO"]);
    assert_eq!(key(&sound, audio).status, 200);
    assert_eq!(
        (key(&sound, video).status, key(&sound, video).error()),
        (403, "not_permitted".into())
    );
    assert_eq!(given(&licence(&sound, &[&video_id, &audio_id])), [audio_key]);
    assert_eq!(licence(&sound, &[&video_id]).status, 403);

    // Nobody gets one without a token, with another title's or profile's, or by a method that is none of these.
    assert_eq!(web.get(&format!("{folder}/{video}/key")).status, 401);
    assert_eq!(
        handed.licence(&format!("{folder}/clearkey"), std::slice::from_ref(&video_id)).status,
        401
    );
    for says in [["--title", "other"], ["--profile", "kept"], ["--folder", "/open/other/"]] {
        let other = handed.token(&says);
        assert_eq!(key(&other, video).status, 403, "{says:?}");
        assert_eq!(licence(&other, &[&video_id]).status, 403, "{says:?}");
    }
    let clearkey = format!("/~{all}{folder}/clearkey");
    for method in [Method::GET, Method::HEAD, Method::PUT] {
        let refused = web.ask(method.clone(), &clearkey, &[]);
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.header("allow"), Some("POST, OPTIONS"), "{method}");
    }
    assert_eq!(web.ask(Method::POST, &format!("/~{all}{folder}/{video}/key"), &[]).status, 405);

    // A token for this URL alone opens it, and is not exchanged for what lies beside it.
    let single = handed.token(&["--path", &format!("{folder}/clearkey")]);
    assert_eq!(given(&licence(&single, &[&video_id])), [video_key]);
    assert_eq!(key(&single, video).status, 403);

    // Ids of no key of the version; bodies that ask for nothing, or are too long.
    assert_eq!(licence(&all, &[&"AAAAAAAAAAAAAAAAAAAAAA".to_owned()]).status, 404);
    for body in ["", "{}", "kids", "{\"kids\":[]}"] {
        assert_eq!(web.post(&clearkey, body).error(), "malformed_licence_request", "{body}");
    }
    assert_eq!(web.post(&clearkey, &" ".repeat(4097)).status, 413);
    let preflight = web.ask(Method::OPTIONS, &clearkey, &[("origin", "https://shop.example")]);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("POST, OPTIONS"));

    // The other profile encrypts too, under keys of its own, and tells nobody.
    let (kept, tracks) = handed.version("kept", &handed.token(&["--profile", "kept"]));
    let token = handed.token(&["--profile", "kept"]);
    let kept_id = key_id(web, &format!("/~{token}{kept}/{}", tracks[0]));
    assert_ne!(kept_id, id(&tracks[0]));
    let refused = web.get(&format!("/~{token}{kept}/{}/key", tracks[0]));
    assert_eq!(refused.error(), "keys_not_delivered");
    let refused = handed.licence(&format!("/~{token}{kept}/clearkey"), &[kept_id]);
    assert_eq!(refused.error(), "keys_not_delivered");

    // Neither keys nor their ids nor tokens stand in a log.
    let log = handed.origin.log();
    for secret in [&all, &video_id, &base64url(&raw.body)] {
        assert!(!log.contains(secret.as_str()), "{secret}");
    }
}

/// What a player follows from a playlist or an MPD leads to the keys.
#[test]
fn manifests_lead_to_the_keys() {
    let handed = Handed::start();
    let web = handed.web();
    for profile in ["open", "open-cenc"] {
        let token = handed.token(&["--profile", profile]);
        let live = format!("/~{token}/{profile}/{}/manifest.mpd", handed.title.id);
        let mpd = String::from_utf8(web.body(&live)).unwrap();
        let (_, laurl) = mpd.split_once("<dashif:Laurl licenseType=\"EME-1.0\">").unwrap();
        let laurl = follow(&live, laurl.split('<').next().unwrap());
        let live = format!("/~{token}/{profile}/{}/master.m3u8", handed.title.id);
        for media in Master::fetch(web, &live).all_media(web) {
            let line = |format: &str| {
                let fits = |line: &&str| line.starts_with("#EXT-X-KEY:") && line.contains(format);
                let line = media.text.lines().find(fits)?;
                let (_, uri) = line.split_once("URI=\"").unwrap();
                Some(follow(&media.path, uri.split('"').next().unwrap()))
            };
            let id = key_id(web, media.path.strip_suffix("/index.m3u8").unwrap());
            let clear_key = line("\"org.w3.clearkey\"").unwrap();
            for url in [&clear_key, &laurl] {
                assert_eq!(handed.licence(url, std::slice::from_ref(&id)).status, 200, "{url}");
            }
            let raw = line("\"identity\"").map(|url| web.body(&url).len());
            assert_eq!(raw, (profile == "open-cenc").then_some(16), "{}", media.text);
        }
    }
}
