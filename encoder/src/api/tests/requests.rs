//! Who may do what, and what it does.

use std::path::PathBuf;

use headwater_config::SecretSource;
use http::Method;
use serde_json::json;

use super::{Bench, MANAGER, READER, SUBMITTER, request};
use crate::api::{ApiKey, Scope};

#[tokio::test]
async fn a_key_allows_what_its_scopes_say() {
    let bench = Bench::new();
    let job = bench.submit("film").await;
    let submission = json!({ "title": "film", "input": "/a.mov" });
    let change = json!({ "priority": "launch" });
    let show = format!("/v1/jobs/{job}");
    let table = [
        (Method::GET, "/openapi.json".to_owned(), None, [200, 200, 200, 200]),
        (Method::GET, "/metrics".to_owned(), None, [401, 200, 200, 200]),
        (Method::GET, "/v1/queue".to_owned(), None, [401, 200, 200, 200]),
        (Method::GET, "/v1/jobs".to_owned(), None, [401, 200, 200, 200]),
        (Method::GET, show.clone(), None, [401, 200, 200, 200]),
        (Method::GET, format!("{show}/tasks"), None, [401, 200, 200, 200]),
        (Method::POST, "/v1/jobs".to_owned(), Some(&submission), [401, 403, 201, 201]),
        (Method::PATCH, show.clone(), Some(&change), [401, 403, 403, 200]),
        (Method::POST, format!("{show}/retry"), None, [401, 403, 403, 409]),
        (Method::POST, format!("{show}/cancel"), None, [401, 403, 403, 200]),
    ];
    for (method, path, body, wanted) in table {
        let keys = [None, Some(READER), Some(SUBMITTER), Some(MANAGER)];
        for (key, wanted) in keys.into_iter().zip(wanted) {
            let (status, headers, text) =
                bench.ask(request(method.clone(), &path, key, body)).await;
            assert_eq!(status, wanted, "{method} {path} with {key:?}: {text}");
            assert_eq!(headers.contains_key("www-authenticate"), status == 401);
        }
    }
}

