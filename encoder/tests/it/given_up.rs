//! What becomes of a job that cannot be done, of a worker that is stopped, of two jobs for one title.
//! What survives anything at all is shown in `tests/tests/chaos`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Lab, sample};
use crate::service::{drained, job, quick, run, submit, wait_until};

/// Fewer frames than were asked for, success, and not a word.
const TOO_FEW: &str = "args=(); for a in \"$@\"; do case $a in *.raw.mp4) args+=(-frames:v 20);; esac; \
                       args+=(\"$a\"); done; exec ffmpeg \"${args[@]}\" 2>/dev/null";

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

/// A process that ends with its test.
struct Process {
    child: Child,
}

impl Process {
    fn start(lab: &Lab, args: &[&str]) -> Self {
        let mut command = quick(lab, args);
        command.env("HEADWATER_ENCODER__FFMPEG", lab.path("ffmpeg-that-lies"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child }
    }

    fn send(&self, signal: Signal) {
        let _ = kill_process(Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An ffmpeg that always lies is given up after three times, with what is wrong; when it is mended the
/// job goes on from what is done.
#[test]
fn a_job_that_cannot_be_done_fails_and_can_be_tried_again() {
    let lab = Lab::new();
    let script = liar(&lab);
    for n in 0..20 {
        lie(&lab, n, TOO_FEW);
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
    assert_eq!(job(&lab, &later)["state"], "published");
    let superseded = job(&lab, &earlier);
    assert_eq!(superseded["state"], "superseded");
    assert_eq!(superseded["superseded_by"], later);
    assert!(superseded["published"].is_null(), "{superseded:#}");
    let story = superseded["story"].as_array().unwrap();
    assert_eq!(story.last().unwrap()["what"], "superseded");
    assert_eq!(lab.parts(), Vec::<String>::new());
    assert!(job(&lab, &earlier)["ended_ms"].as_i64() > job(&lab, &later)["ended_ms"].as_i64());
    assert_eq!(lab.pointer("film").unwrap().live.unwrap().to_string(), later);
}
