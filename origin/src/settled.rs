//! Counters that every request moves, found once: looking a label up costs more than counting. A
//! line appears in `/metrics` with the first request that it counts, as if it were looked up each
//! time.

use std::sync::OnceLock;

use http::StatusCode;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

/// What [`Route::kind`](crate::route::Route::kind) says, and what is said of what is no route.
const KINDS: [&str; 11] = [
    "segment",
    "init",
    "hls_media",
    "hls_master",
    "hls_iframes",
    "dash",
    "key",
    "page",
    "title_list",
    "health",
    "unrouted",
];
/// Statuses of good answers.
const STATUSES: [StatusCode; 3] =
    [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED];

/// Counters by kind of resource.
#[derive(Debug, Default)]
pub struct Settled {
    requests: [[OnceLock<IntCounter>; STATUSES.len()]; KINDS.len()],
    answer_seconds: [OnceLock<Histogram>; KINDS.len()],
    sent_bytes: [OnceLock<IntCounter>; KINDS.len()],
}

impl Settled {
    /// Counts a request.
    pub fn request(&self, all: &IntCounterVec, kind: &str, status: StatusCode) {
        let find = || all.with_label_values(&[kind, status.as_str()]);
        let at = STATUSES.iter().position(|known| *known == status);
        match at.zip(place(kind)) {
            Some((status, kind)) => self.requests[kind][status].get_or_init(find).inc(),
            None => find().inc(),
        }
    }

    /// Counts the time to an answer.
    pub fn answered(&self, all: &HistogramVec, kind: &str, seconds: f64) {
        let find = || all.with_label_values(&[kind]);
        match place(kind) {
            Some(kind) => self.answer_seconds[kind].get_or_init(find).observe(seconds),
            None => find().observe(seconds),
        }
    }

    /// Counts bytes of a body.
    pub fn sent(&self, all: &IntCounterVec, kind: &str, bytes: u64) {
        let find = || all.with_label_values(&[kind]);
        match place(kind) {
            Some(kind) => self.sent_bytes[kind].get_or_init(find).inc_by(bytes),
            None => find().inc_by(bytes),
        }
    }
}

fn place(kind: &str) -> Option<usize> {
    KINDS.iter().position(|known| *known == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_is_found_once_counts_as_what_is_looked_up() {
        let metrics = Metrics::new();
        let statuses = [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::NOT_MODIFIED];
        for kind in KINDS.into_iter().chain([""]) {
            for (times, status) in (1..).zip(statuses) {
                (0..times).for_each(|_| metrics.settled.request(&metrics.requests, kind, status));
                let counted = metrics.requests.with_label_values(&[kind, status.as_str()]).get();
                assert_eq!(counted, times, "{kind} {status}");
            }
            metrics.settled.sent(&metrics.sent_bytes, kind, 7);
            assert_eq!(metrics.sent_bytes.with_label_values(&[kind]).get(), 7, "{kind}");
            metrics.settled.answered(&metrics.answer_seconds, kind, 0.5);
            let timed = metrics.answer_seconds.with_label_values(&[kind]);
            assert_eq!(timed.get_sample_count(), 1, "{kind}");
        }
    }
}
