//! What an attempt made, in the store: one object of fragments for each track, and one of heads
//! that describes them. The queue keeps the heads' name and checksum, so that only what was
//! committed is ever read.
//!
//! ```text
//! jobs/<job>/chunk-3-1.heads        rows, init segments, facts of each track (packager::heads)
//! jobs/<job>/chunk-3-1.v360.mp4     (moof mdat)*, numbered and timed as in the finished track
//! jobs/<job>/sound-0-1.2.heads      the same for the third run of a sound, and its sound-0-1.2.mp4
//! ```

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use headwater_packager::heads::{HeadsWriter, ObjectHead, Row, TrackHead};
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::limits as packager_limits;
use headwater_packager::title::Title;
use serde::{Deserialize, Serialize};

use super::heard::Heard;
use super::hold::Bench;
use crate::error::{Error, Kind};
use crate::remux::Made;
use crate::stitch;
use crate::store::Store;

/// The publication of a part; there is only one.
const SEQ: u64 = 1;

/// How the result of a task begins that found that its track cannot be had, and is not needed; why
/// stands behind it.
pub(super) const LEFT_OUT: &str = "left out: ";

/// A part, as the queue keeps it: a task's result is one of them, or, of a sound, all of its runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Committed {
    /// The object of heads.
    pub(super) heads: String,
    /// CRC32C of it.
    pub(super) crc32c: u32,
    /// Bytes of all of it.
    pub(super) bytes: u64,
    /// CRC32C of what its tracks are, whatever its objects are called.
    pub(super) media_crc32c: u32,
    /// What was said while it was made.
    #[serde(default, skip_serializing_if = "Heard::is_empty")]
    pub(super) heard: Heard,
}

/// A track of a part, ready to be stored.
pub(super) struct Piece {
    /// What heads say of it.
    pub(super) head: TrackHead,
    /// ftyp and moov.
    pub(super) init: Vec<u8>,
    /// A row for each fragment.
    pub(super) rows: Vec<Row>,
    /// Its fragments.
    pub(super) path: PathBuf,
}

/// Where a part begins in its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Fragments before it.
    pub(super) fragment: u32,
    /// Ticks before it.
    pub(super) ticks: u64,
}

impl Place {
    /// The beginning.
    pub(super) const START: Self = Self { fragment: 0, ticks: 0 };
}

impl From<Made> for Piece {
    fn from(made: Made) -> Self {
        let Made { head, init, rows, path } = made;
        Self { head, init, rows, path }
    }
}

impl Piece {
    /// Checksum of its bytes and times behind that of others, whatever its object is called.
    pub(super) fn crc32c(&self, before: u32) -> u32 {
        let init = crc32c::crc32c_append(before, &self.init);
        self.rows.iter().fold(init, |crc, row| crc32c::crc32c_append(crc, &row.to_bytes()))
    }

    /// The fragments of a finished file, numbered and timed from `place` on, as the object `name`
    /// in `folder`.
    pub(super) fn cut(
        made: &Made,
        place: Place,
        folder: &Path,
        name: String,
    ) -> Result<Self, Error> {
        let path = folder.join(&name);
        let shown = path.display().to_string();
        let storage = |e: std::io::Error| Error::storage(&shown, e);
        let mut from = BufReader::with_capacity(1 << 20, File::open(&made.path).map_err(storage)?);
        // Nobody's link is followed: ffmpeg writes into the same folder.
        let mut to = BufWriter::with_capacity(1 << 20, File::create_new(&path).map_err(storage)?);
        let head = made.object().media_offset_bytes;
        std::io::copy(&mut from.by_ref().take(head), &mut std::io::sink()).map_err(storage)?;
        let mut rows = made.rows.clone();
        let (mut sequence, mut ticks, mut len_bytes) = (place.fragment, place.ticks, 0);
        for row in &mut rows {
            let size = usize::try_from(row.size_bytes).expect("u32 fits");
            let mut fragment = vec![0; size];
            from.read_exact(&mut fragment).map_err(storage)?;
            if crc32c::crc32c(&fragment) != row.crc32c {
                return Err(Error::storage(&shown, "reads back other than it was written"));
            }
            sequence += 1;
            // What is a track's beginning is in its place: an edit list may hide some of its ticks.
            if place != Place::START {
                stitch::place(&mut fragment, sequence, ticks).map_err(Error::tool)?;
                row.crc32c = crc32c::crc32c(&fragment);
            }
            to.write_all(&fragment).map_err(storage)?;
            ticks += u64::from(row.duration_ticks);
            len_bytes += u64::from(row.size_bytes);
        }
        to.flush().map_err(storage)?;
        drop(to);
        std::fs::remove_file(&made.path).map_err(storage)?;
        let fragments = u32::try_from(rows.len()).expect("a part's fragments are bounded");
        let object = ObjectHead { name, len_bytes, media_offset_bytes: 0, fragments };
        let head = TrackHead { objects: vec![object], ..made.head.clone() };
        Ok(Self { head, init: made.init.clone(), rows, path })
    }
}

