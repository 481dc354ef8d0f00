//! A store whose title this process holds, and in which it is alone at work: what is not published yet
//! stays in a folder of ours, and never reaches a bucket.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_packager::ids::TitleId;

use super::{Entry, FileStore, Lease, Store};
use crate::error::Error;

/// Two stores as one.
pub(crate) struct Own {
    /// Keys that start so are ours alone.
    pub(crate) prefix: &'static str,
    /// They lie here.
    pub(crate) here: FileStore,
    /// All others there.
    pub(crate) there: Arc<dyn Store>,
}

impl Own {
    fn of(&self, key: &str) -> &dyn Store {
        if key.starts_with(self.prefix) { &self.here } else { self.there.as_ref() }
    }
}

#[async_trait]
impl Store for Own {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.of(key).put(key, bytes).await
    }

    async fn put_file(&self, key: &str, path: &Path) -> Result<(), Error> {
        self.of(key).put_file(key, path).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        self.of(key).read(key, range).await
    }

    async fn small(&self, key: &str, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        self.of(key).small(key, limit_bytes).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        self.of(prefix).list(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.of(key).delete(key).await
    }

    /// It is held already, for as long as this store is used.
    async fn lease(&self, _: &TitleId) -> Result<Lease, Error> {
        Ok(Lease::held_by(()))
    }
}
