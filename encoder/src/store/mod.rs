//! The store as the encoder sees it: write whole objects, read ranges back.
//!
//! A key is a path of plain names (`headwater_packager::stored` makes them). What is put is there
//! whole or not at all, and there to stay when the call returns.

mod file;
mod own;
mod s3;
mod s3_lease;

use std::ops::Range;
use std::path::Path;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_config::{self as config, StoreUrl};
use headwater_packager::ids::TitleId;
use tokio::task::JoinHandle;

use crate::error::Error;

pub use file::FileStore;
pub(crate) use own::Own;
pub use s3::S3Store;

/// Where titles are stored.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes a small object, replacing what was there.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error>;

    /// Writes an object from a file, which may be taken away by it.
    async fn put_file(&self, key: &str, path: &Path) -> Result<(), Error>;

    /// Reads a range of bytes; fewer only where the object ends.
    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error>;

    /// Reads a whole object of at most `limit_bytes`; `None` when there is none.
    async fn small(&self, key: &str, limit_bytes: usize) -> Result<Option<Bytes>, Error>;

    /// Every object whose key starts with `prefix`, which ends with `/`; in key order.
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error>;

    /// Removes an object; one that is not there is no error.
    async fn delete(&self, key: &str) -> Result<(), Error>;

    /// Takes the title's publication lease: while it is held nobody else writes the title. An
    /// error when somebody else holds it.
    async fn lease(&self, title: &TitleId) -> Result<Lease, Error>;
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The whole key.
    pub key: String,
    /// Bytes.
    pub len_bytes: u64,
    /// When it was written, in milliseconds since 1970; 0 where that is not known.
    pub modified_ms: i64,
}

/// The right to write a title. It ends with [`Lease::give_back`]; dropped, or when this process
/// ends in any other way, it ends by itself, in a bucket some seconds later.
pub struct Lease {
    _held: Box<dyn Send>,
    farewell: Option<Farewell>,
}

type Farewell = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Lease {
    /// A lease that lasts as long as `held`.
    fn held_by(held: impl Send + 'static) -> Self {
        Self { _held: Box::new(held), farewell: None }
    }

    /// A lease that a task keeps alive, and that is given back by waiting for `farewell`.
    fn kept_by(task: JoinHandle<()>, farewell: impl Future<Output = ()> + Send + 'static) -> Self {
        let farewell = Some(Box::pin(farewell) as Farewell);
        Self { _held: Box::new(Ended(task)), farewell }
    }

    /// Lets others have it at once.
    pub async fn give_back(self) {
        drop(self._held);
        if let Some(farewell) = self.farewell {
            farewell.await;
        }
    }
}

/// A task that ends when this is dropped.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lease")
    }
}

/// The configured store.
pub fn open(store: &config::Store) -> Result<Box<dyn Store>, Error> {
    match &store.url {
        StoreUrl::File(folder) => Ok(Box::new(FileStore::new(folder)?)),
        StoreUrl::S3(bucket) => Ok(Box::new(S3Store::new(bucket, &store.s3)?)),
    }
}

/// Removes every object under `prefix`.
pub async fn delete_all(store: &dyn Store, prefix: &str) -> Result<(), Error> {
    for entry in store.list(prefix).await? {
        store.delete(&entry.key).await?;
    }
    Ok(())
}
