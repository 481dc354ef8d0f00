//! How long the response cache keeps what a profile answers, where that is not as long as there is room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_config::{Name, Profile as Settings};
use moka::Expiry;

use crate::cache::Entry;

/// Of each profile that has one, that of manifests and that of media.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes(BTreeMap<Name, [Option<Duration>; 2]>);

impl Lifetimes {
    /// Those of a configuration's profiles.
    pub fn new(profiles: &BTreeMap<Name, Settings>) -> Self {
        let seconds = |s: u32| (s > 0).then(|| Duration::from_secs(s.into()));
        let of = |(name, settings): (&Name, &Settings)| {
            let lifetimes = [seconds(settings.keep_manifests_s), seconds(settings.keep_media_s)];
            lifetimes.iter().any(Option::is_some).then(|| (name.clone(), lifetimes))
        };
        Self(profiles.iter().filter_map(of).collect())
    }

    /// Whether everything is kept as long as there is room.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Expiry<Arc<str>, Entry> for Lifetimes {
    fn expire_after_create(
        &self,
        key: &Arc<str>,
        entry: &Entry,
        created_at: Instant,
    ) -> Option<Duration> {
        let profile = key.split('/').nth(1)?;
        let [manifests, media] = *self.0.get(profile)?;
        let lifetime = if entry.made.is_text() { manifests } else { media };
        // It may come from another segment.
        lifetime.map(|lifetime| lifetime.saturating_sub(created_at.duration_since(entry.since)))
    }
}
