//! Event in, next step out: what becomes of a task that is held, and of its job.

use std::fmt;

use headwater_packager::ids::VersionId;

use super::fault::Fault;
use super::spent::Spent;
use super::task::{Kind, Progress, State, Task};
use super::terms::Terms;
use super::version::{Job, JobState, Plan};
use crate::limits;

/// What a worker says of the task that it holds, or the clock says for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It lives.
    Beat(Progress),
    /// Every fragment before this one is committed: sound, which commits as it goes.
    Reached {
        /// The first fragment that is not.
        fragment: u32,
        /// What was made of it so far: the worker's words.
        result: String,
    },
    /// It is done: a chunk, or a track of sound.
    Done {
        /// What was made: the worker's words.
        result: String,
        /// What it took, track by track.
        spent: Vec<Spent>,
    },
    /// The marked publication is in the store.
    Written {
        /// Its number.
        seq: u64,
    },
    /// The title has a later version than this job's, which stays.
    Superseded {
        /// That version.
        by: VersionId,
    },
    /// It failed.
    Failed(Fault),
    /// Its worker has to stop. That is nobody's fault, and is not counted.
    Released,
}

/// What is to be done next, after job and task are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// Compute the frontier, and offer it to [`Job::advance`]; where that marks a publication, make
    /// the publish task ready with [`Task::publish`].
    Advance,
    /// The job has failed: park all of its tasks.
    Park,
}

/// Why an event changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The task is not held by this attempt, or not to be taken.
    NotHeld {
        /// Where it stands.
        state: State,
        /// Its last attempt.
        attempt: u32,
    },
    /// The job does not run.
    JobIs {
        /// Where it stands.
        state: JobState,
    },
    /// Nothing has moved for too long; the lease is not made longer.
    Stalled {
        /// For how long.
        still_ms: i64,
    },
    /// No such progress is possible.
    NotThere {
        /// What was said.
        reached: u32,
        /// What was reached before.
        was: u32,
        /// Where the task ends.
        end: u32,
    },
    /// What is said to be spoiled cannot be made again.
    NotSpoiled {
        /// Its kind.
        kind: Kind,
        /// Where it stands.
        state: State,
    },
    /// An event that this kind of task does not have.
    NotFor {
        /// The kind.
        kind: Kind,
    },
    /// A plan that cannot be carried out.
    BadPlan {
        /// What is wrong with it.
        why: String,
    },
    /// A result that is too long to be kept.
    TooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// Another publication than the marked one.
    OtherSeq {
        /// What was said.
        seq: u64,
        /// What is marked.
        marked: Option<u64>,
    },
    /// The last publication is being written: too late to call the job off.
    Closing,
}

/// Carries out an event of the holder of `attempt`. On a refusal neither has changed.
pub fn step(
    job: &mut Job,
    task: &mut Task,
    attempt: u32,
    event: Event,
    now_ms: i64,
    terms: &Terms,
) -> Result<Next, Refusal> {
    task.fence(attempt)?;
    if job.state != JobState::Running {
        return Err(Refusal::JobIs { state: job.state });
    }
    let kind = task.key.kind;
    match event {
        Event::Beat(progress) => {
            task.beat(progress, now_ms, terms)?;
            Ok(Next::Nothing)
        }
        Event::Reached { fragment, result } => {
            short(&result)?;
            task.reach(fragment, result)?;
            Ok(Next::Advance)
        }
        Event::Done { result, .. } if matches!(kind, Kind::Audio | Kind::Chunk) => {
            short(&result)?;
            task.finish(result, now_ms);
            job.part_done();
            Ok(Next::Advance)
        }
        Event::Written { seq } if kind == Kind::Publish => {
            if job.written(seq, now_ms)? {
                task.finish(String::new(), now_ms);
                return Ok(Next::Nothing);
            }
            (task.failures, task.losses) = (0, 0);
            task.wait(now_ms);
            Ok(Next::Advance)
        }
        Event::Superseded { by } if kind == Kind::Publish => {
            job.supersede(by, now_ms);
            task.finish(String::new(), now_ms);
            Ok(Next::Nothing)
        }
        Event::Failed(fault) => {
            if task.fail(fault.clone(), now_ms, terms) {
                job.fail(fault, now_ms);
                return Ok(Next::Park);
            }
            Ok(Next::Nothing)
        }
        Event::Released => {
            task.ready(now_ms, terms);
            Ok(Next::Nothing)
        }
        Event::Done { .. } | Event::Written { .. } | Event::Superseded { .. } => {
            Err(Refusal::NotFor { kind })
        }
    }
}

