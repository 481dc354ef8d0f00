//! Chunks against one pass from start to end: of each frame the same picture at the same time, whatever
//! a container makes of times. Which picture it is says its bar code, so nothing is a matter of likeness.

use std::path::{Path, PathBuf};

use headwater_config::Preset;

use crate::bar;
use crate::lab::{Lab, ffmpeg, ffprobe, films};
use crate::one_pass::OnePass;
use crate::service::{job, quick, submit};

/// Chunks of 2, 4 and 3 s.
const SECONDS: u32 = 9;

/// What is compared is frames, not how well they are coded.
const FAST: [(&str, &str); 1] = [("HEADWATER_ENCODER__PRESET", "ultrafast")];

/// A source that is tried.
struct Row {
    name: &'static str,
    /// Frames a second of the film that it is made of.
    rate: &'static str,
    /// ffmpeg's options that make it.
    options: &'static str,
    /// Of how many of its frames one is shown; `None` where its rate varies.
    every: Option<u32>,
    chunks: usize,
}

const X264: &str = "-c:v libx264 -preset ultrafast";
const OPEN: &str =
    "-c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=50:min-keyint=20:bframes=3";
/// Each seventh frame is missing.
const HOLES: &str = "-vf select=mod(n+1\\,7) -fps_mode vfr";
/// The first one too.
const HOLES_FIRST: &str = "-vf select=mod(n\\,7) -fps_mode vfr";
/// Frames that stand for up to three seconds: longer than a lead-in.
const STILL: &str = "-vf select=lt(n\\,60)+not(mod(n\\,71))+gte(n\\,200) -fps_mode vfr";
const MPEG2: &str = "-c:v mpeg2video -q:v 2 -bf 2 -g 30";
const FIELDS: &str =
    "-c:v mpeg2video -q:v 2 -bf 2 -g 15 -flags +ildct+ilme -vf setfield=tff -top 1";
const MPEG4: &str = "-c:v mpeg4 -q:v 2 -g 40";

const fn row(name: &'static str, rate: &'static str, options: &'static str, every: u32) -> Row {
    Row { name, rate, options, every: Some(every), chunks: 3 }
}

const fn varying(name: &'static str, rate: &'static str, options: &'static str) -> Row {
    Row { name, rate, options, every: None, chunks: 3 }
}

fn rows() -> Vec<(Row, Vec<&'static str>)> {
    let all = [
        (row("open.mkv", "24", OPEN, 1), ""),
        (row("open.ts", "30000/1001", OPEN, 1), ""),
        // Longer from key frame to key frame than a lead-in; the second's rate varies.
        (
            row(
                "rare.ts",
                "24",
                "-c:v libx264 -preset veryfast -g 90 -keyint_min 90 -sc_threshold 0",
                1,
            ),
            "",
        ),
        (
            varying("rare-varying.ts", "24", HOLES),
            "-c:v libx264 -preset veryfast -g 90 -keyint_min 90 -sc_threshold 0",
        ),
        (row("open.mp4", "30000/1001", OPEN, 1), ""),
        (row("late.mkv", "25", OPEN, 1), "-vf setpts=PTS+1.5/TB"),
        // A tick of its clock is a frame.
        (
            row("ticks.mp4", "24", X264, 1),
            "-video_track_timescale 24 -movflags +negative_cts_offsets",
        ),
        (row("ticks.mxf", "30000/1001", MPEG2, 1), ""),
        (row("plain.avi", "24", MPEG4, 1), ""),
        // Its packets say when they are decoded, not when they are shown: it is not cut.
        (Row { chunks: 1, ..row("late-b.avi", "30000/1001", MPEG4, 1) }, "-bf 2"),
        (row("fields.mxf", "25", FIELDS, 1), ""),
        (row("fields.ts", "30000/1001", FIELDS, 1), ""),
        (row("fast.mp4", "120", X264, 2), ""),
        (row("fast.mkv", "120", OPEN, 2), ""),
        (varying("varying-24.mkv", "24", HOLES), OPEN),
        (varying("varying-late.mkv", "24", HOLES_FIRST), OPEN),
        (varying("varying.avi", "25", HOLES), "-c:v mpeg4 -q:v 2 -g 40"),
        (varying("varying-25.mkv", "25", HOLES), OPEN),
        (varying("varying-25.mp4", "25", HOLES), OPEN),
        (varying("varying-29.mkv", "30000/1001", HOLES), OPEN),
        (varying("varying-29.mp4", "30000/1001", HOLES), OPEN),
        (varying("varying-29.ts", "30000/1001", HOLES), OPEN),
        (varying("still.mp4", "24", STILL), OPEN),
        (varying("still.mkv", "30", STILL), OPEN),
    ];
    all.into_iter()
        .map(|(row, more)| {
            let options = row.options.split(' ').chain(more.split(' ')).filter(|o| !o.is_empty());
            let options = options.collect();
            (row, options)
        })
        .collect()
}

