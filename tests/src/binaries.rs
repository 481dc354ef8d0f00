//! Where the product's binaries are: beside the running test, in cargo's target folder, or where
//! `HEADWATER_TEST_ENCODER`, `HEADWATER_TEST_ORIGIN` and `HEADWATER_TEST_BENCH` say.

use std::env;
use std::path::PathBuf;

/// The encoder.
pub fn encoder() -> PathBuf {
    binary("headwater-encoder", "HEADWATER_TEST_ENCODER")
}

/// The origin.
pub fn origin() -> PathBuf {
    binary("headwater-origin", "HEADWATER_TEST_ORIGIN")
}

/// The load harness.
pub fn bench() -> PathBuf {
    binary("headwater-bench", "HEADWATER_TEST_BENCH")
}

/// `target/<profile>/<name>`; the test itself is `target/<profile>/deps/<test>-<hash>`.
fn binary(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable}: {} is missing", path.display());
        return path;
    }
    let test = env::current_exe().expect("a running test has a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests lie two folders deep");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `make test`, or `cargo build --workspace` first",
        path.display()
    );
    path
}
