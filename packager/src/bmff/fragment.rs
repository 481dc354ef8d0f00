//! Movie fragments: moof, traf, tfhd, tfdt, trun (14496-12 8.8; CMAF 23000-19 7.5).
//!
//! Times are in the track's timescale. Written form: one traf, default-base-is-moof, tfdt
//! version 1, one trun version 1, then the mdat header; the payload follows as it is.
//! Does not decide where a fragment starts; see the encoder's grid.

use super::boxes;
use super::movie::{Defaults, TRACK_ID};
use crate::error::Error;
use crate::limits;
use crate::wire::{BoxWriter, Reader};

// tfhd and trun flags (14496-12 8.8.7.1, 8.8.8.1).
const BASE_DATA_OFFSET: u32 = 0x1;
const SAMPLE_DESCRIPTION_INDEX: u32 = 0x2;
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
const DATA_OFFSET: u32 = 0x1;
const FIRST_SAMPLE_FLAGS: u32 = 0x4;
const SAMPLE_DURATION: u32 = 0x100;
const SAMPLE_SIZE: u32 = 0x200;
const SAMPLE_FLAGS: u32 = 0x400;
const SAMPLE_COMPOSITION: u32 = 0x800;

/// sample_is_non_sync_sample (14496-12 8.8.3.1).
const IS_NON_SYNC: u32 = 0x1_0000;

/// sample_flags of a sample that depends on no other (14496-12 8.8.3.1): sample_depends_on is 2.
pub const SYNC: u32 = 0x0200_0000;

/// sample_flags of a sample that depends on others and is no sync sample: sample_depends_on is 1.
pub const NON_SYNC: u32 = 0x0100_0000 | IS_NON_SYNC;

/// Bytes of an mdat header with a 32-bit size.
pub const MDAT_HEADER_BYTES: u32 = 8;

/// One sample of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Ticks.
    pub duration_ticks: u32,
    /// Bytes.
    pub size_bytes: u32,
    /// sample_flags (14496-12 8.8.3.1).
    pub flags: u32,
    /// Composition time less decode time, in ticks.
    pub composition_offset_ticks: i32,
}

impl Sample {
    /// Whether decoding can start here, by its flags.
    pub fn is_sync(&self) -> bool {
        self.flags & IS_NON_SYNC == 0
    }
}

/// What a moof says of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// mfhd's sequence_number.
    pub sequence: u32,
    /// tfhd's track_ID.
    pub track_id: u32,
    /// tfdt's baseMediaDecodeTime, in ticks.
    pub decode_ticks: u64,
    /// Where the first sample lies, in bytes from the moof's first byte.
    pub data_offset: u32,
    /// In decode order, lying one after the other.
    pub samples: Vec<Sample>,
}

impl Fragment {
    /// Sum of the samples' durations, in ticks.
    pub fn duration_ticks(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.duration_ticks)).sum()
    }

    /// Sum of the samples' sizes, in bytes.
    pub fn payload_bytes(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.size_bytes)).sum()
    }
}

/// Reads a whole `moof` box with one traf; `defaults` come from the track's trex.
pub fn parse(moof: &[u8], defaults: Defaults) -> Result<Fragment, Error> {
    let moof = boxes::need(moof, b"moof", "fragment")?.payload;
    let mut mfhd = Reader::new(boxes::need(moof, b"mfhd", "moof")?.payload, "moof/mfhd");
    mfhd.version_and_flags();
    let sequence = mfhd.u32();
    mfhd.finish()?;
    let mut trafs = boxes::children(moof).filter(|b| !matches!(b, Ok(b) if &b.kind != b"traf"));
    let traf =
        trafs.next().transpose()?.ok_or_else(|| Error::damaged("moof/traf", "is missing"))?;
    if trafs.next().is_some() {
        return Err(Error::unsupported("moof/traf", "expected one track a fragment, got several"));
    }
    let mut fragment =
        Fragment { sequence, track_id: 0, decode_ticks: 0, data_offset: 0, samples: Vec::new() };
    parse_traf(traf.payload, defaults, &mut fragment).map_err(|e| e.within("moof/traf"))?;
    Ok(fragment)
}

fn parse_traf(traf: &[u8], defaults: Defaults, to: &mut Fragment) -> Result<(), Error> {
    let defaults = parse_tfhd(boxes::need(traf, b"tfhd", "traf")?.payload, defaults, to)?;
    let mut tfdt = Reader::new(boxes::need(traf, b"tfdt", "traf")?.payload, "tfdt");
    let (version, _) = tfdt.version_and_flags();
    to.decode_ticks = if version == 1 { tfdt.u64() } else { u64::from(tfdt.u32()) };
    tfdt.finish()?;
    // A later trun goes on where the one before ended, or says the same itself (8.8.8.3).
    let mut next_offset = None;
    for child in boxes::children(traf) {
        let child = child?;
        if &child.kind == b"trun" {
            parse_trun(child.payload, defaults, to, &mut next_offset)?;
        }
    }
    Ok(())
}

