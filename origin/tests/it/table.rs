//! Every kind of URL under every method, form of range, condition and coding, by several clients.
//!
//! What must come is worked out here from what was asked, in the order of RFC 9110 13.2.2; the code
//! under test is not looked at. Requests are put together from their meaning ("the last three
//! bytes", "a tag of other bytes"), so nothing here parses a header either. Of bodies the media is
//! known beforehand; a text's are what the first plain request and the first for gzip got, which
//! must be the same text.

mod beside;

use std::fmt::Write as _;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use headwater_config::Certificate;
use http::Method;

use crate::binary::{Running, free_address};
use crate::clients::{Ask, Curl, Fields, Hyper, Nghttp, Reqwest, is_here};
use crate::common::{OTHER_VERSION, Seen, Stored, VERSION};
use crate::net::Certificates;

const HLS: &str = "application/vnd.apple.mpegurl";
const DASH: &str = "application/dash+xml";
const MANIFEST: &str = "public, max-age=2, stale-while-revalidate=60";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const TEXT: &str = "text/plain; charset=utf-8";
const METHODS: &str = "GET, HEAD, OPTIONS";
const POSTING: &str = "POST, OPTIONS";
/// A text below this many bytes is not worth coding.
const CODED_BYTES: usize = 512;

/// One URL and what it stands for.
#[derive(Clone)]
struct Thing {
    path: String,
    is: Is,
}

#[derive(Clone)]
enum Is {
    /// Its forms, plain first; a second one is gzip.
    Found { kind: &'static str, lifetime: &'static str, is_text: bool, forms: Vec<Form> },
    /// What is true only now; it has neither tag nor ranges. Its type, and the body.
    Now(&'static str, Vec<u8>),
    /// What a POST of the request gets.
    Licence { request: String, answer: String },
    /// A redirect to a URL that ends so.
    Elsewhere(String),
    /// Nothing: status, error, Cache-Control; and whether its URL is one of ours.
    Missing(u16, &'static str, &'static str, bool),
}

#[derive(Clone)]
struct Form {
    body: Vec<u8>,
    tag: String,
}

/// What Range asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ranges {
    None,
    /// The first and the last byte, counted from the start.
    Between(usize, usize),
    Far,
    From(usize),
    Last(usize),
    LastOfAll,
    Beyond,
    LastNone,
    Several,
    OtherUnit,
    Backwards,
    Twice,
}

