//! `[encoder.queue]` and `[encoder.api]`: the encoder as a service.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::blank;
use crate::profile::Name;
use crate::secret::SecretSource;
use crate::store::StoreUrl;

/// `[encoder.queue]`: jobs that wait, and how they are worked on. All processes on one queue should
/// have the same times and numbers here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// The SQLite file that holds the queue of one machine, on a disk of its own; made where there
    /// is none.
    pub sqlite: PathBuf,
    /// Where the address of a PostgreSQL database is kept, which then holds the queue of many
    /// machines; `None` for SQLite.
    #[serde(with = "blank")]
    pub postgres: Option<SecretSource>,
    /// Connections to the database of each process.
    pub connections: u32,
    /// Tasks that a worker does at once; 0 is one for each core.
    pub parallel: u32,
    /// Milliseconds of the longest chunk, cut to whole groups of pictures.
    pub chunk_ms: u32,
    /// Seconds that a task is held without a word of its worker.
    pub lease_s: u32,
    /// Seconds between a worker's words.
    pub beat_s: u32,
    /// Milliseconds between two looks for work of a worker that has none.
    pub poll_ms: u32,
    /// Real failures after which a task is given up, and its job fails.
    pub failures: u32,
    /// Seconds before a task that failed is tried again; doubled each time.
    pub retry_s: u32,
    /// The longest such pause in seconds.
    pub retry_cap_s: u32,
    /// Seconds that a task waits in its priority before it is treated as the next higher one.
    pub age_s: u32,
    /// Days that ended jobs are remembered.
    pub keep_days: u32,
    /// MiB that must be free in `work_dir` before a worker takes a task.
    pub min_disk_mib: u32,
    /// MiB of memory that must be available before a worker takes a task.
    pub min_memory_mib: u32,
}

/// `[encoder.api]`: the job API of `serve`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobApi {
    /// Address and port. There is no TLS: a proxy in front brings it.
    pub listen: SocketAddr,
    /// Who may ask. Without any, nobody may.
    pub keys: Vec<ApiKey>,
    /// Folders whose files may be named as inputs, and folders of buckets whose objects may be. Without
    /// any, nothing can be submitted here.
    pub inputs: Vec<StoreUrl>,
}

/// `[[encoder.api.keys]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// What it is called in messages.
    pub name: Name,
    /// Where it is kept.
    pub secret: SecretSource,
    /// What it allows.
    pub scopes: Vec<ApiScope>,
}

/// What a key of the job API allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiScope {
    /// Look at jobs and at the queue.
    Read,
    /// Submit jobs.
    Submit,
    /// Cancel, try again, change priorities.
    Manage,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            sqlite: PathBuf::from("./data/queue.sqlite"),
            postgres: None,
            connections: 4,
            parallel: 0,
            chunk_ms: 20_000,
            lease_s: 30,
            beat_s: 10,
            poll_ms: 500,
            failures: 3,
            retry_s: 5,
            retry_cap_s: 300,
            age_s: 21_600,
            keep_days: 30,
            min_disk_mib: 2_048,
            min_memory_mib: 768,
        }
    }
}

impl Default for JobApi {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            keys: Vec::new(),
            inputs: Vec::new(),
        }
    }
}

impl ApiKey {
    /// One of them, for the list of all keys there are.
    pub(crate) fn example() -> Self {
        Self {
            name: "uploads".parse().expect("a name"),
            secret: SecretSource::Variable("UPLOADS_KEY".to_owned()),
            scopes: vec![ApiScope::Read, ApiScope::Submit],
        }
    }
}
