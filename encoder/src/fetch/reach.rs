//! Which bytes of a source a part of its title needs. Pure but for [`structure`].
//!
//! ```text
//! ┌ head ┬──────┬─ group of pictures ─┬─ ... ─┬──────┬ tail ┐
//! │ read │      │ lead, part, behind it: read │      │ read │
//! └──────┴──────┴─────────────────────────────┴──────┴──────┘
//! ```
//!
//! Known by the positions of packets, of containers whose readers look nowhere else: MP4 with its
//! tables (ISO/IEC 14496-12 8.7), and Matroska with its cues at either end (RFC 9559 5.1.5, 6.3).
//! Others are searched through, by halving as transport streams are, and are needed whole.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::scan::seconds;

/// Where the packets of a source lie, as they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extents {
    groups: Vec<Extent>,
    first: Option<u64>,
    end: u64,
    is_lacking: bool,
}

/// A key frame of the picture, and the packets from it to the next one, in the order of decoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// When it is shown, in ticks of its stream.
    pub shown: i64,
    /// From its packets' first byte to the last one's end.
    pub bytes: Range<u64>,
}

/// What of a source has to be there for a part of its title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// For every part.
    always: Vec<Range<u64>>,
    /// At least a second apart.
    groups: Vec<Extent>,
    /// All that lies between two groups is read too.
    is_in_order: bool,
}

/// What a reader may look at before it knows the streams (libavformat's `probesize`, and a buffer).
const PROBED_BYTES: u64 = 6 << 20;
/// Seconds between two groups that are told apart, at least.
const APART_S: f64 = 1.0;
/// Seconds that are decoded behind a part: what its last frames wait for, and what is looked at where
/// something is damaged.
const BEHIND_S: f64 = 6.0;

impl Extents {
    /// Takes a packet: whether it is one of the picture, when it is shown if it is a key frame, and
    /// where it lies.
    pub fn add(&mut self, is_picture: bool, key: Option<i64>, bytes: Option<Range<u64>>) {
        let Some(bytes) = bytes else {
            self.is_lacking = true;
            return;
        };
        self.first = Some(self.first.map_or(bytes.start, |first| first.min(bytes.start)));
        self.end = self.end.max(bytes.end);
        if !is_picture {
            return;
        }
        match (key, self.groups.last_mut()) {
            (Some(shown), _) => self.groups.push(Extent { shown, bytes }),
            (None, Some(group)) => group.take(&bytes),
            // Nothing can be decoded before the first one.
            (None, None) => {}
        }
    }
}

impl Extent {
    fn take(&mut self, bytes: &Range<u64>) {
        self.bytes = self.bytes.start.min(bytes.start)..self.bytes.end.max(bytes.end);
    }
}

impl Reach {
    /// What `extents` tell of a source whose container has these names, whose ticks are `base` and whose
    /// boxes `structure` found; `None` where all of it is needed for every part.
    pub fn new(
        extents: &Extents,
        names: &str,
        base: (u32, u32),
        structure: Option<Vec<Range<u64>>>,
    ) -> Option<Self> {
        let is_matroska = names.split(',').any(|name| name == "matroska");
        let first = extents.first.filter(|_| !extents.is_lacking)?;
        let mut always = match is_matroska {
            true => std::iter::once(extents.end..u64::MAX).collect(),
            false => structure.filter(|_| names.split(',').any(|name| name == "mp4"))?,
        };
        always.push(0..first.saturating_add(PROBED_BYTES));
        let mut groups: Vec<Extent> = Vec::new();
        for group in &extents.groups {
            match groups.last_mut() {
                Some(last) if seconds(group.shown.saturating_sub(last.shown), base) < APART_S => {
                    last.take(&group.bytes);
                }
                _ => groups.push(group.clone()),
            }
        }
        Some(Self { always, groups, is_in_order: is_matroska })
    }

    /// What is needed to decode from the key frame that is shown at `from`, or from the start, to `end_s`
    /// on the source's clock.
    pub fn of(&self, from: Option<i64>, end_s: f64, base: (u32, u32)) -> Vec<Range<u64>> {
        // The group before too: a cluster may begin in it, and hold this one's first packet.
        let first = from.map_or(0, |from| {
            let before = self.groups.partition_point(|group| group.shown <= from);
            before.saturating_sub(2)
        });
        let is_within = |group: &&Extent| seconds(group.shown, base) < end_s + BEHIND_S;
        let groups = self.groups.get(first..).unwrap_or_default();
        let count = groups.iter().take_while(is_within).count();
        let of_it = groups.iter().take(count + 1).map(|group| group.bytes.clone());
        let mut needed = self.always.clone();
        match self.is_in_order {
            true => needed.extend(of_it.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))),
            false => needed.extend(of_it),
        }
        needed
    }
}

