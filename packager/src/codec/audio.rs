//! Audio sample entries (14496-12 12.2): mp4a, Opus, ac-3, ec-3.

use super::{aac, dolby, opus};
use crate::bmff::boxes::{self, Boxed};
use crate::error::Error;
use crate::layout::ChannelLayout;
use crate::wire::Reader;

/// Bytes of an AudioSampleEntry version 0 before its boxes (14496-12 12.2.3).
pub(super) const FIELDS_BYTES: usize = 28;

/// A sound track's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Samples per second as they leave the decoder: of HE-AAC the doubled rate.
    pub sample_rate: u32,
    /// Channels as they leave the decoder: of parametric stereo two.
    pub channels: u16,
    /// Where they are heard.
    pub layout: ChannelLayout,
    /// The codec.
    pub config: AudioConfig,
}

/// A codec and what only it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioConfig {
    /// MPEG-4 audio.
    Aac {
        /// audioObjectType: 2 for AAC-LC, 5 with SBR, 29 with parametric stereo besides.
        object_type: u8,
    },
    /// Opus.
    Opus {
        /// PreSkip: samples at 48 kHz that a decoder drops first.
        pre_skip_samples: u16,
    },
    /// AC-3.
    Ac3,
    /// Enhanced AC-3.
    Eac3 {
        /// complexity_index_type_a where objects are coded jointly (Dolby Atmos).
        joc: Option<u8>,
    },
}

impl Audio {
    /// Reads `entry`, whose kind is of sound.
    pub(super) fn parse(entry: Boxed<'_>) -> Result<Self, Error> {
        let name = boxes::name(entry.kind);
        let mut r = Reader::new(entry.payload, "audio sample entry");
        r.skip(8); // reserved, data_reference_index
        let version = r.u16();
        r.skip(FIELDS_BYTES - 10);
        let inner = r.rest();
        r.finish().map_err(|e| e.within(&name))?;
        if version != 0 {
            let detail = format!("version {version}, QuickTime's or of stsd version 1: expected 0");
            return Err(Error::unsupported(name, detail));
        }
        let record = |kind| Ok::<_, Error>(boxes::need(inner, kind, &name)?.payload);
        match &entry.kind {
            b"Opus" => opus::dops(record(b"dOps")?),
            b"ac-3" => dolby::dac3(record(b"dac3")?),
            b"ec-3" => dolby::dec3(record(b"dec3")?),
            _ => aac::esds(record(b"esds")?),
        }
    }

    /// The RFC 6381 codecs string.
    pub fn codecs(&self) -> String {
        match self.config {
            // RFC 6381 3.3: mp4a, the object type indication of MPEG-4 audio, the object type.
            AudioConfig::Aac { object_type } => format!("mp4a.40.{object_type}"),
            // Lower case, as media source extensions and Apple's devices want it.
            AudioConfig::Opus { .. } => "opus".to_owned(),
            AudioConfig::Ac3 => "ac-3".to_owned(),
            AudioConfig::Eac3 { .. } => "ec-3".to_owned(),
        }
    }
}
