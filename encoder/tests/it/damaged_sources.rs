//! A source that is cut off or corrupt is reported with stream and time, and never published as
//! if it were whole, although ffmpeg ends with 0 on most of these.

use std::fs;
use std::path::{Path, PathBuf};

use headwater_encoder::error::Kind;
use headwater_encoder::ffmpeg::Log;
use headwater_encoder::probe::Probe;
use headwater_encoder::scan::Scan;
use headwater_encoder::source;

use crate::lab::{Lab, ffmpeg, films, from_sample};

/// 6 s of noise on a moving picture with a tone, index first, a key frame each second: damage
/// anywhere shows.
fn film() -> &'static Path {
    static FILM: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    FILM.get_or_init(|| {
        let film = films().join("whole.mp4");
        let picture = "testsrc2=size=320x180:rate=24:duration=6,noise=alls=20:allf=t";
        let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=duration=6"];
        let codecs = ["-c:v", "libx264", "-preset", "veryfast", "-g", "24", "-pix_fmt", "yuv420p"];
        let rest = ["-c:a", "aac", "-movflags", "+faststart", film.to_str().unwrap()];
        ffmpeg(&[&inputs[..], &codecs[..], &rest[..]].concat());
        film
    })
}

fn changed(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(film()).unwrap();
    change(&mut bytes);
    let path = films().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Bytes of the file at `percent` of its length.
fn at(bytes: &[u8], percent: usize) -> usize {
    bytes.len() * percent / 100
}

#[test]
fn damage_is_reported_and_nothing_published() {
    let cut = |percent| move |bytes: &mut Vec<u8>| bytes.truncate(at(bytes, percent));
    let copy = |name: &str, options: &[&str], cut: &dyn Fn(&[u8]) -> usize| {
        let path = films().join(name);
        let (from, to) = (film().to_str().unwrap(), path.to_str().unwrap());
        ffmpeg(&[&["-i", from, "-c", "copy"], options, &[to]].concat());
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(cut(&bytes));
        fs::write(&path, bytes).unwrap();
        path
    };
    let at_60 = |bytes: &[u8]| at(bytes, 60);
    let at_cluster = |bytes: &[u8]| {
        let cluster = [0x1f, 0x43, 0xb6, 0x75];
        let from = at(bytes, 60);
        from + bytes[from..].windows(4).position(|id| id == cluster).unwrap()
    };
    let table = [
        ("cut at 60 %", changed("cut60.mp4", cut(60)), ["is cut off: stream", "s of 6.0"]),
        ("cut at 99 %", changed("cut99.mp4", cut(99)), ["is cut off: stream", "s of 6.0"]),
        (
            "cut in its index",
            changed("cut-index.mp4", |b| b.truncate(1000)),
            ["index (moov)", "send the whole"],
        ),
        (
            "index last, cut",
            copy("index-last.mp4", &[], &at_60),
            ["index (moov)", "send the whole"],
        ),
        (
            "cut mkv",
            copy("cut.mkv", &[], &at_60),
            ["is cut off: stream 0 (video, h264 320x180) ends at 3.", "s of 6.0"],
        ),
        (
            "mkv cut where nothing is torn",
            copy("clean-cut.mkv", &["-cluster_time_limit", "2000"], &at_cluster),
            ["is cut off: stream 0 (video, h264 320x180) ends at 3.", "s of 6.0"],
        ),
        ("cut ts", copy("cut.ts", &[], &at_60), ["stream 0 (video, h264 320x180)", "at 3."]),
        (
            "noise",
            changed("noise.mp4", |bytes| {
                let from = at(bytes, 70);
                // A fixed sequence of bytes with no pattern.
                let mut state = 1u32;
                for byte in &mut bytes[from..from + 3000] {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *byte = state.to_be_bytes()[0];
                }
            }),
            ["is damaged at 4.", "stream "],
        ),
        (
            "a hole of zeros",
            changed("zeros.mp4", |bytes| {
                let from = at(bytes, 40);
                bytes[from..from + 20_000].fill(0);
            }),
            ["is damaged at 2.", "stream "],
        ),
        ("empty", changed("empty.mp4", Vec::clear), ["empty.mp4 is empty", "send the whole"]),
    ];
    for (name, film, words) in table {
        let lab = Lab::new();
        let run = lab.run(&["encode", film.to_str().unwrap(), "--title", "film"]);
        assert_eq!(run.code, Some(4), "{name}: {run:?}");
        for words in words {
            assert!(run.error().contains(words), "{name}: {}", run.error());
        }
        lab.assert_untouched();
    }
}

/// Whole as it is, the same film is taken.
#[test]
fn the_whole_film_is_published() {
    let lab = Lab::new();
    lab.encode(film(), "film");
    assert_eq!(lab.live("film").duration_ms(), 6000);
}

/// One bit anywhere in a picture is either seen or harmless to decode; what is published has every
/// frame.
#[test]
fn a_flipped_bit_never_costs_a_frame_in_silence() {
    let short = from_sample("short-film.mp4", &["-t", "2", "-c:v", "libx264", "-c:a", "aac"]);
    let whole = fs::read(&short).unwrap();
    let media = whole.windows(4).position(|kind| kind == b"mdat").unwrap() + 4;
    for step in 1..8 {
        let mut bytes = whole.clone();
        let place = media + (bytes.len() - media) * step / 9;
        bytes[place] ^= 0x10;
        let path = films().join(format!("flip{step}.mp4"));
        fs::write(&path, bytes).unwrap();
        let lab = Lab::new();
        let run = lab.run(&["encode", path.to_str().unwrap(), "--title", "film"]);
        match run.code {
            Some(0) => {
                let rows: u32 =
                    lab.live("film").tracks()[0].rows(0..1).map(|r| u32::from(r.samples)).sum();
                assert_eq!(rows, 48);
            }
            Some(3 | 4) => lab.assert_untouched(),
            _ => panic!("{run:?}"),
        }
    }
}

/// A demuxer that reads a short file without a complaint is caught by its container's promise.
#[test]
fn a_file_shorter_than_its_container_promises() {
    let json = |duration: &str| {
        format!(
            r#"{{"format": {{"duration": "{duration}"}}, "streams": [{{"index": 0,
            "codec_type": "video", "codec_name": "h264", "width": 640, "height": 360,
            "pix_fmt": "yuv420p", "r_frame_rate": "25/1", "time_base": "1/25"}}]}}"#
        )
    };
    let mut scan = Scan::new(0);
    for pts in 0..125 {
        scan.line(&format!("stream_index=0|pts={pts}|duration=1|size=9|flags=__")).unwrap();
    }
    scan.finish();
    let measured = |duration| {
        let probe = Probe::parse(json(duration).as_bytes()).unwrap();
        let selected = source::select(&probe, &[]).unwrap();
        source::measure(&probe, &selected, &scan, &Log::default(), 2000)
    };
    assert_eq!(measured("5.9").unwrap().0.video.frames, 125, "within a second it is no cut");
    let error = measured("6.1").unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            Kind::SourceDamaged,
            "the source is cut off: stream 0 (video, h264 640x360) ends at 5.000 s of 6.100 s; \
             send the whole file"
        )
    );
}
