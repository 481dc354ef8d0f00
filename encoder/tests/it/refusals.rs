//! What this version does not take is refused in words that name the stream, what was found and
//! what to do. The words are in `goldens/refusals.txt`; HEADWATER_TEST_UPDATE=1 writes them anew.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_encoder::probe::Probe;
use headwater_encoder::source;

use crate::lab::{Lab, ffmpeg, films, from_sample};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/goldens/refusals.txt");

#[test]
fn odd_sources_are_refused_in_words_that_help() {
    let mut got = String::new();
    for (name, film) in odd_sources() {
        let lab = Lab::new();
        let run = lab.run(&["encode", film.to_str().unwrap(), "--title", "film"]);
        let folder = format!("{}/", film.parent().unwrap().display());
        // What ffprobe says differs from release to release.
        let ours = run.error().split("; ffprobe says: ").next().unwrap();
        let text = ours.replace(&folder, "");
        let code = run.code.unwrap_or(-1);
        writeln!(got, "{name}: exit {code}\n  {text}\n").unwrap();
        assert_eq!(code, 3, "{name}: {run:?}");
        lab.assert_untouched();
    }
    for (name, json) in ODD_HEADERS {
        let refused = Probe::parse(json.as_bytes()).and_then(|probe| source::select(&probe, &[]));
        let text = refused.expect_err(name).to_string();
        writeln!(got, "{name}\n  {text}\n").unwrap();
    }
    if std::env::var_os("HEADWATER_TEST_UPDATE").is_some() {
        fs::write(GOLDEN, &got).unwrap();
    }
    let wanted = fs::read_to_string(GOLDEN).unwrap_or_default();
    assert_eq!(got, wanted, "refusals differ from {GOLDEN}");
}

/// What no small film can show, as ffprobe says it.
const ODD_HEADERS: [(&str, &str); 7] = [
    (
        "Dolby Vision without another layer",
        r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "hevc", "width": 3840,
            "height": 2160, "pix_fmt": "yuv420p10le", "side_data_list":
            [{"side_data_type": "DOVI configuration record", "dv_profile": 5,
            "dv_bl_signal_compatibility_id": 0}]}]}"#,
    ),
    (
        "a huge picture",
        r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "mjpeg", "width": 15000,
            "height": 15000, "pix_fmt": "yuvj420p"}]}"#,
    ),
    (
        "a picture without a size",
        r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "mjpeg", "width": 0,
            "height": 0}]}"#,
    ),
    (
        "a codec without a decoder",
        r#"{"streams": [{"index": 1, "codec_type": "video", "width": 640, "height": 360}]}"#,
    ),
    (
        "sound without a decoder",
        r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "h264", "width": 640,
            "height": 360, "pix_fmt": "yuv420p"}, {"index": 1, "codec_type": "audio"}]}"#,
    ),
    (
        "sixteen channels",
        r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "h264", "width": 640,
            "height": 360, "pix_fmt": "yuv420p"}, {"index": 1, "codec_type": "audio",
            "codec_name": "pcm_s16le", "channels": 16}]}"#,
    ),
    ("no stream", r#"{"streams": []}"#),
];

fn odd_sources() -> Vec<(&'static str, PathBuf)> {
    let fast = ["-an", "-preset", "ultrafast"];
    let made = |name: &str, options: &[&str]| from_sample(name, &[&fast[..], options].concat());
    let apart = |name: &str, times: &str| {
        let filter = format!("select=lt(n\\,3),settb=1,setpts={times}");
        let rest = ["-fps_mode", "passthrough", "-enc_time_base", "1:1", "-bf", "0"];
        made(name, &[&["-vf", &filter, "-video_track_timescale", "1"], &rest[..]].concat())
    };
    vec![
        ("rotated by 45", from_sample("slant.mp4", &["-c", "copy", "-metadata:s:v", "rotate=45"])),
        ("frames days apart", apart("weeks.mp4", "N*1000000")),
        ("frames days apart, milliseconds", apart("weeks.mkv", "N*1000000")),
        ("frames minutes apart", apart("minutes.mp4", "N*700")),
        ("one frame, then minutes", apart("pause.mkv", "if(eq(N\\,2)\\,900\\,N)")),
        ("absurd pixels", made("absurd.mp4", &["-vf", "setsar=1/100"])),
        ("tiny", made("tiny.mp4", &["-vf", "scale=64:16"])),
        ("sound alone", from_sample("sound.m4a", &["-vn", "-c:a", "copy"])),
        ("sound with a cover", cover()),
        ("a picture", from_sample("picture.png", &["-frames:v", "1"])),
        ("text", text("text.mp4", "These are words.\n")),
        ("a playlist", text("playlist.mp4", &playlist())),
        ("a list of files", text("list.mp4", &list())),
        ("a vector graphic", text("drawing.mp4", DRAWING)),
        ("zeros", text("zeros.mp4", &"\0".repeat(100_000))),
        ("a hundred streams", many_streams()),
    ]
}

/// SVG's text elements can name other files.
const DRAWING: &str = "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" \
                       width=\"320\" height=\"180\"><rect width=\"320\" height=\"180\"/></svg>\n";

/// As ffmpeg's concat takes it.
fn list() -> String {
    format!("ffconcat version 1.0\nfile '{}'\n", crate::lab::sample().display())
}

fn many_streams() -> PathBuf {
    let maps: Vec<&str> = std::iter::repeat_n(["-map", "0:a"], 99).flatten().collect();
    from_sample("streams.mkv", &[&["-map", "0:v", "-c", "copy", "-t", "1"], &maps[..]].concat())
}

fn cover() -> PathBuf {
    let sound = from_sample("sound2.m4a", &["-vn", "-c:a", "copy"]);
    let picture = from_sample("cover.png", &["-frames:v", "1"]);
    let both = films().join("cover.m4a");
    let inputs = ["-i", sound.to_str().unwrap(), "-i", picture.to_str().unwrap()];
    let maps = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic"];
    ffmpeg(&[&inputs[..], &maps[..], &[both.to_str().unwrap()]].concat());
    both
}

fn text(name: &str, text: &str) -> PathBuf {
    let path = films().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// ffmpeg would open what it lists: another local file.
fn playlist() -> String {
    let film = crate::lab::sample();
    assert!(Path::new(film).is_absolute());
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{}\n#EXT-X-ENDLIST\n",
        film.display()
    )
}
