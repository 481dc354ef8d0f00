//! Reads the fragmented MP4 that ffmpeg writes (14496-12 8.8), one fragment at a time, also while it is
//! still being written.
//!
//! ffmpeg writes on and on, but for the sizes of boxes: it fills those in when a box ends, an outer box
//! after its inner ones, and before it writes what follows. So what is closed is final, and what is not
//! is not read, not even ahead into a buffer.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use headwater_packager::bmff::boxes::{self, Header};
use headwater_packager::bmff::fragment::{self, Fragment};
use headwater_packager::bmff::movie::{self, TrackHeader};
use headwater_packager::limits::FRAGMENT_BYTES;
use rustix::fs::OFlags;

use crate::limits;

/// A file with one track, positioned behind its moov.
pub struct Raw {
    input: BufReader<io::Take<File>>,
    /// Where what may be read ends.
    closed_bytes: u64,
    /// ftyp and moov as they came.
    pub start: Vec<u8>,
    /// What the moov says.
    pub header: TrackHeader,
    /// Its one sample entry.
    pub entry: Vec<u8>,
}

impl Raw {
    /// Opens a file that starts at zero and reads its moov.
    pub fn open(path: &Path) -> Result<Self, String> {
        let raw = Self::open_shifted(path)?;
        match raw.header.edit_media_time {
            None => Ok(raw),
            Some(media_time) => Err(format!("expected no edit list, got one from {media_time}")),
        }
    }

    /// Opens a file, whether an edit list shifts it or not, and reads its moov.
    pub fn open_shifted(path: &Path) -> Result<Self, String> {
        let file = regular(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::read(file, u64::MAX)?.ok_or_else(|| "it has no moov".to_owned())
    }

    /// The same of a file that is still being written; `None` while its moov is not there. Of its
    /// fragments [`Raw::look`] says which may be read.
    pub fn open_growing(path: &Path) -> Result<Option<Self>, String> {
        let file = match regular(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| format!("{}: {e}", path.display()))?,
        };
        let closed_bytes = closed(&file, 0).map_err(|e| short(&e))?;
        Self::read(file, closed_bytes)
    }

    /// Looks which fragments are closed by now; all of the file when nobody writes it any more.
    pub fn look(&mut self, is_over: bool) -> Result<(), String> {
        let limited = self.input.get_mut();
        let closed_bytes = match is_over {
            true => u64::MAX,
            false => closed(limited.get_ref(), self.closed_bytes).map_err(|e| short(&e))?,
        };
        limited.set_limit(limited.limit() + (closed_bytes - self.closed_bytes));
        self.closed_bytes = closed_bytes;
        Ok(())
    }

    fn read(file: File, closed_bytes: u64) -> Result<Option<Self>, String> {
        let mut input = BufReader::with_capacity(1 << 20, file.take(closed_bytes));
        let mut start = Vec::new();
        loop {
            let Some(header) = next_box(&mut input)? else { return Ok(None) };
            match &header.kind {
                b"moov" => {
                    let moov = whole(&mut input, header, limits::MOOV_BYTES)?;
                    start.extend_from_slice(&moov);
                    let (header, entry) = one_track(&moov)?;
                    return Ok(Some(Self { input, closed_bytes, start, header, entry }));
                }
                b"ftyp" => start.extend(whole(&mut input, header, limits::MOOV_BYTES)?),
                b"moof" | b"mdat" => return Err("media stands before the moov".to_owned()),
                _ => skip(&mut input, header)?,
            }
        }
    }

    /// The next fragment, its samples' bytes in `payload`; `None` at the end.
    pub fn next(&mut self, payload: &mut Vec<u8>) -> Result<Option<Fragment>, String> {
        while let Some(header) = next_box(&mut self.input)? {
            match &header.kind {
                b"moof" => {
                    let moof = whole(&mut self.input, header, limits::MOOF_BYTES)?;
                    let parsed = fragment::parse(&moof, self.header.defaults);
                    let fragment = parsed.map_err(|e| e.to_string())?;
                    self.payload(&fragment, moof.len(), payload)?;
                    return Ok(Some(fragment));
                }
                b"mdat" => return Err("an mdat stands without its moof".to_owned()),
                // ffmpeg ends its files with an index of its own, mfra.
                _ => skip(&mut self.input, header)?,
            }
        }
        Ok(None)
    }

    fn payload(
        &mut self,
        fragment: &Fragment,
        moof_len: usize,
        payload: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mdat = next_box(&mut self.input)?.filter(|header| &header.kind == b"mdat");
        let mdat = mdat.ok_or("a moof has no mdat behind it")?;
        let expected = fragment.payload_bytes();
        let held = content_bytes(mdat)?;
        let starts = u64::try_from(moof_len).expect("a length fits") + mdat.header_bytes;
        if held != expected || u64::from(fragment.data_offset) != starts {
            return Err(format!(
                "fragment {}: its samples take {expected} bytes from {}, its mdat has {held} from {starts}",
                fragment.sequence, fragment.data_offset
            ));
        }
        payload.clear();
        read_bounded(&mut self.input, held, u64::from(FRAGMENT_BYTES), payload)
    }
}

