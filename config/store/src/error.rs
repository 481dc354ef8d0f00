//! What went wrong with a request, told in one way for both sides: which fault it is, and for the
//! operator where it happened and what the server said of it. Never credentials: what the SDK
//! says of its signing is not repeated.

use std::error::Error as StdError;
use std::fmt::{self, Write};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;

use crate::limits;

/// Kinds of failure, told apart by what one can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such object.
    NotFound,
    /// The credentials are missing, wrong or not enough. Where they may not list the bucket, a
    /// missing object is this too.
    Denied,
    /// The server asks for fewer requests.
    Throttled,
    /// The server is not there, failed, broke off, or speaks no S3.
    Unavailable,
    /// A time limit passed.
    Timeout,
    /// The object ends before the range does.
    Short,
    /// The object, or a listing, is larger than it may be.
    TooLarge,
    /// A conditional write found another object than it expected.
    Precondition,
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    fault: Fault,
    /// `s3://bucket/key`
    at: String,
    said: Box<Said>,
    detail: String,
}

/// What the server said, as far as it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
}

impl Error {
    /// A fault that is ours to name: `detail` says what was expected and what came.
    pub(crate) fn new(fault: Fault, bucket: &str, key: &str, detail: impl Into<String>) -> Self {
        Self { fault, at: at(bucket, key), said: Box::default(), detail: detail.into() }
    }

    /// What the SDK says of a whole request.
    pub(crate) fn of_request<E>(bucket: &str, key: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let said = Said {
            status: error.raw_response().map(|raw| raw.status().as_u16()),
            code: error.code().map(str::to_owned),
            request_id: error
                .raw_response()
                .and_then(|raw| raw.headers().get("x-amz-request-id"))
                .map(str::to_owned),
        };
        let (fault, detail) = match error {
            SdkError::TimeoutError(_) => (Fault::Timeout, "no answer in time".to_owned()),
            SdkError::ServiceError(_) => {
                let fault = fault_of(&said);
                (fault, hint(fault, &said, error.message()))
            }
            _ if is_of_credentials(error) => (
                Fault::Denied,
                format!(
                    "no usable credentials: {}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                     AWS_PROFILE, or give the machine a role",
                    chain(error)
                ),
            ),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                (Fault::Timeout, format!("no connection in time: {}", chain(error)))
            }
            SdkError::DispatchFailure(_) => (
                Fault::Unavailable,
                format!(
                    "the server of `store.s3` cannot be reached, or broke off: {}",
                    chain(error)
                ),
            ),
            _ => (Fault::Unavailable, chain(error)),
        };
        Self { fault, at: at(bucket, key), said: Box::new(said), detail }
    }

    /// A body that broke off after `got` bytes of it.
    pub(crate) fn of_body(bucket: &str, key: &str, got: usize, error: &ByteStreamError) -> Self {
        let cause = chain(error);
        // The SDK's type for it is its own.
        let stalled = cause.contains("minimum throughput");
        let fault = if stalled { Fault::Timeout } else { Fault::Unavailable };
        Self::new(fault, bucket, key, format!("the body broke off after {got} bytes: {cause}"))
    }

    /// Which fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The server's name for it, `SlowDown` for example.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.said.code.as_deref()
    }

    /// The status code of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.said.status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, said, detail, .. } = self;
        write!(f, "{at}: ")?;
        if let Some(status) = said.status {
            write!(f, "{status}")?;
            said.code.iter().try_for_each(|code| write!(f, " {code}"))?;
            said.request_id.iter().try_for_each(|id| write!(f, " (request {id})"))?;
            f.write_str(": ")?;
        }
        f.write_str(detail)
    }
}

impl StdError for Error {}

