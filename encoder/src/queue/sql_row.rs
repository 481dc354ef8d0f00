//! Jobs and tasks as rows, and rows as jobs and tasks. What no release wrote is an error.

use headwater_packager::ids::VersionId;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};

use super::error::QueueError;
use crate::job::{
    Fault, FaultKind, Job, JobState, Kind, Lane, Progress, Publication, Spent, State, Task, TaskKey,
};

/// A statement with its values.
pub(super) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// Columns of `jobs`, in the order in which [`bind_job`] binds them.
pub(super) const JOB_COLUMNS: [&str; 23] = [
    "job",
    "title",
    "input",
    "priority",
    "deadline_ms",
    "growing",
    "state",
    "submitted_ms",
    "begun_ms",
    "ended_ms",
    "fragments",
    "open",
    "marked_seq",
    "marked_frontier",
    "marked_is_last",
    "published_seq",
    "published_frontier",
    "published_is_last",
    "fault_kind",
    "fault",
    "superseded_by",
    "audio",
    "texts",
];

/// Columns of `tasks`, in the order in which [`bind_task`] binds them.
pub(super) const TASK_COLUMNS: [&str; 27] = [
    "job",
    "kind",
    "number",
    "state",
    "tool",
    "lane_now",
    "lane",
    "wanted_until_ms",
    "deadline_ms",
    "attempt",
    "failures",
    "losses",
    "worker",
    "first_fragment",
    "end_fragment",
    "reached",
    "frames",
    "frames_made",
    "out_bytes",
    "in_bytes",
    "moved_ms",
    "until_ms",
    "due_ms",
    "since_ms",
    "fault_kind",
    "fault",
    "result",
];

pub(super) fn bind_job<'q>(statement: Statement<'q>, job: &Job) -> Statement<'q> {
    let (marked, published) = (job.publication, job.published);
    let seq = |publication: Option<Publication>| publication.map(|p| number(p.seq));
    let frontier = |publication: Option<Publication>| publication.map(|p| i64::from(p.frontier));
    let is_last = |publication: Option<Publication>| publication.map(|p| i64::from(p.is_last));
    statement
        .bind(job.version.to_string())
        .bind(job.title.to_string())
        .bind(job.input.clone())
        .bind(job.priority.as_str())
        .bind(job.deadline_ms)
        .bind(i64::from(job.growing))
        .bind(job.state.as_str())
        .bind(job.submitted_ms)
        .bind(job.begun_ms)
        .bind(job.ended_ms)
        .bind(i64::from(job.fragments))
        .bind(i64::from(job.open))
        .bind(seq(marked))
        .bind(frontier(marked))
        .bind(is_last(marked))
        .bind(seq(published))
        .bind(frontier(published))
        .bind(is_last(published))
        .bind(job.fault.as_ref().map(|fault| fault.kind.as_str()))
        .bind(job.fault.as_ref().map(|fault| fault.text.clone()))
        .bind(job.superseded_by.map(|by| by.to_string()))
        .bind(serde_json::to_string(&job.audio).expect("a list of text"))
        .bind(serde_json::to_string(&job.texts).expect("a list of text"))
}

pub(super) fn bind_task<'q>(statement: Statement<'q>, task: &Task) -> Statement<'q> {
    bind_key(statement, &task.key)
        .bind(task.state.as_str())
        .bind(task.tool.clone())
        .bind(task.lane_now().number())
        .bind(task.lane.number())
        .bind(task.wanted_until_ms)
        .bind(task.deadline_ms)
        .bind(i64::from(task.attempt))
        .bind(i64::from(task.failures))
        .bind(i64::from(task.losses))
        .bind(task.worker.clone())
        .bind(i64::from(task.fragments.start))
        .bind(i64::from(task.fragments.end))
        .bind(i64::from(task.reached))
        .bind(number(task.frames))
        .bind(number(task.progress.frames))
        .bind(number(task.progress.out_bytes))
        .bind(number(task.progress.in_bytes))
        .bind(task.moved_ms)
        .bind(task.until_ms)
        .bind(task.due_ms())
        .bind(task.since_ms)
        .bind(task.fault.as_ref().map(|fault| fault.kind.as_str()))
        .bind(task.fault.as_ref().map(|fault| fault.text.clone()))
        .bind(task.result.clone())
}

pub(super) fn bind_key<'q>(statement: Statement<'q>, key: &TaskKey) -> Statement<'q> {
    statement.bind(key.job.to_string()).bind(kind_number(key.kind)).bind(i64::from(key.index))
}

pub(super) fn job(row: &AnyRow) -> Result<Job, QueueError> {
    let publication = |seq, frontier, is_last| -> Result<_, QueueError> {
        let Some(seq) = optional(row, seq)? else { return Ok(None) };
        Ok(Some(Publication {
            seq: narrow(seq, "seq")?,
            frontier: small(row, frontier)?,
            is_last: big(row, is_last)? != 0,
        }))
    };
    let title = text(row, "title")?;
    let priority = text(row, "priority")?;
    let state = text(row, "state")?;
    Ok(Job {
        version: version(row)?,
        title: title.parse().map_err(|_| odd("title", &title))?,
        input: text(row, "input")?,
        priority: priority.parse().map_err(|_| odd("priority", &priority))?,
        deadline_ms: big(row, "deadline_ms")?,
        growing: big(row, "growing")? != 0,
        state: JobState::from_word(&state).ok_or_else(|| odd("state", &state))?,
        submitted_ms: big(row, "submitted_ms")?,
        begun_ms: optional(row, "begun_ms")?,
        ended_ms: optional(row, "ended_ms")?,
        fragments: small(row, "fragments")?,
        open: small(row, "open")?,
        publication: publication("marked_seq", "marked_frontier", "marked_is_last")?,
        published: publication("published_seq", "published_frontier", "published_is_last")?,
        fault: fault(row)?,
        superseded_by: match optional_text(row, "superseded_by")? {
            Some(by) => Some(by.parse().map_err(|_| odd("superseded_by", &by))?),
            None => None,
        },
        audio: list(row, "audio")?,
        texts: list(row, "texts")?,
    })
}

