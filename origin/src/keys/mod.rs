//! Content keys: whose they are, and where they come from.
//!
//! ```text
//! derived   worked out from a secret: the same on every node, nothing to keep
//! static    read from a file
//! cpix      asked for, from a key server
//! ```
//!
//! A key is never logged, counted or part of an error; what is said of it is its id. Nothing here
//! decides which tracks share a key ([`KeyUse`]) or who may be told one.

pub mod cpix;
pub mod derived;
pub mod error;
mod hkdf;
pub mod ring;
pub mod static_file;

use async_trait::async_trait;
use headwater_config::{Scheme, System};
use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::{KeyId, TitleId, VersionId};
use headwater_packager::signalling::{KeyUse, Told};

pub use error::{KeyError, Kind, NotReady};
pub use ring::KeyRing;

/// A content key and its id. `Debug` shows the id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackKey {
    /// What manifests, init sections and licences call it.
    pub id: KeyId,
    /// What media is encrypted with.
    pub key: ContentKey,
    /// What players are told of it by its licence server's word.
    pub told: Told,
}

/// What keys are wanted for: all that they are bound to but label and period.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The profile's key domain.
    pub domain: &'a str,
    /// How media is encrypted with them.
    pub scheme: Scheme,
    /// The licence systems that will be told of them.
    pub systems: &'a [System],
    /// The title.
    pub title: &'a TitleId,
    /// Its version.
    pub version: VersionId,
    /// The viewing session, where each has keys of its own.
    pub session: Option<&'a str>,
}

/// Where keys come from.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The keys for these uses, in their order.
    async fn keys(&self, wanted: &Wanted<'_>, uses: &[KeyUse]) -> Result<Vec<TrackKey>, KeyError>;

    /// What stands for a title's keys in the `rev` of its URLs: another value where they may be
    /// others. It tells nothing of the keys or of what they are made from.
    fn identity(&self, domain: &str, title: &TitleId) -> [u8; 16];

    /// Whether all titles of a domain have one identity, so that it need not be worked out for each
    /// request.
    fn has_one_identity(&self) -> bool;
}
