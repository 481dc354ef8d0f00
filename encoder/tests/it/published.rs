//! What is published of an ordinary film.

use std::fs;

use headwater_packager::bmff::boxes;
use headwater_packager::bmff::fragment;
use headwater_packager::bmff::movie::Defaults;
use headwater_packager::heads::Media;
use headwater_packager::stored;
use headwater_packager::title::Track;
use serde_json::Value;

use crate::bar::{assert_beeps, assert_codes};
use crate::lab::{Lab, ffprobe, sample};

const TWO_RUNGS: &str = "[{height=180,max_bitrate_kbps=400,crf=23},\
                         {height=144,max_bitrate_kbps=250,crf=23}]";

#[test]
fn a_film_becomes_a_title() {
    let lab = Lab::new();
    let film = sample().to_str().unwrap();
    let ladder = [("HEADWATER_ENCODER__LADDER", TWO_RUNGS)];
    let run = lab.run_with(&["encode", film, "--title", "film", "--json"], &ladder);
    assert_eq!(run.code, Some(0), "{run:?}");

    // Every object, and nothing else; nothing unfinished.
    let version = lab.pointer("film").unwrap().live.unwrap();
    let wanted = ["a-und.mp4", "facts.json", "heads.bin", "v144.mp4", "v180.mp4"]
        .map(|name| format!("film/{version}/{name}"));
    assert_eq!(lab.stored(), [&wanted[..], &["film/title.json".to_owned()]].concat());
    assert_eq!(lab.work(), Vec::<String>::new());

    // Frame k is frame k, and each second beeps.
    for rung in ["v180.mp4", "v144.mp4"] {
        assert_codes(&lab.live_file("film", rung), 0..120);
    }
    assert_beeps(&lab.live_file("film", "a-und.mp4"), &[0, 1000, 2000, 3000, 4000]);

    // One grid: whole GOPs of 48 frames, sound cut nearest to them.
    let title = lab.live("film");
    let samples = |track: &str| {
        let track = title.track(&track.parse().unwrap()).unwrap();
        track.rows(0..track.fragments()).map(|row| row.samples).collect::<Vec<_>>()
    };
    assert_eq!(samples("v180"), [48, 48, 24]);
    assert_eq!(samples("v144"), [48, 48, 24]);
    // 93.75, 187.5 and 234.375 frames of 1024 samples.
    assert_eq!(samples("a-und"), [94, 94, 46]);
    let tracks: Vec<_> = title.tracks().iter().map(|t| (t.codecs(), t.media().clone())).collect();
    let video = |width, height| Media::Video { width, height, frame_rate: (24, 1) };
    let wanted = [
        ("avc1.64000C", video(320, 180)),
        ("avc1.64000C", video(256, 144)),
        ("mp4a.40.2", Media::Audio { sample_rate: 48_000, channels: 2 }),
    ];
    assert_eq!(tracks, wanted);
    assert!(title.tracks().iter().all(Track::is_independent));
    assert_eq!(title.duration_ms(), 5000);
}

/// A track file plays by itself, from zero, without an edit list, and its index leads anywhere.
#[test]
fn a_track_file_stands_alone() {
    let lab = Lab::new();
    lab.encode(sample(), "film");
    for (name, frames, ends) in [("v180.mp4", "120", "5.000000"), ("a-und.mp4", "234", "4.992000")]
    {
        let file = lab.live_file("film", name);
        let path = file.to_str().unwrap();
        let entries = "stream=nb_read_packets,duration";
        let said = ffprobe(&["-count_packets", "-show_entries", entries, "-of", "csv=p=0", path]);
        assert_eq!(said.trim(), format!("{ends},{frames}"), "{name}");
        let bytes = fs::read(&file).unwrap();
        let has = |kind: &[u8]| bytes.windows(4).any(|window| window == kind);
        assert!(has(b"sidx") && !has(b"edts") && !has(b"mfra"), "{name}");
        assert_shown_from_zero(&bytes);
    }
}

/// By the boxes themselves: ffprobe adds to every time stamp what makes none earlier than its
/// decoding.
fn assert_shown_from_zero(file: &[u8]) {
    let mut expected_ticks = 0;
    for boxed in boxes::children(file) {
        let boxed = boxed.unwrap();
        if &boxed.kind == b"moof" {
            let fragment = fragment::parse(boxed.whole, Defaults::default()).unwrap();
            let mut decode_ticks = i64::try_from(fragment.decode_ticks).unwrap();
            let shown_ticks = fragment.samples.iter().map(|sample| {
                let at = decode_ticks + i64::from(sample.composition_offset_ticks);
                decode_ticks += i64::from(sample.duration_ticks);
                at
            });
            assert_eq!(shown_ticks.min(), Some(expected_ticks));
            expected_ticks = decode_ticks;
        }
    }
    assert!(expected_ticks > 0, "no fragment was looked at");
}

