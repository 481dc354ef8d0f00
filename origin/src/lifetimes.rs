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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::ResponseCache;
    use crate::gate::{Gate, Rules};
    use crate::metrics::Metrics;
    use crate::purges::Purges;
    use crate::representation::Representation;

    #[tokio::test]
    async fn a_profile_has_its_own_lifetimes() {
        let short = Settings { keep_media_s: 1, ..Settings::default() };
        let profiles = [("short", short), ("long", Settings::default())];
        let profiles = profiles.map(|(name, settings)| (name.parse().unwrap(), settings));
        let (metrics, patience) = (Arc::new(Metrics::new()), Duration::from_secs(60));
        let gate = Gate::new("fills", Rules { most: 1, most_waiting: 1, patience }, &metrics);
        let lifetimes = Lifetimes::new(&profiles.into());
        let cache = ResponseCache::new(1 << 20, &lifetimes, gate, Purges::default(), metrics);
        let keys = ["/short/a/v.r/t/1.m4s", "/long/a/v.r/t/1.m4s"];
        let media = || Representation::of_bytes("video/mp4", vec![7]);
        for key in keys {
            cache.fill(key, cache.since(), async move { Ok(media()) }).await.unwrap();
        }
        let text = async { Ok(Representation::of_text("text/plain", vec![1])) };
        cache.fill("/short/a/v.r/i", cache.since(), text).await.unwrap();
        let start = Instant::now();
        while cache.kept(keys[0]).await.is_some() {
            assert!(start.elapsed() < Duration::from_secs(20), "it is kept for good");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(cache.kept(keys[1]).await.is_some(), "the other profile's");
        assert!(cache.kept("/short/a/v.r/i").await.is_some(), "its manifest");
    }
}
