//! An opened version: heads that were checked once and are then only looked at.
//!
//! Rows stay in the bytes they were read as; every 64th fragment's position is kept beside them,
//! so a track of two hours costs its 22 bytes a row and about 1 KB, and any fragment's time and
//! offset are found by adding up at most 63 rows.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use crate::colour::{Colour, VideoRange};
use crate::error::Error;
use crate::heads::{self, Head, Media, ObjectHead, Role, Row, TrackHead};
use crate::ids::{TitleId, TrackId, VersionId};
use crate::layout::ChannelLayout;
use crate::limits;
use crate::time;

/// Fragments between two kept positions.
const STRIDE: u32 = 64;

/// A version, ready to plan from.
#[derive(Clone, Debug)]
pub struct Title {
    id: TitleId,
    version: VersionId,
    seq: u64,
    access_class: Option<String>,
    tracks: Vec<Track>,
    resident_bytes: usize,
}

/// A track of an opened version.
#[derive(Clone, Debug)]
pub struct Track {
    head: TrackHead,
    init: Bytes,
    rows: Bytes,
    row_bytes: usize,
    fragments: u32,
    positions: Vec<Position>,
    /// First fragment of each object, and the fragment count as a last element.
    object_starts: Vec<u32>,
}

/// Time and bytes before a fragment, counted over the whole track as if it were one object
/// holding nothing but fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Ticks since the track's first sample, in decode order.
    pub ticks: u64,
    /// Bytes of fragments.
    pub bytes: u64,
    /// Samples, which number the IVs of encrypted ones.
    pub samples: u32,
}

impl Title {
    /// Opens a heads object. Every count, size and name in it is checked here, once.
    pub fn open(bytes: &Bytes) -> Result<Self, Error> {
        let layout = Layout::parse(bytes)?;
        let Head { title, version, seq, access_class, tracks } = layout.head;
        if tracks.is_empty() || tracks.len() > limits::TRACKS {
            return Err(Error::damaged(
                "heads/tracks",
                format!("expected 1 to {}, got {}", limits::TRACKS, tracks.len()),
            ));
        }
        if let Some(class) = access_class.as_deref().filter(|class| !is_access_class(class)) {
            return Err(Error::damaged("heads/access_class", format!("{class:.40?}")));
        }
        let mut ids = HashSet::new();
        let mut cursor = Cursor { bytes, at: layout.inits_at };
        let inits: Vec<Bytes> =
            tracks.iter().map(|track| cursor.init(track)).collect::<Result<_, _>>()?;
        let mut opened = Vec::with_capacity(tracks.len());
        for (head, init) in tracks.into_iter().zip(inits) {
            if !ids.insert(head.id.clone()) {
                return Err(Error::damaged("heads/tracks", format!("two tracks `{}`", head.id)));
            }
            let place = format!("heads/{}", head.id);
            let track = Track::open(head, init, &mut cursor, layout.row_bytes)
                .map_err(|e| e.within(&place))?;
            opened.push(track);
        }
        if cursor.at != layout.rows_end {
            return Err(Error::damaged(
                "heads/rows",
                format!("expected to end at byte {}, ended at {}", layout.rows_end, cursor.at),
            ));
        }
        let positions: usize = opened.iter().map(|t| t.positions.len()).sum();
        let resident_bytes = bytes.len()
            + positions * size_of::<Position>()
            + opened.len() * (size_of::<Track>() + 256);
        Ok(Self { id: title, version, seq, access_class, tracks: opened, resident_bytes })
    }

    /// The title.
    pub fn id(&self) -> &TitleId {
        &self.id
    }

    /// The version.
    pub fn version(&self) -> VersionId {
        self.version
    }

    /// Which publication of the version's heads this is.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Which kind of profile may serve this version's URLs.
    pub fn access_class(&self) -> Option<&str> {
        self.access_class.as_deref()
    }

