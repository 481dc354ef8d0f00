//! Where the decoding of a source can begin: its key frames, as its packets were read. A chunk begins at
//! one of them, so no container needs an index of its own, and what lies before is not decoded.

use serde::{Deserialize, Serialize};

use crate::source::Stamp;

/// A key frame of a picture, in ticks of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// When it is shown.
    pub shown: i64,
    /// When it is decoded.
    pub decoded: i64,
}

/// Points of a source, some of those that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Points(Vec<Point>);

/// Microseconds between two that are kept, at least.
const APART_US: i128 = 1_000_000;

impl Points {
    /// Those of `all`, which come in the order in which they are shown, that are a second apart.
    pub fn new(all: impl Iterator<Item = Point>, base: (u32, u32)) -> Self {
        let mut kept: Vec<Point> = Vec::new();
        for point in all {
            let is_apart = |last: &Point| us(point.shown - last.shown, base) >= APART_US;
            if kept.last().is_none_or(is_apart) {
                kept.push(point);
            }
        }
        Self(kept)
    }

    /// The last one that is shown `before_us` or earlier, on the clock that is zero at `zero`. `None`
    /// where that is the first one, as where there is none: then nothing is to be skipped.
    pub fn before(&self, zero: Stamp, before_us: i128) -> Option<Point> {
        let is_before = |point: &Point| since(zero, point.shown) <= before_us;
        let count = self.0.partition_point(is_before);
        let last = count.checked_sub(1)?;
        self.0.get(last).filter(|_| last > 0).copied()
    }
}

/// Microseconds from `zero` to `ticks` of its clock.
pub fn since(zero: Stamp, ticks: i64) -> i128 {
    us(ticks.saturating_sub(zero.ticks), zero.base)
}

/// Ticks in microseconds, rounded down.
pub fn us(ticks: i64, (num, den): (u32, u32)) -> i128 {
    (i128::from(ticks) * i128::from(num) * 1_000_000).div_euclid(i128::from(den.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_that_is_early_enough() {
        let point = |shown| Point { shown, decoded: shown - 2 };
        let base = (1, 10);
        let points = Points::new([15, 20, 25, 35, 60, 100].map(point).into_iter(), base);
        let zero = Stamp { ticks: 15, base };
        let table =
            [(999_999, None), (1_000_000, Some(25)), (2_000_000, Some(35)), (4_499_999, Some(35))];
        for (before_us, wanted) in table {
            assert_eq!(points.before(zero, before_us).map(|p| p.shown), wanted, "{before_us}");
        }
        assert_eq!(points.before(zero, 10_000_000), Some(point(100)));
        assert_eq!(Points::default().before(zero, 10_000_000), None);
    }
}
