//! Recipes: the rule that fits decides, and every codec of a ladder shows the film.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use headwater_tests::beeps::{self, FRAME, RATE};
use headwater_tests::origin::Origin;
use headwater_tests::titles::Title;
use headwater_tests::{barcode, encoder, ffmpeg, run, scratch};

use crate::{cases, film};

const RECIPES: &str = r#"
preset = "ultrafast"
threads = 1
[encoder.recipes.all]
surround = true
audio = [{ codec = "aac" }, { codec = "opus", bitrate_kbps = 64 }, { codec = "dolby" }]
ladder = [
    { height = 180, max_bitrate_kbps = 400, crf = 30 },
    { height = 180, max_bitrate_kbps = 400, crf = 30, codec = "hevc", hdr = true },
    { height = 144, max_bitrate_kbps = 200, crf = 40, codec = "av1" },
]
[[encoder.rules]]
recipe = "all"
max_height = 180
max_fps = 24
[[encoder.ladder]]
height = 144
max_bitrate_kbps = 250
crf = 30
"#;

/// A folder with a configuration, a store and a source.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = scratch::folder();
        fs::create_dir(folder.path().join("store")).unwrap();
        let work = folder.path().join("work");
        let store = folder.path().join("store");
        let toml = format!(
            "[store]\nurl = \"file://{}\"\n[encoder]\nwork_dir = \"{}\"\n{RECIPES}",
            store.display(),
            work.display()
        );
        fs::write(folder.path().join("headwater.toml"), toml).unwrap();
        Self { folder }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn source(&self, file: &'static str, line: &'static str) -> PathBuf {
        film::make(&cases::made("source", file, line), self.folder.path())
    }

    /// What the encoder says and how it ends.
    fn run(&self, args: &[&str], source: &Path) -> (Option<i32>, String) {
        let mut command = encoder::command(args);
        command.arg("--config").arg(self.folder.path().join("headwater.toml")).arg(source);
        let output = run::finish(&mut command);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

#[test]
fn every_codec_of_a_recipe() {
    let lab = Lab::new();
    let source = lab.source("six.mkv", "-i {film} -c:v copy -c:a ac3 -ac 6 -b:a 384k {out}");
    let (code, said) = lab.run(&["probe"], &source);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("recipe all (encoder.rules[0])"), "{said}");
    let (code, said) = lab.run(&["encode", "--title", "film"], &source);
    assert_eq!(code, Some(0), "{said}");
    let title = Title::open(source, (24, 1), lab.store(), "film");
    let tracks: Vec<String> =
        title.heads.tracks().iter().map(|t| format!("{} {}", t.id(), &t.codecs()[..4])).collect();
    let wanted = [
        "v180 avc1",
        "v180-hevc hvc1",
        "v144-av1 av01",
        "a-und mp4a",
        "a-und-6ch mp4a",
        "a-und-opus opus",
        "a-und-opus-6ch opus",
        "a-und-ac3 ac-3",
    ];
    assert_eq!(tracks, wanted);
    let origin = Origin::start(&lab.store());
    let (master, mpd) = (origin.web().url(&title.master()), origin.web().url(&title.mpd()));
    let (_, sounds) = title.tracks();
    for i in 0..sounds.len() {
        beeps_every_second(&master, &format!("0:a:{i}"));
        beeps_every_second(&mpd, &format!("0:a:{i}"));
    }
    for id in title.tracks().0 {
        let file = title.track_file(&id);
        shows_the_film(ffmpeg::path(&file), "0:v:0");
    }
    for stream in ["0:v:0", "0:v:1", "0:v:2"] {
        shows_the_film(&master, stream);
        shows_the_film(&mpd, stream);
    }
}

/// Sound of every codec begins and ends with the picture, and each beep is in its place to 5 ms.
fn beeps_every_second(input: &str, stream: &str) {
    let samples = beeps::samples(input, stream);
    let off = samples.len().abs_diff(4 * RATE);
    assert!(off <= 1536, "{input} {stream}: {} samples", samples.len());
    let onsets = beeps::onsets(&samples);
    let is_near =
        |(k, at): (usize, &usize)| at.abs_diff(k * RATE) <= if k == 0 { FRAME } else { 240 };
    assert!(
        onsets.len() == 4 && onsets.iter().enumerate().all(is_near),
        "{input} {stream}: beeps at {onsets:?}"
    );
}

fn shows_the_film(input: &str, stream: &str) {
    let read = barcode::read(input, &[stream.to_owned()]);
    let codes: Vec<u16> = read[0].iter().map(|code| code.clone().unwrap()).collect();
    assert_eq!(codes, (0..96).collect::<Vec<u16>>(), "{input} {stream}");
}

