//! HLS playlists (draft-pantos-hls-rfc8216bis-20; RFC 8216 as the floor).
//!
//! - [`multivariant`]: which renditions there are, and what they cost.
//! - [`media`]: the segments of one track.
//! - [`iframes`]: the IDR pictures of one video track, as byte ranges of its segments.
//!
//! Every URI is relative, so that whatever stands before it in the path (a token, a session)
//! carries over by itself, and the same playlist serves every viewer.
//! Numbers are integers all the way: times are printed from microseconds, never from floats.

mod audio_groups;
mod iframes;
mod keys;
mod media;
mod multivariant;

pub use iframes::iframes;
pub use media::media;
pub use multivariant::multivariant;
