//! Accounts for one answer: from the request's arrival until the last byte was given to the
//! connection, or the connection was gone. Then, exactly once, metrics, access log and span.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Method, StatusCode, Uri, Version};

use headwater_packager::ids::{TitleId, VersionId};

use crate::access::carrier;
use crate::access_log::{AccessLog, Line};
use crate::client::{Client, Trust};
use crate::clients::Seat;
use crate::exchange::Request;
use crate::metrics::Metrics;
use crate::telemetry::{Asked, Span, Telemetry};
use crate::trace::{self, Trace};
use crate::within::Within;

/// What log and metrics say where the client left before an answer was ready. Never sent; nginx
/// made the number known.
const CLIENT_GONE_STATUS: u16 = 499;
const CLIENT_GONE: &str = "client_gone";

/// The account of one answer. Closed when dropped.
#[derive(Debug)]
pub struct Delivery {
    /// Who asked, for what is done for it too.
    within: Within,
    arrived: Instant,
    arrived_at: SystemTime,
    remote: Option<std::net::IpAddr>,
    method: Method,
    uri: Uri,
    /// The path, where it holds what no log may.
    redacted: Option<String>,
    user_agent: Option<HeaderValue>,
    version: Version,
    over_tls: bool,
    /// What the service found out about the request on its way.
    pub about: About,
    /// None while no answer is ready.
    status: Option<StatusCode>,
    sent_bytes: u64,
}

/// Who asked, and what ties the request to others.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who asked.
    pub client: Client,
    /// The request's id, which the answer carries too.
    pub request_id: HeaderValue,
    /// The traceparent, if one came that is one.
    pub traceparent: Option<HeaderValue>,
}

/// Where accounts are kept.
#[derive(Debug)]
pub struct Books {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Lines.
    pub access_log: AccessLog,
    /// Spans.
    pub telemetry: Arc<Telemetry>,
}

/// Facts about a request that are known once it was routed and answered.
#[derive(Debug, Default)]
pub struct About {
    /// Kind of resource; a metric label.
    pub kind: &'static str,
    /// Which URL it was, with names in braces.
    pub route: Option<&'static str>,
    /// The response cache's part in it.
    pub cache: CacheUse,
    /// The title asked for.
    pub title: Option<TitleId>,
    /// The version that answered.
    pub version: Option<VersionId>,
    /// The failure's name.
    pub error: Option<&'static str>,
    /// Why access was refused; the client is not told.
    pub reason: Option<&'static str>,
    /// The client's, for as long as it is answered.
    pub seat: Option<Seat>,
}

/// Whether the response cache had the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// It was not asked, or the body was not needed.
    #[default]
    None,
    /// It had it.
    Hit,
    /// It had to be made.
    Miss {
        /// It is kept.
        stored: bool,
        /// Another request had it made.
        collapsed: bool,
    },
}

impl Delivery {
    /// Opens the account of a request that arrived `now`.
    pub fn open(
        books: &Arc<Books>,
        request: &Request,
        caller: Caller,
        now: Instant,
        at: SystemTime,
    ) -> Self {
        let trace = caller.trace();
        let span = books.telemetry.sample(trace, caller.client.behind_proxy);
        Self {
            redacted: match carrier::redacted(request.uri.path()) {
                Cow::Owned(path) => Some(path),
                Cow::Borrowed(_) => None,
            },
            within: Within::new(caller, span, books),
            arrived: now,
            arrived_at: at,
            remote: request.remote,
            method: request.method.clone(),
            uri: request.uri.clone(),
            user_agent: request.headers.get(http::header::USER_AGENT).cloned(),
            version: request.version,
            over_tls: request.over_tls,
            about: About::default(),
            status: None,
            sent_bytes: 0,
        }
    }

    /// The request, for what is done for it.
    pub fn within(&self) -> Within {
        self.within.clone()
    }

    /// The answer is ready to be sent.
    pub fn answered(&mut self, status: StatusCode) {
        self.ended(status);
        let taken = self.arrived.elapsed().as_secs_f64();
        let metrics = &self.within.books().metrics;
        metrics.settled.answered(&metrics.answer_seconds, self.about.kind, taken);
    }

    /// Some bytes of the body were given to the connection.
    pub fn sent(&mut self, bytes: u64) {
        self.sent_bytes += bytes;
    }

    fn ended(&mut self, status: StatusCode) {
        self.status = Some(status);
        let metrics = &self.within.books().metrics;
        metrics.settled.request(&metrics.requests, self.about.kind, status);
        if let Some(error) = self.about.error {
            metrics.failures.with_label_values(&[error]).inc();
        }
        if let Some(reason) = self.about.reason {
            metrics.refusals.with_label_values(&[reason]).inc();
        }
    }

    /// Nobody was answered: the client left, or the service broke off.
    fn given_up(&mut self) {
        if std::thread::panicking() {
            self.about.error = Some("internal");
            self.ended(StatusCode::INTERNAL_SERVER_ERROR);
        } else {
            self.about.error = Some(CLIENT_GONE);
            let status = StatusCode::from_u16(CLIENT_GONE_STATUS);
            self.ended(status.expect("499 lies among the status codes"));
        }
    }

    fn line(&self, status: StatusCode, taken: Duration) -> Line<'_> {
        Line {
            at: self.arrived_at,
            request_id: text(&self.within.caller().request_id).unwrap_or_default(),
            remote: self.remote,
            client: self.within.caller().client.address,
            method: self.method.as_str(),
            path: self.redacted.as_deref().unwrap_or_else(|| self.uri.path()),
            status: status.as_u16(),
            sent_bytes: self.sent_bytes,
            duration_us: u64::try_from(taken.as_micros()).unwrap_or(u64::MAX),
            cache: self.about.cache.as_str(),
            title: self.about.title.as_ref(),
            version: self.about.version,
            error: self.about.error,
            reason: self.about.reason,
            user_agent: self.user_agent.as_ref().and_then(text),
            trace: self.within.caller().trace(),
            span: self.within.context(),
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.given_up();
        }
        let Some(status) = self.status else { return };
        let (books, span) = (self.within.books(), self.within.context());
        let metrics = &books.metrics;
        metrics.settled.sent(&metrics.sent_bytes, self.about.kind, self.sent_bytes);
        if !books.access_log.is_on() && span.is_none() {
            return;
        }
        let line = self.line(status, self.arrived.elapsed());
        if let Some(span) = span {
            let (kind, route) = (self.about.kind, self.about.route);
            let (over_tls, http_version) = (self.over_tls, self.version);
            let asked = Asked { kind, route, over_tls, http_version };
            books.telemetry.record(Span::of_request(span, &line, asked));
        }
        books.access_log.write(&line);
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

impl Caller {
    /// What a request says of itself, as far as it is believed.
    pub fn of(request: &Request, trust: &Trust) -> Self {
        let client = trust.client(request);
        let request_id = trace::request_id(request, &client);
        let traceparent = trace::of_request(request);
        Self { client, request_id, traceparent: traceparent.cloned() }
    }

    /// The trace that it says it belongs to.
    pub fn trace(&self) -> Option<Trace<'_>> {
        self.traceparent.as_ref().and_then(text).and_then(trace::parse)
    }
}

impl CacheUse {
    /// Something had to be made, and nothing more is known yet.
    pub const MISS: Self = Self::Miss { stored: false, collapsed: false };

    /// The word in the access log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hit => "hit",
            Self::Miss { collapsed: false, .. } => "miss",
            Self::Miss { collapsed: true, .. } => "collapsed",
        }
    }
}
