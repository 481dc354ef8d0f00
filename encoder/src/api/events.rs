//! A job's story as server-sent events (WHATWG HTML 9.2): what was told, then what is, as it comes.
//!
//! An event's id is its entry in the story, so a client that lost its connection asks with
//! `Last-Event-ID` for what followed. The stream ends when the job has.

use std::sync::Arc;

use bytes::Bytes;
use headwater_packager::ids::VersionId;
use http::{HeaderValue, Response, header};
use tokio::sync::mpsc;

use super::body::ApiBody;
use super::failure::Failure;
use super::json;
use crate::limits;
use crate::queue::Queue;

/// The entry after which a client wants to go on.
pub(super) fn resumed(id: Option<&HeaderValue>) -> Result<u64, Failure> {
    let Some(id) = id else { return Ok(0) };
    let id = id.to_str().ok().and_then(|id| id.parse().ok());
    id.ok_or_else(|| Failure::bad_request("Last-Event-ID is no id of an event that was sent here"))
}

/// The stream of a job's story after entry `after`.
pub(super) fn response(queue: Arc<dyn Queue>, job: VersionId, after: u64) -> Response<ApiBody> {
    let (sender, receiver) = mpsc::channel(limits::EVENTS_AHEAD);
    tokio::spawn(follow(queue, job, after, sender));
    let mut response = Response::new(ApiBody::events(receiver));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends until the job has ended, or nobody listens any more.
async fn follow(
    queue: Arc<dyn Queue>,
    job: VersionId,
    mut after: u64,
    sender: mpsc::Sender<Bytes>,
) {
    let mut quiet = 0;
    loop {
        // Read before the story: what ended it is told by then.
        let Ok(state) = queue.state(job).await else { return };
        let Ok(story) = queue.story(job, after).await else { return };
        for told in &story {
            after = told.entry;
            let event =
                format!("id: {after}\nevent: {}\ndata: {}\n\n", told.what, json::told(told));
            if sender.send(event.into()).await.is_err() {
                return;
            }
        }
        let is_more = story.len() >= limits::PAGE_ENTRIES as usize;
        if !is_more && !state.is_open() {
            return;
        }
        quiet = if story.is_empty() { quiet + 1 } else { 0 };
        // A comment now and then, so that whoever left is noticed.
        if quiet % limits::EVENTS_QUIET == 1 && sender.send(":\n\n".into()).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(limits::EVENTS_LOOK), if !is_more => {}
            () = sender.closed(), if !is_more => return,
            else => {}
        }
    }
}
