//! What is asked for and cannot be had, by this file or by this machine: each in words that help, in
//! `goldens/requests.txt`; HEADWATER_TEST_UPDATE=1 writes them anew.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::OnceLock;

use headwater_encoder::ffmpeg::run::End;
use headwater_encoder::ffmpeg::{Limits, Log};
use headwater_encoder::source::Said;
use headwater_encoder::text::Sidecar;

use crate::lab::{Lab, ffmpeg, films, from_sample, sample};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/goldens/requests.txt");

#[test]
fn what_cannot_be_had_is_told_in_words_that_help() {
    let mut got = String::new();
    for (name, code, input, args) in requests() {
        let lab = Lab::new();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let run =
            lab.run(&[&["encode", input.to_str().unwrap(), "--title", "film"], &args[..]].concat());
        writeln!(got, "{name}: exit {code}\n  {}\n", ours(run.error())).unwrap();
        assert_eq!(run.code, Some(code), "{name}: {run:?}");
        assert_eq!(lab.stored(), Vec::<String>::new(), "{name}: nothing may be published");
    }
    for (name, code, ladder, lacks) in recipes() {
        let lab = Lab::new();
        let config = lab.path("headwater.toml");
        fs::write(&config, toml(&ladder, &without(&lab, lacks))).unwrap();
        let film = if name.contains("HDR") { hdr().to_owned() } else { sample().to_owned() };
        let options = ["encode", film.to_str().unwrap(), "--title", "film", "--config"];
        let run = lab.run(&[&options[..], &[config.to_str().unwrap()]].concat());
        let said = ours(run.error()).replace(&lab.path("ffmpeg").display().to_string(), "ffmpeg");
        writeln!(got, "{name}: exit {code}\n  {said}\n").unwrap();
        assert_eq!(run.code, Some(code), "{name}: {run:?}");
    }
    for (name, signal, said) in [
        ("beyond its CPU seconds", 9, ""),
        ("beyond its bytes", 25, ""),
        ("beyond its memory", 0, "[error] Cannot allocate memory"),
    ] {
        let mut log = Log::default();
        log.line(said);
        let status =
            if signal == 0 { ExitStatus::from_raw(256) } else { ExitStatus::from_raw(signal) };
        let limits = Limits { cpu_s: 600, file_bytes: 1 << 30, memory_bytes: 4 << 30 };
        let text = End { status, log, limits }.success("ffmpeg").unwrap_err();
        writeln!(got, "{name}\n  {text}\n").unwrap();
    }
    for wrong in ["lang=en", "1:lang=", "1:role=hero", "1:name=x"] {
        writeln!(got, "--audio {wrong}\n  {}\n", wrong.parse::<Said>().unwrap_err()).unwrap();
    }
    for wrong in ["film.srt", "film.srt:42"] {
        writeln!(got, "--text {wrong}\n  {}\n", wrong.parse::<Sidecar>().unwrap_err()).unwrap();
    }
    if std::env::var_os("HEADWATER_TEST_UPDATE").is_some() {
        fs::write(GOLDEN, &got).unwrap();
    }
    assert_eq!(got, fs::read_to_string(GOLDEN).unwrap_or_default(), "differs from {GOLDEN}");
}

/// What ffmpeg and its version say differs from release to release, and folders from run to run.
fn ours(text: &str) -> String {
    let folder = format!("{}/", films().display());
    let text = text.replace(&folder, "");
    let text = text.split("ffprobe says: ").next().unwrap();
    let text = text.split("ffmpeg says: ").next().unwrap();
    match text.split_once("ffmpeg version ") {
        Some((before, after)) => {
            let after = after.split_once(". ").map_or("", |(_, after)| after);
            format!("{before}VERSION. {after}")
        }
        None => text.trim_end().to_owned(),
    }
}

