//! The load harness as its users run it.
//!
//! - `served`: against the origin: every body verified, every request accounted for by both sides.
//! - `hostile`: against a server that lies, cuts and refuses: each failure is counted as what it is.
//! - `run`, `liar`: the binary with its report; that server.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

mod hostile;
mod liar;
mod run;
mod served;
