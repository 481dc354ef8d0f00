//! A segment of 2 MB with real boxes and slices: three fragments of 50 frames.

use bytes::{Bytes, BytesMut};
use headwater_packager::bmff::fragment::{self, Sample};
use headwater_packager::bmff::movie::InitMedia;
use headwater_packager::heads::{HeadsWriter, Row};
use headwater_packager::subsample::{Finder, Tail};
use headwater_packager::wire::BoxWriter;
use serde_json::json;

use crate::film;

const FRAGMENTS: u32 = 3;
const FRAMES: usize = 50;
/// Bytes of a GOP's first frame and of each other: 2 MB in all.
const KEY_FRAME_BYTES: usize = 112_000;
const FRAME_BYTES: usize = 11_300;
/// Bytes of a frame of sound: 10 KB in six seconds.
const SOUND_FRAME_BYTES: usize = 30;
/// What AES-128 of HLS adds at most.
const PADDING_BYTES: usize = 16;

/// A segment and the heads that it belongs to.
pub struct Segment {
    /// Heads of a title of this one segment.
    pub heads: Bytes,
    /// Its bytes in the clear.
    pub bytes: Bytes,
    samples: Vec<Bytes>,
    finder: Finder,
}

impl Segment {
    /// The same on every call.
    pub fn made_up() -> Self {
        let picture = Track::pictures(FRAGMENTS);
        let mut writer = HeadsWriter::new("one-segment".parse().unwrap(), film::VERSION, 1);
        picture.tell(&mut writer);
        let heads = Bytes::from(writer.finish());
        let finder = Finder::new(&avc1()).unwrap();
        Self { heads, bytes: Bytes::from(picture.bytes), samples: picture.samples, finder }
    }

    /// A copy that may be encrypted where it lies.
    pub fn own(&self) -> BytesMut {
        let mut own = BytesMut::with_capacity(self.bytes.len() + PADDING_BYTES);
        own.extend_from_slice(&self.bytes);
        own
    }

    /// Entries of all samples' maps.
    pub fn map(&self) -> usize {
        let mut entries = Vec::with_capacity(2 * self.samples.len());
        let mut finder = self.finder.fragment();
        for sample in &self.samples {
            finder.map(sample, Tail::Aligned, &mut entries).unwrap();
        }
        entries.len()
    }
}

/// A track with its media.
pub struct Track {
    /// Every fragment.
    pub bytes: Vec<u8>,
    facts: serde_json::Value,
    init: Vec<u8>,
    rows: Vec<Row>,
    samples: Vec<Bytes>,
}

impl Track {
    /// Pictures of 2 MB for every three fragments of two seconds.
    pub fn pictures(fragments: u32) -> Self {
        let facts = json!({
            "id": "v720", "kind": "video", "codecs": "avc1.42C01E",
            "width": 1280, "height": 720, "frame_rate": [25, 1], "timescale": 25_000,
        });
        let init = film::init(InitMedia::Video { width: 1280, height: 720 }, 25_000, &avc1());
        Self::new(facts, init, fragments, |sequence| {
            (0..FRAMES).map(|i| frame(i, sequence)).collect()
        })
    }

    /// Sound of 10 KB for every three fragments, cut at the same times.
    pub fn sound(fragments: u32) -> Self {
        let facts = json!({
            "id": "a-en", "kind": "audio", "codecs": "mp4a.40.2", "language": "en",
            "sample_rate": 48_000, "channels": 2, "timescale": 48_000,
        });
        let init = film::init(InitMedia::Audio, 48_000, &mp4a());
        // Frames of a thousand samples end with the pictures: 96 in two seconds.
        Self::new(facts, init, fragments, |sequence| {
            let byte = u8::try_from(sequence % 251).unwrap();
            (0..96).map(|_| Bytes::from(vec![byte; SOUND_FRAME_BYTES])).collect()
        })
    }

    fn new(
        facts: serde_json::Value,
        init: Vec<u8>,
        fragments: u32,
        frames_of: impl Fn(u32) -> Vec<Bytes>,
    ) -> Self {
        let is_video = facts["kind"] == "video";
        let entry = if is_video { avc1() } else { mp4a() };
        let finder = Finder::new(&entry).unwrap();
        let (mut rows, mut bytes, mut samples) = (Vec::new(), Vec::new(), Vec::new());
        let ticks = u32::try_from(facts["timescale"].as_u64().unwrap()).unwrap() * 2;
        for sequence in 1..=fragments {
            let frames = frames_of(sequence);
            let written = fragment_of(sequence, ticks, &frames);
            rows.push(row(&written, ticks, &frames, &finder));
            bytes.extend_from_slice(&written);
            samples.extend(frames);
        }
        Self { bytes, facts, init, rows, samples }
    }

