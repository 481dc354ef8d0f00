//! From a representation, or a failure, to an answer's status and header.
//!
//! Conditions are decided from facts alone, in the order of RFC 9110 13.2.2: If-Match,
//! If-None-Match, then Range with If-Range. So a 304, a 412, a 416 and every HEAD are answered
//! before any media is read.

use std::ops::Range;

use bytes::Bytes;
use headwater_config::CorsOrigins;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::exchange::Request;
use crate::failure::{Believed, Failure};
use crate::limits;
use crate::range::{self, Selected};
use crate::representation::Facts;
use crate::slices::Slices;

/// How long an answer may be kept, as caches are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Cache-Control.
    pub cache_control: HeaderValue,
    /// CDN-Cache-Control (RFC 9213), which the caches of a CDN obey in its place.
    pub cdn_cache_control: Option<HeaderValue>,
}

/// Of what never changes under its URL.
pub static IMMUTABLE: Lifetime =
    Lifetime::same_for_all(HeaderValue::from_static("public, max-age=31536000, immutable"));
/// Of what is one viewer's, and of nobody who comes after him.
pub static KEPT_NOWHERE: Lifetime =
    Lifetime::same_for_all(HeaderValue::from_static("private, no-store"));
/// Of what may be kept but must be asked about each time.
pub static NO_CACHE: Lifetime = Lifetime::same_for_all(HeaderValue::from_static("no-cache"));
/// Cache-Control of what is true only now.
pub static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The methods that are answered.
static METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// The methods where keys are asked for in a body.
static POSTING: HeaderValue = HeaderValue::from_static("POST, OPTIONS");
/// Header fields that a page may read beside the few that it always may.
static EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Age, Cache-Status, Content-Length, Content-Range, Date, ETag, X-Request-Id",
);
static EVERYBODY: HeaderValue = HeaderValue::from_static("*");
/// Fetch 4.8: the wildcard does not stand for Authorization, nor for anything where cookies go. Players
/// say that a licence request is JSON.
static ANY_FIELD: HeaderValue = HeaderValue::from_static("*, Authorization, Content-Type, Range");
static BYTES: HeaderValue = HeaderValue::from_static("bytes");
static GZIP: HeaderValue = HeaderValue::from_static("gzip");
static BY_CODING: HeaderValue = HeaderValue::from_static("accept-encoding");
static BY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
static BY_BOTH: HeaderValue = HeaderValue::from_static("accept-encoding, origin");
static CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
static TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");
/// How long a browser may remember a preflight: browsers allow two hours or a day at most.
static PREFLIGHT_MAX_AGE_S: HeaderValue = HeaderValue::from_static("86400");
/// Header lines of a usual answer, so that the map is allocated once.
const USUAL_FIELDS: usize = 14;

/// An answer without its account.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    /// The body that is sent.
    pub body: Slices,
}

/// Which answer a representation gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200.
    Whole,
    /// 206 with these bytes.
    Part(Range<u64>),
    /// 304.
    NotModified,
}

/// Decides the conditions of a GET or HEAD.
pub fn decide(request: &Request, facts: &Facts) -> Result<Verdict, Failure> {
    let has = |field: &HeaderName| request.headers.contains_key(field);
    // Lists may come in several lines; one line that fits is enough.
    let any = |field: &HeaderName, fits: &dyn Fn(&str) -> bool| request.lines(field).any(fits);
    if has(&header::IF_MATCH) && !any(&header::IF_MATCH, &|tags| facts.etag.insisted_on_by(tags)) {
        return Err(Failure::PreconditionFailed);
    }
    if any(&header::IF_NONE_MATCH, &|tags| facts.etag.held_by(tags)) {
        return Ok(Verdict::NotModified);
    }
    // 14.2: range handling is defined for GET alone.
    let Some(wanted) = request.field(header::RANGE).filter(|_| request.method == Method::GET)
    else {
        return Ok(Verdict::Whole);
    };
    if request.headers.contains_key(header::IF_RANGE) {
        let continued =
            request.field(header::IF_RANGE).is_some_and(|tag| facts.etag.continued_by(tag));
        if !continued {
            return Ok(Verdict::Whole);
        }
    }
    match range::select(wanted, facts.len_bytes) {
        Selected::Whole => Ok(Verdict::Whole),
        Selected::Part(part) => Ok(Verdict::Part(part)),
        Selected::Nothing => Err(Failure::RangeNotSatisfiable(facts.len_bytes)),
    }
}

