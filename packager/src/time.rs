//! Ticks to microseconds and back, the only place that rounds time.
//!
//! Manifests print microseconds, media carries ticks. Rounding is to nearest, so for every
//! timescale up to 500 kHz the microseconds of a boundary lead back to exactly its ticks.

/// Microseconds in a second.
const MICROS: u32 = 1_000_000;

/// `ticks` of a `timescale` clock in microseconds, rounded to nearest. `timescale` is not zero.
pub fn micros(ticks: u64, timescale: u32) -> u64 {
    scale(ticks, MICROS, timescale)
}

/// Whether so many ticks are microseconds without rounding, so that they last as long wherever they stand.
pub fn is_whole_micros(ticks: u32, timescale: u32) -> bool {
    (u64::from(ticks) * u64::from(MICROS)).is_multiple_of(timescale.into())
}

/// Milliseconds, rounded to nearest. `timescale` is not zero.
pub fn millis(ticks: u64, timescale: u32) -> u64 {
    scale(ticks, 1000, timescale)
}

/// Microseconds in ticks of a `timescale` clock, rounded to nearest.
pub fn ticks(micros: u64, timescale: u32) -> u64 {
    scale(micros, timescale, MICROS)
}

/// `ticks` of one clock in ticks of another, rounded to nearest.
pub fn rescale(ticks: u64, from_timescale: u32, to_timescale: u32) -> u64 {
    scale(ticks, to_timescale, from_timescale)
}

/// The same, rounded down: no later than the moment itself.
pub fn rescale_down(ticks: u64, from_timescale: u32, to_timescale: u32) -> u64 {
    let product = u128::from(ticks) * u128::from(to_timescale);
    u64::try_from(product / u128::from(from_timescale)).unwrap_or(u64::MAX)
}

fn scale(value: u64, multiply: u32, divide: u32) -> u64 {
    let half = u64::from(divide / 2);
    // Most products fit 64 bits, whose division costs a tenth of that of 128.
    if let Some(product) = value.checked_mul(u64::from(multiply))
        && let Some(rounded) = product.checked_add(half)
    {
        return rounded / u64::from(divide);
    }
    let product = u128::from(value) * u128::from(multiply) + u128::from(half);
    u64::try_from(product / u128::from(divide)).unwrap_or(u64::MAX)
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

        #[test]
        fn both_widths_round_alike(value: u64, multiply: u32, divide in 1..=u32::MAX) {
            let (wide, divide_wide) = (u128::from(value) * u128::from(multiply), u128::from(divide));
            let wanted = (wide + divide_wide / 2) / divide_wide;
            let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
            prop_assert_eq!(scale(value, multiply, divide), wanted);
        }
    }
}
