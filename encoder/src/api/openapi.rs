//! The API's own description (OpenAPI 3.1). The tests ask for every path that it names, and hold
//! every answer against its schemas.

use serde_json::{Value, json};

use crate::job::{FaultKind, JobState, Kind, Priority, State};
use crate::limits;

/// The document at `/openapi.json`.
pub(super) fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater jobs",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What is to be encoded, and what becomes of it. Times are in \
                milliseconds since 1970. Failures are {\"error\", \"detail\"}.",
        },
        "security": [{ "key": [] }],
        "paths": paths(),
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn paths() -> Value {
    let job = json!([{ "name": "job", "in": "path", "required": true,
        "schema": { "type": "string", "format": "uuid" } }]);
    let shown = |status: &str, what: &str| answers(status, what, "Job");
    json!({
        "/openapi.json": { "get": {
            "summary": "This document; needs no key", "security": [],
            "responses": { "200": { "description": "OpenAPI 3.1", "content": {
                "application/json": { "schema": { "type": "object" } } } } },
        } },
        "/metrics": { "get": {
            "summary": "The queue's figures for Prometheus; scope read",
            "responses": { "200": { "description": "Text format 0.0.4",
                "content": { "text/plain": { "schema": { "type": "string" } } } } },
        } },
        "/v1/queue": { "get": {
            "summary": "What waits, and what failed so far; scope read",
            "responses": answers("200", "The queue", "Queue"),
        } },
        "/v1/jobs": {
            "get": {
                "summary": "Jobs, newest first; scope read",
                "parameters": [
                    parameter("state", &word(JobState::ALL.map(JobState::as_str))),
                    parameter("title", &json!({ "type": "string" })),
                    parameter("priority", &word(Priority::ALL.map(Priority::as_str))),
                    parameter("before", &json!({ "type": "string", "format": "uuid",
                        "description": "`next` of the page before" })),
                    parameter("limit", &json!({ "type": "integer", "minimum": 1,
                        "maximum": limits::PAGE_ENTRIES, "default": limits::USUAL_PAGE_ENTRIES })),
                ],
                "responses": answers("200", "A page", "Jobs"),
            },
            "post": {
                "summary": "Submit a job; scope submit",
                "requestBody": carried("Submission"),
                "responses": shown("201", "The new job; Location names it"),
            },
        },
        "/v1/jobs/{job}": {
            "parameters": job,
            "get": { "summary": "A job; scope read", "responses": shown("200", "The job") },
            "patch": {
                "summary": "Another priority and deadline; scope manage",
                "requestBody": carried("Change"),
                "responses": shown("200", "The job"),
            },
        },
        "/v1/jobs/{job}/tasks": { "parameters": job, "get": {
            "summary": "Its tasks, chunks among them; scope read",
            "responses": answers("200", "All of them", "Tasks"),
        } },
        "/v1/jobs/{job}/events": { "parameters": job, "get": {
            "summary": "Its story as server-sent events, until it ends; scope read",
            "parameters": [{ "name": "Last-Event-ID", "in": "header",
                "schema": { "type": "integer", "minimum": 0 } }],
            "responses": { "200": { "description": "Events; data is a Told as JSON", "content": {
                "text/event-stream": { "schema": { "type": "string" } } } } },
        } },
        "/v1/jobs/{job}/cancel": { "parameters": job, "post": {
            "summary": "Call it off; scope manage", "responses": shown("200", "The job"),
        } },
        "/v1/jobs/{job}/retry": { "parameters": job, "post": {
            "summary": "Try a failed job again, from what is done; scope manage",
            "responses": shown("200", "The job"),
        } },
    })
}

