//! One typed configuration for every Headwater binary.
//!
//! ```text
//! file.toml ──┐
//!             ├─► load: known keys, types, ranges ──► Config ──► check: rules between keys
//! HEADWATER_* ┘
//! ```
//!
//! Every key has its unit last in its name, a default and an allowed range; all of them stand in
//! `headwater.example.toml`, which a test compares with the types. What is in a [`Config`] is
//! already parsed: a profile name is a [`Name`], a store address a [`StoreUrl`]. Nothing here
//! opens a store, binds a socket or knows what a title holds.

mod access;
mod blank;
mod caches;
mod check;
mod encoder;
mod env;
mod error;
mod keys;
pub mod limits;
mod load;
mod network;
mod origin;
mod profile;
mod protection;
mod queue;
mod s3;
mod schema;
mod secret;
mod store;
mod telemetry;
mod tls;
mod tokens;
mod url;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use access::{Access, EnforcedBy, FieldName, PropagateQuery, Renewal};
pub use caches::{Cache, Prefetch, TitleName, WarmUp};
pub use check::{Finding, Severity};
pub use encoder::{Audio, AudioCodec, Encoder, Preset, Recipe, Rule, Rung, Sandbox, VideoCodec};
pub use env::{CONFIG_VARIABLE, environment};
pub use error::{ConfigError, Place, Problem};
pub use keys::{HeaderSecret, KeyProvider, ProviderKind, SentField};
pub use network::Network;
pub use origin::{
    AccessLog, CacheTags, ForwardedHeader, Limits, LogLevel, NodeName, Origin, StoreReads,
};
pub use profile::{CorsOrigins, Format, Name, Profile, TitleRule};
pub use protection::{KeyScope, Protection, Scheme, System};
pub use queue::{ApiKey, ApiScope, JobApi, Queue};
pub use s3::{Bucket, Endpoint, Region, S3};
pub use secret::SecretSource;
pub use store::{Store, StoreUrl};
pub use telemetry::{ServiceName, Telemetry};
pub use tls::{Certificate, Tls, TlsVersion};
pub use tokens::{Audience, CookieSites, CountryField, TokenKey, TokenKeyId, TokenName, Tokens};
pub use url::{KeyUri, Url};

/// Everything an operator decides, for all binaries: each reads the sections it needs.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where titles are stored: the encoder writes there, the origin reads.
    pub store: Store,
    /// The HTTP service.
    pub origin: Origin,
    /// Delivery policies by the name that stands first in every URL.
    #[serde(deserialize_with = "profile::one_at_least")]
    pub profiles: BTreeMap<Name, Profile>,
    /// Where content keys come from, by the name that protected profiles call it.
    pub keys: BTreeMap<Name, KeyProvider>,
    /// The encoder and the ladder it makes.
    pub encoder: Encoder,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: Store::default(),
            origin: Origin::default(),
            profiles: profile::clear(),
            keys: BTreeMap::new(),
            encoder: Encoder::default(),
        }
    }
}

impl Config {
    /// The configuration of a binary that was given none: the defaults, with the player page on.
    #[must_use]
    pub fn embedded() -> Self {
        let mut config = Self::default();
        config.origin.page = true;
        config
    }

    /// The defaults, with one of each thing that an operator names and that there is none of by
    /// default: every key there is.
    pub(crate) fn every_key() -> Self {
        let main = "main".parse().expect("a name");
        Self {
            keys: BTreeMap::from([(main, KeyProvider::default())]),
            encoder: Encoder::every_key(),
            ..Self::default()
        }
    }
}
