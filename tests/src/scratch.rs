//! Scratch folders in cargo's target folder.
//!
//! What a test binary shares between its tests lives as long as the process, so nobody is left to
//! remove it at the end: each process gets a folder of its own, and the next one removes those
//! whose process is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A folder that is removed when dropped.
pub fn folder() -> TempDir {
    tempfile::tempdir_in(process_folder()).expect("the target folder can be written")
}

/// A folder that lasts as long as the process.
pub fn lasting(name: &str) -> PathBuf {
    let path = process_folder().join(name);
    fs::create_dir_all(&path).expect("the target folder can be written");
    path
}

fn process_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        let target = test.ancestors().nth(3).expect("tests lie three folders deep");
        let all = target.join("tmp").join("headwater-tests");
        fs::create_dir_all(&all).expect("the target folder can be written");
        remove_abandoned(&all);
        let path = all.join(std::process::id().to_string());
        fs::create_dir_all(&path).expect("the target folder can be written");
        path
    })
}

fn remove_abandoned(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Another test binary may be removing it at the same time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
