//! Numbers as manifests print them, without a formatter: those of two hours have thousands.

/// The numbers from 00 to 99, two digits each: a number is printed in half as many divisions.
static PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[b'0'; 2]; 100];
    let mut tens = 0;
    while tens < 10 {
        let mut ones = 0;
        while ones < 10 {
            pairs[tens * 10 + ones] = [b"0123456789"[tens], b"0123456789"[ones]];
            ones += 1;
        }
        tens += 1;
    }
    pairs
}

/// The two digits of `value`'s last two places.
fn pair(value: u64) -> [u8; 2] {
    PAIRS[usize::try_from(value % 100).expect("below 100")]
}

/// The longest integer.
const DIGITS: usize = 20;

/// Appends a decimal integer.
pub fn push_integer(to: &mut Vec<u8>, mut value: u64) {
    // Twice as long: behind the digits, which end in the middle, lies what is cut off again.
    let mut digits = [0u8; 2 * DIGITS];
    let mut at = DIGITS;
    while value >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(value));
        value /= 100;
    }
    at -= 2;
    digits[at..at + 2].copy_from_slice(&pair(value));
    if value < 10 {
        at += 1;
    }
    // A copy of a known length is a few moves, and one of any other a call.
    let end = to.len() + DIGITS - at;
    let copied: &[u8; DIGITS] = digits[at..].first_chunk().expect("20 follow the last digit");
    to.extend_from_slice(copied);
    to.truncate(end);
}

/// Appends microseconds as seconds with six decimals.
pub fn push_seconds(to: &mut Vec<u8>, micros: u64) {
    push_integer(to, micros / 1_000_000);
    let [[a, b], [c, d], [e, f]] = [micros / 10_000, micros / 100, micros].map(pair);
    to.extend_from_slice(&[b'.', a, b, c, d, e, f]);
}

/// Appends text.
pub fn push(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

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
