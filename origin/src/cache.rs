//! The response cache: whole bodies by path, weighed by the memory they pin.
//!
//! One fill for all who miss at the same time. It runs in a task of its own, so it ends and is
//! kept although the first asker, or every asker, goes away. A failure is shared by those who
//! wait for it and then forgotten.

use std::future::Future;
use std::sync::Arc;

use moka::future::Cache;

use crate::delivery::CacheUse;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::representation::{Facts, Representation};
use crate::slices::Slices;
use crate::within;

/// Memory an entry takes beside its body and key: the cache's own node, counters, timers and
/// queues (measured 2026 with moka 0.12: about 400 bytes), the header values and reference counts.
const ENTRY_OVERHEAD_BYTES: u64 = 1024;
/// The share of the cache that a single response may take.
const LARGEST_SHARE: u64 = 4;

/// Responses in memory. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct ResponseCache {
    entries: Cache<Arc<str>, Arc<Representation>>,
    largest_bytes: u64,
    metrics: Arc<Metrics>,
}

/// Why a fill did not become an entry.
enum NotKept {
    TooLarge(Arc<Representation>),
    Failed(Failure),
}

impl ResponseCache {
    /// A cache of at most `capacity_bytes`; 0 keeps nothing, and fills are shared all the same.
    pub fn new(capacity_bytes: u64, metrics: Arc<Metrics>) -> Self {
        let weigh = |key: &Arc<str>, made: &Arc<Representation>| {
            u32::try_from(weight_bytes(key, made)).unwrap_or(u32::MAX)
        };
        let entries = Cache::builder().max_capacity(capacity_bytes).weigher(weigh).build();
        // The weigher counts in 32 bits.
        let largest_bytes = (capacity_bytes / LARGEST_SHARE).min(u64::from(u32::MAX));
        Self { entries, largest_bytes, metrics }
    }

    /// The response kept under `key`.
    pub async fn kept(&self, key: &str) -> Option<Arc<Representation>> {
        let kept = self.entries.get(key).await;
        let outcome = if kept.is_some() { "hit" } else { "miss" };
        self.metrics.cache_lookups.with_label_values(&[outcome]).inc();
        kept
    }

    /// The response under `key`, made by `make` unless somebody else is making it or has made it;
    /// and which of these it was.
    pub async fn fill(
        &self,
        key: &str,
        make: impl Future<Output = Result<Representation, Failure>> + Send + 'static,
    ) -> Result<(Arc<Representation>, CacheUse), Failure> {
        let key: Arc<str> = key.into();
        let this = self.clone();
        let filling = tokio::spawn(within::carried(async move {
            let mut collapsed = true;
            let make = async {
                collapsed = false;
                this.make_once(Arc::clone(&key), make).await
            };
            let filled = this.entries.try_get_with(Arc::clone(&key), make).await;
            (filled, collapsed)
        }));
        match filling.await {
            Ok((Ok(made), collapsed)) => Ok((made, CacheUse::Miss { stored: true, collapsed })),
            Ok((Err(not_kept), collapsed)) => match &*not_kept {
                NotKept::TooLarge(made) => {
                    Ok((Arc::clone(made), CacheUse::Miss { stored: false, collapsed }))
                }
                NotKept::Failed(failure) => Err(failure.clone()),
            },
            Err(broken) => {
                let failure = Failure::Internal(format!("a fill broke off: {broken}"));
                failure.report(&self.metrics);
                Err(failure)
            }
        }
    }

    /// A response that lies under `key` as gzip, if it has that form. Both forms share the entry,
    /// which is weighed anew when the second is made.
    pub async fn gzipped<'a>(
        &self,
        key: &str,
        made: &'a Arc<Representation>,
    ) -> Option<(&'a Facts, &'a Slices)> {
        let is_due = made.is_gzip_due();
        let coded = made.gzipped().await?;
        if is_due
            && let Some(kept) = self.entries.get(key).await
            && Arc::ptr_eq(&kept, made)
        {
            self.entries.insert(key.into(), kept).await;
        }
        Some(coded)
    }

    /// Sets the gauges.
    pub async fn measure(&self) {
        self.entries.run_pending_tasks().await;
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.cache_entries.set(gauge(self.entries.entry_count()));
        self.metrics.cache_bytes.set(gauge(self.entries.weighted_size()));
    }

    async fn make_once(
        &self,
        key: Arc<str>,
        make: impl Future<Output = Result<Representation, Failure>>,
    ) -> Result<Arc<Representation>, NotKept> {
        let (outcome, made) = match make.await {
            Err(failure) => {
                failure.report(&self.metrics);
                ("failed", Err(NotKept::Failed(failure)))
            }
            Ok(made) => {
                let made = Arc::new(made);
                if weight_bytes(&key, &made) > self.largest_bytes {
                    ("too_large", Err(NotKept::TooLarge(made)))
                } else {
                    ("kept", Ok(made))
                }
            }
        };
        self.metrics.cache_fills.with_label_values(&[outcome]).inc();
        made
    }
}

