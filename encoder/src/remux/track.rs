//! Writes a track file: `ftyp moov sidx (moof mdat)*`, and a row for each fragment.
//!
//! The index stands before the media but its sizes are known last. How many fragments there will
//! be is planned, so its place is left free and filled in at the end; nothing is copied twice.
//!
//! A track may be written run by run as well: files of fragments alone, numbered and timed as in one.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use headwater_packager::bmff::fragment::{self, MDAT_HEADER_BYTES, Sample};
use headwater_packager::bmff::protection;
use headwater_packager::heads::{ObjectHead, ROW_BYTES, Row};
use headwater_packager::subsample::Finder;

use super::index;
use crate::error::{Error, Kind};

/// What of a track stands before a run of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Fragments.
    pub fragments: u32,
    /// Their ticks, hidden ones too.
    pub decode_ticks: u64,
}

/// A track file that is being written.
pub struct TrackWriter {
    fragments: u32,
    path: PathBuf,
    out: BufWriter<File>,
    init: Vec<u8>,
    finder: Finder,
    timescale: u32,
    media_offset_bytes: u64,
    len_bytes: u64,
    decode_ticks: u64,
    hidden_ticks: u32,
    rows: Vec<Row>,
}

/// A track file that is finished.
pub struct TrackFile {
    /// ftyp and moov.
    pub init: Vec<u8>,
    /// A row for each fragment.
    pub rows: Vec<Row>,
    /// Where the first fragment starts.
    pub media_offset_bytes: u64,
    /// Whole file.
    pub len_bytes: u64,
}

impl TrackFile {
    /// What heads say of it, as the object `name`.
    pub fn object(&self, name: String) -> ObjectHead {
        ObjectHead {
            name,
            len_bytes: self.len_bytes,
            media_offset_bytes: self.media_offset_bytes,
            fragments: u32::try_from(self.rows.len()).expect("fragments are bounded"),
        }
    }
}

impl TrackWriter {
    /// Starts a file for `fragments` fragments. The first `hidden_ticks` are before the title's start,
    /// by an edit list in `init`: rows and index count what is shown.
    pub fn create(
        path: &Path,
        init: Vec<u8>,
        timescale: u32,
        fragments: u32,
        hidden_ticks: u32,
    ) -> Result<Self, Error> {
        let any = Row { duration_ticks: 1, size_bytes: 1, ..Row::from_bytes(&[0; ROW_BYTES]) };
        let place = index(timescale, (0..fragments).map(|_| any))?;
        let mut writer = Self::run(path, init, timescale, Before::default(), hidden_ticks)?;
        writer.media_offset_bytes = len_u64(&writer.init) + len_u64(&place);
        writer.len_bytes = writer.media_offset_bytes;
        let written = writer.out.write_all(&writer.init);
        written.and_then(|()| writer.out.write_all(&place)).map_err(|e| writer.storage(e))?;
        Ok(writer)
    }

    /// Starts a file of fragments alone, which stand behind `before` in their track.
    pub fn run(
        path: &Path,
        init: Vec<u8>,
        timescale: u32,
        before: Before,
        hidden_ticks: u32,
    ) -> Result<Self, Error> {
        let entry = protection::sample_entry(&init);
        let finder = entry
            .and_then(Finder::new)
            .map_err(|e| Error::tool(format!("{}: {e}", path.display())))?;
        // Never through a link that somebody put there: ffmpeg writes into this folder as well.
        let _ = std::fs::remove_file(path);
        let file = File::create_new(path).map_err(|e| Error::storage(path.display(), e))?;
        Ok(Self {
            fragments: before.fragments,
            path: path.to_owned(),
            out: BufWriter::with_capacity(1 << 20, file),
            media_offset_bytes: 0,
            len_bytes: 0,
            init,
            finder,
            timescale,
            decode_ticks: before.decode_ticks,
            hidden_ticks,
            rows: Vec::new(),
        })
    }

