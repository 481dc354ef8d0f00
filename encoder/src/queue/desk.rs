//! The transactions: which rows an operation reads, what the rules make of them, what is written.

use headwater_packager::ids::VersionId;

use super::error::QueueError;
use super::rows::Rows;
use super::{Claimed, Worker};
use crate::job::{
    self, Event, Fault, Hold, Job, Kind, Next, Plan, Priority, Spent, State, Submission, Task,
    TaskKey, Terms, Tick,
};
use crate::limits;

pub(super) async fn submit(
    rows: &mut dyn Rows,
    submission: &Submission,
    now_ms: i64,
    terms: &Terms,
) -> Result<(), QueueError> {
    bounded("input", &submission.input, limits::INPUT_BYTES)?;
    for (what, said, most) in
        [("audio", &submission.audio, limits::STREAMS), ("text", &submission.texts, limits::TEXTS)]
    {
        if said.len() > most {
            let text = format!("{what} is said {} times; at most {most} are taken", said.len());
            return Err(QueueError::OutOfBounds(text));
        }
        for said in said {
            bounded(what, said, limits::INPUT_BYTES)?;
        }
    }
    let (job, tasks) = Job::new(submission, now_ms, terms);
    rows.add_job(&job).await?;
    rows.add_tasks(&tasks).await?;
    rows.note(job.version, now_ms, "submitted", job.priority.as_str()).await
}

pub(super) async fn claim(
    rows: &mut dyn Rows,
    worker: &Worker,
    now_ms: i64,
    terms: &Terms,
) -> Result<Option<Claimed>, QueueError> {
    bounded("worker's name", &worker.name, limits::WORKER_BYTES)?;
    bounded("worker's tools", &worker.tool, limits::WORKER_BYTES)?;
    let for_any = rows.head("").await?;
    let for_this = if worker.tool.is_empty() { None } else { rows.head(&worker.tool).await? };
    let Some(mut task) = for_any.into_iter().chain(for_this).min_by_key(Task::rank) else {
        return Ok(None);
    };
    let hold = task.claim(&worker.name, now_ms, terms)?;
    rows.put_task(&task).await?;
    // The only ones that need their job; of a chunk that lock would cost the others' commits.
    let publication = match task.key.kind {
        Kind::Plan | Kind::Publish => {
            let mut job = job_of(rows, task.key.job).await?;
            if task.key.kind == Kind::Plan {
                job.begin(now_ms);
                rows.put_job(&job).await?;
                let text = format!("by {}, attempt {}", worker.name, hold.attempt);
                rows.note(job.version, now_ms, "begun", &text).await?;
            }
            job.publication
        }
        Kind::Audio | Kind::Chunk => None,
    };
    Ok(Some(Claimed { hold, task, publication }))
}

pub(super) async fn tell(
    rows: &mut dyn Rows,
    hold: &Hold,
    event: Event,
    now_ms: i64,
    terms: &Terms,
) -> Result<Task, QueueError> {
    // A beat changes the task alone, and comes often.
    let is_beat = matches!(event, Event::Beat(_));
    let mut spent = match &event {
        Event::Done { spent, .. } => spent.clone(),
        _ => Vec::new(),
    };
    spent.sort_unstable();
    let word = word(&event);
    if let Event::Failed(fault) = &event {
        rows.count(fault.kind).await?;
    }
    let mut job = job_of(rows, hold.key.job).await?;
    let mut task = task_of(rows, &hold.key).await?;
    let next = job::step(&mut job, &mut task, hold.attempt, event, now_ms, terms)?;
    rows.put_task(&task).await?;
    if is_beat {
        return Ok(task);
    }
    for spent in &spent {
        bounded("track's id", &spent.track, limits::TRACK_BYTES)?;
        rows.spend(job.version, spent).await?;
    }
    if let Some(what) = word {
        let text = match job.superseded_by {
            Some(by) => format!("{} has a later version, {by}, which stays", job.title),
            None => told(&task),
        };
        rows.note(job.version, now_ms, what, &text).await?;
    }
    follow(rows, &mut job, next, now_ms, terms).await?;
    Ok(task)
}

