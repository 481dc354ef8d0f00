//! Whatever is killed, stopped or lied to: every title is published, and its bytes are those of a run
//! in which nothing happened.
//!
//! Each run prints its seed; `HEADWATER_TEST_SEED` repeats its draws.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Lab, from_sample, sample};
use crate::service::{drained, job, quick, run, submit, tracks, wait_until};

/// Draws that a seed repeats (SplitMix64).
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("HEADWATER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos())
        };
        let seed = seed.unwrap_or_else(now);
        Self(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}

/// What an ffmpeg does instead of encoding.
const LIES: [&str; 5] = [
    // A valid, shorter file, and success: what SIGTERM leaves.
    "timeout -s TERM .4 ffmpeg \"$@\"; exit 0",
    // Success, and nothing made.
    "exit 0",
    // Fewer frames than were asked for, and success.
    "args=(); for a in \"$@\"; do case $a in *trim=*) a=${a/settb=/select=lt(n\\\\,20),settb=};; esac; args+=(\"$a\"); done; exec ffmpeg \"${args[@]}\"",
    // It hangs.
    "exec sleep 600",
    // It dies.
    "kill -9 $$",
];

/// An ffmpeg that lies when it encodes for the `n`th time, if a file of that number says how.
fn liar(lab: &Lab) -> PathBuf {
    let script = lab.path("ffmpeg-that-lies");
    let lies = lab.path("lies");
    fs::create_dir_all(&lies).unwrap();
    // Where we are root, ffmpeg is somebody else.
    for folder in [lab.path(""), lies.clone()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let text = format!(
        "#!/bin/bash\ncase \" $* \" in *' -filter_complex '*) ;; *) exec ffmpeg \"$@\";; esac\n\
         n=0; while ! mkdir {lies}/ran-$n 2>/dev/null && [ $n -lt 500 ]; do n=$((n+1)); done\n\
         if [ -e {lies}/lie-$n ]; then . {lies}/lie-$n; fi\nexec ffmpeg \"$@\"\n",
        lies = lies.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn lie(lab: &Lab, n: usize, how: &str) {
    fs::write(lab.path("lies").join(format!("lie-{n}")), how).unwrap();
}

/// How often ffmpeg began to encode.
fn encodes(lab: &Lab) -> usize {
    let ran = fs::read_dir(lab.path("lies")).unwrap();
    ran.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("ran-"))
        .count()
}

/// A process that is restarted when it is killed, and ended with its test.
struct Process {
    args: &'static [&'static str],
    child: Child,
}

impl Process {
    fn start(lab: &Lab, args: &'static [&'static str]) -> Self {
        let mut command = quick(lab, args);
        command.env("HEADWATER_ENCODER__FFMPEG", lab.path("ffmpeg-that-lies"));
        command
            .env("HEADWATER_ENCODER__STALL_S", "5")
            .env("HEADWATER_ENCODER__QUEUE__FAILURES", "20");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { args, child }
    }

    fn send(&self, signal: Signal) {
        let _ = kill_process(Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(), signal);
    }

    /// Ends it by `signal`, and starts it again.
    fn again(&mut self, lab: &Lab, signal: Signal) {
        self.send(signal);
        self.child.wait().unwrap();
        *self = Self::start(lab, self.args);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Films that differ in length and container.
fn films() -> Vec<PathBuf> {
    vec![
        sample().to_owned(),
        from_sample("chaos.mkv", &["-c", "copy"]),
        from_sample("chaos-short.mp4", &["-t", "2.5", "-preset", "veryfast"]),
    ]
}

#[test]
fn every_title_is_published_as_if_nothing_had_happened() {
    let mut chance = Chance::new();
    println!("HEADWATER_TEST_SEED={}", chance.0);
    let films = films();
    let quiet = Lab::new();
    for (k, film) in films.iter().enumerate() {
        submit(&quiet, film, &format!("film-{k}"));
    }
    drained(&quiet);

    let lab = Lab::new();
    liar(&lab);
    // Each kind of lie, at times that differ.
    for (k, how) in LIES.iter().enumerate() {
        lie(&lab, 4 * k + chance.below(4), how);
    }
    let jobs: Vec<String> =
        (0..8).map(|k| submit(&lab, &films[k % films.len()], &format!("title-{k}"))).collect();
    let mut processes =
        [&["serve"][..], &["worker"], &["worker"]].map(|args| Process::start(&lab, args));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| never_back(&lab, &is_over));
        let _ends = Ends(&is_over);
        let started = Instant::now();
        let mut kills = 0;
        let table = || run(&lab, &["jobs"]).out;
        while table().matches(" published ").count() < jobs.len() {
            let is_well =
                started.elapsed() < Duration::from_secs(240) && !table().contains(" failed ");
            assert!(is_well, "{}", table());
            // Later nothing more happens: what was hit recovers.
            if kills < 12 {
                std::thread::sleep(Duration::from_millis(200 + 100 * chance.below(8) as u64));
                let hit = &mut processes[chance.below(3)];
                match chance.below(4) {
                    0 | 1 => hit.again(&lab, Signal::KILL),
                    2 => hit.again(&lab, Signal::TERM),
                    _ => {
                        // Longer than its leases: others take over, and then it goes on.
                        hit.send(Signal::STOP);
                        std::thread::sleep(Duration::from_millis(2_500));
                        hit.send(Signal::CONT);
                    }
                }
                kills += 1;
            } else {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    drop(processes);
    for k in 0..8 {
        let wanted = tracks(&quiet, &format!("film-{}", k % films.len()));
        let same = tracks(&lab, &format!("title-{k}")) == wanted;
        assert!(same, "title-{k} differs from a run without faults");
    }
    println!("measured: {} encodes begun where {} are enough", encodes(&lab), 8 + 8 + 5);
    // Whoever comes next sweeps what the dead ones left.
    drained(&lab);
    assert_eq!((lab.parts(), lab.work()), (Vec::new(), Vec::new()));
}

/// Tells the watcher that it is over, however it ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// No title's pointer goes back, or to another version than its one job's.
fn never_back(lab: &Lab, is_over: &AtomicBool) {
    let mut seen = std::collections::BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        for k in 0..8 {
            let title = format!("title-{k}");
            let live = lab.pointer(&title).and_then(|pointer| pointer.live);
            let before = *seen.entry(title.clone()).or_insert(live);
            assert!(before.is_none() || before == live, "{title}: {before:?}, then {live:?}");
            seen.insert(title, live);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An ffmpeg that always lies is given up after three times, with what is wrong; when it is mended the
/// job goes on from what is done.
#[test]
fn a_job_that_cannot_be_done_fails_and_can_be_tried_again() {
    let lab = Lab::new();
    let script = liar(&lab);
    for n in 0..20 {
        lie(&lab, n, LIES[2]);
    }
    let id = submit(&lab, sample(), "film");
    let mut worker = quick(&lab, &["worker", "--drain"]);
    let worked = worker.env("HEADWATER_ENCODER__FFMPEG", &script).output().unwrap();
    assert_eq!(worked.status.code(), Some(0));
    let failed = job(&lab, &id);
    assert_eq!(failed["state"], "failed", "{failed:#}");
    assert_eq!(failed["fault"]["kind"], "tool", "{failed:#}");
    let said = failed["fault"]["text"].as_str().unwrap();
    assert!(said.contains("is not what was planned"), "{said}");
    let tasks = failed["task_list"].as_array().unwrap();
    assert!(tasks.iter().any(|task| task["failures"] == 3), "{failed:#}");
    assert!(tasks.iter().all(|task| task["failures"].as_u64().unwrap() <= 3), "{failed:#}");
    assert_eq!(lab.pointer("film"), None);
    assert_eq!(run(&lab, &["retry", &id]).code, Some(0));
    drained(&lab);
    assert_eq!(job(&lab, &id)["state"], "published");
    // What is over cannot be tried again, nor called off.
    assert_eq!(run(&lab, &["retry", &id]).code, Some(2));
    assert_eq!(run(&lab, &["cancel", &id]).code, Some(2));
}

/// A source that is not there, or damaged, fails its job at once, with words for its uploader.
#[test]
fn a_bad_source_is_not_tried_again() {
    let lab = Lab::new();
    let film = lab.path("cut.mp4");
    let whole = fs::read(sample()).unwrap();
    fs::write(&film, &whole[..whole.len() / 2]).unwrap();
    let id = submit(&lab, &film, "film");
    let worked = drained(&lab);
    let failed = job(&lab, &id);
    assert_eq!(failed["fault"]["kind"], "source", "{failed:#} {worked:?}");
    assert_eq!(failed["failures"], 1, "{failed:#}");
    assert_eq!(run(&lab, &["cancel", &id]).code, Some(0));
    drained(&lab);
    assert_eq!((lab.parts(), lab.stored(), lab.work()), (vec![], vec![], vec![]));
}

/// A worker that is told to stop gives its tasks back at once, kills its ffmpeg, and nobody counts it
/// as a failure.
#[test]
fn a_worker_that_is_stopped_gives_its_tasks_back() {
    let lab = Lab::new();
    liar(&lab);
    for n in 0..8 {
        lie(&lab, n, "sleep 30");
    }
    let id = submit(&lab, sample(), "film");
    let mut worker = Process::start(&lab, &["worker"]);
    let held = || job(&lab, &id)["tasks_held"].as_u64().unwrap();
    wait_until("encoders at work", || held() == 2 && encodes(&lab) >= 2);
    let asked = Instant::now();
    worker.send(Signal::TERM);
    let ended = worker.child.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "after {:?}", asked.elapsed());
    let given_back = job(&lab, &id);
    assert_eq!((held(), &given_back["failures"]), (0, &0.into()), "{given_back:#}");
    wait_until("ffmpeg's end", || !is_running(&lab.path("work")));
    assert_eq!(lab.work(), Vec::<String>::new());
}

/// Whether a process has this folder in its command line.
fn is_running(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    fs::read_dir("/proc").unwrap().any(|entry| {
        let line = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    })
}

/// A publisher that stood still inside its work, and goes on after another one was given the task:
/// the title is what it would have been.
#[test]
fn a_publisher_that_stood_still_spoils_nothing() {
    let quiet = Lab::new();
    submit(&quiet, sample(), "film");
    drained(&quiet);
    let lab = Lab::new();
    liar(&lab);
    // The window is short: where it was missed, another title.
    let caught = (0..10).find(|k| {
        let title = format!("film-{k}");
        let id = submit(&lab, sample(), &title);
        let first = Process::start(&lab, &["worker"]);
        let begun = lab.store().join("titles").join(&title).join(&id);
        let started = Instant::now();
        while !begun.exists() {
            assert!(started.elapsed() < Duration::from_secs(120), "{:#}", job(&lab, &id));
            std::thread::sleep(Duration::from_micros(200));
        }
        first.send(Signal::STOP);
        if lab.pointer(&title).is_some() {
            first.send(Signal::CONT);
            wait_until("the title", || job(&lab, &id)["state"] == "published");
            return false;
        }
        let _second = Process::start(&lab, &["worker"]);
        let attempt = || {
            let shown = job(&lab, &id);
            let tasks = shown["task_list"].as_array().unwrap().clone();
            tasks.iter().find(|t| t["kind"] == "publish").unwrap()["attempt"].as_u64().unwrap()
        };
        wait_until("another publisher", || attempt() >= 2);
        assert_eq!(lab.pointer(&title), None, "the title is written by one at a time");
        first.send(Signal::CONT);
        wait_until("the title", || job(&lab, &id)["state"] == "published");
        assert!(tracks(&lab, &title) == tracks(&quiet, "film"));
        assert_eq!(lab.pointer(&title).unwrap().live.unwrap().to_string(), id);
        true
    });
    assert!(caught.is_some(), "no publisher was caught at its work");
}

/// What was asked for last is live in the end, in whichever order it is made.
#[test]
fn an_earlier_job_does_not_displace_a_later_one() {
    let lab = Lab::new();
    let earlier = submit(&lab, sample(), "film");
    let urgent = ["--title", "film", "--priority", "launch", "--json"];
    let later = run(&lab, &[&["submit", sample().to_str().unwrap()], &urgent[..]].concat());
    let later = later.events()[0]["id"].as_str().unwrap().to_owned();
    let mut worker = quick(&lab, &["worker", "--drain"]);
    // One at a time: the urgent one is through before the other begins.
    let worked = worker.env("HEADWATER_ENCODER__QUEUE__PARALLEL", "1").output().unwrap();
    assert_eq!(worked.status.code(), Some(0));
    for id in [&earlier, &later] {
        assert_eq!(job(&lab, id)["state"], "published");
    }
    assert!(job(&lab, &earlier)["ended_ms"].as_i64() > job(&lab, &later)["ended_ms"].as_i64());
    assert_eq!(lab.pointer("film").unwrap().live.unwrap().to_string(), later);
}
