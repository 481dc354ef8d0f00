//! Spans of reads from the store, below the span of the request whose fill they belong to. Who
//! reads knows nothing of requests, so the task carries it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Context, Kind, Span, Telemetry, Value};

tokio::task_local! {
    static WITHIN: Option<Within>;
}

/// A request whose span others may stand below.
#[derive(Clone, Debug)]
pub struct Within {
    telemetry: Arc<Telemetry>,
    context: Context,
}

impl Within {
    /// Below this one.
    pub fn new(telemetry: &Arc<Telemetry>, context: Context) -> Self {
        Self { telemetry: Arc::clone(telemetry), context }
    }

    /// Does `work` for a request.
    pub fn run<F: Future>(within: Option<Self>, work: F) -> impl Future<Output = F::Output> {
        WITHIN.scope(within, work)
    }

    fn current() -> Option<Self> {
        WITHIN.try_with(Clone::clone).ok().flatten()
    }
}

/// Work that is about to become a task of its own, done for whom the task that spawns it works.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    Within::run(Within::current(), work)
}

/// Notes a read that has just ended, if it was done for a request that has a span. `read` is the
/// bytes that came, or the error's name.
pub fn note(part: &'static str, key: &str, taken: Duration, read: Result<usize, &'static str>) {
    let Some(within) = Within::current() else { return };
    let mut attributes = vec![
        ("headwater.store.part", Value::word(part)),
        ("headwater.store.key", Value::text(key)),
    ];
    attributes.push(match read {
        Ok(bytes) => ("headwater.store.bytes", Value::count(bytes as u64)),
        Err(error) => ("error.type", Value::word(error)),
    });
    within.telemetry.record(Span {
        context: within.context.child(),
        name: "store read".into(),
        kind: Kind::Client,
        start: SystemTime::now().checked_sub(taken).unwrap_or(SystemTime::UNIX_EPOCH),
        taken,
        attributes,
        is_error: read.is_err(),
    });
}
