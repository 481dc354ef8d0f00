//! The API over a queue in memory, and over sockets.

mod document;
mod requests;
mod sockets;

use std::sync::Arc;

use bytes::Bytes;
use headwater_packager::ids::VersionId;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::{Api, ApiKey, ApiKeys, Scope};
use crate::job::Terms;
use crate::queue::{Memory, Queue};

const READER: &str = "reader-reader-reader-reader-0123";
const SUBMITTER: &str = "submit-submit-submit-submit-0123";
const MANAGER: &str = "manage-manage-manage-manage-0123";

/// The clock of every test.
const NOW_MS: i64 = 1_000_000;

struct Bench {
    api: Arc<Api>,
    queue: Arc<dyn Queue>,
}

impl Bench {
    fn new() -> Self {
        let queue: Arc<dyn Queue> = Arc::new(Memory::new(Terms::default()));
        let key = |name, secret: &str, scopes: &[Scope]| {
            ApiKey::new(name, secret.as_bytes(), scopes).unwrap()
        };
        let keys = ApiKeys::new(vec![
            key("r", READER, &[Scope::Read]),
            key("s", SUBMITTER, &[Scope::Submit, Scope::Read]),
            key("m", MANAGER, &[Scope::Read, Scope::Submit, Scope::Manage]),
        ]);
        Self {
            api: Arc::new(Api::new(
                Arc::clone(&queue),
                keys,
                ["/films", "/film.mov", "/a.mov", "s3://films/in"]
                    .map(|at| at.parse().unwrap())
                    .into(),
                || NOW_MS,
            )),
            queue,
        }
    }

    /// Status, headers' text and body of an answer.
    async fn ask(&self, request: Request<Full<Bytes>>) -> (u16, http::HeaderMap, String) {
        let (head, body) = self.api.answer(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Asks as who may do all.
    async fn manage(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, _, text) = self.ask(request(method, path, Some(MANAGER), body)).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn submit(&self, title: &str) -> VersionId {
        let asked = serde_json::json!({ "title": title, "input": "/films/a.mov" });
        let (status, job) = self.manage(Method::POST, "/v1/jobs", Some(&asked)).await;
        assert_eq!(status, 201, "{job}");
        job["id"].as_str().unwrap().parse().unwrap()
    }
}

fn request(
    method: Method,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    }
    let text = body.map_or(String::new(), ToString::to_string);
    request.body(Full::new(text.into())).unwrap()
}
