//! What players are told of a key, field by field beside what Shaka Packager tells of the same one.
//!
//! Equal, byte for byte: Widevine's and the common pssh under both schemes, PlayReady's under cbcs,
//! the same boxes in init segments, METHOD, KEYFORMAT, KEYFORMATVERSIONS and KEYID. Different:
//!
//! - PlayReady's header under cenc: 4.3 here, 4.0 with a checksum there. 4.3 has one form for both
//!   schemes, in which a checksum is left out at will (PlayReady Header Specification).
//! - IV: it follows from the key here and is chance there. Shaka Packager says none to FairPlay;
//!   8216bis 4.4.4.4 lets any KEY have one, and each says the one that tenc holds.
//! - FairPlay's URI is the operator's; Shaka Packager writes an `identity` line, which under cbcs no
//!   player of MP4 can use.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use headwater_tests::hls::{Master, Media};
use headwater_tests::origin::Origin;
use headwater_tests::titles::Rate;
use headwater_tests::web::Web;
use headwater_tests::{run, scratch, skip};

use crate::protected::shaka_packager;

const KID: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "00112233445566778899aabbccddeeff";
const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";
const PLAYREADY: &str = "9a04f079-9840-4286-ab92-e65be0885f95";
const COMMON: &str = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";

/// What somebody says of a key.
struct Said {
    init: Vec<u8>,
    mpd: String,
    playlist: String,
}

impl Said {
    /// The texts of an element below the descriptor of a system.
    fn of_system(&self, system: &str, element: &str) -> Option<&str> {
        let (_, rest) = self.mpd.split_once(&format!("urn:uuid:{system}"))?;
        let (descriptor, _) = rest.split_once("</ContentProtection>")?;
        let (_, text) = descriptor.split_once(&format!("<{element}>"))?;
        text.split_once("</").map(|(text, _)| text)
    }

    /// `value` of the descriptor of a system.
    fn value(&self, system: &str) -> Option<&str> {
        let tag = self
            .mpd
            .split("<ContentProtection")
            .find(|tag| tag.split('>').next().unwrap().contains(&format!("urn:uuid:{system}")))?;
        let (_, value) = tag.split('>').next().unwrap().split_once("value=\"")?;
        value.split('"').next()
    }

    /// The attributes of the KEY line of a key format.
    fn line(&self, format: &str) -> BTreeMap<&str, &str> {
        let wanted = format!("KEYFORMAT=\"{format}\"");
        let line =
            self.playlist.lines().find(|l| l.starts_with("#EXT-X-KEY:") && l.contains(&wanted));
        let line = line.unwrap_or_else(|| panic!("{format}: {}", self.playlist));
        let mut rest = line.trim_start_matches("#EXT-X-KEY:");
        let mut found = BTreeMap::new();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap(),
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            found.insert(name, value);
            rest = after.trim_start_matches(',');
        }
        found
    }

    /// Every pssh box of the init segment, as base64.
    fn boxes(&self) -> Vec<Vec<u8>> {
        let at = |kind: usize| u32::from_be_bytes(self.init[kind - 4..kind].try_into().unwrap());
        let starts = (4..self.init.len() - 4).filter(|&i| self.init[i..i + 4] == *b"pssh");
        let mut boxes: Vec<_> =
            starts.map(|i| self.init[i - 4..i - 4 + at(i) as usize].to_vec()).collect();
        boxes.sort();
        boxes
    }

    /// tenc's payload up to where its IV would stand, and schm's.
    fn scheme(&self) -> (Vec<u8>, Vec<u8>) {
        let of = |kind: &[u8; 4], len: usize| {
            let at = self.init.windows(4).position(|name| name == kind).unwrap() + 4;
            self.init[at..at + len].to_vec()
        };
        (of(b"tenc", 24), of(b"schm", 12))
    }
}

fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |c: u8| DIGITS.iter().position(|digit| *digit == c).unwrap();
    let digits: Vec<usize> = text.trim_end_matches('=').bytes().map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let all = four.iter().chain([0; 3].iter()).take(4).fold(0, |all, six| all << 6 | six);
        let [_, a, b, c] = u32::try_from(all).unwrap().to_be_bytes();
        [a, b, c].into_iter().take(four.len() - 1).collect::<Vec<_>>()
    });
    bytes.collect()
}