fn weight_bytes(key: &str, made: &Representation) -> u64 {
    made.resident_bytes() + key.len() as u64 + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    fn cache(capacity_bytes: u64) -> ResponseCache {
        ResponseCache::new(capacity_bytes, Arc::new(Metrics::new()))
    }

    /// A writer of the log into memory.
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn of(len: usize) -> Representation {
        Representation::of_bytes("video/mp4", vec![7; len])
    }

    #[tokio::test]
    async fn two_hundred_misses_are_one_fill() {
        let cache = cache(1 << 20);
        let fills = Arc::new(AtomicU32::new(0));
        let asks = (0..200).map(|_| {
            let (cache, fills) = (cache.clone(), Arc::clone(&fills));
            tokio::spawn(async move {
                let make = async move {
                    fills.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok(of(100))
                };
                cache.fill("/k", make).await.unwrap().0.body.len_bytes()
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            assert_eq!(ask.await.unwrap(), 100);
        }
        assert_eq!(fills.load(Ordering::SeqCst), 1);
        assert!(cache.kept("/k").await.is_some());
    }

    #[tokio::test]
    async fn a_fill_outlives_the_one_who_asked_first() {
        let cache = cache(1 << 20);
        let go_on = Arc::new(Notify::new());
        let fills = Arc::new(AtomicU32::new(0));
        let make = || {
            let (go_on, fills) = (Arc::clone(&go_on), Arc::clone(&fills));
            async move {
                fills.fetch_add(1, Ordering::SeqCst);
                go_on.notified().await;
                Ok(of(100))
            }
        };
        let gone = timeout(Duration::from_millis(20), cache.fill("/k", make())).await;
        assert!(gone.is_err(), "the first asker gives up while the fill waits");
        let second = tokio::spawn({
            let (cache, make) = (cache.clone(), make());
            async move { cache.fill("/k", make).await.map(|(made, _)| made.body.len_bytes()) }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        go_on.notify_one();
        assert_eq!(second.await.unwrap(), Ok(100));
        assert_eq!(fills.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn failures_are_shared_but_not_kept() {
        let cache = cache(1 << 20);
        let failed = cache.fill("/k", async { Err(Failure::UnknownSegment) }).await;
        assert_eq!(failed.unwrap_err(), Failure::UnknownSegment);
        assert!(cache.kept("/k").await.is_none());
        assert!(cache.fill("/k", async { Ok(of(1)) }).await.is_ok());
    }

    #[tokio::test]
    async fn a_fill_that_breaks_off_is_a_fault_of_ours_and_the_log_says_why() {
        let cache = cache(1 << 20);
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&log);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Lines(Arc::clone(&writer)))
            .finish();
        let logging = tracing::subscriber::set_default(subscriber);
        let broken = cache.fill("/k", async { panic!("on purpose") }).await;
        drop(logging);
        assert!(matches!(broken, Err(Failure::Internal(_))));
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert!(log.contains("ERROR") && log.contains("a fill broke off"), "{log}");
        assert!(cache.fill("/k", async { Ok(of(1)) }).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_too_large_is_served_and_not_kept() {
        let cache = cache(1 << 20);
        assert_eq!(
            cache.fill("/k", async { Ok(of(300 << 10)) }).await.unwrap().0.body.len_bytes(),
            300 << 10
        );
        assert!(cache.kept("/k").await.is_none());
    }

    #[tokio::test]
    async fn the_weight_stays_below_the_capacity() {
        let cache = cache(1 << 20);
        for n in 0..400 {
            cache.fill(&format!("/{n}"), async { Ok(of(10_000)) }).await.unwrap();
        }
        cache.measure().await;
        let bytes = cache.metrics.cache_bytes.get();
        assert!((1 << 19..=1 << 20).contains(&bytes), "{bytes}");
    }
}