fn schemas() -> Value {
    let count = || json!({ "type": "integer", "minimum": 0 });
    let text = || json!({ "type": "string" });
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let fault =
        || json!({ "oneOf": [{ "$ref": "#/components/schemas/Fault" }, { "type": "null" }] });
    let priority = || word(Priority::ALL.map(Priority::as_str));
    json!({
        "Failure": whole(&json!({ "error": text(), "detail": text() })),
        "Fault": whole(&json!({ "kind": word(FaultKind::ALL.map(FaultKind::as_str)), "text": text() })),
        "Submission": {
            "type": "object", "additionalProperties": false, "required": ["title", "input"],
            "properties": { "title": text(), "priority": priority(),
                "input": { "type": "string", "description":
                    "A file, /srv/uploads/film.mp4, or an object, s3://uploads/in/film.mp4" },
                "deadline_ms": maybe("integer"),
                "audio": { "type": "array", "items": text(), "description":
                    "What a sound is, where the source does not say it: 1:lang=en,role=commentary" },
                "text": { "type": "array", "items": text(), "description":
                    "Files of subtitles and their language: /srv/uploads/film.srt:en" } },
        },
        "Change": {
            "type": "object", "additionalProperties": false, "required": ["priority"],
            "properties": { "priority": priority(), "deadline_ms": maybe("integer") },
        },
        "Job": whole(&json!({
            "id": { "type": "string", "format": "uuid", "description": "Also the version it makes" },
            "title": text(), "input": text(), "priority": priority(),
            "state": word(JobState::ALL.map(JobState::as_str)),
            "submitted_ms": count(), "deadline_ms": { "type": "integer" },
            "begun_ms": maybe("integer"), "ended_ms": maybe("integer"),
            "tasks": count(), "tasks_done": count(), "tasks_held": count(), "failures": count(),
            "frames": count(), "frames_made": count(),
            "published": { "oneOf": [whole(&json!({ "seq": count(), "fragments": count() })),
                { "type": "null" }] },
            "audio": { "type": "array", "items": text() },
            "text": { "type": "array", "items": text() },
            "spent": { "type": "array", "items": whole(&json!({ "track": { "type": "string",
                "description": "`source` for what was read of one that lies in a store" },
                "cpu_ms": count(), "work_ms": count(), "media_ms": count(), "read_bytes": count() })) },
            "superseded_by": { "type": ["string", "null"], "format": "uuid",
                "description": "The title's later version, which stayed live" },
            "fault": fault(),
        })),
        "Jobs": whole(&json!({
            "jobs": { "type": "array", "items": { "$ref": "#/components/schemas/Job" } },
            "next": maybe("string"),
        })),
        "Task": whole(&json!({
            "kind": word(Kind::ALL.map(Kind::as_str)), "index": count(),
            "state": word(State::ALL.map(State::as_str)), "attempt": count(), "failures": count(),
            "tool": { "type": ["string", "null"], "description": "The build of ffmpeg that must do it" },
            "worker": maybe("string"), "first_fragment": count(), "end_fragment": count(),
            "reached": count(), "frames": count(), "frames_made": count(), "since_ms": count(),
            "fault": fault(),
        })),
        "Tasks": whole(&json!({
            "tasks": { "type": "array", "items": { "$ref": "#/components/schemas/Task" } },
        })),
        "Told": whole(&json!({ "at_ms": count(), "what": text(), "text": text() })),
        "Queue": whole(&json!({
            "lanes": { "type": "array", "items": whole(&json!({
                "lane": word(["wanted", "launch", "normal", "backfill"]), "ready": count(),
                "oldest_wait_ms": maybe("integer") })) },
            "held": count(), "delayed": count(),
            "tools": { "type": "object", "additionalProperties": count(), "description":
                "Tasks that wait, by the build of ffmpeg that must do them; empty for any" },
            "faults": { "type": "object", "additionalProperties": count() },
        })),
    })
}

/// An object that has all of these properties and no others.
fn whole(properties: &Value) -> Value {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(|p| p.keys()).collect();
    json!({
        "type": "object", "required": required, "additionalProperties": false,
        "properties": properties,
    })
}

fn word<const N: usize>(words: [&str; N]) -> Value {
    json!({ "type": "string", "enum": words.as_slice() })
}

fn parameter(name: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "schema": schema })
}

fn carried(schema: &str) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": reference(schema) } } })
}

fn answers(status: &str, what: &str, schema: &str) -> Value {
    let content = |schema| json!({ "application/json": { "schema": reference(schema) } });
    json!({
        status: { "description": what, "content": content(schema) },
        "default": { "description": "A failure", "content": content("Failure") },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