fn at(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

/// Amazon S3 API reference, "Error responses"; for a status that says it all, the status alone.
fn fault_of(said: &Said) -> Fault {
    let code = said.code.as_deref().unwrap_or_default();
    match (said.status.unwrap_or_default(), code) {
        (429, _)
        | (_, "SlowDown" | "Throttling" | "ThrottlingException" | "ThrottledException")
        | (_, "RequestLimitExceeded" | "BandwidthLimitExceeded" | "TooManyRequests") => {
            Fault::Throttled
        }
        (_, "RequestTimeout") | (408 | 504, _) => Fault::Timeout,
        // Any web server answers 404; only these words are a store's.
        (404, "NoSuchKey" | "NoSuchUpload" | "NoSuchVersion") => Fault::NotFound,
        (401 | 403, _) => Fault::Denied,
        (409 | 412, "ConditionalRequestConflict" | "PreconditionFailed") | (412, _) => {
            Fault::Precondition
        }
        (416, _) => Fault::Short,
        _ => Fault::Unavailable,
    }
}

/// What the server's words mean to an operator.
fn hint(fault: Fault, said: &Said, message: Option<&str>) -> String {
    let hint = match (fault, said.code.as_deref().unwrap_or_default()) {
        (_, "RequestTimeTooSkewed") => "this machine's clock is wrong; let NTP set it",
        (_, "ExpiredToken" | "TokenRefreshRequired") => "the credentials have expired",
        (_, "InvalidAccessKeyId" | "NotSignedUp") => "the server does not know this access key",
        (_, "SignatureDoesNotMatch") => {
            "the secret key is wrong, or something between here and there changes requests"
        }
        (_, "NoSuchBucket") => "there is no such bucket; check `store.url` and `store.s3`",
        (
            _,
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "IllegalLocationConstraintException",
        ) => "the bucket is in another region; set `store.s3.region`",
        (Fault::Denied, _) => {
            "not allowed, or missing where `s3:ListBucket` is not granted; `headwater-origin \
             check` says which"
        }
        (Fault::Throttled, _) => "the server asks for fewer requests",
        (Fault::Unavailable, "") => "this is not an answer of an S3 server; check `store.s3`",
        _ => "",
    };
    match (hint, message.map(short)) {
        ("", None) => "refused".to_owned(),
        ("", Some(message)) => message,
        (hint, None) => hint.to_owned(),
        (hint, Some(message)) => format!("{hint} ({message})"),
    }
}

fn is_of_credentials(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(<dyn StdError>::is::<CredentialsError>)
}

/// An error with its causes, outermost first.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let separator = if text.is_empty() { "" } else { ": " };
        write!(text, "{separator}{cause}").expect("writing to memory does not fail");
    }
    short(&text)
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn short(text: &str) -> String {
    text.chars().take(limits::CAUSE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, code: &str) -> Said {
        let code = (!code.is_empty()).then(|| code.to_owned());
        Said { status: Some(status), code, request_id: None }
    }

    #[test]
    fn every_answer_has_one_meaning() {
        let table = [
            (404, "NoSuchKey", Fault::NotFound),
            (404, "NoSuchUpload", Fault::NotFound),
            // An unknown bucket, or another server's 404, must not look like an empty store.
            (404, "NoSuchBucket", Fault::Unavailable),
            (404, "", Fault::Unavailable),
            (403, "AccessDenied", Fault::Denied),
            (403, "", Fault::Denied),
            (403, "RequestTimeTooSkewed", Fault::Denied),
            (401, "", Fault::Denied),
            (503, "SlowDown", Fault::Throttled),
            (429, "", Fault::Throttled),
            (400, "RequestLimitExceeded", Fault::Throttled),
            (503, "ServiceUnavailable", Fault::Unavailable),
            (500, "InternalError", Fault::Unavailable),
            (502, "", Fault::Unavailable),
            (504, "", Fault::Timeout),
            (400, "RequestTimeout", Fault::Timeout),
            (416, "InvalidRange", Fault::Short),
            (412, "PreconditionFailed", Fault::Precondition),
            (409, "ConditionalRequestConflict", Fault::Precondition),
            (409, "OperationAborted", Fault::Unavailable),
            (301, "PermanentRedirect", Fault::Unavailable),
        ];
        for (status, code, wanted) in table {
            assert_eq!(fault_of(&said(status, code)), wanted, "{status} {code}");
        }
    }

    #[test]
    fn an_error_says_where_what_and_what_to_do() {
        let fault = Fault::Denied;
        let mut said = said(403, "RequestTimeTooSkewed");
        said.request_id = Some("4442587FB7D0A2F9".into());
        let detail = hint(fault, &said, Some("The difference is too large"));
        let at = at("films", "titles/a/title.json");
        let error = Error { fault, at, said: Box::new(said), detail };
        assert_eq!(
            error.to_string(),
            "s3://films/titles/a/title.json: 403 RequestTimeTooSkewed (request 4442587FB7D0A2F9): \
             this machine's clock is wrong; let NTP set it (The difference is too large)"
        );
    }
}
