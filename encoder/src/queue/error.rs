//! Why a call on the queue did nothing.

use std::fmt;

use headwater_packager::ids::VersionId;

use crate::job::{Refusal, TaskKey};

/// A refusal, or a database that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// The rules refuse it.
    Refused(Refusal),
    /// There is no such job.
    NoSuchJob(VersionId),
    /// There is no such task.
    NoSuchTask(TaskKey),
    /// There is such a job already.
    Exists(VersionId),
    /// What was asked for is out of bounds.
    OutOfBounds(String),
    /// The database did not answer, or holds what no release wrote.
    Database {
        /// What it said.
        text: String,
        /// Whether the same call may well succeed at once: it lost a race.
        is_transient: bool,
    },
}

impl From<Refusal> for QueueError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<sqlx::Error> for QueueError {
    /// The same call may well succeed at once after PostgreSQL's deadlocks and serialization
    /// failures, and where SQLite's file was busy.
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let is_transient = matches!(
            code.as_deref(),
            Some("40001" | "40P01" | "55P03" | "5" | "6" | "261" | "517")
        );
        Self::Database { text: error.to_string(), is_transient }
    }
}

impl QueueError {
    /// A database that holds what no release wrote.
    pub(super) fn damaged(what: impl fmt::Display) -> Self {
        Self::Database { text: format!("the queue's database holds {what}"), is_transient: false }
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoSuchJob(job) => write!(f, "no job {job}"),
            Self::NoSuchTask(key) => write!(f, "no task {key}"),
            Self::Exists(job) => write!(f, "there is a job {job} already"),
            Self::OutOfBounds(what) => f.write_str(what),
            Self::Database { text, .. } => write!(f, "the queue's database: {text}"),
        }
    }
}

impl std::error::Error for QueueError {}
