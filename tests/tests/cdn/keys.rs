//! Keys through the cache: judged by the origin with each request, kept by nobody.

use std::fs;

use headwater_tests::hls::Master;
use headwater_tests::nginx::Nginx;
use headwater_tests::origin::Origin;
use headwater_tests::titles::Rate;
use headwater_tests::{binaries, run, scratch};

const SECRET: &str = "thisSecretMustNeverAppearInAnyLog-cdn";
const KEY: (&str, &str) =
    ("TOKENS", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
const MASTER: (&str, &str) = ("MASTER", "000102030405060708090a0b0c0d0e0f");
/// Two nodes while a configuration rolls: what one answers, the other does not know.
const NODES_MS: [u32; 2] = [6000, 4000];

#[test]
fn licences_reach_the_node_that_has_them_and_stay_nowhere() {
    let title = Rate::Film.title();
    let folder = scratch::folder();
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let tomls = NODES_MS.map(|segment_ms| {
        format!(
            "[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n\
             [origin.tokens]\nkeys = [{{ id = \"k1\", secret = \"env:TOKENS\" }}]\n\
             [keys.main]\nprovider = \"derived\"\nmaster = \"env:MASTER\"\n\
             [profiles.paid]\nsegment_ms = {segment_ms}\n\
             [profiles.paid.access]\nenforced_by = \"cdn\"\ncdn_secrets = [\"file:{}\"]\n\
             [profiles.paid.protection]\nscheme = \"cbcs\"\nkeys = \"main\"\n\
             systems = [\"clearkey\"]\ndeliver_keys = true\n",
            title.store.display(),
            secret.display(),
        )
    });
    let config = folder.path().join("headwater.toml");
    fs::write(&config, &tomls[0]).unwrap();
    let [old, new] = tomls.map(|toml| {
        let mut origin = Origin::launch(&toml, &[KEY, MASTER]);
        origin.wait_until_ready();
        origin
    });
    let Some(nginx) = Nginx::judging([&old, &new], Some(SECRET), &["paid"]) else { return };
    let mut sign = run::command(binaries::origin());
    sign.args(["sign", "--key", "k1", "--lasts-s", "600", "--folder", "/paid", "--config"]);
    let sign = sign.arg(&config).envs([KEY, MASTER]);
    let token = String::from_utf8(run::succeed(sign)).unwrap().trim().to_owned();

    let web = nginx.web();
    let master = Master::fetch(web, &format!("/~{token}/paid/{}/master.m3u8", title.id));
    let media = &master.all_media(web)[0];
    let track = media.path.strip_suffix("/index.m3u8").unwrap();
    let version = track.rsplit_once('/').unwrap().0;
    let clearkey = format!("{version}/clearkey");
    let before = nginx.cached();
    // What is no licence request tells the node that holds the version from one that does not.
    // Whichever is asked first, and however often.
    for _ in 0..4 {
        let answer = web.post(&clearkey, "{}");
        assert_eq!((answer.status, answer.error().as_str()), (400, "malformed_licence_request"));
        assert_eq!(web.body(&format!("{track}/key")).len(), 16);
    }
    // Without a token, and with one that is none: the origin's own refusal, before any key.
    let bare = clearkey.split_once(&token).unwrap().1;
    for path in [bare.to_owned(), format!("/~{}{bare}", &token[1..])] {
        let answer = web.post(&path, "{}");
        assert!([401, 403].contains(&answer.status), "{}: {}", answer.status, answer.text());
    }
    assert_eq!(nginx.cached(), before, "no key and no licence is kept");
}
