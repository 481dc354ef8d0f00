//! A disk that is full, and then is not any more.

use std::fs;
use std::io::Write;
use std::path::Path;

use headwater_tests::titles::copy_folder;

use crate::films;
use crate::process::{Process, may_mount};
use crate::site::{Site, wait_until};

/// Store and work folder on one small disk that is full: what is made fails for want of room, which is
/// the machine's fault and not the film's, and goes on when there is room.
#[test]
fn a_full_disk_costs_time_alone() {
    if !may_mount() {
        return;
    }
    let quiet = Site::new();
    quiet.submit(&films::tiny()[0], "film");
    quiet.drain();
    let mut site = Site::new();
    let disk = site.path("work-full");
    let store = disk.join("store");
    site.set("HEADWATER_STORE__URL", store.to_str().unwrap());
    let worker = Process::start_on_small_disk(&site, "full", &["worker"], &[], 16);
    let filled = fill(&worker.sees(&disk), 96 << 10);
    let id = site.submit(&films::tiny()[0], "film");
    wait_until("a task that found no room", || site.job(&id)["failures"] != 0);
    let failed = site.job(&id);
    let told = failed["story"].as_array().unwrap();
    for told in told.iter().filter(|told| told["what"] == "failed") {
        let text = told["text"].as_str().unwrap().to_lowercase();
        assert!(text.contains("no space left on"), "whose fault is it? {text}");
    }
    assert_ne!(failed["state"], "failed", "{failed:#}");
    fs::remove_file(filled).unwrap();
    wait_until("the title", || site.job(&id)["state"] == "published");
    copy_folder(&worker.sees(&disk).join("store"), &site.path("store"));
    site.set("HEADWATER_STORE__URL", site.path("store").to_str().unwrap());
    assert!(site.tracks("film") == quiet.tracks("film"));
}

/// A worker whose disk has less room than it is told to keep takes nothing, and nothing fails.
#[test]
fn a_worker_without_room_takes_nothing() {
    if !may_mount() {
        return;
    }
    let site = Site::new();
    let least = [("HEADWATER_ENCODER__QUEUE__MIN_DISK_MIB", "8")];
    let worker = Process::start_on_small_disk(&site, "full", &["worker"], &least, 16);
    let filled = fill(&worker.sees(&site.path("work-full")), 4 << 20);
    wait_until("its words", || {
        let said = fs::read_to_string(site.path("full.log")).unwrap();
        said.contains("takes nothing: ")
            && said.contains("MiB are free in encoder.work_dir, less than 8")
    });
    let id = site.submit(&films::tiny()[2], "film");
    // Some looks for work.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let waiting = site.job(&id);
    assert_eq!((&waiting["state"], &waiting["failures"]), (&"queued".into(), &0.into()));
    fs::remove_file(filled).unwrap();
    wait_until("the title", || site.job(&id)["state"] == "published");
    assert_eq!(site.job(&id)["failures"], 0);
}

/// Fills a disk until `left_bytes` are free; gives the file that does.
pub fn fill(disk: &Path, left_bytes: u64) -> std::path::PathBuf {
    let path = disk.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    let block = vec![0; 64 << 10];
    loop {
        let room = rustix::fs::statvfs(disk).unwrap();
        if room.f_bavail * room.f_frsize <= left_bytes || file.write_all(&block).is_err() {
            return path;
        }
    }
}
