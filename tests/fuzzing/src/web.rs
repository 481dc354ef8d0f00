//! What stands in a request.

use headwater_origin::etag::EntityTag;
use headwater_origin::proxy_protocol::{self, Parsed};
use headwater_origin::range::{self, Selected};
use headwater_origin::route::Route;

/// A path. What is a route prints back to the very same path, so that a path is a cache key.
pub fn route(bytes: &[u8]) -> bool {
    let Ok(path) = std::str::from_utf8(bytes) else { return false };
    let Ok(route) = Route::parse(path) else { return false };
    let printed = route.to_string();
    assert_eq!(printed, path);
    assert_eq!(Route::parse(&printed), Ok(route));
    assert!(!path.contains(['%', '\\', '?', '#']) && !path.split('/').any(|part| part == ".."));
    true
}

/// Header values, one a line: Range, If-None-Match, If-Match, If-Range.
pub fn conditions(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or("");
    let wanted = next();
    for len_bytes in [0, 1, 10, 5_000_000_000, u64::MAX] {
        if let Selected::Part(part) = range::select(wanted, len_bytes) {
            assert!(part.start < part.end && part.end <= len_bytes, "{wanted} of {len_bytes}");
            let said = range::content_range(&part, len_bytes);
            let back = format!("bytes={}-{}", part.start, part.end - 1);
            assert!(said.starts_with("bytes "), "{said}");
            assert_eq!(range::select(&back, len_bytes), Selected::Part(part));
        }
    }
    let tag = EntityTag::of_bytes(b"a body");
    let header = tag.header();
    let own = header.to_str().unwrap();
    let (none_match, matches, if_range) = (next(), next(), next());
    // Nothing but the tag itself, weak or strong, or the wildcard, names this body.
    for (value, held) in [
        (none_match, tag.held_by(none_match)),
        (matches, tag.insisted_on_by(matches)),
        (if_range, tag.continued_by(if_range)),
    ] {
        assert!(!held || value.contains(own) || value.trim() == "*", "{value}");
    }
    if tag.insisted_on_by(none_match) {
        assert!(tag.held_by(none_match), "what matches strongly matches weakly");
    }
    true
}

/// What a connection begins with. It is known at a bounded length what it is, a header's length is
/// its own however much follows, and every part of it needs more.
pub fn proxy(bytes: &[u8]) -> bool {
    let parsed = proxy_protocol::parse(bytes);
    match parsed {
        Ok(Parsed::Whole(_, len_bytes)) => {
            assert!(len_bytes <= bytes.len() && len_bytes <= 2048);
            assert_eq!(proxy_protocol::parse(&bytes[..len_bytes]), parsed);
            for end in 0..len_bytes {
                assert_eq!(proxy_protocol::parse(&bytes[..end]), Ok(Parsed::NeedsMore));
            }
            true
        }
        Ok(Parsed::NeedsMore) => {
            assert!(bytes.len() < 2048);
            false
        }
        // What is refused stays refused, whatever comes.
        Err(_) => {
            assert!(proxy_protocol::parse(&[bytes, b"more\r\n"].concat()).is_err());
            false
        }
    }
}
