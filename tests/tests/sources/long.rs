//! What takes hours of CPU: a fixed limit would end it.

use std::fs;
use std::process::Command;

use headwater_tests::beeps::{self, RATE};
use headwater_tests::titles::Title;
use headwater_tests::{encoder, ffmpeg, run, scratch, skip};

/// More CPU than the 600 s that a fixed limit once gave: a quarter of an hour in slow settings.
#[test]
fn a_title_of_more_than_600_cpu_seconds() {
    if !skip::is_long("an encode of more than 600 CPU seconds") {
        return;
    }
    let folder = scratch::folder();
    let film = folder.path().join("film.mp4");
    encoder::sample(&encoder::Sample { rate: "24", width: 640, height: 360, seconds: 1000 }, &film);
    let before_s = children_cpu_s();
    let store = folder.path().join("store");
    let store_url = format!("file://{}", store.display());
    let args = ["encode", "--title", "film", "--store", &store_url];
    let mut command = encoder::command(&args);
    command.arg("--work-dir").arg(folder.path().join("work")).arg(&film);
    command.env("HEADWATER_ENCODER__PRESET", "veryslow");
    run::succeed(&mut command);
    let took_s = children_cpu_s() - before_s;
    println!("measured: cpu_s {took_s:.0}");
    assert!(took_s > 600.0, "{took_s:.0} CPU seconds show nothing: make the film longer");
    let pointer = store.join("titles/film/title.json");
    assert!(fs::read_to_string(pointer).unwrap().contains("live"));
}

/// Two hours, in a picture so small that they are cheap: the last frame and the last beep are where they
/// belong, so that nothing drifts.
#[test]
fn a_title_of_two_hours() {
    if !skip::is_long("an encode of two hours") {
        return;
    }
    let folder = scratch::folder();
    let film = folder.path().join("film.mkv");
    let mut made = Command::new("ffmpeg");
    // A rate that is a fraction drifts where anything counts in seconds.
    made.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"]);
    made.arg("color=gray:s=256x144:r=30000/1001:d=7200");
    made.args(["-f", "lavfi", "-i"]);
    made.arg("aevalsrc=0.5*sin(2*PI*1000*t)*lt(mod(t\\,600)\\,0.05):s=48000:d=7200");
    made.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "flac"]);
    run::succeed(made.arg(&film));
    let store = folder.path().join("store");
    encoder::encode(&film, "film", &store, &[encoder::Rung { height: 144, max_bitrate_kbps: 200 }]);
    let title = Title::open(film.clone(), (30_000, 1001), store, "film");
    let held = ffmpeg::ffprobe(
        film.to_str().unwrap(),
        &["-select_streams", "v", "-count_packets", "-show_entries", "stream=nb_read_packets"],
    );
    let frames: u64 = held["streams"][0]["nb_read_packets"].as_str().unwrap().parse().unwrap();
    let video = title.heads.track(&"v144".parse().unwrap()).unwrap();
    assert_eq!(video.duration_ticks(), frames * 1001, "frames of {frames}");
    let samples = beeps::samples(ffmpeg::path(&title.track_file("a-und")), "0:a:0");
    let onsets = beeps::onsets(&samples);
    let wanted: Vec<usize> = (0..12).map(|k| k * 600 * RATE).collect();
    let is_near = |(at, wanted): (&usize, &usize)| at.abs_diff(*wanted) <= 1024;
    assert!(
        onsets.len() == wanted.len() && onsets.iter().zip(&wanted).all(is_near),
        "beeps at {onsets:?}"
    );
    println!("measured: two_hours_frames {frames}");
}

/// CPU seconds of this process's ended children.
fn children_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // cutime and cstime (proc(5): fields 16 and 17) in ticks of 10 ms.
    let ticks = |at: usize| fields[at - 3].parse::<f64>().unwrap();
    (ticks(16) + ticks(17)) / 100.0
}
