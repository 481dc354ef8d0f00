//! The beginning of titles, made ready before anybody asks: manifests, init sections and first segments,
//! for each profile whose viewers share them.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use futures_util::stream::{self, StreamExt};
use headwater_config::{Format, Name, TitleName};
use headwater_packager::ids::TitleId;
use headwater_packager::period::Suffix;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::admin::Admin;
use crate::failure::Failure;
use crate::preparer::{Preparer, Shared, live_key};
use crate::profile::Profile;
use crate::rooms::count;
use crate::route::{Manifest, Resource, Route, TrackFile};
use crate::titles::Opened;

/// How much is made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Segments of each track.
    pub segments: u32,
    /// Responses that are being made at one time.
    pub max_concurrent: u32,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Warmed {
    /// Responses that were made.
    pub made: u64,
    /// Responses that were there.
    pub there: u64,
    /// What could not be made, and why.
    pub failed: Vec<Failed>,
}

/// A title that could not be made ready, whole or in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The title.
    pub title: String,
    /// The profile; none where no profile was come to.
    pub profile: Option<String>,
    /// The failure's name.
    pub error: &'static str,
}

/// Makes titles ready; for one profile or for all that serve them. They take their turns with viewers. Each
/// title is made in what is current when it is its turn: a reload does not begin it anew.
pub async fn warm(
    current: &ArcSwap<Preparer>,
    titles: &[TitleId],
    only: Option<&Name>,
    extent: Extent,
) -> Warmed {
    let mut warmed = Warmed::default();
    let mut preparer = current.load_full();
    for title in titles.iter().collect::<BTreeSet<_>>() {
        preparer = current.load_full();
        if let Err(failure) = one(&preparer, title, only, extent, &mut warmed).await {
            warmed.fail(title, only, &failure);
        }
    }
    for (outcome, number) in
        [("made", warmed.made), ("there", warmed.there), ("failed", warmed.failed.len() as u64)]
    {
        preparer.metrics.warmed.with_label_values(&[outcome]).inc_by(number);
    }
    warmed
}

async fn one(
    preparer: &Preparer,
    title: &TitleId,
    only: Option<&Name>,
    extent: Extent,
    warmed: &mut Warmed,
) -> Result<(), Failure> {
    let now = Instant::now();
    let pointer = preparer.titles.pointer(title, now).await?;
    if pointer.deleted {
        return Err(Failure::UnknownTitle);
    }
    let version = pointer.live.ok_or(Failure::NothingLive)?;
    let opened = preparer.titles.opened(title, version, now).await?;
    let wanted = |name: &Name| only.is_none_or(|only| only == name);
    for (name, profile) in preparer.profiles.iter().filter(|(name, _)| wanted(name)) {
        let is_served = profile.settings.admits(title.as_str(), opened.title.access_class());
        if !is_served || profile.settings.protection.is_of_sessions() {
            // Who names the profile expects more than nothing.
            if only.is_some() {
                return Err(Failure::UnknownTitle);
            }
            continue;
        }
        let rev = preparer.protections.rev(profile, title);
        let shared = |route: Route<'_>, resource: Resource| Shared {
            title: title.clone(),
            version,
            path: route.to_string(),
            prefix: String::new(),
            resource,
        };
        // What players ask for first: a manifest of the live version.
        let live = manifests(profile).map(|manifest| {
            let route = Route::Live { profile: name.as_str(), title: title.clone(), manifest };
            let mut live = shared(route, Resource::Manifest(manifest));
            live.prefix = format!("{version}.{rev}/");
            live.path = live_key(&live.path, &live.prefix);
            live
        });
        let versioned = resources(profile, &opened, extent.segments).into_iter().map(|resource| {
            let route = Route::Versioned {
                profile: name.as_str(),
                title: title.clone(),
                version,
                rev,
                session: None,
                resource: resource.clone(),
            };
            shared(route, resource)
        });
        let make = |shared: Shared| preparer.make_ready(name.as_str(), shared, now);
        let all: Vec<_> = live.chain(versioned).collect();
        let mut making = stream::iter(all).map(make).buffer_unordered(count(extent.max_concurrent));
        while let Some(made) = making.next().await {
            match made {
                Ok(true) => warmed.made += 1,
                Ok(false) => warmed.there += 1,
                Err(failure) => warmed.fail(title, Some(name), &failure),
            }
        }
    }
    Ok(())
}

