//! What ties a request to those before and beside it: its id, and the W3C trace it belongs to.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};

use crate::client::Client;
use crate::exchange::Request;
use crate::limits;

/// The field that carries a request's id, in both directions.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Tells this run of the process from any other.
static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Bytes of an id of ours: the run's 64 bits and the request's, as hex digits.
const OWN_ID_BYTES: usize = 32;
/// Bytes of version 00 of a traceparent.
const TRACEPARENT_BYTES: usize = 55;

/// The id that a trusted proxy gave a request, or else a new one. A stranger's is not taken: it
/// could be made to look like another's.
pub fn request_id(request: &Request, client: &Client) -> HeaderValue {
    let given = request.field(&REQUEST_ID).filter(|id| client.behind_proxy && is_id(id));
    // Cheap: the value is counted, not copied.
    let given = given.and_then(|_| request.headers.get(&REQUEST_ID)).cloned();
    given.unwrap_or_else(new_id)
}

/// The trace's id and the caller's within it (W3C Trace Context 3.2.2), as hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace<'a> {
    /// 32 digits, not all 0.
    pub trace_id: &'a str,
    /// 16 digits, not all 0.
    pub parent_id: &'a str,
    /// Whether the caller's span is recorded.
    pub is_sampled: bool,
}

/// A request's traceparent, if it is one.
pub fn of_request(request: &Request) -> Option<&HeaderValue> {
    request.field(&TRACEPARENT).and_then(parse)?;
    request.headers.get(&TRACEPARENT)
}

/// Reads a traceparent; a later version's begins like version 00 (3.2.4).
pub fn parse(traceparent: &str) -> Option<Trace<'_>> {
    let version = traceparent.get(..2)?;
    let later = version != "00";
    let (head, rest) = traceparent.split_at_checked(TRACEPARENT_BYTES)?;
    let ends = rest.is_empty() || (later && rest.starts_with('-'));
    let mut parts = head.split('-');
    let mut hex = |digits| parts.next().filter(|part| part.len() == digits && is_hex(part));
    let (version, trace_id, parent_id, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    // The lowest bit of two digits, in lower case (3.2.2.5).
    let is_sampled = flags.as_bytes().last().is_some_and(|digit| b"13579bdf".contains(digit));
    let some = |id: &str| id.bytes().any(|b| b != b'0');
    let valid = ends && version != "ff" && some(trace_id) && some(parent_id);
    valid.then_some(Trace { trace_id, parent_id, is_sampled })
}

fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:".contains(&b);
    (1..=limits::REQUEST_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The sixteen digits of a number.
fn hex(number: u64) -> [u8; 16] {
    std::array::from_fn(|place| {
        let digit = (number >> (60 - 4 * place)) & 15;
        b"0123456789abcdef"[usize::try_from(digit).expect("four bits")]
    })
}

fn new_id() -> HeaderValue {
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let mut text = [0; OWN_ID_BYTES];
    let (run, of_run) = text.split_at_mut(OWN_ID_BYTES / 2);
    run.copy_from_slice(&hex(*RUN));
    of_run.copy_from_slice(&hex(number));
    HeaderValue::from_bytes(&text).expect("hex digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn a_trusted_proxys_id_is_kept_if_it_is_one() {
        let long = "x".repeat(limits::REQUEST_ID_BYTES + 1);
        let longest = &long[1..];
        // given, by a trusted proxy, kept
        let cases = [
            ("f058ebd6-02f7-4d3f-942e-904344e8cde5", true, true),
            ("1-5759e988-bd862e3fe1be46a994272793", true, true),
            ("Root=1-67891233:abc/d+e=~_.", true, true),
            (longest, true, true),
            (&long, true, false),
            ("", true, false),
            ("a b", true, false),
            ("a\"b", true, false),
            ("abc", false, false),
        ];
        for (given, behind_proxy, kept) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(&REQUEST_ID, HeaderValue::from_str(given).unwrap());
            let request = Request { headers, ..Request::default() };
            let id = request_id(&request, &Client { behind_proxy, ..Client::default() });
            assert_eq!(id == given, kept, "{given} {behind_proxy}");
            assert!(kept || id.len() == OWN_ID_BYTES, "{id:?}");
        }
        let request = Request::default();
        let ids = [(); 2].map(|()| request_id(&request, &Client::default()));
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn examples_from_trace_context_3_2() {
        let whole = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
            parent_id: "00f067aa0ba902b7",
            is_sampled: true,
        };
        for (flags, is_sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let traceparent = whole.replace("-01", &format!("-{flags}"));
            assert_eq!(parse(&traceparent), Some(Trace { is_sampled, ..trace }), "{flags}");
        }
        assert_eq!(parse(whole), Some(trace));
        assert_eq!(parse(&whole.replacen("00", "cc", 1)), Some(trace));
        assert_eq!(parse(&(whole.replacen("00", "cc", 1) + "-what-comes")), Some(trace));
        let refused = [
            String::new(),
            whole.to_uppercase(),
            whole.replacen("00", "ff", 1),
            whole.to_owned() + "-x",
            whole.replacen("00", "cc", 1) + "x",
            whole[..54].to_owned(),
            whole.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            whole.replace("00f067aa0ba902b7", &"0".repeat(16)),
            whole.replace("4bf9", "4b-9"),
            whole.replace("-01", "-0ä"),
        ];
        for traceparent in refused {
            assert_eq!(parse(&traceparent), None, "{traceparent}");
        }
    }
}
