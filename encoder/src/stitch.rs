//! Fragments of chunks that were encoded apart become fragments of one track: `mfhd` and `tfdt` are
//! written over in place (ISO/IEC 14496-12 8.8.5, 8.8.12), and no other byte changes.
//!
//! Takes what [`headwater_packager::bmff::fragment::write`] makes, whose `tfdt` has 64 bits always. So
//! a chunk that was made as if the title began with it lies anywhere in the title at the same
//! length, and the checksums of its payload stay.

use std::ops::Range;

use headwater_packager::bmff::boxes;

/// Bytes of a full box's version and flags (8.4.2 of the same).
const VERSION_AND_FLAGS: usize = 4;

/// Makes `fragment` (a `moof` and what follows) number `sequence` of its track, starting at
/// `decode_ticks`. On an error it is as it was.
pub fn place(fragment: &mut [u8], sequence: u32, decode_ticks: u64) -> Result<(), String> {
    let moof = payload_of(fragment, 0..fragment.len(), b"moof")?;
    let mfhd = payload_of(fragment, moof.clone(), b"mfhd")?;
    let traf = payload_of(fragment, moof, b"traf")?;
    let tfdt = payload_of(fragment, traf, b"tfdt")?;
    if fragment[tfdt.clone()].first() != Some(&1) {
        return Err("tfdt has 32 bits, which this encoder does not write".to_owned());
    }
    let fields = [(mfhd, &sequence.to_be_bytes()[..]), (tfdt, &decode_ticks.to_be_bytes()[..])];
    for (payload, value) in &fields {
        if payload.len() != VERSION_AND_FLAGS + value.len() {
            return Err(format!("mfhd or tfdt has {} bytes, not its length", payload.len()));
        }
    }
    for (payload, value) in fields {
        fragment[payload][VERSION_AND_FLAGS..].copy_from_slice(value);
    }
    Ok(())
}

/// Where the content of the first box of some kind lies.
fn payload_of(bytes: &[u8], within: Range<usize>, kind: &[u8; 4]) -> Result<Range<usize>, String> {
    let mut at = within.start;
    for found in boxes::children(&bytes[within]) {
        let found = found.map_err(|e| e.to_string())?;
        let end = at + found.whole.len();
        if &found.kind == kind {
            return Ok(end - found.payload.len()..end);
        }
        at = end;
    }
    Err(format!("{} is missing", boxes::name(*kind)))
}

#[cfg(test)]
mod tests {
    use headwater_packager::bmff::fragment::{self, NON_SYNC, SYNC, Sample};
    use proptest::prelude::*;

    use super::*;

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let sample = (1..3000u32, 1..60u32, any::<bool>(), -2000..2000i32);
        let sample = sample.prop_map(|(duration_ticks, size_bytes, is_sync, offset)| Sample {
            duration_ticks,
            size_bytes,
            flags: if is_sync { SYNC } else { NON_SYNC },
            composition_offset_ticks: offset,
        });
        prop::collection::vec(sample, 1..12)
    }

    /// Fragments of one track, with payloads that differ, from number 1 and time 0.
    fn track(fragments: &[Vec<Sample>], first_payload: usize) -> Vec<Vec<u8>> {
        let mut decode_ticks = 0;
        let made = (1..).zip(fragments).map(|(sequence, samples)| {
            let mut bytes = fragment::write(sequence, decode_ticks, samples).unwrap();
            let payload_bytes: u32 = samples.iter().map(|sample| sample.size_bytes).sum();
            let filling = u8::try_from((first_payload + sequence as usize) % 251).unwrap();
            bytes.extend(vec![filling; payload_bytes as usize]);
            decode_ticks += samples.iter().map(|s| u64::from(s.duration_ticks)).sum::<u64>();
            bytes
        });
        made.collect()
    }

    proptest! {
        #[test]
        fn chunks_made_apart_are_the_bytes_of_one_track(
            chunks in prop::collection::vec(prop::collection::vec(samples(), 1..4), 1..5),
        ) {
            let whole = track(&chunks.concat(), 0).concat();
            let mut stitched = Vec::new();
            let (mut sequence, mut decode_ticks) = (0, 0);
            for chunk in &chunks {
                for (mut bytes, samples) in track(chunk, sequence as usize).into_iter().zip(chunk) {
                    sequence += 1;
                    place(&mut bytes, sequence, decode_ticks).unwrap();
                    decode_ticks += samples.iter().map(|s| u64::from(s.duration_ticks)).sum::<u64>();
                    stitched.extend(bytes);
                }
            }
            prop_assert!(stitched == whole);
        }

        #[test]
        fn what_is_no_fragment_is_refused_and_left_alone(
            samples in samples(), at in 0..200usize, byte: u8, cut in 0..400usize,
        ) {
            let mut bytes = track(&[samples], 0).concat();
            let end = bytes.len();
            bytes[at % end] = byte;
            bytes.truncate(cut.min(end));
            let mut placed = bytes.clone();
            if place(&mut placed, 7, 9).is_err() {
                prop_assert_eq!(placed, bytes);
            } else {
                prop_assert_eq!(placed.len(), bytes.len());
            }
        }
    }

    #[test]
    fn times_beyond_32_bits_are_kept() {
        let sample =
            Sample { duration_ticks: 1, size_bytes: 1, flags: SYNC, composition_offset_ticks: 0 };
        let mut bytes = fragment::write(1, 0, &[sample]).unwrap();
        bytes.push(0);
        place(&mut bytes, u32::MAX, 1 << 40).unwrap();
        let moof = boxes::need(&bytes, b"moof", "fragment").unwrap().whole;
        let trex = headwater_packager::bmff::movie::Defaults::default();
        let read = fragment::parse(moof, trex).unwrap();
        assert_eq!((read.sequence, read.decode_ticks), (u32::MAX, 1 << 40));
        let version = bytes.windows(4).position(|name| name == b"tfdt").unwrap() + 4;
        bytes[version] = 0;
        assert!(place(&mut bytes, 1, 0).unwrap_err().contains("32 bits"));
    }
}