    /// Every track, video first, as stored.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The track with this id.
    pub fn track(&self, id: &TrackId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id() == id)
    }

    /// The track whose fragments decide where segments end: the first video, or else the first.
    pub fn reference(&self) -> &Track {
        self.tracks.iter().find(|t| t.is_video()).unwrap_or(&self.tracks[0])
    }

    /// Length of the longest track in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        self.tracks
            .iter()
            .map(|t| time::millis(t.duration_ticks(), t.timescale()))
            .max()
            .unwrap_or(0)
    }

    /// Length of the longest track in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.tracks
            .iter()
            .map(|t| time::micros(t.duration_ticks(), t.timescale()))
            .max()
            .unwrap_or(0)
    }

    /// Memory this value pins, for a cache's weigher.
    pub fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }
}

impl Track {
    fn open(
        head: TrackHead,
        init: Bytes,
        cursor: &mut Cursor<'_>,
        row_bytes: usize,
    ) -> Result<Self, Error> {
        check_head(&head)?;
        let object_starts = object_starts(&head.objects)?;
        let fragments = *object_starts.last().expect("starts with 0");
        let rows =
            cursor.take(usize::try_from(fragments).expect("u32 fits") * row_bytes, "rows")?;
        let mut track =
            Self { head, init, rows, row_bytes, fragments, positions: Vec::new(), object_starts };
        track.add_up()?;
        Ok(track)
    }

