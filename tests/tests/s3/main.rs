//! The same on S3: a real server, a proxy before it that counts and spoils, the real binaries.
//!
//! - `served`: bytes and entity tags as from a folder, and how often the store is asked.
//! - `faults`: each thing that can go wrong on the way, its row of the failure table, recovery.
//! - `random`: faults by chance, and every body compared.
//! - `client`: time limits, connections, header fields, credentials.
//! - `check`: what `headwater-origin check` says of credentials and permissions.
//! - `garage`: all of it on a server that others run in production.
//! - `inputs`: sources that lie in a bucket, and how much is read of them.
//! - `publish`: uploads, and what is left of one that is cut off.
#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod check;
mod client;
mod common;
mod faults;
mod garage;
mod inputs;
mod publish;
mod random;
mod served;