/// The outermost boxes of a file of the MP4 family, but for what `mdat` holds. `None` for one that is made
/// of fragments, which are searched through, and for one that is no such file.
pub fn structure(path: &Path) -> io::Result<Option<Vec<Range<u64>>>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let (mut boxes, mut at) = (Vec::new(), 0);
    while at < len {
        let mut header = [0; 16];
        let got = file.read_at(&mut header, at)?;
        let (size, kind) = (&header[..4], &header[4..8]);
        let size = match u32::from_be_bytes(size.try_into().expect("four bytes")) {
            0 => len - at,
            1 => u64::from_be_bytes(header[8..].try_into().expect("eight bytes")),
            size => u64::from(size),
        };
        if got < 8 || size < 8 || boxes.len() == limits::SOURCE_BOXES || kind == b"moof" {
            return Ok(None);
        }
        let end = at.saturating_add(size).min(len);
        boxes.push(at..if kind == b"mdat" { at.saturating_add(16).min(end) } else { end });
        at = end;
    }
    Ok(Some(boxes))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    /// A tick is a second.
    const BASE: (u32, u32) = (1, 1);

    /// Groups of ten seconds and 10 MiB, sound between them.
    fn extents() -> Extents {
        let mut extents = Extents::default();
        for group in 0..10 {
            let at = (100 + 10 * group) * MIB;
            extents.add(true, Some(i64::try_from(group).unwrap() * 10), Some(at..at + MIB));
            extents.add(true, None, Some(at + MIB..at + 9 * MIB));
            extents.add(false, Some(0), Some(at + 9 * MIB..at + 10 * MIB));
        }
        extents
    }

    #[test]
    fn what_parts_need() {
        let boxes = vec![0..100 * MIB, 200 * MIB..201 * MIB];
        let head = 0..106 * MIB;
        let group = |k: u64| (100 + 10 * k) * MIB..(109 + 10 * k) * MIB;
        let mp4 = Reach::new(&extents(), "mov,mp4,m4a", BASE, Some(boxes.clone())).unwrap();
        let parts =
            |needed: &[Range<u64>]| [&boxes[..], std::slice::from_ref(&head), needed].concat();
        // From the start; what is decoded behind it, and one group more.
        assert_eq!(mp4.of(None, 2.0, BASE), parts(&[group(0), group(1)]));
        assert_eq!(mp4.of(None, 5.0, BASE), parts(&[group(0), group(1), group(2)]));
        // The group before the one where decoding begins.
        assert_eq!(mp4.of(Some(50), 52.0, BASE), parts(&[group(4), group(5), group(6)]));
        assert_eq!(mp4.of(Some(90), 99.0, BASE), parts(&[group(8), group(9)]));
        let mkv = Reach::new(&extents(), "matroska,webm", BASE, None).unwrap();
        let whole = [200 * MIB..u64::MAX, head, 140 * MIB..169 * MIB];
        assert_eq!(mkv.of(Some(50), 52.0, BASE), whole);
    }

    #[test]
    fn what_is_not_known_is_needed_whole() {
        let boxes = || Some(vec![0..1]);
        assert_eq!(Reach::new(&extents(), "mpegts", BASE, boxes()), None);
        assert_eq!(Reach::new(&extents(), "mov,mp4", BASE, None), None);
        let mut lacking = extents();
        lacking.add(false, None, None);
        assert_eq!(Reach::new(&lacking, "mov,mp4", BASE, boxes()), None);
        assert_eq!(Reach::new(&Extents::default(), "mov,mp4", BASE, boxes()), None);
    }

    #[test]
    fn boxes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let tiny = |kind: &[u8; 4], len: u32| {
            let mut made = len.to_be_bytes().to_vec();
            made.extend(kind);
            made.resize(usize::try_from(len).unwrap(), 0);
            made
        };
        let long = |len: u64| {
            let mut made = [&1u32.to_be_bytes()[..], b"mdat", &len.to_be_bytes()].concat();
            made.resize(usize::try_from(len).unwrap(), 0);
            made
        };
        let table = [
            (
                vec![tiny(b"ftyp", 20), long(100), tiny(b"moov", 30)],
                Some(vec![0..20, 20..36, 120..150]),
            ),
            (
                vec![tiny(b"ftyp", 20), tiny(b"mdat", 9), tiny(b"moov", 8)],
                Some(vec![0..20, 20..29, 29..37]),
            ),
            (vec![tiny(b"ftyp", 20), tiny(b"moov", 30), tiny(b"moof", 30)], None),
            (vec![tiny(b"ftyp", 20), vec![0, 0, 0, 2, 1, 1, 1, 1]], None),
            (vec![tiny(b"ftyp", 20), vec![0; 3]], None),
        ];
        for (boxes, wanted) in table {
            std::fs::write(&path, boxes.concat()).unwrap();
            assert_eq!(structure(&path).unwrap(), wanted);
        }
    }
}
