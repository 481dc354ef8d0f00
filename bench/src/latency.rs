//! How long something took, over a run: an HDR histogram of microseconds, three digits exact.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::limits::MAX_LATENCY_US;

/// Times from 1 us to an hour; longer ones count as an hour.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(MAX_LATENCY_US, 3);
        Self { histogram: histogram.expect("an hour in microseconds at three digits is allowed") }
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(us.clamp(1, MAX_LATENCY_US));
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for step in other.histogram.iter_recorded() {
            self.histogram.saturating_record_n(
                step.value_iterated_to().min(MAX_LATENCY_US),
                step.count_at_value(),
            );
        }
    }

    /// Starts anew.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Milliseconds that a share of all (0 to 1) stayed within; nothing where none was counted.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let value = self.histogram.value_at_quantile(share.clamp(0.0, 1.0));
        (self.count() > 0).then(|| value as f64 / 1e3)
    }

    /// Their mean in milliseconds.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.histogram.mean() / 1e3)
    }

    /// Points (share, milliseconds) of the distribution, closer together towards its slow end.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        // Five points each time that the share of slower ones halves.
        self.histogram
            .iter_quantiles(5)
            .map(|step| (step.quantile_iterated_to(), step.value_iterated_to() as f64 / 1e3))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl Iterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        millis.for_each(|ms| latency.record(Duration::from_millis(ms)));
        latency
    }

    #[test]
    fn quantiles_are_three_digits_exact() {
        let latency = of(1..=1000);
        for (share, wanted) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let got = latency.quantile_ms(share).unwrap();
            assert!((got / wanted - 1.0).abs() < 0.001, "{share}: {got}");
        }
        assert!((latency.mean_ms().unwrap() / 500.5 - 1.0).abs() < 0.001);
        assert_eq!(Latency::default().quantile_ms(0.5), None);
    }

    #[test]
    fn sums_are_as_if_counted_together() {
        let (mut odd, even) = (of((1..500).step_by(2)), of((2..500).step_by(2)));
        odd.add(&even);
        assert_eq!((odd.count(), odd.curve()), (499, of(1..500).curve()));
        let (mut many, same) = (of([7, 7, 7].into_iter()), of([7, 9, 9].into_iter()));
        many.add(&same);
        assert_eq!(many.curve(), of([7, 7, 7, 7, 9, 9].into_iter()).curve());
    }

    #[test]
    fn what_is_too_long_or_too_short_is_counted() {
        let mut latency = of([0, u64::MAX / 2000].into_iter());
        assert_eq!(latency.count(), 2);
        assert!(latency.quantile_ms(1.0).unwrap() >= 3_600_000.0);
        latency.clear();
        assert_eq!(latency.count(), 0);
    }
}
