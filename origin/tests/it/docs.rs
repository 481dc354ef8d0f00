//! docs/ says what the code does: metrics and access log are compared with what is written there.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use headwater_origin::failure::Failure;
use headwater_origin::metrics::Metrics;

fn docs(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn metrics_are_listed_with_type_labels_and_meaning() {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in Metrics::new().described() {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
        let (name, kind, labels) = (&metric.name, metric.kind, labels.join(", "));
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {} |", metric.meaning);
    }
    let docs = docs("metrics.md");
    let listed: String = docs
        .lines()
        .filter(|line| line.starts_with('|'))
        .fold(String::new(), |all, line| all + line + "\n");
    assert!(listed == table, "docs/metrics.md must hold exactly this table:\n{table}");
}

#[test]
fn failures_are_listed_with_status_lifetime_and_detail() {
    let mut table =
        String::from("| error | status | Cache-Control | detail |\n|---|---|---|---|\n");
    for failure in Failure::one_of_each() {
        let row = failure.row();
        let (error, status, detail) = (row.error, row.status.as_u16(), row.detail);
        let lifetime = row.believed.cache_control();
        let lifetime = lifetime.to_str().unwrap();
        let _ = writeln!(table, "| `{error}` | {status} | `{lifetime}` | {detail} |");
    }
    let docs = docs("operations.md");
    let listed = docs.split_once("## Failures").unwrap().1;
    let listed: String = listed
        .lines()
        .filter(|line| line.starts_with('|'))
        .fold(String::new(), |all, line| all + line + "\n");
    assert!(listed == table, "docs/operations.md must hold exactly this table:\n{table}");
}

#[test]
fn fields_of_the_access_log_are_listed_in_order() {
    use headwater_origin::access_log::{AccessLog, Line};
    use headwater_origin::telemetry::{Context, Id};
    use headwater_origin::trace;
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = AccessLog::to(file.reopen().unwrap(), Metrics::new().access_log_dropped).unwrap();
    let title = "t".parse().unwrap();
    log.write(&Line {
        at: std::time::UNIX_EPOCH,
        request_id: "a",
        remote: Some([127, 0, 0, 1].into()),
        client: Some([192, 0, 2, 7].into()),
        method: "GET",
        path: "/",
        status: 200,
        sent_bytes: 1,
        duration_us: 2,
        cache: "hit",
        title: Some(&title),
        version: Some(headwater_packager::ids::VersionId::from_u128(1)),
        error: Some("access_refused"),
        reason: Some("cdn_secret_wrong"),
        user_agent: Some(&"ä".repeat(500)),
        trace: trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        span: Some(Context { trace_id: Id([1; 16]), span_id: Id([2; 8]), parent_id: None }),
    });
    log.finish(std::time::Duration::from_secs(20));
    let line = fs::read_to_string(file.path()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(json["user_agent"].as_str().unwrap().len() <= 200);
    // Keys in the order of the line, which serde_json's map does not keep.
    let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_by_key(|key| line.find(&format!("\"{key}\":")).unwrap());
    let docs = docs("access-log.md");
    let listed: Vec<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(field, _)| field)
        .collect();
    assert_eq!(keys, listed);
}