#[test]
fn what_json_says() {
    let lab = Lab::new();
    let run = lab.run(&["encode", sample().to_str().unwrap(), "--title", "film", "--json"]);
    let events = run.events();
    let of = |kind: &str| events.iter().filter(|e| e["event"] == kind).collect::<Vec<_>>();
    let stages: Vec<&str> = of("progress").iter().map(|e| e["stage"].as_str().unwrap()).collect();
    let mut order = stages.clone();
    order.dedup();
    assert_eq!(order, ["probe", "encode", "package", "publish", "verify"]);
    let result = events.last().unwrap();
    assert_eq!(result["event"], "result");
    let version = lab.pointer("film").unwrap().live.unwrap();
    assert_eq!(result["version"], version.to_string());
    assert_eq!(result["duration_ms"], 5000);
    let tracks: Vec<&Value> =
        result["tracks"].as_array().unwrap().iter().map(|t| &t["track"]).collect();
    assert_eq!(tracks, ["v180", "a-und"]);
    assert_eq!(run.err, "", "what is said is said in JSON");
}

#[test]
fn an_error_is_json_too() {
    let lab = Lab::new();
    let run = lab.run(&["encode", "no-such-file.mp4", "--title", "film", "--json"]);
    assert_eq!(run.code, Some(2));
    let error = run.events().pop().unwrap();
    assert_eq!((&error["event"], &error["kind"]), (&"error".into(), &"usage".into()));
    assert!(error["text"].as_str().unwrap().contains("no-such-file.mp4"));
}

/// A second encode moves the pointer and leaves the first version to its viewers, and the title's
/// access class stays what it was, in the pointer and in the new heads.
#[test]
fn encoding_again_keeps_the_old_version_and_the_access_class() {
    let lab = Lab::new();
    lab.encode(sample(), "film");
    let mut pointer = lab.pointer("film").unwrap();
    let first = pointer.live.unwrap();
    pointer.access_class = Some("premium".into());
    let key = stored::pointer_key(&"film".parse().unwrap());
    fs::write(lab.store().join(key), pointer.to_json()).unwrap();
    lab.encode(sample(), "film");
    let after = lab.pointer("film").unwrap();
    assert!(after.live.unwrap() > first);
    assert_eq!(after.access_class.as_deref(), Some("premium"));
    assert_eq!(lab.live("film").access_class(), Some("premium"));
    let run = lab.run(&["verify", "film", "--version", &first.to_string()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let shown: Value = serde_json::from_str(&lab.run(&["inspect", "film", "--json"]).out).unwrap();
    let live: Vec<&Value> =
        shown["versions"].as_array().unwrap().iter().map(|v| &v["live"]).collect();
    assert_eq!(live, [false, true]);
}

#[test]
fn inspect_shows_what_is_stored() {
    let lab = Lab::new();
    lab.encode(sample(), "film");
    let run = lab.run(&["inspect", "film"]);
    for words in
        ["title film", "live ", "avc1.64000C", "320x180 24 fps", "48000 Hz 2 ch und", "3 fragments"]
    {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    let run = lab.run(&["inspect", "nothing"]);
    assert_eq!((run.code, run.error()), (Some(1), "there is no title nothing in the store"));
}

#[test]
fn facts_say_what_was_done() {
    let lab = Lab::new();
    lab.encode(sample(), "film");
    let facts = fs::read(lab.live_file("film", "facts.json")).unwrap();
    let facts: Value = serde_json::from_slice(&facts).unwrap();
    assert_eq!(facts["source"]["name"], "sample.mp4");
    assert_eq!(facts["recipe"]["gop_frames"], 48);
    assert!(facts["tools"]["ffmpeg"].as_str().unwrap().starts_with("ffmpeg version"));
    let said = facts.to_string();
    let folders = [lab.path(""), sample().parent().unwrap().to_owned()];
    for folder in folders {
        assert!(!said.contains(folder.to_str().unwrap()), "no path of this machine: {said}");
    }
}

/// The bytes depend on the film and the tools alone: a version can be made again.
#[test]
fn the_same_film_gives_the_same_media() {
    let lab = Lab::new();
    lab.encode(sample(), "one");
    lab.encode(sample(), "two");
    for name in ["v180.mp4", "a-und.mp4"] {
        let read = |title| fs::read(lab.live_file(title, name)).unwrap();
        assert!(read("one") == read("two"), "{name}");
    }
}

#[test]
fn one_title_is_encoded_once_at_a_time() {
    let lab = Lab::new();
    let leases = lab.store().join("leases");
    fs::create_dir_all(&leases).unwrap();
    let held = fs::File::create(leases.join("film")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let run = lab.run(&["encode", sample().to_str().unwrap(), "--title", "film"]);
    assert_eq!(run.code, Some(6));
    assert!(run.error().contains("title film is being encoded by another process"), "{run:?}");
    lab.assert_untouched();
}
