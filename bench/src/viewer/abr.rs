//! Which quality: by throughput, as hls.js does. Two moving averages, of which the lower counts;
//! a rise needs more of a margin than staying.

use std::time::Duration;

use crate::manifest::{Presentation, Variant};
use crate::number::ratio;

/// Half-lives of the averages in seconds of downloading (hls.js abrEwmaFastVoD, abrEwmaSlowVoD).
const FAST_S: f64 = 3.0;
const SLOW_S: f64 = 9.0;
/// Shares of the estimate that a variant may take: to stay, and to rise (hls.js
/// abrBandWidthFactor, abrBandWidthUpFactor).
const STAY: f64 = 0.95;
const RISE: f64 = 0.7;
/// No rise with less than this ahead.
const RISES_ABOVE: Duration = Duration::from_secs(2);
/// What is believed before anything was measured (Shaka Player's defaultBandwidthEstimate).
const BEFORE_BPS: f64 = 1e6;
/// A download counts for at least this long (hls.js minDelayMs), or a few bytes would decide.
const LEAST_S: f64 = 0.05;

/// A viewer's throughput.
#[derive(Clone, Copy, Debug, Default)]
pub struct Throughput {
    fast: Average,
    slow: Average,
}

impl Throughput {
    /// Counts a download.
    pub fn measured(&mut self, len_bytes: u64, took: Duration) {
        let took_s = took.as_secs_f64().max(LEAST_S);
        let bps = len_bytes as f64 * 8.0 / took_s;
        self.fast.add(bps, took_s, FAST_S);
        self.slow.add(bps, took_s, SLOW_S);
    }

    /// Bits a second; nothing before the first download.
    pub fn estimate_bps(&self) -> Option<f64> {
        let (fast, slow) = (self.fast.value(FAST_S)?, self.slow.value(SLOW_S)?);
        Some(fast.min(slow))
    }
}

/// The variant for the next segment.
pub fn choose(
    title: &Presentation,
    current: Option<usize>,
    throughput: &Throughput,
    ahead: Duration,
) -> usize {
    let Some(estimate) = throughput.estimate_bps() else {
        // RFC 8216bis 6.3.1: what stands first is what a client without a measurement begins with.
        return current.or(title.first).unwrap_or_else(|| {
            highest(&title.variants, |variant| variant.bandwidth_bps as f64 <= BEFORE_BPS * RISE)
        });
    };
    let now_bps =
        current.and_then(|at| title.variants.get(at)).map(|variant| variant.bandwidth_bps);
    let wanted = highest(&title.variants, |variant| {
        let rises = now_bps.is_none_or(|now| variant.bandwidth_bps > now);
        variant.bandwidth_bps as f64 <= estimate * if rises { RISE } else { STAY }
    });
    match current {
        Some(current) if wanted > current && ahead < RISES_ABOVE => current,
        _ => wanted,
    }
}

/// The last that fits; variants rise. The first if none does.
fn highest(variants: &[Variant], fits: impl Fn(&Variant) -> bool) -> usize {
    variants.iter().rposition(fits).unwrap_or(0)
}

/// A moving average that is right from the first sample on.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    fn add(&mut self, value: f64, weight: f64, half_life: f64) {
        let kept = 0.5_f64.powf(weight / half_life);
        self.sum = value * (1.0 - kept) + kept * self.sum;
        self.weight += weight;
    }

    fn value(&self, half_life: f64) -> Option<f64> {
        let full = 1.0 - 0.5_f64.powf(self.weight / half_life);
        (self.weight > 0.0).then(|| ratio(self.sum, full))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn title(first: Option<usize>) -> Presentation {
        let variants = [300_000, 900_000, 2_500_000, 6_000_000]
            .map(|bandwidth_bps| Variant { bandwidth_bps, tracks: Vec::new() });
        Presentation { variants: variants.to_vec(), first, tracks: Vec::new() }
    }

    fn at(bps: u64) -> Throughput {
        let mut throughput = Throughput::default();
        throughput.measured(bps / 8, Duration::from_secs(1));
        throughput
    }

    #[test]
    fn qualities_by_throughput() {
        let far = Duration::from_secs(20);
        let table = [
            (Some(0), 1_000_000, far, 0),
            (Some(0), 1_300_000, far, 1),
            (Some(1), 1_000_000, far, 1),
            (Some(1), 940_000, far, 0),
            (Some(3), 100_000, far, 0),
            (Some(0), 99_000_000, far, 3),
            // Not up on an empty buffer, but down.
            (Some(1), 99_000_000, Duration::ZERO, 1),
            (Some(3), 1_000_000, Duration::ZERO, 1),
            (None, 99_000_000, Duration::ZERO, 3),
        ];
        for (current, bps, ahead, wanted) in table {
            let got = choose(&title(None), current, &at(bps), ahead);
            assert_eq!(got, wanted, "{current:?} at {bps} with {ahead:?}");
        }
    }

    #[test]
    fn before_a_measurement() {
        let unknown = Throughput::default();
        for (first, current, wanted) in [(Some(2), None, 2), (None, None, 0), (Some(2), Some(1), 1)]
        {
            assert_eq!(choose(&title(first), current, &unknown, Duration::ZERO), wanted);
        }
    }

    /// One slow download does not stay in the estimate, one fast one does not lift it at once.
    #[test]
    fn the_lower_average_counts() {
        let mut throughput = at(8_000_000);
        let before = throughput.estimate_bps().unwrap();
        assert!((before / 8e6 - 1.0).abs() < 1e-9, "{before}");
        throughput.measured(125_000, Duration::from_secs(4));
        let low = throughput.estimate_bps().unwrap();
        assert!(low < 1.3e6, "{low}");
        throughput.measured(10_000_000, Duration::from_secs(1));
        let after = throughput.estimate_bps().unwrap();
        assert!(after > low && after < 20e6, "{after}");
    }

    proptest! {
        #[test]
        fn more_throughput_is_never_less_quality(current in prop::option::of(0_usize..4),
            low in 1_000_u64..20_000_000, more in 0_u64..20_000_000, ahead_s in 0_u64..30) {
            let ahead = Duration::from_secs(ahead_s);
            let quality = |bps| choose(&title(None), current, &at(bps), ahead);
            prop_assert!(quality(low) <= quality(low + more));
            prop_assert!(quality(low) == 0
                || title(None).variants[quality(low)].bandwidth_bps as f64 <= low as f64 * STAY * 1.001);
        }
    }
}
