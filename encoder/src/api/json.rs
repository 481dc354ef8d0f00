//! Jobs, tasks and the queue as JSON, and what a request asks for. Times are in milliseconds since
//! 1970.

use std::str::FromStr;

use headwater_packager::ids::VersionId;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use crate::job::{Fault, Lane, Priority, Publication, Spent, Submission, Task};
use crate::queue::{Depth, JobView, Page, Told};
use crate::source::Said;
use crate::text::Sidecar;

/// A job.
pub fn job(view: &JobView) -> Value {
    let (job, tally) = (&view.job, &view.tally);
    json!({
        "id": job.version,
        "title": job.title,
        "input": job.input,
        "priority": job.priority.as_str(),
        "state": job.state.as_str(),
        "submitted_ms": job.submitted_ms,
        "deadline_ms": job.deadline_ms,
        "begun_ms": job.begun_ms,
        "ended_ms": job.ended_ms,
        "tasks": tally.tasks,
        "tasks_done": tally.done,
        "tasks_held": tally.held,
        "failures": tally.failures,
        "frames": tally.frames,
        "frames_made": tally.frames_made,
        "published": job.published.map(publication),
        "audio": job.audio,
        "text": job.texts,
        "superseded_by": job.superseded_by,
        "spent": view.spent.iter().map(spent).collect::<Vec<_>>(),
        "fault": job.fault.as_ref().map(fault),
    })
}

fn spent(spent: &Spent) -> Value {
    json!({
        "track": spent.track, "cpu_ms": spent.cpu_ms, "work_ms": spent.work_ms,
        "media_ms": spent.media_ms, "read_bytes": spent.read_bytes,
    })
}

/// A page of jobs.
pub(super) fn list(views: &[JobView], page: &Page) -> Value {
    let jobs: Vec<_> = views.iter().map(job).collect();
    // A full page may be the last; the next one is then empty.
    let is_full = views.len() >= page.entries as usize;
    let next = views.last().filter(|_| is_full).map(|view| view.job.version);
    json!({ "jobs": jobs, "next": next })
}

/// A task.
pub fn task(task: &Task) -> Value {
    json!({
        "kind": task.key.kind.as_str(),
        "index": task.key.index,
        "state": task.state.as_str(),
        "attempt": task.attempt,
        "failures": task.failures,
        "tool": Some(&task.tool).filter(|tool| !tool.is_empty()),
        "worker": Some(&task.worker).filter(|worker| !worker.is_empty()),
        "first_fragment": task.fragments.start,
        "end_fragment": task.fragments.end,
        "reached": task.reached,
        "frames": task.frames,
        "frames_made": task.progress.frames,
        "since_ms": task.since_ms,
        "fault": task.fault.as_ref().map(fault),
    })
}

/// What waits.
pub(super) fn depth(depth: &Depth, now_ms: i64) -> Value {
    let lanes = Lane::ALL.map(|lane| {
        let ready = depth.ready.get(&lane);
        json!({
            "lane": lane_word(lane),
            "ready": ready.map_or(0, |(tasks, _)| *tasks),
            "oldest_wait_ms": ready.map(|(_, since_ms)| (now_ms - since_ms).max(0)),
        })
    });
    let faults: Map<_, _> =
        depth.faults.iter().map(|(kind, count)| (kind.as_str().to_owned(), json!(count))).collect();
    json!({
        "lanes": lanes, "held": depth.held, "delayed": depth.delayed, "tools": depth.tools,
        "faults": faults,
    })
}

/// An entry of a story.
pub fn told(told: &Told) -> Value {
    json!({ "at_ms": told.at_ms, "what": told.what, "text": told.text })
}

/// The word for a lane.
pub(super) fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Wanted => "wanted",
        Lane::Launch => "launch",
        Lane::Normal => "normal",
        Lane::Backfill => "backfill",
    }
}

/// What a submission asks for.
pub(super) fn submission(asked: &Value, version: VersionId) -> Result<Submission, Failure> {
    known(asked, &["title", "input", "priority", "deadline_ms", "audio", "text"])?;
    let title = text(asked, "title")?.ok_or_else(|| missing("title"))?;
    let input = text(asked, "input")?.filter(|input| !input.is_empty());
    Ok(Submission {
        version,
        title: title.parse().map_err(|e| Failure::bad_request(format!("title: {e}")))?,
        input: input.ok_or_else(|| missing("input"))?.to_owned(),
        priority: priority(asked)?.unwrap_or(Priority::Normal),
        deadline_ms: time(asked, "deadline_ms")?,
        growing: false,
        audio: said::<Said>(asked, "audio")?,
        texts: said::<Sidecar>(asked, "text")?,
    })
}

/// What a change asks for: a priority, and a deadline that goes with it.
pub(super) fn change(asked: &Value) -> Result<(Priority, Option<i64>), Failure> {
    known(asked, &["priority", "deadline_ms"])?;
    let priority = priority(asked)?.ok_or_else(|| missing("priority"))?;
    Ok((priority, time(asked, "deadline_ms")?))
}

/// A list of texts, each of which says a `T`.
fn said<T: FromStr<Err = String>>(asked: &Value, field: &str) -> Result<Vec<String>, Failure> {
    let wrong = |why: &str| Failure::bad_request(format!("{field}: {why:.300}"));
    let said = match &asked[field] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(said) => said,
        _ => return Err(wrong("is no list of texts")),
    };
    let read = |said: &Value| {
        let said = said.as_str().ok_or_else(|| wrong("holds what is no text"))?;
        said.parse::<T>().map_err(|why| wrong(&why))?;
        Ok(said.to_owned())
    };
    said.iter().map(read).collect()
}

fn fault(fault: &Fault) -> Value {
    json!({ "kind": fault.kind.as_str(), "text": fault.text })
}

fn publication(publication: Publication) -> Value {
    json!({ "seq": publication.seq, "fragments": publication.frontier })
}

fn known(asked: &Value, fields: &[&str]) -> Result<(), Failure> {
    let unknown = asked
        .as_object()
        .and_then(|asked| asked.keys().find(|field| !fields.contains(&field.as_str())));
    match unknown {
        Some(field) => Err(Failure::bad_request(format!(
            "{field:.60?} is no field of this request; it has {}",
            fields.join(", ")
        ))),
        None => Ok(()),
    }
}

fn text<'v>(asked: &'v Value, field: &str) -> Result<Option<&'v str>, Failure> {
    match asked.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::bad_request(format!("{field} is no string"))),
    }
}

fn time(asked: &Value, field: &str) -> Result<Option<i64>, Failure> {
    match asked.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().filter(|time_ms| *time_ms >= 0).map(Some).ok_or_else(|| {
            Failure::bad_request(format!("{field} is no number of milliseconds since 1970"))
        }),
    }
}

fn priority(asked: &Value) -> Result<Option<Priority>, Failure> {
    let word = text(asked, "priority")?;
    word.map(str::parse).transpose().map_err(|e: String| Failure::bad_request(e))
}

fn missing(field: &str) -> Failure {
    Failure::bad_request(format!("{field} is missing"))
}
