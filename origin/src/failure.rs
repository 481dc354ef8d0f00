//! Everything that can go wrong with a request, and the only table that says what is answered,
//! logged and counted for it.
//!
//! A client is told what it can act on. Keys, offsets and causes inside the store go to the log.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use headwater_config::Name;
use http::{HeaderValue, StatusCode};
use tracing::Level;

use crate::access::Refusal;
use crate::keys::{KeyError, Kind};
use crate::limits;
use crate::metrics::Metrics;
use crate::within::Within;

/// Why a request is not answered with what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The URL could never name anything; why.
    MalformedUrl(&'static str),
    /// An HTTP/1.1 request without Host, or with several.
    HostRefused,
    /// Path and query are longer than `max_uri_bytes`.
    UrlTooLong,
    /// The request carries a body.
    BodyRefused,
    /// A method that this URL does not answer; whether it is the one that takes a body.
    MethodRefused {
        /// POST and OPTIONS are answered, and not GET, HEAD and OPTIONS.
        takes_body: bool,
    },
    /// The request passed this service before.
    LoopDetected,
    /// If-Match names other bytes.
    PreconditionFailed,
    /// The range lies outside a body of this many bytes.
    RangeNotSatisfiable(u64),
    /// No URL looks like this.
    UnknownPath,
    /// No profile has this name.
    UnknownProfile,
    /// No such title, or none that this profile serves, or a deleted one: not told apart.
    UnknownTitle,
    /// The profile is not for whoever asks; why is for the operator.
    AccessRefused(Refusal),
    /// The title has no live version yet.
    NothingLive,
    /// The title has no such version.
    UnknownVersion,
    /// Other settings or another output format shape this node's bytes.
    UnknownRev,
    /// The version has no such track.
    UnknownTrack,
    /// The track has no such segment or file.
    UnknownSegment,
    /// The profile does not offer this format.
    FormatNotOffered,
    /// The store holds something that contradicts itself.
    SourceDamaged(Cause),
    /// An object that heads name is not there: damage, unless the whole version was removed.
    MediaMissing(Cause),
    /// The store cannot be reached, failed or broke off.
    StoreUnavailable(Cause),
    /// The store refuses this service.
    StoreDenied(Cause),
    /// The store asks for fewer reads.
    StoreThrottled(Cause),
    /// The store did not answer in time.
    StoreTimeout(Cause),
    /// The profile hands out no keys.
    KeysNotDelivered,
    /// The version has no key of the wanted ids.
    UnknownKey,
    /// A body that asks for no keys; why.
    MalformedLicenceRequest(&'static str),
    /// There are no keys to encrypt with.
    Keys(KeyError),
    /// Bodies that are being read or sent take all the memory that they may, or too many wait for their
    /// turn.
    Overloaded,
    /// The client has as many requests at a time as it may.
    TooManyRequests,
    /// Who asks on the admin port may read there and no more.
    AdminRefused,
    /// Another warm-up was asked for and has not ended.
    WarmingUp,
    /// A bug of ours.
    Internal(String),
}

/// Where in the store, and what was found there. For the log alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Which kind of object.
    pub part: Part,
    /// The object's key.
    pub key: String,
    /// What was expected and what came, with the offset where there is one.
    pub detail: String,
}

/// Kinds of stored objects, as metric and log call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `title.json`.
    Pointer,
    /// `heads.bin`.
    Heads,
    /// A track file.
    Media,
    /// The folder of titles.
    List,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is answered.
    pub status: StatusCode,
    /// `error` in the body, in the access log and as metric label.
    pub error: &'static str,
    /// `detail` in the body.
    pub detail: &'static str,
    /// How loud the service's own log is about it.
    pub level: Level,
    /// How long a shared cache may believe it.
    pub believed: Believed,
}

/// What Cache-Control and Retry-After say about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// Nothing is kept: `no-store`.
    Never,
    /// A well-formed URL of something that may come to be.
    Seconds,
    /// `no-store`, and the client is told when to ask again.
    AskAgain,
}

