//! Two hours through the queue: killed at a moment that is drawn, ended by another machine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use headwater_packager::title::Title;
use headwater_tests::encoder::{self, Sample};
use headwater_tests::postgres::Postgres;
use headwater_tests::{measured, run, scratch, skip};
use rustix::process::Signal;

use crate::chance::Chance;
use crate::meter::Meter;
use crate::process::Process;
use crate::site::Site;

const SECONDS: u64 = 7200;
const RATE: u64 = 12;
/// Two renditions that are cheap.
const LADDER: &str = "[{height=180,max_bitrate_kbps=200,crf=30},\
                      {height=144,max_bitrate_kbps=100,crf=32}]";
/// Chunks and one sound at once, each with one thread.
const PARALLEL: usize = 2;
/// What a worker holds of memory beside its ffmpegs, however long the title is.
const WORKER_MIB: u64 = 256;
/// What all of it holds: `encoder.queue.min_memory_mib` for each task at once.
const MEMORY_MIB: u64 = 768 * 2;
/// Nothing moves for so long: it is over.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn two_hours_go_on_where_they_were_killed() {
    if !skip::is_long("two hours in chunks") {
        return;
    }
    let mut chance = Chance::new();
    let film = film();
    let postgres = Postgres::start();
    let mut site = Site::new();
    if let Some(postgres) = &postgres {
        site = site.with_postgres(postgres);
    }
    site.set("HEADWATER_ENCODER__LADDER", LADDER);
    site.set("HEADWATER_ENCODER__PRESET", "ultrafast");
    site.set("HEADWATER_ENCODER__STALL_S", "60");
    let meter = Meter::start(site.path(""));
    let started = Instant::now();
    let id = site.submit(&film, "film");
    let frames = SECONDS * RATE;
    let until = frames * u64::try_from(20 + chance.below(60)).unwrap() / 100;
    let first = Process::start(&site, "first", &["worker"], &[]);
    let made = wait(&site, &id, |job| job["frames_made"].as_u64() >= Some(until));
    first.send(Signal::KILL);
    drop(first);
    let _second = Process::start(&site, "second", &["worker"], &[]);
    wait(&site, &id, |job| job["state"] == "published");
    let took_s = started.elapsed().as_secs();
    let taken = meter.taken();

    // What was done is not done again: what was held at the kill is all that was begun twice.
    let job = site.job(&id);
    let tasks = job["task_list"].as_array().unwrap();
    let again = tasks.iter().filter(|task| task["attempt"].as_u64() > Some(1)).count();
    assert!((1..=PARALLEL).contains(&again), "{again} tasks were begun twice");
    assert_eq!(job["failures"], 0);
    let live = site.live("film").unwrap().unwrap();
    let heads = site.heads("film", live).unwrap().unwrap().into();
    let title = Title::open(&heads).unwrap();
    assert_eq!(title.duration_ms(), SECONDS * 1000);
    for track in title.tracks().iter().filter(|track| track.id().as_str().starts_with('v')) {
        let samples: u64 = track.rows(0..track.fragments()).map(|row| u64::from(row.samples)).sum();
        assert_eq!(samples, frames, "{}", track.id());
    }
    run::succeed(&mut site.command(&["verify", "film"]));

    let title_bytes: usize = site.tracks("film").iter().map(|(_, bytes)| bytes.len()).sum();
    let title_bytes = u64::try_from(title_bytes).unwrap();
    measured(format_args!(
        "two hours: published in {took_s} s, killed when {made} of {frames} frames were made; {:.0} CPU \
         seconds; {again} tasks begun twice of {}",
        taken.cpu_s(),
        tasks.len()
    ));
    measured(format_args!(
        "two hours: at most {} MiB of memory in all, {} MiB in one worker; at most {} MiB in the work \
         folders of two machines, for a title of {} MiB and a source of {} MiB",
        taken.resident_bytes >> 20,
        taken.encoder_bytes >> 20,
        taken.work_bytes >> 20,
        title_bytes >> 20,
        film.metadata().unwrap().len() >> 20
    ));
    assert!(taken.encoder_bytes <= WORKER_MIB << 20, "a worker held {}", taken.encoder_bytes);
    assert!(taken.resident_bytes <= MEMORY_MIB << 20, "all held {}", taken.resident_bytes);
    // While it publishes the whole title, and beside it what the killed one left: a sound at most,
    // as ffmpeg made it and cut.
    assert!(taken.work_bytes <= 2 * title_bytes + (64 << 20), "{} of disk", taken.work_bytes);
}

/// Asks until it is so; gives the frames that were made then. Fails when nothing moves.
fn wait(site: &Site, id: &str, is_so: impl Fn(&serde_json::Value) -> bool) -> u64 {
    let mut moved = (Instant::now(), None);
    loop {
        let job = site.job(id);
        assert_ne!(job["state"], "failed", "{:#}", job["fault"]);
        let made = job["frames_made"].as_u64().unwrap();
        if is_so(&job) {
            return made;
        }
        let now = (made, job["tasks_done"].as_u64());
        if moved.1 != Some(now) {
            moved = (Instant::now(), Some(now));
        }
        assert!(moved.0.elapsed() < PATIENCE, "nothing moves: {:#}", job["story"]);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// A minute, again and again.
fn film() -> PathBuf {
    let folder = scratch::lasting("two-hours");
    let (minute, film) = (folder.join("minute.mp4"), folder.join("film.mkv"));
    encoder::sample(&Sample { rate: "12", width: 320, height: 180, seconds: 60 }, &minute);
    let mut ffmpeg = run::command("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-stream_loop", "-1", "-i"]).arg(&minute);
    ffmpeg.args(["-t", &SECONDS.to_string(), "-c:v", "libx264", "-preset", "ultrafast"]);
    run::succeed(ffmpeg.args(["-g", "60", "-c:a", "flac"]).arg(&film));
    film
}
