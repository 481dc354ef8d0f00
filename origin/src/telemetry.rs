//! Spans for a collector that speaks OpenTelemetry's protocol over HTTP (OTLP 1, protobuf).
//!
//! ```text
//! delivery ── is it sampled? ──► context ... closed ──► span ─► queue ─► export ─► collector
//! store reads of its fill ─────────────────────────────► span ─┘  (a thread of its own)
//! ```
//! Serving never waits for any of it: a span that finds no room in the queue is dropped and
//! counted, and so is one that the collector does not take. What a span says of a request is what
//! the access log says, by the names of OpenTelemetry's conventions.

mod context;
mod export;
mod otlp;
mod queue;
mod reads;
mod request;
mod span;

use std::convert::Infallible;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use headwater_config::Telemetry as Settings;
use prometheus::IntCounterVec;

pub use context::{Context, Id, trace_id};
pub use otlp::{Partial, rejected};
pub use reads::note;
pub use request::Asked;
pub use span::{Kind, Span, Value};

use crate::peer::Peer;
use crate::trace::Trace;
use export::Exporter;
use queue::Queue;

/// Who decides which requests have spans, and where these go.
pub struct Telemetry {
    on: Option<On>,
}

struct On {
    sample_per_million: u64,
    queue: Arc<Queue>,
    spans: IntCounterVec,
    /// Disconnected when the exporter's thread has ended.
    exporter: Mutex<Receiver<Infallible>>,
}

/// Why spans cannot be sent as it is configured.
#[derive(Debug)]
pub enum NotReady {
    /// A setting: its whole key and what is wrong.
    Setting(String, String),
    /// The system gives no thread.
    Thread(std::io::Error),
}

impl Telemetry {
    /// No request has a span.
    pub fn off() -> Self {
        Self { on: None }
    }

    /// Starts the exporter, where a collector is named; `spans` counts what becomes of each span.
    pub fn open(settings: &Settings, spans: IntCounterVec) -> Result<Self, NotReady> {
        let Some(peer) = peer(settings)? else { return Ok(Self::off()) };
        let queue = Arc::new(Queue::new(settings));
        let exporter = Exporter::new(peer, settings, Arc::clone(&queue), spans.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(NotReady::Thread)?;
        let (alive, ended) = channel::<Infallible>();
        let run = move || {
            runtime.block_on(exporter.run());
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            drop(alive);
        };
        thread::Builder::new().name("telemetry".to_owned()).spawn(run).map_err(NotReady::Thread)?;
        let sample_per_million = settings.sample_per_million.into();
        let on = On { sample_per_million, queue, spans, exporter: Mutex::new(ended) };
        Ok(Self { on: Some(on) })
    }

    /// Reads what a start would read.
    pub fn check(settings: &Settings) -> Result<(), NotReady> {
        peer(settings).map(drop)
    }

    /// The place that a request's span has, if it is to have one. The trace that the request says
    /// it belongs to is taken from anybody; whether that is traced is for a trusted proxy to say,
    /// and by chance else, so that no stranger can have all requests traced.
    pub fn sample(&self, trace: Option<Trace<'_>>, is_trusted: bool) -> Option<Context> {
        let on = self.on.as_ref()?;
        let is_sampled = match trace.filter(|_| is_trusted) {
            Some(trace) => trace.is_sampled,
            None => context::draw() % 1_000_000 < on.sample_per_million,
        };
        is_sampled.then(|| Context::under(trace))
    }

    /// Hands a span on.
    pub fn record(&self, span: Span) {
        let Some(on) = &self.on else { return };
        if !on.queue.push(span) {
            on.spans.with_label_values(&["queue_full"]).inc();
        }
    }

    /// Ends it: waits until what is queued was sent or refused, but no longer than `patience`.
    pub fn finish(&self, patience: Duration) {
        let Some(on) = &self.on else { return };
        on.queue.close();
        let Ok(exporter) = on.exporter.lock() else { return };
        if let Err(RecvTimeoutError::Timeout) = exporter.recv_timeout(patience) {
            tracing::warn!("the collector does not keep up; the last spans are lost");
        }
    }
}

impl Drop for On {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn peer(settings: &Settings) -> Result<Option<Peer>, NotReady> {
    let Some(endpoint) = &settings.endpoint else { return Ok(None) };
    let peer = Peer::open(endpoint, settings.ca_file(), &settings.header_secrets);
    peer.map(Some).map_err(|unready| {
        let key = if unready.key == "url" { "endpoint" } else { unready.key };
        NotReady::Setting(format!("origin.telemetry.{key}"), unready.detail)
    })
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("on", &self.on.is_some()).finish()
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(key, detail) => write!(f, "`{key}`: {detail}"),
            Self::Thread(error) => write!(f, "cannot start a thread for spans: {error}"),
        }
    }
}