pub(super) async fn spoiled(
    rows: &mut dyn Rows,
    hold: &Hold,
    part: &TaskKey,
    fault: &Fault,
    now_ms: i64,
    terms: &Terms,
) -> Result<(), QueueError> {
    rows.count(fault.kind).await?;
    let mut job = job_of(rows, hold.key.job).await?;
    let mut publish = task_of(rows, &hold.key).await?;
    let mut part = task_of(rows, part).await?;
    let (attempt, fault) = (hold.attempt, fault.clone());
    let next = job::spoiled(&mut job, &mut publish, attempt, &mut part, fault, now_ms, terms)?;
    rows.put_task(&publish).await?;
    rows.put_task(&part).await?;
    rows.note(job.version, now_ms, "spoiled", &told(&part)).await?;
    follow(rows, &mut job, next, now_ms, terms).await
}

pub(super) async fn spend(
    rows: &mut dyn Rows,
    job: VersionId,
    spent: &Spent,
) -> Result<(), QueueError> {
    let job = job_of(rows, job).await?;
    bounded("track's id", &spent.track, limits::TRACK_BYTES)?;
    rows.spend(job.version, spent).await
}

pub(super) async fn planned(
    rows: &mut dyn Rows,
    hold: &Hold,
    plan: &Plan,
    now_ms: i64,
    terms: &Terms,
) -> Result<(), QueueError> {
    bounded("worker's tools", &plan.tool, limits::WORKER_BYTES)?;
    let mut job = job_of(rows, hold.key.job).await?;
    let mut task = task_of(rows, &hold.key).await?;
    let mut publish = task_of(rows, &job.publish_key()).await?;
    let attempt = hold.attempt;
    let tasks = job::plan(&mut job, &mut task, &mut publish, attempt, plan, now_ms, terms)?;
    rows.put_task(&task).await?;
    rows.put_task(&publish).await?;
    rows.add_tasks(&tasks).await?;
    rows.put_job(&job).await?;
    let text = format!("{} chunks, {} tracks of sound", plan.chunks.len(), plan.sounds);
    rows.note(job.version, now_ms, "planned", &text).await
}

/// What the clock asks for. Each task is read again under its job's lock.
pub(super) async fn tick(
    rows: &mut dyn Rows,
    now_ms: i64,
    terms: &Terms,
) -> Result<usize, QueueError> {
    let due = rows.due(now_ms, limits::TICK_TASKS).await?;
    let mut changed = 0;
    for key in due {
        changed += usize::from(tick_one(rows, &key, now_ms, terms).await?);
    }
    Ok(changed)
}

async fn tick_one(
    rows: &mut dyn Rows,
    key: &TaskKey,
    now_ms: i64,
    terms: &Terms,
) -> Result<bool, QueueError> {
    let mut job = job_of(rows, key.job).await?;
    let mut task = task_of(rows, key).await?;
    let ticked = task.tick(now_ms, terms);
    if ticked == Tick::Nothing {
        return Ok(false);
    }
    rows.put_task(&task).await?;
    if matches!(ticked, Tick::Lost | Tick::Poisoned) {
        if let Some(fault) = &task.fault {
            rows.count(fault.kind).await?;
        }
        rows.note(job.version, now_ms, "lost", &told(&task)).await?;
    }
    if ticked == Tick::Poisoned {
        job.task_poisoned(&task, now_ms);
        follow(rows, &mut job, Next::Park, now_ms, terms).await?;
    }
    Ok(true)
}

pub(super) async fn cancel(
    rows: &mut dyn Rows,
    job: VersionId,
    now_ms: i64,
) -> Result<(), QueueError> {
    let mut job = job_of(rows, job).await?;
    let mut tasks = rows.tasks(job.version).await?;
    let before = tasks.clone();
    job.cancel(&mut tasks, now_ms)?;
    put_changed(rows, &before, &tasks).await?;
    rows.put_job(&job).await?;
    rows.note(job.version, now_ms, "cancelled", "").await
}

pub(super) async fn retry(
    rows: &mut dyn Rows,
    job: VersionId,
    now_ms: i64,
    terms: &Terms,
) -> Result<(), QueueError> {
    let mut job = job_of(rows, job).await?;
    let mut tasks = rows.tasks(job.version).await?;
    let before = tasks.clone();
    job.retry(&mut tasks, now_ms, terms)?;
    put_changed(rows, &before, &tasks).await?;
    rows.put_job(&job).await?;
    rows.note(job.version, now_ms, "retried", "").await?;
    follow(rows, &mut job, Next::Advance, now_ms, terms).await
}