/// A film with a bar code at this rate, made once.
fn numbered(lab: &Lab, rate: &str) -> PathBuf {
    let film = films().join(format!("numbered-{}.mp4", rate.replace('/', "-")));
    if !film.exists() {
        let seconds = SECONDS.to_string();
        let shape = ["--seconds", &seconds, "--width", "160", "--height", "96", "--rate", rate];
        let run = lab.run(&[&["sample", film.to_str().unwrap()], &shape[..]].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    film
}

/// When every picture is shown.
fn times(track: &Path) -> Vec<String> {
    let args = ["-show_entries", "packet=pts_time", "-of", "csv=p=0", track.to_str().unwrap()];
    let printed = ffprobe(&args);
    let times = printed.lines().map(|line| line.split(',').next().unwrap_or_default());
    times.filter(|time| !time.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_same_frames_at_the_same_times() {
    let lab = Lab::new();
    let rows = rows();
    let mut jobs = Vec::new();
    for (row, options) in &rows {
        let (from, film) = (numbered(&lab, row.rate), films().join(row.name));
        let from = ["-i", from.to_str().unwrap(), "-an"];
        ffmpeg(&[&from[..], options, &[film.to_str().unwrap()]].concat());
        let title = row.name.replace('.', "-");
        jobs.push((row, submit(&lab, &film, &title), film, title));
    }
    let worked = quick(&lab, &["worker", "--drain"]).envs(FAST).output().unwrap();
    assert_eq!(worked.status.code(), Some(0));
    let mut wrong = Vec::new();
    for (row, id, film, title) in jobs {
        let (name, made) = (row.name, job(&lab, &id));
        if made["state"] != "published" || made["failures"] != 0 {
            wrong.push(format!("{name}: {made:#}"));
            continue;
        }
        let chunks = made["task_list"].as_array().unwrap().iter();
        let chunks = chunks.filter(|task| task["kind"] == "chunk").count();
        assert_eq!(chunks, row.chunks, "{name}: {made:#}");
        let whole = OnePass::of(&film, lab.path(&format!("{title}-whole")), Preset::Ultrafast);
        let of = |track: &Path| (times(track), bar::codes(track));
        let (chunked, whole) = (of(&lab.live_file(&title, "v96.mp4")), of(&whole.track("v96")));
        if chunked.0 != whole.0 {
            wrong.push(format!("{name}: other times: {:?} {:?}", chunked.0, whole.0));
        }
        let pairs = || chunked.1.iter().zip(&whole.1).enumerate();
        for (i, (got, wanted)) in pairs().filter(|(_, (got, wanted))| got != wanted).take(3) {
            wrong.push(format!("{name}: frame {i} is {got:?}, in one pass it is {wanted:?}"));
        }
        if let Some(every) = row.every {
            let off = |(i, code): &(usize, &Option<u32>)| {
                **code != u32::try_from(*i).ok().map(|i| i * every)
            };
            if let Some((i, code)) = whole.1.iter().enumerate().find(off) {
                wrong.push(format!("{name}: frame {i} of one pass is {code:?}"));
            }
        }
        assert!(whole.1.iter().all(Option::is_some), "{name}: {:?}", whole.1);
        println!("measured: {name}: {} frames are the same in chunks", chunked.1.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Two encoders are told to warm up, the third cannot be.
const THREE_CODECS: &str = "[{height=144,max_bitrate_kbps=4000,crf=16},\
                            {height=144,max_bitrate_kbps=4000,crf=12,codec=\"hevc\"},\
                            {height=144,max_bitrate_kbps=4000,crf=16,codec=\"av1\"}]";

#[test]
fn what_warms_an_encoder_up_is_in_no_chunk() {
    let lab = Lab::new();
    let film = numbered(&lab, "30000/1001");
    let id = submit(&lab, &film, "codecs");
    let ladder = [FAST[0], ("HEADWATER_ENCODER__LADDER", THREE_CODECS)];
    let worked = quick(&lab, &["worker", "--drain"]).envs(ladder).output().unwrap();
    assert_eq!(worked.status.code(), Some(0));
    let made = job(&lab, &id);
    assert_eq!((&made["state"], &made["failures"]), (&"published".into(), &0.into()), "{made:#}");
    let frames = SECONDS * 30_000 / 1001;
    for track in ["v96", "v96-hevc", "v96-av1"] {
        let codes = bar::codes(&lab.live_file("codecs", &format!("{track}.mp4")));
        let wanted: Vec<Option<u32>> = (0..u32::try_from(codes.len()).unwrap()).map(Some).collect();
        // A bar may be misread in a picture as poor as these; a frame too many or too few shifts all.
        let misread = codes.iter().zip(&wanted).filter(|(code, wanted)| code != wanted).count();
        assert!(misread <= 5, "{track}: {codes:?}");
        assert!(codes.len().abs_diff(frames as usize) <= 1, "{track}: {}", codes.len());
    }
}
