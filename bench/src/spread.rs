//! What a few repeated measurements say: their median, and an interval that holds the true median.
//!
//! The interval lies between two of the measurements themselves (order statistics), so it assumes
//! nothing about how they are distributed: the k-th smallest of n lies above the true median with
//! the chance of fewer than k heads in n throws of a coin. Outliers of a busy machine widen it by
//! nothing once there are more pairs than they are.

/// How sure an interval should be.
const WANTED: f64 = 0.95;
/// Fewer pairs than this decide nothing: their whole range holds the median in 7 of 8 cases only.
pub const FEWEST: usize = 5;

/// A median with its interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Spread {
    /// How many were measured.
    pub count: usize,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The share of such intervals that hold the true median.
    pub confidence: f64,
}

/// What a spread says about a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval keeps it.
    Kept,
    /// The whole interval is beyond it.
    Missed,
    /// It lies inside the interval, or fewer than [`FEWEST`] were measured: measure more pairs.
    Undecided,
}

impl Spread {
    /// The spread of some measurements; nothing can be said of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let (lower, upper) = (sorted.get(count.checked_sub(1)? / 2)?, sorted.get(count / 2)?);
        let mut k = 1;
        while k < count / 2 && confidence(count, k + 1) >= WANTED {
            k += 1;
        }
        Some(Self {
            count,
            median: f64::midpoint(*lower, *upper),
            low: *sorted.get(k - 1)?,
            high: *sorted.get(count - k)?,
            confidence: confidence(count, k),
        })
    }

    /// Whether it is at most `budget`.
    pub fn judge(&self, budget: f64) -> Verdict {
        match self {
            _ if self.count < FEWEST => Verdict::Undecided,
            _ if self.high <= budget => Verdict::Kept,
            _ if self.low > budget => Verdict::Missed,
            _ => Verdict::Undecided,
        }
    }
}

/// How often the k-th smallest and the k-th largest of n have the true median between them.
fn confidence(n: usize, k: usize) -> f64 {
    let mut chance = 0.5_f64.powf(n as f64);
    let mut outside = 0.0;
    for heads in 0..k {
        outside += 2.0 * chance;
        chance *= (n - heads) as f64 / (heads + 1) as f64;
    }
    (1.0 - outside).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chance::Chance;

    /// Tables of sign-test intervals (Conover, Practical Nonparametric Statistics, table A3).
    #[test]
    fn confidence_is_the_binomial_one() {
        let table =
            [(5, 1, 0.9375), (6, 1, 0.96875), (8, 1, 0.9922), (9, 2, 0.9609), (20, 6, 0.9586)];
        for (n, k, wanted) in table {
            assert!((confidence(n, k) - wanted).abs() < 1e-4, "{n}, {k}: {}", confidence(n, k));
        }
    }

    #[test]
    fn spreads_of_a_few() {
        let table: &[(&[f64], f64, f64, f64)] = &[
            (&[2.0], 2.0, 2.0, 2.0),
            (&[3.0, 1.0], 2.0, 1.0, 3.0),
            (&[5.0, 1.0, 3.0, 2.0, 4.0], 3.0, 1.0, 5.0),
            // Of nine the outermost two may be left out.
            (&[9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 5.0, 2.0, 8.0),
        ];
        for (values, median, low, high) in table {
            let spread = Spread::of(values).unwrap();
            assert_eq!((spread.median, spread.low, spread.high), (*median, *low, *high));
        }
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_budget_is_kept_by_the_whole_interval() {
        let five = Spread::of(&[1.0, 1.1, 1.2, 1.3, 1.4]).unwrap();
        let table = [
            (1.5, Verdict::Kept),
            (1.4, Verdict::Kept),
            (1.39, Verdict::Undecided),
            (1.0, Verdict::Undecided),
            (0.99, Verdict::Missed),
        ];
        for (budget, wanted) in table {
            assert_eq!(five.judge(budget), wanted, "{budget}");
        }
        assert_eq!(Spread::of(&[1.0; 4]).unwrap().judge(9.0), Verdict::Undecided);
    }

    /// Intervals of skewed draws hold the true median as often as they say.
    #[test]
    fn the_promise_is_kept() {
        let mut chance = Chance::new(42);
        let held = (0..2000).filter(|_| {
            let drawn: Vec<_> = (0..15).map(|_| chance.exponential(1.0)).collect();
            let spread = Spread::of(&drawn).unwrap();
            (spread.low..=spread.high).contains(&std::f64::consts::LN_2)
        });
        assert!(held.count() > 1900);
    }

    proptest! {
        #[test]
        fn the_median_is_inside(values in prop::collection::vec(0.0..10.0_f64, 1..60)) {
            let spread = Spread::of(&values).unwrap();
            prop_assert!(spread.low <= spread.median && spread.median <= spread.high);
            prop_assert!(spread.count < 6 || spread.confidence >= WANTED);
        }
    }
}
