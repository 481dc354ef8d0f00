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
        let refused = Probe::parse(json.as_bytes()).and_then(|probe| source::select(&probe));
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
const ODD_HEADERS: [(&str, &str); 6] = [
    (
        "Dolby Vision",
        r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "hevc", "width": 3840,
            "height": 2160, "pix_fmt": "yuv420p10le", "side_data_list":
            [{"side_data_type": "DOVI configuration record"}]}]}"#,
    ),
    (
        "a huge picture",
        r#"{"streams": [{"index": 0, "codec_type": "video", "codec_name": "mjpeg", "width": 15000,
            "height": 15000, "pix_fmt": "yuvj420p"}]}"#,
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
    let interlaced = ["-vf", "setfield=tff", "-flags", "+ildct+ilme", "-x264opts", "tff=1"];
    let uneven = ["-vf", "select=not(eq(mod(n\\,7)\\,3))", "-fps_mode", "vfr"];
    let fast_film = films().join("fast-film.mp4");
    let source = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=100:duration=2"];
    ffmpeg(&[&source[..], &[fast_film.to_str().unwrap()]].concat());
    let apart = |name: &str, times: &str| {
        let filter = format!("select=lt(n\\,2),settb=1,setpts={times}");
        let rest = ["-fps_mode", "passthrough", "-enc_time_base", "1:1", "-bf", "0"];
        made(name, &[&["-vf", &filter, "-video_track_timescale", "1"], &rest[..]].concat())
    };
    vec![
        ("interlaced", made("interlaced.mp4", &interlaced)),
        (
            "interlaced MPEG-2",
            made(
                "interlaced.ts",
                &[&["-c:v", "mpeg2video", "-top", "1"], &interlaced[..4]].concat(),
            ),
        ),
        ("rotated", from_sample("rotated.mp4", &["-c", "copy", "-metadata:s:v", "rotate=90"])),
        ("varying rate", made("uneven.mp4", &uneven)),
        ("varying rate, milliseconds", made("uneven.mkv", &uneven)),
        ("100 frames a second", fast_film),
        ("two frames, days apart", apart("weeks.mp4", "N*1000000")),
        ("two frames, days apart, milliseconds", apart("weeks.mkv", "N*1000000")),
        ("two frames, minutes apart", apart("minutes.mp4", "N*700")),
        ("PQ", made("pq.mp4", &["-color_trc", "smpte2084", "-color_primaries", "bt2020"])),
        ("HLG", made("hlg.mp4", &["-color_trc", "arib-std-b67"])),
        ("wide gamut", made("wide.mp4", &["-color_primaries", "bt2020"])),
        ("10 bit", made("ten.mp4", &["-pix_fmt", "yuv420p10le"])),
        ("pixels not square", made("anamorphic.mp4", &["-vf", "setsar=16/15"])),
        ("tiny", made("tiny.mp4", &["-vf", "scale=64:16"])),
        ("sound alone", from_sample("sound.m4a", &["-vn", "-c:a", "copy"])),
        ("sound with a cover", cover()),
        ("a picture", from_sample("picture.png", &["-frames:v", "1"])),
        ("text", text("text.mp4", "These are words.\n")),
        ("a playlist", text("playlist.mp4", &playlist())),
    ]
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
