//! What manifests say, as text to be reviewed. `UPDATE_GOLDENS=1 cargo test` writes them anew.
//!
//! The goldens lie in a folder named after the output-format constant: whoever changes bytes that
//! players have cached must raise `FORMAT_VERSION`, and then the old folder goes.

use std::path::Path;

use crate::common::{TrackSpec, audio, make, protection, protection_by, samples, video};
use headwater_packager::bmff::{fragment, index, movie};
use headwater_packager::colour::Colour;
use headwater_packager::heads::{Media, Role};
use headwater_packager::layout::ChannelLayout;
use headwater_packager::period::Suffix;
use headwater_packager::protect::{Form, Scheme};
use headwater_packager::signalling::System;
use headwater_packager::timeline::Timeline;
use headwater_packager::{FORMAT_VERSION, dash, hls};

#[test]
fn manifests_and_boxes_are_as_reviewed() {
    let rate = (24_000, 1001);
    let gops = [48, 48, 48, 48, 48, 48, 48, 13];
    let made = make(&[
        video("v720", 720, rate, &gops, 4000),
        video("v360", 360, rate, &gops, 1000),
        audio("a-en", Some("en"), rate, &gops),
        audio("a-de", Some("de"), rate, &gops),
    ]);
    let timeline = Timeline::new(&made.title, 6000, Form::Clear);
    let track = |id: &str| made.title.track(&id.parse().unwrap()).unwrap();
    golden("master.m3u8", &hls::multivariant(&made.title, &timeline, None, ""));
    golden("live-master.m3u8", &hls::multivariant(&made.title, &timeline, None, "V.00c0ffee/"));
    golden("v720.m3u8", &hls::media(&timeline, track("v720"), None));
    golden("a-en.m3u8", &hls::media(&timeline, track("a-en"), None));
    golden("v360.iframes.m3u8", &hls::iframes(&timeline, track("v360"), None).unwrap());
    assert!(hls::iframes(&timeline, track("a-en"), None).is_none());
    golden("manifest.mpd", &dash::mpd(&made.title, &timeline, None, ""));
    golden("live-manifest.mpd", &dash::mpd(&made.title, &timeline, None, "V.00c0ffee/"));
}

/// AVC, HEVC in HDR10 and AV1 beside each other, with AAC in two languages and a description, Opus,
/// and Dolby Atmos.
#[test]
fn several_codecs_of_one_title_are_as_reviewed() {
    let rate = (25, 1);
    let gops = [50, 50, 50, 50];
    let pq = Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false };
    let bt709 = Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false };
    let of = |spec: TrackSpec, codecs| TrackSpec { codecs, ..spec };
    let hevc = |id, height, weight, colour| TrackSpec {
        colour,
        ..of(video(id, height, rate, &gops, weight), "hvc1.2.4.L120.B0")
    };
    let sound = |id, language, codecs, channels| TrackSpec {
        media: Media::Audio { sample_rate: 48_000, channels },
        ..of(audio(id, language, rate, &gops), codecs)
    };
    let made = make(&[
        TrackSpec { colour: Some(bt709), ..video("v720", 720, rate, &gops, 9000) },
        video("v360", 360, rate, &gops, 1000),
        hevc("h1080", 1080, 9000, Some(pq)),
        hevc("h720", 720, 5000, Some(pq)),
        of(video("a1080", 1080, rate, &gops, 5000), "av01.0.08M.08"),
        of(video("a360", 360, rate, &gops, 800), "av01.0.01M.08"),
        sound("en", Some("en"), "mp4a.40.2", 2),
        sound("de", Some("de"), "mp4a.40.2", 2),
        TrackSpec { role: Role::Description, ..sound("en-ad", Some("en"), "mp4a.40.2", 2) },
        sound("de-opus", Some("de"), "opus", 2),
        sound("en-opus", Some("en"), "opus", 2),
        TrackSpec {
            joc: Some(16),
            layout: Some(ChannelLayout::Dolby(0xf801)),
            ..sound("en-atmos", Some("en"), "ec-3", 6)
        },
    ]);
    let timeline = Timeline::new(&made.title, 6000, Form::Clear);
    golden("codecs/master.m3u8", &hls::multivariant(&made.title, &timeline, None, ""));
    golden("codecs/manifest.mpd", &dash::mpd(&made.title, &timeline, None, ""));
}

#[test]
fn protected_manifests_are_as_reviewed() {
    let rate = (24_000, 1001);
    let gops = [48, 48, 48, 48];
    let made = make(&[
        video("v720", 720, rate, &gops, 4000),
        video("v540", 540, rate, &gops, 2000),
        video("v360", 360, rate, &gops, 1000),
        audio("a-en", Some("en"), rate, &gops),
    ]);
    let every =
        [System::Widevine, System::PlayReady, System::FairPlay, System::ClearKey, System::Common];
    for (name, scheme, systems) in
        [("cbcs", Scheme::Cbcs, &every[..]), ("cenc", Scheme::Cenc, &[System::ClearKey])]
    {
        let timeline = Timeline::new(&made.title, 6000, Form::Protected(scheme));
        let protection = protection(&made.title, scheme, systems);
        let protected = Some(&protection);
        let track = |id: &str| made.title.track(&id.parse().unwrap()).unwrap();
        let golden = |file: &str, got: &[u8]| golden(&format!("{name}/{file}"), got);
        golden("master.m3u8", &hls::multivariant(&made.title, &timeline, protected, ""));
        golden("v720.m3u8", &hls::media(&timeline, track("v720"), protected));
        let iframes = hls::iframes(&timeline, track("v360"), protected);
        golden("v360.iframes.m3u8", &iframes.unwrap());
        golden("manifest.mpd", &dash::mpd(&made.title, &timeline, protected, "V.00c0ffee/"));
        let init = |id| dump("init", &protection.init(track(id), Suffix(None)).unwrap().unwrap());
        golden("inits.hex", &[init("v720"), init("a-en")].concat());
    }
}

