//! The segment index (sidx, 14496-12 8.16.3): one reference for each fragment of a track file.
//!
//! It stands between moov and the first moof, so first_offset is 0 and the referenced bytes begin
//! right after the box.

use crate::error::Error;
use crate::wire::BoxWriter;

/// reference_count has 16 bits; a longer track puts several fragments under one reference.
const REFERENCES: usize = 65_535;
/// referenced_size has 31 bits.
const REFERENCE_BYTES: u64 = (1 << 31) - 1;

/// A fragment as the index sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// moof and mdat together, in bytes.
    pub size_bytes: u32,
    /// Ticks.
    pub duration_ticks: u32,
}

/// Writes a sidx; `earliest_ticks` is the first sample's presentation time.
pub fn write_sidx(
    timescale: u32,
    earliest_ticks: u64,
    references: &[Reference],
) -> Result<Vec<u8>, Error> {
    let each = references.len().div_ceil(REFERENCES).max(1);
    let count = u16::try_from(references.len().div_ceil(each)).expect("at most 65,535 groups");
    let mut grouped = Vec::with_capacity(usize::from(count));
    for group in references.chunks(each) {
        let size: u64 = group.iter().map(|r| u64::from(r.size_bytes)).sum();
        let duration: u64 = group.iter().map(|r| u64::from(r.duration_ticks)).sum();
        match (u32::try_from(size), u32::try_from(duration)) {
            (Ok(size), Ok(duration)) if u64::from(size) <= REFERENCE_BYTES => {
                grouped.push((size, duration));
            }
            _ => {
                return Err(Error::too_large(
                    "sidx",
                    format!("a reference of {size} bytes and {duration} ticks"),
                ));
            }
        }
    }
    let mut w = BoxWriter::with_capacity(44 + grouped.len() * 12);
    w.full_box(b"sidx", 1, 0, |w| {
        w.u32(super::movie::TRACK_ID);
        w.u32(timescale);
        w.u64(earliest_ticks);
        w.u64(0); // first_offset
        w.u16(0);
        w.u16(count);
        for (size, duration) in grouped {
            w.u32(size); // reference_type 0: media
            w.u32(duration);
            w.u32(0x9000_0000); // starts_with_SAP, SAP_type 1, SAP_delta_time 0
        }
    });
    Ok(w.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tracks_group_fragments() {
        let one = Reference { size_bytes: 1000, duration_ticks: 48 };
        for (fragments, references) in [(1, 1), (65_535, 65_535), (65_536, 32_768)] {
            let sidx = write_sidx(24, 0, &vec![one; fragments]).unwrap();
            assert_eq!(sidx.len(), 8 + 4 + 8 + 16 + 4 + references * 12, "{fragments}");
        }
    }
}
