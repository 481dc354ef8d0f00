//! The heads of a version: one object from which every response can be planned.
//!
//! ```text
//! "HWHEADS1"                    8 bytes
//! JSON length, row length       two u32
//! JSON head                     tracks, codecs, objects: [`Head`]
//! init segments                 one for each track, in the JSON's order
//! rows                          [`Row`], 22 bytes each, track after track
//! CRC32C of all before          u32
//! ```
//! Numbers are big-endian. A longer row is a later release's: what follows the known fields is
//! skipped. [`HeadsWriter`] is used by the encoder; [`crate::title::Title`] reads.

use serde::{Deserialize, Serialize};

use crate::bmff::fragment::MDAT_HEADER_BYTES;
use crate::colour::Colour;
use crate::error::Error;
use crate::ids::{TitleId, TrackId, VersionId};
use crate::layout::ChannelLayout;
use crate::limits;

/// First bytes of a heads object.
pub const MAGIC: &[u8; 8] = b"HWHEADS1";
/// Magic and two lengths.
pub const PREAMBLE_BYTES: usize = 16;
/// Bytes of the trailing checksum.
pub const TRAILER_BYTES: usize = 4;

/// The JSON head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The title these heads belong to; a copy under another title's key is damage.
    pub title: TitleId,
    /// The version.
    pub version: VersionId,
    /// Rises with each publication of heads for this version; a finished version has one.
    pub seq: u64,
    /// Which kind of profile may serve this version's URLs, `[a-z0-9-]{1,32}`; `None` leaves it to
    /// the profile's own rule. It stands here so that a URL which names its version needs no look
    /// at the title's pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_class: Option<String>,
    /// At least one; video before audio, best rendition first.
    pub tracks: Vec<TrackHead>,
}

/// One track in the JSON head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackHead {
    /// Unique in the version.
    pub id: TrackId,
    /// What kind of media, and its facts.
    #[serde(flatten)]
    pub media: Media,
    /// RFC 6381, from the bitstream.
    pub codecs: String,
    /// Ticks per second.
    pub timescale: u32,
    /// BCP 47 (RFC 5646) language of the sound; none for video and where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What the track is for.
    #[serde(default, skip_serializing_if = "Role::is_main")]
    pub role: Role,
    /// Code points of a video's colour, where colr or the bitstream say them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
    /// Complexity index of E-AC-3 whose objects are coded jointly (Dolby Atmos).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joc: Option<u8>,
    /// Where the channels of sound are heard, where the bitstream says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<ChannelLayout>,
    /// Whether every fragment was seen to start with an IDR picture or needs none.
    pub independent: bool,
    /// Presentation time of the track's first sample less its decode time, in ticks: what an edit
    /// list takes off is already taken off. Zero in every track that this release opens.
    #[serde(default)]
    pub start_offset_ticks: i64,
    /// Bytes of the init segment.
    pub init_bytes: u32,
    /// The objects that hold the fragments, in order; at least one.
    pub objects: Vec<ObjectHead>,
}

/// What a track is for: DASH's roles (23009-1 5.8.5.5) of those that HLS can tell too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What is played unless somebody chooses otherwise, in its language.
    #[default]
    Main,
    /// The same content in another way.
    Alternate,
    /// Spoken in another language than it was made in.
    Dub,
    /// Talk about it.
    Commentary,
    /// Says what pictures show, for who cannot see them.
    Description,
}

impl Role {
    /// DASH's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Alternate => "alternate",
            Self::Dub => "dub",
            Self::Commentary => "commentary",
            Self::Description => "description",
        }
    }

    /// Whether this is the default, which heads leave out.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    fn is_main(&self) -> bool {
        *self == Self::Main
    }
}

/// What a track carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Media {
    /// A video rendition.
    Video {
        /// Display width in pixels, after the pixel aspect ratio.
        width: u32,
        /// Display height in pixels.
        height: u32,
        /// Frames per second as a fraction.
        frame_rate: (u32, u32),
    },
    /// A sound track.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
}

/// One object of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    /// File name under the version's folder: `[A-Za-z0-9._-]`.
    pub name: String,
    /// Whole object.
    pub len_bytes: u64,
    /// Where its first fragment starts; what lies before is ftyp, moov, sidx.
    pub media_offset_bytes: u64,
    /// How many of the track's fragments it holds.
    pub fragments: u32,
}

