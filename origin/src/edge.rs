//! What stands between this service and those who ask: the configured relation to proxies and
//! CDNs, ready to use.

use headwater_config::{NodeName, Origin};

use crate::cache_status::CacheStatus;
use crate::cache_tags::TagFields;
use crate::client::Trust;

/// The relation to whatever is in front.
#[derive(Clone, Debug)]
pub struct Edge {
    /// What this service is called.
    pub name: NodeName,
    /// Which proxies are believed.
    pub trust: Trust,
    /// What is said of the response cache.
    pub cache_status: CacheStatus,
    /// What responses can be purged by.
    pub tag_fields: TagFields,
    /// Whether texts are sent as gzip.
    pub gzip: bool,
}

impl Edge {
    /// As configured.
    pub fn new(origin: &Origin) -> Self {
        Self {
            name: origin.name.clone(),
            trust: Trust::new(&origin.trusted_proxies, origin.forwarded_header),
            cache_status: CacheStatus::new(&origin.name),
            tag_fields: TagFields::new(&origin.cache_tags),
            gzip: origin.gzip,
        }
    }
}
