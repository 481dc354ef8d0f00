//! Makes what all viewers share: for who asks, for who is about to ask, and for who is expected.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use headwater_packager::ids::{TitleId, TrackId, VersionId};
use headwater_packager::plan;

use crate::access::scope::SessionId;
use crate::bodies::Bodies;
use crate::cache::ResponseCache;
use crate::cache_tags::TagFields;
use crate::chains::Chains;
use crate::delivery::CacheUse;
use crate::failure::Failure;
use crate::make::{Planned, Served};
use crate::metrics::Metrics;
use crate::profile::{Profile, Profiles};
use crate::protections::Protections;
use crate::purges::{Purges, Since};
use crate::representation::Representation;
use crate::route::Resource;
use crate::selector::{Purged, Selector};
use crate::sources::Sources;
use crate::store::Store;
use crate::titles::{Opened, Titles};

/// Everything that responses are made of. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Preparer {
    /// Delivery policies.
    pub profiles: Arc<Profiles>,
    /// Their titles under keys.
    pub protections: Arc<Protections>,
    /// Pointers and opened versions.
    pub titles: Arc<Titles>,
    /// Responses in memory.
    pub cache: ResponseCache,
    /// The memory that segments take.
    pub bodies: Arc<Bodies>,
    /// Stored media in memory.
    pub sources: Sources,
    /// What is encrypted side by side.
    pub chains: Arc<Chains>,
    /// Where media is read from.
    pub store: Arc<dyn Store>,
    /// What responses can be purged by.
    pub tag_fields: TagFields,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// A resource that all viewers of a profile share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The title.
    pub title: TitleId,
    /// The version.
    pub version: VersionId,
    /// What of it.
    pub resource: Resource,
    /// Its address, which is the response cache's key.
    pub path: String,
    /// What stands before every URI in it, where it is a manifest.
    pub prefix: String,
}

/// What a live version's manifest lies under in the response cache, by its path and what stands before the URIs
/// in it. Paths hold no '@', so this is no other resource's key.
pub fn live_key(path: &str, prefix: &str) -> String {
    format!("{path}@{prefix}")
}

impl Preparer {
    /// Lets go what is named in every tier, and keeps nowhere what is being made of it.
    pub async fn purge(current: &ArcSwap<Self>, purges: &Purges, named: &Selector) -> Purged {
        let at_work = purges.begin().await;
        // Not before: a reload may just have put others in their place.
        let tiers = current.load_full();
        let (pointers, versions) = tiers.titles.purge(&at_work, named).await;
        tiers.protections.purge(&at_work, named).await;
        let sources = tiers.sources.purge(&at_work, named).await;
        let responses = tiers.cache.purge(&at_work, named).await;
        Purged { responses, sources, versions, pointers }
    }

    /// Sets the gauges.
    pub async fn measure(&self) {
        self.cache.measure().await;
        self.sources.measure().await;
        self.titles.measure().await;
    }

    /// A version, opened `since`, as a profile serves it, to everybody or in one session.
    pub async fn served(
        &self,
        profile: &Profile,
        (opened, since): (Arc<Opened>, Since),
        session: Option<&SessionId>,
    ) -> Result<Served, Failure> {
        let kept = self.protections.of(profile, (&opened, since), session).await;
        let protection = kept.inspect_err(|failure| failure.report(&self.metrics))?;
        Ok(Served { opened, cut: profile.cut(), protection })
    }