    /// Adds it to a title, as the one object `<id>.mp4`.
    pub fn tell(&self, writer: &mut HeadsWriter) {
        let head = film::head(self.facts.clone(), &self.rows);
        writer.track(head, &self.init, &self.rows).unwrap();
    }

    /// What its object is called.
    pub fn name(&self) -> String {
        film::object_name(&self.facts)
    }
}

/// A frame: one slice, and in a GOP's first frame an SEI before it.
fn frame(i: usize, seed: u32) -> Bytes {
    let len = if i == 0 { KEY_FRAME_BYTES } else { FRAME_BYTES + i % 7 };
    let mut bytes = Vec::with_capacity(len + 64);
    if i == 0 {
        bytes.extend_from_slice(&[0, 0, 0, 24, 6]);
        bytes.extend_from_slice(&[5; 23]);
    }
    let kind = if i == 0 { 0x65 } else { 0x41 };
    bytes.extend_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    bytes.extend_from_slice(&[kind, 0x88, 0x84, 0xaa]);
    // Noise without zeros: nothing in it looks like a start code.
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(u32::try_from(i).unwrap());
    bytes.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0] | 1
        })
        .take(len - 4),
    );
    Bytes::from(bytes)
}

fn fragment_of(sequence: u32, ticks: u32, frames: &[Bytes]) -> Vec<u8> {
    let each = ticks / u32::try_from(frames.len()).unwrap();
    let samples: Vec<_> = frames
        .iter()
        .map(|frame| Sample {
            duration_ticks: each,
            size_bytes: u32::try_from(frame.len()).unwrap(),
            flags: 0x0101_0000,
            composition_offset_ticks: 0,
        })
        .collect();
    let decode_ticks = u64::from(sequence - 1) * u64::from(ticks);
    let mut bytes = fragment::write(sequence, decode_ticks, &samples).unwrap();
    frames.iter().for_each(|frame| bytes.extend_from_slice(frame));
    bytes
}

fn row(bytes: &[u8], ticks: u32, frames: &[Bytes], finder: &Finder) -> Row {
    let payload: usize = frames.iter().map(Bytes::len).sum();
    let entries = finder.entries(frames.iter().map(|frame| &frame[..])).unwrap();
    Row {
        duration_ticks: ticks,
        size_bytes: u32::try_from(bytes.len()).unwrap(),
        first_sample_bytes: u32::try_from(frames[0].len()).unwrap(),
        crc32c: crc32c::crc32c(bytes),
        moof_bytes: u16::try_from(bytes.len() - payload - 8).unwrap(),
        samples: u16::try_from(frames.len()).unwrap(),
        map_entries: u16::try_from(entries).unwrap(),
    }
}

/// The sample entry of pictures, whose parameter sets make slice headers short: profile 66,
/// frame_num of 4 bits, order type 2, CAVLC, no deblocking control.
pub fn avc1() -> Vec<u8> {
    const SPS: [u8; 6] = [0x67, 66, 0xc0, 30, 0b1101_1010, 0b0111_1001];
    const PPS: [u8; 4] = [0x68, 0b1100_1110, 0b0011_1000, 0b0100_0000];
    let mut w = BoxWriter::default();
    w.boxed(b"avc1", |w| {
        w.zeros(24);
        w.u16(1280);
        w.u16(720);
        w.zeros(50);
        w.boxed(b"avcC", |w| {
            w.slice(&[1, 66, 0xc0, 30, 0xff, 0xe1, 0, 6]);
            w.slice(&SPS);
            w.slice(&[1, 0, 4]);
            w.slice(&PPS);
        });
    });
    w.into_bytes()
}

/// The sample entry of sound: AAC-LC.
pub fn mp4a() -> Vec<u8> {
    let mut w = BoxWriter::default();
    w.boxed(b"mp4a", |w| {
        w.zeros(28);
        w.full_box(b"esds", 0, 0, |w| {
            w.slice(&[3, 22, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 1, 0xf4, 0, 0, 1, 0xf4, 0]);
            w.slice(&[5, 2, 0x11, 0x90]);
        });
    });
    w.into_bytes()
}
