//! Segments that were made before they were asked for, in memory of their own: nobody has asked for these
//! yet, so they must not push out what somebody has. The first who asks moves one over. The longest unused
//! go first, and none stays for long.

use std::sync::Arc;

use moka::future::Cache;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use crate::cache::weight_bytes;
use crate::errands::Errands;
use crate::failure::Failure;
use crate::limits;
use crate::metrics::Metrics;
use crate::purges::{Purges, Since};
use crate::representation::Representation;

/// What was made ahead. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Ahead {
    entries: Cache<Arc<str>, Arc<Representation>>,
    making: Errands<Arc<str>, Option<Arc<Representation>>>,
    largest_bytes: u64,
    purges: Purges,
    metrics: Arc<Metrics>,
}

impl Ahead {
    /// At most `capacity_bytes`.
    pub fn new(capacity_bytes: u64, purges: Purges, metrics: Arc<Metrics>) -> Self {
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
        let largest_bytes = capacity_bytes.min(u64::from(u32::MAX));
        Self { entries, making: Errands::default(), largest_bytes, purges, metrics }
    }

    /// Whether it is here, or being made.
    pub fn has(&self, key: &str, since: Since) -> bool {
        self.entries.contains_key(key) || self.making.of(key.into(), since).is_some()
    }

    /// Begins to make a response, unless that was begun; `make` may think better of it.
    pub fn make(
        &self,
        key: &str,
        since: Since,
        make: impl Future<Output = Option<Result<Representation, Failure>>> + Send + 'static,
    ) {
        let (this, key) = (self.clone(), Arc::<str>::from(key));
        let of = Arc::clone(&key);
        let making = async move {
            let (outcome, made) = match make.await? {
                // Behind the last one there is none.
                Err(Failure::UnknownSegment) => return None,
                Err(_) => ("failed", None),
                Ok(made) if weight_bytes(&of, &made) > this.largest_bytes => ("too_large", None),
                Ok(made) => {
                    let made = Arc::new(made);
                    let put_in = this.entries.insert(of, Arc::clone(&made));
                    match this.purges.keep(since, put_in).await {
                        true => ("made", Some(made)),
                        false => ("purged", Some(made)),
                    }
                }
            };
            this.metrics.prefetches.with_label_values(&[outcome]).inc();
            made
        };
        drop(self.making.run(key, since, making));
    }

    /// Takes out what is here.
    pub async fn take(&self, key: &str) -> Option<Arc<Representation>> {
        let made = self.entries.remove(key).await?;
        self.metrics.prefetches.with_label_values(&["used"]).inc();
        Some(made)
    }

    /// Takes out what is here, or will be as soon as it is made.
    pub async fn taken_when_made(
        &self,
        key: &Arc<str>,
        since: Since,
    ) -> Option<Arc<Representation>> {
        let made = match self.making.of(Arc::clone(key), since) {
            Some(making) => making.await.ok().flatten(),
            None => None,
        };
        // What is not kept is there for who waited.
        self.take(key).await.or(made)
    }

    /// Lets go what is named; how many responses that were.
    pub async fn purge(&self, names: impl Fn(&str) -> bool) -> u64 {
        let gone: Vec<_> = self.entries.iter().filter(|(key, _)| names(key)).collect();
        for (key, _) in &gone {
            self.entries.invalidate(&***key).await;
        }
        gone.len() as u64
    }

    /// Lets go of everything.
    pub fn empty(&self) {
        self.entries.invalidate_all();
    }

    /// Sets the gauge.
    pub async fn measure(&self) {
        self.entries.run_pending_tasks().await;
        let bytes = i64::try_from(self.entries.weighted_size()).unwrap_or(i64::MAX);
        self.metrics.prefetch_bytes.set(bytes);
    }
}