/// A key opens the queue, not the machine.
#[tokio::test]
async fn sources_lie_in_the_folders_that_are_named() {
    let bench = Bench::new();
    let table = [
        ("/films/a.mov", 201),
        ("/films/b/../a.mov", 400),
        ("/films/../etc/passwd", 400),
        ("/filmstar/a.mov", 400),
        ("/etc/passwd", 400),
        ("films/a.mov", 400),
        ("file:///films/a.mov", 201),
        ("file:///etc/passwd", 400),
        ("s3://films/in/a.mov", 201),
        ("s3://films/in/b/a.mov", 201),
        ("s3://films/in", 400),
        ("s3://films/in/", 400),
        ("s3://films/inside/a.mov", 400),
        ("s3://films/in/../a.mov", 400),
        ("s3://films/a.mov", 400),
        ("s3://others/in/a.mov", 400),
        ("https://films/a.mov", 400),
    ];
    for (input, wanted) in table {
        let asked = json!({ "title": "film", "input": input });
        let (status, said) = bench.manage(Method::POST, "/v1/jobs", Some(&asked)).await;
        assert_eq!(status, wanted, "{input}: {said}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_however_near() {
    let bench = Bench::new();
    let near = format!("{}4", &MANAGER[..31]);
    for key in
        ["", " ", "x", &near, &MANAGER[..31], &format!("{MANAGER} "), &MANAGER.to_uppercase()]
    {
        let (status, _, text) = bench.ask(request(Method::GET, "/v1/jobs", Some(key), None)).await;
        assert_eq!(status, 401, "{key}");
        assert!(key.len() < 9 || !text.contains(key), "{text}");
    }
    let mut basic = request(Method::GET, "/v1/jobs", None, None);
    basic.headers_mut().insert("authorization", format!("Basic {MANAGER}").parse().unwrap());
    assert_eq!(bench.ask(basic).await.0, 401);
}

#[test]
fn keys_come_from_files_and_are_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{READER}\n")).unwrap();
    let key = ApiKey::read("ops", &SecretSource::File(path.clone()), &[Scope::Read]).unwrap();
    assert_eq!(format!("{key:?}"), "ApiKey(ops [Read])");
    for bad in ["short", "with a space in its middle 0123456789", &"x".repeat(600)] {
        std::fs::write(&path, bad).unwrap();
        let refused = ApiKey::read("ops", &SecretSource::File(path.clone()), &[]).unwrap_err();
        assert!(!refused.to_string().contains(bad), "{refused}");
    }
    let absent = SecretSource::File(PathBuf::from("/nonexistent/key"));
    assert!(
        ApiKey::read("ops", &absent, &[]).unwrap_err().to_string().contains("/nonexistent/key")
    );
}

#[tokio::test]
async fn lists_by_page_and_filter() {
    let bench = Bench::new();
    let mut ids = Vec::new();
    for title in ["a", "b", "a", "c"] {
        ids.push(bench.submit(title).await.to_string());
    }
    ids.sort_unstable();
    ids.reverse();
    let mut listed = Vec::new();
    let mut path = "/v1/jobs?limit=3".to_owned();
    loop {
        let (status, page) = bench.manage(Method::GET, &path, None).await;
        assert_eq!(status, 200);
        let jobs = page["jobs"].as_array().unwrap();
        listed.extend(jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/jobs?limit=3&before={next}");
    }
    assert_eq!(listed, ids);
    let count = async |query: &str| {
        let (status, page) = bench.manage(Method::GET, &format!("/v1/jobs?{query}"), None).await;
        (status, page["jobs"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(count("title=a").await, (200, 2));
    assert_eq!(count("title=a&priority=launch").await, (200, 0));
    assert_eq!(count("state=queued&").await, (200, 4));
    for bad in
        ["state=gone", "limit=0", "limit=201", "limit=x", "page=1", "title=a&title=b", "before=1"]
    {
        assert_eq!(count(bad).await, (400, 0), "{bad}");
    }
}

#[tokio::test]
async fn a_job_is_moved_and_called_off() {
    let bench = Bench::new();
    let job = bench.submit("film").await;
    let path = format!("/v1/jobs/{job}");
    let change = json!({ "priority": "launch", "deadline_ms": 7 });
    let (_, moved) = bench.manage(Method::PATCH, &path, Some(&change)).await;
    assert_eq!((&moved["priority"], &moved["deadline_ms"]), (&json!("launch"), &json!(7)));
    let (_, queue) = bench.manage(Method::GET, "/v1/queue", None).await;
    assert_eq!(queue["lanes"][1], json!({ "lane": "launch", "ready": 1, "oldest_wait_ms": 0 }));
    let (status, gone) = bench.manage(Method::POST, &format!("{path}/cancel"), None).await;
    assert_eq!((status, &gone["state"]), (200, &json!("cancelled")));
    let (status, again) = bench.manage(Method::POST, &format!("{path}/cancel"), None).await;
    assert_eq!(
        (status, again),
        (409, json!({"error": "conflict", "detail": "the job is cancelled"}))
    );
    let (_, _, text) = bench.ask(request(Method::GET, "/metrics", Some(READER), None)).await;
    assert!(text.contains("headwater_queue_ready_tasks{lane=\"launch\"} 0\n"), "{text}");
    assert!(text.contains("headwater_queue_faults_total{kind=\"tool\"} 0\n"), "{text}");
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    let bench = Bench::new();
    let mut plain = request(Method::POST, "/v1/jobs", Some(MANAGER), Some(&json!({})));
    plain.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(bench.ask(plain).await.0, 415);
    for (method, path, status) in [
        (Method::DELETE, "/v1/jobs", 405),
        (Method::POST, "/openapi.json", 405),
        (Method::GET, "/v1/jobs/x", 404),
        (Method::GET, "/v1/jobs/", 404),
        (Method::GET, "/v2/jobs", 404),
        (Method::GET, "/", 404),
    ] {
        assert_eq!(bench.manage(method, path, None).await.0, status, "{path}");
    }
}
