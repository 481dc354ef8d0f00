//! Names of things, parsed once at the edge: a value of one of these types is safe to put into a
//! path, a URL, an XML attribute or a playlist as it is.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Error;

/// A title: `[A-Za-z0-9._-]{1,128}`, never `.` or `..`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TitleId(Arc<str>);

impl FromStr for TitleId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(Error::invalid(
                "title",
                format!("{text:.140?} is not 1 to 128 of A-Z a-z 0-9 . _ -"),
            ));
        }
        if matches!(text, "." | "..") {
            return Err(Error::invalid("title", format!("{text:?} is reserved")));
        }
        Ok(Self(text.into()))
    }
}

impl TitleId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ids are found by their text.
impl Borrow<str> for TitleId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TitleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version: a UUIDv7 (RFC 9562 5.7), so that later versions sort after earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(u128);

impl VersionId {
    /// The version with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// Where a UUID's text has its hyphens (RFC 9562 4).
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl FromStr for VersionId {
    type Err = Error;

    /// Takes the canonical text alone: lower case, hyphens in place. One version, one URL.
    fn from_str(text: &str) -> Result<Self, Error> {
        uuid_bits(text).map(Self).ok_or_else(|| {
            Error::invalid("version", format!("{text:.60?} is not a lower-case hyphenated UUID"))
        })
    }
}

/// The bits of a UUID in lower case with its hyphens.
fn uuid_bits(text: &str) -> Option<u128> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if HYPHENS.iter().any(|&at| text[at] != b'-') {
        return None;
    }
    let mut bits = 0u128;
    // Between two hyphens at most 12 digits, which fit in one register.
    for (from, to) in [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)] {
        let mut group = 0u64;
        for &byte in &text[from..to] {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            group = group << 4 | u64::from(digit);
        }
        bits = bits << (4 * (to - from)) | u128::from(group);
    }
    Some(bits)
}

fn write_uuid(f: &mut fmt::Formatter<'_>, b: u128) -> fmt::Result {
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        b >> 96,
        (b >> 80) & 0xffff,
        (b >> 64) & 0xffff,
        (b >> 48) & 0xffff,
        b & 0xffff_ffff_ffff
    )
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, self.0)
    }
}

/// The id of a content key (KID): what manifests, init segments and licence requests name it by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 16]);

impl FromStr for KeyId {
    type Err = Error;

    /// Takes 32 hex digits in either case, with the hyphens of a UUID or without any: operators
    /// copy them from many tools.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_ascii_lowercase();
        let is_hex = lower.len() == 32 && lower.bytes().all(|b| b.is_ascii_hexdigit());
        let bits = if is_hex { u128::from_str_radix(&lower, 16).ok() } else { uuid_bits(&lower) };
        bits.map(|bits| Self(bits.to_be_bytes())).ok_or_else(|| {
            Error::invalid("key id", format!("{text:.60?} is no UUID and not 32 hex digits"))
        })
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A track of a version: `[a-z0-9-]{1,32}`, such as `v1080` or `a-en`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(Arc<str>);

impl FromStr for TrackId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
            return Err(Error::invalid(
                "track",
                format!("{text:.40?} is not 1 to 32 of a-z 0-9 -"),
            ));
        }
        Ok(Self(text.into()))
    }
}

impl TrackId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The short hash of everything but the version that shapes a response's bytes: 8 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rev(pub u32);

impl FromStr for Rev {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 8
            && text.bytes().all(lower_hex)
            && let Ok(bits) = u32::from_str_radix(text, 16)
        {
            return Ok(Self(bits));
        }
        Err(Error::invalid("rev", format!("{text:.20?} is not 8 lower-case hex digits")))
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Ids travel as their text in JSON; what does not parse is an error there too.
macro_rules! serde_as_text {
    ($($id:ty),*) => {$(
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(TitleId, VersionId, TrackId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        for good in ["a", "Big.Buck_Bunny-2", "...", &"x".repeat(128)] {
            assert_eq!(good.parse::<TitleId>().unwrap().to_string(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a%2e", "a\0", &"x".repeat(129)] {
            assert!(bad.parse::<TitleId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn versions_have_one_text() {
        let text = "01939c2e-7f00-7abc-8def-0123456789ab";
        assert_eq!(text.parse::<VersionId>().unwrap().to_string(), text);
        for bad in [
            "",
            "01939C2E-7f00-7abc-8def-0123456789ab",
            "01939c2e07f00-7abc-8def-0123456789ab",
            "01939c2e-7f00-7abc-8def-0123456789a",
            "01939c2e-7f00-7abc-8def-0123456789ag",
            "-1939c2e-7f00-7abc-8def-0123456789ab",
        ] {
            assert!(bad.parse::<VersionId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tracks_and_revs() {
        assert!("v1080".parse::<TrackId>().is_ok());
        for bad in ["", "V1", "a+b", "a.b", "a/b", &"a".repeat(33)] {
            assert!(bad.parse::<TrackId>().is_err(), "{bad:?}");
        }
        assert_eq!("00c0ffee".parse::<Rev>().unwrap().to_string(), "00c0ffee");
        for bad in ["", "c0ffee", "00C0FFEE", "+0c0ffee", "00c0ffee0"] {
            assert!(bad.parse::<Rev>().is_err(), "{bad:?}");
        }
    }
}
