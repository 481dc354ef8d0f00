//! Whatever stops an encode: nothing half made is published, nothing is left, or the next run
//! takes it back.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use headwater_packager::ids::VersionId;
use headwater_packager::stored::{self, Pointer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::lab::{Lab, Run, ffmpeg, films, sample};

/// A film that takes a while.
fn slow_film() -> std::path::PathBuf {
    static FILM: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    let make = || {
        let film = films().join("slow.mp4");
        let source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=24:duration=60"];
        ffmpeg(&[&source[..], &["-preset", "ultrafast", film.to_str().unwrap()]].concat());
        film
    };
    FILM.get_or_init(make).clone()
}

/// Starts an encode and waits until ffmpeg is at work.
fn started(lab: &Lab) -> Child {
    let film = slow_film();
    let child = lab
        .command(&["encode", film.to_str().unwrap(), "--title", "film"])
        .env("HEADWATER_ENCODER__PRESET", "veryslow")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("ffmpeg's first output", || {
        lab.work().iter().any(|name| name.ends_with("raw/v360.raw.mp4"))
    });
    assert_eq!(ffmpegs(lab), 1);
    child
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Running ffmpegs that write to this lab's work folder.
fn ffmpegs(lab: &Lab) -> usize {
    let work = lab.path("work").to_str().unwrap().to_owned();
    let is_ours = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with("ffmpeg") && line.contains(&work)
    };
    let processes = fs::read_dir("/proc").unwrap();
    processes.filter(|entry| is_ours(&entry.as_ref().unwrap().path())).count()
}

#[test]
fn ctrl_c_and_sigterm_leave_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let lab = Lab::new();
        let child = started(&lab);
        send(&child, signal);
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(130), "{run:?}");
        assert!(run.error().starts_with("interrupted: nothing was published"), "{run:?}");
        lab.assert_untouched();
        wait_for("ffmpeg's end", || ffmpegs(&lab) == 0);
    }
}

#[test]
fn after_kill_9_ffmpeg_is_gone_and_the_next_run_cleans_up() {
    let lab = Lab::new();
    let mut child = started(&lab);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("ffmpeg's end", || ffmpegs(&lab) == 0);
    assert_eq!(lab.stored(), Vec::<String>::new());
    assert!(!lab.work().is_empty(), "the killed encode left its folder");
    let run = lab.encode(sample(), "other");
    let notices = run.notices();
    assert!(
        notices.iter().any(|n| n.starts_with("took back an unfinished version of film")),
        "{run:?}"
    );
    assert_eq!(lab.work(), Vec::<String>::new());
}

/// Killed between the first object and the pointer: the half version goes. Killed behind the
/// pointer: the version is live and stays.
#[test]
fn the_next_run_removes_half_versions_and_keeps_live_ones() {
    let lab = Lab::new();
    let title = "film".parse().unwrap();
    let (half, live) = (VersionId::from_u128(7 << 80), VersionId::from_u128(8 << 80));
    for version in [half, live] {
        let object = lab.store().join(stored::object_key(&title, version, "v180.mp4"));
        fs::create_dir_all(object.parent().unwrap()).unwrap();
        fs::write(object, "bytes").unwrap();
        let folder = lab.path("work").join(version.to_string());
        fs::create_dir_all(&folder).unwrap();
        let job = json!({"title": "film", "version": version, "store": {"url": lab.store()}});
        fs::write(folder.join("job.json"), job.to_string()).unwrap();
    }
    let pointer = lab.store().join(stored::pointer_key(&title));
    fs::write(pointer, Pointer::to_live(live, None).to_json()).unwrap();
    lab.encode(sample(), "other");
    assert_eq!(lab.work(), Vec::<String>::new());
    let stored = lab.stored();
    assert!(stored.contains(&format!("film/{live}/v180.mp4")), "{stored:?}");
    assert!(!stored.iter().any(|name| name.contains(&half.to_string())), "{stored:?}");
}

/// What cannot be taken back, of another title or in another store, hinders nobody and is tried
/// again.
#[test]
fn a_leftover_that_stays_is_noted() {
    let lab = Lab::new();
    let version = VersionId::from_u128(7 << 80);
    let folder = lab.path("work").join(version.to_string());
    fs::create_dir_all(&folder).unwrap();
    let job = json!({"title": "film", "version": version, "store": {"url": lab.store()}});
    fs::write(folder.join("job.json"), job.to_string()).unwrap();
    let pointer = lab.store().join(stored::pointer_key(&"film".parse().unwrap()));
    fs::create_dir_all(pointer.parent().unwrap()).unwrap();
    fs::write(&pointer, "{").unwrap();
    let run = lab.encode(sample(), "other");
    let is_note = |n: &&str| n.starts_with("could not take back") && n.contains("title.json");
    assert!(run.notices().iter().any(is_note), "{run:?}");
    assert!(folder.join("job.json").exists());
    fs::remove_file(&pointer).unwrap();
    lab.encode(sample(), "other");
    assert_eq!(lab.work(), Vec::<String>::new());
}

/// A folder whose encode is alive is left alone.
#[test]
fn the_next_run_leaves_living_encodes_alone() {
    let lab = Lab::new();
    let mut child = started(&lab);
    // It goes on with its next chunk meanwhile; what says that it lives stays.
    let notes = || {
        let is_note = |name: &String| name.ends_with("/job.json");
        lab.work().into_iter().filter(is_note).collect::<Vec<_>>()
    };
    let before = notes();
    assert_eq!(before.len(), 1);
    let run = lab.encode(sample(), "other");
    assert!(!run.notices().iter().any(|n| n.contains("took back")), "{run:?}");
    assert_eq!(notes(), before);
    assert_eq!(ffmpegs(&lab), 1);
    send(&child, Signal::TERM);
    child.wait().unwrap();
    assert_eq!(lab.work(), Vec::<String>::new());
}
