//! Other forms of what is kept: a text as gzip, and a segment in a file of memory.

use std::sync::Arc;

use super::{Entry, ResponseCache};
use crate::representation::{Facts, Representation};
use crate::slices::Slices;

impl ResponseCache {
    /// A response that lies under `key` as gzip, if it has that form. Both forms share the entry,
    /// which is weighed anew when the second is made.
    pub async fn gzipped<'a>(
        &self,
        key: &str,
        made: &'a Arc<Representation>,
    ) -> Option<(&'a Facts, &'a Slices)> {
        let is_due = made.is_gzip_due();
        let coded = made.gzipped().await?;
        if is_due {
            let since = self.since();
            for segment in [&self.once, &self.often] {
                if let Some(kept) = segment.get(key).await
                    && Arc::ptr_eq(&kept.made, made)
                {
                    self.purges.keep(since, segment.insert(key.into(), kept)).await;
                }
            }
        }
        Some(coded)
    }

    /// Begins to move what is asked for often to where it is sent from without a copy; who asks
    /// meanwhile has it from where it lies.
    pub(super) fn file_away(&self, key: &str, entry: &Entry) {
        let Some(moving) = self.filing.as_ref().and_then(|filing| filing.begin(&entry.made)) else {
            return;
        };
        let (since, this) = (self.since(), self.clone());
        let (key, before) = (Arc::<str>::from(key), Arc::clone(&entry.made));
        tokio::spawn(async move {
            let Some(moved) = moving.await else { return };
            let made = Arc::new(moved.made);
            if let Some(kept) = this.often.get(&key).await
                && Arc::ptr_eq(&kept.made, &before)
            {
                let entry = Entry { made, since: kept.since };
                this.purges.keep(since, this.often.insert(key, entry)).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bodies::{Bodies, Bounds};
    use crate::filing::Filing;
    use crate::gate::{Gate, Rules};
    use crate::lifetimes::Lifetimes;
    use crate::memory_file::LEAST_BYTES;
    use crate::metrics::Metrics;
    use crate::purges::Purges;
    use crate::selector::Selector;

    fn cache() -> ResponseCache {
        let metrics = Arc::new(Metrics::new());
        let patience = Duration::from_secs(60);
        let gate = Gate::new("fills", Rules { most: 64, most_waiting: 1_000, patience }, &metrics);
        let bounds = Bounds { most_bytes: 1 << 30, spare_bytes: 0 };
        let filing = Filing::new(Bodies::new(bounds, Arc::clone(&metrics)), &metrics);
        ResponseCache::new(1 << 30, &Lifetimes::default(), gate, Purges::default(), metrics)
            .with_filing(Some(filing))
    }

    /// Asks for it twice more: the first makes it one of those that are asked for often, the second
    /// has it moved.
    async fn asked_often(cache: &ResponseCache) {
        let make = async { Ok(Representation::of_bytes("video/mp4", vec![7; LEAST_BYTES])) };
        cache.fill("/k", cache.since(), make).await.unwrap();
        for _ in 0..2 {
            assert!(cache.kept("/k").await.unwrap().body.filed().is_none());
        }
    }

    async fn moved(cache: &ResponseCache) {
        while cache.filing.as_ref().is_some_and(Filing::is_moving) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn what_is_asked_for_three_times_is_moved() {
        let cache = cache();
        asked_often(&cache).await;
        moved(&cache).await;
        let kept = cache.kept("/k").await.unwrap();
        assert_eq!(kept.body.filed().is_some(), cache.filing().unwrap().files() == 1);
    }

    #[tokio::test]
    async fn what_is_purged_while_it_is_moved_does_not_come_back() {
        let cache = cache();
        asked_often(&cache).await;
        assert!(cache.filing().unwrap().is_moving());
        let at_work = cache.purges.begin().await;
        assert_eq!(cache.purge(&at_work, &Selector::default()).await, 1);
        drop(at_work);
        moved(&cache).await;
        assert!(cache.kept("/k").await.is_none());
        assert_eq!(cache.filing().unwrap().files(), 0);
    }

    #[tokio::test]
    async fn what_was_made_anew_meanwhile_stays() {
        let cache = cache();
        asked_often(&cache).await;
        let anew = Entry::new(Arc::new(Representation::of_bytes("video/mp4", vec![8; 5])));
        cache.often.insert("/k".into(), anew.clone()).await;
        moved(&cache).await;
        let kept = cache.often.get("/k").await.unwrap();
        assert!(Arc::ptr_eq(&kept.made, &anew.made));
    }
}
