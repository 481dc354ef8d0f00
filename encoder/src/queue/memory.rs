//! A queue that lasts as long as its process: for one encode that runs to its end, and to hold the
//! durable ones against.

use std::collections::BTreeMap;

use async_trait::async_trait;
use headwater_packager::ids::VersionId;
use tokio::sync::Mutex;

use super::desk;
use super::error::QueueError;
use super::rows::Rows;
use super::view::{Depth, Filter, JobView, Page, Tally, Told};
use super::{Claimed, Queue, Worker};
use crate::job::{
    Event, Fault, FaultKind, Hold, Job, JobState, Kind, Plan, Priority, Spent, State, Submission,
    Task, TaskKey, Terms,
};
use crate::limits;

/// Jobs and tasks in memory.
#[derive(Debug, Default)]
pub struct Memory {
    terms: Terms,
    table: Mutex<Table>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    jobs: BTreeMap<VersionId, Job>,
    tasks: BTreeMap<TaskKey, Task>,
    story: BTreeMap<VersionId, Vec<Told>>,
    faults: BTreeMap<FaultKind, u64>,
    /// Of each job, and of none for all that there ever were.
    spent: BTreeMap<(Option<VersionId>, String), Spent>,
}

impl Memory {
    /// An empty queue.
    pub fn new(terms: Terms) -> Self {
        Self { terms, table: Mutex::default() }
    }
}

/// Carries out a call of [`desk`] on a copy, which takes the table's place when it succeeds.
macro_rules! transact {
    ($queue:expr, |$rows:ident| $call:expr) => {{
        let mut table = $queue.table.lock().await;
        let mut copy = table.clone();
        let $rows = &mut copy;
        let outcome = $call.await;
        if outcome.is_ok() {
            *table = copy;
        }
        outcome
    }};
}

#[async_trait]
impl Queue for Memory {
    async fn submit(&self, submission: &Submission, now_ms: i64) -> Result<(), QueueError> {
        transact!(self, |rows| desk::submit(rows, submission, now_ms, &self.terms))
    }

    async fn claim(&self, worker: &Worker, now_ms: i64) -> Result<Option<Claimed>, QueueError> {
        self.tick(now_ms).await?;
        transact!(self, |rows| desk::claim(rows, worker, now_ms, &self.terms))
    }

    async fn tell(&self, hold: &Hold, event: Event, now_ms: i64) -> Result<Task, QueueError> {
        transact!(self, |rows| desk::tell(rows, hold, event, now_ms, &self.terms))
    }

    async fn spoiled(
        &self,
        hold: &Hold,
        part: &TaskKey,
        fault: &Fault,
        now_ms: i64,
    ) -> Result<(), QueueError> {
        transact!(self, |rows| desk::spoiled(rows, hold, part, fault, now_ms, &self.terms))
    }

    async fn spend(&self, job: VersionId, spent: &Spent) -> Result<(), QueueError> {
        transact!(self, |rows| desk::spend(rows, job, spent))
    }

    async fn planned(&self, hold: &Hold, plan: &Plan, now_ms: i64) -> Result<(), QueueError> {
        transact!(self, |rows| desk::planned(rows, hold, plan, now_ms, &self.terms))
    }

    async fn tick(&self, now_ms: i64) -> Result<usize, QueueError> {
        transact!(self, |rows| desk::tick(rows, now_ms, &self.terms))
    }

    async fn cancel(&self, job: VersionId, now_ms: i64) -> Result<(), QueueError> {
        transact!(self, |rows| desk::cancel(rows, job, now_ms))
    }

    async fn retry(&self, job: VersionId, now_ms: i64) -> Result<(), QueueError> {
        transact!(self, |rows| desk::retry(rows, job, now_ms, &self.terms))
    }

    async fn move_to(
        &self,
        job: VersionId,
        priority: Priority,
        deadline_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), QueueError> {
        transact!(self, |rows| desk::move_to(rows, job, priority, deadline_ms, now_ms, &self.terms))
    }

    async fn want(&self, job: VersionId, fragment: u32, now_ms: i64) -> Result<usize, QueueError> {
        transact!(self, |rows| desk::want(rows, job, fragment, now_ms, &self.terms))
    }

    async fn forget(&self, ended_before_ms: i64) -> Result<usize, QueueError> {
        transact!(self, |rows| desk::forget(rows, ended_before_ms))
    }

    async fn job(&self, job: VersionId) -> Result<JobView, QueueError> {
        let table = self.table.lock().await;
        let found = table.jobs.get(&job).ok_or(QueueError::NoSuchJob(job))?;
        Ok(table.view(found))
    }

    async fn state(&self, job: VersionId) -> Result<JobState, QueueError> {
        let table = self.table.lock().await;
        Ok(table.jobs.get(&job).ok_or(QueueError::NoSuchJob(job))?.state)
    }

    async fn jobs(&self, filter: &Filter, page: &Page) -> Result<Vec<JobView>, QueueError> {
        let table = self.table.lock().await;
        let found = table.jobs.values().rev();
        let found = found.filter(|job| page.before.is_none_or(|before| job.version < before));
        let found = found.filter(|job| filter.takes(job)).take(page.len() as usize);
        Ok(found.map(|job| table.view(job)).collect())
    }

    async fn tasks(&self, job: VersionId) -> Result<Vec<Task>, QueueError> {
        let table = self.table.lock().await;
        table.jobs.get(&job).ok_or(QueueError::NoSuchJob(job))?;
        Ok(table.tasks_of(job))
    }

