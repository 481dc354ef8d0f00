//! Sample entries (14496-12 8.5.2) to codecs strings (RFC 6381) and what manifests say of them.
//!
//! ```text
//! SampleEntry::Video(Video)   avc1 hvc1 av01            size, pasp, colour, bit depth, config
//! SampleEntry::Audio(Audio)   mp4a Opus ac-3 ec-3       rate and channels as decoded, config
//! ```
//! Everything here is read from the bitstream's own configuration: what a muxer or an operator
//! believes about a track plays no part. Entries whose parameter sets may stand in samples (hev1,
//! avc3) are refused: a player that joins later would not have them, and Apple's play none.

mod aac;
mod audio;
mod dolby;
mod opus;
mod video;

pub use audio::{Audio, AudioConfig};
pub use video::{Video, VideoConfig};

use crate::bmff::boxes;
pub use crate::colour::{Colour, VideoRange};
use crate::error::Error;

/// A sample entry that this release can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleEntry {
    /// Pictures.
    Video(Video),
    /// Sound.
    Audio(Audio),
}

impl SampleEntry {
    /// Reads one sample entry, a whole box.
    pub fn parse(entry: &[u8]) -> Result<Self, Error> {
        let entry = boxes::children(entry)
            .next()
            .ok_or_else(|| Error::damaged("stsd", "no sample entry"))??;
        if let Some(reason) = refused(entry.kind) {
            let detail = format!("sample entry `{}`: {reason}", boxes::name(entry.kind));
            return Err(Error::unsupported("stsd", detail));
        }
        if is_video(entry.kind) {
            Video::parse(entry).map(Self::Video)
        } else {
            Audio::parse(entry).map(Self::Audio)
        }
    }

    /// The RFC 6381 codecs string.
    pub fn codecs(&self) -> String {
        match self {
            Self::Video(video) => video.codecs(),
            Self::Audio(audio) => audio.codecs(),
        }
    }
}

/// The boxes inside a sample entry, a whole box: its payload behind the fields of its kind.
pub fn inner_boxes(entry: &[u8]) -> Result<&[u8], Error> {
    let entry = boxes::children(entry)
        .next()
        .ok_or_else(|| Error::damaged("stsd", "no sample entry"))??;
    let fields = if is_video(entry.kind) { video::FIELDS_BYTES } else { audio::FIELDS_BYTES };
    entry.payload.get(fields..).ok_or_else(|| {
        Error::damaged(boxes::name(entry.kind), format!("only {} bytes", entry.payload.len()))
    })
}

fn is_video(kind: boxes::Kind) -> bool {
    matches!(&kind, b"avc1" | b"hvc1" | b"av01")
}

/// Why a kind of sample entry is not served, if it is not.
fn refused(kind: boxes::Kind) -> Option<&'static str> {
    match &kind {
        b"avc1" | b"hvc1" | b"av01" | b"mp4a" | b"Opus" | b"ac-3" | b"ec-3" => None,
        b"hev1" => Some("its parameter sets may stand in samples: expected hvc1, which has all"),
        b"avc3" => Some("its parameter sets may stand in samples: expected avc1, which has all"),
        b"encv" | b"enca" => Some("is encrypted: expected clear media"),
        b"dvh1" | b"dvhe" | b"dva1" | b"dvav" | b"dav1" => {
            Some("Dolby Vision without a base layer that others play: expected hvc1, avc1 or av01")
        }
        _ => Some("expected avc1, hvc1, av01, mp4a, Opus, ac-3 or ec-3"),
    }
}

#[cfg(test)]
mod tests;
