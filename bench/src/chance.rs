//! Chance that repeats: the same seed draws the same numbers on every machine.
//!
//! SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). Each
//! player and each turn has a stream of its own, so that what one draws does not depend on when
//! another one was answered.

use std::f64::consts::LN_2;

use crate::number;

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A stream of its own for the `n`th of something.
    pub fn of(seed: u64, n: u64) -> Self {
        let mut outer = Self::new(seed ^ mix(n.wrapping_add(1)));
        Self::new(outer.bits())
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// From 0 up to but without 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An index below `len`.
    pub fn below(&mut self, len: usize) -> usize {
        number::index(self.unit(), len)
    }

    /// The waiting time for what happens once in `mean` on average, without memory.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// Between two positive numbers; each doubling is as likely as the next.
    pub fn doubling(&mut self, low: f64, high: f64) -> f64 {
        let octaves = (high / low).ln() / LN_2;
        low * (self.unit() * octaves).exp2()
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of seed 1234567, as the authors' program prints them.
    #[test]
    fn example_from_splitmix64_c() {
        let mut chance = Chance::new(1_234_567);
        let drawn: Vec<_> = (0..3).map(|_| chance.bits()).collect();
        let wanted =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn streams_differ_and_repeat() {
        let first = |seed, n| Chance::of(seed, n).bits();
        let all: std::collections::BTreeSet<_> =
            (0..10).flat_map(|seed| (0..100).map(move |n| first(seed, n))).collect();
        assert_eq!(all.len(), 1000);
        assert_eq!(first(7, 3), first(7, 3));
    }

    #[test]
    fn draws_have_their_means_and_bounds() {
        let mut chance = Chance::new(1);
        let n = 100_000;
        let mean = (0..n).map(|_| chance.exponential(4.0)).sum::<f64>() / f64::from(n);
        assert!((mean - 4.0).abs() < 0.1, "{mean}");
        let mut below_four = 0;
        for _ in 0..n {
            let drawn = chance.doubling(2.0, 8.0);
            assert!((2.0..8.0).contains(&drawn), "{drawn}");
            below_four += i32::from(drawn < 4.0);
        }
        assert!((48_000..52_000).contains(&below_four), "{below_four}");
        assert_eq!(Chance::new(1).below(1), 0);
    }
}
