//! Bits of a NAL unit's RBSP (ITU-T H.264 7.2, H.265 7.2): Exp-Golomb codes, and where in the raw
//! bytes the reader stands although emulation prevention bytes are passed over. Bits of plain bytes
//! too, which have none (AV1's OBUs, configuration records).
//!
//! Like [`crate::wire::Reader`] it keeps its first short read and then reads zeros.

use crate::error::Error;

/// The longest Exp-Golomb prefix that still fits 32 bits (9.1).
const PREFIX_BITS: u32 = 32;

/// Reads the bits of a NAL unit, or of plain bytes.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    place: &'static str,
    /// The byte that is being read.
    at: usize,
    /// Bits of it already read, below 8.
    used: u32,
    /// Zero bytes right before `at`, at most 2 that count.
    zeros: u32,
    /// Whether 03 behind two zero bytes is no data.
    prevention: bool,
    short: bool,
}

impl<'a> BitReader<'a> {
    /// Reads `bytes`, a NAL unit with its emulation prevention bytes; `place` names it in errors.
    pub fn new(bytes: &'a [u8], place: &'static str) -> Self {
        Self { bytes, place, at: 0, used: 0, zeros: 0, prevention: true, short: false }
    }

    /// Reads `bytes` as they are, without emulation prevention.
    pub fn plain(bytes: &'a [u8], place: &'static str) -> Self {
        Self { prevention: false, ..Self::new(bytes, place) }
    }

    /// u(1).
    pub fn flag(&mut self) -> bool {
        let Some(&byte) = self.bytes.get(self.at) else {
            self.short = true;
            return false;
        };
        let bit = byte >> (7 - self.used) & 1;
        self.used += 1;
        if self.used == 8 {
            self.pass(byte);
        }
        bit == 1
    }

    /// u(n), at most 32 bits.
    pub fn bits(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| value << 1 | u32::from(self.flag()))
    }

    /// Passes over `count` bits.
    pub fn skip(&mut self, count: u32) {
        (0..count).for_each(|_| {
            self.flag();
        });
    }

    /// ue(v), AV1's uvlc(); a code of more than 32 bits is an error.
    pub fn ue(&mut self) -> u32 {
        let mut zeros = 0;
        while !self.short && !self.flag() {
            zeros += 1;
            if zeros == PREFIX_BITS {
                self.short = true;
            }
        }
        if self.short {
            return 0;
        }
        // At most 31 bits follow, so the sum stays below 2^32.
        (1u32 << zeros) - 1 + self.bits(zeros)
    }

    /// se(v).
    pub fn se(&mut self) -> i64 {
        let code = i64::from(self.ue());
        if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) }
    }

    /// Raw bytes from the start up to the first that no bit was read of: a byte of which some bits
    /// were read counts.
    pub fn raw_bytes_read(&self) -> usize {
        self.at + usize::from(self.used > 0)
    }

    /// Bits of plain bytes that are not yet read.
    pub fn bits_left(&self) -> usize {
        (self.bytes.len() - self.at) * 8 - usize::try_from(self.used).expect("below 8")
    }

    /// The first short read, or a code that is none, as an error.
    pub fn finish(&self) -> Result<(), Error> {
        if self.short {
            let detail = format!(
                "ends inside a field, or holds a code that is none, near byte {} of {}",
                self.at,
                self.bytes.len()
            );
            return Err(Error::damaged(self.place, detail));
        }
        Ok(())
    }

    /// Goes on to the next byte, past an emulation prevention byte (7.4.1: 00 00 03).
    fn pass(&mut self, byte: u8) {
        self.used = 0;
        self.at += 1;
        self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        if self.prevention && self.zeros >= 2 && self.bytes.get(self.at) == Some(&3) {
            self.at += 1;
            self.zeros = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_table_9_2() {
        // 1 | 010 | 011 | 00100 | 00101, then se of the same codes.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut ue = BitReader::new(&bytes, "test");
        assert_eq!([0; 5].map(|_: i32| ue.ue()), [0, 1, 2, 3, 4]);
        let mut se = BitReader::new(&bytes, "test");
        assert_eq!([0; 5].map(|_: i32| se.se()), [0, 1, -1, 2, -2]);
        assert_eq!(se.raw_bytes_read(), 3);
        assert!(se.finish().is_ok());
    }

    #[test]
    fn emulation_prevention_is_passed_over_and_counted() {
        let mut r = BitReader::new(&[0, 0, 3, 1, 0, 0, 3], "test");
        assert_eq!(r.bits(16), 0);
        assert_eq!(r.raw_bytes_read(), 3, "a byte that only protects belongs to those before it");
        assert_eq!(r.bits(8), 1);
        assert_eq!(r.bits(16), 0);
        assert!(r.finish().is_ok());
        r.flag();
        assert!(r.finish().is_err());
        // A 03 protects only behind two zeros.
        let mut r = BitReader::new(&[0, 3, 0, 0, 3, 3], "test");
        assert_eq!(r.bits(32), 0x0003_0000);
        assert_eq!(r.bits(8), 3);
    }

    #[test]
    fn codes_longer_than_32_bits_are_none() {
        let mut r = BitReader::new(&[0xff, 0, 0, 3, 0, 0, 3, 0, 0x80], "test");
        r.bits(8);
        r.ue();
        assert!(r.finish().is_err());
        let longest = [0, 0, 3, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        let mut r = BitReader::new(&longest, "test");
        assert_eq!(r.ue(), u32::MAX - 1);
        assert!(r.finish().is_ok());
    }
}
