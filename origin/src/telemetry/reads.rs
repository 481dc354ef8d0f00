//! Spans of reads from the store, below the span of the request whose fill they belong to.

use std::time::{Duration, SystemTime};

use super::{Kind, Span, Value};
use crate::within::Within;

/// Notes a read that has just ended, if it was done for a request that has a span. `read` is the
/// bytes that came, or the error's name.
pub fn note(part: &'static str, key: &str, taken: Duration, read: Result<usize, &'static str>) {
    let within = Within::current();
    let Some((context, telemetry)) = within.as_ref().and_then(Within::span) else { return };
    let mut attributes = vec![
        ("headwater.store.part", Value::word(part)),
        ("headwater.store.key", Value::text(key)),
    ];
    attributes.push(match read {
        Ok(bytes) => ("headwater.store.bytes", Value::count(bytes as u64)),
        Err(error) => ("error.type", Value::word(error)),
    });
    telemetry.record(Span {
        context: context.child(),
        name: "store read".into(),
        kind: Kind::Client,
        start: SystemTime::now().checked_sub(taken).unwrap_or(SystemTime::UNIX_EPOCH),
        taken,
        attributes,
        is_error: read.is_err(),
    });
}
