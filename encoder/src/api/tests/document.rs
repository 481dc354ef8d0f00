//! The API and its description say the same.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::{Bench, MANAGER, request};
use crate::job::{Event, Fault, FaultKind};
use crate::queue::Worker;

/// What is wrong with `value` under `schema`: the part of JSON Schema that the document uses, and
/// nothing else passes.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let known = [
        "$ref",
        "oneOf",
        "type",
        "enum",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minimum",
        "maximum",
        "format",
        "description",
        "default",
    ];
    for word in schema.as_object().unwrap().keys() {
        assert!(known.contains(&word.as_str()), "{word} is not checked");
    }
    if let Some(path) = schema["$ref"].as_str() {
        let target = document.pointer(path.strip_prefix('#').unwrap());
        return faults(document, target.expect(path), value, at, found);
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let fits = ways.iter().filter(|way| {
            let mut found = Vec::new();
            faults(document, way, value, at, &mut found);
            found.is_empty()
        });
        if fits.count() != 1 {
            found.push(format!("{at}: {value} fits not one of {schema}"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let has_type = match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(several) => several.iter().any(|one| one == kind),
        _ => false,
    };
    if !has_type {
        found.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    if schema["minimum"].as_i64().is_some_and(|least| value.as_i64().unwrap() < least) {
        found.push(format!("{at}: {value} is too small"));
    }
    for (place, entry) in value.as_array().into_iter().flatten().enumerate() {
        faults(document, &schema["items"], entry, &format!("{at}/{place}"), found);
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(name.as_str().unwrap()) {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, field) in fields {
        let at = format!("{at}/{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Object(_)) => {
                faults(document, &schema["additionalProperties"], field, &at, found);
            }
            (Value::Null, Value::Bool(false)) => found.push(format!("{at}: is not described")),
            (Value::Null, _) => {}
            (property, _) => faults(document, property, field, &at, found),
        }
    }
}

/// Holds an answer against what the document says of it.
fn fits(document: &Value, path: &str, method: &str, status: u16, text: &str) {
    let answers = &document["paths"][path][method]["responses"];
    let status = status.to_string();
    let answer = if answers[&status].is_null() { &answers["default"] } else { &answers[&status] };
    assert!(!answer.is_null(), "{method} {path}: {status} is not described: {text}");
    let Some(content) = answer["content"].get("application/json") else { return };
    let value: Value = serde_json::from_str(text).unwrap();
    let mut found = Vec::new();
    faults(document, &content["schema"], &value, "", &mut found);
    assert!(found.is_empty(), "{method} {path} {status}: {found:#?}");
}

#[tokio::test]
async fn every_answer_is_what_the_document_says() {
    let bench = Bench::new();
    let (status, document) = bench.manage(Method::GET, "/openapi.json", None).await;
    assert_eq!(status, 200);
    // Jobs in several states: queued, failed with a fault, cancelled.
    let queued = bench.submit("queued").await;
    let worker = Worker { name: "w".to_owned(), tool: String::new() };
    let claimed = bench.queue.claim(&worker, super::NOW_MS).await.unwrap().unwrap();
    let fault = Fault::new(FaultKind::Source, "no picture");
    bench.queue.tell(&claimed.hold, Event::Failed(fault), super::NOW_MS).await.unwrap();
    let other = bench.submit("other").await;
    let submission = json!({ "title": "film", "input": "/film.mov", "priority": "launch",
        "deadline_ms": 5, "audio": ["1:lang=en,role=commentary"], "text": ["/films/a.srt:en"] });
    let change = json!({ "priority": "backfill" });
    let mut asked = BTreeSet::new();
    let jobs =
        [queued.to_string(), other.to_string(), "00000000-0000-0000-0000-000000000000".into()];
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            for job in &jobs {
                let body = match (path.as_str(), method.as_str()) {
                    ("/v1/jobs", "post") => Some(&submission),
                    (_, "patch") => Some(&change),
                    _ => None,
                };
                let url = path.replace("{job}", job);
                // It would go on for as long as its job.
                if path.ends_with("events") && *job == other.to_string() {
                    continue;
                }
                let method_name = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let sent = request(method_name, &url, Some(MANAGER), body);
                let (status, headers, text) = bench.ask(sent).await;
                assert_ne!(status, 405, "{method} {path}");
                assert!(status != 404 || path.contains("{job}"), "{method} {path}");
                assert_eq!(headers["cache-control"], "no-store");
                if !(path.ends_with("events") && status == 404) {
                    fits(&document, path, method, status, &text);
                }
                asked.insert(status);
            }
        }
    }
    assert!(asked.is_superset(&BTreeSet::from([200, 201, 404, 409])), "{asked:?}");
}

#[tokio::test]
async fn what_the_document_forbids_is_refused() {
    let bench = Bench::new();
    let good = json!({ "title": "film", "input": "/film.mov" });
    let wrong = [
        ("title", json!("a/b")),
        ("title", json!(7)),
        ("title", Value::Null),
        ("input", json!("")),
        ("input", json!("x".repeat(5_000))),
        ("priority", json!("urgent")),
        ("deadline_ms", json!("tomorrow")),
        ("deadline_ms", json!(-1)),
        ("deadline_ms", json!(1.5)),
        ("colour", json!("red")),
        ("audio", json!("1:lang=en")),
        ("audio", json!(["english"])),
        ("audio", json!([7])),
        ("audio", json!(vec!["1:lang=en"; 65])),
        ("text", json!(["/films/a.srt"])),
        ("text", json!(["/etc/passwd:en"])),
        ("text", json!(["/films/../etc/passwd:en"])),
    ];
    for (field, value) in wrong {
        let mut asked = good.clone();
        asked[field] = value;
        let (status, answer) = bench.manage(Method::POST, "/v1/jobs", Some(&asked)).await;
        assert_eq!((status, &answer["error"]), (400, &json!("bad_request")), "{asked:.100}");
    }
    for (body, wanted) in
        [(json!([]), 400), (json!("film"), 400), (json!({ "title": "x".repeat(70_000) }), 413)]
    {
        let (status, _) = bench.manage(Method::POST, "/v1/jobs", Some(&body)).await;
        assert_eq!(status, wanted);
    }
    let all = bench.manage(Method::GET, "/v1/jobs", None).await.1;
    assert_eq!(all, json!({ "jobs": [], "next": null }));
}