fn parse_tfhd(tfhd: &[u8], trex: Defaults, to: &mut Fragment) -> Result<Defaults, Error> {
    let mut r = Reader::new(tfhd, "tfhd");
    let (_, flags) = r.version_and_flags();
    to.track_id = r.u32();
    if flags & BASE_DATA_OFFSET != 0 {
        return Err(Error::unsupported(
            "tfhd",
            "base-data-offset: offsets must count from the moof",
        ));
    }
    if flags & SAMPLE_DESCRIPTION_INDEX != 0 && r.u32() != 1 {
        return Err(Error::unsupported("tfhd", "a second sample description"));
    }
    let mut or = |flag, inherited| {
        if flags & flag != 0 { r.u32() } else { inherited }
    };
    let defaults = Defaults {
        duration_ticks: or(DEFAULT_DURATION, trex.duration_ticks),
        size_bytes: or(DEFAULT_SIZE, trex.size_bytes),
        flags: or(DEFAULT_FLAGS, trex.flags),
    };
    r.finish()?;
    Ok(defaults)
}

fn parse_trun(
    trun: &[u8],
    defaults: Defaults,
    to: &mut Fragment,
    next_offset: &mut Option<u64>,
) -> Result<(), Error> {
    let mut r = Reader::new(trun, "trun");
    let (_, flags) = r.version_and_flags();
    let count = r.u32();
    let offset = if flags & DATA_OFFSET != 0 {
        u64::try_from(r.i32()).map_err(|_| Error::unsupported("trun", "data before its moof"))?
    } else {
        next_offset.unwrap_or(0)
    };
    match *next_offset {
        None => {
            to.data_offset = u32::try_from(offset)
                .map_err(|_| Error::too_large("trun", "data offset above 2^32"))?;
        }
        Some(expected) if expected != offset => {
            return Err(Error::unsupported(
                "trun",
                format!("samples are not contiguous: expected offset {expected}, got {offset}"),
            ));
        }
        Some(_) => {}
    }
    let mut first_flags = (flags & FIRST_SAMPLE_FLAGS != 0).then(|| r.u32());
    let mut end = offset;
    for _ in 0..count {
        let mut or = |flag, inherited| {
            if flags & flag != 0 { r.u32() } else { inherited }
        };
        let sample = Sample {
            duration_ticks: or(SAMPLE_DURATION, defaults.duration_ticks),
            size_bytes: or(SAMPLE_SIZE, defaults.size_bytes),
            flags: or(SAMPLE_FLAGS, first_flags.take().unwrap_or(defaults.flags)),
            // Version 0 offsets are unsigned, but none in use reach 2^31.
            composition_offset_ticks: or(SAMPLE_COMPOSITION, 0).cast_signed(),
        };
        r.finish()?;
        if to.samples.len() == limits::SAMPLES {
            return Err(Error::too_large("trun", format!("more than {} samples", limits::SAMPLES)));
        }
        end += u64::from(sample.size_bytes);
        to.samples.push(sample);
    }
    *next_offset = Some(end);
    r.finish()
}

/// Writes the moof and the mdat header of a fragment whose payload is the samples in order.
///
/// Errors when the samples are none or more than heads can count, or weigh more than a fragment
/// may.
pub fn write(sequence: u32, decode_ticks: u64, samples: &[Sample]) -> Result<Vec<u8>, Error> {
    let Some((first, others)) = samples.split_first() else {
        return Err(Error::invalid("fragment", "has no sample"));
    };
    if samples.len() > limits::SAMPLES {
        return Err(Error::too_large(
            "fragment",
            format!("{} samples, at most {}", samples.len(), limits::SAMPLES),
        ));
    }
    let payload: u64 = samples.iter().map(|s| u64::from(s.size_bytes)).sum();
    if payload > u64::from(limits::FRAGMENT_BYTES) {
        return Err(Error::too_large(
            "fragment",
            format!("{payload} bytes of samples, at most {}", limits::FRAGMENT_BYTES),
        ));
    }
    let shape = Shape::of(first, others);
    let mut w = BoxWriter::with_capacity(128 + samples.len() * 16);
    let mut data_offset_at = 0;
    w.boxed(b"moof", |w| {
        w.full_box(b"mfhd", 0, 0, |w| w.u32(sequence));
        w.boxed(b"traf", |w| {
            let flags = DEFAULT_BASE_IS_MOOF | DEFAULT_DURATION | DEFAULT_FLAGS;
            w.full_box(b"tfhd", 0, flags, |w| {
                w.u32(TRACK_ID);
                w.u32(first.duration_ticks);
                w.u32(shape.default_flags);
            });
            w.full_box(b"tfdt", 1, 0, |w| w.u64(decode_ticks));
            w.full_box(b"trun", 1, shape.trun_flags, |w| {
                w.u32(u32::try_from(samples.len()).expect("bounded above"));
                data_offset_at = w.len_bytes();
                w.u32(0);
                if shape.trun_flags & FIRST_SAMPLE_FLAGS != 0 {
                    w.u32(first.flags);
                }
                samples.iter().for_each(|sample| shape.write_sample(w, sample));
            });
        });
    });
    let moof_bytes = u32::try_from(w.len_bytes()).expect("bounded by the samples' count");
    w.patch_u32(data_offset_at, moof_bytes + MDAT_HEADER_BYTES);
    w.u32(u32::try_from(payload).expect("bounded above") + MDAT_HEADER_BYTES);
    w.slice(b"mdat");
    Ok(w.into_bytes())
}

