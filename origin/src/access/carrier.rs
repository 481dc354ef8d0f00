//! Where in a request a token stands: before the path, in a cookie, in the query, or in the
//! Authorization header. One token comes, in one place: of two, one was put there by somebody who
//! wants the other one to be looked at.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};

use super::refusal::Refusal;
use crate::exchange::Request;

/// What a token's path element begins with. No profile, title, version or track does.
const MARK: char = '~';

/// How a token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `/~<token>/...`: relative URLs carry it on.
    Path,
    /// `Cookie: <name>=<token>`.
    Cookie,
    /// `?<name>=<token>`.
    Query,
    /// `Authorization: Bearer <token>` (RFC 6750 2.1).
    Header,
}

/// What cookie and query parameter are called.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The cookie.
    pub cookie: &'a str,
    /// The query parameter.
    pub query: &'a str,
}

/// The token before a path, and the path without it. What follows the token is a whole path again.
pub fn split(path: &str) -> (Option<&str>, &str) {
    let token = path.strip_prefix('/').and_then(|path| path.strip_prefix(MARK));
    match token.and_then(|rest| rest.find('/').map(|end| rest.split_at(end))) {
        Some((token, path)) => (Some(token), path),
        None => (None, path),
    }
}

/// A path fit for logs: whatever stands where a token may stand is left out.
pub fn redacted(path: &str) -> Cow<'_, str> {
    // Every request comes by here, and nearly none has either.
    if ![b'~', b'%'].iter().any(|mark| path.as_bytes().contains(mark)) {
        return Cow::Borrowed(path);
    }
    let shown = |element: &str| mark(element).map_or(element.len(), |at| at + 1);
    let elements: Vec<_> = path.split('/').map(|element| &element[..shown(element)]).collect();
    Cow::Owned(elements.join("/"))
}

/// Where an element has the mark, or what somebody on the way made of it by percent-encoding,
/// perhaps more than once.
fn mark(element: &str) -> Option<usize> {
    let bytes = element.as_bytes();
    let encoded = |at: usize| {
        let mut rest = &bytes[at + 1..];
        while let Some(once_more) = rest.strip_prefix(b"25") {
            rest = once_more;
        }
        rest.get(..2).is_some_and(|digits| digits.eq_ignore_ascii_case(b"7e"))
    };
    let is_mark = |at: &usize| match bytes[*at] {
        b'%' => encoded(*at),
        other => char::from(other) == MARK,
    };
    (0..bytes.len()).find(is_mark)
}

/// The only token of a request, and how it came.
pub fn find<'a>(
    request: &'a Request,
    names: Names<'_>,
) -> Result<Option<(&'a str, Carrier)>, Refusal> {
    let (in_path, path) = split(request.uri.path());
    // Behind a token stands a profile, whose name has no such mark.
    let goes_on = path.strip_prefix('/').is_some_and(|path| path.starts_with(MARK));
    let hidden = (in_path.is_some() && goes_on).then_some((path, Carrier::Path));
    let in_path = in_path.map(|token| (token, Carrier::Path));
    let in_cookies = cookies(request, names.cookie).map(|token| (token, Carrier::Cookie));
    let in_query = parameters(request, names.query).map(|token| (token, Carrier::Query));
    let in_header = credentials(request).map(|token| (token, Carrier::Header));
    let mut all =
        in_path.into_iter().chain(hidden).chain(in_cookies).chain(in_query).chain(in_header);
    match (all.next(), all.next()) {
        (only, None) => Ok(only),
        _ => Err(Refusal::TwoTokens),
    }
}

/// Cookie values of this name (RFC 6265 4.2); HTTP/2 may split them over several fields. A value
/// that is no text is one that is no token.
pub fn cookies<'a>(request: &'a Request, name: &str) -> impl Iterator<Item = &'a str> {
    let fields = request.headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|&b| b == b';'));
    pairs.filter_map(move |pair| {
        let (known, value) = split_at_equals(pair.trim_ascii_start())?;
        (known == name.as_bytes()).then(|| std::str::from_utf8(value).unwrap_or_default())
    })
}

fn split_at_equals(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|&b| b == b'=')?;
    Some((&pair[..at], &pair[at + 1..]))
}

/// Values of this query parameter, as they are written: a token needs no percent-encoding.
fn parameters<'a>(request: &'a Request, name: &str) -> impl Iterator<Item = &'a str> {
    let query = request.uri.query().unwrap_or_default();
    query.split('&').filter_map(move |pair| {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        (known == name).then_some(value)
    })
}