    /// Checks every row and keeps every 64th position, the end included.
    fn add_up(&mut self) -> Result<(), Error> {
        let mut at = Position::default();
        for i in 0..self.fragments {
            if i % STRIDE == 0 {
                self.positions.push(at);
            }
            let row = self.row(i);
            if !row.is_consistent() {
                return Err(Error::damaged("rows", format!("row {i} contradicts itself: {row:?}")));
            }
            at = at.after(row);
        }
        self.positions.push(at);
        if at.samples == u32::MAX {
            return Err(Error::too_large("rows", "2^32 samples or more".to_owned()));
        }
        let seconds = at.ticks / u64::from(self.head.timescale);
        if seconds > limits::TITLE_SECONDS {
            return Err(Error::too_large("rows", format!("{seconds} s of media")));
        }
        for (i, object) in self.head.objects.iter().enumerate() {
            let fragments = self.object_fragments(i);
            let media = self.position(fragments.end).bytes - self.position(fragments.start).bytes;
            if object.media_offset_bytes.checked_add(media).is_none_or(|end| end > object.len_bytes)
            {
                return Err(Error::damaged(
                    "objects",
                    format!(
                        "`{}` has {} bytes, but {media} of fragments from byte {}",
                        object.name, object.len_bytes, object.media_offset_bytes
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The track's id.
    pub fn id(&self) -> &TrackId {
        &self.head.id
    }

    /// Kind and facts.
    pub fn media(&self) -> &Media {
        &self.head.media
    }

    /// Whether this is a video rendition.
    pub fn is_video(&self) -> bool {
        matches!(self.head.media, Media::Video { .. })
    }

    /// RFC 6381.
    pub fn codecs(&self) -> &str {
        &self.head.codecs
    }

    /// The codecs string up to its first dot: tracks of one family may stand in for each other.
    pub fn family(&self) -> &str {
        self.head.codecs.split('.').next().unwrap_or_default()
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.head.role
    }

    /// Code points of its colour, where known.
    pub fn colour(&self) -> Option<Colour> {
        self.head.colour
    }

    /// The range of its colours.
    pub fn range(&self) -> VideoRange {
        self.head.colour.map_or(VideoRange::Sdr, Colour::range)
    }

    /// Complexity index of its jointly coded objects, if it has some.
    pub fn joc(&self) -> Option<u8> {
        self.head.joc
    }

    /// Where its channels are heard, if it is sound and that is known.
    pub fn layout(&self) -> Option<ChannelLayout> {
        self.head.layout
    }

    /// BCP 47, where known.
    pub fn language(&self) -> Option<&str> {
        self.head.language.as_deref()
    }

    /// Ticks per second; never zero.
    pub fn timescale(&self) -> u32 {
        self.head.timescale
    }

    /// Whether every fragment can be decoded from its start.
    pub fn is_independent(&self) -> bool {
        self.head.independent
    }

    /// ftyp and moov.
    pub fn init(&self) -> &Bytes {
        &self.init
    }

    /// The objects that hold the fragments.
    pub fn objects(&self) -> &[ObjectHead] {
        &self.head.objects
    }

    /// How many fragments.
    pub fn fragments(&self) -> u32 {
        self.fragments
    }

    /// Fragments that object `index` holds.
    pub fn object_fragments(&self, index: usize) -> Range<u32> {
        self.object_starts[index]..self.object_starts[index + 1]
    }

    /// The object that holds fragment `i`.
    pub fn object_of(&self, i: u32) -> usize {
        self.object_starts.partition_point(|&start| start <= i) - 1
    }

    /// Fragment `i`'s row; `i` is below [`Track::fragments`].
    pub fn row(&self, i: u32) -> Row {
        let start = usize::try_from(i).expect("u32 fits") * self.row_bytes;
        let bytes = self.rows[start..].first_chunk().expect("rows were counted when opened");
        Row::from_bytes(bytes)
    }

    /// The rows of some fragments; the range ends at or below [`Track::fragments`].
    pub fn rows(&self, fragments: Range<u32>) -> impl Iterator<Item = Row> + '_ {
        let at = |i: u32| usize::try_from(i).expect("u32 fits") * self.row_bytes;
        self.rows[at(fragments.start)..at(fragments.end)]
            .chunks_exact(self.row_bytes)
            .map(|row| Row::from_bytes(row.first_chunk().expect("rows are at least this long")))
    }

    /// Time and bytes before fragment `i`; at [`Track::fragments`], the track's whole.
    pub fn position(&self, i: u32) -> Position {
        if i == self.fragments {
            return *self.positions.last().expect("the end is always kept");
        }
        let kept = i / STRIDE;
        let start = self.positions[usize::try_from(kept).expect("u32 fits")];
        self.rows(kept * STRIDE..i).fold(start, Position::after)
    }

    /// Length in ticks.
    pub fn duration_ticks(&self) -> u64 {
        self.position(self.fragments).ticks
    }
}

impl Position {
    /// The position behind one more fragment.
    #[must_use]
    pub fn after(self, row: Row) -> Self {
        Self {
            ticks: self.ticks + u64::from(row.duration_ticks),
            bytes: self.bytes + u64::from(row.size_bytes),
            samples: self.samples.saturating_add(u32::from(row.samples)),
        }
    }
}

/// Where the parts of a heads object lie.
struct Layout {
    head: Head,
    row_bytes: usize,
    inits_at: usize,
    rows_end: usize,
}

impl Layout {
    fn parse(bytes: &Bytes) -> Result<Self, Error> {
        if bytes.len() > limits::HEADS_BYTES {
            return Err(Error::too_large(
                "heads",
                format!("{} bytes, at most {}", bytes.len(), limits::HEADS_BYTES),
            ));
        }
        if bytes.len() < heads::PREAMBLE_BYTES + heads::TRAILER_BYTES {
            return Err(Error::damaged("heads", format!("only {} bytes", bytes.len())));
        }
        let rows_end = bytes.len() - heads::TRAILER_BYTES;
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        if &bytes[..8] != heads::MAGIC {
            return Err(if bytes.starts_with(&heads::MAGIC[..7]) {
                Error::unsupported("heads", "made by a later release")
            } else {
                Error::damaged("heads", "does not start with HWHEADS1")
            });
        }
        let (expected, got) = (word(rows_end), crc32c::crc32c(&bytes[..rows_end]));
        if expected != got {
            return Err(Error::damaged(
                "heads/crc32c",
                format!("expected {expected:08x}, got {got:08x}"),
            ));
        }
        let size = |at| usize::try_from(word(at)).expect("u32 fits");
        let (json_len, row_bytes) = (size(8), size(12));
        if json_len > limits::HEADS_JSON_BYTES || json_len > rows_end - heads::PREAMBLE_BYTES {
            return Err(Error::damaged("heads", format!("JSON head of {json_len} bytes")));
        }
        if !(heads::ROW_BYTES..=1024).contains(&row_bytes) {
            return Err(Error::damaged(
                "heads",
                format!("rows of {row_bytes} bytes: expected at least {}", heads::ROW_BYTES),
            ));
        }
        let inits_at = heads::PREAMBLE_BYTES + json_len;
        let head = serde_json::from_slice(&bytes[heads::PREAMBLE_BYTES..inits_at])
            .map_err(|e| Error::damaged("heads/json", e.to_string()))?;
        Ok(Self { head, row_bytes, inits_at, rows_end })
    }
}

/// Takes slices of the heads object one after the other.
struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    fn init(&mut self, track: &TrackHead) -> Result<Bytes, Error> {
        let len = usize::try_from(track.init_bytes).expect("u32 fits");
        if len > limits::INIT_BYTES {
            return Err(Error::too_large(
                format!("heads/{}/init", track.id),
                format!("{len} bytes"),
            ));
        }
        self.take(len, "init").map_err(|e| e.within(&format!("heads/{}", track.id)))
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<Bytes, Error> {
        let limit = self.bytes.len() - heads::TRAILER_BYTES;
        let end = self.at.checked_add(len).filter(|&end| end <= limit).ok_or_else(|| {
            Error::damaged(what, format!("{len} bytes from byte {}, but {limit} in all", self.at))
        })?;
        let slice = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(slice)
    }
}

/// A class is a profile's word.
fn is_access_class(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

/// What ends up in manifests and keys must be harmless there, whoever wrote the heads.
fn check_head(head: &TrackHead) -> Result<(), Error> {
    let plain = |text: &str, max: usize, extra: &[u8]| {
        !text.is_empty()
            && text.len() <= max
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
    };
    if head.timescale == 0 || head.timescale > limits::TIMESCALE {
        return Err(Error::damaged("timescale", format!("{} ticks a second", head.timescale)));
    }
    if !plain(&head.codecs, 64, b".-_") {
        return Err(Error::damaged("codecs", format!("{:.80?}", head.codecs)));
    }
    if head.language.as_deref().is_some_and(|l| !plain(l, 35, b"-")) {
        return Err(Error::damaged("language", format!("{:.40?}", head.language)));
    }
    if head.start_offset_ticks != 0 {
        return Err(Error::unsupported(
            "start_offset_ticks",
            format!("{} ticks: manifests of this release start at zero", head.start_offset_ticks),
        ));
    }
    if let Media::Video { width, height, frame_rate: (numerator, denominator) } = head.media
        && [width, height, numerator, denominator].contains(&0)
    {
        return Err(Error::damaged("video", "a width, height or frame rate of zero"));
    }
    if let Some(bad) =
        head.objects.iter().find(|o| !plain(&o.name, 128, b".-_") || o.name.starts_with('.'))
    {
        return Err(Error::damaged("objects", format!("name {:.140?}", bad.name)));
    }
    Ok(())
}

fn object_starts(objects: &[ObjectHead]) -> Result<Vec<u32>, Error> {
    if objects.is_empty() || objects.len() > limits::OBJECTS {
        return Err(Error::damaged(
            "objects",
            format!("expected 1 to {}, got {}", limits::OBJECTS, objects.len()),
        ));
    }
    let mut starts = vec![0u32];
    for object in objects {
        let last = *starts.last().expect("not empty");
        let next = last.checked_add(object.fragments).filter(|&n| n <= limits::FRAGMENTS);
        match next {
            Some(next) if object.fragments > 0 => starts.push(next),
            _ => {
                return Err(Error::damaged(
                    "objects",
                    format!(
                        "`{}` holds {} fragments: expected 1 to {} in all",
                        object.name,
                        object.fragments,
                        limits::FRAGMENTS
                    ),
                ));
            }
        }
    }
    Ok(starts)
}
