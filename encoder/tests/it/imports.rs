//! Ladders that exist already: what decoders make of the title is what they make of the files.
//!
//! `goldens/import-refusals.txt` has the words in which others are refused; HEADWATER_TEST_UPDATE=1
//! writes them anew.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_packager::bmff::{boxes, movie};
use headwater_packager::heads::Media;

use crate::bar::assert_beeps;
use crate::lab::{Lab, Run, ffmpeg, ffprobe, films, from_sample};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/goldens/import-refusals.txt");

/// Closed GOPs of 48 frames with B pictures, as ladders have them.
const GOP: [&str; 12] = [
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-bf",
    "3",
    "-g",
    "48",
    "-keyint_min",
    "48",
    "-sc_threshold",
    "0",
];

/// A file of the ladder, made from the sample.
fn made(name: &str, options: &[&[&str]]) -> PathBuf {
    from_sample(name, &options.concat())
}

/// A rendition of this height without sound, in GOPs as given.
fn silent(name: &str, height: u32, more: &[&str]) -> PathBuf {
    let scale = format!("scale=-2:{height}");
    made(name, &[&GOP, &["-vf", &scale, "-an"], more])
}

fn import(lab: &Lab, files: &[PathBuf]) -> Run {
    let mut args = vec!["import", "--title", "film"];
    args.extend(files.iter().map(|file| file.to_str().unwrap()));
    lab.run(&args)
}

