//! Segments that were made before they were asked for, in memory of their own: the response cache lets a
//! newcomer in only where it is asked for more often than what it has, and nobody has asked for these yet.
//! The first who does moves one over. The longest unused go first, and none stays for long.

use std::sync::Arc;

use moka::future::Cache;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use crate::cache::weight_bytes;
use crate::failure::Failure;
use crate::limits;
use crate::metrics::Metrics;
use crate::representation::Representation;
use crate::selector::Selector;

/// What was made ahead. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Ahead {
    entries: Cache<Arc<str>, Arc<Representation>>,
    largest_bytes: u64,
    metrics: Arc<Metrics>,
}

enum NotMade {
    NotHere,
    TooLarge,
    Failed,
}

impl Ahead {
    /// At most `capacity_bytes`.
    pub fn new(capacity_bytes: u64, metrics: Arc<Metrics>) -> Self {
        let weigh = |key: &Arc<str>, made: &Arc<Representation>| {
            u32::try_from(weight_bytes(key, made)).unwrap_or(u32::MAX)
        };
        let unused = metrics.prefetches.with_label_values(&["unused"]);
        let count_unused = move |_, _, cause: RemovalCause| {
            if matches!(cause, RemovalCause::Expired | RemovalCause::Size) {
                unused.inc();
            }
        };
        let entries = Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(weigh)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(limits::AHEAD_TTL)
            .eviction_listener(count_unused)
            .build();
        Self { entries, largest_bytes: capacity_bytes.min(u64::from(u32::MAX)), metrics }
    }

    /// Whether it is here.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Makes a response that nobody has asked for.
    pub async fn make(
        &self,
        key: &str,
        make: impl Future<Output = Result<Representation, Failure>>,
    ) {
        let making = async {
            let made = make.await.map_err(|_| NotMade::Failed)?;
            if weight_bytes(key, &made) > self.largest_bytes {
                return Err(NotMade::TooLarge);
            }
            Ok(Arc::new(made))
        };
        let outcome = match self.entries.try_get_with(key.into(), making).await {
            Ok(_) => "made",
            Err(not_made) => match *not_made {
                NotMade::NotHere => "gone",
                NotMade::TooLarge => "too_large",
                NotMade::Failed => "failed",
            },
        };
        self.metrics.prefetches.with_label_values(&[outcome]).inc();
    }

    /// Takes out what is here, or will be as soon as it is made.
    pub async fn take(&self, key: &str) -> Option<Arc<Representation>> {
        // Waits for who makes it; fails at once where nobody does.
        let not_here = async { Err(NotMade::NotHere) };
        let made = self.entries.try_get_with(key.into(), not_here).await.ok()?;
        self.entries.invalidate(key).await;
        self.metrics.prefetches.with_label_values(&["used"]).inc();
        Some(made)
    }

    /// Lets go what lies under `key`.
    pub async fn let_go(&self, key: &str) {
        self.entries.invalidate(key).await;
    }

    /// Lets go what is named; how many responses that were.
    pub async fn purge(&self, named: &Selector) -> u64 {
        let gone: Vec<_> =
            self.entries.iter().filter(|(key, _)| named.names_response(key)).collect();
        for (key, _) in &gone {
            self.entries.invalidate(&***key).await;
        }
        gone.len() as u64
    }

    /// Sets the gauge.
    pub async fn measure(&self) {
        self.entries.run_pending_tasks().await;
        let bytes = i64::try_from(self.entries.weighted_size()).unwrap_or(i64::MAX);
        self.metrics.prefetch_bytes.set(bytes);
    }
}
