//! Headwater's pure media core: bytes and numbers in, bytes out.
//!
//! A background encoder stores each title once as CMAF track files plus one small object, the
//! *heads*. From heads alone this crate says what every manifest reads, how long every response is
//! and which bytes of which object it needs. It never reads, waits, logs or looks at a clock.
//!
//! Words, used the same in code, config, metrics and logs:
//!
//! - *title*: one piece of content; *version*: one publication of it, never changed afterwards.
//! - *track*: one CMAF track: a video rendition, an audio language.
//! - *fragment*: one moof + mdat of the mezzanine, about 2 s, a closed GOP; the smallest unit cut.
//! - *segment*: n fragments as one media segment of a delivery; segments count from 1.
//! - *heads*: one object with all that is needed to plan any response without touching media.
//! - *plan*: which ranges of which objects a response needs, and their checksums.
//! - *ticks*: time in a track's own timescale. Ranges are half open everywhere.
//!
//! A module uses only modules listed above it (a test holds this).

pub mod error;
pub mod limits;
pub mod wire;
pub mod ids;
pub mod time;
mod text;
pub mod stored;
pub mod bmff;
pub mod bits;
pub mod colour;
pub mod layout;
pub mod avc;
pub mod hevc;
pub mod av1;
pub mod codec;
pub mod encrypt;
pub mod subsample;
pub mod heads;
pub mod label;
pub mod title;
pub mod protect;
pub mod drm;
pub mod bandwidth;
pub mod timeline;
pub mod period;
pub mod signalling;
pub mod plan;
pub mod hls;
pub mod dash;

pub use error::{Error, Kind};

/// The output-format constant, part of every media URL's `rev`: raised by any release that changes
/// a byte of any init segment, media segment or media playlist it would have sent before. What was never
/// released has no number of its own.
pub const FORMAT_VERSION: u32 = 1;
