//! Makes what all viewers share: for who asks, for who is about to ask, and for who is expected.

use std::sync::Arc;
use std::time::Instant;

use headwater_packager::ids::{TitleId, VersionId};

use crate::access::scope::SessionId;
use crate::bodies::Bodies;
use crate::cache::ResponseCache;
use crate::cache_tags::TagFields;
use crate::chains::Chains;
use crate::failure::Failure;
use crate::make::{Planned, Served};
use crate::metrics::Metrics;
use crate::profile::{Profile, Profiles};
use crate::protections::Protections;
use crate::representation::Representation;
use crate::route::Resource;
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
}

impl Preparer {
    /// A version as a profile serves it, to everybody or in one session.
    pub async fn served(
        &self,
        profile: &Profile,
        opened: Arc<Opened>,
        session: Option<&SessionId>,
    ) -> Result<Served, Failure> {
        let kept = self.protections.of(profile, &opened, session).await;
        let protection = kept.inspect_err(|failure| failure.report(&self.metrics))?;
        Ok(Served { opened, cut: profile.cut(), protection })
    }

    /// Reads a segment. One whose object is gone is damage; but where the heads are gone too, the
    /// version was removed since it was opened, and is unknown from now on.
    pub fn media(
        &self,
        planned: Planned,
        title: TitleId,
        version: VersionId,
    ) -> impl Future<Output = Result<Representation, Failure>> + Send + 'static {
        let (store, titles) = (Arc::clone(&self.store), Arc::clone(&self.titles));
        let (bodies, sources) = (Arc::clone(&self.bodies), self.sources.clone());
        let chains = Arc::clone(&self.chains);
        async move {
            match planned.read(store, &bodies, &sources, &chains).await {
                Err(Failure::MediaMissing(_)) if titles.is_removed(&title, version).await => {
                    Err(Failure::UnknownVersion)
                }
                read => read,
            }
        }
    }

    /// Makes a segment that somebody is about to ask for, unless it is there. What goes wrong is told to
    /// whoever asks.
    pub async fn make_ahead(&self, profile_name: &str, shared: Shared, now: Instant) {
        if self.cache.has(&shared.path) {
            return;
        }
        let make = async {
            let served = self.admitted(profile_name, &shared, now).await?;
            self.planned(served, profile_name, &shared)?.await
        };
        self.cache.make_ahead(&shared.path, make).await;
    }

    /// Makes a resource that is expected to be asked for, unless it is there; whether it had to.
    pub async fn make_ready(
        &self,
        profile_name: &str,
        shared: Shared,
        now: Instant,
    ) -> Result<bool, Failure> {
        if self.cache.has(&shared.path) {
            return Ok(false);
        }
        let served = self.admitted(profile_name, &shared, now).await?;
        let tags = self.tag_fields.of(profile_name, &shared.title, shared.version);
        let path = shared.path.clone();
        match shared.resource.clone() {
            Resource::Manifest(manifest) => {
                let make = async move { Ok(served.manifest(manifest, "").tagged(tags)) };
                self.cache.fill(&path, make).await?;
            }
            Resource::TrackFile(track, file) => {
                let make = async move { Ok(served.track_file(&track, file)?.tagged(tags)) };
                self.cache.fill(&path, make).await?;
            }
            Resource::Segment(..) => {
                let make = self.planned(served, profile_name, &shared)?;
                self.cache.fill(&path, make).await?;
            }
            Resource::Key(..) | Resource::ClearKey => return Ok(false),
        }
        Ok(true)
    }

    /// The version of a title that a profile serves.
    async fn admitted(
        &self,
        profile_name: &str,
        shared: &Shared,
        now: Instant,
    ) -> Result<Served, Failure> {
        let profile = self.profiles.named(profile_name).ok_or(Failure::UnknownProfile)?;
        let opened = self.titles.opened(&shared.title, shared.version, now).await?;
        let class = opened.title.access_class();
        if !profile.settings.admits(shared.title.as_str(), class) {
            return Err(Failure::UnknownVersion);
        }
        self.served(profile, opened, None).await
    }

    fn planned(
        &self,
        served: Served,
        profile_name: &str,
        shared: &Shared,
    ) -> Result<impl Future<Output = Result<Representation, Failure>> + Send + 'static, Failure>
    {
        let Shared { title, version, resource, path } = shared;
        let Resource::Segment(track, number) = resource else {
            return Err(Failure::UnknownSegment);
        };
        let tags = self.tag_fields.of(profile_name, title, *version);
        let planned = Planned::new(served, track, *number, path, tags)?;
        Ok(self.media(planned, title.clone(), *version))
    }
}