/// The answer with these facts; `body` is the whole body, and empty where `verdict` or a HEAD
/// makes none needed.
pub fn with_facts(
    request: &Request,
    facts: &Facts,
    verdict: &Verdict,
    body: &Slices,
    lifetime: &Lifetime,
) -> Reply {
    let mut headers = HeaderMap::with_capacity(USUAL_FIELDS);
    headers.insert(header::ETAG, facts.etag.header());
    headers.insert(header::CACHE_CONTROL, lifetime.cache_control.clone());
    if let Some(for_cdns) = &lifetime.cdn_cache_control {
        headers.insert(&CDN_CACHE_CONTROL, for_cdns.clone());
    }
    for (name, value) in facts.tags.iter() {
        headers.insert(name, value.clone());
    }
    let (status, body) = match verdict {
        Verdict::NotModified => {
            return Reply { status: StatusCode::NOT_MODIFIED, headers, body: Slices::empty() };
        }
        Verdict::Whole => (StatusCode::OK, body.clone()),
        Verdict::Part(part) => {
            let content_range = range::content_range(part, facts.len_bytes);
            headers.insert(header::CONTENT_RANGE, text(&content_range));
            (StatusCode::PARTIAL_CONTENT, body.cut(part))
        }
    };
    headers.insert(header::CONTENT_TYPE, facts.content_type.clone());
    headers.insert(header::ACCEPT_RANGES, BYTES.clone());
    if facts.gzip {
        headers.insert(header::CONTENT_ENCODING, GZIP.clone());
    }
    if request.is_head() {
        return head_of(status, headers, facts.len_bytes);
    }
    Reply { status, headers, body }
}

/// The answer to a failure: a JSON body with the error's name and what the client can do.
pub fn with_failure(request: &Request, failure: &Failure) -> Reply {
    let row = failure.row();
    let told = Told { error: row.error, detail: row.detail };
    let mut json = serde_json::to_vec(&told).expect("plain data into memory");
    json.push(b'\n');
    let body = Slices::from(json);
    let mut headers = HeaderMap::with_capacity(USUAL_FIELDS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, row.believed.cache_control());
    if row.believed == Believed::AskAgain {
        headers.insert(header::RETRY_AFTER, limits::RETRY_AFTER_S.into());
    }
    // RFC 9110 15.5.2, RFC 6750 3.
    if row.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    match failure {
        Failure::MethodRefused { takes_body } => {
            headers.insert(header::ALLOW, methods(*takes_body).clone());
        }
        Failure::RangeNotSatisfiable(len_bytes) => {
            headers.insert(header::CONTENT_RANGE, text(&range::unsatisfied_range(*len_bytes)));
        }
        _ => {}
    }
    bodied(request, row.status, headers, body)
}

/// The body of a failure.
#[derive(Serialize)]
struct Told {
    error: &'static str,
    detail: &'static str,
}

/// The answer to OPTIONS, a CORS preflight or not: the same for every resource, because a
/// preflight comes without what would tell one viewer from another.
pub fn preflight(takes_body: bool) -> Reply {
    let mut headers = HeaderMap::with_capacity(USUAL_FIELDS);
    headers.insert(header::ALLOW, methods(takes_body).clone());
    Reply { status: StatusCode::NO_CONTENT, headers, body: Slices::empty() }
}

