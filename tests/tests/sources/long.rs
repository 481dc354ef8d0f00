//! What takes hours of CPU: a fixed limit would end it.

use std::fs;

use headwater_tests::{encoder, scratch, skip};

/// More CPU than the 600 s that a fixed limit once gave: six minutes of slow settings.
#[test]
fn a_title_of_more_than_600_cpu_seconds() {
    if !skip::is_long("an encode of more than 600 CPU seconds") {
        return;
    }
    let folder = scratch::folder();
    let film = folder.path().join("film.mp4");
    encoder::sample(&encoder::Sample { rate: "24", width: 640, height: 360, seconds: 420 }, &film);
    let before_s = children_cpu_s();
    let store = folder.path().join("store");
    let store_url = format!("file://{}", store.display());
    let args = ["encode", "--title", "film", "--store", &store_url];
    let mut command = encoder::command(&args);
    command.arg("--work-dir").arg(folder.path().join("work")).arg(&film);
    command.env("HEADWATER_ENCODER__PRESET", "veryslow");
    headwater_tests::run::succeed(&mut command);
    let took_s = children_cpu_s() - before_s;
    println!("measured: cpu_s {took_s:.0}");
    assert!(took_s > 600.0, "{took_s:.0} CPU seconds show nothing: make the film longer");
    let pointer = store.join("titles/film/title.json");
    assert!(fs::read_to_string(pointer).unwrap().contains("live"));
}

/// CPU seconds of this process's ended children.
fn children_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // cutime and cstime (proc(5): fields 16 and 17) in ticks of 10 ms.
    let ticks = |at: usize| fields[at - 3].parse::<f64>().unwrap();
    (ticks(16) + ticks(17)) / 100.0
}
