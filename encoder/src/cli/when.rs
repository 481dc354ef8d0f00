//! Points of time on the command line.

use std::str::FromStr;

/// A deadline: so long from now, or a time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Milliseconds from now.
    In(i64),
    /// Milliseconds since 1970.
    At(i64),
}

impl When {
    /// In milliseconds since 1970.
    pub fn at_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::In(ms) => now_ms.saturating_add(ms),
            Self::At(ms) => ms,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = from_now(text).map(Self::In).or_else(|| utc(text).map(Self::At));
        found.ok_or_else(|| {
            format!("{text:.40?} is no time: write 90s, 30m, 2h, 3d, or 2026-11-22T18:00:00Z")
        })
    }
}

fn from_now(text: &str) -> Option<i64> {
    let (at, unit) = text.char_indices().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u32 = text[..at].parse().ok()?;
    Some(i64::from(count) * seconds * 1_000)
}

/// `2026-11-22T18:00:00Z` (RFC 3339), of the years that anybody plans for.
fn utc(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<Vec<i64>> {
        text.split(by).map(|part| part.parse().ok()).collect()
    };
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (&date[..], &time[..]) else {
        return None;
    };
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month);
    let is_time =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    if !is_date || !(1..=31).contains(&day) || !is_time {
        return None;
    }
    // Years begin in March here, so that a leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let table = [
            ("90s", Some(When::In(90_000))),
            ("2h", Some(When::In(7_200_000))),
            ("1970-01-01T00:00:00Z", Some(When::At(0))),
            ("2000-02-29T12:00:00Z", Some(When::At(951_825_600_000))),
            ("2026-11-22T18:00:00Z", Some(When::At(1_795_370_400_000))),
            ("2026-13-22T18:00:00Z", None),
            ("2026-11-22", None),
            ("2", None),
            ("-2h", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(text.parse::<When>().ok(), wanted, "{text}");
        }
        assert_eq!(When::In(5).at_ms(7), 12);
    }
}