/// Checksums of a stream's decoded frames.
fn frames(file: &Path, stream: &str) -> Vec<String> {
    let file = file.to_str().unwrap();
    let lines =
        ffmpeg(&["-i", file, "-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    checksums(&lines)
}

/// Checksums of a stream's packets.
fn packets(file: &Path, stream: &str) -> Vec<String> {
    let file = file.to_str().unwrap();
    checksums(&ffmpeg(&["-i", file, "-map", stream, "-c", "copy", "-f", "framemd5", "-"]))
}

fn checksums(framemd5: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(framemd5);
    let frames = text.lines().filter(|line| !line.starts_with('#'));
    frames.filter_map(|line| Some(line.split(',').nth(5)?.trim().to_owned())).collect()
}

/// What an init segment's edit list hides, in ticks.
fn hidden_ticks(init: &[u8]) -> u64 {
    let moov = boxes::need(init, b"moov", "init").unwrap();
    let tracks = movie::parse(moov.payload).unwrap();
    tracks[0].edit_media_time.map_or(0, |time| u64::try_from(time).unwrap())
}

/// Ticks of a frame of sound.
fn frame_ticks(file: &Path) -> u64 {
    let file = file.to_str().unwrap();
    let options = ["-read_intervals", "%+#3", "-show_entries", "packet=pts", "-of", "csv=p=0"];
    let text = ffprobe(&[&options[..], &[file]].concat());
    let times: Vec<i64> =
        text.lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect();
    (times[2] - times[1]).unsigned_abs()
}

/// When pictures are shown, in ms from the first.
fn shown_ms(file: &Path, stream: &str) -> Vec<i64> {
    let file = file.to_str().unwrap();
    let stream = stream.strip_prefix("0:").unwrap();
    let options = ["-select_streams", stream, "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    let text = ffprobe(&[&options[..], &[file]].concat());
    let times = text.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, reason = "a few seconds in ms")]
    let mut times: Vec<i64> = times.map(|s| (s * 1000.0).round() as i64).collect();
    times.sort_unstable();
    let first = times.first().copied().unwrap_or(0);
    times.into_iter().map(|t| t - first).collect()
}

/// A ladder, and which track each stream becomes.
struct Case {
    name: &'static str,
    files: Vec<PathBuf>,
    /// Track, number of its file, stream there.
    tracks: Vec<(&'static str, usize, &'static str)>,
    fragments: u32,
}

fn ladders() -> Vec<Case> {
    let progressive = [silent("l180.mp4", 180, &[]), silent("l120.mp4", 120, &[])];
    let sound = made("l-sound.m4a", &[&["-vn", "-c:a", "aac", "-b:a", "96k"]]);
    let muxed = |name: &str, height: u32, more: &[&str]| {
        let scale = format!("scale=-2:{height}");
        made(name, &[&GOP, &["-vf", &scale, "-c:a", "aac", "-b:a", "64k"], more])
    };
    let fragmented = ["-movflags", "frag_keyframe+empty_moov+default_base_moof"];
    let two = made(
        "l-two.mp4",
        &[&["-map", "0:v", "-map", "0:v", "-map", "0:a"], &GOP, &["-filter:v:1", "scale=-2:90"]],
    );
    let cuts = silent("l-cuts.mp4", 120, &["-force_key_frames", "0.5,2,2.3,4"]);
    let opus = made("l-opus.mp4", &[&["-vn", "-c:a", "libopus", "-b:a", "64k"]]);
    let ac3 = made("l-ac3.mp4", &[&["-vn", "-c:a", "ac3", "-b:a", "96k"]]);
    let eac3 = made("l-eac3.mp4", &[&["-vn", "-c:a", "eac3", "-b:a", "96k"]]);
    let other_sound = made("l-sound2.m4a", &[&["-vn", "-c:a", "aac", "-b:a", "64k"]]);
    let wide = made("l-wide.mp4", &[&GOP, &["-vf", "scale=240:180,setsar=4/3", "-an"]]);
    let uneven = made(
        "l-uneven.mp4",
        &[&["-vf", "select='not(eq(mod(n,7),3))'", "-fps_mode", "vfr"], &GOP, &["-an"]],
    );
    vec![
        Case {
            name: "progressive, a track a file",
            files: vec![progressive[0].clone(), progressive[1].clone(), sound.clone()],
            tracks: vec![("v180", 0, "0:v:0"), ("v120", 1, "0:v:0"), ("a-und", 2, "0:a:0")],
            fragments: 3,
        },
        Case {
            name: "progressive, muxed: the sound is there twice",
            files: vec![muxed("l-m120.mp4", 120, &[]), muxed("l-m180.mp4", 180, &["-b:a", "128k"])],
            tracks: vec![("v180", 1, "0:v:0"), ("v120", 0, "0:v:0"), ("a-und", 1, "0:a:0")],
            fragments: 3,
        },
        Case {
            name: "fragmented, muxed",
            files: vec![muxed("l-f180.mp4", 180, &fragmented), muxed("l-f90.mp4", 90, &fragmented)],
            tracks: vec![("v180", 0, "0:v:0"), ("v90", 1, "0:v:0"), ("a-und", 0, "0:a:0")],
            fragments: 3,
        },
        Case {
            name: "two renditions in one file",
            files: vec![two],
            tracks: vec![("v180", 0, "0:v:0"), ("v90", 0, "0:v:1"), ("a-und", 0, "0:a:0")],
            fragments: 3,
        },
        Case {
            name: "Matroska, on a clock of milliseconds, and a transport stream from 1.4 s",
            files: vec![silent("l180.mkv", 180, &[]), silent("l120.ts", 120, &[])],
            tracks: vec![("v180", 0, "0:v:0"), ("v120", 1, "0:v:0")],
            fragments: 3,
        },
        Case {
            name: "key frames that only one has",
            files: vec![progressive[0].clone(), cuts],
            tracks: vec![("v180", 0, "0:v:0"), ("v120", 1, "0:v:0")],
            fragments: 3,
        },
        Case {
            name: "a key frame a second",
            files: vec![silent("l-often.mp4", 180, &["-g", "24", "-keyint_min", "24"])],
            tracks: vec![("v180", 0, "0:v:0")],
            fragments: 3,
        },
        Case {
            name: "sound in three codecs",
            files: vec![progressive[1].clone(), opus, ac3, eac3],
            tracks: vec![
                ("v120", 0, "0:v:0"),
                ("a-und-opus", 1, "0:a:0"),
                ("a-und-ac3", 2, "0:a:0"),
                ("a-und-eac3", 3, "0:a:0"),
            ],
            fragments: 3,
        },
        Case {
            name: "two sounds in files of their own, which do not say their language",
            files: vec![progressive[1].clone(), sound.clone(), other_sound],
            tracks: vec![("v120", 0, "0:v:0"), ("a-und", 1, "0:a:0"), ("a-und-2", 2, "0:a:0")],
            fragments: 3,
        },
        Case {
            name: "pixels that are not square",
            files: vec![wide],
            tracks: vec![("v180", 0, "0:v:0")],
            fragments: 3,
        },
        Case {
            name: "open GOPs, which start no fragment",
            files: vec![silent("l-open.mp4", 180, &["-x264-params", "open-gop=1:bframes=3"])],
            tracks: vec![("v180", 0, "0:v:0")],
            fragments: 1,
        },
        Case {
            name: "a rate that varies",
            files: vec![uneven],
            tracks: vec![("v180", 0, "0:v:0")],
            fragments: 3,
        },
    ]
}

#[test]
fn decoders_see_what_they_saw() {
    for case in ladders() {
        let (name, lab) = (case.name, Lab::new());
        let run = import(&lab, &case.files);
        assert_eq!(run.code, Some(0), "{name}: {run:?}");
        let title = lab.live("film");
        let ids: Vec<String> = title.tracks().iter().map(|t| t.id().to_string()).collect();
        let wanted: Vec<&str> = case.tracks.iter().map(|(id, ..)| *id).collect();
        assert!(wanted.iter().all(|id| ids.contains(&(*id).to_owned())), "{name}: {ids:?}");
        for (id, file, stream) in &case.tracks {
            let at = format!("{name}: {id}");
            let track = title.track(&id.parse().unwrap()).unwrap();
            assert_eq!(track.fragments(), case.fragments, "{at}");
            let (stored, source) =
                (lab.live_file("film", &format!("{id}.mp4")), &case.files[*file]);
            if track.is_video() {
                assert_eq!(frames(&stored, "0:v:0"), frames(source, stream), "{at}");
                let (got, wanted) = (shown_ms(&stored, "0:v:0"), shown_ms(source, stream));
                assert_eq!(got.len(), wanted.len(), "{at}");
                let off = got.iter().zip(&wanted).find(|(got, wanted)| got.abs_diff(**wanted) > 1);
                assert_eq!(off, None, "{at}: shown at {got:?}");
                let Media::Video { frame_rate: (num, den), .. } = *track.media() else {
                    panic!("{at}")
                };
                let frames = u64::try_from(got.len()).unwrap() * u64::from(track.timescale());
                let (claimed, held) =
                    (u64::from(num) * track.duration_ticks(), frames * u64::from(den));
                assert!(claimed.abs_diff(held) * 100 <= held, "{at}: {num}/{den} frames a second");
            } else {
                let (got, all) = (packets(&stored, "0:a:0"), packets(source, stream));
                let from = all.iter().position(|packet| packet == &got[0]).unwrap();
                assert_eq!(got, all[from..from + got.len()], "{at}");
                assert!(from <= 1, "{at}: {from} packets dropped");
                assert_beeps(&stored, &[0, 1000, 2000, 3000, 4000]);
                // What the edit list hides is in no row.
                let hidden = hidden_ticks(track.init());
                let coded = frame_ticks(&stored) * u64::try_from(got.len()).unwrap();
                assert_eq!(track.duration_ticks() + hidden, coded, "{at}");
                assert_eq!(hidden, if id.ends_with("ac3") { 256 } else { 0 }, "{at}");
            }
        }
        let Media::Video { width, height, .. } = *title.tracks()[0].media() else {
            panic!("{name}")
        };
        assert_eq!((width, height), (320, 180).min((width.max(213), height)), "{name}");
    }
}

/// The import says where it stands, and leaves facts.
#[test]
fn an_import_tells_and_keeps_what_it_did() {
    let lab = Lab::new();
    let file = made("i-muxed.mp4", &[&GOP, &["-c:a", "aac", "-metadata:s:a:0", "language=ger"]]);
    let run = lab.run(&["import", file.to_str().unwrap(), "--title", "film", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let events = run.events();
    let stages: Vec<&str> = events.iter().filter_map(|event| event["stage"].as_str()).collect();
    for stage in ["probe", "copy", "package", "publish", "verify"] {
        assert!(stages.contains(&stage), "{stage} in {stages:?}");
    }
    assert_eq!(events.last().unwrap()["event"], "result");
    assert_eq!(lab.live("film").track(&"a-de".parse().unwrap()).unwrap().language(), Some("de"));
    let facts: serde_json::Value =
        serde_json::from_slice(&fs::read(lab.live_file("film", "facts.json")).unwrap()).unwrap();
    assert_eq!(facts["import"]["files"][0]["name"], "i-muxed.mp4");
    assert_eq!(facts["import"]["files"][0]["streams"][1]["track"], "a-de");
    assert_eq!(lab.work(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_imported_is_refused_in_words_that_help() {
    let mut got = String::new();
    for (name, files) in misfits() {
        let lab = Lab::new();
        let run = import(&lab, &files);
        let text = run.error().split("; ffprobe says: ").next().unwrap();
        let folder = format!("{}/", films().display());
        let text = text.replace(&folder, "").replace(lab.path("").to_str().unwrap(), "");
        writeln!(got, "{name}: exit {}\n  {text}\n", run.code.unwrap_or(-1)).unwrap();
        lab.assert_untouched();
    }
    if std::env::var_os("HEADWATER_TEST_UPDATE").is_some() {
        fs::write(GOLDEN, &got).unwrap();
    }
    let wanted = fs::read_to_string(GOLDEN).unwrap_or_default();
    assert_eq!(got, wanted, "refusals differ from {GOLDEN}");
}

fn misfits() -> Vec<(&'static str, Vec<PathBuf>)> {
    let good = silent("m-good.mp4", 180, &[]);
    let long = silent("m-long.mp4", 180, &["-t", "4", "-g", "500", "-keyint_min", "500"]);
    let longer = films().join("m-longer.mp4");
    let loops = ["-stream_loop", "2", "-i", long.to_str().unwrap()];
    let fast = ["-c:v", "libx264", "-preset", "ultrafast", "-an", "-sc_threshold", "0", "-g"];
    ffmpeg(&[&loops[..], &fast, &["500", longer.to_str().unwrap()]].concat());
    let [of_48, of_50] = ["48", "50"].map(|gop| {
        let film = films().join(format!("m-{gop}.mp4"));
        ffmpeg(&[&loops[..], &fast, &[gop, film.to_str().unwrap()]].concat());
        film
    });
    let open_longer = films().join("m-open-longer.mp4");
    let open_gops = ["-c:v", "libx264", "-g", "24", "-x264-params", "open-gop=1:bframes=3", "-an"];
    ffmpeg(&[&loops[..], &open_gops, &[open_longer.to_str().unwrap()]].concat());
    let short = silent("m-short.mp4", 120, &["-t", "4"]);
    let vp9 =
        made("m-vp9.mp4", &[&["-c:v", "libvpx-vp9", "-deadline", "realtime", "-an", "-t", "1"]]);
    let mp3 = made("m-mp3.mp4", &[&GOP, &["-c:a", "libmp3lame"]]);
    let sound = made("m-sound.m4a", &[&["-vn", "-c:a", "aac"]]);
    let late = films().join("m-late.mp4");
    let sample = crate::lab::sample().to_str().unwrap();
    let delayed = ["-i", sample, "-itsoffset", "0.5", "-i", sample, "-map", "0:v", "-map", "1:a"];
    ffmpeg(&[&delayed[..], &GOP, &["-c:a", "aac", late.to_str().unwrap()]].concat());
    let turned = films().join("m-turned.mp4");
    let turn = ["-i", good.to_str().unwrap(), "-c", "copy", "-metadata:s:v:0", "rotate=90"];
    ffmpeg(&[&turn[..], &[turned.to_str().unwrap()]].concat());
    let interlaced = made(
        "m-interlaced.mp4",
        &[&GOP, &["-vf", "setfield=tff", "-flags", "+ildct+ilme", "-x264opts", "tff=1", "-an"]],
    );
    let cut = films().join("m-cut.mp4");
    let whole = silent("m-whole.mp4", 180, &["-movflags", "+faststart"]);
    let bytes = fs::read(&whole).unwrap();
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let text = films().join("m-text.mp4");
    fs::write(&text, "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n").unwrap();
    let empty = films().join("m-empty.mp4");
    fs::write(&empty, "").unwrap();
    vec![
        ("key frames at other times", vec![of_48, of_50]),
        ("renditions of other lengths", vec![good.clone(), short]),
        ("one key frame in twelve seconds", vec![longer]),
        ("open GOPs", vec![open_longer]),
        ("VP9", vec![vp9]),
        ("MP3", vec![mp3]),
        ("no picture", vec![sound]),
        ("sound that starts late", vec![late]),
        ("rotated", vec![turned]),
        ("interlaced", vec![interlaced]),
        ("cut off", vec![good.clone(), cut]),
        ("a playlist named mp4", vec![text]),
        ("an empty file", vec![good, empty]),
        ("no such file", vec![films().join("m-none.mp4")]),
    ]
}
