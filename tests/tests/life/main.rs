//! The life of a running origin: what its clients notice of upgrades and reloads, which is nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

mod load;
mod process;
mod soak;
