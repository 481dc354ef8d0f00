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
    u64::from(four(value / 10_000)) | (u64::from(four(value % 10_000)) << 32)
}

/// The four of a number below 10,000.
fn four(value: u64) -> u32 {
    u32::from_le_bytes(FOURS[usize::try_from(value).expect("four digits")])
}

/// The same without the zeros that lead, and how many characters that are.
fn characters(value: u64) -> (u64, usize) {
    if value < 10_000 {
        let four = u64::from(four(value));
        // All but the last digit may be one.
        let leading = ((four ^ ZEROS).trailing_zeros() / 8).min(3);
        return (four >> (8 * leading), usize::try_from(4 - leading).expect("4 at most"));
    }
    let eight = eight(value);
    let leading = (eight ^ ZEROS).trailing_zeros() / 8;
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
}

/// Bytes of [`Lines`].
const LINES_BYTES: usize = 4096;
/// Bytes that a line may have.
const LINE_BYTES: usize = 256;
/// Bytes of the longest piece.
const PIECE_BYTES: usize = 64;

/// Lines on their way to a text. Their place and size are known, so to put something there is a move, where a
/// vector is asked each time whether it has room.
pub struct Lines {
    characters: [u8; LINES_BYTES + PIECE_BYTES],
    /// Less than [`LINES_BYTES`].
    len: usize,
}

impl Lines {
    /// None yet.
    pub fn new() -> Self {
        Self { characters: [0; LINES_BYTES + PIECE_BYTES], len: 0 }
    }

    /// Makes room for a line of less than [`LINE_BYTES`], in `to` where there is none here.
    pub fn next(&mut self, to: &mut Vec<u8>) {
        debug_assert!(self.len < LINES_BYTES, "a line is short");
        if self.len > LINES_BYTES - LINE_BYTES {
            self.end(to);
        }
    }

    /// Appends all there are to `to`.
    pub fn end(&mut self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.characters[..self.len]);
        self.len = 0;
    }

    /// Puts a piece into the line.
    pub fn piece<const N: usize>(&mut self, piece: &Piece<N>) {
        self.array(&piece.characters, piece.len);
    }

    /// Puts a decimal integer into the line.
    #[inline]
    pub fn integer(&mut self, value: u64) {
        if value >= EIGHT {
            return self.long_integer(value);
        }
        let (characters, len) = characters(value);
        self.array(&characters.to_le_bytes(), len);
    }

    /// Of nine digits and more, which few are.
    #[cold]
    fn long_integer(&mut self, value: u64) {
        self.integer(value / EIGHT);
        self.array(&eight(value % EIGHT).to_le_bytes(), 8);
    }

    /// Puts a byte into the line.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.array(&[byte], 1);
    }

    #[inline]
    fn array<const N: usize>(&mut self, characters: &[u8; N], len: usize) {
        const { assert!(N <= PIECE_BYTES) };
        // The remainder is what it is, and known to be in bounds.
        let at = self.len % LINES_BYTES;
        self.characters[at..at + N].copy_from_slice(characters);
        self.len += len;
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
        fn lines_are_what_a_formatter_writes(
            all in prop::collection::vec(("[ -~]{0,16}", any::<u64>(), 0..64u32, b' '..=b'~'), 0..300),
        ) {
            let (mut lines, mut text, mut wanted) = (Lines::new(), b"before ".to_vec(), String::new());
            for (piece, value, shift, byte) in all {
                let value = value >> shift;
                lines.next(&mut text);
                lines.piece(&Piece::<16>::new(piece.as_bytes()));
                lines.integer(value);
                lines.byte(byte);
                wanted += &format!("{piece}{value}{}", char::from(byte));
            }
            lines.end(&mut text);
            prop_assert_eq!(String::from_utf8(text).unwrap(), format!("before {wanted}"));
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