pub(super) async fn move_to(
    rows: &mut dyn Rows,
    job: VersionId,
    priority: Priority,
    deadline_ms: Option<i64>,
    now_ms: i64,
    terms: &Terms,
) -> Result<(), QueueError> {
    let mut job = job_of(rows, job).await?;
    let mut tasks = rows.tasks(job.version).await?;
    let before = tasks.clone();
    job.move_to(priority, deadline_ms, &mut tasks, now_ms, terms)?;
    put_changed(rows, &before, &tasks).await?;
    rows.put_job(&job).await?;
    rows.note(job.version, now_ms, "moved", priority.as_str()).await
}

pub(super) async fn want(
    rows: &mut dyn Rows,
    job: VersionId,
    fragment: u32,
    now_ms: i64,
    terms: &Terms,
) -> Result<usize, QueueError> {
    let job = job_of(rows, job).await?;
    let mut tasks = rows.tasks(job.version).await?;
    let before = tasks.clone();
    let wanted = job.want(fragment, &mut tasks, now_ms, terms);
    put_changed(rows, &before, &tasks).await?;
    Ok(wanted)
}

/// Forgets jobs that ended long ago. Each is read again under its lock: it may just be tried again.
pub(super) async fn forget(rows: &mut dyn Rows, ended_before_ms: i64) -> Result<usize, QueueError> {
    let mut forgotten = 0;
    for job in rows.ended(ended_before_ms, limits::FORGOTTEN_JOBS).await? {
        let is_over = |job: &Job| job.ended_ms.is_some_and(|ended_ms| ended_ms < ended_before_ms);
        if rows.job(job).await?.is_some_and(|job| is_over(&job)) {
            rows.forget(job).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

/// Carries out a next step, and stores the job.
async fn follow(
    rows: &mut dyn Rows,
    job: &mut Job,
    next: Next,
    now_ms: i64,
    terms: &Terms,
) -> Result<(), QueueError> {
    match next {
        Next::Nothing => {}
        Next::Advance => {
            let frontier = rows.frontier(job.version).await?.unwrap_or(job.fragments);
            if job.advance(frontier) || job.is_whole(frontier) {
                let mut publish = task_of(rows, &job.publish_key()).await?;
                publish.publish(now_ms, terms);
                rows.put_task(&publish).await?;
            }
        }
        Next::Park => {
            let mut tasks = rows.tasks(job.version).await?;
            let before = tasks.clone();
            tasks.iter_mut().for_each(|task| task.job_failed(now_ms));
            put_changed(rows, &before, &tasks).await?;
            let why = job.fault.as_ref().map_or("", |fault| &fault.text).to_owned();
            rows.note(job.version, now_ms, "given_up", &why).await?;
        }
    }
    rows.put_job(job).await
}

async fn put_changed(
    rows: &mut dyn Rows,
    before: &[Task],
    after: &[Task],
) -> Result<(), QueueError> {
    for (before, after) in before.iter().zip(after) {
        if before != after {
            rows.put_task(after).await?;
        }
    }
    Ok(())
}

async fn job_of(rows: &mut dyn Rows, job: VersionId) -> Result<Job, QueueError> {
    rows.job(job).await?.ok_or(QueueError::NoSuchJob(job))
}

async fn task_of(rows: &mut dyn Rows, key: &TaskKey) -> Result<Task, QueueError> {
    rows.task(key).await?.ok_or(QueueError::NoSuchTask(*key))
}

fn bounded(what: &str, text: &str, most_bytes: usize) -> Result<(), QueueError> {
    if text.len() > most_bytes {
        let len_bytes = text.len();
        let text = format!("the {what} has {len_bytes} bytes; at most {most_bytes} are taken");
        return Err(QueueError::OutOfBounds(text));
    }
    Ok(())
}

/// The word of an event in a job's story; beats and steps of sound are not told.
fn word(event: &Event) -> Option<&'static str> {
    match event {
        Event::Beat(_) | Event::Reached { .. } => None,
        Event::Done { .. } => Some("done"),
        Event::Written { .. } => Some("written"),
        Event::Superseded { .. } => Some("superseded"),
        Event::Failed(_) => Some("failed"),
        Event::Released => Some("released"),
    }
}

fn told(task: &Task) -> String {
    let (kind, index, attempt) = (task.key.kind.as_str(), task.key.index, task.attempt);
    let fault = task.fault.as_ref().filter(|_| task.state != State::Done);
    let why = fault.map_or(String::new(), |fault| format!(": {}", fault.text));
    format!("{kind} {index}, attempt {attempt}{why}")
}
