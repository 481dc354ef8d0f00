//! HTTP/1.1 with hyper as codec.
//!
//! On a stop a connection ends with the answer that is being sent, or at once. Where a successor
//! took the listeners over it may ask once more, and is told then that this was the last time: a
//! client that just sent a request on a kept connection would otherwise lose it, and need not
//! notice that it may ask again (RFC 9112 9.3.1).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pingora_core::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::body::SentBody;
use super::outgoing::Direct;
use super::wire::{Clock, Phase, Progress, Wire};
use super::{Answers, Line, stopped};
use crate::exchange::Answer;
use crate::limits;

/// Serves a connection until it ends; the fault that ended it, if one did.
pub async fn serve<S, A>(
    wire: Wire<S>,
    line: &Line<A>,
    mut stop: ShutdownWatch,
) -> Option<&'static str>
where
    S: AsyncRead + AsyncWrite + Direct + Unpin + Send,
    A: Answers,
{
    let progress = Arc::clone(&wire.progress);
    let has_successor = *stop.borrow() && line.handed_over.load(Ordering::Relaxed);
    let is_last = AtomicBool::new(has_successor);
    let service = service_fn(|request| line.exchange(request, &progress, &is_last));
    let connection = http1::Builder::new()
        // Our own clock does it, for three limits at once.
        .header_read_timeout(None)
        .max_headers(line.terms.max_headers)
        .max_header_size(line.terms.max_header_bytes)
        .serve_connection(TokioIo::new(wire), service);
    tokio::pin!(connection);
    let mut clock = Clock::new(&line.terms);
    let mut ticks = clock.ticks();
    let mut stopping = false;
    let mut end_at = None;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return fault_of(ended),
            _ = ticks.tick() => {
                if let Some(timeout) = clock.ticked(&progress) {
                    return Some(timeout);
                }
            }
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                if line.handed_over.load(Ordering::Relaxed) {
                    is_last.store(true, Ordering::Relaxed);
                    end_at = Some(Instant::now() + limits::LAST_REQUEST_PATIENCE);
                } else {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = sleep_until(end_at.unwrap_or_else(Instant::now)), if end_at.is_some() => {
                end_at = None;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

impl<A: Answers> Line<A> {
    async fn exchange(
        &self,
        request: http::Request<Incoming>,
        progress: &Arc<Progress>,
        is_last: &AtomicBool,
    ) -> Result<http::Response<SentBody>, Infallible> {
        progress.enter(Phase::Answering);
        let (parts, unread_body) = request.into_parts();
        let (_, answer) = self.answer(parts, unread_body).await;
        let Answer { status, mut headers, body, delivery } = answer;
        if is_last.load(Ordering::Relaxed) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut response = http::Response::new(SentBody::new(body, delivery, Arc::clone(progress)));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// The fault that ended a connection, as the metric calls it; ends that a client may well choose
/// are none.
fn fault_of(ended: hyper::Result<()>) -> Option<&'static str> {
    let error = ended.err()?;
    if error.is_parse() || error.is_parse_too_large() {
        Some("bad_request")
    } else {
        Some("broken")
    }
}
