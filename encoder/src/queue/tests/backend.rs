//! A queue of each kind, fresh for a test.

use std::sync::Arc;

use tempfile::TempDir;

use super::super::{Memory, Queue, SqlQueue};
use super::cluster::{self, Cluster};
use crate::job::Terms;

/// Where queues for a test come from; what it needs goes with it.
pub(super) struct Backend {
    place: Place,
}

enum Place {
    Memory,
    Sqlite(TempDir),
    Postgres(String, #[expect(dead_code, reason = "kept running")] Arc<Cluster>),
}

impl Backend {
    /// The queue; each call opens it anew, and in memory makes another.
    pub(super) async fn open(&self, terms: Terms) -> Arc<dyn Queue> {
        match self.sql(terms).await {
            Some(queue) => Arc::new(queue),
            None => Arc::new(Memory::new(terms)),
        }
    }

    /// The same as what it is; `None` in memory.
    pub(super) async fn sql(&self, terms: Terms) -> Option<SqlQueue> {
        let url = match &self.place {
            Place::Memory => return None,
            Place::Sqlite(folder) => format!("sqlite://{}/queue.db", folder.path().display()),
            Place::Postgres(url, _) => url.clone(),
        };
        Some(SqlQueue::open(&url, 4, terms).await.unwrap())
    }
}

pub(super) fn on_memory<F: Future<Output = ()>>(test: impl FnOnce(Backend) -> F) {
    run(async { test(Backend { place: Place::Memory }).await });
}

pub(super) fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Backend) -> F) {
    run(async { test(Backend { place: Place::Sqlite(TempDir::new().unwrap()) }).await });
}

pub(super) fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Backend) -> F) {
    let Some(cluster) = cluster::shared() else { return };
    run(async {
        let url = cluster.database().await;
        test(Backend { place: Place::Postgres(url, cluster) }).await;
    });
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}