/// Which fields of a trun differ from sample to sample; the rest stand in tfhd once.
struct Shape {
    trun_flags: u32,
    default_flags: u32,
}

impl Shape {
    fn of(first: &Sample, others: &[Sample]) -> Self {
        let default_flags = others.first().map_or(first.flags, |s| s.flags);
        let mut trun_flags = DATA_OFFSET | SAMPLE_SIZE;
        if others.iter().any(|s| s.flags != default_flags) {
            trun_flags |= SAMPLE_FLAGS;
        } else if first.flags != default_flags {
            trun_flags |= FIRST_SAMPLE_FLAGS;
        }
        if others.iter().any(|s| s.duration_ticks != first.duration_ticks) {
            trun_flags |= SAMPLE_DURATION;
        }
        if first.composition_offset_ticks != 0
            || others.iter().any(|s| s.composition_offset_ticks != 0)
        {
            trun_flags |= SAMPLE_COMPOSITION;
        }
        Self { trun_flags, default_flags }
    }

    fn write_sample(&self, w: &mut BoxWriter, sample: &Sample) {
        if self.trun_flags & SAMPLE_DURATION != 0 {
            w.u32(sample.duration_ticks);
        }
        w.u32(sample.size_bytes);
        if self.trun_flags & SAMPLE_FLAGS != 0 {
            w.u32(sample.flags);
        }
        if self.trun_flags & SAMPLE_COMPOSITION != 0 {
            w.i32(sample.composition_offset_ticks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let few = prop_oneof![Just(SYNC), Just(NON_SYNC), any::<u32>()];
        let one = (1..4u32, 0..100_000u32, few, -5..5i32).prop_map(|(d, s, f, c)| Sample {
            duration_ticks: d * 1001,
            size_bytes: s,
            flags: f,
            composition_offset_ticks: c * 1001,
        });
        prop::collection::vec(one, 1..120)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(samples in samples(), sequence: u32, ticks: u64) {
            let bytes = write(sequence, ticks, &samples).unwrap();
            let fragment = parse(&bytes, Defaults::default()).unwrap();
            prop_assert_eq!(fragment.data_offset as usize, bytes.len());
            prop_assert_eq!(fragment.sequence, sequence);
            prop_assert_eq!(fragment.decode_ticks, ticks);
            prop_assert_eq!(fragment.samples, samples);
        }

        #[test]
        fn a_cut_fragment_is_an_error(samples in samples(), at in 0.0..1.0f64) {
            let bytes = write(1, 0, &samples).unwrap();
            let moof = &bytes[..bytes.len() - 8];
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below len")]
            let cut = (moof.len() as f64 * at) as usize;
            prop_assert!(parse(&moof[..cut], Defaults::default()).is_err());
        }
    }

    #[test]
    fn a_plain_gop_needs_sizes_and_offsets_alone() {
        let sample = |flags| Sample {
            duration_ticks: 1001,
            size_bytes: 5,
            flags,
            composition_offset_ticks: 0,
        };
        let bytes = write(1, 0, &[sample(SYNC), sample(NON_SYNC)]).unwrap();
        // moof 8, mfhd 16, traf 8, tfhd 24, tfdt 20, trun 24 + 2 x 4, mdat header 8.
        assert_eq!(bytes.len(), 8 + 16 + 8 + 24 + 20 + 24 + 8 + 8);
    }

    #[test]
    fn two_truns_must_touch() {
        let mut w = BoxWriter::default();
        let trun = |w: &mut BoxWriter, offset: u32| {
            w.full_box(b"trun", 0, DATA_OFFSET | SAMPLE_SIZE, |w| {
                w.u32(1);
                w.u32(offset);
                w.u32(10);
            });
        };
        w.boxed(b"moof", |w| {
            w.full_box(b"mfhd", 0, 0, |w| w.u32(1));
            w.boxed(b"traf", |w| {
                w.full_box(b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |w| w.u32(1));
                w.full_box(b"tfdt", 0, 0, |w| w.u32(0));
                trun(w, 100);
                trun(w, 111);
            });
        });
        let error = parse(&w.into_bytes(), Defaults::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "moof/traf/trun: samples are not contiguous: expected offset 110, got 111"
        );
    }
}