/// The holder of the publish task found that what `part` made is damaged or gone: it is made again, and
/// what is marked waits for it. On a refusal nothing has changed.
pub fn spoiled(
    job: &mut Job,
    publish: &mut Task,
    attempt: u32,
    part: &mut Task,
    fault: Fault,
    now_ms: i64,
    terms: &Terms,
) -> Result<Next, Refusal> {
    publish.fence(attempt)?;
    if job.state != JobState::Running {
        return Err(Refusal::JobIs { state: job.state });
    }
    if publish.key.kind != Kind::Publish {
        return Err(Refusal::NotFor { kind: publish.key.kind });
    }
    job.part_spoiled(part)?;
    publish.wait(now_ms);
    if part.spoil(fault.clone(), now_ms, terms) {
        job.fail(fault, now_ms);
        return Ok(Next::Park);
    }
    Ok(Next::Nothing)
}

/// Commits a plan; gives the tasks of its fan-out. On a refusal nothing has changed.
pub fn plan(
    job: &mut Job,
    task: &mut Task,
    publish: &mut Task,
    attempt: u32,
    plan: &Plan,
    now_ms: i64,
    terms: &Terms,
) -> Result<Vec<Task>, Refusal> {
    task.fence(attempt)?;
    if job.state != JobState::Running {
        return Err(Refusal::JobIs { state: job.state });
    }
    if task.key.kind != Kind::Plan {
        return Err(Refusal::NotFor { kind: task.key.kind });
    }
    short(&plan.words)?;
    let tasks = job.fan_out(plan, now_ms, terms)?;
    task.finish(plan.words.clone(), now_ms);
    // Who joins the parts must know them as well as who makes them.
    publish.tool.clone_from(&plan.tool);
    Ok(tasks)
}

impl Task {
    /// A publication was marked: the publish task, which waited, is ready.
    pub fn publish(&mut self, now_ms: i64, terms: &Terms) {
        if self.key.kind == Kind::Publish && self.state == State::Waiting {
            self.ready(now_ms, terms);
        }
    }

    /// Its job has failed.
    pub fn job_failed(&mut self, now_ms: i64) {
        self.park(now_ms);
    }
}

impl Job {
    /// The clock gave a task of it up.
    pub fn task_poisoned(&mut self, task: &Task, now_ms: i64) {
        if let (Some(fault), true) = (&task.fault, self.state.is_open()) {
            self.fail(fault.clone(), now_ms);
        }
    }
}

fn short(result: &str) -> Result<(), Refusal> {
    if result.len() > limits::RESULT_BYTES {
        return Err(Refusal::TooLong { len_bytes: result.len() });
    }
    Ok(())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld { state, attempt } => write!(
                f,
                "the task is {} after attempt {attempt}, and not held by this one: what it made is \
                 not taken",
                state.as_str()
            ),
            Self::JobIs { state } => write!(f, "the job is {}", state.as_str()),
            Self::Stalled { still_ms } => {
                write!(
                    f,
                    "nothing has moved for {still_ms} ms: end the work and say that it failed"
                )
            }
            Self::NotThere { reached, was, end } => {
                write!(f, "fragment {reached} cannot be reached from {was} in a task of {end}")
            }
            Self::NotSpoiled { kind, state } => write!(
                f,
                "a {} task that is {} is not made again: cancel the job and submit it again",
                kind.as_str(),
                state.as_str()
            ),
            Self::NotFor { kind } => write!(f, "a {} task does not end so", kind.as_str()),
            Self::BadPlan { why } => write!(f, "the plan cannot be carried out: {why}"),
            Self::TooLong { len_bytes } => {
                write!(
                    f,
                    "a result of {len_bytes} bytes; at most {} are kept",
                    limits::RESULT_BYTES
                )
            }
            Self::OtherSeq { seq, marked: Some(marked) } => {
                write!(f, "publication {seq} was written where {marked} is marked")
            }
            Self::OtherSeq { seq, marked: None } => {
                write!(f, "publication {seq} was written where none is marked")
            }
            Self::Closing => f.write_str(
                "the title is being published, which cannot be called off: delete it afterwards",
            ),
        }
    }
}