fn methods(takes_body: bool) -> &'static HeaderValue {
    if takes_body { &POSTING } else { &METHODS }
}

/// Sends a client to another URL, this time (RFC 9110 15.4.3). `location` may be relative.
pub fn elsewhere(request: &Request, location: &str) -> Reply {
    let mut headers = HeaderMap::with_capacity(USUAL_FIELDS);
    headers.insert(header::LOCATION, text(location));
    headers.insert(header::CACHE_CONTROL, NO_STORE.clone());
    bodied(request, StatusCode::FOUND, headers, Slices::empty())
}

/// Text that is made anew each time and true only now.
pub fn with_text(request: &Request, content_type: &'static str, text: impl Into<Vec<u8>>) -> Reply {
    once(request, content_type, Slices::from(text.into()))
}

/// The same of keys: wiped when it was sent, or nobody waits for it any more.
pub fn with_keys(request: &Request, content_type: &'static str, keys: Zeroizing<Vec<u8>>) -> Reply {
    once(request, content_type, Slices::from(Bytes::from_owner(keys)))
}

fn once(request: &Request, content_type: &'static str, body: Slices) -> Reply {
    let mut headers = HeaderMap::with_capacity(USUAL_FIELDS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, NO_STORE.clone());
    bodied(request, StatusCode::OK, headers, body)
}

/// Says that an answer is one viewer's, whatever it is: no cache keeps it.
pub fn keep_nowhere(headers: &mut HeaderMap) {
    headers.remove(&CDN_CACHE_CONTROL);
    headers.insert(header::CACHE_CONTROL, KEPT_NOWHERE.cache_control.clone());
}

/// Says that an answer depends on Accept-Encoding: every answer about a text does, in whichever
/// coding it is, or a cache would give gzip to those who cannot read it.
pub fn vary_by_coding(headers: &mut HeaderMap) {
    headers.insert(header::VARY, BY_CODING.clone());
}

/// Lets web pages read an answer, failures included, and measure how long it took. The header
/// depends on who asks only where origins are listed, and then every answer says so, also to those
/// who sent no Origin: a shared cache must not give one page's answer to another.
pub fn allow_pages(headers: &mut HeaderMap, origins: &CorsOrigins, request: &Request) {
    let allowed = match origins {
        CorsOrigins::Any => EVERYBODY.clone(),
        CorsOrigins::Listed(listed) if listed.is_empty() => return,
        CorsOrigins::Listed(_) => {
            let both = headers.contains_key(header::VARY);
            headers.insert(header::VARY, if both { BY_BOTH.clone() } else { BY_ORIGIN.clone() });
            let asking = request.field(header::ORIGIN).filter(|origin| origins.allows(origin));
            let Some(origin) = asking else { return };
            text(origin)
        }
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed.clone());
    if request.method == Method::OPTIONS {
        let methods = headers.get(header::ALLOW).unwrap_or(&METHODS).clone();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ANY_FIELD.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S.clone());
        return;
    }
    headers.insert(&TIMING_ALLOW_ORIGIN, allowed);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone());
}

impl Lifetime {
    /// The same for browsers and CDNs.
    pub const fn same_for_all(cache_control: HeaderValue) -> Self {
        Self { cache_control, cdn_cache_control: None }
    }
}

fn bodied(request: &Request, status: StatusCode, headers: HeaderMap, body: Slices) -> Reply {
    if request.is_head() {
        return head_of(status, headers, body.len_bytes());
    }
    Reply { status, headers, body }
}

/// What a HEAD gets: the header that a GET would get, its length included (9.3.2).
fn head_of(status: StatusCode, mut headers: HeaderMap, len_bytes: u64) -> Reply {
    headers.insert(header::CONTENT_LENGTH, len_bytes.into());
    Reply { status, headers, body: Slices::empty() }
}

/// Text of ours, or text that came in a header, as a header's value.
fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("visible ASCII")
}
