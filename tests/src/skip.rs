//! What may be missing where tests run, and how that is counted.
//!
//! A skip prints one line `skipped: <why>` past the test harness's capture, so that whoever runs
//! the tests can count them. ffmpeg may never be missing.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The variable that turns on what takes long: `make test-long` sets it to 1.
pub const LONG_VARIABLE: &str = "HEADWATER_TEST_LONG";

/// Counts a skip.
pub fn skip(why: impl std::fmt::Display) {
    // Not eprintln: that one is captured and, for a test that passes, thrown away.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Says that a test shows less than it could, without counting a skip.
pub fn note(what: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "note: {what}");
}

/// A file of the folder `shared` beside the repository, or a counted skip.
pub fn shared(path: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if file.is_file() {
        return Some(file);
    }
    skip(format!("../shared/{path} is not there"));
    None
}

/// Whether what takes long is asked for, or a counted skip.
pub fn is_long(what: &str) -> bool {
    let long = std::env::var_os(LONG_VARIABLE).is_some_and(|value| value == "1");
    if !long {
        skip(format!("{what}: {LONG_VARIABLE}=1 is not set"));
    }
    long
}