    /// Reads a segment, as heads that were read `since` have it. One whose object is gone is damage; but where the heads are gone too, the
    /// version was removed since it was opened, and is unknown from now on.
    pub fn media(
        &self,
        planned: Planned,
        since: Since,
    ) -> impl Future<Output = Result<Representation, Failure>> + Send + 'static {
        let (store, titles) = (Arc::clone(&self.store), Arc::clone(&self.titles));
        let (bodies, sources) = (Arc::clone(&self.bodies), self.sources.clone());
        let chains = Arc::clone(&self.chains);
        let (title, version) = (planned.title().id().clone(), planned.title().version());
        async move {
            match planned.read(store, &bodies, (&sources, since), &chains).await {
                Err(Failure::MediaMissing(_)) if titles.is_removed(&title, version).await => {
                    Err(Failure::UnknownVersion)
                }
                read => read,
            }
        }
    }

    /// Begins to make a segment that somebody is about to ask for, while it holds `place`. What goes wrong is
    /// told to whoever asks.
    pub fn make_ahead(
        &self,
        profile_name: &str,
        shared: Shared,
        now: Instant,
        place: impl Send + 'static,
    ) {
        let (since, path) = (self.cache.since(), shared.path.clone());
        let (this, profile_name) = (self.clone(), profile_name.to_owned());
        self.cache.make_ahead(&path, since, async move {
            let _place = place;
            let served = this.admitted(&profile_name, &shared, (since, now)).await?;
            this.planned(served, &profile_name, &shared, since)?.await
        });
    }

    /// Whether a version is known to end before this segment.
    pub async fn ends_before(
        &self,
        profile_name: &str,
        (title, version): (&TitleId, VersionId),
        (track, number): (&TrackId, u32),
    ) -> bool {
        let Some(profile) = self.profiles.named(profile_name) else { return false };
        let Some(opened) = self.titles.known(title, version).await else { return false };
        let Some(track) = opened.title.track(track) else { return true };
        plan::segment(opened.timeline(profile.cut()), track, number).is_none()
    }

    /// Makes a resource that is expected to be asked for, unless it is there; whether it had to.
    pub async fn make_ready(
        &self,
        profile_name: &str,
        shared: Shared,
        now: Instant,
    ) -> Result<bool, Failure> {
        let since = self.cache.since();
        if self.cache.has(&shared.path) {
            return Ok(false);
        }
        let served = self.admitted(profile_name, &shared, (since, now)).await?;
        let tags = self.tag_fields.of(profile_name, &shared.title, shared.version);
        let path = shared.path.clone();
        let (_, used) = match shared.resource.clone() {
            Resource::Manifest(manifest) => {
                let make =
                    async move { Ok(served.manifest(manifest, &shared.prefix).tagged(tags)) };
                self.cache.fill(&path, since, make).await?
            }
            Resource::TrackFile(track, file) => {
                let make = async move { Ok(served.track_file(&track, file)?.tagged(tags)) };
                self.cache.fill(&path, since, make).await?
            }
            Resource::Segment(..) => {
                let make = self.planned(served, profile_name, &shared, since)?;
                self.cache.fill(&path, since, self.cache.in_turn(make)).await?
            }
            Resource::Key(..) | Resource::ClearKey => return Ok(false),
        };
        Ok(matches!(used, CacheUse::Miss { collapsed: false, .. }))
    }

    /// The version of a title that a profile serves.
    async fn admitted(
        &self,
        profile_name: &str,
        shared: &Shared,
        (since, now): (Since, Instant),
    ) -> Result<Served, Failure> {
        let profile = self.profiles.named(profile_name).ok_or(Failure::UnknownProfile)?;
        let opened = self.titles.opened(&shared.title, shared.version, now).await?;
        let class = opened.title.access_class();
        if !profile.settings.admits(shared.title.as_str(), class) {
            return Err(Failure::UnknownVersion);
        }
        self.served(profile, (opened, since), None).await
    }

    fn planned(
        &self,
        served: Served,
        profile_name: &str,
        shared: &Shared,
        since: Since,
    ) -> Result<impl Future<Output = Result<Representation, Failure>> + Send + 'static, Failure>
    {
        let Shared { title, version, resource, path, .. } = shared;
        let Resource::Segment(track, number) = resource else {
            return Err(Failure::UnknownSegment);
        };
        let tags = self.tag_fields.of(profile_name, title, *version);
        let planned = Planned::new(served, track, *number, path, tags)?;
        Ok(self.media(planned, since))
    }
}