impl Failure {
    /// The failure's row.
    pub fn row(&self) -> Row {
        use Believed::{AskAgain, Never, Seconds};
        let (status, error, detail, level, believed) = match self {
            Self::MalformedUrl(why) => (400, "malformed_url", *why, Level::DEBUG, Never),
            Self::HostRefused => {
                (400, "host_refused", "HTTP/1.1 requests name one Host", Level::DEBUG, Never)
            }
            Self::UrlTooLong => {
                (414, "url_too_long", "shorten path and query", Level::DEBUG, Never)
            }
            Self::BodyRefused => {
                (413, "body_refused", "requests have no body here", Level::DEBUG, Never)
            }
            Self::MethodRefused { takes_body: false } => {
                (405, "method_refused", "use GET, HEAD or OPTIONS", Level::DEBUG, Never)
            }
            Self::MethodRefused { takes_body: true } => {
                (405, "method_refused", "use POST or OPTIONS", Level::DEBUG, Never)
            }
            // Not louder: a stranger can send such a request at will.
            Self::LoopDetected => (
                508,
                "loop_detected",
                "CDN-Loop has this service's name already: a CDN asks itself",
                Level::DEBUG,
                Never,
            ),
            Self::PreconditionFailed => {
                (412, "precondition_failed", "these are other bytes", Level::DEBUG, Never)
            }
            Self::RangeNotSatisfiable(_) => (
                416,
                "range_not_satisfiable",
                "the range lies outside the body",
                Level::DEBUG,
                Never,
            ),
            Self::UnknownPath => {
                (404, "unknown_path", "nothing has such a URL", Level::DEBUG, Never)
            }
            Self::UnknownProfile => {
                (404, "unknown_profile", "no such profile", Level::DEBUG, Seconds)
            }
            Self::AccessRefused(refusal) => {
                let (status, error, detail) = refusal.told().row();
                (status, error, detail, Level::DEBUG, Never)
            }
            Self::UnknownTitle => {
                (404, "unknown_title", "no such title in this profile", Level::DEBUG, Seconds)
            }
            Self::NothingLive => (
                404,
                "nothing_live",
                "the title has no finished version yet",
                Level::DEBUG,
                Seconds,
            ),
            Self::UnknownVersion => {
                (404, "unknown_version", "the title has no such version", Level::DEBUG, Seconds)
            }
            Self::UnknownRev => (
                404,
                "unknown_rev",
                "this node makes other bytes; start again from the title's manifest",
                Level::DEBUG,
                Never,
            ),
            Self::UnknownTrack => {
                (404, "unknown_track", "the version has no such track", Level::DEBUG, Seconds)
            }
            Self::UnknownSegment => (
                404,
                "unknown_segment",
                "the track has no such segment or file",
                Level::DEBUG,
                Seconds,
            ),
            Self::FormatNotOffered => (
                404,
                "format_not_offered",
                "the profile does not offer this format",
                Level::DEBUG,
                Seconds,
            ),
            Self::SourceDamaged(_) | Self::MediaMissing(_) => (
                502,
                "source_damaged",
                "the stored title is damaged; the service's log says where",
                Level::ERROR,
                Never,
            ),
            Self::StoreUnavailable(_) => {
                (503, "store_unavailable", "the store cannot be read now", Level::WARN, AskAgain)
            }
            Self::StoreDenied(_) => (
                503,
                "store_denied",
                "the store refuses this service; the service's log says why",
                Level::ERROR,
                AskAgain,
            ),
            Self::StoreThrottled(_) => {
                (503, "store_throttled", "the store asks for fewer reads", Level::WARN, AskAgain)
            }
            Self::StoreTimeout(_) => {
                (504, "store_timeout", "the store did not answer in time", Level::WARN, AskAgain)
            }
            Self::KeysNotDelivered => {
                (404, "keys_not_delivered", "the profile hands out no keys", Level::DEBUG, Seconds)
            }
            Self::UnknownKey => {
                (404, "unknown_key", "the version has no such key", Level::DEBUG, Never)
            }
            Self::MalformedLicenceRequest(why) => {
                (400, "malformed_licence_request", *why, Level::DEBUG, Never)
            }
            Self::Keys(error) => keys_row(error.kind),
            Self::Overloaded => {
                (503, "overloaded", "too much is asked for just now", Level::WARN, AskAgain)
            }
            Self::TooManyRequests => (
                429,
                "too_many_requests",
                "ask for less at a time from one address",
                Level::DEBUG,
                AskAgain,
            ),
            Self::AdminRefused => (
                403,
                "admin_refused",
                "purge and warm-up are for this machine and for origin.admin_from",
                Level::DEBUG,
                Never,
            ),
            Self::WarmingUp => {
                (503, "warming_up", "another warm-up has not ended", Level::WARN, AskAgain)
            }
            Self::Internal(_) => {
                (500, "internal", "a fault of this service; its log says more", Level::ERROR, Never)
            }
        };
        let status = StatusCode::from_u16(status).expect("the table's numbers are status codes");
        Row { status, error, detail, level, believed }
    }

