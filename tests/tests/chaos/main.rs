//! Whatever is killed, stopped, cut off, filled or lied to: every title is published, and its bytes are
//! those of a run in which nothing happened.
//!
//! ```text
//! films ──► site: queue (SQLite | PostgreSQL), store (folder | bucket), work folders
//!             │
//!             ├── process   workers and servers, each by its own way to the bucket
//!             ├── liar      an ffmpeg that lies where it is told to
//!             ├── watch     looks at every pointer all the time: it never goes back
//!             └── meter     CPU seconds, memory and disk of everything that runs there
//! ```
//!
//! Each run prints its seed; `HEADWATER_TEST_SEED` repeats its draws.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

mod chance;
mod crowd;
mod disk;
mod few;
mod films;
mod liar;
mod meter;
mod process;
mod site;
mod stopped;
mod two_hours;
mod watch;
mod way;
