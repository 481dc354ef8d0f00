//! The Range header (RFC 9110 14): HTTP's inclusive ranges become half-open ones here and nowhere
//! else, and go back into a Content-Range here.
//!
//! One range of bytes is honoured. Several, another unit or bad syntax are ignored, so the answer
//! is the whole (14.2 allows it); players and CDNs ask for one range.

use std::ops::Range;

/// What a Range header selects of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All of it: 200.
    Whole,
    /// These bytes: 206. Never empty, never beyond the end.
    Part(Range<u64>),
    /// Nothing that exists: 416.
    Nothing,
}

/// Reads a Range header's value against a representation of `len_bytes`.
pub fn select(header: &str, len_bytes: u64) -> Selected {
    match parse(header) {
        None => Selected::Whole,
        Some(Spec::From(first)) if first < len_bytes => Selected::Part(first..len_bytes),
        Some(Spec::Between(first, last)) if first < len_bytes => {
            Selected::Part(first..last.saturating_add(1).min(len_bytes))
        }
        Some(Spec::Last(suffix)) if suffix > 0 && len_bytes > 0 => {
            Selected::Part(len_bytes.saturating_sub(suffix)..len_bytes)
        }
        Some(_) => Selected::Nothing,
    }
}

/// The Content-Range of a 206.
pub fn content_range(part: &Range<u64>, len_bytes: u64) -> String {
    format!("bytes {}-{}/{len_bytes}", part.start, part.end - 1)
}

/// The Content-Range of a 416.
pub fn unsatisfied_range(len_bytes: u64) -> String {
    format!("bytes */{len_bytes}")
}

/// One range-spec as written (14.1.2); positions are inclusive.
enum Spec {
    /// `first-`
    From(u64),
    /// `first-last`, with first at most last
    Between(u64, u64),
    /// `-suffix`
    Last(u64),
}

/// `None` for anything but exactly one valid range of bytes.
fn parse(header: &str) -> Option<Spec> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    // 5.6.1: a list may carry empty members and white space around members.
    let blank = |c| matches!(c, ' ' | '\t');
    let mut specs = set.split(',').map(|spec| spec.trim_matches(blank)).filter(|s| !s.is_empty());
    let spec = specs.next()?;
    if specs.next().is_some() {
        return None;
    }
    match spec.split_once('-')? {
        ("", suffix) => Some(Spec::Last(number(suffix)?)),
        (first, "") => Some(Spec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

/// Digits only; a number too large to count means "beyond any end".
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_from_rfc_9110_14_1_2() {
        let cases = [
            ("bytes=0-499", Selected::Part(0..500)),
            ("bytes=500-999", Selected::Part(500..1000)),
            ("bytes=-500", Selected::Part(9500..10000)),
            ("bytes=9500-", Selected::Part(9500..10000)),
            ("bytes=0-0,-1", Selected::Whole),
        ];
        for (header, wanted) in cases {
            assert_eq!(select(header, 10_000), wanted, "{header}");
        }
    }

    #[test]
    fn edges() {
        let cases = [
            ("bytes=0-", 10, Selected::Part(0..10)),
            ("Bytes=0-0", 10, Selected::Part(0..1)),
            ("bytes= 3-4 ", 10, Selected::Part(3..5)),
            ("bytes=,3-4,", 10, Selected::Part(3..5)),
            ("bytes=9-9", 10, Selected::Part(9..10)),
            ("bytes=9-10", 10, Selected::Part(9..10)),
            ("bytes=0-99999999999999999999999", 10, Selected::Part(0..10)),
            ("bytes=0-18446744073709551615", 10, Selected::Part(0..10)),
            ("bytes=-99999999999999999999999", 10, Selected::Part(0..10)),
            ("bytes=10-", 10, Selected::Nothing),
            ("bytes=10-12", 10, Selected::Nothing),
            ("bytes=99999999999999999999999-", 10, Selected::Nothing),
            ("bytes=-0", 10, Selected::Nothing),
            ("bytes=0-", 0, Selected::Nothing),
            ("bytes=-1", 0, Selected::Nothing),
            ("bytes=4-3", 10, Selected::Whole),
            ("bytes=", 10, Selected::Whole),
            ("bytes=-", 10, Selected::Whole),
            ("bytes=a-b", 10, Selected::Whole),
            ("bytes=+1-2", 10, Selected::Whole),
            ("bytes=1 - 2", 10, Selected::Whole),
            ("bytes", 10, Selected::Whole),
            ("items=0-1", 10, Selected::Whole),
            ("bytes=0-1,3-4", 10, Selected::Whole),
            ("", 10, Selected::Whole),
        ];
        for (header, len_bytes, wanted) in cases {
            assert_eq!(select(header, len_bytes), wanted, "{header:?} of {len_bytes}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_inside_and_not_empty(header in "bytes=[0-9]{0,21}-?[0-9]{0,21}", len in 0..2000u64) {
            if let Selected::Part(part) = select(&header, len) {
                prop_assert!(part.start < part.end && part.end <= len);
            }
        }
    }
}
