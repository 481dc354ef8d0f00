//! The rows of one transaction in a database.

use async_trait::async_trait;
use headwater_packager::ids::VersionId;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::error::QueueError;
use super::rows::Rows;
use super::sql_row::{self, JOB_COLUMNS, TASK_COLUMNS};
use super::statement::{self, Dialect};
use crate::job::{FaultKind, Job, Spent, Task, TaskKey};
use crate::limits;

/// Rows within one transaction; without a commit it changes nothing.
pub(super) struct SqlRows {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
}

impl SqlRows {
    /// Rows of a transaction that has begun.
    pub(super) fn new(transaction: Transaction<'static, Any>, dialect: Dialect) -> Self {
        Self { transaction, dialect }
    }

    /// Makes its changes everybody's.
    pub(super) async fn commit(self) -> Result<(), QueueError> {
        self.transaction.commit().await.map_err(QueueError::from)
    }

    /// Gives its locks back before anybody is told that it changed nothing: a claim that follows
    /// would else skip what it still holds. Where it fails the connection ends, and they go with it.
    pub(super) async fn rollback(self) {
        drop(self.transaction.rollback().await);
    }

    async fn run(&mut self, statement: sql_row::Statement<'_>) -> Result<u64, QueueError> {
        let done = statement.execute(&mut *self.transaction).await?;
        Ok(done.rows_affected())
    }

    async fn one(
        &mut self,
        statement: sql_row::Statement<'_>,
    ) -> Result<Option<AnyRow>, QueueError> {
        statement.fetch_optional(&mut *self.transaction).await.map_err(QueueError::from)
    }
}

#[async_trait]
impl Rows for SqlRows {
    async fn job(&mut self, job: VersionId) -> Result<Option<Job>, QueueError> {
        let select = sqlx::query(statement::job(self.dialect)).bind(job.to_string());
        let row = self.one(select).await?;
        row.as_ref().map(sql_row::job).transpose()
    }

    async fn add_job(&mut self, job: &Job) -> Result<(), QueueError> {
        let insert =
            sqlx::query(statement::insert("jobs", &JOB_COLUMNS, 1, " ON CONFLICT DO NOTHING"));
        match self.run(sql_row::bind_job(insert, job)).await? {
            0 => Err(QueueError::Exists(job.version)),
            _ => Ok(()),
        }
    }

    async fn put_job(&mut self, job: &Job) -> Result<(), QueueError> {
        let update = sqlx::query(statement::update("jobs", &JOB_COLUMNS, 1));
        self.run(sql_row::bind_job(update, job)).await.map(drop)
    }

    async fn task(&mut self, key: &TaskKey) -> Result<Option<Task>, QueueError> {
        let select = sqlx::query(statement::task(self.dialect));
        let row = self.one(sql_row::bind_key(select, key)).await?;
        row.as_ref().map(sql_row::task).transpose()
    }

    async fn tasks(&mut self, job: VersionId) -> Result<Vec<Task>, QueueError> {
        let select = sqlx::query(statement::tasks(self.dialect)).bind(job.to_string());
        let rows = select.fetch_all(&mut *self.transaction).await?;
        rows.iter().map(sql_row::task).collect()
    }

    async fn add_tasks(&mut self, tasks: &[Task]) -> Result<(), QueueError> {
        for batch in tasks.chunks(limits::BATCH_ROWS) {
            let insert = statement::insert("tasks", &TASK_COLUMNS, batch.len(), "");
            let insert = batch.iter().fold(sqlx::query(insert), sql_row::bind_task);
            self.run(insert).await?;
        }
        Ok(())
    }

    async fn put_task(&mut self, task: &Task) -> Result<(), QueueError> {
        let update = sqlx::query(statement::update("tasks", &TASK_COLUMNS, 3));
        self.run(sql_row::bind_task(update, task)).await.map(drop)
    }

    async fn head(&mut self, tool: &str) -> Result<Option<Task>, QueueError> {
        let row = self.one(sqlx::query(self.dialect.head()).bind(tool.to_owned())).await?;
        row.as_ref().map(sql_row::task).transpose()
    }

    async fn due(&mut self, now_ms: i64, limit: i64) -> Result<Vec<TaskKey>, QueueError> {
        let due = sqlx::query(statement::DUE).bind(now_ms).bind(limit);
        let rows = due.fetch_all(&mut *self.transaction).await?;
        let mut keys: Vec<_> = rows.iter().map(sql_row::key).collect::<Result<_, _>>()?;
        // Whoever does this beside us takes the jobs' locks in the same order.
        keys.sort_unstable();
        Ok(keys)
    }

    async fn ended(&mut self, before_ms: i64, limit: i64) -> Result<Vec<VersionId>, QueueError> {
        let ended = sqlx::query(statement::ENDED).bind(before_ms).bind(limit);
        let rows = ended.fetch_all(&mut *self.transaction).await?;
        let mut jobs: Vec<_> = rows.iter().map(sql_row::version).collect::<Result<_, _>>()?;
        jobs.sort_unstable();
        Ok(jobs)
    }

    async fn forget(&mut self, job: VersionId) -> Result<(), QueueError> {
        for delete in statement::FORGET {
            self.run(sqlx::query(delete).bind(job.to_string())).await?;
        }
        Ok(())
    }

    async fn frontier(&mut self, job: VersionId) -> Result<Option<u32>, QueueError> {
        let Some(row) = self.one(sqlx::query(statement::FRONTIER).bind(job.to_string())).await?
        else {
            return Ok(None);
        };
        sql_row::optional_small(&row, "reached")
    }

    async fn note(
        &mut self,
        job: VersionId,
        at_ms: i64,
        what: &str,
        text: &str,
    ) -> Result<(), QueueError> {
        let job = job.to_string();
        let (what, text) = (what.to_owned(), text.to_owned());
        let note = sqlx::query(statement::NOTE)
            .bind(job.clone())
            .bind(at_ms)
            .bind(what)
            .bind(text)
            .bind(job);
        self.run(note).await.map(drop)
    }

    async fn spend(&mut self, job: VersionId, spent: &Spent) -> Result<(), QueueError> {
        // The job first, which is locked: all come to the common row in the same order.
        for of in [job.to_string(), String::new()] {
            let spend = sqlx::query(statement::SPEND)
                .bind(of)
                .bind(spent.track.clone())
                .bind(sql_row::number(spent.cpu_ms))
                .bind(sql_row::number(spent.work_ms))
                .bind(sql_row::number(spent.media_ms))
                .bind(sql_row::number(spent.read_bytes));
            self.run(spend).await?;
        }
        Ok(())
    }

    async fn count(&mut self, fault: FaultKind) -> Result<(), QueueError> {
        self.run(sqlx::query(statement::COUNT).bind(fault.as_str())).await.map(drop)
    }
}
