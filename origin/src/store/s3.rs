//! A store that is a bucket: `s3://<bucket>/<prefix>titles/<title>/...`.
//!
//! What a read says and how it is repeated is `headwater-store`'s; here its faults become ours, and
//! never more reads run at a time than allowed. The type that reads cannot write.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_config::{Bucket, S3};
use headwater_packager::ids::TitleId;
use headwater_packager::stored;
use headwater_store as s3;

use super::{Fault, Key, Places, Small, Stamp, Store, StoreError};

/// A bucket of titles.
#[derive(Debug)]
pub struct S3Store {
    reader: s3::Reader,
    places: Places,
}

impl S3Store {
    /// The store in `bucket`, read by at most `max_concurrent_reads` at a time. Nothing is asked
    /// for yet; see [`Store::probe`].
    pub fn new(
        bucket: &Bucket,
        settings: &S3,
        max_concurrent_reads: usize,
    ) -> Result<Self, StoreError> {
        let places = Places::new(max_concurrent_reads);
        Ok(Self { reader: s3::Reader::new(bucket, settings)?, places })
    }
}

#[async_trait]
impl Store for S3Store {
    async fn read_range(&self, key: &Key, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        let _place = self.places.take(Some(key)).await;
        Ok(self.reader.range(key.as_str(), bytes).await?)
    }

    async fn read_small(
        &self,
        key: &Key,
        max_bytes: u64,
        known: Option<&Stamp>,
    ) -> Result<Small, StoreError> {
        let _place = self.places.take(Some(key)).await;
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let known = known.map(|stamp| stamp.0.as_str());
        Ok(match self.reader.small(key.as_str(), max_bytes, known).await? {
            s3::Small::Unchanged => Small::Unchanged,
            s3::Small::Object(bytes, tag) => Small::Bytes(bytes, Stamp(tag)),
        })
    }

    /// The bucket lists ids as if each ended with a slash; with more than `max` titles that may
    /// leave out another one than plain order would.
    async fn list_titles(&self, max: usize) -> Result<Vec<TitleId>, StoreError> {
        let _place = self.places.take(None).await;
        let names = self.reader.children(stored::TITLES_PREFIX, max).await?;
        let mut ids: Vec<TitleId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let _place = self.places.take(None).await;
        Ok(self.reader.probe(stored::TITLES_PREFIX).await?)
    }
}

impl From<s3::Error> for StoreError {
    fn from(error: s3::Error) -> Self {
        let fault = match error.fault() {
            s3::Fault::NotFound => Fault::NotFound,
            s3::Fault::Denied => Fault::Denied,
            s3::Fault::Throttled => Fault::Throttled,
            // Reads have no conditions that could fail.
            s3::Fault::Unavailable | s3::Fault::Precondition => Fault::Unavailable,
            s3::Fault::Timeout => Fault::Timeout,
            s3::Fault::Short => Fault::Short,
            s3::Fault::TooLarge => Fault::TooLarge,
        };
        Self::new(fault, error.to_string())
    }
}
