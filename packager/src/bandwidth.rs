//! Bit rates of what is really sent (draft-pantos-hls-rfc8216bis 4.4.6.2).

/// Rates of one rendition in bits per second, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The highest of any run of segments lasting 0.5 to 1.5 target durations.
    pub peak_bps: u64,
    /// Over the whole.
    pub average_bps: u64,
}

/// Segments of a run at most: a target duration of 60 s of half-second GOPs, 1.5 times. Heads may
/// claim segments that last no time at all, and must not make a long loop of them.
const RUN_SEGMENTS: usize = 180;

/// One segment as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Microseconds.
    pub duration_us: u64,
    /// Bytes.
    pub size_bytes: u64,
}

/// Rates of consecutive segments. A run is looked at up to [`RUN_SEGMENTS`] long.
pub fn rates(segments: &[Sent], target_duration_s: u64) -> Rates {
    let target_us = target_duration_s * 1_000_000;
    let (least_us, most_us) = (target_us.div_ceil(2), target_us * 3 / 2);
    let mut peak = Run { bytes: 0, us: 1 };
    for start in 0..segments.len() {
        let mut run = Run { bytes: 0, us: 0 };
        for segment in &segments[start..segments.len().min(start + RUN_SEGMENTS)] {
            run.bytes += segment.size_bytes;
            run.us += segment.duration_us;
            if run.us > most_us {
                break;
            }
            if run.us >= least_us && run.is_faster_than(peak) {
                peak = run;
            }
        }
    }
    let whole = Run {
        bytes: segments.iter().map(|s| s.size_bytes).sum(),
        us: segments.iter().map(|s| s.duration_us).sum(),
    };
    let average_bps = whole.bps();
    // A title shorter than half a target duration has no run to measure.
    Rates { peak_bps: peak.bps().max(average_bps), average_bps }
}

/// Bytes over a time, which is not zero where runs are compared.
#[derive(Clone, Copy)]
struct Run {
    bytes: u64,
    us: u64,
}

impl Run {
    /// Compared by products: two hours have thousands of runs, and a division costs more than all
    /// else that is done for one.
    fn is_faster_than(self, other: Self) -> bool {
        let product = |bytes: u64, us: u64| u128::from(bytes) * u128::from(us);
        product(self.bytes, other.us) > product(other.bytes, self.us)
    }

    fn bps(self) -> u64 {
        let bits = u128::from(self.bytes) * 8 * 1_000_000;
        u64::try_from(bits.div_ceil(u128::from(self.us.max(1)))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_is_over_runs_of_half_to_one_and_a_half_targets() {
        let s =
            |ms: u64, kilobytes: u64| Sent { duration_us: ms * 1000, size_bytes: kilobytes * 1000 };
        let wanted = |peak_bps, average_bps| Rates { peak_bps, average_bps };
        let cases: [(&[Sent], u64, Rates); 6] = [
            (&[s(6000, 600), s(6000, 900)], 6, wanted(1_200_000, 1_000_000)),
            // The last second alone is below half a target: it counts with its neighbour.
            (&[s(6000, 600), s(1000, 400)], 6, wanted(1_142_858, 1_142_858)),
            (&[s(6000, 600), s(3000, 600)], 6, wanted(1_600_000, 1_066_667)),
            // 2.9 s is too short for a run, 2.9 + 6.2 s too long.
            (
                &[s(2900, 900), s(6200, 310), s(2900, 900), s(6400, 320), s(6400, 320)],
                6,
                wanted(887_097, 887_097),
            ),
            (&[s(1000, 100)], 6, wanted(800_000, 800_000)),
            (&[], 6, Rates::default()),
        ];
        for (segments, target, wanted) in cases {
            assert_eq!(rates(segments, target), wanted, "{segments:?}");
        }
    }

    #[test]
    fn a_run_is_bounded_whatever_heads_claim() {
        // 200 segments of 10 ms would be a run for a target of 4 s, but 180 are not.
        let heavy = Sent { duration_us: 10_000, size_bytes: 1000 };
        let light = Sent { duration_us: 10_000, size_bytes: 1 };
        let segments = [[heavy; 200], [light; 200]].concat();
        let got = rates(&segments, 4);
        assert_eq!(got.peak_bps, got.average_bps);
    }
}
