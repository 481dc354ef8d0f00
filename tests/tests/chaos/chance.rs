//! Draws that a seed repeats (SplitMix64).

use headwater_tests::skip;

pub struct Chance(u64);

impl Chance {
    /// By the clock, or by `HEADWATER_TEST_SEED`; says which.
    pub fn new() -> Self {
        let seed = std::env::var("HEADWATER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos())
        };
        let seed = seed.unwrap_or_else(now);
        skip::note(format_args!("HEADWATER_TEST_SEED={seed}"));
        Self(seed)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    /// The same things in another order (Fisher and Yates).
    pub fn shuffled<T>(&mut self, mut things: Vec<T>) -> Vec<T> {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
        things
    }
}
