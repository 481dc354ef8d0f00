//! CMAF files and segments, read by mp4-atom and by mp4: two readers that are not ours.
//!
//! Each box is read by itself; what they say of times, sizes and offsets is kept as plain numbers.

use std::io::Cursor;

use mp4_atom::{Any, Decode, Ftyp, Moof, Moov, Sidx};

/// ftyp and moov.
#[derive(Clone, Debug)]
pub struct Init {
    /// File type.
    pub ftyp: Ftyp,
    /// Movie header with one track.
    pub moov: Moov,
    /// Bytes of both.
    pub len_bytes: usize,
}

/// One moof and its mdat.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// Where the moof starts in what was read.
    pub start_bytes: usize,
    /// As mp4-atom reads it.
    pub moof: Moof,
    /// Bytes of the moof.
    pub moof_bytes: usize,
    /// Bytes of the mdat, header included.
    pub mdat_bytes: usize,
    /// Samples in decode order.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Decode time in ticks.
    pub decode_ticks: u64,
    /// Presentation time in ticks, as far as the fragment says.
    pub present_ticks: i64,
    /// Ticks.
    pub duration_ticks: u32,
    /// Where it lies in what was read.
    pub start_bytes: usize,
    /// Bytes.
    pub size_bytes: usize,
    /// Whether its flags call it a sync sample.
    pub sync: bool,
}

impl Init {
    /// Reads an init segment, or the beginning of a track file.
    pub fn read(bytes: &[u8]) -> Self {
        let mut cursor = Cursor::new(bytes);
        let ftyp = match Any::decode(&mut cursor) {
            Ok(Any::Ftyp(ftyp)) => ftyp,
            other => panic!("expected ftyp, got {other:?}"),
        };
        let moov = match Any::decode(&mut cursor) {
            Ok(Any::Moov(moov)) => moov,
            other => panic!("expected moov, got {other:?}"),
        };
        assert_eq!(moov.trak.len(), 1, "one track");
        let len_bytes = usize::try_from(cursor.position()).unwrap();
        Self { ftyp, moov, len_bytes }
    }

    /// Ticks per second.
    pub fn timescale(&self) -> u32 {
        self.moov.trak[0].mdia.mdhd.timescale
    }
}

impl Fragment {
    /// First decode time in ticks.
    pub fn decode_ticks(&self) -> u64 {
        self.samples[0].decode_ticks
    }

    /// Sum of the samples' durations in ticks.
    pub fn duration_ticks(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.duration_ticks)).sum()
    }

    /// moof and mdat in bytes.
    pub fn size_bytes(&self) -> usize {
        self.moof_bytes + self.mdat_bytes
    }
}

/// Every fragment of a media segment.
pub fn read(segment: &[u8]) -> Vec<Fragment> {
    let mut fragments = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        let moof_bytes = box_bytes(&segment[at..], *b"moof");
        let mdat_bytes = box_bytes(&segment[at + moof_bytes..], *b"mdat");
        let moof = match Any::decode(&mut Cursor::new(&segment[at..at + moof_bytes])) {
            Ok(Any::Moof(moof)) => moof,
            other => panic!("expected moof, got {other:?}"),
        };
        let samples = samples(at, &moof);
        fragments.push(Fragment { start_bytes: at, moof, moof_bytes, mdat_bytes, samples });
        at += moof_bytes + mdat_bytes;
    }
    assert!(!fragments.is_empty(), "a segment has a fragment");
    fragments
}

/// A track file: `ftyp moov sidx (moof mdat)*`.
pub fn read_track(file: &[u8]) -> (Init, Sidx, Vec<Fragment>) {
    let init = Init::read(file);
    let mut cursor = Cursor::new(&file[init.len_bytes..]);
    let sidx = match Any::decode(&mut cursor) {
        Ok(Any::Sidx(sidx)) => sidx,
        other => panic!("expected sidx, got {other:?}"),
    };
    let media_at = init.len_bytes + usize::try_from(cursor.position()).unwrap();
    (init, sidx, read(&file[media_at..]))
}

/// tfdt's version in each fragment, which mp4-atom does not tell; `mp4` reads init and media.
pub fn tfdt_versions(init: &[u8], segment: &[u8]) -> Vec<u8> {
    let read = read_by_mp4(init, segment);
    read.moofs.iter().map(|moof| moof.trafs[0].tfdt.as_ref().expect("a tfdt").version).collect()
}

/// Init and media as the `mp4` crate reads them.
pub fn read_by_mp4(init: &[u8], segment: &[u8]) -> mp4::Mp4Reader<Cursor<Vec<u8>>> {
    let file = [init, segment].concat();
    let len_bytes = file.len() as u64;
    mp4::Mp4Reader::read_header(Cursor::new(file), len_bytes).expect("mp4 reads it")
}

/// Bytes of the box at the start, which must be of this kind and end inside.
fn box_bytes(bytes: &[u8], kind: [u8; 4]) -> usize {
    let (size, rest) = bytes.split_first_chunk::<4>().expect("a box header");
    let size = usize::try_from(u32::from_be_bytes(*size)).unwrap();
    assert!(rest.starts_with(&kind), "expected {}", kind.escape_ascii());
    assert!(size <= bytes.len(), "a box ends inside its segment");
    size
}

/// sample_is_non_sync_sample (14496-12 8.8.3.1).
const NON_SYNC: u32 = 0x1_0000;

fn samples(moof_at: usize, moof: &Moof) -> Vec<Sample> {
    let [traf] = &moof.traf[..] else { panic!("one traf, got {}", moof.traf.len()) };
    let mut decode_ticks = traf.tfdt.as_ref().expect("a tfdt").base_media_decode_time;
    let mut samples = Vec::new();
    for trun in &traf.trun {
        let offset = usize::try_from(trun.data_offset.expect("a data offset")).unwrap();
        let mut start_bytes = moof_at + offset;
        for entry in trun.samples.iter() {
            let or = |own: Option<u32>, inherited: Option<u32>| own.or(inherited);
            let duration = or(entry.duration, traf.tfhd.default_sample_duration);
            let size = or(entry.size, traf.tfhd.default_sample_size);
            let flags = or(entry.flags, traf.tfhd.default_sample_flags);
            let duration_ticks = duration.expect("each fragment says its durations itself");
            let size_bytes = usize::try_from(size.expect("each sample has a size")).unwrap();
            let composition = entry.cts.unwrap_or(0);
            samples.push(Sample {
                decode_ticks,
                present_ticks: i64::try_from(decode_ticks).unwrap() + composition,
                duration_ticks,
                start_bytes,
                size_bytes,
                sync: flags.expect("each fragment says its flags itself") & NON_SYNC == 0,
            });
            decode_ticks += u64::from(duration_ticks);
            start_bytes += size_bytes;
        }
    }
    samples
}
