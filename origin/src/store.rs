//! The store as the origin sees it: read-only, a few kinds of read, each bounded.
//!
//! ```text
//! Guarded          time limit, read counts
//!   ├─ FileStore   a folder
//!   └─ S3Store     a bucket
//! ```

mod file;
mod guarded;
mod s3;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use file::FileStore;
pub use guarded::Guarded;
pub use s3::S3Store;

use crate::failure::{Cause, Failure, Part};
use crate::limits;

/// Where titles are read from.
#[async_trait]
pub trait Store: Send + Sync {
    /// Exactly these bytes of an object. A shorter object is [`Fault::Short`].
    async fn read_range(&self, key: &Key, bytes: Range<u64>) -> Result<Bytes, StoreError>;

    /// A whole object of at most `max_bytes`, unless it is still the one that `known` describes.
    async fn read_small(
        &self,
        key: &Key,
        max_bytes: u64,
        known: Option<&Stamp>,
    ) -> Result<Small, StoreError>;

    /// Titles in the store in the order of their ids, at most `max`.
    async fn list_titles(&self, max: usize) -> Result<Vec<TitleId>, StoreError>;

    /// Whether the store can be read at all.
    async fn probe(&self) -> Result<(), StoreError>;
}

/// How many read at one time: media and heads, and apart from them what is small and all hangs on (pointers,
/// probes, lists), so that neither stands behind the other.
#[derive(Debug)]
struct Places {
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

impl Places {
    fn new(max_concurrent_reads: usize) -> Self {
        let of = |count| Arc::new(Semaphore::new(count));
        Self { large: of(max_concurrent_reads), small: of(limits::SMALL_READS) }
    }

    /// A place to read what lies under `key`, or what has none.
    async fn take(&self, key: Option<&Key>) -> OwnedSemaphorePermit {
        let is_small = key.is_none_or(|key| key.part() == Part::Pointer);
        let places = if is_small { &self.small } else { &self.large };
        Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
    }
}

/// The answer to a conditional read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Small {
    /// The object is what it was.
    Unchanged,
    /// The object, and what to compare it by next time.
    Bytes(Bytes, Stamp),
}

/// What tells one content of an object from another; an S3 store's is its entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(pub String);

/// The key of an object. Made from parsed ids alone, so no key leads out of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    part: Part,
    text: String,
}

impl Key {
    /// A title's `title.json`.
    pub fn pointer(title: &TitleId) -> Self {
        Self { part: Part::Pointer, text: stored::pointer_key(title) }
    }

    /// A version's `heads.bin`.
    pub fn heads(title: &TitleId, version: VersionId) -> Self {
        Self { part: Part::Heads, text: stored::heads_key(title, version) }
    }

    /// An object of a version, named by its opened heads, which admit only plain names.
    pub fn media(title: &TitleId, version: VersionId, name: &str) -> Self {
        Self { part: Part::Media, text: stored::object_key(title, version, name) }
    }

    /// Which kind of object.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The key's text: elements separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What can go wrong with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such object.
    NotFound,
    /// The object ends before the range does.
    Short,
    /// The object is larger than it may be.
    TooLarge,
    /// The store is not there, failed or broke off.
    Unavailable,
    /// The store refuses: credentials or permissions. A missing object is this too where the
    /// origin may not list.
    Denied,
    /// The store asks for fewer reads.
    Throttled,
    /// The time limit passed.
    Timeout,
    /// Too many reads wait for their turn.
    Busy,
}

/// A read that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What went wrong.
    pub fault: Fault,
    /// What was read and what came of it: key, offset, expected and got, cause.
    pub detail: String,
}

impl StoreError {
    /// A failed read.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }

    /// The failure for a request that needed `part` under `key`. A missing object is damage here:
    /// who expects objects to be missing asks for [`Fault::NotFound`] first.
    pub fn into_failure(self, part: Part, key: &str) -> Failure {
        let cause = Cause { part, key: key.to_owned(), detail: self.detail };
        match self.fault {
            Fault::NotFound | Fault::Short | Fault::TooLarge => Failure::SourceDamaged(cause),
            Fault::Unavailable => Failure::StoreUnavailable(cause),
            Fault::Denied => Failure::StoreDenied(cause),
            Fault::Throttled => Failure::StoreThrottled(cause),
            Fault::Timeout => Failure::StoreTimeout(cause),
            Fault::Busy => Failure::Overloaded,
        }
    }
}

impl Fault {
    /// The word in the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Short => "short",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault.as_str(), self.detail)
    }
}

impl std::error::Error for StoreError {}
