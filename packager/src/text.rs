//! Numbers as manifests print them, without a formatter: those of two hours have thousands.

/// What eight digits can say, and one more.
const EIGHT: u64 = 100_000_000;
/// Eight times the character 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below [`EIGHT`], a byte each, the first in the lowest. They are split
/// in one register, all at the same time: by halves of four, then of two, then of one. A processor
/// that writes digits one by one and then copies them waits for each to be stored.
fn digits(value: u64) -> u64 {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    // Products with 2^20 / 100 and 2^10 / 10, rounded up: exact below 10,000 and below 100.
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

/// Appends the first `len` of eight characters in a register.
fn push_first(to: &mut Vec<u8>, characters: u64, len: usize) {
    let end = to.len() + len;
    // A copy of a known length is one move, and one of any other a call.
    to.extend_from_slice(&characters.to_le_bytes());
    to.truncate(end);
}

/// Appends a decimal integer.
pub fn push_integer(to: &mut Vec<u8>, value: u64) {
    if value >= EIGHT {
        push_integer(to, value / EIGHT);
        to.extend_from_slice(&(digits(value % EIGHT) | ZEROS).to_le_bytes());
        return;
    }
    if value < 10 {
        // The seconds of a segment.
        to.push(b'0' + u8::try_from(value).expect("a digit"));
        return;
    }
    let digits = digits(value);
    // Zeros that lead, but for the last digit.
    let leading = (digits.trailing_zeros() / 8).min(7);
    let len = usize::try_from(8 - leading).expect("8 at most");
    push_first(to, (digits | ZEROS) >> (8 * leading), len);
}

/// Appends microseconds as seconds with six decimals.
pub fn push_seconds(to: &mut Vec<u8>, micros: u64) {
    push_integer(to, micros / 1_000_000);
    // Two zeros lead: the point stands in the place of the second.
    let fraction = (digits(micros % 1_000_000) | ZEROS) >> 16;
    push_first(to, (fraction << 8) | u64::from(b'.'), 7);
}

/// Appends text.
pub fn push(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_are_what_a_formatter_writes(value: u64, shift in 0..64u32) {
            let value = value >> shift;
            let mut text = b"before ".to_vec();
            push_integer(&mut text, value);
            prop_assert_eq!(String::from_utf8(text).unwrap(), format!("before {value}"));
        }

        #[test]
        fn seconds_are_what_a_formatter_writes(micros: u64, shift in 0..64u32) {
            let micros = micros >> shift;
            let mut text = Vec::new();
            push_seconds(&mut text, micros);
            let wanted = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(String::from_utf8(text).unwrap(), wanted);
        }
    }

    #[test]
    fn every_four_digits() {
        for value in 0..10_000 {
            let mut text = Vec::new();
            push_integer(&mut text, value);
            assert_eq!(text, value.to_string().into_bytes());
        }
    }

    #[test]
    fn numbers() {
        let cases = [
            (0, "0 0.000000"),
            (7, "7 0.000007"),
            (10, "10 0.000010"),
            (99, "99 0.000099"),
            (100, "100 0.000100"),
            (1_234_567, "1234567 1.234567"),
            (6_006_000, "6006000 6.006000"),
            (1_000_000, "1000000 1.000000"),
            (u64::MAX, "18446744073709551615 18446744073709.551615"),
        ];
        for (value, wanted) in cases {
            let mut text = Vec::new();
            push_integer(&mut text, value);
            text.push(b' ');
            push_seconds(&mut text, value);
            assert_eq!(String::from_utf8(text).unwrap(), wanted);
        }
    }
}
