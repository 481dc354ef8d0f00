//! When work arrives in an open loop: at a rate, whatever becomes of earlier work.

use std::time::Duration;

use crate::chance::Chance;
use crate::number;

/// How arrivals lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Spacing {
    /// As those of many independent viewers: exponential gaps (a Poisson process).
    Poisson,
    /// Equal gaps.
    Even,
}

/// Times since the start of the run, rising without end.
#[derive(Debug)]
pub struct Arrivals {
    spacing: Spacing,
    gap_s: f64,
    chance: Chance,
    at_s: f64,
}

impl Arrivals {
    /// `per_s` arrivals a second.
    pub fn new(spacing: Spacing, per_s: f64, chance: Chance) -> Self {
        Self { spacing, gap_s: 1.0 / per_s, chance, at_s: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.at_s += match self.spacing {
            Spacing::Even => self.gap_s,
            Spacing::Poisson => self.chance.exponential(self.gap_s),
        };
        Some(number::seconds(self.at_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_keep_the_rate() {
        for spacing in [Spacing::Poisson, Spacing::Even] {
            let arrivals = Arrivals::new(spacing, 50.0, Chance::new(3));
            let count = arrivals.take_while(|at| *at < Duration::from_secs(200)).count();
            assert!((9_600..10_400).contains(&count), "{spacing:?}: {count}");
        }
    }

    /// In a Poisson process the variance of a second's count is its mean; even ones have none.
    #[test]
    fn poisson_comes_in_bursts() {
        let variance = |spacing| {
            let mut counts = [0_f64; 500];
            for at in Arrivals::new(spacing, 20.0, Chance::new(5)) {
                let Some(count) = counts.get_mut(usize::try_from(at.as_secs()).unwrap()) else {
                    break;
                };
                *count += 1.0;
            }
            counts.iter().map(|count| (count - 20.0).powi(2)).sum::<f64>() / 500.0
        };
        let poisson = variance(Spacing::Poisson);
        assert!((15.0..25.0).contains(&poisson), "{poisson}");
        assert!(variance(Spacing::Even) < 1.0);
    }

    #[test]
    fn times_rise() {
        let times: Vec<_> =
            Arrivals::new(Spacing::Poisson, 1000.0, Chance::new(9)).take(1000).collect();
        assert!(times.is_sorted());
    }
}
