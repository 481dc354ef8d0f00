//! The encoder as a service: jobs through a real queue, chunk by chunk, to a title that is played.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Lab, Run, from_sample, sample};

/// Runs a command of the service.
pub fn run(lab: &Lab, args: &[&str]) -> Run {
    Run::from(quick(lab, args).output().unwrap())
}

/// A command on this lab's queue, whose times are short.
pub fn quick(lab: &Lab, args: &[&str]) -> std::process::Command {
    let mut command = lab.command(args);
    command
        .env("HEADWATER_ENCODER__QUEUE__SQLITE", lab.path("queue.sqlite"))
        .env("HEADWATER_ENCODER__QUEUE__LEASE_S", "2")
        .env("HEADWATER_ENCODER__QUEUE__BEAT_S", "1")
        .env("HEADWATER_ENCODER__QUEUE__RETRY_S", "1")
        .env("HEADWATER_ENCODER__QUEUE__POLL_MS", "50")
        .env("HEADWATER_ENCODER__QUEUE__PARALLEL", "2")
        .env("HEADWATER_ENCODER__QUEUE__MIN_DISK_MIB", "0")
        .env("HEADWATER_ENCODER__QUEUE__MIN_MEMORY_MIB", "0")
        .env("HEADWATER_ENCODER__API__LISTEN", "127.0.0.1:0");
    command
}

/// Puts a job in, and gives its id.
pub fn submit(lab: &Lab, film: &Path, title: &str) -> String {
    let run = run(lab, &["submit", film.to_str().unwrap(), "--title", title, "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.events()[0]["id"].as_str().unwrap().to_owned()
}

/// A job, its tasks and its story.
pub fn job(lab: &Lab, job: &str) -> Value {
    let run = run(lab, &["jobs", job, "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.events()[0].clone()
}

/// Works until nothing is left.
pub fn drained(lab: &Lab) -> Run {
    let run = run(lab, &["worker", "--drain"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

/// The stored tracks of the live version, by name.
pub fn tracks(lab: &Lab, title: &str) -> Vec<(String, Vec<u8>)> {
    let live = lab.live(title);
    let names = live.tracks().iter().map(|track| track.objects()[0].name.clone());
    names.map(|name| (name.clone(), std::fs::read(lab.live_file(title, &name)).unwrap())).collect()
}

#[test]
fn a_worker_makes_what_one_encode_makes() {
    let lab = Lab::new();
    let film = from_sample("chunks.mp4", &["-c", "copy"]);
    let id = submit(&lab, &film, "film");
    assert_eq!(job(&lab, &id)["state"], "queued");
    let worked = drained(&lab);
    let done = job(&lab, &id);
    assert_eq!(done["state"], "published", "{worked:?} {done:#}");
    // 5 s: chunks of 2 and 3 s.
    let chunks = done["task_list"].as_array().unwrap().iter().filter(|t| t["kind"] == "chunk");
    assert_eq!(chunks.count(), 2, "{done:#}");
    assert_eq!(done["frames_made"], 120);
    lab.encode(&film, "whole");
    assert!(tracks(&lab, "film") == tracks(&lab, "whole"), "one machinery, the same bytes");
    let verified = lab.run(&["verify", "film"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    // Nothing is left of the parts, nor in the work folder.
    assert_eq!(lab.parts(), Vec::<String>::new());
    assert_eq!(lab.work(), Vec::<String>::new());
    // The same again is the same, byte for byte.
    submit(&lab, &film, "again");
    drained(&lab);
    assert!(tracks(&lab, "film") == tracks(&lab, "again"));
    // As many chunks at once as there are threads, and each of them made by one.
    let threads = [("HEADWATER_ENCODER__THREADS", "3")];
    let run = lab.run_with(&["encode", film.to_str().unwrap(), "--title", "three"], &threads);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(tracks(&lab, "film") == tracks(&lab, "three"), "with any number of threads");
}

/// A running `serve`, ended with its test.
struct Serve {
    child: Child,
    address: String,
}

impl Serve {
    fn start(lab: &Lab, env: &[(&str, &str)]) -> Self {
        let mut command = quick(lab, &["serve"]);
        command.envs(env.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map(|line| line.unwrap()).find_map(|line| {
            let rest = line.strip_prefix("jobs are taken on http://")?;
            Some(rest.split('/').next().unwrap().to_owned())
        });
        // Its later lines are read so that it never waits for us.
        std::thread::spawn(move || for _ in lines {});
        Self { child, address: address.expect("it says where it listens") }
    }

    /// Asks it to end, and gives its exit code.
    fn stop(&mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn serve_takes_jobs_works_and_stops() {
    let lab = Lab::new();
    let mut serve = Serve::start(&lab, &[]);
    assert!(serve.address.starts_with("127.0.0.1:"));
    let srt = lab.path("film.srt");
    std::fs::write(&srt, "1\n00:00:01,000 --> 00:00:02,000\nHello\n").unwrap();
    let said = ["--audio", "1:lang=de", "--text", "film.srt:en", "--json"];
    let submitted = ["submit", sample().to_str().unwrap(), "--title", "film"];
    let submitted = run(&lab, &[&submitted[..], &said[..]].concat());
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let id = submitted.events()[0]["id"].as_str().unwrap().to_owned();
    wait_until("the title", || job(&lab, &id)["state"] == "published");
    let live = lab.live("film");
    assert!(live.tracks().iter().any(|track| track.language() == Some("de")), "what is said of it");
    assert!(lab.stored().iter().any(|name| name.ends_with(".vtt")), "{:?}", lab.stored());
    // What each track took: pictures and sound.
    let done = job(&lab, &id);
    let spent = done["spent"].as_array().unwrap();
    assert_eq!(spent.len(), live.tracks().len(), "{done:#}");
    assert!(spent.iter().all(|track| track["media_ms"] == 5_000), "{done:#}");
    let cpu_ms = |track: &Value| track["cpu_ms"].as_u64().unwrap();
    assert!(spent.iter().map(cpu_ms).sum::<u64>() > 0, "{done:#}");
    let wrong = ["submit", "film.srt", "--title", "x", "--audio", "german"];
    assert_eq!(run(&lab, &wrong).code, Some(2));
    let table = run(&lab, &["jobs"]);
    assert!(table.out.contains("published") && table.out.contains("100%"), "{table:?}");
    assert_eq!(serve.stop(), Some(0));
}
