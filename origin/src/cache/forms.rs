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
        let Some(moving) = self.filing.as_ref().and_then(|filing| filing.moved(&entry.made)) else {
            return;
        };
        let (since, this) = (self.since(), self.clone());
        let (key, before) = (Arc::<str>::from(key), Arc::clone(&entry.made));
        tokio::spawn(async move {
            let Some(moved) = moving.await else { return };
            if let Some(kept) = this.often.get(&key).await
                && Arc::ptr_eq(&kept.made, &before)
            {
                let entry = Entry { made: Arc::new(moved), since: kept.since };
                this.purges.keep(since, this.often.insert(key, entry)).await;
            }
        });
    }
}
