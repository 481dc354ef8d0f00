//! HTTP/2 (RFC 9113) with the h2 crate as codec, the one below hyper.
//!
//! hyper's own server hands a whole piece of a body to the codec as soon as a stream has one byte
//! of window, so it cannot tell a stream that takes nothing from one that is done. Here a stream is
//! given what its window allows and no more: each wait for window has an end, the write limit,
//! also while other streams move.
//!
//! ```text
//! preface, first request   within header_timeout
//! no stream open           for idle_timeout at most; frames that ask for nothing change nothing
//! a stream                 write_timeout for each wait for window, min_send over all waits
//! the socket               write_timeout for each wait
//! a client that closes     write_timeout for each wait, idle_timeout in all; GOODBYE_PATIENCE after a fault
//! bytes that ask nothing   as many as `limits::H2_CREDIT_BYTES` says
//! ```

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora_core::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::body::Pieces;
use super::outgoing::Direct;
use super::request_body::H2Body;
use super::wire::{Clock, Pace, Phase, Wire};
use super::{Answers, Line, stopped};
use crate::delivery::Delivery;
use crate::exchange::Answer;
use crate::limits;

/// What a client sends first (RFC 9113 3.4); nothing of HTTP/1.1 begins so.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Whole,
    /// The client took it back.
    Reset,
    /// The client took nothing of it.
    Stalled,
    /// The client took too little of it.
    TooSlow,
}

/// Serves a connection until it ends; the fault that ended it, if one did.
pub async fn serve<S, A>(
    wire: Wire<S>,
    line: Arc<Line<A>>,
    mut stop: ShutdownWatch,
) -> Option<&'static str>
where
    S: AsyncRead + AsyncWrite + Direct + Unpin + Send + 'static,
    A: Answers,
{
    let progress = Arc::clone(&wire.progress);
    let handshake = builder(&line).handshake::<_, Bytes>(wire);
    let mut connection = match timeout(line.terms.header_timeout, handshake).await {
        Err(_) => return Some("header_timeout"),
        Ok(Err(error)) => return fault_of(&error, false),
        Ok(Ok(connection)) => connection,
    };
    let mut clock = Clock::new(&line.terms);
    let mut ticks = clock.ticks();
    // Dropped with the connection, which ends them.
    let mut streams = JoinSet::new();
    let mut asked = Asked::default();
    let mut stopping = false;
    // For how long the client has been waited for, to close.
    let mut closing = Duration::ZERO;
    // What a header may have taken.
    let header_credit = i64::try_from(line.terms.max_header_bytes * 2).unwrap_or(i64::MAX);
    let tick_ms = i64::try_from(clock.tick().as_millis()).unwrap_or(0);
    let credit_by_tick = limits::H2_CREDIT_BYTES_S * tick_ms / 1000;
    loop {
        tokio::select! {
            biased;
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    asked.streams += 1;
                    progress.gain(header_credit);
                    let line = Arc::clone(&line);
                    streams.spawn(async move { line.stream(request, respond).await });
                }
                Some(Err(_)) if progress.is_flooded() => return Some("flood"),
                Some(Err(error)) => return fault_of(&error, !streams.is_empty()),
                None => return progress.is_flooded().then_some("flood"),
            },
            Some(ended) = streams.join_next(), if !streams.is_empty() => {
                asked.ended(ended.unwrap_or(Ended::Reset));
                if asked.is_flood() {
                    return close(connection, Reason::ENHANCE_YOUR_CALM, "resets").await;
                }
            }
            _ = ticks.tick() => {
                progress.gain(credit_by_tick);
                let timed_out = clock.ticked(&progress);
                if progress.is_closing() {
                    closing += clock.tick();
                    let most = if stopping { line.terms.idle_timeout } else { limits::GOODBYE_PATIENCE };
                    if timed_out.is_some() || closing >= most {
                        // Then the codec says how the connection ended.
                        progress.enter(Phase::Ended);
                    }
                    continue;
                }
                if let Some(fault) = timed_out {
                    return Some(fault);
                }
                let is_busy = !streams.is_empty();
                if let Some(fault) = asked.ticked(clock.tick(), is_busy, &line.terms) {
                    return close(connection, Reason::NO_ERROR, fault).await;
                }
            }
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                connection.graceful_shutdown();
            }
        }
    }
}

fn builder<A>(line: &Line<A>) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    // Twice the limit: `exchange` refuses what is above it, and counts. One body is ever
    // read, of a few KiB.
    let list_bytes = u32::try_from(line.terms.max_header_bytes * 2).unwrap_or(u32::MAX);
    builder
        .max_header_list_size(list_bytes)
        .max_concurrent_streams(line.terms.max_streams)
        .max_concurrent_reset_streams(limits::H2_REMEMBERED_RESETS)
        .max_pending_accept_reset_streams(limits::H2_RESETS_BEFORE_ACCEPT)
        .max_local_error_reset_streams(Some(limits::H2_STREAM_ERRORS))
        .max_send_buffer_size(limits::H2_PIECE_BYTES)
        .initial_window_size(limits::H2_BODY_WINDOW_BYTES);
    builder
}

/// What a connection asked for so far, and for how long it has asked for nothing.
#[derive(Debug, Default)]
struct Asked {
    streams: u64,
    whole: u64,
    resets: u64,
    quiet: Duration,
}

