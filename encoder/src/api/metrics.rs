//! The queue's figures in Prometheus' text format 0.0.4.

use std::fmt::Write;

use super::json::lane_word;
use crate::job::{FaultKind, Lane};
use crate::queue::Depth;

/// The format's media type.
pub(super) const TYPE: &str = "text/plain; version=0.0.4";

/// All of them; those that are 0 too, so that a rule sees them before the first event.
pub(super) fn text(depth: &Depth, now_ms: i64) -> String {
    let mut text = String::new();
    let ready = |lane| depth.ready.get(&lane).copied();
    let lanes = Lane::ALL.map(|lane| (lane_word(lane), ready(lane)));
    family(
        &mut text,
        "ready_tasks",
        "gauge",
        "Tasks that wait for a worker, by lane.",
        lanes.map(|(lane, ready)| (format!("{{lane=\"{lane}\"}}"), ready.map_or(0, |(n, _)| n))),
    );
    let wait_s = |since_ms: i64| u64::try_from((now_ms - since_ms) / 1_000).unwrap_or(0);
    family(
        &mut text,
        "oldest_wait_seconds",
        "gauge",
        "How long the first of them has waited.",
        lanes.map(|(lane, ready)| {
            (format!("{{lane=\"{lane}\"}}"), ready.map_or(0, |(_, since_ms)| wait_s(since_ms)))
        }),
    );
    let alone = |value| [(String::new(), value)];
    family(&mut text, "held_tasks", "gauge", "Tasks that workers hold.", alone(depth.held));
    family(
        &mut text,
        "delayed_tasks",
        "gauge",
        "Tasks that wait for their next attempt.",
        alone(depth.delayed),
    );
    family(
        &mut text,
        "faults_total",
        "counter",
        "Attempts that ended without a result, by kind.",
        FaultKind::ALL.map(|kind| {
            let count = depth.faults.get(&kind).copied().unwrap_or(0);
            (format!("{{kind=\"{}\"}}", kind.as_str()), count)
        }),
    );
    text
}

fn family(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    values: impl IntoIterator<Item = (String, u64)>,
) {
    let name = format!("headwater_queue_{name}");
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
