//! The packager from outside: laws, goldens, and an independent reader. One binary links once.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod common;
mod goldens;
mod heads;
mod laws;
mod maps;
mod periods;
mod protect;
mod readers;
mod rules;