impl Asked {
    fn ended(&mut self, ended: Ended) {
        self.quiet = Duration::ZERO;
        match ended {
            Ended::Whole => self.whole += 1,
            Ended::Reset | Ended::Stalled | Ended::TooSlow => self.resets += 1,
        }
    }

    /// Asking only to take it back costs the client nothing and us the work (CVE-2023-44487). A
    /// player that seeks takes some back, and lets others end.
    fn is_flood(&self) -> bool {
        self.resets > limits::H2_FREE_RESETS + self.whole
    }

    fn ticked(
        &mut self,
        tick: Duration,
        is_busy: bool,
        terms: &super::Terms,
    ) -> Option<&'static str> {
        if is_busy {
            self.quiet = Duration::ZERO;
            return None;
        }
        self.quiet += tick;
        let (limit, fault) = if self.streams == 0 {
            (terms.header_timeout, "header_timeout")
        } else {
            (terms.idle_timeout, "idle_timeout")
        };
        (self.quiet >= limit).then_some(fault)
    }
}

/// Tells the client why, if it listens, and ends.
async fn close<S>(
    mut connection: Connection<S, Bytes>,
    reason: Reason,
    fault: &'static str,
) -> Option<&'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    connection.abrupt_shutdown(reason);
    let _ = timeout(limits::GOODBYE_PATIENCE, poll_fn(|cx| connection.poll_closed(cx))).await;
    Some(fault)
}

impl<A: Answers> Line<A> {
    async fn stream(
        &self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Ended {
        let (parts, unread_body) = request.into_parts();
        let answering = self.answer(parts, H2Body(unread_body));
        tokio::pin!(answering);
        let answered = poll_fn(|cx| match respond.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => answering.as_mut().poll(cx).map(Some),
        });
        let outcome = match answered.await {
            None => Ended::Reset,
            Some((method, answer)) => self.send(&method, answer, &mut respond).await,
        };
        let fault = match outcome {
            Ended::Whole => return outcome,
            Ended::Reset => "reset",
            Ended::Stalled => "write_timeout",
            Ended::TooSlow => "too_slow",
        };
        if outcome != Ended::Reset {
            respond.send_reset(Reason::CANCEL);
        }
        self.metrics.stream_faults.with_label_values(&[fault]).inc();
        outcome
    }

    async fn send(
        &self,
        method: &Method,
        answer: Answer,
        respond: &mut SendResponse<Bytes>,
    ) -> Ended {
        let Answer { status, mut headers, body, mut delivery } = answer;
        if status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
            self.metrics.stream_faults.with_label_values(&["header_too_large"]).inc();
        }
        add_codecs_fields(&mut headers, status, method, body.len_bytes());
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let mut pieces = Pieces::new(body);
        let Ok(mut stream) = respond.send_response(response, pieces.left_bytes() == 0) else {
            return Ended::Reset;
        };
        let mut pace = Pace::new(&self.terms);
        while let Some(piece) = pieces.next(limits::H2_PIECE_BYTES) {
            let is_last = pieces.left_bytes() == 0;
            let sent = self.send_piece(&mut stream, piece, is_last, &mut delivery, &mut pace).await;
            if sent != Ended::Whole {
                return sent;
            }
        }
        Ended::Whole
    }

    /// Gives a piece to the codec as its window opens.
    async fn send_piece(
        &self,
        stream: &mut SendStream<Bytes>,
        mut piece: Bytes,
        is_last: bool,
        delivery: &mut Option<Box<Delivery>>,
        pace: &mut Pace,
    ) -> Ended {
        while !piece.is_empty() {
            stream.reserve_capacity(piece.len());
            let mut waited = Duration::ZERO;
            while stream.capacity() == 0 {
                let from = Instant::now();
                let opened = poll_fn(|cx| stream.poll_capacity(cx));
                match timeout(self.terms.write_timeout, opened).await {
                    Err(_) => return Ended::Stalled,
                    Ok(Some(Ok(_))) => {}
                    Ok(None | Some(Err(_))) => return Ended::Reset,
                }
                waited += from.elapsed();
            }
            let now = piece.split_to(piece.len().min(stream.capacity()));
            let len_bytes = now.len() as u64;
            if pace.is_too_slow(waited, len_bytes) {
                return Ended::TooSlow;
            }
            if stream.send_data(now, is_last && piece.is_empty()).is_err() {
                return Ended::Reset;
            }
            if let Some(delivery) = delivery {
                delivery.sent(len_bytes);
            }
        }
        Ended::Whole
    }
}

/// What hyper adds in HTTP/1.1: Date, and the length of what has one.
fn add_codecs_fields(headers: &mut HeaderMap, status: StatusCode, method: &Method, len_bytes: u64) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    headers.insert(DATE, HeaderValue::try_from(date).expect("a date is ASCII"));
    let has_length = *method != Method::HEAD && !matches!(status.as_u16(), 100..=199 | 204 | 304);
    if has_length && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(len_bytes));
    }
}

/// The fault that ended a connection, as the metric calls it. A client that goes away while it has
/// asked for nothing is none.
fn fault_of(error: &h2::Error, is_busy: bool) -> Option<&'static str> {
    if error.is_io() {
        return is_busy.then_some("broken");
    }
    if error.is_remote() {
        return (error.reason() != Some(Reason::NO_ERROR)).then_some("broken");
    }
    match error.reason() {
        Some(Reason::ENHANCE_YOUR_CALM) => Some("flood"),
        _ => Some("bad_request"),
    }
}
