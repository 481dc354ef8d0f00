//! What the tests of the whole share: real binaries, real ffmpeg, readers that are not ours.
//!
//! ```text
//! titles ──► encoder ──► a store in a scratch folder ──► origin ──► web ──► hls, dash, fragments
//!               │                                           │
//!            ffmpeg                                      ffmpeg ──► barcode, beeps
//! ```
//!
//! - [`binaries`], [`run`], [`scratch`], [`skip`]: processes, folders, what is not there.
//! - [`measured`]: figures for the results of the long tests.
//! - [`titles`]: small generated titles, each encoded once for a test binary.
//! - [`origin`], [`web`]: a running origin, and a client that follows its relative URLs.
//! - [`load`]: clients that keep asking, over every protocol.
//! - [`nginx`]: a shared cache in front of origins.
//! - [`postgres`]: the database of a queue, which can be killed.
//! - [`identity`]: a certificate that the tests believe.
//! - [`hls`], [`dash`], [`fragments`]: what is served, read by m3u8-rs, quick-xml, mp4-atom, mp4.
//! - [`s3`], [`garage`], [`s3_proxy`]: real S3 servers, and what counts and spoils the way to them.
//! - [`barcode`], [`beeps`]: what a picture and a sound say of themselves.
//!
//! Nothing here decides what is right: the tests do. A helper that cannot do its work panics and
//! says why.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

pub mod barcode;
pub mod beeps;
pub mod binaries;
pub mod clips;
pub mod dash;
pub mod encoder;
pub mod ffmpeg;
pub mod fragments;
pub mod garage;
pub mod hls;
pub mod identity;
pub mod load;
mod measured;
pub mod nginx;
pub mod origin;
pub mod postgres;
pub mod run;
pub mod s3;
pub mod s3_proxy;
pub mod scratch;
pub mod skip;
pub mod titles;
pub mod web;

pub use measured::measured;
