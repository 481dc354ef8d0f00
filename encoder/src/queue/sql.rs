//! The queue in SQLite or PostgreSQL: one schema, one set of statements.
//!
//! | | SQLite | PostgreSQL |
//! |---|---|---|
//! | for | one machine, nothing to set up | as many machines as there are |
//! | a transaction | takes the one write lock when it begins | locks the rows that it reads |
//! | a claim | waits for its turn | skips what another one holds (`SKIP LOCKED`) |
//! | a commit | WAL, `synchronous = FULL`: on disk before it is said | as the server is set up |

use std::time::Duration;

use async_trait::async_trait;
use headwater_packager::ids::{TitleId, VersionId};
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, Executor};

use super::desk;
use super::error::QueueError;
use super::schema;
use super::sql_row::{self, big, count, text};
use super::sql_rows::SqlRows;
use super::statement::{self, Dialect};
use super::view::{Depth, Filter, JobView, Page, Tally, Told};
use super::{Claimed, Queue, Worker};
use crate::job::{
    Event, Fault, FaultKind, Hold, JobState, Lane, Plan, Priority, Spent, Submission, Task,
    TaskKey, Terms,
};
use crate::limits;

/// A queue in a database.
#[derive(Clone, Debug)]
pub struct SqlQueue {
    pool: AnyPool,
    dialect: Dialect,
    terms: Terms,
}

impl SqlQueue {
    /// Opens a queue and brings its tables up to date. `url` is `sqlite:///absolute/path` (made where
    /// there is none) or `postgres://...`, with at most `connections` at once.
    pub async fn open(url: &str, connections: u32, terms: Terms) -> Result<Self, QueueError> {
        sqlx::any::install_default_drivers();
        let dialect = match url.split_once(':') {
            Some(("sqlite", _)) => Dialect::Sqlite,
            Some(("postgres" | "postgresql", _)) => Dialect::Postgres,
            // Not repeated: an address may hold a password.
            _ => {
                let text = "the queue's address is neither sqlite:///path nor postgres://host/name";
                return Err(QueueError::OutOfBounds(text.to_owned()));
            }
        };
        let url = match dialect {
            Dialect::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        };
        let options = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(limits::DATABASE_WAIT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if dialect == Dialect::Sqlite {
                        connection.execute(statement::SQLITE_SETTINGS).await?;
                    }
                    Ok(())
                })
            });
        let pool = options.connect(&url).await?;
        schema::migrate(&pool).await?;
        Ok(Self { pool, dialect, terms })
    }

    /// Ends its connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The statements that a claim runs, for their plans to be looked at.
    #[cfg(test)]
    pub(super) fn claim_statements(&self) -> [&'static str; 2] {
        [self.dialect.head(), statement::DUE]
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    async fn begin(&self) -> Result<SqlRows, QueueError> {
        let begun = match self.dialect {
            // A lock that is taken later may find that somebody else wrote in between.
            Dialect::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.pool.begin().await,
        };
        Ok(SqlRows::new(begun?, self.dialect))
    }

    async fn is_due(&self, now_ms: i64) -> Result<bool, QueueError> {
        let due = sqlx::query(statement::DUE).bind(now_ms).bind(1_i64);
        Ok(due.fetch_optional(&self.pool).await?.is_some())
    }

    async fn view(&self, row: &AnyRow) -> Result<JobView, QueueError> {
        let job = sql_row::job(row)?;
        let sums = sqlx::query(statement::TALLY).bind(job.version.to_string());
        let row = sums.fetch_one(&self.pool).await?;
        let tally = Tally {
            tasks: count(&row, "tasks")?,
            done: count(&row, "done")?,
            held: count(&row, "held")?,
            failures: count(&row, "failures")?,
            frames: count(&row, "frames")?,
            frames_made: count(&row, "frames_made")?,
        };
        let spent = self.spent(job.version.to_string()).await?;
        Ok(JobView { job, tally, spent })
    }

    async fn spent(&self, job: String) -> Result<Vec<Spent>, QueueError> {
        let rows = sqlx::query(statement::SPENT).bind(job).fetch_all(&self.pool).await?;
        rows.iter().map(sql_row::spent).collect()
    }
}

/// Carries out a call of [`desk`] in a transaction, and again where it lost a race.
macro_rules! transact {
    ($queue:expr, |$rows:ident| $call:expr) => {{
        let mut tries = 0;
        loop {
            let outcome = match $queue.begin().await {
                Ok(mut begun) => {
                    let $rows = &mut begun;
                    match $call.await {
                        Ok(value) => begun.commit().await.map(|()| value),
                        Err(error) => {
                            begun.rollback().await;
                            Err(error)
                        }
                    }
                }
                Err(error) => Err(error),
            };
            match outcome {
                Err(QueueError::Database { is_transient: true, .. }) if tries < limits::RACES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(5 << tries)).await;
                }
                outcome => break outcome,
            }
        }
    }};
}