/// Bearer credentials. Those of other schemes are for somebody on the way.
fn credentials(request: &Request) -> impl Iterator<Item = &str> {
    request.headers.get_all(AUTHORIZATION).iter().filter_map(|field| {
        let text = field.to_str().unwrap_or("Bearer ");
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names { cookie: "hw", query: "token" };

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request { uri: uri.parse().unwrap(), ..Request::default() };
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers.append(name, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn where_tokens_are_found() {
        use Carrier::{Cookie, Header, Path, Query};
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<(&'a str, Carrier)>);
        let table: &[Case<'_>] = &[
            ("/~abc/main/t/master.m3u8", &[], Some(("abc", Path))),
            ("/~/main/t/master.m3u8", &[], Some(("", Path))),
            ("/main/t/master.m3u8", &[], None),
            ("/main/~abc/master.m3u8", &[], None),
            ("/~abc", &[], None),
            ("/m/t/f?token=abc", &[], Some(("abc", Query))),
            ("/m/t/f?a=b&token=abc&c", &[], Some(("abc", Query))),
            ("/m/t/f?token", &[], Some(("", Query))),
            ("/m/t/f?Token=abc&tokens=d&xtoken=e", &[], None),
            ("/m/t/f", &[("cookie", "hw=abc")], Some(("abc", Cookie))),
            ("/m/t/f", &[("cookie", "a=b; hw=abc;c=d")], Some(("abc", Cookie))),
            ("/m/t/f", &[("cookie", "a=b"), ("cookie", "hw=abc")], Some(("abc", Cookie))),
            ("/m/t/f", &[("cookie", "HW=abc; hws=d; hw")], None),
            ("/m/t/f", &[("authorization", "Bearer abc")], Some(("abc", Header))),
            ("/m/t/f", &[("authorization", "bearer abc")], Some(("abc", Header))),
            ("/m/t/f", &[("authorization", "Bearer")], Some(("", Header))),
            ("/m/t/f", &[("authorization", "Basic abc")], None),
        ];
        for (uri, headers, wanted) in table {
            assert_eq!(find(&request(uri, headers), NAMES), Ok(*wanted), "{uri} {headers:?}");
        }
    }

    #[test]
    fn two_tokens_are_refused() {
        let bearer = ("authorization", "Bearer b");
        let cookie = ("cookie", "hw=c");
        let table: &[(&str, &[(&str, &str)])] = &[
            ("/~a/m/t/f?token=b", &[]),
            ("/~a/m/t/f?token=a", &[]),
            ("/~a/m/t/f", &[cookie]),
            ("/~a/m/t/f", &[bearer]),
            ("/~a/~b/m/t/f", &[]),
            ("/~/~b/m/t/f", &[]),
            ("/m/t/f?token=a&token=b", &[]),
            ("/m/t/f?token=&token=b", &[]),
            ("/m/t/f?token=a", &[cookie]),
            ("/m/t/f?token=a", &[bearer]),
            ("/m/t/f", &[cookie, bearer]),
            ("/m/t/f", &[cookie, cookie]),
            ("/m/t/f", &[("cookie", "hw=a; hw=b")]),
            ("/m/t/f", &[bearer, bearer]),
            ("/~a/m/t/f?token=b", &[cookie, bearer]),
        ];
        for (uri, headers) in table {
            let request = request(uri, headers);
            let found = find(&request, NAMES);
            assert_eq!(found, Err(Refusal::TwoTokens), "{uri} {headers:?}");
        }
    }

    #[test]
    fn logs_hold_no_token() {
        let table = [
            ("/main/t/master.m3u8", "/main/t/master.m3u8"),
            ("/~abc/main/t/1.m4s", "/~/main/t/1.m4s"),
            ("/~abc", "/~"),
            ("//~abc/x", "//~/x"),
            ("/main/~abc", "/main/~"),
            ("/x~abc/~def/y", "/x~/~/y"),
            ("/%7eabc/main/t/%7Ed", "/%/main/t/%"),
            ("/%25257Eabc/t", "/%/t"),
            ("/main/%74/100%", "/main/%74/100%"),
            ("~abc", "~"),
        ];
        for (path, shown) in table {
            assert_eq!(redacted(path), shown);
        }
    }
}