/// A result in the queue's words.
pub(super) fn words(parts: &[Committed]) -> String {
    serde_json::to_string(parts).expect("plain data")
}

/// The parts of a result, in order.
pub(super) fn committed(result: &str) -> Result<Vec<Committed>, Error> {
    let damaged = |e| Error::new(Kind::StoredDamage, format!("the result of a task: {e}"));
    serde_json::from_str(result).map_err(damaged)
}

/// Stores the pieces of an attempt and then their heads, `stem.heads`; gives the part to commit.
pub(super) async fn put(
    bench: &Bench<'_>,
    title: &TitleId,
    stem: &str,
    pieces: &[Piece],
) -> Result<Committed, Error> {
    let (store, job) = (bench.worker.store.as_ref(), bench.job());
    let mut writer = HeadsWriter::new(title.clone(), job, SEQ);
    let mut bytes = 0;
    for piece in pieces {
        bench.cancel.check()?;
        let object = piece.head.objects.first().expect("a piece is one object");
        let key = key(job, &object.name);
        let put = store.put_file(&key, &piece.path);
        tokio::select! {
            put = bench.movement.trust(upload_time(object.len_bytes), put) => put?,
            () = bench.cancel.cancelled() => return Err(Error::interrupted()),
        }
        bytes += object.len_bytes;
        writer.track(piece.head.clone(), &piece.init, &piece.rows).map_err(refused)?;
    }
    let heads = Bytes::from(writer.finish());
    Title::open(&heads).map_err(refused)?;
    let name = format!("{stem}.heads");
    let crc32c = crc32c::crc32c(&heads);
    store.put(&key(job, &name), heads).await?;
    let media_crc32c = pieces.iter().fold(0, |crc, piece| piece.crc32c(crc));
    Ok(Committed { heads: name, crc32c, bytes, media_crc32c, heard: bench.heard.take() })
}

/// Opens the heads of a committed part.
pub(super) async fn open(
    store: &dyn Store,
    job: VersionId,
    committed: &Committed,
) -> Result<Title, Error> {
    let damaged = |what: String| Error::new(Kind::StoredDamage, what);
    let key = key(job, &committed.heads);
    let bytes = whole(store, &key, packager_limits::HEADS_BYTES, committed.crc32c).await?;
    Title::open(&bytes).map_err(|e| damaged(format!("{key}: {e}")))
}

/// A small object whose checksum is known.
pub(super) async fn whole(
    store: &dyn Store,
    key: &str,
    limit_bytes: usize,
    wanted: u32,
) -> Result<Bytes, Error> {
    let bytes = store.small(key, limit_bytes).await?;
    let bytes = bytes.ok_or_else(|| Error::new(Kind::StoredDamage, format!("{key} is gone")))?;
    let got = crc32c::crc32c(&bytes);
    if got != wanted {
        let text = format!("{key}: expected checksum {wanted:08x}, got {got:08x}");
        return Err(Error::new(Kind::StoredDamage, text));
    }
    Ok(bytes)
}

/// Everything of a job that is not published yet.
pub(super) fn prefix(job: VersionId) -> String {
    format!("{PREFIX}{job}/")
}

/// All jobs.
pub(crate) const PREFIX: &str = "jobs/";

/// An object of a job.
pub(super) fn key(job: VersionId, name: &str) -> String {
    format!("{PREFIX}{job}/{name}")
}

/// How long an upload may say nothing: a minute, and what its bytes take at 256 KiB a second.
pub(super) fn upload_time(len_bytes: u64) -> Duration {
    Duration::from_secs(60 + (len_bytes >> 18))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn refused(error: headwater_packager::Error) -> Error {
    Error::tool(format!("heads of a part: {error}"))
}