    /// Appends a fragment; `payload` is its samples one after the other.
    pub fn fragment(&mut self, samples: &[Sample], payload: &[u8]) -> Result<(), Error> {
        let sequence = self.fragments + 1;
        let head = fragment::write(sequence, self.decode_ticks, samples)
            .map_err(|e| Error::tool(e.to_string()))?;
        let duration_ticks: u64 = samples.iter().map(|s| u64::from(s.duration_ticks)).sum();
        let size_bytes = len_u64(&head) + len_u64(payload);
        let moof_bytes = len_u64(&head) - u64::from(MDAT_HEADER_BYTES);
        let map_entries = self
            .map_entries(samples, payload)
            .map_err(|(kind, what)| Error::new(kind, format!("fragment {sequence}: {what}")))?;
        let too_large = |what: &str| Error::tool(format!("fragment {sequence}: {what} too large"));
        let hidden_ticks = if self.fragments == 0 { u64::from(self.hidden_ticks) } else { 0 };
        let shown_ticks = duration_ticks.saturating_sub(hidden_ticks);
        self.rows.push(Row {
            duration_ticks: u32::try_from(shown_ticks).map_err(|_| too_large("duration"))?,
            size_bytes: u32::try_from(size_bytes).map_err(|_| too_large("size"))?,
            first_sample_bytes: samples.first().map_or(0, |s| s.size_bytes),
            crc32c: crc32c::crc32c_append(crc32c::crc32c(&head), payload),
            moof_bytes: u16::try_from(moof_bytes).map_err(|_| too_large("moof"))?,
            samples: u16::try_from(samples.len()).map_err(|_| too_large("sample count"))?,
            map_entries: u16::try_from(map_entries).map_err(|_| too_large("encryption maps"))?,
        });
        let written = self.out.write_all(&head).and_then(|()| self.out.write_all(payload));
        written.map_err(|e| self.storage(e))?;
        self.fragments += 1;
        self.decode_ticks += duration_ticks;
        self.len_bytes += size_bytes;
        Ok(())
    }

    /// Entries of the samples' encryption maps. Nothing is encrypted here; whoever protects this
    /// fragment when it is asked for knows its length from them.
    fn map_entries(&self, samples: &[Sample], payload: &[u8]) -> Result<usize, (Kind, String)> {
        let mut parts = Vec::with_capacity(samples.len());
        let mut rest = payload;
        for (k, sample) in samples.iter().enumerate() {
            let size = usize::try_from(sample.size_bytes).expect("u32 fits");
            let (bytes, after) = rest.split_at_checked(size).ok_or_else(|| {
                (Kind::Tool, format!("sample {k}: {} of {size} bytes", rest.len()))
            })?;
            parts.push(bytes);
            rest = after;
        }
        self.finder.entries(parts).map_err(|error| match error.kind() {
            // Well formed, and not what we ask an encoder for: the source is like that.
            headwater_packager::Kind::Unsupported => (Kind::Refused, error.to_string()),
            _ => (Kind::Tool, error.to_string()),
        })
    }

    /// Writes the index into its place.
    pub fn finish(mut self) -> Result<TrackFile, Error> {
        let sidx = index(self.timescale, self.rows.iter().copied())?;
        let place_bytes = self.media_offset_bytes - len_u64(&self.init);
        if len_u64(&sidx) != place_bytes {
            return Err(Error::tool(format!(
                "{}: {} fragments were written, more or fewer than planned",
                self.path.display(),
                self.rows.len()
            )));
        }
        let mut put = || -> io::Result<()> {
            self.out.seek(SeekFrom::Start(len_u64(&self.init)))?;
            self.out.write_all(&sidx)?;
            self.out.flush()
        };
        put().map_err(|e| self.storage(e))?;
        Ok(self.file())
    }

    /// Ends a run; gives what stands before the next one as well.
    pub fn end(mut self) -> Result<(TrackFile, Before), Error> {
        self.out.flush().map_err(|e| self.storage(e))?;
        let before = Before { fragments: self.fragments, decode_ticks: self.decode_ticks };
        Ok((self.file(), before))
    }

    fn file(self) -> TrackFile {
        TrackFile {
            init: self.init,
            rows: self.rows,
            media_offset_bytes: self.media_offset_bytes,
            len_bytes: self.len_bytes,
        }
    }

    fn storage(&self, cause: io::Error) -> Error {
        Error::storage(self.path.display(), cause)
    }
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits")
}
