//! A bucket as a store. Objects appear whole when their last request succeeds, and stay.
//!
//! ```text
//! <prefix>titles/<title>/...   the objects
//! <prefix>leases/<title>       who writes the title now (s3_lease.rs)
//! ```

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_config::{Bucket, S3};
use headwater_packager::ids::TitleId;
use headwater_packager::stored;
use headwater_store::{self as s3, Condition, Fault};

use super::s3_lease::{self, Held};
use super::{Entry, Lease, Store};
use crate::error::{Error, Kind};
use crate::limits;

/// The bucket.
#[derive(Debug)]
pub struct S3Store {
    writer: s3::Writer,
    /// Leases that this process holds, or held.
    leases: Mutex<HashMap<TitleId, Arc<Held>>>,
}

impl S3Store {
    /// A store in `bucket`. Nothing is asked for yet.
    pub fn new(bucket: &Bucket, settings: &S3) -> Result<Self, Error> {
        let writer = s3::Writer::new(bucket, settings).map_err(|e| failed(&e))?;
        Ok(Self { writer, leases: Mutex::default() })
    }

    /// The lease under which `key` is written, where one was taken.
    fn lease_over(&self, key: &str) -> Option<Arc<Held>> {
        let (title, _) = key.strip_prefix(stored::TITLES_PREFIX)?.split_once('/')?;
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(title).map(Arc::clone)
    }
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        let put = self.writer.put(key, bytes, Condition::None);
        let Some(held) = self.lease_over(key) else {
            return put.await.map(drop).map_err(|e| not_put(&e));
        };
        // What is begun under the lease must be over before another may have it.
        held.check()?;
        let in_time = tokio::time::timeout(s3_lease::MARGIN, put).await;
        let late =
            || Error::storage(key, "could not be written while the title's lease lasts").unsure();
        in_time.map_err(|_| late())?.map(drop).map_err(|e| not_put(&e))
    }

    async fn put_file(&self, key: &str, from: &Path) -> Result<(), Error> {
        if let Some(held) = self.lease_over(key) {
            held.check()?;
        }
        self.writer.upload(key, from).await.map_err(|e| failed(&e))
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        self.writer.reader().range_or_end(key, range).await.map_err(|e| failed(&e))
    }

    async fn small(&self, key: &str, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        match self.writer.reader().small(key, limit_bytes, None).await {
            Ok(s3::Small::Object(bytes, _)) => Ok(Some(bytes)),
            Ok(s3::Small::Unchanged) => Err(Error::storage(key, "compared with nothing")),
            Err(e) if e.fault() == Fault::NotFound => Ok(None),
            Err(e) => Err(failed(&e)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        let listed = self.writer.reader().list(prefix, limits::LISTED_OBJECTS).await;
        let entry = |entry: s3::Entry| {
            let s3::Entry { key, len_bytes, modified_ms } = entry;
            Entry { key, len_bytes, modified_ms }
        };
        Ok(listed.map_err(|e| failed(&e))?.into_iter().map(entry).collect())
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        // Who lost the right to write a title may hold the names of what its next writer has written.
        if let Some(held) = self.lease_over(key) {
            held.check()?;
        }
        self.writer.delete(key).await.map_err(|e| failed(&e))
    }

    async fn lease(&self, title: &TitleId) -> Result<Lease, Error> {
        let held = s3_lease::take(&self.writer, title).await?;
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.insert(title.clone(), Arc::clone(&held));
        let (task, farewell) = s3_lease::keep(self.writer.clone(), held);
        Ok(Lease::kept_by(task, farewell))
    }
}

/// A failed write: only an answer says that it was refused.
fn not_put(error: &s3::Error) -> Error {
    match error.fault() {
        Fault::Timeout | Fault::Unavailable => failed(error).unsure(),
        _ => failed(error),
    }
}

/// A failed request as the encoder's error.
pub(super) fn failed(error: &s3::Error) -> Error {
    Error::new(Kind::Storage, error.to_string())
}
