//! What a backend can do: rows, read for change and written, within one transaction.

use async_trait::async_trait;
use headwater_packager::ids::VersionId;

use super::error::QueueError;
use crate::job::{FaultKind, Job, Spent, Task, TaskKey};

/// Rows of one transaction. What is read stays as it is read until the transaction ends.
///
/// To meet no deadlock, a job is read before its tasks; only [`Rows::head`] takes a task first.
#[async_trait]
pub(super) trait Rows: Send {
    /// A job.
    async fn job(&mut self, job: VersionId) -> Result<Option<Job>, QueueError>;
    /// A new job; [`QueueError::Exists`] where there is one.
    async fn add_job(&mut self, job: &Job) -> Result<(), QueueError>;
    /// A changed job.
    async fn put_job(&mut self, job: &Job) -> Result<(), QueueError>;
    /// A task.
    async fn task(&mut self, key: &TaskKey) -> Result<Option<Task>, QueueError>;
    /// All tasks of a job.
    async fn tasks(&mut self, job: VersionId) -> Result<Vec<Task>, QueueError>;
    /// New tasks.
    async fn add_tasks(&mut self, tasks: &[Task]) -> Result<(), QueueError>;
    /// A changed task.
    async fn put_task(&mut self, task: &Task) -> Result<(), QueueError>;
    /// The first ready task for this very build of tools, by [`Task::rank`], that no other
    /// transaction holds.
    async fn head(&mut self, tool: &str) -> Result<Option<Task>, QueueError>;
    /// Tasks that the clock changes, first due first; read, not held.
    async fn due(&mut self, now_ms: i64, limit: i64) -> Result<Vec<TaskKey>, QueueError>;
    /// Jobs that ended before some time, first ones first; read, not held.
    async fn ended(&mut self, before_ms: i64, limit: i64) -> Result<Vec<VersionId>, QueueError>;
    /// Removes a job, its tasks and its story.
    async fn forget(&mut self, job: VersionId) -> Result<(), QueueError>;
    /// The least `reached` of a job's chunks and sounds that are not done.
    async fn frontier(&mut self, job: VersionId) -> Result<Option<u32>, QueueError>;
    /// A further entry of a job's story. The job is held.
    async fn note(
        &mut self,
        job: VersionId,
        at_ms: i64,
        what: &str,
        text: &str,
    ) -> Result<(), QueueError>;
    /// Adds what was spent on a track, to its job and to what was spent ever. The job is held.
    async fn spend(&mut self, job: VersionId, spent: &Spent) -> Result<(), QueueError>;
    /// One more fault.
    async fn count(&mut self, fault: FaultKind) -> Result<(), QueueError>;
}