    async fn story(&self, job: VersionId, after: u64) -> Result<Vec<Told>, QueueError> {
        let table = self.table.lock().await;
        table.jobs.get(&job).ok_or(QueueError::NoSuchJob(job))?;
        let story = table.story.get(&job).into_iter().flatten();
        let story = story.filter(|told| told.entry > after).take(limits::PAGE_ENTRIES as usize);
        Ok(story.cloned().collect())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let table = self.table.lock().await;
        let (faults, spent) = (table.faults.clone(), table.spent_on(None));
        let mut depth = Depth { faults, spent, ..Depth::default() };
        for task in table.tasks.values() {
            if matches!(task.state, State::Ready | State::Delayed) {
                *depth.tools.entry(task.tool.clone()).or_default() += 1;
            }
            match task.state {
                State::Ready => {
                    let lane = depth.ready.entry(task.lane_now()).or_insert((0, task.since_ms));
                    *lane = (lane.0 + 1, lane.1.min(task.since_ms));
                }
                State::Leased => depth.held += 1,
                State::Delayed => depth.delayed += 1,
                _ => {}
            }
        }
        Ok(depth)
    }
}

impl Table {
    fn view(&self, job: &Job) -> JobView {
        let tally = Tally::of(&self.tasks_of(job.version));
        JobView { job: job.clone(), tally, spent: self.spent_on(Some(job.version)) }
    }

    fn spent_on(&self, job: Option<VersionId>) -> Vec<Spent> {
        let of_it = self.spent.range((job, String::new())..);
        of_it.take_while(|((of, _), _)| *of == job).map(|(_, spent)| spent.clone()).collect()
    }

    fn tasks_of(&self, job: VersionId) -> Vec<Task> {
        let of_it = self.tasks.range(TaskKey { job, kind: Kind::Publish, index: 0 }..);
        of_it.take_while(|(key, _)| key.job == job).map(|(_, task)| task.clone()).collect()
    }
}

#[async_trait]
impl Rows for Table {
    async fn job(&mut self, job: VersionId) -> Result<Option<Job>, QueueError> {
        Ok(self.jobs.get(&job).cloned())
    }

    async fn add_job(&mut self, job: &Job) -> Result<(), QueueError> {
        if self.jobs.contains_key(&job.version) {
            return Err(QueueError::Exists(job.version));
        }
        self.put_job(job).await
    }

    async fn put_job(&mut self, job: &Job) -> Result<(), QueueError> {
        self.jobs.insert(job.version, job.clone());
        Ok(())
    }

    async fn task(&mut self, key: &TaskKey) -> Result<Option<Task>, QueueError> {
        Ok(self.tasks.get(key).cloned())
    }

    async fn tasks(&mut self, job: VersionId) -> Result<Vec<Task>, QueueError> {
        Ok(self.tasks_of(job))
    }

    async fn add_tasks(&mut self, tasks: &[Task]) -> Result<(), QueueError> {
        self.tasks.extend(tasks.iter().map(|task| (task.key, task.clone())));
        Ok(())
    }

    async fn put_task(&mut self, task: &Task) -> Result<(), QueueError> {
        self.tasks.insert(task.key, task.clone());
        Ok(())
    }

    async fn head(&mut self, tool: &str) -> Result<Option<Task>, QueueError> {
        let ready = self.tasks.values().filter(|task| task.state == State::Ready);
        Ok(ready.filter(|task| task.tool == tool).min_by_key(|task| task.rank()).cloned())
    }

    async fn due(&mut self, now_ms: i64, limit: i64) -> Result<Vec<TaskKey>, QueueError> {
        let due = self.tasks.values().filter_map(|task| Some((task.due_ms()?, task.key)));
        let mut due: Vec<_> = due.filter(|(due_ms, _)| *due_ms <= now_ms).collect();
        due.sort_unstable();
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(due.into_iter().map(|(_, key)| key).collect())
    }

    async fn ended(&mut self, before_ms: i64, limit: i64) -> Result<Vec<VersionId>, QueueError> {
        let ended = self.jobs.values().filter_map(|job| Some((job.ended_ms?, job.version)));
        let mut ended: Vec<_> = ended.filter(|(ended_ms, _)| *ended_ms < before_ms).collect();
        ended.sort_unstable();
        ended.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(ended.into_iter().map(|(_, job)| job).collect())
    }

    async fn forget(&mut self, job: VersionId) -> Result<(), QueueError> {
        self.jobs.remove(&job);
        self.story.remove(&job);
        self.spent.retain(|(of, _), _| *of != Some(job));
        self.tasks.retain(|key, _| key.job != job);
        Ok(())
    }

    async fn frontier(&mut self, job: VersionId) -> Result<Option<u32>, QueueError> {
        let tasks = self.tasks_of(job);
        let parts = tasks.iter().filter(|task| matches!(task.key.kind, Kind::Audio | Kind::Chunk));
        Ok(parts.filter(|task| task.state != State::Done).map(|task| task.reached).min())
    }

    async fn note(
        &mut self,
        job: VersionId,
        at_ms: i64,
        what: &str,
        text: &str,
    ) -> Result<(), QueueError> {
        let story = self.story.entry(job).or_default();
        let entry = story.len() as u64 + 1;
        story.push(Told { entry, at_ms, what: what.to_owned(), text: text.to_owned() });
        Ok(())
    }

    async fn spend(&mut self, job: VersionId, spent: &Spent) -> Result<(), QueueError> {
        for of in [Some(job), None] {
            let key = (of, spent.track.clone());
            self.spent.entry(key).and_modify(|sum| sum.add(spent)).or_insert_with(|| spent.clone());
        }
        Ok(())
    }

    async fn count(&mut self, fault: FaultKind) -> Result<(), QueueError> {
        *self.faults.entry(fault).or_default() += 1;
        Ok(())
    }
}
