//! Chunks against one pass from start to end: the same frames at the same times, of sources whose rate is constant.

use std::path::Path;

use crate::lab::{Lab, ffmpeg, ffprobe, films};
use crate::service::{job, quick, submit};

/// Nine seconds that change in every frame: chunks of 2, 4 and 3 s.
const PICTURE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=256x144:rate=24:duration=9"];

/// Less is no difference; a frame that is another one is less alike by 5 dB and more.
const SURE_DB: f64 = 0.5;

/// What is compared is frames, not how well they are coded.
const FAST: [(&str, &str); 1] = [("HEADWATER_ENCODER__PRESET", "ultrafast")];

fn film(name: &str, options: &[&str]) -> std::path::PathBuf {
    let film = films().join(name);
    ffmpeg(&[&PICTURE[..], options, &[film.to_str().unwrap()]].concat());
    film
}

/// When every picture is shown.
fn times(track: &Path) -> Vec<String> {
    let args = ["-show_entries", "frame=pts_time", "-of", "csv=p=0", track.to_str().unwrap()];
    let printed = ffprobe(&args);
    // Behind a comma stands what a frame carries beside its picture.
    let times = printed.lines().map(|line| line.split(',').next().unwrap_or_default());
    times.filter(|time| !time.is_empty()).map(str::to_owned).collect()
}

/// The likeness of each frame of `a`, from its `from.0`th on, to that of `b`, from its `from.1`th on, in dB.
fn likeness(a: &Path, b: &Path, from: (u32, u32), log: &Path) -> Vec<f64> {
    let shifted = |input: u32, from: u32| {
        format!("[{input}:v]trim=start_frame={from},setpts=N/24/TB[f{input}]")
    };
    let (first, second) = (shifted(0, from.0), shifted(1, from.1));
    let filter = format!("{first};{second};[f0][f1]psnr=shortest=1:stats_file={}", log.display());
    let args = ["-i", a.to_str().unwrap(), "-i", b.to_str().unwrap(), "-lavfi", &filter];
    ffmpeg(&[&args[..], &["-f", "null", "-"]].concat());
    let stats = std::fs::read_to_string(log).unwrap();
    let values = stats.lines().map(|line| {
        let value = line.split(' ').find_map(|field| field.strip_prefix("psnr_avg:")).unwrap();
        value.parse().unwrap_or(f64::INFINITY)
    });
    values.collect()
}

#[test]
fn the_same_frames_at_the_same_times() {
    let x264 = ["-c:v", "libx264", "-preset", "veryfast"];
    let open = ["-x264-params", "open-gop=1:keyint=50:min-keyint=20:bframes=3"];
    let late = ["-vf", "setpts=PTS+1.5/TB"];
    let table: [(&str, Vec<&str>); 4] = [
        ("open.mkv", [&x264[..], &open].concat()),
        ("open.ts", [&x264[..], &open].concat()),
        ("late.mkv", [&x264[..], &open, &late].concat()),
        // A tick of its clock is a frame.
        (
            "ticks.mp4",
            [&x264[..], &["-video_track_timescale", "24", "-movflags", "+negative_cts_offsets"]]
                .concat(),
        ),
    ];
    let lab = Lab::new();
    for (name, options) in &table {
        let film = film(name, options);
        let title = name.replace('.', "-");
        let id = submit(&lab, &film, &title);
        let worked = quick(&lab, &["worker", "--drain"]).envs(FAST).output().unwrap();
        assert_eq!(worked.status.code(), Some(0), "{name}");
        let made = job(&lab, &id);
        assert_eq!(made["state"], "published", "{name}: {made:#}");
        assert_eq!(made["failures"], 0, "{name}: {made:#}");
        let chunks = made["task_list"].as_array().unwrap().iter();
        assert!(chunks.filter(|task| task["kind"] == "chunk").count() >= 3, "{name}: {made:#}");
        let whole = format!("{title}-whole");
        let args = ["encode", film.to_str().unwrap(), "--title", &whole];
        assert_eq!(lab.run_with(&args, &FAST).code, Some(0));
        let (a, b) = (lab.live_file(&title, "v144.mp4"), lab.live_file(&whole, "v144.mp4"));
        assert_eq!(times(&a), times(&b), "{name}");
        let log = lab.path("psnr.log");
        let same = likeness(&a, &b, (0, 0), &log);
        // Each frame is its own and not one beside it, unless these are the same.
        let (next, before) = (likeness(&a, &b, (0, 1), &log), likeness(&a, &b, (1, 0), &log));
        for (i, (same, next)) in same.iter().zip(next).take(same.len() - 1).enumerate() {
            assert!(
                *same > next - SURE_DB,
                "{name}: frame {i} is rather the one behind it: {same} {next}"
            );
        }
        for (i, (same, before)) in same.iter().skip(1).zip(before).take(same.len() - 1).enumerate()
        {
            assert!(
                *same > before - SURE_DB,
                "{name}: frame {} is rather the one before it: {same} {before}",
                i + 1
            );
        }
        let least = same.iter().copied().fold(f64::INFINITY, f64::min);
        println!("measured: {name}: the least likeness of a frame is {least:.1} dB");
    }
}
