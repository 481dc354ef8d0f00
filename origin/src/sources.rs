//! Stored media in memory, as it was read and checked: what leaves under several keys is read once.
//!
//! Clear responses are source bytes themselves, and the response cache has them; they are looked for here
//! and not kept. One read for all who miss at the same time.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;

use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::selector::Selector;

/// Memory an entry takes beside its bytes and key; see the response cache.
const ENTRY_OVERHEAD_BYTES: u64 = 1024;
/// The share of the cache that a single range may take.
const LARGEST_SHARE: u64 = 4;

/// Ranges of objects. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Sources {
    /// None where nothing is kept.
    entries: Option<Cache<Place, Bytes>>,
    largest_bytes: u64,
    metrics: Arc<Metrics>,
}

/// Where in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    key: Arc<str>,
    start: u64,
    end: u64,
}

enum NotKept {
    TooLarge(Bytes),
    Failed(Failure),
}

impl Sources {
    /// At most `capacity_bytes`; 0 keeps nothing.
    pub fn new(capacity_bytes: u64, metrics: Arc<Metrics>) -> Self {
        let weigh = |place: &Place, bytes: &Bytes| {
            u32::try_from(weight_bytes(place, bytes)).unwrap_or(u32::MAX)
        };
        let cache = || Cache::builder().max_capacity(capacity_bytes).weigher(weigh).build();
        let largest_bytes = (capacity_bytes / LARGEST_SHARE).min(u64::from(u32::MAX));
        Self { entries: (capacity_bytes > 0).then(cache), largest_bytes, metrics }
    }

    /// The bytes of a range, read and checked by `read` unless they are here; kept where `keep`.
    pub async fn read(
        &self,
        key: &str,
        range: &Range<u64>,
        keep: bool,
        read: impl Future<Output = Result<Bytes, Failure>>,
    ) -> Result<Bytes, Failure> {
        let Some(entries) = &self.entries else { return read.await };
        let place = Place { key: key.into(), start: range.start, end: range.end };
        let here = entries.get(&place).await;
        let outcome = if here.is_some() { "hit" } else { "miss" };
        self.metrics.source_lookups.with_label_values(&[outcome]).inc();
        match here {
            Some(bytes) => return Ok(bytes),
            None if !keep => return read.await,
            None => {}
        }
        let largest_bytes = self.largest_bytes;
        let fill = {
            let place = place.clone();
            async move {
                match read.await {
                    Err(failure) => Err(NotKept::Failed(failure)),
                    Ok(bytes) if weight_bytes(&place, &bytes) > largest_bytes => {
                        Err(NotKept::TooLarge(bytes))
                    }
                    Ok(bytes) => Ok(bytes),
                }
            }
        };
        entries.try_get_with(place, fill).await.or_else(|not_kept| match &*not_kept {
            NotKept::TooLarge(bytes) => Ok(bytes.clone()),
            NotKept::Failed(failure) => Err(failure.clone()),
        })
    }

    /// Lets go what is named; how many ranges that were.
    pub async fn purge(&self, named: &Selector) -> u64 {
        let Some(entries) = &self.entries else { return 0 };
        let gone: Vec<_> =
            entries.iter().filter(|(place, _)| named.names_object(&place.key)).collect();
        for (place, _) in &gone {
            entries.invalidate(&**place).await;
        }
        gone.len() as u64
    }

    /// Sets the gauges.
    pub async fn measure(&self) {
        let Some(entries) = &self.entries else { return };
        entries.run_pending_tasks().await;
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.source_entries.set(gauge(entries.entry_count()));
        self.metrics.source_bytes.set(gauge(entries.weighted_size()));
    }
}

fn weight_bytes(place: &Place, bytes: &Bytes) -> u64 {
    bytes.len() as u64 + place.key.len() as u64 + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn sources(capacity_bytes: u64) -> Sources {
        Sources::new(capacity_bytes, Arc::new(Metrics::new()))
    }

    async fn ask(sources: &Sources, key: &str, len: usize, keep: bool, reads: &AtomicU32) -> usize {
        let read = async {
            reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(Bytes::from(vec![1; len]))
        };
        sources.read(key, &(0..len as u64), keep, read).await.unwrap().len()
    }

    #[tokio::test]
    async fn one_read_for_all_and_none_while_it_is_kept() {
        let (sources, reads) = (sources(1 << 20), AtomicU32::new(0));
        let asks = (0..100).map(|_| ask(&sources, "titles/a/v/t.mp4", 100, true, &reads));
        assert!(futures_util::future::join_all(asks).await.iter().all(|&len| len == 100));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        ask(&sources, "titles/a/v/t.mp4", 101, true, &reads).await;
        assert_eq!(reads.load(Ordering::SeqCst), 2, "another range");
        assert_eq!(sources.purge(&Selector::default()).await, 2);
        ask(&sources, "titles/a/v/t.mp4", 100, true, &reads).await;
        assert_eq!(reads.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn what_need_not_or_cannot_be_kept_is_not() {
        let reads = AtomicU32::new(0);
        for (capacity_bytes, len, keep) in
            [(0, 10, true), (1 << 20, 10, false), (1 << 20, 1 << 19, true)]
        {
            let sources = sources(capacity_bytes);
            reads.store(0, Ordering::SeqCst);
            for _ in 0..3 {
                ask(&sources, "titles/a/v/t.mp4", len, keep, &reads).await;
            }
            assert_eq!(reads.load(Ordering::SeqCst), 3, "{capacity_bytes} {len} {keep}");
        }
    }

    #[tokio::test]
    async fn the_weight_stays_below_the_capacity() {
        let (sources, reads) = (sources(1 << 20), AtomicU32::new(0));
        for n in 0..300 {
            ask(&sources, &format!("titles/{n}/v/t.mp4"), 10_000, true, &reads).await;
        }
        sources.measure().await;
        let bytes = sources.metrics.source_bytes.get();
        assert!((1 << 19..=1 << 20).contains(&bytes), "{bytes}");
    }
}
