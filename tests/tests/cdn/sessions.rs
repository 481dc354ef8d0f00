//! Keys of single sessions through a shared cache: two viewers share no byte that is under a key, and
//! the cache keeps nothing of either.

use std::collections::BTreeMap;
use std::fs;

use headwater_tests::hls::Master;
use headwater_tests::nginx::Nginx;
use headwater_tests::origin::Origin;
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::{Web, follow};
use headwater_tests::{binaries, ffmpeg, run, scratch};
use reqwest::Method;

const KEY: (&str, &str) =
    ("TOKENS", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
const MASTER: (&str, &str) = ("MASTER", "000102030405060708090a0b0c0d0e0f");
const NOWHERE: &str = "private, no-store";

/// What one viewer is given, by the path below the session.
struct Viewer<'a> {
    web: &'a Web,
    token: String,
    /// `/~<token>/.../s.<session>/`
    folder: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl<'a> Viewer<'a> {
    /// Fetches all there is of the title: HLS, DASH, init segments, media and keys.
    fn watch(web: &'a Web, title: &Title, token: String, session: &str) -> Self {
        let live = format!("/~{token}/own/{}/", title.id);
        let mut files = BTreeMap::new();
        let mut take = |name: &str, path: &str| {
            let answer = web.get(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(answer.header("cache-control"), Some(NOWHERE), "{path}");
            files.insert(name.to_owned(), answer.body);
        };
        let mpd = web.text(&format!("{live}manifest.mpd"));
        assert!(mpd.contains(&format!("/s.{session}/")), "{mpd}");
        let master = Master::fetch(web, &format!("{live}master.m3u8"));
        let media = master.all_media(web);
        let of = media[0].path.find("/s.").map(|at| at + 3 + session.len() + 1).unwrap();
        let folder = media[0].path[..of].to_owned();
        assert!(folder.ends_with(&format!("/s.{session}/")), "{folder}");
        take("manifest.mpd", &format!("{folder}manifest.mpd"));
        take("master.m3u8", &format!("{folder}master.m3u8"));
        for media in &media {
            let key = follow(&media.path, "key");
            for path in [media.path.clone(), media.init_path(), key]
                .into_iter()
                .chain(media.segment_paths())
            {
                take(&path[of..], &path);
            }
        }
        Self { web, token, folder, files }
    }

    /// Ids of keys that its init segments name, as licences write them, by track.
    fn key_id(&self, track: &str) -> Vec<u8> {
        let init = &self.files[&format!("{track}/init.mp4")];
        let tenc = init.windows(4).position(|name| name == b"tenc").unwrap();
        init[tenc + 12..tenc + 28].to_vec()
    }

    fn licence(&self, id: &[u8]) -> (u16, String) {
        let body = format!("{{\"kids\":[\"{}\"]}}", base64url(id));
        let answer = self.web.post(&format!("{}clearkey", self.folder), &body);
        (answer.status, if answer.status == 200 { String::new() } else { answer.error() })
    }

    /// A sum of each picture of the first segment, as this key shows it.
    fn seen_with(&self, track: &str, key: &[u8]) -> Vec<String> {
        let folder = scratch::folder();
        let file = folder.path().join("film.mp4");
        let part = |name: &str| self.files[&format!("{track}/{name}")].clone();
        fs::write(&file, [part("init.mp4"), part("1.m4s")].concat()).unwrap();
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let args = ["-decryption_key", &key, "-i", ffmpeg::path(&file), "-c", "copy"];
        // It complains of what it finds under a wrong key, and goes on.
        let mut ffmpeg = run::command("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "quiet"]).args(args).args(["-f", "framemd5", "-"]);
        let lines = String::from_utf8(run::finish(&mut ffmpeg).stdout).unwrap();
        let sums = lines.lines().filter(|line| !line.starts_with('#'));
        sums.map(|line| line.split(',').nth(5).unwrap().trim().to_owned()).collect()
    }
}

#[test]
fn two_viewers_share_no_protected_byte() {
    let title = Rate::Film.title();
    let folder = scratch::folder();
    let toml = format!(
        "[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n\
         [origin.tokens]\nkeys = [{{ id = \"k1\", secret = \"env:TOKENS\" }}]\n\
         [keys.main]\nprovider = \"derived\"\nmaster = \"env:MASTER\"\n\
         [profiles.own]\nsegment_ms = 2000\n[profiles.own.access]\nenforced_by = \"origin\"\n\
         [profiles.own.protection]\nscheme = \"cbcs\"\nkeys = \"main\"\nkey_scope = \"session\"\n\
         systems = [\"clearkey\"]\ndeliver_keys = true\n",
        title.store.display(),
    );
    let config = folder.path().join("headwater.toml");
    fs::write(&config, &toml).unwrap();
    let mut origin = Origin::launch(&toml, &[KEY, MASTER]);
    origin.wait_until_ready();
    let Some(nginx) = Nginx::start([&origin, &origin], None) else { return };
    let web = nginx.web();
    let sign = |more: &[&str]| {
        let mut sign = run::command(binaries::origin());
        sign.args(["sign", "--key", "k1", "--lasts-s", "600", "--folder", "/own", "--config"]);
        let sign = sign.arg(&config).args(more).envs([KEY, MASTER]);
        String::from_utf8(run::succeed(sign)).unwrap().trim().to_owned()
    };
    let [one, two] = ["a-1", "b.2"]
        .map(|session| Viewer::watch(web, title, sign(&["--session", session]), session));

    // The same files, and not one of those under a key has the same bytes.
    assert_eq!(one.files.keys().collect::<Vec<_>>(), two.files.keys().collect::<Vec<_>>());
    let is_protected = |name: &&String| !name.ends_with("master.m3u8");
    let protected: Vec<_> = one.files.keys().filter(is_protected).collect();
    assert!(protected.len() > 10, "{protected:?}");
    for name in protected {
        assert_ne!(one.files[name], two.files[name], "{name}");
    }
    // Asked again, the same bytes; and of all this nothing is in the cache.
    let again = Viewer::watch(web, title, one.token.clone(), "a-1");
    assert_eq!(again.files, one.files);
    assert_eq!(nginx.cached(), 0, "what is one viewer's is kept by nobody");
    let kept = origin.metric("headwater_origin_cache_fills_total{outcome=\"kept\"}");
    assert_eq!(kept, 0.0, "nor by the origin");

    // Each has a licence for his own keys alone, and sees nothing with the other's.
    let is_picture = |name: &&String| name.starts_with('v') && name.ends_with("/key");
    let video = one.files.keys().find(is_picture).unwrap().strip_suffix("/key").unwrap();
    for (viewer, other) in [(&one, &two), (&two, &one)] {
        assert_eq!(viewer.licence(&viewer.key_id(video)).0, 200);
        assert_eq!(viewer.licence(&other.key_id(video)), (404, "unknown_key".to_owned()));
        let key = |viewer: &Viewer<'_>| viewer.files[&format!("{video}/key")].clone();
        let film = viewer.seen_with(video, &key(viewer));
        assert_eq!(
            film,
            other.seen_with(video, &key(other)),
            "each sees the film with his own key"
        );
        let seen = viewer.seen_with(video, &key(other));
        assert!(
            film.len() > 20 && film.iter().all(|sum| !seen.contains(sum)),
            "and noise with the other's"
        );
        // A token opens its own session's paths alone.
        let theirs = other.folder.replace(&other.token, &viewer.token);
        // Without the token before it, as it comes in a cookie, the query or a header.
        let bare = theirs.strip_prefix(&format!("/~{}", viewer.token)).unwrap();
        let cookie = format!("headwater-token={}", viewer.token);
        let bearer = format!("Bearer {}", viewer.token);
        let files = ["init.mp4", "key", "index.m3u8", "iframes.m3u8", "1.m4s", "2.m4s"];
        let files = files.map(|file| format!("{video}/{file}"));
        let files = files.iter().map(String::as_str);
        for file in files.chain(["master.m3u8", "manifest.mpd", "clearkey"]) {
            let body = format!("{{\"kids\":[\"{}\"]}}", base64url(&other.key_id(video)));
            let answers = match file {
                "clearkey" => vec![web.post(&format!("{theirs}{file}"), &body)],
                _ => vec![
                    web.get(&format!("{theirs}{file}")),
                    web.get(&format!("{bare}{file}?token={}", viewer.token)),
                    web.get_with(&format!("{bare}{file}"), &[("cookie", &cookie)]),
                    web.get_with(&format!("{bare}{file}"), &[("authorization", &bearer)]),
                ],
            };
            for (carrier, answer) in answers.iter().enumerate() {
                let said = (answer.status, answer.error());
                assert_eq!(said, (403, "not_permitted".to_owned()), "{file} {carrier}");
                assert_eq!(answer.header("cache-control"), Some(NOWHERE), "{file}");
            }
            let head = web.ask(Method::HEAD, &format!("{theirs}{file}"), &[]);
            let wanted = if file == "clearkey" { [403, 405] } else { [403, 403] };
            assert!(wanted.contains(&head.status), "{file}: {}", head.status);
        }
        // The same ways are good for one's own.
        let own = viewer.folder.strip_prefix(&format!("/~{}", viewer.token)).unwrap();
        let mine = format!("{own}{video}/1.m4s");
        for answer in [
            web.get(&format!("{mine}?token={}", viewer.token)),
            web.get_with(&mine, &[("cookie", &cookie)]),
            web.get_with(&mine, &[("authorization", &bearer)]),
        ] {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, viewer.files[&format!("{video}/1.m4s")]);
            assert_eq!(answer.header("cache-control"), Some(NOWHERE));
        }
    }

    // A token of no session, and a path without one.
    let nobody = sign(&[]);
    let live = web.get(&format!("/~{nobody}/own/{}/master.m3u8", title.id));
    assert_eq!((live.status, live.error().as_str()), (403, "not_permitted"));
    let bare = one.folder.replace("s.a-1/", "");
    let answer = web.get(&format!("{bare}master.m3u8"));
    assert_eq!((answer.status, answer.header("cache-control")), (404, Some(NOWHERE)));
    assert_eq!(nginx.cached(), 0);
}

/// Sessions whose keys change too: every period of each has a key of its own, all of them differ, and
/// each file of a period is under it.
#[test]
fn keys_of_sessions_change_with_periods() {
    let title = Rate::Film.title();
    let folder = scratch::folder();
    let toml = format!(
        "[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n\
         [origin.tokens]\nkeys = [{{ id = \"k1\", secret = \"env:TOKENS\" }}]\n\
         [keys.main]\nprovider = \"derived\"\nmaster = \"env:MASTER\"\n\
         [profiles.own]\nsegment_ms = 2000\n[profiles.own.access]\nenforced_by = \"origin\"\n\
         [profiles.own.protection]\nscheme = \"cenc\"\nkeys = \"main\"\nkey_scope = \"session\"\n\
         key_period_s = 4\nsystems = [\"clearkey\"]\ndeliver_keys = true\n",
        title.store.display(),
    );
    let config = folder.path().join("headwater.toml");
    fs::write(&config, &toml).unwrap();
    let mut origin = Origin::launch(&toml, &[KEY, MASTER]);
    origin.wait_until_ready();
    let web = origin.web();
    let mut seen = BTreeMap::new();
    for session in ["a-1", "b.2"] {
        let mut sign = run::command(binaries::origin());
        sign.args(["sign", "--key", "k1", "--lasts-s", "600", "--folder", "/own", "--config"]);
        sign.arg(&config).args(["--session", session]).envs([KEY, MASTER]);
        let token = String::from_utf8(run::succeed(&mut sign)).unwrap().trim().to_owned();
        let live = format!("/~{token}/own/{}/", title.id);
        for media in Master::fetch(web, &format!("{live}master.m3u8")).all_media(web) {
            let suffixes: Vec<_> = media
                .text
                .lines()
                .filter_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"init."))
                .map(|rest| rest.split('.').next().unwrap().to_owned())
                .collect();
            assert!(suffixes.len() > 1, "{}", media.text);
            for suffix in suffixes {
                let key = web.get(&follow(&media.path, &format!("key.{suffix}")));
                assert_eq!((key.status, key.body.len()), (200, 16), "{}", key.text());
                assert_eq!(key.header("cache-control"), Some(NOWHERE));
                let init = web.body(&follow(&media.path, &format!("init.{suffix}.mp4")));
                let tenc = init.windows(4).position(|name| name == b"tenc").unwrap();
                let id = init[tenc + 12..tenc + 28].to_vec();
                // Tracks of a label have one key; nothing else has.
                let of =
                    seen.entry(id).or_insert_with(|| (session, suffix.clone(), key.body.clone()));
                assert_eq!(*of, (session, suffix, key.body), "{}", media.path);
            }
        }
    }
    let mut keys: Vec<_> = seen.values().map(|(_, _, key)| key).collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert!(keys.len() == count && count >= 8, "{} of {count}", keys.len());
}

/// A key's id as Clear Key's messages write it.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)).collect();
    let digit = |six: &[u8]| {
        let six = six
            .iter()
            .chain([0; 5].iter())
            .take(6)
            .fold(0, |all, bit| all << 1 | usize::from(*bit));
        char::from(DIGITS[six])
    };
    bits.chunks(6).map(digit).collect()
}
