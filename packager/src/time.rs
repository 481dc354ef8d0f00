//! Ticks to microseconds and back, the only place that rounds time.
//!
//! Manifests print microseconds, media carries ticks. Rounding is to nearest, so for every
//! timescale up to 500 kHz the microseconds of a boundary lead back to exactly its ticks.

/// Microseconds in a second.
const MICROS: u128 = 1_000_000;

/// `ticks` of a `timescale` clock in microseconds, rounded to nearest. `timescale` is not zero.
pub fn micros(ticks: u64, timescale: u32) -> u64 {
    scale(ticks, MICROS, u128::from(timescale))
}

/// Milliseconds, rounded to nearest. `timescale` is not zero.
pub fn millis(ticks: u64, timescale: u32) -> u64 {
    scale(ticks, 1000, u128::from(timescale))
}

/// Microseconds in ticks of a `timescale` clock, rounded to nearest.
pub fn ticks(micros: u64, timescale: u32) -> u64 {
    scale(micros, u128::from(timescale), MICROS)
}

/// `ticks` of one clock in ticks of another, rounded to nearest.
pub fn rescale(ticks: u64, from_timescale: u32, to_timescale: u32) -> u64 {
    scale(ticks, u128::from(to_timescale), u128::from(from_timescale))
}

fn scale(value: u64, multiply: u128, divide: u128) -> u64 {
    let scaled = (u128::from(value) * multiply + divide / 2) / divide;
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn micros_lead_back_to_ticks(value in 0..1u64 << 45, timescale in 1..=500_000u32) {
            prop_assert_eq!(ticks(micros(value, timescale), timescale), value);
        }
    }
}