const HDR: &str = "-i {film} -an -vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le \
                   -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=error \
                   -color_primaries bt2020 -colorspace bt2020nc";

/// What a recipe asks of sound and this ffmpeg or this source has not.
#[test]
fn sound_that_cannot_be_had() {
    let lab = Lab::new();
    let late = lab.source(
        "late.mkv",
        "-i {film} -itsoffset 0.7 -i {film} -map 0:v -map 1:a -c:v copy -c:a ac3 {out}",
    );
    let (code, said) = lab.run(&["encode", "--title", "late"], &late);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is not passed through: it starts 69"), "{said}");
    let title = Title::open(late, (24, 1), lab.store(), "late");
    assert_eq!(title.tracks().1, ["a-und", "a-und-opus"]);
    let encoders = run::succeed(Command::new("ffmpeg").args(["-hide_banner", "-encoders"]));
    if String::from_utf8_lossy(&encoders).contains("libfdk_aac") {
        return;
    }
    let text = fs::read_to_string(lab.folder.path().join("headwater.toml")).unwrap();
    let text = text.replace("codec = \"opus\"", "codec = \"he-aac\"");
    fs::write(lab.folder.path().join("headwater.toml"), text).unwrap();
    let film = lab.source("film.mkv", "-i {film} -c copy {out}");
    let (code, said) = lab.run(&["encode", "--title", "he"], &film);
    assert_eq!(code, Some(5), "{said}");
    assert!(
        said.contains("recipe all needs libfdk_aac, which ffmpeg has not; name another"),
        "{said}"
    );
}

/// HLG stays in the HEVC rung and is toned down in the others.
#[test]
fn hdr_is_kept_where_it_is_asked_for() {
    let lab = Lab::new();
    let line: &'static str =
        Box::leak(format!("{HDR} -color_trc arib-std-b67 {{out}}").into_boxed_str());
    let source = lab.source("hlg.mkv", line);
    let (code, said) = lab.run(&["encode", "--title", "film"], &source);
    assert_eq!(code, Some(0), "{said}");
    let title = Title::open(source, (24, 1), lab.store(), "film");
    let looks = [
        ("v180", "yuv420p", "bt709"),
        ("v180-hevc", "yuv420p10le", "arib-std-b67"),
        ("v144-av1", "yuv420p10le", "bt709"),
    ];
    for (track, pix_fmt, transfer) in looks {
        let file = title.track_file(track);
        shows_the_film(ffmpeg::path(&file), "0:v:0");
        let wanted = ["-show_entries", "stream=pix_fmt,color_transfer"];
        let found = ffmpeg::ffprobe(ffmpeg::path(&file), &wanted);
        let found = &found["streams"][0];
        assert_eq!(
            (&found["pix_fmt"], &found["color_transfer"]),
            (&pix_fmt.into(), &transfer.into()),
            "{track}"
        );
    }
}

const MASTER: &str =
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";

/// An ffmpeg that would lose what HDR10 says of its master is told of, by `probe` too; one that keeps it
/// is used. Where the film says nothing of its master, nothing can be lost.
#[test]
fn hdr10_is_kept_whole_or_refused() {
    let lab = Lab::new();
    let hdr = HDR.replace("log-level=error", &format!("log-level=error:{MASTER}"));
    let line: &'static str =
        Box::leak(format!("{hdr} -color_trc smpte2084 {{out}}").into_boxed_str());
    let source = lab.source("pq.mkv", line);
    let (code, said) = lab.run(&["encode", "--title", "film"], &source);
    if code == Some(0) {
        let title = Title::open(source, (24, 1), lab.store(), "film");
        let file = title.track_file("v180-hevc");
        let wanted =
            ["-read_intervals", "%+#1", "-show_frames", "-show_entries", "frame=side_data_list"];
        let found = ffmpeg::ffprobe(ffmpeg::path(&file), &wanted).to_string();
        assert!(found.contains("Mastering display metadata"), "{found}");
    } else {
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("loses how bright its master was"), "{said}");
        assert!(!lab.store().join("titles/film").exists(), "{said}");
        let (code, said) = lab.run(&["probe"], &source);
        assert_eq!(code, Some(5), "{said}");
    }
    let line: &'static str =
        Box::leak(format!("{HDR} -color_trc smpte2084 {{out}}").into_boxed_str());
    let source = lab.source("plain.mkv", line);
    let (code, said) = lab.run(&["encode", "--title", "plain"], &source);
    assert_eq!(code, Some(0), "{said}");
    let title = Title::open(source, (24, 1), lab.store(), "plain");
    shows_the_film(ffmpeg::path(&title.track_file("v180-hevc")), "0:v:0");
}
