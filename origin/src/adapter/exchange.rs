//! One request and its answer, the same for both codecs.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{Method, StatusCode, Version};
use http_body::Body;

use super::{Answers, Line, request_body};
use crate::exchange::{Answer, Request};
use crate::slices::Slices;
use crate::{limits, route};

impl<A: Answers> Line<A> {
    /// Answers a request whose header was read just now.
    pub async fn answer<B>(&self, parts: Parts, unread: B) -> (Method, Answer)
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if is_too_large(&parts, &self.terms) {
            return (parts.method, too_large());
        }
        let mut has_body = !unread.is_end_stream();
        let mut body = Bytes::new();
        if has_body && route::takes_body(&parts.method, parts.uri.path()) {
            let patience = self.terms.header_timeout;
            let read = request_body::read(unread, limits::LICENCE_REQUEST_BYTES, patience).await;
            has_body = read.is_none();
            body = read.unwrap_or_default();
        }
        // A body that nobody read is left on the wire; hyper then ends the connection.
        let request = Request {
            body,
            lacks_host: lacks_host(&parts),
            version: parts.version,
            over_tls: self.over_tls,
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            has_body,
            remote: self.remote,
        };
        let answer = self.answers.answer(&request, Instant::now(), SystemTime::now()).await;
        (request.method, answer)
    }
}

/// HTTP/1.1 names exactly one Host (RFC 9112 3.2). HTTP/2 has `:authority` in its place; where
/// both are there they agree (RFC 9113 8.3.1).
fn lacks_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (first, more) = (hosts.next(), hosts.next().is_some());
    match parts.version {
        Version::HTTP_2 => match (parts.uri.authority(), first) {
            (Some(authority), Some(host)) => {
                more || !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
            }
            (authority, host) => more || (authority.is_none() && host.is_none()),
        },
        Version::HTTP_11 => first.is_none() || more,
        _ => false,
    }
}

/// HTTP/2's codec takes a header list up to twice the limit, so that what is refused is refused,
/// and counted, here. hyper refuses for HTTP/1.1.
fn is_too_large(parts: &Parts, terms: &super::Terms) -> bool {
    if parts.version != Version::HTTP_2 {
        return false;
    }
    // As RFC 9113 6.5.2 counts.
    let field = |name: usize, value: usize| name + value + 32;
    let fields = parts.headers.iter().map(|(name, value)| field(name.as_str().len(), value.len()));
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    let pseudo = field(5, target) + field(10, authority) + field(7, 5) + field(7, 7);
    parts.headers.len() > terms.max_headers
        || fields.sum::<usize>() + pseudo > terms.max_header_bytes
}

/// As bare as what hyper answers to the same.
fn too_large() -> Answer {
    Answer {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        headers: http::HeaderMap::new(),
        body: Slices::empty(),
        delivery: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn a_request_says_whom_it_means_once() {
        for (version, uri, hosts, lacks) in [
            (Version::HTTP_10, "/", &[][..], false),
            (Version::HTTP_11, "/", &["a"], false),
            (Version::HTTP_11, "/", &[], true),
            (Version::HTTP_11, "http://a/", &[], true),
            (Version::HTTP_11, "/", &["a", "a"], true),
            (Version::HTTP_2, "https://a/", &[], false),
            (Version::HTTP_2, "https://a/", &["A"], false),
            (Version::HTTP_2, "https://a/", &["b"], true),
            (Version::HTTP_2, "https://a/", &["a", "a"], true),
            (Version::HTTP_2, "/", &["a"], false),
            (Version::HTTP_2, "/", &[], true),
        ] {
            let mut request = Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(lacks_host(&parts), lacks, "{version:?} {uri} {hosts:?}");
        }
    }
}
