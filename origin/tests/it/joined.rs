//! The service's own log and the access log speak of the same requests: ids join them.

use std::fs;
use std::path::Path;

use headwater_packager::stored;
use serde_json::Value;

use crate::binary::{Running, segment_path};
use crate::common::{Stored, VERSION, title_id};
use crate::net::until;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Every request has a span, and nobody takes it.
const SPANS: &str = "[origin.telemetry]\nendpoint = \"http://127.0.0.1:9/v1/traces\"\n\
     sample_per_million = 1_000_000\n";

/// A movie, and three titles each of which is damaged in another place.
fn damaged() -> Stored {
    let stored = Stored::with_movie();
    for title in ["pointer", "heads", "media"] {
        stored.publish(title, VERSION, None);
    }
    stored.write(&stored::pointer_key(&title_id("pointer")), b"{");
    stored.write(&stored::heads_key(&title_id("heads"), VERSION), b"HWHEADS1");
    let media = stored::object_key(&title_id("media"), VERSION, "v720.mp4");
    stored.write(&media, &vec![0; stored.read(&media).len()]);
    stored
}

/// The one line of `log` where `field` is `value`; it may still be on its way.
fn line(log: impl Fn() -> String, field: &str, value: &str) -> Value {
    let mut found = Vec::new();
    until("the line comes", || {
        let lines = log();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = lines.filter(|line| line[field] == value).collect();
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{field} {value}");
    found.remove(0)
}

#[test]
fn a_failure_in_the_log_names_the_request_that_found_it() {
    let traced = format!("traceparent: {CALLER}\r\n");
    // The caller's trace, one that a span begins, none.
    for (settings, field) in [("", traced.as_str()), (SPANS, ""), ("", "")] {
        let stored = damaged();
        let running = Running::start(&stored, settings);
        let mut client = running.client();
        let segment = segment_path(&mut client).replace("/movie/", "/media/");
        let master = |title: &str| format!("/clear/{title}/master.m3u8");
        for (part, path) in
            [("pointer", master("pointer")), ("heads", master("heads")), ("media", segment)]
        {
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{field}\r\n"));
            let answer = client.read(false);
            assert_eq!((answer.status, answer.error().as_str()), (502, "source_damaged"), "{part}");
            let access = || fs::read_to_string(stored.path("access.log")).unwrap();
            let of_request = line(access, "request_id", &answer.request_id);
            let of_service = line(|| running.said(), "part", part);
            assert_eq!(of_service["request_id"], answer.request_id, "{part}");
            assert_eq!(of_service["error"], of_request["error"], "{part}");
            assert_eq!(of_service.get("trace_id"), of_request.get("trace_id"), "{part}");
            let is_traced = !settings.is_empty() || !field.is_empty();
            assert_eq!(of_service.get("trace_id").is_some(), is_traced, "{part}");
            if is_traced {
                assert_eq!(fields(&of_service), listed(), "docs/operations.md");
            }
        }
    }
}

fn fields(line: &Value) -> Vec<String> {
    line.as_object().unwrap().keys().cloned().collect()
}

/// The fields of a failure's line that the documentation lists, sorted.
fn listed() -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let docs = fs::read_to_string(docs).unwrap();
    let section = docs.split_once("## The service's own log").unwrap().1;
    let section = section.split_once("\n## ").unwrap().0;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let mut fields: Vec<_> = rows.map(|(field, _)| field.to_owned()).collect();
    fields.sort();
    fields
}
