//! Any store, with a time limit on each read, turns that reads take, and a count of reads, bytes and errors.
//! Pointers are a few bytes that everything hangs on, and do not queue behind media; probes wait for no turn.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_packager::ids::TitleId;

use super::{Fault, Key, Part, Small, Stamp, Store, StoreError};
use crate::gate::{Gate, Turn};
use crate::metrics::Metrics;
use crate::telemetry;

/// Where reads take turns.
struct Gates {
    /// Of media and heads.
    large: Arc<Gate>,
    pointers: Arc<Gate>,
}

/// A store behind a time limit and counters.
pub struct Guarded<S> {
    store: S,
    read_timeout: Duration,
    gates: Option<Gates>,
    metrics: Arc<Metrics>,
}

impl<S: Store> Guarded<S> {
    /// Guards `store`.
    pub fn new(store: S, read_timeout: Duration, metrics: Arc<Metrics>) -> Self {
        Self { store, read_timeout, gates: None, metrics }
    }

    /// With gates at which reads of media and heads, and those of pointers, take turns. The time limit is for the
    /// read alone.
    #[must_use]
    pub fn behind(self, large: Arc<Gate>, pointers: Arc<Gate>) -> Self {
        Self { gates: Some(Gates { large, pointers }), ..self }
    }

    async fn guard<T>(
        &self,
        part: &'static str,
        what: &str,
        read: impl Future<Output = Result<T, StoreError>>,
        len_bytes: impl Fn(&T) -> usize,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let outcome = tokio::time::timeout(self.read_timeout, read).await.unwrap_or_else(|_| {
            let limit_ms = self.read_timeout.as_millis();
            let detail = format!("{what}: no answer within {limit_ms} ms");
            Err(StoreError::new(Fault::Timeout, detail))
        });
        let taken = started.elapsed();
        self.metrics.store_read_seconds.observe(taken.as_secs_f64());
        self.metrics.store_reads.with_label_values(&[part]).inc();
        match &outcome {
            Ok(read) => self.metrics.store_read_bytes.inc_by(len_bytes(read) as u64),
            Err(e) => self.count_error(e),
        }
        let read = outcome.as_ref().map(&len_bytes).map_err(|e| e.fault.as_str());
        telemetry::note(part, what, taken, read);
        outcome
    }

    /// A turn to read what lies under `key`.
    async fn turn(&self, key: &Key) -> Result<Option<Turn>, StoreError> {
        let Some(Gates { large, pointers }) = &self.gates else { return Ok(None) };
        let gate = if key.part() == Part::Pointer { pointers } else { large };
        let asked = Instant::now();
        let turn = gate.turn().await.map_err(|why| {
            let busy = format!("{key}: no turn to be read: {}", why.as_str());
            let busy = StoreError::new(Fault::Busy, busy);
            self.count_error(&busy);
            let outcome = Err(busy.fault.as_str());
            telemetry::note(key.part().as_str(), key.as_str(), asked.elapsed(), outcome);
            busy
        });
        turn.map(Some)
    }

    fn count_error(&self, error: &StoreError) {
        self.metrics.store_errors.with_label_values(&[error.fault.as_str()]).inc();
    }
}

#[async_trait]
impl<S: Store> Store for Guarded<S> {
    async fn read_range(&self, key: &Key, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        let _turn = self.turn(key).await?;
        let read = self.store.read_range(key, bytes);
        self.guard(key.part().as_str(), key.as_str(), read, Bytes::len).await
    }

    async fn read_small(
        &self,
        key: &Key,
        max_bytes: u64,
        known: Option<&Stamp>,
    ) -> Result<Small, StoreError> {
        let _turn = self.turn(key).await?;
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

#[cfg(test)]
mod tests {
    use headwater_packager::ids::VersionId;

    use super::*;
    use crate::gate::Rules;
    use crate::store::FileStore;

    #[tokio::test]
    async fn media_and_heads_take_turns_pointers_others_and_probes_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("titles")).unwrap();
        let metrics = Arc::new(Metrics::new());
        let rules = Rules { most: 1, most_waiting: 0, patience: Duration::ZERO };
        let gate = Gate::new("reads", rules, &metrics);
        let files = FileStore::new(folder.path().to_owned(), 4);
        let second = Duration::from_secs(1);
        let pointers = Gate::new("pointers", rules, &metrics);
        let store = Guarded::new(files, second, Arc::clone(&metrics))
            .behind(Arc::clone(&gate), Arc::clone(&pointers));
        let (title, version) = ("film".parse().unwrap(), VersionId::from_u128(1));
        let (pointer, heads) = (Key::pointer(&title), Key::heads(&title, version));
        let media = Key::media(&title, version, "v1.mp4");
        let read = |part: &str| metrics.store_reads.with_label_values(&[part]).get();

        let taken = gate.turn().await.unwrap();
        assert_eq!(store.read_range(&media, 0..1).await.unwrap_err().fault, Fault::Busy);
        assert_eq!(store.read_small(&heads, 1, None).await.unwrap_err().fault, Fault::Busy);
        assert_eq!(metrics.store_errors.with_label_values(&["busy"]).get(), 2);
        assert_eq!((read("media"), read("heads")), (0, 0), "refused is not read");
        assert_eq!(store.read_small(&pointer, 1, None).await.unwrap_err().fault, Fault::NotFound);
        assert_eq!(store.list_titles(1).await.unwrap(), []);
        store.probe().await.unwrap();

        let waiting = pointers.turn().await.unwrap();
        assert_eq!(store.read_small(&pointer, 1, None).await.unwrap_err().fault, Fault::Busy);
        store.probe().await.unwrap();
        drop((taken, waiting));
        assert_eq!(store.read_range(&media, 0..1).await.unwrap_err().fault, Fault::NotFound);
        assert_eq!(store.read_small(&heads, 1, None).await.unwrap_err().fault, Fault::NotFound);
    }
}