#[async_trait]
impl Queue for SqlQueue {
    async fn submit(&self, submission: &Submission, now_ms: i64) -> Result<(), QueueError> {
        transact!(self, |rows| desk::submit(rows, submission, now_ms, &self.terms))
    }

    async fn claim(&self, worker: &Worker, now_ms: i64) -> Result<Option<Claimed>, QueueError> {
        if self.is_due(now_ms).await? {
            self.tick(now_ms).await?;
        }
        transact!(self, |rows| desk::claim(rows, worker, now_ms, &self.terms))
    }

    async fn tell(&self, hold: &Hold, event: Event, now_ms: i64) -> Result<Task, QueueError> {
        transact!(self, |rows| desk::tell(rows, hold, event.clone(), now_ms, &self.terms))
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
        let terms = &self.terms;
        transact!(self, |rows| desk::move_to(rows, job, priority, deadline_ms, now_ms, terms))
    }

    async fn want(&self, job: VersionId, fragment: u32, now_ms: i64) -> Result<usize, QueueError> {
        transact!(self, |rows| desk::want(rows, job, fragment, now_ms, &self.terms))
    }

    async fn forget(&self, ended_before_ms: i64) -> Result<usize, QueueError> {
        transact!(self, |rows| desk::forget(rows, ended_before_ms))
    }

    async fn job(&self, job: VersionId) -> Result<JobView, QueueError> {
        let found = sqlx::query(statement::job(Dialect::Sqlite)).bind(job.to_string());
        let found = found.fetch_optional(&self.pool).await?;
        self.view(&found.ok_or(QueueError::NoSuchJob(job))?).await
    }

    async fn state(&self, job: VersionId) -> Result<JobState, QueueError> {
        let found = sqlx::query(statement::job(Dialect::Sqlite)).bind(job.to_string());
        let found = found.fetch_optional(&self.pool).await?;
        Ok(sql_row::job(&found.ok_or(QueueError::NoSuchJob(job))?)?.state)
    }

    async fn jobs(&self, filter: &Filter, page: &Page) -> Result<Vec<JobView>, QueueError> {
        let word = |word: Option<&str>| word.unwrap_or("").to_owned();
        let statement = sqlx::query(statement::jobs())
            .bind(page.before.map_or(String::new(), |before| before.to_string()))
            .bind(word(filter.state.map(JobState::as_str)))
            .bind(word(filter.title.as_ref().map(TitleId::as_str)))
            .bind(word(filter.priority.map(Priority::as_str)))
            .bind(i64::from(page.len()));
        let rows = statement.fetch_all(&self.pool).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in &rows {
            views.push(self.view(row).await?);
        }
        Ok(views)
    }

    async fn tasks(&self, job: VersionId) -> Result<Vec<Task>, QueueError> {
        let rows = sqlx::query(statement::tasks(Dialect::Sqlite)).bind(job.to_string());
        let rows = rows.fetch_all(&self.pool).await?;
        if rows.is_empty() {
            return Err(QueueError::NoSuchJob(job));
        }
        rows.iter().map(sql_row::task).collect()
    }

    async fn story(&self, job: VersionId, after: u64) -> Result<Vec<Told>, QueueError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = sqlx::query(statement::STORY)
            .bind(job.to_string())
            .bind(after)
            .bind(i64::from(limits::PAGE_ENTRIES))
            .fetch_all(&self.pool)
            .await?;
        if rows.is_empty() {
            self.job(job).await?;
        }
        let told = |row: &AnyRow| -> Result<Told, QueueError> {
            Ok(Told {
                entry: count(row, "entry")?,
                at_ms: big(row, "at_ms")?,
                what: text(row, "what")?,
                text: text(row, "text")?,
            })
        };
        rows.iter().map(told).collect()
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let mut depth = Depth::default();
        for row in sqlx::query(statement::READY).fetch_all(&self.pool).await? {
            let number = big(&row, "lane_now")?;
            let lane = Lane::from_number(number)
                .ok_or_else(|| QueueError::damaged(format_args!("lane {number}")))?;
            depth.ready.insert(lane, (count(&row, "tasks")?, big(&row, "since_ms")?));
        }
        let row = sqlx::query(statement::BUSY).fetch_one(&self.pool).await?;
        (depth.held, depth.delayed) = (count(&row, "held")?, count(&row, "delayed")?);
        for row in sqlx::query(statement::TOOLS).fetch_all(&self.pool).await? {
            let waits = count(&row, "tasks")?;
            depth.tools.insert(text(&row, "tool")?, waits);
        }
        depth.spent = self.spent(String::new()).await?;
        for row in sqlx::query(statement::FAULTS).fetch_all(&self.pool).await? {
            // A kind of a later release is that release's to show.
            if let Some(kind) = FaultKind::from_word(&text(&row, "kind")?) {
                depth.faults.insert(kind, count(&row, "faults")?);
            }
        }
        Ok(depth)
    }
}
