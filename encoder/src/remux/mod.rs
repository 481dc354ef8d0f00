//! ffmpeg's fragmented files to ours: every fragment read, checked against the plan, cut on the
//! grid and written in one canonical form, one fragment in memory at a time.
//!
//! ```text
//! raw      ftyp moov (moof mdat)* mfra, streamed      what ffmpeg wrote
//! video    one raw fragment is one GOP                frame counts, IDR, times
//! entries  how a source describes its pictures        once
//! copied   key frame to key frame of a source     NAL units, IDR, slots of the grid
//! sound    its frames are dealt out to the grid       frame counts, times
//! runs     the same while ffmpeg still writes         what is closed
//! opinion  the crate `mp4` reads the header as well   must agree
//! track    ftyp moov sidx (moof mdat)*, rows          what is stored
//! ```

mod copied;
pub mod entries;
mod opinion;
mod raw;
mod runs;
mod sound;
mod track;
mod video;

use std::path::PathBuf;

use headwater_packager::bmff::index::{Reference, write_sidx};
use headwater_packager::codec::Video;
use headwater_packager::heads::{Media, ObjectHead, Role, Row, TrackHead};
use headwater_packager::ids::TrackId;

use crate::error::Error;
use crate::grid::Rate;
use crate::plan::object_name;

pub use copied::copied;
pub use opinion::agrees;
pub use raw::{Raw, regular};
pub use runs::{Runs, Written};
pub use sound::{Sound, is_our_aac, is_ours, sound};
pub use track::{TrackFile, TrackWriter};
pub use video::{is_of, video};

/// A finished track file, not yet in the store.
#[derive(Clone, Debug)]
pub struct Made {
    /// What heads say of it.
    pub head: TrackHead,
    /// ftyp and moov.
    pub init: Vec<u8>,
    /// A row for each fragment.
    pub rows: Vec<Row>,
    /// The file.
    pub path: PathBuf,
}

/// What is known of a track of pictures before its file is written.
pub struct PictureTrack<'a> {
    /// Its name.
    pub track: &'a TrackId,
    /// Its sample entry.
    pub entry: &'a Video,
    /// Pixels of a picture.
    pub size: (u32, u32),
    /// Frames a second.
    pub rate: Rate,
    /// Ticks a second.
    pub timescale: u32,
}

impl Made {
    /// A track of pictures whose every fragment begins with one that is shown first and that decoding can
    /// start at: whoever made it has looked.
    pub fn of_pictures(of: &PictureTrack<'_>, file: TrackFile, path: PathBuf) -> Self {
        let PictureTrack { track, entry, size: (width, height), rate, timescale } = *of;
        let frame_rate = (rate.num(), rate.den());
        let head = TrackHead {
            id: track.clone(),
            media: Media::Video { width, height, frame_rate },
            codecs: entry.codecs(),
            timescale,
            language: None,
            role: Role::Main,
            colour: entry.colour,
            joc: None,
            layout: None,
            independent: true,
            start_offset_ticks: 0,
            init_bytes: 0,
            objects: vec![file.object(object_name(track))],
        };
        Self { head, init: file.init, rows: file.rows, path }
    }

    /// The object in the store.
    pub fn object(&self) -> &ObjectHead {
        self.head.objects.first().expect("a finished track is one object")
    }

    /// Length in ticks.
    pub fn duration_ticks(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.duration_ticks)).sum()
    }
}

/// The index of a track's fragments, as it stands in its file.
pub fn index(timescale: u32, rows: impl Iterator<Item = Row>) -> Result<Vec<u8>, Error> {
    let references: Vec<Reference> = rows
        .map(|row| Reference { size_bytes: row.size_bytes, duration_ticks: row.duration_ticks })
        .collect();
    // Time starts at zero in every track that we make.
    write_sidx(timescale, 0, &references).map_err(|e| Error::tool(e.to_string()))
}

/// ffmpeg's output is not what was planned: whose fault, where, what was expected and what came.
fn unlike_plan(track: &TrackId, what: impl std::fmt::Display) -> Error {
    Error::tool(format!(
        "ffmpeg's output for {track} is not what was planned: {what}; nothing was published. \
         Try again; if it stays so, try another ffmpeg and report it"
    ))
}
