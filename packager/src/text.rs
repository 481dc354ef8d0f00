//! Numbers as manifests print them, without a formatter: those of two hours have thousands.

/// What eight digits can say, and one more.
const EIGHT: u64 = 100_000_000;
/// Eight times the character 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The four digits of every number below 10,000. A table of them is read; a processor that works out digits
/// one by one, stores them and then copies what it stored waits for each.
static FOURS: [[u8; 4]; 10_000] = {
    let mut fours = [[b'0'; 4]; 10_000];
    let mut value = 1;
    while value < fours.len() {
        // The one before, and one more.
        fours[value] = fours[value - 1];
        let mut at = 3;
        while fours[value][at] == b'9' {
            fours[value][at] = b'0';
            at -= 1;
        }
        fours[value][at] += 1;
        value += 1;
    }
    fours
};

/// The eight digits of a number below [`EIGHT`] as characters, the first in the lowest byte.
fn eight(value: u64) -> u64 {
    let four = |value: u64| {
        u64::from(u32::from_le_bytes(FOURS[usize::try_from(value).expect("four digits")]))
    };
    four(value / 10_000) | (four(value % 10_000) << 32)
}

/// The same without the zeros that lead, and how many characters that are.
fn characters(value: u64) -> (u64, usize) {
    let eight = eight(value);
    // All but the last digit may be one.
    let leading = ((eight ^ ZEROS).trailing_zeros() / 8).min(7);
    (eight >> (8 * leading), usize::try_from(8 - leading).expect("8 at most"))
}

/// Appends a decimal integer.
pub fn push_integer(to: &mut Vec<u8>, value: u64) {
    if value >= EIGHT {
        push_integer(to, value / EIGHT);
        to.extend_from_slice(&eight(value % EIGHT).to_le_bytes());
        return;
    }
    if value < 10 {
        // The seconds of a segment.
        to.push(b'0' + u8::try_from(value).expect("a digit"));
        return;
    }
    let (characters, len) = characters(value);
    push_array(to, &characters.to_le_bytes(), len);
}

/// Appends microseconds as seconds with six decimals.
pub fn push_seconds(to: &mut Vec<u8>, micros: u64) {
    push_integer(to, micros / 1_000_000);
    // Two zeros lead: the point stands in the place of the second.
    let decimals = eight(micros % 1_000_000) >> 16;
    let fraction = (decimals << 8) | u64::from(b'.');
    push_array(to, &fraction.to_le_bytes(), 7);
}

/// Appends text.
pub fn push(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(text.as_bytes());
}

/// A piece of text that many lines have, kept so that to append it is a move of `N` bytes and no call.
pub struct Piece<const N: usize> {
    characters: [u8; N],
    len: usize,
}

impl<const N: usize> Piece<N> {
    /// A piece of at most `N` bytes.
    pub fn new(text: &[u8]) -> Self {
        let mut characters = [0; N];
        characters[..text.len()].copy_from_slice(text);
        Self { characters, len: text.len() }
    }

    /// Appends it.
    pub fn push_to(&self, to: &mut Vec<u8>) {
        push_array(to, &self.characters, self.len);
    }
}

/// Appends the first `len` bytes of an array.
fn push_array<const N: usize>(to: &mut Vec<u8>, bytes: &[u8; N], len: usize) {
    let end = to.len() + len;
    // A copy of a known length is one move or some, and one of any other a call.
    to.extend_from_slice(bytes);
    to.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_piece_is_appended_as_it_is(text in "[ -~]{0,16}") {
            let mut appended = b"before ".to_vec();
            Piece::<16>::new(text.as_bytes()).push_to(&mut appended);
            prop_assert_eq!(String::from_utf8(appended).unwrap(), format!("before {text}"));
        }

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
