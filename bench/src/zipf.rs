//! Popularity: the k-th of n titles is asked for in proportion to 1/k^s (Zipf's law).

use crate::chance::Chance;

/// Who is asked for how often.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// Sums of weights up to and with each one.
    sums: Vec<f64>,
}

impl Zipf {
    /// `len` titles, the first the most popular; an exponent of 0 makes all equal.
    pub fn new(len: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=len)
            .map(|k| {
                sum += (k as f64).powf(-exponent);
                sum
            })
            .collect();
        Self { sums }
    }

    /// One of them; 0 where there is none.
    pub fn draw(&self, chance: &mut Chance) -> usize {
        let all = self.sums.last().copied().unwrap_or(0.0);
        let at = chance.unit() * all;
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_holds() {
        for exponent in [0.0, 0.8, 1.2] {
            let zipf = Zipf::new(20, exponent);
            let mut chance = Chance::new(11);
            let mut counts = [0_f64; 20];
            for _ in 0..200_000 {
                counts[zipf.draw(&mut chance)] += 1.0;
            }
            for k in [2_u32, 5, 20] {
                let wanted = f64::from(k).powf(exponent);
                let got = counts[0] / counts[k as usize - 1];
                assert!((got / wanted - 1.0).abs() < 0.1, "1 to {k} at {exponent}: {got}");
            }
        }
    }

    #[test]
    fn one_and_none_are_fine() {
        for len in [0, 1] {
            assert_eq!(Zipf::new(len, 1.0).draw(&mut Chance::new(0)), 0);
        }
    }
}