/// A PlayReady object's one record: its lengths and type checked, its text.
fn header(object: &[u8]) -> String {
    let number = |at: usize| u16::from_le_bytes([object[at], object[at + 1]]);
    assert_eq!(usize::from(number(0)), object.len(), "length, in 32 bits of which 16 are used");
    assert_eq!([number(2), number(4), number(6)], [0, 1, 1], "one record, of rights management");
    assert_eq!(usize::from(number(8)), object.len() - 10);
    let units = object[10..].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    char::decode_utf16(units).map(Result::unwrap).collect()
}

fn video(web: &Web, path: &str) -> Media {
    let media = Master::fetch(web, path).all_media(web);
    media.into_iter().find(|media| media.track().starts_with('v')).unwrap()
}

fn ours(scheme: &str, folder: &Path) -> (Said, Vec<u8>) {
    let title = Rate::Film.title();
    let file = folder.join("keys.json");
    let entry = format!("{{\"title\": \"*\", \"kid\": \"{KID}\", \"key\": \"{KEY}\"}}");
    fs::write(&file, format!("{{\"keys\": [{entry}]}}")).unwrap();
    let fairplay = if scheme == "cbcs" { "\"fairplay\", " } else { "" };
    let start =
        format!("[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n", title.store.display());
    let toml = format!(
        "{start}[keys.main]\nprovider = \"static\"\nfile = \"file:{}\"\n[profiles.p.protection]\n\
         scheme = \"{scheme}\"\nkeys = \"main\"\nfairplay_uri = \"skd://x/{{kid}}\"\n\
         systems = [\"widevine\", \"playready\", {fairplay}\"common\"]\n",
        file.display()
    );
    let mut origin = Origin::launch(&toml, &[]);
    origin.wait_until_ready();
    let web = origin.web();
    let media = video(web, &format!("/p/{}/master.m3u8", title.id));
    let said = Said {
        init: web.body(&media.init_path()),
        mpd: web.text(&format!("/p/{}/manifest.mpd", title.id)),
        playlist: media.text.clone(),
    };
    let mut clear = Origin::launch(&start, &[]);
    clear.wait_until_ready();
    let web = clear.web();
    let media = video(web, &format!("/clear/{}/master.m3u8", title.id));
    let segments = media.segment_paths().into_iter().map(|path| web.body(&path));
    (said, [web.body(&media.init_path())].into_iter().chain(segments).flatten().collect())
}

fn theirs(packager: &Path, scheme: &str, clear: &[u8], folder: &Path) -> Said {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::write(at("in.mp4"), clear).unwrap();
    let mut command = run::command(packager);
    command
        .arg(format!(
            "in={},stream=video,init_segment={},segment_template={},playlist_name=media.m3u8",
            at("in.mp4"),
            at("init.mp4"),
            at("$Number$.m4s")
        ))
        .args(["--enable_raw_key_encryption", "--keys"])
        .arg(format!("label=:key_id={KID}:key={KEY}"))
        .args(["--protection_scheme", scheme, "--clear_lead", "0"])
        .args(["--protection_systems", "Widevine,PlayReady,FairPlay,CommonSystem"])
        .args(["--hls_key_uri", "skd://x", "--mpd_output", &at("their.mpd")])
        .args(["--hls_master_playlist_output", &at("master.m3u8")]);
    run::succeed(&mut command);
    let text = |name: &str| fs::read_to_string(at(name)).unwrap();
    Said {
        init: fs::read(at("init.mp4")).unwrap(),
        mpd: text("their.mpd"),
        playlist: text("media.m3u8"),
    }
}