    /// Why it is refused, where the client is not told.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::AccessRefused(refusal) => Some(refusal.reason()),
            _ => None,
        }
    }

    /// One of each kind, in the order of the table, with stand-ins for what it was about: for what
    /// lists them.
    pub fn one_of_each() -> Vec<Self> {
        let cause = || Cause { part: Part::Media, key: String::new(), detail: String::new() };
        let provider: Name = "main".parse().expect("a name");
        let keys = |kind| KeyError { kind, provider: provider.clone(), detail: String::new() };
        vec![
            Self::MalformedUrl("what is wrong with it"),
            Self::HostRefused,
            Self::UrlTooLong,
            Self::BodyRefused,
            Self::MethodRefused { takes_body: false },
            Self::LoopDetected,
            Self::PreconditionFailed,
            Self::RangeNotSatisfiable(0),
            Self::UnknownPath,
            Self::UnknownProfile,
            Self::UnknownTitle,
            Self::NothingLive,
            Self::AccessRefused(Refusal::CdnSecretMissing),
            Self::AccessRefused(Refusal::TokenMissing),
            Self::AccessRefused(Refusal::Expired),
            Self::AccessRefused(Refusal::SignatureWrong),
            Self::AccessRefused(Refusal::TitleRefused),
            Self::UnknownVersion,
            Self::UnknownRev,
            Self::UnknownTrack,
            Self::UnknownSegment,
            Self::FormatNotOffered,
            Self::SourceDamaged(cause()),
            Self::StoreUnavailable(cause()),
            Self::StoreDenied(cause()),
            Self::StoreThrottled(cause()),
            Self::StoreTimeout(cause()),
            Self::KeysNotDelivered,
            Self::UnknownKey,
            Self::MalformedLicenceRequest("what is wrong with it"),
            Self::Keys(keys(Kind::Missing)),
            Self::Keys(keys(Kind::Wrong)),
            Self::Keys(keys(Kind::Denied)),
            Self::Keys(keys(Kind::Unavailable)),
            Self::Keys(keys(Kind::Timeout)),
            Self::Overloaded,
            Self::TooManyRequests,
            Self::AdminRefused,
            Self::WarmingUp,
            Self::Internal(String::new()),
        ]
    }

    /// Where in the store the fault lies, if it lies there.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::SourceDamaged(cause)
            | Self::MediaMissing(cause)
            | Self::StoreUnavailable(cause)
            | Self::StoreDenied(cause)
            | Self::StoreThrottled(cause)
            | Self::StoreTimeout(cause) => Some(cause),
            _ => None,
        }
    }

    /// Tells the operator: a line in the service's log, with the ids of the request that it was
    /// found for, and damage in its counter. Called where the fault is found, once for all requests
    /// that wait for the same thing.
    pub fn report(&self, metrics: &Metrics) {
        if let Self::SourceDamaged(cause) | Self::MediaMissing(cause) = self {
            metrics.damage.with_label_values(&[cause.part.as_str()]).inc();
        }
        // There may be thousands in a second: a line for each would be a load of its own.
        if *self == Self::Overloaded && was_told() {
            return;
        }
        let row = self.row();
        let (key, part, detail) = match (self.cause(), self) {
            (Some(cause), _) => (cause.key.as_str(), cause.part.as_str(), cause.detail.as_str()),
            (None, Self::Keys(error)) => (error.provider.as_str(), "keys", error.detail.as_str()),
            (None, Self::Internal(detail)) => ("", "", detail.as_str()),
            (None, _) => ("", "", row.detail),
        };
        let within = Within::current();
        let request_id = within.as_ref().map(Within::request_id);
        let trace_id = within.as_ref().and_then(Within::trace_id);
        let (error, trace_id) = (row.error, trace_id.as_deref());
        match row.level {
            Level::ERROR => tracing::error!(error, key, part, detail, request_id, trace_id),
            Level::WARN => tracing::warn!(error, key, part, detail, request_id, trace_id),
            _ => tracing::debug!(error, key, part, detail, request_id, trace_id),
        }
    }
}

