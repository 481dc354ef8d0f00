//! Decode times of our own: a fragment's pictures are decoded at the times at which they are shown,
//! in order.
//!
//! Containers place decode times as they like; all that matters is that the pictures come in decode
//! order and are shown when they were. With these times a fragment starts when its first picture
//! is shown (tfdt and manifests agree), and composition offsets are small and may be negative.

use headwater_packager::bmff::fragment::Sample;

/// Why pictures cannot be a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untimely {
    /// The first to be decoded is not the first that is shown.
    First,
    /// A picture is shown before the fragment starts, or after it ended: an open GOP.
    Outside {
        /// Its time, in ticks.
        ticks: i64,
    },
    /// Two pictures are shown at once.
    Twice {
        /// Their time, in ticks.
        ticks: i64,
    },
    /// A picture is shown for longer than a sample can last.
    Long {
        /// Its time, in ticks.
        ticks: i64,
    },
}

/// Gives `samples`, shown at `shown` (ticks, one for each), their decode times: durations and
/// composition offsets of a fragment from `start` to `end`.
pub fn set(samples: &mut [Sample], shown: &[i64], start: i64, end: i64) -> Result<(), Untimely> {
    let mut order = shown.to_vec();
    order.sort_unstable();
    if order.first() != shown.first() {
        return Err(Untimely::First);
    }
    if let Some(&ticks) = shown.iter().find(|&&t| t < start || t >= end) {
        return Err(Untimely::Outside { ticks });
    }
    if order.first() != Some(&start) {
        return Err(Untimely::First);
    }
    let next = order.iter().copied().skip(1).chain([end]);
    for (((sample, &shown), &decoded), next) in samples.iter_mut().zip(shown).zip(&order).zip(next)
    {
        if next == decoded {
            return Err(Untimely::Twice { ticks: decoded });
        }
        let long = |_| Untimely::Long { ticks: decoded };
        sample.duration_ticks = u32::try_from(next - decoded).map_err(long)?;
        sample.composition_offset_ticks = i32::try_from(shown - decoded).map_err(long)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANY: Sample =
        Sample { duration_ticks: 7, size_bytes: 9, flags: 0, composition_offset_ticks: 2000 };

    #[test]
    fn a_fragment_and_what_is_none() {
        // I P B B: shown 0 3 1 2.
        let mut samples = vec![ANY; 4];
        set(&mut samples, &[100, 400, 200, 300], 100, 500).unwrap();
        let got: Vec<_> =
            samples.iter().map(|s| (s.duration_ticks, s.composition_offset_ticks)).collect();
        assert_eq!(got, [(100, 0), (100, 200), (100, -100), (100, -100)]);
        let table: [(&[i64], Untimely); 5] = [
            (&[200, 100], Untimely::First),
            (&[100, 500], Untimely::Outside { ticks: 500 }),
            (&[100, 300, 300], Untimely::Twice { ticks: 300 }),
            (&[110, 300], Untimely::First),
            (&[50, 100, 300], Untimely::Outside { ticks: 50 }),
        ];
        for (shown, wanted) in table {
            let mut samples = vec![ANY; shown.len()];
            assert_eq!(set(&mut samples, shown, 100, 500), Err(wanted), "{shown:?}");
        }
        let far = i64::from(u32::MAX) + 2;
        let long = set(&mut [ANY], &[0], 0, far);
        assert_eq!(long, Err(Untimely::Long { ticks: 0 }));
    }

    proptest! {
        /// Whatever the order of decoding, pictures are shown when they were and the durations fill
        /// the fragment.
        #[test]
        fn shown_times_stay(
            gaps in prop::collection::vec(1..5000i64, 1..50),
            swaps in prop::collection::vec((1..50usize, 1..50usize), 0..20),
            start in -1000..1_000_000i64,
        ) {
            let mut shown: Vec<i64> = vec![start];
            for gap in &gaps {
                shown.push(shown.last().unwrap() + gap);
            }
            let end = shown.pop().unwrap();
            for (a, b) in swaps {
                if a < shown.len() && b < shown.len() {
                    shown.swap(a, b);
                }
            }
            let mut samples = vec![ANY; shown.len()];
            set(&mut samples, &shown, start, end).unwrap();
            let mut decoded = start;
            for (sample, shown) in samples.iter().zip(&shown) {
                prop_assert_eq!(decoded + i64::from(sample.composition_offset_ticks), *shown);
                decoded += i64::from(sample.duration_ticks);
            }
            prop_assert_eq!(decoded, end);
        }
    }
}
