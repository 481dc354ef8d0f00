//! What a queue says about itself.

use std::collections::BTreeMap;

use headwater_packager::ids::{TitleId, VersionId};

use crate::job::{FaultKind, Job, JobState, Lane, Priority, Spent, State, Task};
use crate::limits;

/// A job and its sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: Job,
    /// Over all of its tasks.
    pub tally: Tally,
    /// What was spent on it, by track.
    pub spent: Vec<Spent>,
}

/// Sums over tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tasks.
    pub tasks: u64,
    /// Of them, done.
    pub done: u64,
    /// Of them, held.
    pub held: u64,
    /// Real failures of all of them.
    pub failures: u64,
    /// Video frames to make, as far as is known.
    pub frames: u64,
    /// Of them, made.
    pub frames_made: u64,
}

impl Tally {
    /// Of these tasks.
    pub(super) fn of(tasks: &[Task]) -> Self {
        let mut tally = Self::default();
        for task in tasks {
            tally.tasks += 1;
            tally.done += u64::from(task.state == State::Done);
            tally.held += u64::from(task.state == State::Leased);
            tally.failures += u64::from(task.failures);
            tally.frames += task.frames;
            tally.frames_made += match task.state {
                State::Done => task.frames,
                State::Leased => task.progress.frames.min(task.frames),
                _ => 0,
            };
        }
        tally
    }
}

/// Which jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this state.
    pub state: Option<JobState>,
    /// Of this title.
    pub title: Option<TitleId>,
    /// Of this priority.
    pub priority: Option<Priority>,
}

impl Filter {
    /// Whether it takes a job.
    pub(super) fn takes(&self, job: &Job) -> bool {
        self.state.is_none_or(|state| state == job.state)
            && self.title.as_ref().is_none_or(|title| *title == job.title)
            && self.priority.is_none_or(|priority| priority == job.priority)
    }
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Jobs older than this one; from the newest without it.
    pub before: Option<VersionId>,
    /// At most so many, and at most [`limits::PAGE_ENTRIES`].
    pub entries: u32,
}

impl Page {
    /// Its length within bounds.
    pub(super) fn len(&self) -> u32 {
        self.entries.clamp(1, limits::PAGE_ENTRIES)
    }
}

/// An entry of a job's story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which entry of the job, from 1.
    pub entry: u64,
    /// When.
    pub at_ms: i64,
    /// What happened, a word.
    pub what: String,
    /// To what, and why.
    pub text: String,
}

/// What waits, and what failed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Ready tasks by lane, and since when the oldest waits.
    pub ready: BTreeMap<Lane, (u64, i64)>,
    /// Tasks that are held.
    pub held: u64,
    /// Tasks that wait for their next attempt.
    pub delayed: u64,
    /// Tasks that wait for a worker or for their next attempt, by the build of the tools that must do
    /// them; empty for any.
    pub tools: BTreeMap<String, u64>,
    /// What was spent since the queue was made, by track.
    pub spent: Vec<Spent>,
    /// Faults since the queue was made, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

impl Depth {
    /// Whether nothing is left that a worker with this build of tools, or whoever holds a task, could
    /// do.
    pub fn is_drained_for(&self, tool: &str) -> bool {
        let waits = |tool| self.tools.get(tool).is_some_and(|tasks| *tasks > 0);
        self.held == 0 && !waits("") && !waits(tool)
    }

    /// What waits for other builds than `tool`, and would wait for ever if nobody has them.
    pub fn stranded_for(&self, tool: &str) -> impl Iterator<Item = (&str, u64)> {
        let others = self.tools.iter().map(|(other, tasks)| (other.as_str(), *tasks));
        others.filter(move |(other, _)| !other.is_empty() && *other != tool)
    }
}
