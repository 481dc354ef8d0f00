//! Load on an origin, and what it stood.
//!
//! ```text
//! fetch ──┐                                        ┌─► table
//! compare ┼─► load, seat ─► client ─► tally ─► report ─► json
//! play ───┘   (when to ask)  (ask)   (count)       └─► html
//! ```
//!
//! Modules use those above them. Everything down to `feed` is without sockets, clocks and files:
//! time is an argument there, and chance has a seed.
//!
//! - `chance`, `arrivals`, `zipf`: when work comes, and what it is.
//! - `spread`, `latency`, `series`, `failure`, `figures`, `assertion`: what is said of it.
//! - `address`, `manifest`, `viewer`: what players make of manifests.
//! - `report`: all of it for people and programs.
//!
//! Below, `client` speaks HTTP, `load` and `seat` drive it on one thread, and each command has a
//! file: `fetch`, `compare`, `play`.

pub mod error;
pub mod limits;
pub mod number;
pub mod options;
pub mod chance;
pub mod arrivals;
pub mod zipf;
pub mod spread;
pub mod latency;
pub mod failure;
pub mod sums;
pub mod series;
pub mod assertion;
pub mod figures;
pub mod tally;
pub mod process_table;
pub mod address;
pub mod manifest;
pub mod viewer;
pub mod report;
pub mod feed;
pub mod cpu;
pub mod harness;
pub mod client;
pub mod live;
pub mod load;
pub mod discover;
pub mod output;
pub mod fetch;
pub mod compare;
pub mod seat;
pub mod play;
