//! The job API: what is wanted made, what becomes of it. JSON over HTTP/1.1.
//!
//! ```text
//! serve ─► Api ─► keys ─► route ─► Queue ─► json
//!  sockets         who     which     what     answer, or failure: {"error","detail"}
//! ```
//!
//! [`Api`] is a function from request to answer and owns no socket; [`serve()`] has those. What it
//! answers is described by the document at `/openapi.json`, against which the tests hold every answer.
//! TLS is a proxy's in front.

mod body;
mod events;
mod failure;
pub mod json;
mod keys;
mod metrics;
mod openapi;
mod route;
mod serve;

#[cfg(test)]
mod tests;

use std::path::{Component, Path};
use std::sync::Arc;

use bytes::Bytes;
use headwater_config::StoreUrl;
use headwater_packager::ids::VersionId;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

pub use body::ApiBody;
pub use failure::Failure;
pub use keys::{ApiKey, ApiKeys, Scope};
pub use serve::serve;

use crate::fetch::Address;
use crate::limits;
use crate::queue::Queue;
use route::Route;

/// The API over a queue.
pub struct Api {
    queue: Arc<dyn Queue>,
    keys: ApiKeys,
    inputs: Vec<StoreUrl>,
    now_ms: fn() -> i64,
}

impl Api {
    /// An API over `queue` for whoever has one of `keys`, which takes what lies in the folders `inputs`, on
    /// a clock that gives milliseconds since 1970.
    pub fn new(
        queue: Arc<dyn Queue>,
        keys: ApiKeys,
        inputs: Vec<StoreUrl>,
        now_ms: fn() -> i64,
    ) -> Self {
        Self { queue, keys, inputs, now_ms }
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<ApiBody>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.try_answer(request).await {
            Ok(response) => response,
            Err(failure) => failure.response(),
        }
    }

    async fn try_answer<B>(&self, request: Request<B>) -> Result<Response<ApiBody>, Failure>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let route = Route::parse(request.method(), request.uri())?;
        if let Some(scope) = route.scope() {
            self.keys.admit(request.headers().get(header::AUTHORIZATION), scope)?;
        }
        let resume = request.headers().get("last-event-id").cloned();
        let now_ms = (self.now_ms)();
        match route {
            Route::Document => Ok(document(StatusCode::OK, &openapi::document())),
            Route::Metrics => {
                let text = metrics::text(&self.queue.depth().await?, now_ms);
                Ok(text_response(StatusCode::OK, metrics::TYPE, text))
            }
            Route::Depth => {
                Ok(document(StatusCode::OK, &json::depth(&self.queue.depth().await?, now_ms)))
            }
            Route::Create => {
                let asked = object(request).await?;
                let version = VersionId::from_u128(uuid::Uuid::now_v7().as_u128());
                let submission = json::submission(&asked, version)?;
                self.admit("input", &submission.input)?;
                for text in &submission.texts {
                    let (path, _) = text.rsplit_once(':').unwrap_or((text, ""));
                    self.admit_file("text", path)?;
                }
                self.queue.submit(&submission, now_ms).await?;
                let mut response = self.shown(StatusCode::CREATED, version).await?;
                let place = HeaderValue::try_from(format!("/v1/jobs/{version}"));
                response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
                Ok(response)
            }
            Route::List(filter, page) => {
                let views = self.queue.jobs(&filter, &page).await?;
                Ok(document(StatusCode::OK, &json::list(&views, &page)))
            }
            Route::Show(job) => self.shown(StatusCode::OK, job).await,
            Route::Tasks(job) => {
                let tasks = self.queue.tasks(job).await?;
                let tasks: Vec<_> = tasks.iter().map(json::task).collect();
                Ok(document(StatusCode::OK, &json!({ "tasks": tasks })))
            }
            Route::Change(job) => {
                let (priority, deadline_ms) = json::change(&object(request).await?)?;
                self.queue.move_to(job, priority, deadline_ms, now_ms).await?;
                self.shown(StatusCode::OK, job).await
            }
            Route::Cancel(job) => {
                self.queue.cancel(job, now_ms).await?;
                self.shown(StatusCode::OK, job).await
            }
            Route::Retry(job) => {
                self.queue.retry(job, now_ms).await?;
                self.shown(StatusCode::OK, job).await
            }
            Route::Events(job) => {
                let after = events::resumed(resume.as_ref())?;
                // So that an unknown job is a 404, and not a stream that says nothing.
                self.queue.job(job).await?;
                Ok(events::response(Arc::clone(&self.queue), job, after))
            }
        }
    }

    /// Refuses a file or an object outside the folders that requests may name.
    fn admit(&self, field: &str, input: &str) -> Result<(), Failure> {
        if !input.starts_with("s3://") {
            return self.admit_file(field, input.strip_prefix("file://").unwrap_or(input));
        }
        let address: Address =
            input.parse().map_err(|why| Failure::bad_request(format!("{field}: {why}")))?;
        let holds = |place: &StoreUrl| match place {
            StoreUrl::S3(bucket) => address.is_in(bucket),
            StoreUrl::File(_) => false,
        };
        if self.inputs.iter().any(holds) {
            return Ok(());
        }
        Err(Failure::bad_request(format!(
            "{field}: {address} is in none of the folders of buckets in encoder.api.inputs; put it into \
             one of them"
        )))
    }

    /// Refuses a file outside the folders that requests may name. A key opens the queue, not the
    /// machine.
    fn admit_file(&self, field: &str, file: &str) -> Result<(), Failure> {
        let path = Path::new(file);
        let is_plain =
            path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if is_plain
            && self
                .inputs
                .iter()
                .filter_map(StoreUrl::folder)
                .any(|folder| path.starts_with(folder))
        {
            return Ok(());
        }
        Err(Failure::bad_request(format!(
            "{field}: name a file by its absolute path, in one of the folders of encoder.api.inputs"
        )))
    }

    async fn shown(
        &self,
        status: StatusCode,
        job: VersionId,
    ) -> Result<Response<ApiBody>, Failure> {
        Ok(document(status, &json::job(&self.queue.job(job).await?)))
    }
}

/// The JSON object that a request carries.
async fn object<B>(request: Request<B>) -> Result<Value, Failure>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the body as application/json",
        ));
    }
    let body = Limited::new(request.into_body(), limits::API_BODY_BYTES).collect();
    let late = |_| {
        let detail = format!("the body took longer than {} s", limits::API_BODY_TIME.as_secs());
        Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
    };
    let body = tokio::time::timeout(limits::API_BODY_TIME, body).await.map_err(late)?;
    let body = body.map_err(|e| match e.is::<http_body_util::LengthLimitError>() {
        true => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a body has at most {} bytes", limits::API_BODY_BYTES),
        ),
        false => Failure::bad_request(format!("the body ended early: {e}")),
    })?;
    let value: Value = serde_json::from_slice(&body.to_bytes())
        .map_err(|e| Failure::bad_request(format!("the body is no JSON: {e}")))?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(Failure::bad_request("the body is no JSON object")),
    }
}

fn document(status: StatusCode, value: &Value) -> Response<ApiBody> {
    text_response(status, "application/json", value.to_string())
}

fn text_response(status: StatusCode, kind: &'static str, text: String) -> Response<ApiBody> {
    let mut response = Response::new(ApiBody::whole(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
