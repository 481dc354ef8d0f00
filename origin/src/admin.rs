//! The admin port: `/metrics` for Prometheus.

use std::sync::Arc;

use http::Method;

use crate::cache::ResponseCache;
use crate::exchange::{Answer, Request};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::respond::{self, Reply};
use crate::titles::Titles;

/// Prometheus' text format.
const EXPOSITION_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers on the admin port.
pub struct Admin {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Measured when asked.
    pub cache: ResponseCache,
    /// Measured when asked.
    pub titles: Arc<Titles>,
}

impl Admin {
    /// Answers one request.
    pub async fn answer(&self, request: &Request) -> Answer {
        let reply = match (&request.method, request.uri.path()) {
            _ if request.lacks_host => respond::with_failure(request, &Failure::HostRefused),
            (&Method::GET | &Method::HEAD, _) if request.has_body => {
                respond::with_failure(request, &Failure::BodyRefused)
            }
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics(request).await,
            (&Method::GET | &Method::HEAD, _) => {
                respond::with_failure(request, &Failure::UnknownPath)
            }
            _ => respond::with_failure(request, &Failure::MethodRefused { takes_body: false }),
        };
        let Reply { status, headers, body } = reply;
        Answer { status, headers, body, delivery: None }
    }

    async fn metrics(&self, request: &Request) -> Reply {
        self.cache.measure().await;
        self.titles.measure().await;
        respond::with_text(request, EXPOSITION_TYPE, self.metrics.exposition())
    }
}
