//! What passes between the codec and the service: a request's view and its answer. Neither knows
//! which HTTP version or library is on the wire.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::AsHeaderName;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::delivery::Delivery;
use crate::slices::Slices;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The header.
    pub headers: HeaderMap,
    /// Whether bytes of a body follow or are announced that nobody read.
    pub has_body: bool,
    /// The body, where the answer depends on one: [`takes_body`](crate::route::takes_body).
    pub body: Bytes,
    /// Whether it is HTTP/1.1 and does not name exactly one Host (RFC 9112 3.2).
    pub lacks_host: bool,
    /// Who is at the other end of the connection.
    pub remote: Option<IpAddr>,
    /// The version of HTTP that it came in.
    pub version: Version,
    /// Whether it came over TLS.
    pub over_tls: bool,
}

impl Request {
    /// The value of a field that holds one thing, if it occurs once and is text.
    pub fn field(&self, name: impl AsHeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    }

    /// The values of a field that holds a list, line by line: several lines are one list (RFC 9110
    /// 5.2). Lines that are no text are left out.
    pub fn lines(&self, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|line| line.to_str().ok())
    }

    /// Whether this is `OPTIONS *`, which asks about the server and not about a resource
    /// (RFC 9110 9.3.7).
    pub fn asks_for_options_of_all(&self) -> bool {
        let about_all = self.method == Method::OPTIONS && self.uri.path() == "*";
        about_all && !self.has_body && !self.lacks_host
    }

    /// Whether only the head of the answer is asked for.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

/// What is sent back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Everything but Date, Connection and, where there is a body, Content-Length: those are the
    /// codec's.
    pub headers: HeaderMap,
    /// The body; empty where none is sent.
    pub body: Slices,
    /// Accounts for what becomes of it; requests to the admin port have no account.
    pub delivery: Option<Box<Delivery>>,
}
