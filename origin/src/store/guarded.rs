//! Any store, with a time limit on each read, turns that reads take, and a count of reads, bytes and errors.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_packager::ids::TitleId;

use super::{Fault, Key, Small, Stamp, Store, StoreError};
use crate::gate::{Gate, Turn};
use crate::metrics::Metrics;
use crate::telemetry;

/// A store behind a time limit and counters.
pub struct Guarded<S> {
    store: S,
    read_timeout: Duration,
    gate: Option<Arc<Gate>>,
    metrics: Arc<Metrics>,
}

impl<S: Store> Guarded<S> {
    /// Guards `store`.
    pub fn new(store: S, read_timeout: Duration, metrics: Arc<Metrics>) -> Self {
        Self { store, read_timeout, gate: None, metrics }
    }

    /// With a gate at which reads take turns. The time limit is for the read alone.
    #[must_use]
    pub fn behind(self, gate: Arc<Gate>) -> Self {
        Self { gate: Some(gate), ..self }
    }

    async fn guard<T>(
        &self,
        part: &'static str,
        what: &str,
        read: impl Future<Output = Result<T, StoreError>>,
        len_bytes: impl Fn(&T) -> usize,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let outcome = match self.turn(what).await {
            Err(busy) => Err(busy),
            Ok(_turn) => tokio::time::timeout(self.read_timeout, read).await.unwrap_or_else(|_| {
                let limit_ms = self.read_timeout.as_millis();
                let detail = format!("{what}: no answer within {limit_ms} ms");
                Err(StoreError::new(Fault::Timeout, detail))
            }),
        };
        let taken = started.elapsed();
        self.metrics.store_read_seconds.observe(taken.as_secs_f64());
        self.metrics.store_reads.with_label_values(&[part]).inc();
        match &outcome {
            Ok(read) => self.metrics.store_read_bytes.inc_by(len_bytes(read) as u64),
            Err(e) => self.metrics.store_errors.with_label_values(&[e.fault.as_str()]).inc(),
        }
        let read = outcome.as_ref().map(&len_bytes).map_err(|e| e.fault.as_str());
        telemetry::note(part, what, taken, read);
        outcome
    }

    async fn turn(&self, what: &str) -> Result<Option<Turn>, StoreError> {
        let Some(gate) = &self.gate else { return Ok(None) };
        let turn = gate.turn().await.map_err(|why| {
            StoreError::new(Fault::Busy, format!("{what}: no turn to be read: {}", why.as_str()))
        });
        turn.map(Some)
    }
}

#[async_trait]
impl<S: Store> Store for Guarded<S> {
    async fn read_range(&self, key: &Key, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        let read = self.store.read_range(key, bytes);
        self.guard(key.part().as_str(), key.as_str(), read, Bytes::len).await
    }

    async fn read_small(
        &self,
        key: &Key,
        max_bytes: u64,
        known: Option<&Stamp>,
    ) -> Result<Small, StoreError> {
        let read = self.store.read_small(key, max_bytes, known);
        let len_bytes = |small: &Small| match small {
            Small::Unchanged => 0,
            Small::Bytes(bytes, _) => bytes.len(),
        };
        self.guard(key.part().as_str(), key.as_str(), read, len_bytes).await
    }

    async fn list_titles(&self, max: usize) -> Result<Vec<TitleId>, StoreError> {
        self.guard("list", "list of titles", self.store.list_titles(max), |_| 0).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.guard("probe", "probe", self.store.probe(), |()| 0).await
    }
}