fn one_track(moov: &[u8]) -> Result<(TrackHeader, Vec<u8>), String> {
    let moov = boxes::need(moov, b"moov", "file").map_err(|e| e.to_string())?;
    let mut tracks = movie::parse(moov.payload).map_err(|e| e.to_string())?;
    let (Some(mut track), None) = (tracks.pop(), tracks.pop()) else {
        return Err("expected one track in the moov".to_owned());
    };
    // One description for all samples: what is claimed of the first holds for the last.
    let (Some(entry), None) = (track.sample_entries.pop(), track.sample_entries.pop()) else {
        return Err("expected one sample entry".to_owned());
    };
    Ok((track, entry))
}

/// Where the last box behind `from` ends that is closed; a moof with its mdat.
fn closed(file: &File, from: u64) -> io::Result<u64> {
    let len_bytes = file.metadata()?.len();
    let (mut at, mut closed) = (from, from);
    while let Some(header) = header_at(file, at)? {
        // Without a size it is open.
        let end = header.size_bytes.and_then(|size| at.checked_add(size));
        let Some(end) = end.filter(|&end| end <= len_bytes) else { break };
        at = end;
        if &header.kind != b"moof" {
            closed = at;
        }
    }
    Ok(closed)
}

pub(super) fn header_at(file: &File, at: u64) -> io::Result<Option<Header>> {
    let mut bytes = [0; boxes::HEADER_BYTES];
    let mut got = 0;
    while got < bytes.len() {
        let there = at + u64::try_from(got).expect("a header's length fits");
        match file.read_at(&mut bytes[got..], there) {
            Ok(0) => break,
            Ok(len) => got += len,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let needed = if bytes[..4] == 1u32.to_be_bytes() { bytes.len() } else { 8 };
    // What is no header yet may become one.
    Ok(if got >= needed { boxes::header(&bytes).ok() } else { None })
}

/// Opens what ffmpeg left: a file, and nothing that leads to another one or would be waited for.
pub fn regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("ffmpeg left something else than a file")),
    }
}

/// The next box's header; `None` at the end of the file.
fn next_box(input: &mut impl Read) -> Result<Option<Header>, String> {
    let mut bytes = [0; boxes::HEADER_BYTES];
    match input.read_exact(&mut bytes[..1]) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read.map_err(|e| short(&e))?,
    }
    input.read_exact(&mut bytes[1..8]).map_err(|e| short(&e))?;
    if bytes[..4] == 1u32.to_be_bytes() {
        input.read_exact(&mut bytes[8..]).map_err(|e| short(&e))?;
    }
    boxes::header(&bytes).map(Some).map_err(|e| e.to_string())
}

/// Bytes of a box behind its header.
fn content_bytes(header: Header) -> Result<u64, String> {
    let size = header.size_bytes.ok_or("a box runs to the end of the file")?;
    Ok(size - header.header_bytes)
}

/// The whole box, header included, rewritten with a 32-bit size.
fn whole(input: &mut impl Read, header: Header, limit_bytes: u64) -> Result<Vec<u8>, String> {
    let content = content_bytes(header)?;
    if header.header_bytes != 8 {
        return Err(format!("a {} with a 64-bit size", boxes::name(header.kind)));
    }
    let mut bytes = Vec::new();
    bytes.extend(u32::try_from(content + 8).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(header.kind);
    read_bounded(input, content, limit_bytes, &mut bytes)?;
    Ok(bytes)
}

fn read_bounded(
    input: &mut impl Read,
    len_bytes: u64,
    limit_bytes: u64,
    to: &mut Vec<u8>,
) -> Result<(), String> {
    if len_bytes > limit_bytes {
        return Err(format!("a box of {len_bytes} bytes, at most {limit_bytes}"));
    }
    let read = input.take(len_bytes).read_to_end(to).map_err(|e| short(&e))?;
    if u64::try_from(read).ok() != Some(len_bytes) {
        return Err(format!("it ends early: expected {len_bytes} bytes, got {read}"));
    }
    Ok(())
}

fn skip(input: &mut impl Read, header: Header) -> Result<(), String> {
    let content = content_bytes(header)?;
    let skipped = io::copy(&mut input.take(content), &mut io::sink()).map_err(|e| short(&e))?;
    if skipped != content {
        return Err(format!("it ends inside a {}", boxes::name(header.kind)));
    }
    Ok(())
}

fn short(error: &io::Error) -> String {
    format!("it ends early or cannot be read ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bytes: &[u8]) -> Result<Raw, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw.mp4");
        std::fs::write(&path, bytes).unwrap();
        Raw::open(&path)
    }

    #[test]
    fn what_is_no_fragmented_file_is_an_error() {
        let table: [(&[u8], &str); 6] = [
            (b"", "it has no moov"),
            (b"\0\0\0\x08ftyp\0\0\0\x08mdat", "media stands before the moov"),
            (b"\0\0\0\x10ftyp", "it ends early: expected 8 bytes, got 0"),
            (b"\0\0\0\x08moov", "expected one track in the moov"),
            (b"\x7f\0\0\0moov", "a box of 2130706424 bytes, at most 1048576"),
            (b"\0\0\0\0moov", "a box runs to the end of the file"),
        ];
        for (bytes, wanted) in table {
            assert_eq!(open(bytes).err().as_deref(), Some(wanted), "{bytes:?}");
        }
    }
}
