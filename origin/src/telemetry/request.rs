//! The span of a request: what the access log's line says, by the names of OpenTelemetry's
//! conventions for HTTP servers, and `headwater.*` for what these have no name for.
//!
//! The line has no token and no query, so the span has none either.

use std::borrow::Cow;
use std::time::Duration;

use http::Version;

use super::{Context, Kind, Span, Value};
use crate::access_log::{Line, shortened};

/// Methods that are said as they came; what else clients think of would be a name for each.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// A status that was never sent; see `delivery`.
const CLIENT_GONE_STATUS: u16 = 499;

/// What a span says beside what the line does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Kind of resource.
    pub kind: &'static str,
    /// Which URL it was, with names in braces.
    pub route: Option<&'static str>,
    /// Whether it came over TLS.
    pub over_tls: bool,
    /// The version of HTTP.
    pub http_version: Version,
}

impl Span {
    /// The span of a request.
    pub fn of_request(context: Context, line: &Line<'_>, asked: Asked) -> Self {
        let method = METHODS.iter().find(|method| **method == line.method);
        let name = match (method, asked.route) {
            (Some(method), Some(route)) => Cow::Owned(format!("{method} {route}")),
            (Some(method), None) => Cow::Borrowed(*method),
            // No method is called HTTP: the conventions' word for any other.
            (None, Some(route)) => Cow::Owned(format!("HTTP {route}")),
            (None, None) => Cow::Borrowed("HTTP"),
        };
        let is_error = line.status >= 500;
        let mut attributes = vec![
            ("http.request.method", Value::word(method.copied().unwrap_or("_OTHER"))),
            ("url.path", Value::text(line.path)),
            ("url.scheme", Value::word(if asked.over_tls { "https" } else { "http" })),
            ("network.protocol.version", Value::word(version(asked.http_version))),
            ("http.response.body.size", Value::count(line.sent_bytes)),
            ("headwater.kind", Value::word(asked.kind)),
            ("headwater.cache", Value::word(line.cache)),
            ("headwater.request_id", Value::text(line.request_id)),
        ];
        let mut add = |name, value: Option<Value>| attributes.extend(value.map(|v| (name, v)));
        add("http.request.method_original", method.is_none().then(|| Value::text(line.method)));
        add("http.route", asked.route.map(Value::word));
        // Nothing was sent where the client had gone.
        let was_sent = line.status != CLIENT_GONE_STATUS;
        let status = was_sent.then_some(Value::Number(line.status.into()));
        add("http.response.status_code", status);
        add("client.address", line.client.map(|client| Value::text(&client.to_string())));
        add("network.peer.address", line.remote.map(|peer| Value::text(&peer.to_string())));
        add("user_agent.original", line.user_agent.map(|agent| Value::text(shortened(agent))));
        // A client's mistake is no error of a server's span.
        let fault = line.error.filter(|_| is_error || !was_sent);
        add("error.type", fault.map(Value::word));
        add("headwater.error", line.error.map(Value::word));
        add("headwater.reason", line.reason.map(Value::word));
        add("headwater.title", line.title.map(|title| Value::text(title.as_str())));
        add("headwater.version", line.version.map(|version| Value::text(&version.to_string())));
        let taken = Duration::from_micros(line.duration_us);
        Self { context, name, kind: Kind::Server, start: line.at, taken, attributes, is_error }
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    const LINE: Line<'_> = Line {
        at: SystemTime::UNIX_EPOCH,
        request_id: "r",
        remote: None,
        client: None,
        method: "GET",
        path: "/a",
        status: 200,
        sent_bytes: 0,
        duration_us: 7,
        cache: "none",
        title: None,
        version: None,
        error: None,
        reason: None,
        user_agent: None,
        trace: None,
        span: None,
    };

    fn span(line: &Line<'_>, asked: Asked) -> (Span, BTreeMap<&'static str, String>) {
        let span = Span::of_request(Context::under(None), line, asked);
        let text = |value: &Value| match value {
            Value::Text(text) => text.to_string(),
            Value::Number(number) => number.to_string(),
        };
        let attributes = span.attributes.iter().map(|(name, value)| (*name, text(value)));
        let attributes = attributes.collect();
        (span, attributes)
    }

    #[test]
    fn whose_fault_it_was() {
        // status, our word for it; status_code, error.type, headwater.error, whether it is an error
        for (status, error, wanted) in [
            (200, None, (Some("200"), None, None, false)),
            (404, Some("unknown_title"), (Some("404"), None, Some("unknown_title"), false)),
            (499, Some("client_gone"), (None, Some("client_gone"), Some("client_gone"), false)),
            (503, Some("overloaded"), (Some("503"), Some("overloaded"), Some("overloaded"), true)),
        ] {
            let (span, said) = span(&Line { status, error, ..LINE }, Asked::default());
            let said = |name| said.get(name).map(String::as_str);
            let code = said("http.response.status_code");
            let got = (code, said("error.type"), said("headwater.error"), span.is_error);
            assert_eq!(got, wanted, "{status}");
        }
    }

    #[test]
    fn what_it_is_called() {
        for (method, route, wanted) in [
            ("GET", Some("/{a}"), "GET /{a}"),
            ("GET", None, "GET"),
            ("get", Some("/{a}"), "HTTP /{a}"),
            ("BREW", None, "HTTP"),
        ] {
            let asked = Asked { route, ..Asked::default() };
            let (span, said) = span(&Line { method, ..LINE }, asked);
            assert_eq!((&*span.name, said.get("http.route").map(String::as_str)), (wanted, route));
            let known = method == "GET";
            assert_eq!(said["http.request.method"], if known { "GET" } else { "_OTHER" });
            assert_eq!(said.contains_key("http.request.method_original"), !known);
        }
        for (http_version, wanted) in
            [(Version::HTTP_10, "1.0"), (Version::HTTP_11, "1.1"), (Version::HTTP_2, "2")]
        {
            let (_, said) = span(&LINE, Asked { http_version, ..Asked::default() });
            assert_eq!(said["network.protocol.version"], wanted);
        }
    }

    #[test]
    fn what_comes_from_outside_is_cut() {
        let long = "\u{e4}".repeat(5_000);
        let line = Line {
            path: &long,
            method: &long,
            user_agent: Some(&long),
            request_id: &long[..128],
            ..LINE
        };
        let (_, said) = span(&line, Asked::default());
        let bytes: usize = said.values().map(String::len).sum();
        assert!(bytes < 2_048, "{bytes}");
        assert_eq!(said["url.path"].len(), crate::limits::SPAN_TEXT_BYTES);
    }
}
