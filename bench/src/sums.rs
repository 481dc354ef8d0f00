//! Checksums of bodies: those of a list, or of the first good answer to each URL.
//!
//! A sum is CRC32C and length: processors have an instruction for it, so checking costs the
//! harness next to nothing. It finds accidents, not forgers. A list has a line for each URL,
//! `crc32c length key`; the key is path and query without token, and for a part of a resource
//! `#first-end` (half open). `fetch --write-sums` makes one.

use std::collections::HashMap;
use std::fmt::Write as _;

/// What a body is compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// CRC32C.
    pub crc32c: u32,
    /// Bytes.
    pub len_bytes: u64,
}

impl Sum {
    /// The sum with more bytes at its end.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        Self {
            crc32c: crc32c::crc32c_append(self.crc32c, bytes),
            len_bytes: self.len_bytes + bytes.len() as u64,
        }
    }
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The first body of this URL: the others must equal it.
    First,
    /// Equal.
    Equal,
    /// Not equal to this.
    Differs(Sum),
}

/// The sums that bodies must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    known: HashMap<String, Sum>,
}

impl Sums {
    /// Reads a list; an error says which line is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut known = HashMap::new();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong =
                || format!("line {}: expected `crc32c length key`, got `{}`", n + 1, line.trim());
            let mut words = line.splitn(3, ' ');
            let crc = words.next().filter(|word| word.len() == 8).ok_or_else(wrong)?;
            let crc32c = u32::from_str_radix(crc, 16).map_err(|_| wrong())?;
            let len_bytes = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
            let key = words.next().filter(|key| !key.is_empty()).ok_or_else(wrong)?;
            known.insert(key.to_owned(), Sum { crc32c, len_bytes });
        }
        Ok(Self { known })
    }

    /// The list, in the order of keys.
    pub fn print(&self) -> String {
        let mut rows: Vec<_> = self.known.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        rows.into_iter().fold(String::new(), |mut text, (key, sum)| {
            let _ = writeln!(text, "{:08x} {} {key}", sum.crc32c, sum.len_bytes);
            text
        })
    }

    /// Compares a body, or takes it for the one to compare with.
    pub fn compare(&mut self, key: &str, sum: Sum) -> Compared {
        match self.known.get(key) {
            Some(known) if *known == sum => Compared::Equal,
            Some(known) => Compared::Differs(*known),
            None => {
                self.known.insert(key.to_owned(), sum);
                Compared::First
            }
        }
    }

    /// The bytes of a body, if they are known.
    pub fn len_bytes(&self, key: &str) -> Option<u64> {
        self.known.get(key).map(|sum| sum.len_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 3720 B.4: 32 bytes of zeroes.
    #[test]
    fn example_from_iscsi() {
        assert_eq!(Sum::default().with(&[0; 32]), Sum { crc32c: 0x8a91_36aa, len_bytes: 32 });
    }

    #[test]
    fn the_first_answer_decides_and_damage_is_seen() {
        let mut sums = Sums::default();
        let good = Sum::default().with(b"abc");
        assert_eq!(sums.compare("/a", good), Compared::First);
        assert_eq!(sums.compare("/a", good), Compared::Equal);
        for bad in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert_eq!(
                sums.compare("/a", Sum::default().with(bad)),
                Compared::Differs(good),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn wrong_lists_are_refused_with_their_line() {
        for bad in ["xyz 3 /a", "00000000 /a", "00000000 3", "00000000 3 ", "0 3 /a"] {
            let error = Sums::parse(&format!("00000000 0 /ok\n{bad}\n")).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn lists_read_back(rows in prop::collection::hash_map("/[a-z /?=]{0,9}", any::<(u32, u64)>(), 0..9)) {
            let known = rows.into_iter().map(|(key, (crc32c, len_bytes))| {
                (format!("{key}x"), Sum { crc32c, len_bytes })
            });
            let sums = Sums { known: known.collect() };
            prop_assert_eq!(Sums::parse(&sums.print()).unwrap(), sums);
        }

        #[test]
        fn pieces_do_not_matter(body in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
            let (a, b) = body.split_at(at.min(body.len()));
            prop_assert_eq!(Sum::default().with(a).with(b), Sum::default().with(&body));
        }
    }
}
