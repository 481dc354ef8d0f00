//! Entity tags (RFC 9110 8.8.3): always strong, made from what fixes the bytes, so every node gives
//! the same one after every restart. And their comparison with what a client holds.

use std::fmt;

use http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::limits;
use crate::slices::Slices;

/// Bytes of the digest that a tag shows: 96 bits, so two of a URL's bodies never share one.
const TAG_DIGEST_BYTES: usize = 12;

/// A strong entity tag, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(HeaderValue);

impl EntityTag {
    /// The tag of a body that is at hand.
    pub fn of_bytes(body: &[u8]) -> Self {
        Self::from_digest(Sha256::digest(body).as_slice())
    }

    /// The same of a body in slices, wherever it is cut.
    pub fn of_slices(body: &Slices) -> Self {
        let mut hash = Sha256::new();
        body.parts().iter().for_each(|part| hash.update(part));
        Self::from_digest(hash.finalize().as_slice())
    }

    /// The tag of a body that was not read yet: its address fixes version, settings, track and
    /// number; length and `content_tag`, the checksum of its checksums, are its content's.
    pub fn of_content(path: &str, len_bytes: u64, content_tag: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(len_bytes.to_be_bytes());
        hash.update(content_tag.to_be_bytes());
        hash.update(path.as_bytes());
        Self::from_digest(hash.finalize().as_slice())
    }

    /// The header's value, with its quotes.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// If-None-Match (13.1.2): whether the client already holds this body. Weak comparison.
    pub fn held_by(&self, if_none_match: &str) -> bool {
        self.listed_in(if_none_match, |tag| tag.strip_prefix("W/").unwrap_or(tag))
    }

    /// If-Match (13.1.1): whether this is a body that the client insists on. Strong comparison.
    pub fn insisted_on_by(&self, if_match: &str) -> bool {
        self.listed_in(if_match, |tag| tag)
    }

    /// If-Range (13.1.5): whether a part of this body continues what the client holds. Strong
    /// comparison; a date never does, because no Last-Modified is ever given out.
    pub fn continued_by(&self, if_range: &str) -> bool {
        if_range.trim().as_bytes() == self.0.as_bytes()
    }

    fn listed_in(&self, header: &str, opaque: impl Fn(&str) -> &str) -> bool {
        let header = header.trim();
        // Our tags hold no comma, so another's comma inside quotes cannot make a false match.
        let mut tags = header.split(',').take(limits::ENTITY_TAGS).map(str::trim);
        header == "*" || tags.any(|tag| opaque(tag).as_bytes() == self.0.as_bytes())
    }

    fn from_digest(digest: &[u8]) -> Self {
        let quoted = format!("\"{}\"", Hex(&digest[..TAG_DIGEST_BYTES]));
        Self(HeaderValue::try_from(quoted).expect("hex digits in quotes are visible ASCII"))
    }
}

/// Prints bytes as lower-case hex digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_its_bytes_alone() {
        // Pinned: another spelling of the same bytes' tag would look like a change to every cache.
        let tag = EntityTag::of_bytes(b"#EXTM3U\n");
        assert_eq!(tag.header(), "\"144659b48f342d02b9298907\"");
        assert_ne!(tag, EntityTag::of_bytes(b"#EXTM3U"));
        let of = EntityTag::of_content;
        assert_eq!(of("/a", 5, 7).header(), "\"17e950a03aa3a48c374fd566\"");
        for other in [of("/b", 5, 7), of("/a", 6, 7), of("/a", 5, 8)] {
            assert_ne!(of("/a", 5, 7), other);
        }
    }

    #[test]
    fn comparison() {
        let tag = EntityTag::of_bytes(b"x");
        let text = tag.header().to_str().unwrap().to_owned();
        let cases = [
            // header, If-None-Match, If-Match, If-Range
            (text.clone(), true, true, true),
            (format!("W/{text}"), true, false, false),
            (format!("\"a\", {text}"), true, true, false),
            (format!("\"a\",W/{text} , \"b\""), true, false, false),
            ("*".into(), true, true, false),
            (text.trim_matches('"').into(), false, false, false),
            (text.to_uppercase(), false, false, false),
            (format!("w/{text}"), false, false, false),
            ("\"a\"".into(), false, false, false),
            (String::new(), false, false, false),
            ("Sun, 06 Nov 1994 08:49:37 GMT".into(), false, false, false),
            ("\"a\",".repeat(limits::ENTITY_TAGS) + &text, false, false, false),
        ];
        for (header, none_match, matches, range) in cases {
            assert_eq!(tag.held_by(&header), none_match, "If-None-Match: {header}");
            assert_eq!(tag.insisted_on_by(&header), matches, "If-Match: {header}");
            assert_eq!(tag.continued_by(&header), range, "If-Range: {header}");
        }
    }
}
