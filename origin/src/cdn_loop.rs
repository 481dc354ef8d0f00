//! Whether a request has been here before (RFC 8586): every CDN adds its name to `CDN-Loop`, so a
//! request that comes with ours was sent to us by somebody whom we, or a CDN before us, had asked.

use http::HeaderName;

use crate::exchange::Request;
use crate::failure::Failure;
use crate::{fields, limits};

static CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Refuses a request that names `own`, or that passed more CDNs than any real one does.
pub fn check(request: &Request, own: &str) -> Result<(), Failure> {
    let mut passed = request.lines(&CDN_LOOP).flat_map(fields::members);
    let names_own = |member| is_named(member, own);
    if passed.by_ref().take(limits::CDN_HOPS).any(names_own) || passed.next().is_some() {
        return Err(Failure::LoopDetected);
    }
    Ok(())
}

/// Whether a member is this CDN, whatever its parameters.
fn is_named(member: &str, own: &str) -> bool {
    fields::parts(member).next().is_some_and(|name| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn our_name_and_too_many_names_are_refused() {
        let most = "a,".repeat(limits::CDN_HOPS);
        let more = format!("{most}b");
        let cases: &[(&[&str], bool)] = &[
            (&[], false),
            (&["foo123.foocdn.example, barcdn.example; trace=\"abcdef\""], false),
            (&["AnotherCDN; abc=123; def=\"456\""], false),
            (&["headwater"], true),
            (&["a, HeadWater ; hop=\"1\""], true),
            (&["a", "b", "c,headwater"], true),
            (&["headwater2, a-headwater, headwater.example"], false),
            (&["a; by=headwater"], false),
            (&["a; by=\"x, headwater, y\""], false),
            (&[&most], false),
            (&[&more], true),
        ];
        for (lines, refused) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(&CDN_LOOP, HeaderValue::from_str(line).unwrap());
            }
            let request = Request { headers, ..Request::default() };
            assert_eq!(check(&request, "headwater").is_err(), *refused, "{lines:?}");
        }
    }
}
