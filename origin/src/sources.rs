//! Stored media in memory, as it was read and checked: what leaves under several keys is read once.
//!
//! Clear responses are source bytes themselves, and the response cache has them; they are looked for here
//! and not kept. One read for all who miss at the same time.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;

use crate::errands::Errands;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::purges::{Purges, Purging, Since};
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
    reads: Errands<Place, Result<Bytes, Failure>>,
    largest_bytes: u64,
    purges: Purges,
    metrics: Arc<Metrics>,
}

/// Where in the store, and what heads say that lies there: another's heads, read at another time, may say
/// otherwise of the same range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    key: Arc<str>,
    start: u64,
    end: u64,
    content_tag: u32,
}

impl Sources {
    /// At most `capacity_bytes`; 0 keeps nothing.
    pub fn new(capacity_bytes: u64, purges: Purges, metrics: Arc<Metrics>) -> Self {
        let weigh = |place: &Place, bytes: &Bytes| {
            u32::try_from(weight_bytes(place, bytes)).unwrap_or(u32::MAX)
        };
        let cache = || Cache::builder().max_capacity(capacity_bytes).weigher(weigh).build();
        let largest_bytes = (capacity_bytes / LARGEST_SHARE).min(u64::from(u32::MAX));
        let entries = (capacity_bytes > 0).then(cache);
        Self { entries, reads: Errands::default(), largest_bytes, purges, metrics }
    }

    /// The bytes of a range, read by `read`, and checked against heads that were read `since` and give them this
    /// `content_tag`, unless they are here; kept where `keep`.
    pub async fn read(
        &self,
        key: &str,
        (range, content_tag): (&Range<u64>, u32),
        (since, keep): (Since, bool),
        read: impl Future<Output = Result<Bytes, Failure>> + Send + 'static,
    ) -> Result<Bytes, Failure> {
        let Some(entries) = &self.entries else { return read.await };
        let Range { start, end } = *range;
        let place = Place { key: key.into(), start, end, content_tag };
        let here = entries.get(&place).await;
        let outcome = if here.is_some() { "hit" } else { "miss" };
        self.metrics.source_lookups.with_label_values(&[outcome]).inc();
        match here {
            Some(bytes) => return Ok(bytes),
            None if !keep => return read.await,
            None => {}
        }
        let (entries, this, of) = (entries.clone(), self.clone(), place.clone());
        let reading = async move {
            // It may have come in since it was looked for.
            if let Some(bytes) = entries.get(&of).await {
                return Ok(bytes);
            }
            let bytes = read.await?;
            if weight_bytes(&of, &bytes) <= this.largest_bytes {
                this.purges.keep(since, entries.insert(of, bytes.clone())).await;
            }
            Ok(bytes)
        };
        let (reading, is_first) = self.reads.run(place, since, reading);
        reading.await.map_err(|broken_off| {
            let failure = Failure::Internal(format!("a read broke off: {broken_off}"));
            if is_first {
                failure.report(&self.metrics);
            }
            failure
        })?
    }

    /// Lets go what is named; how many ranges that were.
    pub async fn purge(&self, _at_work: &Purging, named: &Selector) -> u64 {
        let Some(entries) = &self.entries else { return 0 };
        let names = named.of_objects();
        let gone: Vec<_> = entries.iter().filter(|(place, _)| names(&place.key)).collect();
        for (place, _) in &gone {
            entries.invalidate(&**place).await;
        }
        gone.len() as u64
    }

    /// Lets go of everything; of its memory when it is next measured.
    pub fn empty(&self) {
        if let Some(entries) = &self.entries {
            entries.invalidate_all();
        }
    }

