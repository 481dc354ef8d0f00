//! What of an MP4 source nobody else tells: whether its pictures are all described alike.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use headwater_packager::bmff::movie::{self, Handler};

use super::raw::header_at;
use crate::limits;

/// How a Matroska file begins (RFC 8794 8.1), which describes a track once.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// `Err` says why not all pictures of the source at `path` are surely described by one sample entry
/// (14496-12 8.5.2): editors join clips without encoding, and leave each its own.
pub fn is_one(path: &Path) -> Result<(), String> {
    let unread = |e: io::Error| format!("its header cannot be read ({e})");
    let file = File::open(path).map_err(unread)?;
    let mut start = [0; EBML.len()];
    file.read_exact_at(&mut start, 0).map_err(unread)?;
    if start == EBML {
        return Ok(());
    }
    let len_bytes = file.metadata().map_err(unread)?.len();
    let mut at = 0_u64;
    while let Some(header) = header_at(&file, at).map_err(unread)? {
        let Some(size_bytes) = header.size_bytes else { break };
        if &header.kind == b"moov" {
            let content_bytes = size_bytes - header.header_bytes;
            if content_bytes > limits::SOURCE_MOOV_BYTES {
                return Err(format!("its moov has {content_bytes} bytes"));
            }
            let mut moov = vec![0; usize::try_from(content_bytes).expect("it is bounded")];
            file.read_exact_at(&mut moov, at + header.header_bytes).map_err(unread)?;
            return of_moov(&moov);
        }
        match at.checked_add(size_bytes).filter(|&next| next < len_bytes) {
            Some(next) => at = next,
            None => break,
        }
    }
    Err("it has no moov".to_owned())
}

fn of_moov(moov: &[u8]) -> Result<(), String> {
    let tracks = movie::parse(moov).map_err(|e| e.to_string())?;
    let pictures = tracks.iter().filter(|track| track.handler == Handler::Video);
    match pictures.map(|track| track.sample_entries.len()).max() {
        Some(0 | 1) | None => Ok(()),
        Some(several) => Err(format!("its pictures have {several} sample entries")),
    }
}
