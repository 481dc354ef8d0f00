//! The encoder's binary with a real ffmpeg, on films of a few seconds.
//!
//! ffmpeg is not optional here: without it these tests fail and say so.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

mod attempts;
mod bar;
mod captions;
mod chunk_damage;
mod chunked;
mod commands;
mod copied;
mod damaged_sources;
mod given_up;
mod imports;
mod mended;
mod lab;
mod one_pass;
mod published;
mod refusals;
mod requests;
mod runs;
mod samples;
mod seams;
mod service;
mod signals;
mod sources;
mod stored_damage;
mod tools;
