//! Two tokens at once: of two, one was put there by somebody who wants the other one to be looked
//! at. Both are good here, each by itself.

use headwater_origin::access::carrier::{self, Names};
use headwater_origin::exchange::Request;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::issue::{Pairs, class, compact_with, outcome};

const FILE: &str = "/main/film/master.m3u8";
const NAMES: Names<'_> = Names { cookie: "headwater-token", query: "token" };

/// The reason why a request is refused for the tokens that it carries; `none` if it carries none.
fn tried(target: &str, fields: &[(HeaderName, String)], pairs: &Pairs) -> &'static str {
    let headers: HeaderMap = fields
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
        .fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        });
    let request = Request { uri: target.parse().unwrap(), headers, ..Request::default() };
    match carrier::find(&request, NAMES) {
        Err(refusal) => refusal.reason(),
        Ok(None) => "none",
        Ok(Some((token, _))) => outcome(token, &pairs.keys()),
    }
}

#[test]
fn two_tokens_at_once() {
    let pairs = Pairs::new();
    let a = compact_with(&[]);
    let b = pairs.good_jwt("k1", r#"{"exp":1800003600}"#);
    let cookie = |token: &str| (COOKIE, format!("headwater-token={token}"));
    let bearer = |token: &str| (AUTHORIZATION, format!("Bearer {token}"));
    let in_path = format!("/~{a}{FILE}");
    let in_query = format!("{FILE}?token={a}");
    let file = FILE.to_owned();
    let two_cookies = (COOKIE, format!("headwater-token={a}; headwater-token={b}"));
    let cookie_between = (COOKIE, format!("headwater-token={a}; x=y; headwater-token="));
    let both_schemes = [(AUTHORIZATION, "Basic YTpi".to_owned()), bearer(&a)];
    let table = [
        ("path and path", format!("/~{a}/~{b}{FILE}"), vec![], "two_tokens"),
        ("nothing before one in the path", format!("/~/~{a}{FILE}"), vec![], "two_tokens"),
        ("nothing after one in the path", format!("/~{a}/~{FILE}"), vec![], "two_tokens"),
        ("path and cookie", in_path.clone(), vec![cookie(&b)], "two_tokens"),
        ("path and an empty cookie", in_path.clone(), vec![cookie("")], "two_tokens"),
        ("path and query", format!("{in_path}?token={b}"), vec![], "two_tokens"),
        ("the same in path and query", format!("{in_path}?token={a}"), vec![], "two_tokens"),
        ("path and a name in the query", format!("{in_path}?token"), vec![], "two_tokens"),
        ("path and header", in_path.clone(), vec![bearer(&b)], "two_tokens"),
        ("path and an empty header", in_path.clone(), vec![bearer("")], "two_tokens"),
        ("cookie and query", in_query.clone(), vec![cookie(&b)], "two_tokens"),
        ("cookie and header", file.clone(), vec![cookie(&a), bearer(&b)], "two_tokens"),
        ("query and header", in_query.clone(), vec![bearer(&b)], "two_tokens"),
        ("query twice", format!("{in_query}&token={b}"), vec![], "two_tokens"),
        ("query twice, apart", format!("{in_query}&x=y&token={a}"), vec![], "two_tokens"),
        ("two cookies in one field", file.clone(), vec![two_cookies], "two_tokens"),
        ("two cookies in two fields", file.clone(), vec![cookie(&a), cookie(&b)], "two_tokens"),
        ("an empty cookie behind one", file.clone(), vec![cookie_between], "two_tokens"),
        ("two headers", file.clone(), vec![bearer(&a), bearer(&b)], "two_tokens"),
        ("all places", format!("{in_path}?token={a}"), vec![cookie(&a), bearer(&a)], "two_tokens"),
        ("two in one text", format!("/~{a}.{b}{FILE}"), vec![], "token_malformed"),
        ("two with a comma", format!("{FILE}?token={a},{b}"), vec![], "token_malformed"),
        ("two in one header", file.clone(), vec![bearer(&format!("{a} {b}"))], "token_malformed"),
        ("another scheme's beside it", file.clone(), both_schemes.to_vec(), "ok"),
        ("names of another case", format!("{in_query}&Token={b}"), vec![], "ok"),
        ("path", in_path, vec![], "ok"),
        ("cookie", file.clone(), vec![cookie(&b)], "ok"),
        ("query", in_query, vec![], "ok"),
        ("header", file.clone(), vec![bearer(&b)], "ok"),
    ];
    class("two tokens", table.iter().map(|case| case.3));
    for (name, target, fields, wanted) in table {
        assert_eq!(tried(&target, &fields, &pairs), wanted, "{name}");
    }
    assert_eq!(tried(&file, &[], &pairs), "none");
}
