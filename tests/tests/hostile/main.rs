//! Clients that mean no good, against the real binary: what they cost it, what others feel of it,
//! and that each of them ends. The bounds are those of docs/operations.md, "What clients cost".
//!
//! - `readers`: who takes what was asked for slowly, or not at all.
//! - `idle`: who connects and is silent; more connections than are allowed.
//! - `halves`: requests, handshakes and headers of proxies that never end.
//! - `floods`: headers that are too large, and frames without end.
//! - `bench`, `frames`: the origin under attack, who watches it, and HTTP/2 by hand.
#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod bench;
mod floods;
mod frames;
mod halves;
mod idle;
mod readers;
