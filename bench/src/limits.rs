//! Bounds on what servers, files and command lines may make us hold or do.

/// Bytes of a manifest that is kept and read; media is only summed up on its way.
pub const MAX_MANIFEST_BYTES: usize = 16 * 1024 * 1024;
/// Segments of one track: a day of two-second segments, and some.
pub const MAX_SEGMENTS: usize = 50_000;
/// Renditions of one title.
pub const MAX_RENDITIONS: usize = 256;
/// Depth of elements in an MPD.
pub const MAX_ELEMENT_DEPTH: usize = 32;
/// URLs of one run.
pub const MAX_TARGETS: usize = 2_000_000;
/// Redirects that a manifest may lead through.
pub const MAX_REDIRECTS: usize = 5;
/// Processes looked at for a server's CPU seconds.
pub const MAX_PROCESSES: usize = 65_536;
/// Times that a request finds its kept connection closed by the server before it was sent.
pub const MAX_RECONNECTS: usize = 3;
/// Attempts of a player at one segment or playlist, the first included.
pub const MAX_ATTEMPTS: u32 = 3;
/// The longest time that histograms tell from longer ones, in microseconds: an hour.
pub const MAX_LATENCY_US: u64 = 3_600_000_000;
/// Seconds of a run that a report's time line shows one by one; later ones are dropped.
pub const MAX_SERIES_S: usize = 7 * 24 * 3600;
/// Kinds of failure whose first occurrence is told in words.
pub const MAX_EXAMPLES: usize = 20;