/// One fragment: everything a plan or a manifest asks about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Ticks that are shown: of a track whose edit list hides its first ticks, the first row has
    /// that many fewer than its moof.
    pub duration_ticks: u32,
    /// moof and mdat together.
    pub size_bytes: u32,
    /// The first sample, which follows the moof and the mdat header.
    pub first_sample_bytes: u32,
    /// CRC32C (RFC 3720 B.4) of moof and mdat together.
    pub crc32c: u32,
    /// The moof.
    pub moof_bytes: u16,
    /// How many samples.
    pub samples: u16,
    /// Entries of all its samples' encryption maps ([`crate::subsample`]), as many under every
    /// scheme; 0 where samples are encrypted whole.
    pub map_entries: u16,
}

/// Bytes of a [`Row`] as stored.
pub const ROW_BYTES: usize = 22;

impl Row {
    /// The stored form.
    pub fn to_bytes(self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        bytes[0..4].copy_from_slice(&self.duration_ticks.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.size_bytes.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.first_sample_bytes.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.crc32c.to_be_bytes());
        bytes[16..18].copy_from_slice(&self.moof_bytes.to_be_bytes());
        bytes[18..20].copy_from_slice(&self.samples.to_be_bytes());
        bytes[20..22].copy_from_slice(&self.map_entries.to_be_bytes());
        bytes
    }

    /// From the stored form.
    pub fn from_bytes(bytes: &[u8; ROW_BYTES]) -> Self {
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        Self {
            duration_ticks: word(0),
            size_bytes: word(4),
            first_sample_bytes: word(8),
            crc32c: word(12),
            moof_bytes: half(16),
            samples: half(18),
            map_entries: half(20),
        }
    }

    /// Whether the numbers fit each other: a fragment holds its moof, an mdat header and at least
    /// its first sample.
    pub fn is_consistent(self) -> bool {
        self.samples > 0
            && self.duration_ticks > 0
            && self.moof_bytes > 0
            && self.size_bytes <= limits::FRAGMENT_BYTES
            && self.first_sample_end() <= u64::from(self.size_bytes)
    }

    /// Bytes of the stored fragment from its first to the end of its first sample.
    pub fn first_sample_end(self) -> u64 {
        u64::from(self.moof_bytes)
            + u64::from(MDAT_HEADER_BYTES)
            + u64::from(self.first_sample_bytes)
    }
}

/// Collects tracks and writes a heads object.
#[derive(Debug)]
pub struct HeadsWriter {
    head: Head,
    inits: Vec<u8>,
    rows: Vec<u8>,
}

impl HeadsWriter {
    /// Heads of `version`; `seq` rises with each publication of them.
    pub fn new(title: TitleId, version: VersionId, seq: u64) -> Self {
        let head = Head { title, version, seq, access_class: None, tracks: Vec::new() };
        Self { head, inits: Vec::new(), rows: Vec::new() }
    }

    /// Sets the version's access class.
    #[must_use]
    pub fn access_class(mut self, class: Option<String>) -> Self {
        self.head.access_class = class;
        self
    }

    /// Adds a track. `init_bytes` of the head is set here from `init`.
    pub fn track(&mut self, mut track: TrackHead, init: &[u8], rows: &[Row]) -> Result<(), Error> {
        track.init_bytes = u32::try_from(init.len())
            .map_err(|_| Error::too_large("heads/init", format!("{} bytes", init.len())))?;
        self.head.tracks.push(track);
        self.inits.extend_from_slice(init);
        self.rows.extend(rows.iter().flat_map(|row| row.to_bytes()));
        Ok(())
    }

    /// The object's bytes. Whether they make sense is for [`crate::title::Title::open`] to say.
    pub fn finish(&self) -> Vec<u8> {
        let json = serde_json::to_vec(&self.head).expect("heads are plain data");
        let json_len = u32::try_from(json.len()).expect("bounded by tracks and objects");
        let row_len = u32::try_from(ROW_BYTES).expect("a constant");
        let mut bytes = Vec::with_capacity(
            PREAMBLE_BYTES + json.len() + self.inits.len() + self.rows.len() + TRAILER_BYTES,
        );
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&json_len.to_be_bytes());
        bytes.extend_from_slice(&row_len.to_be_bytes());
        bytes.extend_from_slice(&json);
        bytes.extend_from_slice(&self.inits);
        bytes.extend_from_slice(&self.rows);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }
}