pub(super) fn spent(row: &AnyRow) -> Result<Spent, QueueError> {
    Ok(Spent {
        track: text(row, "track")?,
        cpu_ms: count(row, "cpu_ms")?,
        work_ms: count(row, "work_ms")?,
        media_ms: count(row, "media_ms")?,
        read_bytes: count(row, "read_bytes")?,
    })
}

fn list(row: &AnyRow, column: &'static str) -> Result<Vec<String>, QueueError> {
    let words = text(row, column)?;
    serde_json::from_str(&words).map_err(|_| odd(column, &words))
}

pub(super) fn task(row: &AnyRow) -> Result<Task, QueueError> {
    let state = text(row, "state")?;
    let lane = big(row, "lane")?;
    Ok(Task {
        key: key(row)?,
        state: State::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| odd("state", &state))?,
        tool: text(row, "tool")?,
        lane: Lane::from_number(lane).ok_or_else(|| odd("lane", lane))?,
        wanted_until_ms: optional(row, "wanted_until_ms")?,
        deadline_ms: big(row, "deadline_ms")?,
        attempt: small(row, "attempt")?,
        failures: small(row, "failures")?,
        losses: small(row, "losses")?,
        worker: text(row, "worker")?,
        fragments: small(row, "first_fragment")?..small(row, "end_fragment")?,
        reached: small(row, "reached")?,
        frames: narrow(big(row, "frames")?, "frames")?,
        progress: Progress {
            frames: narrow(big(row, "frames_made")?, "frames_made")?,
            out_bytes: narrow(big(row, "out_bytes")?, "out_bytes")?,
            in_bytes: narrow(big(row, "in_bytes")?, "in_bytes")?,
        },
        moved_ms: big(row, "moved_ms")?,
        until_ms: optional(row, "until_ms")?,
        since_ms: big(row, "since_ms")?,
        fault: fault(row)?,
        result: optional_text(row, "result")?,
    })
}

pub(super) fn key(row: &AnyRow) -> Result<TaskKey, QueueError> {
    let kind = big(row, "kind")?;
    let found = Kind::ALL.into_iter().find(|known| kind_number(*known) == kind);
    let kind = found.ok_or_else(|| odd("kind", kind))?;
    Ok(TaskKey { job: version(row)?, kind, index: small(row, "number")? })
}

/// A number that is no more than 64 bits without a sign.
pub(super) fn count(row: &AnyRow, column: &'static str) -> Result<u64, QueueError> {
    narrow(big(row, column)?, column)
}

pub(super) fn big(row: &AnyRow, column: &'static str) -> Result<i64, QueueError> {
    row.try_get(column).map_err(|e| unread(column, &e))
}

pub(super) fn text(row: &AnyRow, column: &'static str) -> Result<String, QueueError> {
    row.try_get(column).map_err(|e| unread(column, &e))
}

/// The place of a kind in the schema.
pub(super) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Publish => 0,
        Kind::Plan => 1,
        Kind::Audio => 2,
        Kind::Chunk => 3,
    }
}

/// The id of a job.
pub(super) fn version(row: &AnyRow) -> Result<VersionId, QueueError> {
    let text = text(row, "job")?;
    text.parse().map_err(|_| odd("job", &text))
}

fn fault(row: &AnyRow) -> Result<Option<Fault>, QueueError> {
    let Some(word) = optional_text(row, "fault_kind")? else { return Ok(None) };
    let kind = FaultKind::from_word(&word).ok_or_else(|| odd("fault_kind", &word))?;
    Ok(Some(Fault { kind, text: optional_text(row, "fault")?.unwrap_or_default() }))
}

fn optional(row: &AnyRow, column: &'static str) -> Result<Option<i64>, QueueError> {
    row.try_get(column).map_err(|e| unread(column, &e))
}

fn optional_text(row: &AnyRow, column: &'static str) -> Result<Option<String>, QueueError> {
    row.try_get(column).map_err(|e| unread(column, &e))
}

fn small(row: &AnyRow, column: &'static str) -> Result<u32, QueueError> {
    narrow(big(row, column)?, column)
}

fn narrow<T: TryFrom<i64>>(value: i64, column: &'static str) -> Result<T, QueueError> {
    T::try_from(value).map_err(|_| odd(column, value))
}

/// A count as both databases hold it; none is ever that large.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn odd(column: &str, value: impl std::fmt::Display) -> QueueError {
    QueueError::damaged(format_args!("{column} = {value:.60}, which this release does not know"))
}

fn unread(column: &str, error: &sqlx::Error) -> QueueError {
    QueueError::damaged(format_args!("no readable {column}: {error}"))
}

/// A small number, or none.
pub(super) fn optional_small(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<u32>, QueueError> {
    optional(row, column)?.map(|value| narrow(value, column)).transpose()
}
