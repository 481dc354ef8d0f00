//! What a test found out beyond whether it passed.

use std::io::Write;

/// Prints a line `measured: <what>` past the test harness's capture, for the results of
/// `make test-long`.
pub fn measured(what: impl std::fmt::Display) {
    // Not println: that one is captured and, for a test that passes, thrown away.
    let _ = writeln!(std::io::stderr(), "measured: {what}");
}
