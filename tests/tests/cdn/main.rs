//! The origin behind a shared cache: nginx with the file of docs/cdn, real titles, two nodes.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod cached;
mod keys;
mod nodes;
mod sessions;
mod tokens;
mod versions;