/// What the other conditions ask for. `Own` is the tag of the form that is sent, `Plain` that of the
/// plain one, `Other` that of neither.
#[derive(Clone, Copy, Debug, PartialEq)]
enum If {
    Nothing,
    MatchOwn,
    MatchOther,
    MatchWeak,
    MatchAny,
    MatchListed,
    MatchSecondLine,
    NoneMatchOwn,
    NoneMatchPlain,
    NoneMatchWeak,
    NoneMatchAny,
    NoneMatchOther,
    NoneMatchListed,
    NoneMatchSecondLine,
    MatchOwnNoneMatchOwn,
    MatchOtherNoneMatchOwn,
    RangeOwn,
    RangeOther,
    RangeWeak,
    RangeDate,
    ModifiedSince,
    UnmodifiedSince,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Accepts {
    Unsaid,
    Gzip,
    NoGzip,
    Anything,
    RatherPlain,
}

const RANGES: [Ranges; 16] = [
    Ranges::None,
    Ranges::Between(0, 0),
    Ranges::Between(3, 9),
    Ranges::Far,
    Ranges::From(0),
    Ranges::From(7),
    Ranges::Last(1),
    Ranges::Last(3),
    Ranges::LastOfAll,
    Ranges::Beyond,
    Ranges::LastNone,
    Ranges::Several,
    Ranges::OtherUnit,
    Ranges::Backwards,
    Ranges::Twice,
    Ranges::Between(1, 300),
];
const CONDITIONS: [If; 22] = [
    If::Nothing,
    If::MatchOwn,
    If::MatchOther,
    If::MatchWeak,
    If::MatchAny,
    If::MatchListed,
    If::MatchSecondLine,
    If::NoneMatchOwn,
    If::NoneMatchPlain,
    If::NoneMatchWeak,
    If::NoneMatchAny,
    If::NoneMatchOther,
    If::NoneMatchListed,
    If::NoneMatchSecondLine,
    If::MatchOwnNoneMatchOwn,
    If::MatchOtherNoneMatchOwn,
    If::RangeOwn,
    If::RangeOther,
    If::RangeWeak,
    If::RangeDate,
    If::ModifiedSince,
    If::UnmodifiedSince,
];
const ACCEPTED: [Accepts; 5] =
    [Accepts::Unsaid, Accepts::Gzip, Accepts::NoGzip, Accepts::Anything, Accepts::RatherPlain];

/// One request, by its meaning.
#[derive(Clone, Debug)]
struct Case {
    method: Method,
    ranges: Ranges,
    condition: If,
    accepts: Accepts,
}

/// What must come.
struct Wanted {
    status: u16,
    body: Vec<u8>,
    /// Every field but Date, Connection, X-Request-Id and Cache-Status.
    headers: Vec<(&'static str, String)>,
}

#[test]
fn every_url_method_range_condition_and_coding() {
    let bench = Bench::start();
    let (plain, tls, believed) = (bench.running.listen, bench.tls, &bench.certificate);
    let clients: Vec<Box<dyn Ask + Send>> = vec![
        Box::new(Reqwest::http1(plain)),
        Box::new(Hyper::http1_over_tls(tls, believed)),
        Box::new(Hyper::h2c(plain)),
        Box::new(Hyper::h2_over_tls(tls, believed)),
    ];
    let of_each = clients.len() * 15_000;
    let asked = bench.sees(clients, |thing| {
        let is_found = matches!(thing.is, Is::Found { .. });
        // Where there is nothing to select from, a few of the forms are enough.
        every_case().into_iter().filter(|case| is_found || case.is_usual()).collect()
    });
    assert!(asked > of_each, "{asked} requests for {} URLs", bench.things.len());
}

#[test]
fn curl_sees_the_same_in_every_protocol() {
    if is_here("curl") {
        let bench = Bench::start();
        let (plain, tls) = (bench.running.listen, bench.tls);
        let clients: Vec<Box<dyn Ask + Send>> = vec![
            Box::new(Curl::http1(plain)),
            Box::new(Curl::h2c(plain)),
            Box::new(Curl::http1_over_tls(tls)),
            Box::new(Curl::h2_over_tls(tls)),
        ];
        bench.sees(clients, |_| few_cases());
    }
}

#[test]
fn nghttp_sees_the_same_over_http_2() {
    if is_here("nghttp") {
        let bench = Bench::start();
        let (plain, tls) = (bench.running.listen, bench.tls);
        let clients: Vec<Box<dyn Ask + Send>> =
            vec![Box::new(Nghttp::h2c(plain)), Box::new(Nghttp::h2_over_tls(tls))];
        bench.sees(clients, |_| few_cases());
    }
}

/// The binary over titles of every kind, and what it must answer.
struct Bench {
    running: Running,
    tls: SocketAddr,
    certificate: Certificate,
    things: Vec<Thing>,
    _stored: Stored,
    _files: Certificates,
}

impl Bench {
    fn start() -> Self {
        let (stored, files, tls) = (Stored::with_movie(), Certificates::new(), free_address());
        let certificate = files.write("a", &["a.example"], 90);
        let (cert, key) = (&certificate.cert, &certificate.key);
        let settings = format!(
            "origin.page = true\norigin.tls.listen = [\"{tls}\"]\n\
             origin.tls.certificates = [{{ cert = {cert:?}, key = {key:?} }}]\n{}",
            beside::publish(&stored)
        );
        let running = Running::start(&stored, &settings);
        let mut client = Reqwest::http1(running.listen);
        let mut things = things(&stored, &mut client);
        things.extend(beside::things(&stored, &mut client));
        Self { running, tls, certificate, things, _stored: stored, _files: files }
    }