/// Whether the log was told of an overload a moment ago; if not, it now is.
fn was_told() -> bool {
    static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let was = told.is_some_and(|at| now.duration_since(at) < limits::OVERLOAD_TOLD_EVERY);
    if !was {
        *told = Some(now);
    }
    was
}

/// The rows of what is wrong with keys. Whose they are and where they come from goes to the log.
fn keys_row(kind: Kind) -> (u16, &'static str, &'static str, Level, Believed) {
    use Believed::{AskAgain, Never};
    match kind {
        Kind::Missing => (
            503,
            "keys_missing",
            "there is no key for this; the service's log says more",
            Level::ERROR,
            AskAgain,
        ),
        Kind::Wrong => (
            502,
            "keys_wrong",
            "the key server's answer is of no use; the service's log says more",
            Level::ERROR,
            Never,
        ),
        Kind::Denied => (
            503,
            "keys_denied",
            "the key server refuses this service; the service's log says more",
            Level::ERROR,
            AskAgain,
        ),
        Kind::Unavailable => {
            (503, "keys_unavailable", "the key server cannot be asked now", Level::WARN, AskAgain)
        }
        Kind::Timeout => {
            (504, "keys_timeout", "the key server did not answer in time", Level::WARN, AskAgain)
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Keys(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.row();
        match (self.cause(), self) {
            (Some(cause), _) => write!(f, "{}: {}: {}", row.error, cause.key, cause.detail),
            (None, Self::Keys(error)) => write!(f, "{}: {error}", row.error),
            (None, _) => write!(f, "{}: {}", row.error, row.detail),
        }
    }
}

impl std::error::Error for Failure {}

impl Part {
    /// The word in metric and log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pointer => "pointer",
            Self::Heads => "heads",
            Self::Media => "media",
            Self::List => "list",
        }
    }
}

impl Believed {
    /// The Cache-Control of the answer.
    pub fn cache_control(self) -> HeaderValue {
        match self {
            Self::Never | Self::AskAgain => HeaderValue::from_static("no-store"),
            Self::Seconds => HeaderValue::from_static(limits::NOT_FOUND_CACHE_CONTROL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_404_is_ever_kept_by_a_cache() {
        for failure in Failure::one_of_each() {
            let row = failure.row();
            let no_store = row.believed.cache_control() == "no-store";
            assert!(no_store || row.status == StatusCode::NOT_FOUND, "{failure:?}");
            let server_fault = row.status.is_server_error() && failure != Failure::LoopDetected;
            assert_eq!(server_fault, row.level <= Level::WARN, "{failure:?}: who must be told");
        }
        // A node that does not hold a rev must not make a cache refuse it to everybody.
        assert_eq!(Failure::UnknownRev.row().believed, Believed::Never);
    }

    #[test]
    fn errors_have_names_of_their_own_and_tell_clients_nothing_of_the_store() {
        let mut names: Vec<_> =
            Failure::one_of_each().iter().map(|failure| failure.row().error).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for failure in Failure::one_of_each() {
            assert!(!failure.row().detail.contains("titles/"), "{failure:?}");
        }
    }
}
