//! What the fuzz targets do with a run of bytes: every reader of bytes from outside, and the laws
//! that hold for whatever it accepts.
//!
//! One function for each target. It takes any bytes and panics when a law is broken. That a reader
//! refuses them is no fault; the answer says whether they were accepted, and so held to the laws.
//! Targets in `tests/fuzz` call these, and so does the test of the seeds.
//!
//! | function | bytes are |
//! |---|---|
//! | [`heads`] | a heads.bin, whose checksum is put right |
//! | [`pointer`] | a title.json |
//! | [`movie`] | what a moov holds |
//! | [`fragment`] | a moof |
//! | [`sample_entry`] | a sample entry, and a sample |
//! | [`subsamples`] | a sample entry, then a sample of it |
//! | [`remux`] | a fragmented file of ffmpeg's |
//! | [`config`] | a configuration file |
//! | [`route`] | a path |
//! | [`conditions`] | the values of Range, If-None-Match, If-Match, If-Range |
//! | [`forwarded`] | who is connected, then the values of X-Forwarded-For, Forwarded, CDN-Loop, Accept-Encoding, traceparent |
//! | [`proxy`] | what a connection begins with: a PROXY header |
//! | [`probe`] | ffprobe's JSON, then its lines of packets |
//! | [`compact_token`] | what a compact token's signature covers; it is put right |
//! | [`jwt`] | a JWT's header, a line break, its claims; the signature is put right |
//! | [`token_text`] | a token as it comes |
//! | [`session_cookie`] | what the signature of a session's cookie covers; it is put right |
//! | [`propagate`] | a manifest whose URIs take a token along |
//! | [`jwks`] | a set of JSON Web Keys, or a shared secret's file |
//! | [`cpix`] | what a key server answers |
//! | [`otlp`] | what a collector of spans answers |
//! | [`carriers`] | a target, the values of Cookie and of Authorization, one a line |
//! | [`manifest`] | a manifest that the load harness is given: an MPD or a playlist |
//! | [`said`] | lines that ffmpeg and ffprobe write while they work |
#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken law is told by panicking")]

mod encoder;
mod keys;
mod manifest;
mod media;
mod stored;
mod telemetry;
mod token;
mod web;

pub use encoder::{probe, remux, said};
pub use keys::cpix;
pub use manifest::manifest;
pub use media::{fragment, movie, sample_entry, subsamples};
pub use stored::{config, heads, pointer};
pub use telemetry::otlp;
pub use token::{carriers, compact_token, jwks, jwt, propagate, session_cookie, token_text};
pub use web::{conditions, forwarded, proxy, route};

/// A target: its name and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target.
pub const TARGETS: &[Target] = &[
    ("carriers", carriers),
    ("compact_token", compact_token),
    ("conditions", conditions),
    ("config", config),
    ("cpix", cpix),
    ("forwarded", forwarded),
    ("fragment", fragment),
    ("heads", heads),
    ("jwks", jwks),
    ("jwt", jwt),
    ("manifest", manifest),
    ("movie", movie),
    ("otlp", otlp),
    ("pointer", pointer),
    ("probe", probe),
    ("propagate", propagate),
    ("proxy", proxy),
    ("remux", remux),
    ("route", route),
    ("said", said),
    ("sample_entry", sample_entry),
    ("session_cookie", session_cookie),
    ("subsamples", subsamples),
    ("token_text", token_text),
];