    /// What these cases of each URL get by each client, side by side; how many requests that were.
    fn sees<C>(&self, mut clients: Vec<Box<dyn Ask + Send>>, cases: C) -> usize
    where
        C: Fn(&Thing) -> Vec<Case> + Sync,
    {
        let asked = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| {
                    for thing in &self.things {
                        for case in cases(thing) {
                            check(&mut **client, thing, &case);
                            asked.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        asked.into_inner()
    }
}

impl Case {
    fn is_usual(&self) -> bool {
        matches!(self.ranges, Ranges::None | Ranges::Beyond) && self.accepts == Accepts::Unsaid
    }
}

fn every_case() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |method, ranges, condition, accepts| {
        cases.push(Case { method, ranges, condition, accepts });
    };
    for condition in CONDITIONS {
        for ranges in RANGES {
            for accepts in [Accepts::Unsaid, Accepts::Gzip] {
                add(Method::GET, ranges, condition, accepts);
            }
        }
        for ranges in [Ranges::None, Ranges::Between(3, 9), Ranges::Beyond] {
            for method in [Method::HEAD, Method::OPTIONS, Method::POST, Method::DELETE] {
                add(method.clone(), ranges, condition, Accepts::Unsaid);
                add(method, ranges, condition, Accepts::Gzip);
            }
        }
        for accepts in ACCEPTED {
            add(Method::GET, Ranges::None, condition, accepts);
        }
    }
    cases
}

/// One of each kind of answer, for clients that are a process each time.
fn few_cases() -> Vec<Case> {
    let case = |method: &Method, ranges, condition, accepts| Case {
        method: method.clone(),
        ranges,
        condition,
        accepts,
    };
    let (get, head) = (Method::GET, Method::HEAD);
    vec![
        case(&get, Ranges::None, If::Nothing, Accepts::Unsaid),
        case(&get, Ranges::None, If::Nothing, Accepts::Gzip),
        case(&head, Ranges::None, If::Nothing, Accepts::Gzip),
        case(&head, Ranges::Between(3, 9), If::Nothing, Accepts::Unsaid),
        case(&get, Ranges::Between(3, 9), If::RangeOwn, Accepts::Unsaid),
        case(&get, Ranges::Last(3), If::Nothing, Accepts::Gzip),
        case(&get, Ranges::Between(3, 9), If::RangeOther, Accepts::Unsaid),
        case(&get, Ranges::Beyond, If::Nothing, Accepts::Unsaid),
        case(&get, Ranges::None, If::NoneMatchOwn, Accepts::Gzip),
        case(&head, Ranges::None, If::NoneMatchWeak, Accepts::Unsaid),
        case(&get, Ranges::None, If::MatchOther, Accepts::Unsaid),
        case(&Method::OPTIONS, Ranges::None, If::Nothing, Accepts::Unsaid),
        case(&Method::DELETE, Ranges::None, If::Nothing, Accepts::Unsaid),
        case(&Method::POST, Ranges::None, If::Nothing, Accepts::Unsaid),
    ]
}

fn check(client: &mut dyn Ask, thing: &Thing, case: &Case) {
    let wanted = wanted(thing, case);
    let body = match &thing.is {
        Is::Licence { request, .. } if case.method == Method::POST => request,
        _ => "",
    };
    let seen = client.send(&case.method, &thing.path, &fields(thing, case), body);
    let what = || format!("{}: {} {case:?}", client.name(), thing.path);
    assert_eq!(seen.status, wanted.status, "{}", what());
    let headers = told(&seen);
    assert_eq!(headers, lines(&wanted.headers), "{}", what());
    if client.shows_coded() || seen.header("content-encoding").is_empty() {
        assert!(seen.body == wanted.body, "{}: {} bytes came", what(), seen.body.len());
    }
    assert_eq!(seen.request_id.len(), 32, "{}", what());
    if let (Is::Elsewhere(end), 302) = (&thing.is, seen.status) {
        assert!(seen.header("location").ends_with(end), "{}", what());
    }
}

/// The header of an answer as sorted lines, without what is the codec's.
fn told(seen: &Seen) -> String {
    // Where a redirect leads is looked at by itself: there is a fresh token in it.
    let others = ["date", "connection", "location"];
    let fields = seen.headers.iter().filter(|(name, _)| !others.contains(&name.as_str()));
    let fields: Vec<_> =
        fields.map(|(name, value)| (name.as_str(), value.to_str().unwrap().to_owned())).collect();
    lines(&fields)
}

fn lines(fields: &[(&str, String)]) -> String {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable();
    sorted.iter().fold(String::new(), |mut all, (name, value)| {
        let _ = writeln!(all, "{name}: {value}");
        all
    })
}

/// The model: what a request must be answered with.
fn wanted(thing: &Thing, case: &Case) -> Wanted {
    let refused = |status, error, lifetime| failure(case, status, error, lifetime);
    if let Is::Missing(status, error, lifetime, false) = &thing.is {
        return refused(*status, error, lifetime);
    }
    let takes_body = matches!(thing.is, Is::Licence { .. });
    let methods = if takes_body { POSTING } else { METHODS };
    match case.method {
        Method::GET | Method::HEAD if !takes_body => {}
        Method::POST if takes_body => {}
        Method::OPTIONS => return preflight(methods),
        _ => {
            let error = if takes_body { "method_refused_of_post" } else { "method_refused" };
            let mut wanted = refused(405, error, "no-store");
            wanted.headers.push(("allow", methods.to_owned()));
            return wanted;
        }
    }
    let (kind, lifetime, is_text, forms) = match &thing.is {
        Is::Missing(status, error, lifetime, _) => return refused(*status, error, lifetime),
        Is::Now(kind, body) => return true_now(case, kind, body),
        Is::Licence { answer, .. } => {
            return true_now(case, "application/json", answer.as_bytes());
        }
        Is::Elsewhere(_) => {
            return answer(case, 302, vec![("cache-control", "no-store".to_owned())], &[]);
        }
        Is::Found { kind, lifetime, is_text, forms } => (kind, lifetime, *is_text, forms),
    };
    let form = sent_form(forms, case);
    if matches!(case.condition, If::MatchOther | If::MatchWeak | If::MatchOtherNoneMatchOwn) {
        return refused(412, "precondition_failed", "no-store");
    }
    let mut headers = vec![("etag", form.tag.clone()), ("cache-control", (*lifetime).to_owned())];
    if is_text {
        headers.push(("vary", "accept-encoding".to_owned()));
    }
    if is_held(forms, form, case.condition) {
        headers.extend(for_pages());
        return Wanted { status: 304, body: Vec::new(), headers };
    }
    headers.push(("content-type", (*kind).to_owned()));
    headers.push(("accept-ranges", "bytes".to_owned()));
    if form.tag != forms[0].tag {
        headers.push(("content-encoding", "gzip".to_owned()));
    }
    let continued = !matches!(case.condition, If::RangeOther | If::RangeWeak | If::RangeDate);
    if case.method != Method::GET || !continued {
        return answer(case, 200, headers, &form.body);
    }
    let len = form.body.len();
    match selected(case.ranges, len) {
        None => answer(case, 200, headers, &form.body),
        Some((from, to)) if from < to => {
            headers.push(("content-range", format!("bytes {from}-{}/{len}", to - 1)));
            answer(case, 206, headers, &form.body[from..to])
        }
        Some(_) => {
            let mut wanted = refused(416, "range_not_satisfiable", "no-store");
            wanted.headers.push(("content-range", format!("bytes */{len}")));
            wanted
        }
    }
}

/// Gzip, if there is such a form and it is wanted at least as much as the plain one.
fn sent_form<'a>(forms: &'a [Form], case: &Case) -> &'a Form {
    match case.accepts {
        Accepts::Gzip | Accepts::Anything => &forms[forms.len() - 1],
        Accepts::Unsaid | Accepts::NoGzip | Accepts::RatherPlain => &forms[0],
    }
}

/// Whether the client has the form that would be sent.
fn is_held(forms: &[Form], form: &Form, condition: If) -> bool {
    match condition {
        If::NoneMatchPlain => form.tag == forms[0].tag,
        If::NoneMatchOwn
        | If::NoneMatchWeak
        | If::NoneMatchAny
        | If::NoneMatchListed
        | If::NoneMatchSecondLine
        | If::MatchOwnNoneMatchOwn => true,
        _ => false,
    }
}

/// The half-open range that is sent: `None` for the whole, an empty one for none that exists.
fn selected(ranges: Ranges, len: usize) -> Option<(usize, usize)> {
    match ranges {
        Ranges::Between(first, last) => Some((first, len.min(last + 1))),
        Ranges::Far => Some((len - 1, len)),
        Ranges::From(first) => Some((first, len)),
        Ranges::Last(count) => Some((len - count, len)),
        Ranges::LastOfAll => Some((0, len)),
        Ranges::Beyond | Ranges::LastNone => Some((0, 0)),
        // Several ranges are answered with the whole; what makes no sense is ignored.
        Ranges::None | Ranges::Several | Ranges::OtherUnit | Ranges::Backwards | Ranges::Twice => {
            None
        }
    }
}

fn true_now(case: &Case, kind: &str, body: &[u8]) -> Wanted {
    let headers = vec![("content-type", kind.to_owned()), ("cache-control", "no-store".to_owned())];
    answer(case, 200, headers, body)
}

fn preflight(methods: &str) -> Wanted {
    let headers = vec![
        ("allow", methods.to_owned()),
        ("access-control-allow-origin", "*".to_owned()),
        ("access-control-allow-methods", methods.to_owned()),
        ("access-control-allow-headers", "*, Authorization, Content-Type, Range".to_owned()),
        ("access-control-max-age", "86400".to_owned()),
    ];
    Wanted { status: 204, body: Vec::new(), headers }
}

fn failure(case: &Case, status: u16, error: &str, lifetime: &str) -> Wanted {
    let detail = match error {
        "method_refused" => "use GET, HEAD or OPTIONS",
        "method_refused_of_post" => "use POST or OPTIONS",
        "precondition_failed" => "these are other bytes",
        "range_not_satisfiable" => "the range lies outside the body",
        "unknown_path" => "nothing has such a URL",
        "unknown_profile" => "no such profile",
        "unknown_title" => "no such title in this profile",
        "unknown_version" => "the title has no such version",
        "unknown_rev" => "this node makes other bytes; start again from the title's manifest",
        "unknown_track" => "the version has no such track",
        "unknown_segment" => "the track has no such segment or file",
        "token_missing" => "a token is needed",
        "keys_not_delivered" => "the profile hands out no keys",
        "malformed_url" => "percent-encoding and special characters are not used",
        _ => "",
    };
    let error = error.trim_end_matches("_of_post");
    let body = format!("{{\"error\":\"{error}\",\"detail\":\"{detail}\"}}\n");
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("cache-control", lifetime.to_owned()),
    ];
    if status == 401 {
        headers.push(("www-authenticate", "Bearer".to_owned()));
    }
    if case.method == Method::OPTIONS {
        // Of a URL that is none: still a preflight, so that the page may see the failure.
        headers.extend(preflight(METHODS).headers.into_iter().filter(|(name, _)| *name != "allow"));
        headers.push(("content-length", body.len().to_string()));
        return Wanted { status, body: body.into_bytes(), headers };
    }
    answer(case, status, headers, body.as_bytes())
}

/// An answer with a body, which a HEAD is only told the length of.
fn answer(
    case: &Case,
    status: u16,
    mut headers: Vec<(&'static str, String)>,
    body: &[u8],
) -> Wanted {
    headers.push(("content-length", body.len().to_string()));
    headers.extend(for_pages());
    let body = if case.method == Method::HEAD { Vec::new() } else { body.to_vec() };
    Wanted { status, body, headers }
}

fn for_pages() -> Vec<(&'static str, String)> {
    let exposed =
        "Accept-Ranges, Age, Cache-Status, Content-Length, Content-Range, Date, ETag, X-Request-Id";
    vec![
        ("access-control-allow-origin", "*".to_owned()),
        ("access-control-expose-headers", exposed.to_owned()),
        ("timing-allow-origin", "*".to_owned()),
    ]
}

/// What is sent to ask that.
fn fields(thing: &Thing, case: &Case) -> Fields {
    let mut fields = Fields::new();
    let plain = Form { body: vec![0; 1000], tag: "\"anything\"".to_owned() };
    let (form, plain) = match &thing.is {
        Is::Found { forms, .. } => (sent_form(forms, case), &forms[0]),
        _ => (&plain, &plain),
    };
    let (own, weak, other) = (form.tag.clone(), format!("W/{}", form.tag), "\"0\"".to_owned());
    let date = || "Fri, 20 Nov 2026 08:00:00 GMT".to_owned();
    let conditions: Vec<(&'static str, String)> = match case.condition {
        If::Nothing => vec![],
        If::MatchOwn => vec![("if-match", own)],
        If::MatchOther => vec![("if-match", other)],
        If::MatchWeak => vec![("if-match", weak)],
        If::MatchAny => vec![("if-match", "*".to_owned())],
        If::MatchListed => vec![("if-match", format!("{other}, \"a,b\" ,{own}"))],
        If::MatchSecondLine => vec![("if-match", other), ("if-match", own)],
        If::NoneMatchOwn => vec![("if-none-match", own)],
        If::NoneMatchPlain => vec![("if-none-match", plain.tag.clone())],
        If::NoneMatchWeak => vec![("if-none-match", weak)],
        If::NoneMatchAny => vec![("if-none-match", "*".to_owned())],
        If::NoneMatchOther => vec![("if-none-match", other)],
        If::NoneMatchListed => vec![("if-none-match", format!("{other},{weak}"))],
        If::NoneMatchSecondLine => vec![("if-none-match", other), ("if-none-match", own)],
        If::MatchOwnNoneMatchOwn => vec![("if-none-match", own.clone()), ("if-match", own)],
        If::MatchOtherNoneMatchOwn => vec![("if-none-match", own), ("if-match", other)],
        If::RangeOwn => vec![("if-range", own)],
        If::RangeOther => vec![("if-range", other)],
        If::RangeWeak => vec![("if-range", weak)],
        If::RangeDate => vec![("if-range", date())],
        If::ModifiedSince => vec![("if-modified-since", date())],
        If::UnmodifiedSince => vec![("if-unmodified-since", date())],
    };
    fields.extend(conditions);
    let len = form.body.len();
    let ranges: &[String] = &match case.ranges {
        Ranges::None => vec![],
        Ranges::Between(first, last) => vec![format!("bytes={first}-{last}")],
        Ranges::Far => vec![format!("bytes={}-99999999999999999999", len - 1)],
        Ranges::From(first) => vec![format!("bytes={first}-")],
        Ranges::Last(count) => vec![format!("bytes=-{count}")],
        Ranges::LastOfAll => vec![format!("bytes=-{}", len + 5)],
        Ranges::Beyond => vec![format!("bytes={len}-{}", len + 5)],
        Ranges::LastNone => vec!["bytes=-0".to_owned()],
        Ranges::Several => vec!["bytes=0-1, 4-5".to_owned()],
        Ranges::OtherUnit => vec!["seconds=0-1".to_owned()],
        Ranges::Backwards => vec!["bytes=5-4".to_owned()],
        Ranges::Twice => vec!["bytes=0-1".to_owned(), "bytes=0-1".to_owned()],
    };
    fields.extend(ranges.iter().map(|range| ("range", range.clone())));
    let accepts = match case.accepts {
        Accepts::Unsaid => return fields,
        Accepts::Gzip => "gzip, deflate, br",
        Accepts::NoGzip => "br, gzip;q=0",
        Accepts::Anything => "*;q=0.1",
        Accepts::RatherPlain => "gzip;q=0.2, identity;q=0.3",
    };
    fields.push(("accept-encoding", accepts.to_owned()));
    fields
}

/// One URL of each kind, and what is wrong in each way.
fn things(stored: &Stored, client: &mut dyn Ask) -> Vec<Thing> {
    let master = client.ask(&Method::GET, "/clear/movie/master.m3u8", &Fields::new());
    let master = String::from_utf8(master.body).unwrap();
    let bound = master.lines().find_map(|line| line.split_once("/v720/")).unwrap().0;
    let rev = bound.split_once('.').unwrap().1;
    let base = format!("/clear/movie/{bound}");
    let mut things = Vec::new();
    for (path, kind) in [
        ("/clear/movie/master.m3u8".to_owned(), HLS),
        ("/clear/movie/manifest.mpd".to_owned(), DASH),
        (format!("{base}/master.m3u8"), HLS),
        (format!("{base}/manifest.mpd"), DASH),
        (format!("{base}/v720/index.m3u8"), HLS),
        (format!("{base}/v720/iframes.m3u8"), HLS),
        (format!("{base}/a-en/index.m3u8"), HLS),
    ] {
        things.push(text(client, path, kind, MANIFEST));
    }
    things.push(text(client, "/".to_owned(), "text/html; charset=utf-8", "no-cache"));
    things.push(text(client, "/titles.json".to_owned(), "application/json", "no-cache"));
    for (file, kind, body) in [
        ("v720/init.mp4", "video/mp4", stored.track("v720").init.clone()),
        ("a-en/init.mp4", "audio/mp4", stored.track("a-en").init.clone()),
        ("v720/1.m4s", "video/mp4", stored.track("v720").segment(1)),
        ("v360/2.m4s", "video/mp4", stored.track("v360").segment(2)),
        ("a-en/4.m4s", "audio/mp4", stored.track("a-en").segment(4)),
    ] {
        let path = format!("{base}/{file}");
        let head = client.ask(&Method::HEAD, &path, &Fields::new());
        let forms = vec![Form { body, tag: tag_of(&head) }];
        things.push(Thing {
            path,
            is: Is::Found { kind, lifetime: IMMUTABLE, is_text: false, forms },
        });
    }
    things.push(Thing { path: "/healthz".to_owned(), is: Is::Now(TEXT, b"ok\n".to_vec()) });
    things.push(Thing { path: "/readyz".to_owned(), is: Is::Now(TEXT, b"ready\n".to_vec()) });
    let few = "public, max-age=2";
    for (path, status, error, lifetime, ours) in [
        ("/clear/none/master.m3u8".to_owned(), 404, "unknown_title", few, true),
        ("/other/movie/master.m3u8".to_owned(), 404, "unknown_profile", few, true),
        (
            format!("/clear/movie/{OTHER_VERSION}.{rev}/v720/1.m4s"),
            404,
            "unknown_version",
            few,
            true,
        ),
        (
            format!("/clear/movie/{VERSION}.00000000/v720/1.m4s"),
            404,
            "unknown_rev",
            "no-store",
            true,
        ),
        (format!("{base}/v1080/1.m4s"), 404, "unknown_track", few, true),
        (format!("{base}/v720/5.m4s"), 404, "unknown_segment", few, true),
        (format!("{base}/v720/0.m4s"), 404, "unknown_path", "no-store", false),
        ("/clear/%6dovie/master.m3u8".to_owned(), 400, "malformed_url", "no-store", false),
    ] {
        things.push(Thing { path, is: Is::Missing(status, error, lifetime, ours) });
    }
    things
}

/// A text in its forms, as first got; that they are one text is checked here.
fn text(client: &mut dyn Ask, path: String, kind: &'static str, lifetime: &'static str) -> Thing {
    let plain = client.ask(&Method::GET, &path, &Fields::new());
    let gzip = vec![("accept-encoding", "gzip".to_owned())];
    let gzip = client.ask(&Method::GET, &path, &gzip);
    let mut forms = vec![Form { tag: tag_of(&plain), body: plain.body }];
    if forms[0].body.len() >= CODED_BYTES {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut text).unwrap();
        assert!(text == forms[0].body, "{path}: gzip of something else");
        assert_ne!(tag_of(&gzip), forms[0].tag, "{path}: other bytes under one tag");
        forms.push(Form { tag: tag_of(&gzip), body: gzip.body });
    }
    Thing { path, is: Is::Found { kind, lifetime, is_text: true, forms } }
}

fn tag_of(seen: &Seen) -> String {
    let tag = seen.header("etag").to_owned();
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    assert!(inner.is_some_and(|inner| !inner.is_empty() && !inner.contains(['"', ','])), "{tag}");
    tag
}
