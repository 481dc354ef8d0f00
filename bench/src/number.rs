//! Numbers between kinds: the only casts that could lose something.

use std::time::Duration;

/// The nearest whole number; 0 for what is negative or no number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
pub fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// An index below `len` for a share of it.
pub fn index(share: f64, len: usize) -> usize {
    let at = whole((share * len as f64).floor());
    usize::try_from(at).unwrap_or(usize::MAX).min(len.saturating_sub(1))
}

/// A time in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A time from seconds; nothing for what is negative or no number, and at most a thousand years.
pub fn seconds(seconds: f64) -> Duration {
    const LONGEST_S: f64 = 3.2e10;
    Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_S)).unwrap_or_default()
}

/// `part` of `whole`; 0 of nothing.
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_stays_at_the_edge() {
        for (value, wanted) in [(1.5, 2), (-3.0, 0), (f64::NAN, 0), (f64::INFINITY, u64::MAX)] {
            assert_eq!(whole(value), wanted, "{value}");
        }
        for (share, len, wanted) in [(0.0, 3, 0), (0.999, 3, 2), (1.0, 3, 2), (0.5, 0, 0)] {
            assert_eq!(index(share, len), wanted, "{share} of {len}");
        }
        for (value, wanted) in [(0.25, 250), (-1.0, 0), (f64::NAN, 0)] {
            assert_eq!(seconds(value).as_millis(), wanted, "{value}");
        }
        assert!(seconds(f64::INFINITY) > Duration::from_secs(31_000_000_000));
    }
}
