//! What a media segment needs: which bytes of which objects, and how to tell that they are right.
//!
//! The core asks for bytes, it never reads. In the clear a segment is its source bytes as they
//! stand: one read for each object it lies in, nothing copied.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::timeline::Timeline;
use crate::title::Track;

/// A read of consecutive bytes of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRange {
    /// Index into [`Track::objects`].
    pub object: usize,
    /// Bytes of the object.
    pub bytes: Range<u64>,
    /// The fragments these bytes are.
    pub fragments: Range<u32>,
}

/// A media segment before any byte of it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    /// The segment's number.
    pub number: u32,
    /// In the order of the response.
    pub reads: Vec<SourceRange>,
    /// The response's length in bytes.
    pub len_bytes: u64,
    /// CRC32C over the fragments' CRC32Cs: equal content gives an equal tag on every node.
    pub content_tag: u32,
}

/// Plans segment `number` of `track`; `None` outside the track.
pub fn segment(timeline: &Timeline, track: &Track, number: u32) -> Option<SegmentPlan> {
    let segment = timeline.segment(track, number)?;
    let mut reads = Vec::with_capacity(1);
    let mut from = segment.fragments.start;
    while from < segment.fragments.end {
        let object = track.object_of(from);
        let held = track.object_fragments(object);
        let to = held.end.min(segment.fragments.end);
        // Positions count the track's fragments alone; an object begins with other boxes.
        let base = track.position(held.start).bytes;
        let offset = track.objects()[object].media_offset_bytes;
        let at = |fragment| track.position(fragment).bytes - base + offset;
        reads.push(SourceRange { object, bytes: at(from)..at(to), fragments: from..to });
        from = to;
    }
    let content_tag = track
        .rows(segment.fragments.clone())
        .fold(0, |tag, row| crc32c::crc32c_append(tag, &row.crc32c.to_be_bytes()));
    let len_bytes = timeline.segment_bytes(track, &segment);
    Some(SegmentPlan { number, reads, len_bytes, content_tag })
}

/// Checks the bytes of one read against the rows they must match.
pub fn verify(track: &Track, read: &SourceRange, bytes: &Bytes) -> Result<(), Damage> {
    let object = &track.objects()[read.object].name;
    let expected = read.bytes.end - read.bytes.start;
    if u64::try_from(bytes.len()).ok() != Some(expected) {
        return Err(Damage::new(
            object,
            read.bytes.start,
            format!("expected {expected} bytes, got {}", bytes.len()),
        ));
    }
    let mut rest = &bytes[..];
    let mut offset = read.bytes.start;
    for (fragment, row) in read.fragments.clone().zip(track.rows(read.fragments.clone())) {
        let len = usize::try_from(row.size_bytes).expect("u32 fits");
        let (these, after) = rest.split_at(len.min(rest.len()));
        let got = crc32c::crc32c(these);
        if got != row.crc32c {
            return Err(Damage::new(
                object,
                offset,
                format!("fragment {fragment}: expected CRC32C {:08x}, got {got:08x}", row.crc32c),
            ));
        }
        rest = after;
        offset += u64::from(row.size_bytes);
    }
    Ok(())
}

/// Stored bytes that are not what heads say they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The object's name under its version.
    pub object: String,
    /// Where the damaged fragment starts, in bytes of the object.
    pub offset: u64,
    /// What was expected and what came.
    pub detail: String,
}

impl Damage {
    fn new(object: &str, offset: u64, detail: String) -> Self {
        Self { object: object.to_owned(), offset, detail }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from byte {}: {}", self.object, self.offset, self.detail)
    }
}

impl std::error::Error for Damage {}
