//! The access log: one JSON object a line, written by a thread of its own.
//!
//! A request never waits for the disk: lines go through a bounded queue, and those that find it
//! full are dropped and counted. Field by field it is described in docs/access-log.md.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use headwater_config::AccessLog as Target;
use headwater_packager::ids::{TitleId, VersionId};
use prometheus::IntCounter;
use serde::Serialize;

use crate::clock::Utc;
use crate::limits;
use crate::telemetry::{self, Context};
use crate::trace::Trace;

/// Where lines go in.
#[derive(Debug)]
pub struct AccessLog {
    lines: Option<SyncSender<Vec<u8>>>,
    dropped: IntCounter,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// One request, as logged.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When the request arrived.
    pub at: SystemTime,
    /// The id that the answer carries.
    pub request_id: &'a str,
    /// The other end of the connection.
    pub remote: Option<IpAddr>,
    /// Who asked, as far as trusted proxies say.
    pub client: Option<IpAddr>,
    /// As sent.
    pub method: &'a str,
    /// Without the query, which may hold secrets.
    pub path: &'a str,
    /// As answered, or 499 where nobody waited for an answer.
    pub status: u16,
    /// Bytes of the body given to the connection.
    pub sent_bytes: u64,
    /// Microseconds from the request's header to its last byte or its end.
    pub duration_us: u64,
    /// `hit`, `miss`, `collapsed` or `none`.
    pub cache: &'static str,
    /// The title asked for.
    pub title: Option<&'a TitleId>,
    /// The version that answered.
    pub version: Option<VersionId>,
    /// The failure's name.
    pub error: Option<&'static str>,
    /// Why access was refused.
    pub reason: Option<&'static str>,
    /// Cut to [`limits::USER_AGENT_BYTES`].
    pub user_agent: Option<&'a str>,
    /// The trace that the request belongs to, where its caller says so.
    pub trace: Option<Trace<'a>>,
    /// The request's own place in a trace, where it has one.
    pub span: Option<Context>,
}

impl AccessLog {
    /// Opens the log. Lines that find no room are counted in `dropped`.
    pub fn open(target: &Target, dropped: IntCounter) -> io::Result<Self> {
        match target {
            Target::Off => Ok(Self { lines: None, dropped, writer: Mutex::new(None) }),
            Target::Stdout => Self::to(io::stdout(), dropped),
            Target::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                Self::to(file, dropped)
            }
        }
    }

    /// A log that writes into `output`.
    pub fn to(output: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Self> {
        let (lines, queue) = sync_channel(limits::ACCESS_LOG_LINES);
        let writer = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            write_lines(&queue, BufWriter::with_capacity(limits::ACCESS_LOG_WRITE_BYTES, output));
        })?;
        Ok(Self { lines: Some(lines), dropped, writer: Mutex::new(Some(writer)) })
    }

    /// Whether lines are written at all.
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Queues a line.
    pub fn write(&self, line: &Line<'_>) {
        let Some(lines) = &self.lines else { return };
        if lines.try_send(line.to_json()).is_err() {
            self.dropped.inc();
        }
    }

    /// Ends the log: waits until every line queued so far is written, but no longer than
    /// `patience`.
    pub fn finish(&self, patience: Duration) {
        let Some(lines) = &self.lines else { return };
        let writer = self.writer.lock().ok().and_then(|mut writer| writer.take());
        let give_up_at = Instant::now() + patience;
        let mut marked = false;
        // A writer that broke off has nothing left to wait for.
        while writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            // An empty line is the mark of the end; there may be no room for it yet.
            marked = marked || lines.try_send(Vec::new()).is_ok();
            if Instant::now() >= give_up_at {
                tracing::warn!("the access log's disk does not keep up; its last lines are lost");
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Line<'_> {
    fn to_json(self) -> Vec<u8> {
        let fields = Fields {
            ts: Utc(self.at).to_string(),
            request_id: self.request_id,
            remote: self.remote,
            client: self.client,
            method: self.method,
            path: self.path,
            status: self.status,
            bytes: self.sent_bytes,
            duration_us: self.duration_us,
            cache: self.cache,
            title: self.title,
            version: self.version,
            error: self.error,
            reason: self.reason,
            user_agent: self.user_agent.map(shortened),
            trace_id: telemetry::trace_id(self.trace, self.span),
            parent_id: self.trace.map(|trace| trace.parent_id),
            span_id: self.span.map(|span| span.span_id.to_string()),
        };
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, &fields).expect("plain data into memory");
        json.push(b'\n');
        json
    }
}

/// The line's keys, in order.
#[derive(Serialize)]
struct Fields<'a> {
    ts: String,
    request_id: &'a str,
    remote: Option<IpAddr>,
    client: Option<IpAddr>,
    method: &'a str,
    path: &'a str,
    status: u16,
    bytes: u64,
    duration_us: u64,
    cache: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a TitleId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
}

/// What is kept of a user agent.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::USER_AGENT_BYTES)]
}

/// Writes what comes, in batches: after the first line of one it sleeps, so that a busy origin
/// does not wake this thread for each line: 12 KB answers cost 1.9 times nginx's CPU when it did,
/// and 1.1 times since (both logging, medians of 5 pairs).
fn write_lines(queue: &Receiver<Vec<u8>>, mut output: impl Write) {
    while let Ok(first) = queue.recv() {
        if !first.is_empty() {
            thread::sleep(limits::ACCESS_LOG_BATCH);
        }
        match write_batch(first, queue, &mut output) {
            Ok(Batch::More) => {}
            Ok(Batch::Last) => return,
            Err(error) => {
                tracing::error!(%error, "the access log cannot be written; it ends here");
                return;
            }
        }
    }
}

/// Whether the mark of the end was found.
enum Batch {
    More,
    Last,
}

/// Writes everything that is queued.
fn write_batch(
    first: Vec<u8>,
    queue: &Receiver<Vec<u8>>,
    output: &mut impl Write,
) -> io::Result<Batch> {
    let mut next = Some(first);
    while let Some(line) = next {
        if line.is_empty() {
            output.flush()?;
            return Ok(Batch::Last);
        }
        output.write_all(&line)?;
        next = queue.try_recv().ok();
    }
    output.flush()?;
    Ok(Batch::More)
}
