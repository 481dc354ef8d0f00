//! Which target is next, and when there is enough.

use std::time::Duration;

use crate::chance::Chance;

/// In which order targets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// One after the other, and again from the first
    InTurn,
    /// Any of them, each as likely as the next
    Random,
}

/// Targets, one at a time, until a number of them or a time is reached.
#[derive(Clone, Debug)]
pub struct Feed {
    order: Order,
    count: usize,
    chance: Chance,
    given: u64,
    most: u64,
    until: Duration,
}

impl Feed {
    /// At most `most` of `count` targets, none after `until`.
    pub fn new(order: Order, count: usize, chance: Chance, most: u64, until: Duration) -> Self {
        Self { order, count, chance, given: 0, most, until }
    }

    /// The next one's index.
    pub fn next(&mut self, now: Duration) -> Option<usize> {
        if self.given >= self.most || now >= self.until || self.count == 0 {
            return None;
        }
        let turn = usize::try_from(self.given % self.count as u64).ok()?;
        self.given += 1;
        Some(match self.order {
            Order::InTurn => turn,
            Order::Random => self.chance.below(self.count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(order: Order, seed: u64) -> Vec<usize> {
        let mut feed = Feed::new(order, 3, Chance::new(seed), 7, Duration::MAX);
        std::iter::from_fn(|| feed.next(Duration::ZERO)).collect()
    }

    #[test]
    fn orders() {
        assert_eq!(drawn(Order::InTurn, 1), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(drawn(Order::Random, 1), drawn(Order::Random, 1));
        assert_ne!(drawn(Order::Random, 1), drawn(Order::Random, 2));
        assert_eq!(drawn(Order::Random, 1).len(), 7);
    }

    #[test]
    fn it_ends_by_time_too() {
        let mut feed = Feed::new(Order::InTurn, 3, Chance::new(1), 7, Duration::from_secs(1));
        assert_eq!(feed.next(Duration::from_millis(999)), Some(0));
        assert_eq!(feed.next(Duration::from_secs(1)), None);
        let mut none = Feed::new(Order::Random, 0, Chance::new(1), 7, Duration::MAX);
        assert_eq!(none.next(Duration::ZERO), None);
    }
}
