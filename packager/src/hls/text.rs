//! Numbers as playlists print them, without a formatter: a two-hour playlist has thousands.

/// Appends a decimal integer.
pub fn push_integer(to: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

/// Appends microseconds as seconds with six decimals.
pub fn push_seconds(to: &mut Vec<u8>, micros: u64) {
    push_integer(to, micros / 1_000_000);
    to.push(b'.');
    let fraction = micros % 1_000_000;
    let mut scale = 100_000;
    while scale > 0 {
        to.push(b'0' + u8::try_from(fraction / scale % 10).expect("a digit"));
        scale /= 10;
    }
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
