//! Sends spans to the collector, batch by batch, in a thread of its own (OTLP specification,
//! "OTLP/HTTP"). A batch that the collector cannot take just now is sent again a few times; then it
//! is given up, and counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_config::Telemetry as Settings;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use prometheus::IntCounterVec;

use super::otlp::{self, Frame};
use super::queue::Queue;
use super::{Value, context};
use crate::limits;
use crate::peer::{Answered, Broken, Peer};

static FIELDS: [(HeaderName, HeaderValue); 1] =
    [(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))];

pub(super) struct Exporter {
    peer: Peer,
    queue: Arc<Queue>,
    frame: Frame,
    batch_wait: Duration,
    timeout: Duration,
    spans: IntCounterVec,
    /// Whether the last batch was taken: the log says when that changes, and not at each batch.
    is_well: bool,
}

/// Why a batch was not taken, or not all of it.
enum Refused {
    /// It may be if it is sent again, after this time if the collector says so.
    ForNow(String, Option<Duration>),
    /// The rest was.
    Some(u64, String),
    /// Nor will it be.
    All(String),
}

impl Exporter {
    pub(super) fn new(
        peer: Peer,
        settings: &Settings,
        queue: Arc<Queue>,
        spans: IntCounterVec,
    ) -> Self {
        let instance = settings.service_instance.as_ref().map(ToString::to_string);
        let frame = Frame::new(&[
            ("service.name", Value::text(settings.service_name.as_str())),
            ("service.version", Value::word(env!("CARGO_PKG_VERSION"))),
            ("service.instance.id", Value::text(&instance.unwrap_or_else(context::uuid))),
        ]);
        Self {
            peer,
            queue,
            frame,
            batch_wait: Duration::from_millis(settings.batch_wait_ms.into()),
            timeout: Duration::from_millis(settings.timeout_ms.into()),
            spans,
            is_well: true,
        }
    }

    /// Sends until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        loop {
            self.queue.gathered(self.batch_wait).await;
            // Looked at before what is there is taken: nothing comes afterwards.
            let is_last = self.queue.is_closed();
            loop {
                let batch = self.queue.batch();
                if batch.is_empty() {
                    break;
                }
                let request = self.frame.request(batch.iter().map(|span| &**span));
                self.send(batch.len() as u64, request.into()).await;
                if !is_last && !self.queue.has_batch() {
                    break;
                }
            }
            if is_last {
                return;
            }
        }
    }

    async fn send(&mut self, spans: u64, request: Bytes) {
        let mut tries = 1;
        let refused = loop {
            let outcome = self.attempt(request.clone()).await;
            let (detail, after) = match outcome {
                Err(Refused::ForNow(detail, after)) => (detail, after),
                other => break other,
            };
            self.note(Some(&detail));
            if tries == limits::TELEMETRY_TRIES || self.queue.is_closed() {
                self.count("failed", spans);
                return;
            }
            self.queue.pause(after.unwrap_or_else(|| pause(tries))).await;
            tries += 1;
        };
        match refused {
            Ok(()) => {
                self.note(None);
                self.count("exported", spans);
            }
            Err(Refused::Some(rejected, message)) => {
                self.note(Some(&format!("{rejected} spans were rejected: {message}")));
                self.count("refused", rejected.min(spans));
                self.count("exported", spans.saturating_sub(rejected));
            }
            Err(Refused::All(detail) | Refused::ForNow(detail, _)) => {
                self.note(Some(&detail));
                self.count("refused", spans);
            }
        }
    }

    async fn attempt(&self, request: Bytes) -> Result<(), Refused> {
        let exchange = self.peer.post(&FIELDS, request, limits::TELEMETRY_ANSWER_BYTES);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(answered)) => judge(&answered),
            Ok(Err(Broken::Connection(detail))) => Err(Refused::ForNow(detail, None)),
            Ok(Err(Broken::TooLong(detail))) => Err(Refused::All(detail)),
            Err(_) => {
                let waited_ms = self.timeout.as_millis();
                Err(Refused::ForNow(format!("no answer within {waited_ms} ms"), None))
            }
        }
    }

    fn count(&self, outcome: &str, spans: u64) {
        self.spans.with_label_values(&[outcome]).inc_by(spans);
    }

    /// Says in the log when the collector begins to refuse, and when it takes again.
    fn note(&mut self, trouble: Option<&str>) {
        let collector = self.peer.url().authority();
        match trouble {
            Some(detail) if self.is_well => {
                let detail: String = detail.chars().take(limits::TELEMETRY_TOLD_CHARS).collect();
                tracing::warn!(collector, detail, "the collector does not take spans");
            }
            None if !self.is_well => tracing::info!(collector, "the collector takes spans again"),
            _ => {}
        }
        self.is_well = trouble.is_none();
    }
}

/// What an answer says of the batch ("OTLP/HTTP Response").
fn judge(answered: &Answered) -> Result<(), Refused> {
    let status = answered.status;
    match status {
        StatusCode::OK => match otlp::rejected(&answered.body) {
            Some(partial) if partial.rejected == 0 => Ok(()),
            Some(partial) => Err(Refused::Some(partial.rejected, partial.message)),
            None => Err(Refused::All("answered 200 and no protobuf: is it a collector?".into())),
        },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = answered.headers.get(RETRY_AFTER);
            let after_s = after.and_then(|after| after.to_str().ok()?.parse().ok());
            let after = after_s.map(|s| Duration::from_secs(s).min(limits::TELEMETRY_RETRY_AFTER));
            Err(Refused::ForNow(format!("answered {}", status.as_u16()), after))
        }
        _ => Err(Refused::All(format!("answered {}", status.as_u16()))),
    }
}

/// A pause that grows, and is another one on each node: half to one and a half of the mean.
fn pause(tries: u32) -> Duration {
    let mean = limits::TELEMETRY_RETRY_PAUSE * 2u32.pow(tries - 1);
    let chance = context::draw() % 1_024;
    mean / 2 + mean.mul_f64(chance as f64 / 1_024.0)
}