    /// Takes over what another has, as far as there is room; of both, nothing was purged `since`.
    pub async fn take_over(&self, before: &Self, since: Since) {
        let (Some(from), Some(to)) = (&before.entries, &self.entries) else { return };
        for (place, bytes) in from {
            if weight_bytes(&place, &bytes) <= self.largest_bytes {
                self.purges.keep(since, to.insert(Place::clone(&place), bytes)).await;
            }
        }
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
    use tokio::sync::Notify;

    fn sources(capacity_bytes: u64) -> Sources {
        Sources::new(capacity_bytes, Purges::default(), Arc::new(Metrics::new()))
    }

    async fn ask(
        sources: &Sources,
        key: &str,
        len: usize,
        keep: bool,
        reads: &Arc<AtomicU32>,
    ) -> usize {
        let (reads, since) = (Arc::clone(reads), sources.purges.since());
        let read = async move {
            reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(Bytes::from(vec![1; len]))
        };
        sources.read(key, (&(0..len as u64), 7), (since, keep), read).await.unwrap().len()
    }

    #[tokio::test]
    async fn one_read_for_all_and_none_while_it_is_kept() {
        let (sources, reads) = (sources(1 << 20), Arc::new(AtomicU32::new(0)));
        let asks = (0..100).map(|_| ask(&sources, "titles/a/v/t.mp4", 100, true, &reads));
        assert!(futures_util::future::join_all(asks).await.iter().all(|&len| len == 100));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        ask(&sources, "titles/a/v/t.mp4", 101, true, &reads).await;
        assert_eq!(reads.load(Ordering::SeqCst), 2, "another range");
        let at_work = sources.purges.begin().await;
        assert_eq!(sources.purge(&at_work, &Selector::default()).await, 2);
        drop(at_work);
        ask(&sources, "titles/a/v/t.mp4", 100, true, &reads).await;
        assert_eq!(reads.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn what_was_being_read_when_it_was_purged_is_not_kept() {
        let (sources, reads) = (sources(1 << 20), Arc::new(AtomicU32::new(0)));
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let read = {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(Bytes::from_static(b"old"))
            }
        };
        let reading = tokio::spawn({
            let (sources, since) = (sources.clone(), sources.purges.since());
            async move { sources.read("titles/a/v/t.mp4", (&(0..3), 7), (since, true), read).await }
        });
        begun.notified().await;
        let at_work = sources.purges.begin().await;
        sources.purge(&at_work, &Selector::default()).await;
        drop(at_work);
        assert_eq!(ask(&sources, "titles/a/v/t.mp4", 3, true, &reads).await, 3, "not joined");
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        go_on.notify_one();
        assert_eq!(reading.await.unwrap().unwrap(), "old");
        let since = sources.purges.since();
        let read = async { panic!("it is kept") };
        let kept = sources.read("titles/a/v/t.mp4", (&(0..3), 7), (since, true), read).await;
        assert_eq!(kept.unwrap(), [1; 3][..]);
        // Heads that say otherwise are not answered with it.
        let read = async { Ok(Bytes::from_static(b"new")) };
        let other = sources.read("titles/a/v/t.mp4", (&(0..3), 8), (since, true), read).await;
        assert_eq!(other.unwrap(), "new");
    }

    /// A read for one session is not begun anew each time that its viewer leaves.
    #[tokio::test]
    async fn a_read_ends_whoever_leaves() {
        let (sources, reads) = (sources(1 << 20), Arc::new(AtomicU32::new(0)));
        let asks = (0..300).map(|_| ask(&sources, "titles/a/v/t.mp4", 100, true, &reads));
        for ask in asks {
            assert!(futures_util::FutureExt::now_or_never(ask).is_none());
        }
        assert_eq!(ask(&sources, "titles/a/v/t.mp4", 100, true, &reads).await, 100);
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_need_not_or_cannot_be_kept_is_not() {
        let reads = Arc::new(AtomicU32::new(0));
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
        let (sources, reads) = (sources(1 << 20), Arc::new(AtomicU32::new(0)));
        for n in 0..300 {
            ask(&sources, &format!("titles/{n}/v/t.mp4"), 10_000, true, &reads).await;
        }
        sources.measure().await;
        let bytes = sources.metrics.source_bytes.get();
        assert!((1 << 19..=1 << 20).contains(&bytes), "{bytes}");
    }
}
