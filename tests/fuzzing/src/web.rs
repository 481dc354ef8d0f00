//! What stands in a request.

use std::net::IpAddr;

use headwater_config::{ForwardedHeader, Network};
use headwater_origin::client::Trust;
use headwater_origin::etag::EntityTag;
use headwater_origin::exchange::Request;
use headwater_origin::proxy_protocol::{self, Parsed};
use headwater_origin::range::{self, Selected};
use headwater_origin::route::Route;
use headwater_origin::{cdn_loop, coding, fields, trace};
use http::{HeaderMap, HeaderValue};

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

/// Who is connected, then header values, one a line: X-Forwarded-For, Forwarded, CDN-Loop,
/// Accept-Encoding, traceparent. 10.0.0.0/8 is trusted.
pub fn forwarded(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or("");
    let Ok(remote) = next().parse::<IpAddr>() else { return false };
    let names = ["x-forwarded-for", "forwarded", "cdn-loop", "accept-encoding", "traceparent"];
    let mut headers = HeaderMap::new();
    for name in names {
        let Ok(value) = HeaderValue::from_str(next()) else { return false };
        headers.insert(name, value);
    }
    let said = |name: &str| headers[name].to_str().unwrap_or("").to_owned();
    for name in names {
        let list = said(name);
        for member in fields::members(&list) {
            assert!(!member.is_empty() && list.contains(member));
            assert!(fields::parts(member).all(|part| member.contains(part)));
        }
    }
    let request = Request { headers: headers.clone(), remote: Some(remote), ..Request::default() };
    clients(&request, remote, &said("x-forwarded-for"));
    let passed = said("cdn-loop").to_ascii_lowercase();
    let refused = cdn_loop::check(&request, "headwater").is_err();
    assert!(!refused || passed.contains("headwater") || passed.matches(',').count() >= 32);
    let codings = said("accept-encoding");
    if coding::wants_gzip(std::iter::once(codings.as_str())) {
        assert!(codings.contains('*') || codings.to_ascii_lowercase().contains("gzip"));
    }
    if let Some(trace) = trace::parse(&said("traceparent")) {
        assert_eq!((trace.trace_id.len(), trace.parent_id.len()), (32, 16));
        assert!(u128::from_str_radix(trace.trace_id, 16).unwrap() > 0);
    }
    true
}

/// A stranger is whoever is connected; a trusted proxy's client is named by it, and everybody to
/// the right of that client is trusted.
fn clients(request: &Request, remote: IpAddr, x_forwarded_for: &str) {
    let trusted: Network = "10.0.0.0/8".parse().unwrap();
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        let client = Trust::new(&[trusted], header).client(request);
        assert_eq!(client.behind_proxy, trusted.contains(remote));
        let address = client.address.unwrap();
        if !client.behind_proxy {
            assert_eq!(address, remote);
        }
        // Without quotes the list can be read in the plainest way.
        if client.behind_proxy
            && header == ForwardedHeader::XForwardedFor
            && !x_forwarded_for.contains('"')
        {
            let hops: Vec<_> =
                x_forwarded_for.split(',').map(|h| h.trim_matches([' ', '\t'])).collect();
            let hops: Vec<_> = hops.into_iter().filter(|hop| !hop.is_empty()).collect();
            let mut named = remote;
            for hop in hops.iter().rev().take(32) {
                match headwater_origin::client::node(hop) {
                    Some(hop) if trusted.contains(named) => named = hop,
                    _ => break,
                }
            }
            assert_eq!(address, named, "{x_forwarded_for}");
        }
    }
}