#[test]
fn players_are_told_what_shaka_packager_tells_them() {
    let Some(packager) = shaka_packager() else {
        return skip::skip("Shaka Packager is not here: `.ci/setup long` installs it");
    };
    for scheme in ["cbcs", "cenc"] {
        let folder = scratch::folder();
        let (ours, clear) = ours(scheme, folder.path());
        let theirs = theirs(&packager, scheme, &clear, folder.path());

        let descriptor = format!("value=\"{scheme}\"");
        let id = "cenc:default_KID=\"01234567-89ab-cdef-0123-456789abcdef\"";
        for said in [&ours, &theirs] {
            assert!(said.mpd.contains(&descriptor) && said.mpd.contains(id), "{}", said.mpd);
        }
        for system in [WIDEVINE, COMMON] {
            let pssh = ours.of_system(system, "cenc:pssh");
            assert!(pssh.is_some());
            assert_eq!(pssh, theirs.of_system(system, "cenc:pssh"), "{scheme} {system}");
        }
        // An init segment has the boxes of the MPD, here and there.
        for said in [&ours, &theirs] {
            let mut boxes: Vec<_> = [WIDEVINE, PLAYREADY, COMMON]
                .map(|system| decoded(said.of_system(system, "cenc:pssh").unwrap()))
                .to_vec();
            boxes.sort();
            let in_init = said.boxes();
            assert!(boxes.iter().all(|pssh| in_init.contains(pssh)), "{scheme}");
        }
        assert_eq!(ours.boxes().len(), 3, "no more than that");
        assert_eq!(ours.scheme().1, theirs.scheme().1, "schm");
        let (mut tenc, their_tenc) = (ours.scheme().0, theirs.scheme().0);
        if scheme == "cenc" {
            // 16 bytes of IV for each sample here, 8 there (23001-7 9.1 has both): ours count
            // blocks from zero, so none meets another.
            assert_eq!((tenc[7], their_tenc[7]), (16, 8));
            tenc[7] = 8;
        }
        assert_eq!(tenc, their_tenc, "tenc before its IV");

        let [our_object, their_object] = [&ours, &theirs].map(|said| {
            let object = decoded(said.of_system(PLAYREADY, "mspr:pro").unwrap());
            let pssh = decoded(said.of_system(PLAYREADY, "cenc:pssh").unwrap());
            assert_eq!(pssh[32..], object, "what the pssh holds is the object");
            object
        });
        let start = "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\"";
        let [our_header, their_header] = [&our_object, &their_object].map(|o| header(o));
        // The id's first three fields are little-endian here.
        let value = "Z0UjAauJ780BI0VniavN7w==";
        let algorithm = if scheme == "cbcs" { "AESCBC" } else { "AESCTR" };
        assert_eq!(
            our_header,
            format!(
                "{start} version=\"4.3.0.0\"><DATA><PROTECTINFO><KIDS><KID ALGID=\"{algorithm}\" \
                 VALUE=\"{value}\"></KID></KIDS></PROTECTINFO></DATA></WRMHEADER>"
            )
        );
        if scheme == "cbcs" {
            assert_eq!(our_object, their_object);
        } else {
            assert!(their_header.starts_with(&format!("{start} version=\"4.0.0.0\">")));
            assert!(
                their_header.contains(&format!("<ALGID>{algorithm}</ALGID>")),
                "{their_header}"
            );
            assert!(their_header.contains(&format!("<KID>{value}</KID>")), "{their_header}");
        }
        assert_eq!(ours.value(PLAYREADY), theirs.value(PLAYREADY));

        let widevine = format!("urn:uuid:{WIDEVINE}");
        for (format, fields) in [
            (widevine.as_str(), &["METHOD", "URI", "KEYID", "KEYFORMATVERSIONS"][..]),
            ("com.microsoft.playready", &["METHOD", "KEYFORMATVERSIONS", "KEYID"]),
            ("com.apple.streamingkeydelivery", &["METHOD", "KEYFORMATVERSIONS", "KEYID"]),
        ] {
            if format.contains("apple") && scheme == "cenc" {
                continue; // FairPlay knows cbcs alone; Shaka Packager writes the line anyway.
            }
            let (our_line, their_line) = (ours.line(format), theirs.line(format));
            for field in fields {
                assert_eq!(our_line.get(field), their_line.get(field), "{scheme} {format} {field}");
            }
            assert_eq!(our_line.contains_key("IV"), scheme == "cbcs", "{scheme} {format}");
        }
        let uri = ours.line("com.microsoft.playready")["URI"].to_owned();
        let object = uri.strip_prefix("data:text/plain;charset=UTF-16;base64,").unwrap();
        assert_eq!(decoded(object), our_object);
    }
}
