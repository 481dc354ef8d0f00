//! The life of a running origin: what its clients notice of upgrades and reloads, which is nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]
#![expect(clippy::print_stdout, reason = "what was measured goes to the report of long tests")]

mod load;
mod process;