fn requests() -> Vec<(&'static str, i32, PathBuf, Vec<String>)> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let text = |name: &str, bytes: &[u8]| {
        let path = films().join(name);
        fs::write(&path, bytes).unwrap();
        vec!["--text".to_owned(), format!("{}:en", path.display())]
    };
    let film = sample().to_owned();
    vec![
        ("a sound that is not there", 2, film.clone(), words(&["--audio", "9:lang=en"])),
        ("a text that is not there", 2, film.clone(), words(&["--text", "nothing.srt:en"])),
        ("a text without an end", 2, film.clone(), words(&["--text", "/dev/zero:en"])),
        (
            "a text in Latin 1",
            3,
            film.clone(),
            text("latin.srt", b"1\n00:00:01,000 --> 00:00:02,000\n\xe9\n"),
        ),
        (
            "a text with a wrong time",
            3,
            film.clone(),
            text("time.srt", b"1\n00:00:01,000 --> soon\nx\n"),
        ),
        (
            "a cue that ends first",
            3,
            film.clone(),
            text("ends.srt", b"00:00:02,000 --> 00:00:01,000\nx\n"),
        ),
        (
            "cues out of order",
            3,
            film.clone(),
            text(
                "order.srt",
                b"00:00:02,000 --> 00:00:03,000\nx\n\n00:00:01,000 --> 00:00:03,000\ny\n",
            ),
        ),
        ("a text without a cue", 3, film.clone(), text("none.srt", b"words\n")),
        ("too many texts", 2, film.clone(), words(&["--text", "a.srt:en"].repeat(33))),
        ("no file", 2, "nothing.mp4".into(), Vec::new()),
        ("an empty file", 4, written("empty.mp4", b""), Vec::new()),
        (
            "a film without its end",
            4,
            cut("cut.mp4", &["-c", "copy", "-movflags", "+faststart"]),
            Vec::new(),
        ),
        ("a film without its index", 4, cut("index.mp4", &["-c", "copy"]), Vec::new()),
        ("sound that changes", 3, layouts(), Vec::new()),
    ]
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = films().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn cut(name: &str, options: &[&str]) -> PathBuf {
    let film = from_sample(name, options);
    let mut bytes = fs::read(&film).unwrap();
    bytes.truncate(bytes.len() * 6 / 10);
    fs::write(&film, bytes).unwrap();
    film
}

/// Two seconds of stereo and then six channels, as broadcasters send them.
fn layouts() -> PathBuf {
    let two = from_sample("two.ac3", &["-vn", "-t", "2", "-c:a", "ac3", "-ac", "2"]);
    let six = from_sample("six.ac3", &["-vn", "-t", "3", "-c:a", "ac3", "-ac", "6"]);
    let both = format!("concat:{}|{}", two.display(), six.display());
    let film = films().join("layouts.ts");
    let inputs = ["-i", sample().to_str().unwrap(), "-f", "ac3", "-i", &both];
    let rest = ["-map", "0:v", "-map", "1:a", "-c", "copy", film.to_str().unwrap()];
    ffmpeg(&[&inputs[..], &rest].concat());
    film
}

fn hdr() -> &'static Path {
    static FILM: OnceLock<PathBuf> = OnceLock::new();
    FILM.get_or_init(made_hdr)
}

fn made_hdr() -> PathBuf {
    let master = "log-level=error:master-display=G(13250,34500)B(7500,3000)R(34000,16000)\
                  WP(15635,16450)L(10000000,1)";
    let colours =
        ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"];
    let codec = ["-an", "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"];
    from_sample("hdr.mkv", &[&codec[..], &["-x265-params", master], &colours].concat())
}

/// Recipes, and which encoder or filter the ffmpeg at hand lacks.
fn recipes() -> Vec<(&'static str, i32, String, &'static str)> {
    let rung = |more: &str| {
        format!("ladder = [{{ height = 180, max_bitrate_kbps = 400, crf = 30{more} }}]\n")
    };
    let mut all = vec![
        ("HEVC without libx265", 5, rung(", codec = \"hevc\""), "libx265"),
        ("AV1 without libsvtav1", 5, rung(", codec = \"av1\""), "libsvtav1"),
        (
            "HE-AAC without libfdk_aac",
            5,
            format!("{}audio = [{{ codec = \"he-aac\" }}]\n", rung("")),
            "libfdk_aac",
        ),
        (
            "Opus without libopus",
            5,
            format!("{}audio = [{{ codec = \"opus\" }}]\n", rung("")),
            "libopus",
        ),
        ("HDR toned down without zscale", 5, rung(""), "zscale"),
    ];
    let loses = String::from_utf8(ffmpeg(&["-version"])).unwrap().contains("version 5.1");
    if loses {
        all.push((
            "HDR10 with an ffmpeg that loses it",
            5,
            rung(", codec = \"hevc\", hdr = true"),
            "nothing",
        ));
    }
    all
}

fn toml(recipe: &str, ffmpeg: &Path) -> String {
    format!(
        "[encoder]\nffmpeg = \"{}\"\n[encoder.recipes.wish]\n{recipe}[[encoder.rules]]\nrecipe = \"wish\"\n",
        ffmpeg.display()
    )
}

/// An ffmpeg whose lists lack a name.
fn without(lab: &Lab, name: &str) -> PathBuf {
    let path = lab.path("ffmpeg");
    let script = format!(
        "#!/bin/sh\nfor word; do\n  case $word in -encoders|-filters) ffmpeg \"$@\" | grep -v ' {name} '; exit 0 ;; esac\ndone\nexec ffmpeg \"$@\"\n"
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}
