//! The statements, and where the two databases differ.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::sql_row::{JOB_COLUMNS, TASK_COLUMNS};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// WAL lets readers go on beside the writer. FULL: what was said to be done survives a power cut.
pub(super) const SQLITE_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000";

pub(super) const DUE: &str = "SELECT job, kind, number FROM tasks \
     WHERE due_ms IS NOT NULL AND due_ms <= $1 ORDER BY due_ms LIMIT $2";
pub(super) const ENDED: &str = "SELECT job FROM jobs \
     WHERE ended_ms IS NOT NULL AND ended_ms < $1 ORDER BY ended_ms LIMIT $2";
/// In the order that their references ask for.
pub(super) const FORGET: [&str; 4] = [
    "DELETE FROM story WHERE job = $1",
    "DELETE FROM spent WHERE job = $1",
    "DELETE FROM tasks WHERE job = $1",
    "DELETE FROM jobs WHERE job = $1",
];
pub(super) const FRONTIER: &str =
    "SELECT min(reached) AS reached FROM tasks WHERE kind >= 2 AND state <> 'done' AND job = $1";
pub(super) const NOTE: &str = "INSERT INTO story (job, entry, at_ms, what, text) \
     SELECT $1, COALESCE(max(entry), 0) + 1, $2, $3, $4 FROM story WHERE job = $5";
pub(super) const COUNT: &str = "INSERT INTO faults (kind, faults) VALUES ($1, 1) \
     ON CONFLICT (kind) DO UPDATE SET faults = faults.faults + 1";
/// Of a job, or of none (`''`) for all that there ever were.
pub(super) const SPEND: &str = "INSERT INTO spent (job, track, cpu_ms, work_ms, media_ms, read_bytes) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (job, track) DO UPDATE SET \
     cpu_ms = spent.cpu_ms + excluded.cpu_ms, work_ms = spent.work_ms + excluded.work_ms, \
     media_ms = spent.media_ms + excluded.media_ms, \
     read_bytes = spent.read_bytes + excluded.read_bytes";
pub(super) const SPENT: &str =
    "SELECT track, cpu_ms, work_ms, media_ms, read_bytes FROM spent WHERE job = $1 ORDER BY track";
pub(super) const TALLY: &str = "SELECT count(*) AS tasks, \
     CAST(COALESCE(sum(CASE WHEN state = 'done' THEN 1 ELSE 0 END), 0) AS BIGINT) AS done, \
     CAST(COALESCE(sum(CASE WHEN state = 'leased' THEN 1 ELSE 0 END), 0) AS BIGINT) AS held, \
     CAST(COALESCE(sum(failures), 0) AS BIGINT) AS failures, \
     CAST(COALESCE(sum(frames), 0) AS BIGINT) AS frames, \
     CAST(COALESCE(sum(CASE WHEN state = 'done' THEN frames \
         WHEN state = 'leased' AND frames_made < frames THEN frames_made \
         WHEN state = 'leased' THEN frames ELSE 0 END), 0) AS BIGINT) AS frames_made \
     FROM tasks WHERE job = $1";
pub(super) const STORY: &str = "SELECT entry, at_ms, what, text FROM story \
     WHERE job = $1 AND entry > $2 ORDER BY entry LIMIT $3";
pub(super) const READY: &str = "SELECT lane_now, count(*) AS tasks, min(since_ms) AS since_ms FROM tasks \
     WHERE state = 'ready' GROUP BY lane_now";
pub(super) const BUSY: &str = "SELECT \
     CAST(COALESCE(sum(CASE WHEN state = 'leased' THEN 1 ELSE 0 END), 0) AS BIGINT) AS held, \
     CAST(COALESCE(sum(CASE WHEN state = 'delayed' THEN 1 ELSE 0 END), 0) AS BIGINT) AS delayed \
     FROM tasks WHERE due_ms IS NOT NULL AND state IN ('leased', 'delayed')";
pub(super) const TOOLS: &str = "SELECT tool, count(*) AS tasks FROM tasks \
     WHERE state = 'ready' OR (state = 'delayed' AND due_ms IS NOT NULL) GROUP BY tool";
pub(super) const FAULTS: &str = "SELECT kind, faults FROM faults";

impl Dialect {
    /// The first ready task for a build of tools, in the order of `tasks_ready`.
    pub(super) fn head(self) -> &'static str {
        static SQLITE: LazyLock<String> = LazyLock::new(|| head(""));
        static POSTGRES: LazyLock<String> = LazyLock::new(|| head(" FOR UPDATE SKIP LOCKED"));
        match self {
            Self::Sqlite => &SQLITE,
            Self::Postgres => &POSTGRES,
        }
    }

    /// A statement whose rows, within a transaction, are to stay as they are read.
    fn locked(self, statement: &str) -> SqlStr {
        let lock = match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        };
        AssertSqlSafe(format!("{statement}{lock}")).into_sql_str()
    }
}

fn head(lock: &str) -> String {
    format!(
        "SELECT {} FROM tasks WHERE state = 'ready' AND tool = $1 \
         ORDER BY lane_now, deadline_ms, job, kind, number LIMIT 1{lock}",
        TASK_COLUMNS.join(", ")
    )
}

/// A job by its id.
pub(super) fn job(dialect: Dialect) -> SqlStr {
    dialect.locked(&format!("SELECT {} FROM jobs WHERE job = $1", JOB_COLUMNS.join(", ")))
}

/// A task by its key.
pub(super) fn task(dialect: Dialect) -> SqlStr {
    dialect.locked(&format!(
        "SELECT {} FROM tasks WHERE job = $1 AND kind = $2 AND number = $3",
        TASK_COLUMNS.join(", ")
    ))
}

/// A page of jobs, newest first; an empty value of a filter takes all.
pub(super) fn jobs() -> SqlStr {
    AssertSqlSafe(format!(
        "SELECT {} FROM jobs WHERE ($1 = '' OR job < $1) AND ($2 = '' OR state = $2) \
         AND ($3 = '' OR title = $3) AND ($4 = '' OR priority = $4) ORDER BY job DESC LIMIT $5",
        JOB_COLUMNS.join(", ")
    ))
    .into_sql_str()
}

/// All tasks of a job.
pub(super) fn tasks(dialect: Dialect) -> SqlStr {
    dialect.locked(&format!(
        "SELECT {} FROM tasks WHERE job = $1 ORDER BY kind, number",
        TASK_COLUMNS.join(", ")
    ))
}

/// `INSERT` of some rows with all columns.
pub(super) fn insert(table: &str, columns: &[&str], rows: usize, then: &str) -> SqlStr {
    let mut places = String::new();
    for row in 0..rows {
        places.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns.len() {
            let comma = if column == 0 { "" } else { ", " };
            places.push_str(&format!("{comma}${}", row * columns.len() + column + 1));
        }
        places.push(')');
    }
    let columns = columns.join(", ");
    AssertSqlSafe(format!("INSERT INTO {table} ({columns}) VALUES {places}{then}")).into_sql_str()
}

/// `UPDATE` of all columns of one row, whose key the first `keys` of them are.
pub(super) fn update(table: &str, columns: &[&str], keys: usize) -> SqlStr {
    let set = |(place, column): (usize, &&str)| format!("{column} = ${}", place + 1);
    let all = || columns.iter().enumerate();
    let values: Vec<_> = all().skip(keys).map(set).collect();
    let key: Vec<_> = all().take(keys).map(set).collect();
    let (values, key) = (values.join(", "), key.join(" AND "));
    AssertSqlSafe(format!("UPDATE {table} SET {values} WHERE {key}")).into_sql_str()
}
