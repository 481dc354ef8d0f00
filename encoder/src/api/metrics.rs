//! The queue's figures in Prometheus' text format 0.0.4.

use std::fmt::Write;

use super::json::lane_word;
use crate::job::{FaultKind, Lane, Spent};
use crate::queue::Depth;

/// The format's media type.
pub(super) const TYPE: &str = "text/plain; version=0.0.4";

/// Begins every name.
const PREFIX: &str = "headwater_queue_";

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
    let spent = |of: fn(&Spent) -> u64| {
        let of_track = move |spent: &Spent| (format!("{{track=\"{}\"}}", spent.track), of(spent));
        depth.spent.iter().filter(|spent| !spent.is_source()).map(of_track).collect::<Vec<_>>()
    };
    thousandths(
        &mut text,
        "cpu_seconds_total",
        "CPU seconds of ffmpeg, by track; one process makes all renditions, and each has its share by pixels.",
        spent(|spent| spent.cpu_ms),
    );
    thousandths(
        &mut text,
        "work_seconds_total",
        "Seconds from claims to results, by track.",
        spent(|spent| spent.work_ms),
    );
    thousandths(
        &mut text,
        "media_seconds_total",
        "Seconds of media that were made, by track.",
        spent(|spent| spent.media_ms),
    );
    family(
        &mut text,
        "source_read_bytes_total",
        "counter",
        "Bytes read of sources that lie in a store, by all workers and attempts.",
        alone(depth.spent.iter().map(|spent| spent.read_bytes).sum()),
    );
    text
}

/// A counter of seconds that is kept in milliseconds.
fn thousandths(text: &mut String, name: &str, help: &str, values: Vec<(String, u64)>) {
    head(text, name, "counter", help);
    for (labels, ms) in values {
        let _ = writeln!(text, "{PREFIX}{name}{labels} {}.{:03}", ms / 1_000, ms % 1_000);
    }
}

fn family(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    values: impl IntoIterator<Item = (String, u64)>,
) {
    head(text, name, kind, help);
    for (labels, value) in values {
        let _ = writeln!(text, "{PREFIX}{name}{labels} {value}");
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// docs/encoder.md lists every one, with its type and labels, and no others.
    #[test]
    fn the_list_is_true() {
        let spent = Spent {
            track: "v360".to_owned(),
            cpu_ms: 1_007,
            work_ms: 20,
            media_ms: 3_000,
            read_bytes: 0,
        };
        let spent = vec![spent, Spent::reading(4_711)];
        let text = text(&Depth { spent, ..Depth::default() }, 0);
        assert!(text.contains("headwater_queue_source_read_bytes_total 4711\n"), "{text}");
        assert!(!text.contains("track=\"source\""), "{text}");
        assert!(
            text.contains("headwater_queue_cpu_seconds_total{track=\"v360\"} 1.007\n"),
            "{text}"
        );
        let mut made = BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            let value = text.lines().find(|line| line.starts_with(name)).unwrap();
            let label =
                value.split_once('{').map_or("", |(_, rest)| rest.split('=').next().unwrap());
            made.insert((name.to_owned(), kind.to_owned(), label.to_owned()));
        }
        let docs = include_str!("../../../docs/encoder.md");
        let rows = docs.lines().filter(|line| line.starts_with("| `headwater_queue_"));
        let listed: BTreeSet<_> = rows
            .map(|row| {
                let cells: Vec<_> =
                    row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
                (cells[1].to_owned(), cells[2].to_owned(), cells[3].to_owned())
            })
            .collect();
        assert_eq!(listed, made);
    }
}
