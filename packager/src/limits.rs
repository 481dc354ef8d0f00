//! Bounds on what this crate accepts from outside. A count read from a file guides a loop up to
//! its bound here and never sizes an allocation.

/// Bytes of a `title.json`.
pub const POINTER_BYTES: usize = 16 * 1024;
/// Bytes of a `heads.bin`: 256 tracks of a day would fit.
pub const HEADS_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of the JSON head inside a `heads.bin`.
pub const HEADS_JSON_BYTES: usize = 1024 * 1024;
/// Tracks of a version.
pub const TRACKS: usize = 256;
/// Objects a track is stored in.
pub const OBJECTS: usize = 65_536;
/// Fragments of a track: 12 days at 2 s.
pub const FRAGMENTS: u32 = 1 << 19;
/// Samples of a fragment; heads count them in 16 bits.
pub const SAMPLES: usize = 65_535;
/// Bytes of a track's init segment.
pub const INIT_BYTES: usize = 256 * 1024;
/// Bytes of a fragment (moof and mdat).
pub const FRAGMENT_BYTES: u32 = 256 * 1024 * 1024;
/// The highest timescale, ticks per second.
pub const TIMESCALE: u32 = 1_000_000_000;
/// Length of a title: DASH time codes stay below 2^53 at any timescale up to 1 GHz.
pub const TITLE_SECONDS: u64 = 9_000_000;
/// Bytes of a pssh box that a key server made: PlayReady's with an address are about 2,000.
pub const PSSH_BYTES: usize = 16 * 1024;
/// Key periods of a version: each is a Period of an MPD, with keys of its own for each label.
pub const KEY_PERIODS: u32 = 64;
/// Key periods of a version whose keys are one session's: what names them is made anew for each
/// request, and an MPD grows with them by a Period.
pub const KEY_PERIODS_OF_SESSION: u32 = 8;
/// Key periods whose keys a multivariant playlist names: players that ask for licences ahead need
/// no more to begin with, and each key has a line of about 2 KB for each system.
pub const SESSION_KEY_PERIODS: usize = 8;
