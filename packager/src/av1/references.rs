//! The eight slots of frames that later ones refer to (AV1 7.20), as far as headers are read with
//! them.

use super::frame::{AT, AlternateQ, distance_of};
use crate::error::Error;

/// Segments of a frame (3: MAX_SEGMENTS).
pub(super) const SEGMENTS: usize = 8;

/// A frame in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Whether it is a key frame.
    pub(super) is_key: bool,
    /// OrderHint.
    pub(super) order_hint: u32,
    /// UpscaledWidth.
    pub(super) upscaled_width: u32,
    /// FrameHeight.
    pub(super) height: u32,
    /// FeatureData of SEG_LVL_ALT_Q.
    pub(super) alternate_q: AlternateQ,
}

/// What a fragment's frames left so far; empty at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    slots: [Option<Reference>; 8],
}

impl References {
    /// The frame of a slot. There is none where a fragment does not start with a key frame.
    pub(super) fn get(&self, slot: u32) -> Result<Reference, Error> {
        let found = usize::try_from(slot).ok().and_then(|slot| self.slots.get(slot));
        found.copied().flatten().ok_or_else(|| {
            let detail = format!(
                "refers to slot {slot}, which no frame of the fragment filled: expected a \
                 fragment to start with a key frame"
            );
            Error::unsupported(AT, detail)
        })
    }

    /// Puts a frame into every slot whose bit is set.
    pub(super) fn refresh(&mut self, slots: u32, with: Reference) {
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if slots >> i & 1 == 1 {
                *slot = Some(with);
            }
        }
    }

    /// A key frame that is shown: nothing before it counts.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// ref_order_hint (7.20): a slot of another order hint holds a frame that was lost, which
    /// nothing but its hint is known of.
    pub(super) fn expect_hint(&mut self, slot: usize, order_hint: u32) {
        if let Some(Some(held)) = self.slots.get_mut(slot) {
            held.order_hint = order_hint;
        }
    }
}

/// set_frame_refs() (7.8): the slot of each reference, by those of LAST and GOLDEN and the order of
/// the others.
pub(super) fn order_of_references(
    references: &References,
    order_hint_bits: u32,
    order_hint: u32,
    last: u32,
    golden: u32,
) -> Result<[u32; 7], Error> {
    // By slot: how far behind the current frame it is shown; negative before it.
    let mut distances = [0; 8];
    for (distance, slot) in distances.iter_mut().zip(0..) {
        let hint = references.get(slot)?.order_hint;
        *distance = distance_of(hint, order_hint, order_hint_bits);
    }
    let by_slot = || (0u32..).zip(distances);
    let mut slots = [None; 7];
    (slots[0], slots[3]) = (Some(last), Some(golden));
    let mut taken = [last, golden].map(Some).to_vec();
    let free = |taken: &[Option<u32>], slot: u32| !taken.contains(&Some(slot));
    // ALTREF: the farthest behind. BWDREF, ALTREF2: the nearest. Equal ones: the last, the first.
    let behind = |taken: &[Option<u32>]| {
        let found = by_slot().filter(|&(slot, d)| d >= 0 && free(taken, slot));
        found.collect::<Vec<_>>()
    };
    let farthest = behind(&taken).into_iter().max_by_key(|&(_, d)| d).map(|(slot, _)| slot);
    slots[6] = farthest;
    taken.push(farthest);
    for name in [4, 5] {
        let nearest = behind(&taken).into_iter().min_by_key(|&(_, d)| d).map(|(slot, _)| slot);
        slots[name] = nearest;
        taken.push(nearest);
    }
    // LAST2, LAST3, BWDREF, ALTREF2, ALTREF as far as they are open: those before, nearest first.
    for name in [1, 2, 4, 5, 6] {
        if slots[name].is_none() {
            let before = by_slot().filter(|&(slot, d)| d < 0 && free(&taken, slot));
            slots[name] = before.max_by_key(|&(_, d)| d).map(|(slot, _)| slot);
            taken.push(slots[name]);
        }
    }
    let earliest = by_slot().min_by_key(|&(_, d)| d).map_or(0, |(slot, _)| slot);
    Ok(slots.map(|slot| slot.unwrap_or(earliest)))
}