#[test]
fn manifests_of_key_periods_are_as_reviewed() {
    let rate = (24_000, 1001);
    let gops = [48, 48, 48, 48, 48, 20];
    let made = make(&[
        video("v720", 720, rate, &gops, 4000),
        video("v360", 360, rate, &gops, 1000),
        audio("a-en", Some("en"), rate, &gops),
    ]);
    let track = |id: &str| made.title.track(&id.parse().unwrap()).unwrap();
    for (folder, scheme, systems) in [
        ("periods", Scheme::Cenc, &[System::ClearKey][..]),
        ("periods-aes-128", Scheme::Aes128, &[]),
    ] {
        let timeline = Timeline::new(&made.title, 2000, Form::Protected(scheme));
        let protection = protection_by(&made.title, &timeline, 5, scheme, systems);
        let protected = Some(&protection);
        let golden = |file: &str, got: &[u8]| golden(&format!("{folder}/{file}"), got);
        golden("master.m3u8", &hls::multivariant(&made.title, &timeline, protected, ""));
        golden("v720.m3u8", &hls::media(&timeline, track("v720"), protected));
        golden("a-en.m3u8", &hls::media(&timeline, track("a-en"), protected));
        if scheme == Scheme::Cenc {
            let iframes = hls::iframes(&timeline, track("v360"), protected);
            golden("v360.iframes.m3u8", &iframes.unwrap());
            golden("manifest.mpd", &dash::mpd(&made.title, &timeline, protected, "V.00c0ffee/"));
        }
    }
}

#[test]
fn playlists_of_whole_encrypted_segments_are_as_reviewed() {
    let rate = (24_000, 1001);
    let gops = [48, 48, 48, 48];
    let made =
        make(&[video("v360", 360, rate, &gops, 1000), audio("a-en", Some("en"), rate, &gops)]);
    let timeline = Timeline::new(&made.title, 6000, Form::Protected(Scheme::Aes128));
    let protection = protection(&made.title, Scheme::Aes128, &[]);
    let protected = Some(&protection);
    let track = made.title.track(&"v360".parse().unwrap()).unwrap();
    golden("aes-128/master.m3u8", &hls::multivariant(&made.title, &timeline, protected, ""));
    golden("aes-128/v360.m3u8", &hls::media(&timeline, track, protected));
}

#[test]
fn renditions_with_timelines_of_their_own_say_so() {
    let made = make(&[
        video("v720", 720, (25, 1), &[50, 50, 50, 20], 4000),
        video("v360", 360, (50, 1), &[100, 100, 100, 40], 1000),
    ]);
    let timeline = Timeline::new(&made.title, 4000, Form::Clear);
    golden("own-timelines.mpd", &dash::mpd(&made.title, &timeline, None, ""));
    golden("no-audio.m3u8", &hls::multivariant(&made.title, &timeline, None, ""));
}

#[test]
fn sound_alone_is_its_own_variant() {
    let made = make(&[audio("a-und", None, (24, 1), &[48, 48, 48])]);
    let timeline = Timeline::new(&made.title, 6000, Form::Clear);
    golden("audio-only.m3u8", &hls::multivariant(&made.title, &timeline, None, ""));
    golden("audio-only.mpd", &dash::mpd(&made.title, &timeline, None, ""));
    // Where there is a choice, it is one of languages and not of qualities.
    let made = make(&[
        audio("a-de", Some("de"), (24, 1), &[48, 48, 48]),
        audio("a-en", Some("en"), (24, 1), &[48, 48, 48]),
    ]);
    let timeline = Timeline::new(&made.title, 6000, Form::Clear);
    golden("audio-only-languages.m3u8", &hls::multivariant(&made.title, &timeline, None, ""));
}

#[test]
fn boxes_are_as_reviewed() {
    let init = movie::write_init(&movie::Init {
        timescale: 24_000,
        media: movie::InitMedia::Video { width: 1280, height: 720 },
        language: *b"und",
        sample_entry: b"\0\0\0\x0cavc1\x01\x02\x03\x04",
        edit_media_time: None,
    });
    let moof = fragment::write(3, 1 << 33, &samples(4, 1001, 900, 100)).unwrap();
    let references = [index::Reference { size_bytes: 1000, duration_ticks: 48_048 }; 2];
    let sidx = index::write_sidx(24_000, 0, &references).unwrap();
    golden(
        "boxes.hex",
        &[dump("init", &init), dump("fragment", &moof), dump("sidx", &sidx)].concat(),
    );
}

fn golden(name: &str, got: &[u8]) {
    // An MPD is one line on the wire and an element a line here.
    let got = String::from_utf8_lossy(got).replace("><", ">\n<");
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/{FORMAT_VERSION}"));
    let path = folder.join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(wanted, got, "{name} changed: if that is meant, raise FORMAT_VERSION");
}

/// Sixteen bytes a line, with their text beside them.
fn dump(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut text = format!("{name}: {} bytes\n", bytes.len());
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<_> = line.iter().map(|b| format!("{b:02x}")).collect();
        let ascii: String =
            line.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
        text.push_str(&format!("{:04x}  {:47}  {ascii}\n", i * 16, hex.join(" ")));
    }
    text.into_bytes()
}
