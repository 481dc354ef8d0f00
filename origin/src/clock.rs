//! Wall-clock time as text (RFC 3339, UTC, milliseconds). Only logs look at wall clocks.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints as `2026-01-31T23:59:59.123Z`.
#[derive(Clone, Copy, Debug)]
pub struct Utc(pub SystemTime);

/// Milliseconds in a day; every day of POSIX time has as many.
const DAY_MS: u128 = 86_400_000;

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A clock before 1970 is not set; it prints as 1970.
        let unix_ms = self.0.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let (year, month, day) = civil(unix_ms / DAY_MS);
        let ms = unix_ms % DAY_MS;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let ms = ms % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01. Years are taken to begin in March, so
/// that a leap day is the last of its year, and days are counted in 400-year eras of 146,097.
fn civil(day: u128) -> (u128, u128, u128) {
    let since_march_0000 = day + 719_468;
    let era = since_march_0000 / 146_097;
    let of_era = since_march_0000 % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u128::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_instants() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (unix_ms, wanted) in cases {
            let at = UNIX_EPOCH + Duration::from_millis(unix_ms);
            assert_eq!(Utc(at).to_string(), wanted);
        }
    }
}
