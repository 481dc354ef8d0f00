//! The durable queue: jobs and their tasks, shared by all workers.
//!
//! ```text
//!  Queue ─► Desk ─► job::step      what an event means: pure, the same for all
//!             │
//!             └───► Rows           rows read, locked and written: SQLite, PostgreSQL, memory
//! ```
//!
//! Every call is one transaction. [`Desk`](desk) says in which order rows are read and written, and
//! the rules are those of [`crate::job`]; a backend knows neither. Time is an argument.
//!
//! A call may be made again after an error of [`QueueError::Database`]: what a lost answer had
//! already done is refused by the attempt's number, or changes nothing.

mod desk;
mod error;
mod memory;
mod rows;
mod schema;
mod sql;
mod sql_row;
mod sql_rows;
mod statement;
mod view;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use headwater_packager::ids::VersionId;

pub use error::QueueError;
pub use memory::Memory;
pub use sql::SqlQueue;
pub use view::{Depth, Filter, JobView, Page, Tally, Told};

use crate::job::{
    Event, Fault, Hold, JobState, Plan, Priority, Publication, Spent, Submission, Task, TaskKey,
};

/// A worker, as it asks for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its name, for people.
    pub name: String,
    /// The build of its tools. It gets tasks that are for any build, or for this one.
    pub tool: String,
}

/// A task that is now held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The right to it.
    pub hold: Hold,
    /// The task.
    pub task: Task,
    /// For a publish task, what is to be written.
    pub publication: Option<Publication>,
}

/// A durable queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Takes a job in. The same version twice is refused.
    async fn submit(&self, submission: &Submission, now_ms: i64) -> Result<(), QueueError>;

    /// Gives the most urgent task that `worker` can do, or nothing.
    async fn claim(&self, worker: &Worker, now_ms: i64) -> Result<Option<Claimed>, QueueError>;

    /// What became of a task that is held; gives it as it is then.
    async fn tell(&self, hold: &Hold, event: Event, now_ms: i64) -> Result<Task, QueueError>;

    /// The holder of the publish task found that what `part` made is damaged or gone: it is made again.
    async fn spoiled(
        &self,
        hold: &Hold,
        part: &TaskKey,
        fault: &Fault,
        now_ms: i64,
    ) -> Result<(), QueueError>;

    /// What was spent on a job beside the results of its tasks.
    async fn spend(&self, job: VersionId, spent: &Spent) -> Result<(), QueueError>;

    /// Commits a plan: its tasks are then to be taken.
    async fn planned(&self, hold: &Hold, plan: &Plan, now_ms: i64) -> Result<(), QueueError>;

    /// Does what the clock asks for, a bounded piece of it; says how many tasks it changed. Claims
    /// do the same.
    async fn tick(&self, now_ms: i64) -> Result<usize, QueueError>;

    /// Calls a job off.
    async fn cancel(&self, job: VersionId, now_ms: i64) -> Result<(), QueueError>;

    /// Tries a failed job again, from what is done.
    async fn retry(&self, job: VersionId, now_ms: i64) -> Result<(), QueueError>;

    /// Gives a job another priority and deadline.
    async fn move_to(
        &self,
        job: VersionId,
        priority: Priority,
        deadline_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), QueueError>;

    /// A viewer waits for a fragment; says how many tasks that put in front.
    async fn want(&self, job: VersionId, fragment: u32, now_ms: i64) -> Result<usize, QueueError>;

    /// Forgets jobs that ended before `ended_before_ms`, with their tasks and their story, a bounded
    /// number of them; says how many. What they published stays.
    async fn forget(&self, ended_before_ms: i64) -> Result<usize, QueueError>;

    /// A job and its sums.
    async fn job(&self, job: VersionId) -> Result<JobView, QueueError>;

    /// Where a job stands: without its sums, which are counted over all of its tasks.
    async fn state(&self, job: VersionId) -> Result<JobState, QueueError>;

    /// Jobs, newest first.
    async fn jobs(&self, filter: &Filter, page: &Page) -> Result<Vec<JobView>, QueueError>;

    /// The tasks of a job, in the order in which they are taken.
    async fn tasks(&self, job: VersionId) -> Result<Vec<Task>, QueueError>;

    /// What happened to a job after entry `after`, oldest first, at most a page of it.
    async fn story(&self, job: VersionId, after: u64) -> Result<Vec<Told>, QueueError>;

    /// What waits, and what failed so far.
    async fn depth(&self) -> Result<Depth, QueueError>;
}
