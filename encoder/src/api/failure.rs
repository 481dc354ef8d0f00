//! The table from errors to answers: a status, a word for programs, a sentence for people.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::body::ApiBody;
use super::document;
use crate::queue::QueueError;

/// A request that failed: `{"error": word, "detail": sentence}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    word: &'static str,
    detail: String,
}

impl Failure {
    /// A failure.
    pub(super) fn new(status: StatusCode, word: &'static str, detail: impl Into<String>) -> Self {
        Self { status, word, detail: detail.into() }
    }

    /// The client's fault.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// There is no such thing.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The answer.
    pub(super) fn response(&self) -> Response<ApiBody> {
        let body = json!({ "error": self.word, "detail": self.detail });
        let mut response = document(self.status, &body);
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let detail = error.to_string();
        match error {
            QueueError::NoSuchJob(_) | QueueError::NoSuchTask(_) => Self::not_found(detail),
            QueueError::Refused(_) | QueueError::Exists(_) => {
                Self::new(StatusCode::CONFLICT, "conflict", detail)
            }
            QueueError::OutOfBounds(_) => Self::bad_request(detail),
            // What the database said may name hosts and users: it is the operator's to read.
            QueueError::Database { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "queue_unavailable",
                "the queue's database does not answer; ask again",
            ),
        }
    }
}