fn manifests(profile: &Profile) -> impl Iterator<Item = Manifest> {
    let all = [(Format::Hls, Manifest::Hls), (Format::Dash, Manifest::Dash)].into_iter();
    all.filter(|(format, _)| profile.settings.offers(*format)).map(|(_, manifest)| manifest)
}

/// What a player asks for then.
fn resources(profile: &Profile, opened: &Opened, segments: u32) -> Vec<Resource> {
    let mut all: Vec<_> = manifests(profile).map(Resource::Manifest).collect();
    let timeline = opened.timeline(profile.cut());
    let protection = &profile.settings.protection;
    let first = (protection.is_on() && protection.key_period_s > 0).then_some(0);
    for track in opened.title.tracks() {
        let file = |file| Resource::TrackFile(track.id().clone(), file);
        if profile.settings.offers(Format::Hls) {
            all.push(file(TrackFile::Playlist));
        }
        all.push(file(TrackFile::Init(Suffix(first))));
        let segments = timeline.segments_of(track).take(count(segments));
        all.extend(segments.map(|segment| Resource::Segment(track.id().clone(), segment.number)));
    }
    all
}

impl Warmed {
    fn fail(&mut self, title: &TitleId, profile: Option<&Name>, failure: &Failure) {
        let (title, profile) = (title.to_string(), profile.map(ToString::to_string));
        let failed = Failed { title, profile, error: failure.row().error };
        if !self.failed.contains(&failed) {
            self.failed.push(failed);
        }
    }
}

/// Where warm-ups are done: in a runtime that begins with the first and lives as long as the process, since its
/// connections to the store go on being used by others, and viewers join what is being made there.
#[derive(Debug, Default)]
pub struct WarmUps(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    runtime: Option<Runtime>,
    /// The configuration's.
    last: Option<AbortHandle>,
    /// One that was asked for, at a time.
    asked_for: Arc<tokio::sync::Mutex<()>>,
}

impl WarmUps {
    /// Begins that of a configuration, and does not wait for it. One that a reload asks for takes the place of the
    /// one before.
    ///
    /// # Errors
    /// Where there is no thread for it.
    pub fn begin(&self, titles: &[TitleName], admin: &Admin) -> io::Result<()> {
        let mut under_way = self.under_way();
        if let Some(last) = under_way.last.take() {
            last.abort();
        }
        if titles.is_empty() {
            return Ok(());
        }
        let titles: Vec<TitleId> =
            titles.iter().filter_map(|title| title.as_str().parse().ok()).collect();
        let (current, extent) = (Arc::clone(&admin.current), admin.extent);
        let warming = under_way.runtime()?.spawn(async move {
            let warmed = warm(&current, &titles, None, extent).await;
            for failed in &warmed.failed {
                let Failed { title, profile, error } = failed;
                tracing::warn!(title, profile, error, "not made ready");
            }
            tracing::info!(made = warmed.made, there = warmed.there, "titles were made ready");
        });
        under_way.last = Some(warming.abort_handle());
        Ok(())
    }

    /// Does one that was asked for, to its end, whoever leaves.
    ///
    /// # Errors
    /// [`Failure::WarmingUp`] while another is under way.
    pub async fn run(
        &self,
        work: impl Future<Output = Warmed> + Send + 'static,
    ) -> Result<Warmed, Failure> {
        let warming = {
            let mut under_way = self.under_way();
            let turn = Arc::clone(&under_way.asked_for).try_lock_owned();
            let turn = turn.map_err(|_| Failure::WarmingUp)?;
            let runtime =
                under_way.runtime().map_err(|error| Failure::Internal(error.to_string()))?;
            runtime.spawn(async move {
                let _turn = turn;
                work.await
            })
        };
        warming.await.map_err(|error| Failure::Internal(error.to_string()))
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn runtime(&mut self) -> io::Result<&Runtime> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Builder::new_multi_thread().thread_name("warm-up").enable_all().build()?,
        };
        Ok(self.runtime.insert(runtime))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
