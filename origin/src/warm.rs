//! The beginning of titles, made ready before anybody asks: manifests, init sections and first segments,
//! for each profile whose viewers share them.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use headwater_config::{Format, Name, TitleName};
use headwater_packager::ids::TitleId;
use headwater_packager::period::Suffix;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::admin::Admin;
use crate::failure::Failure;
use crate::preparer::{Preparer, Shared};
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

/// Makes titles ready; for one profile or for all that serve them. They take their turns with viewers.
pub async fn warm(
    preparer: &Preparer,
    titles: &[TitleId],
    only: Option<&Name>,
    extent: Extent,
) -> Warmed {
    let mut warmed = Warmed::default();
    for title in titles {
        if let Err(failure) = one(preparer, title, only, extent, &mut warmed).await {
            warmed.fail(title, None, &failure);
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
            continue;
        }
        let all = resources(profile, &opened, extent.segments);
        let make = |resource: Resource| async {
            let rev = preparer.protections.rev(profile, title);
            let route = Route::Versioned {
                profile: name.as_str(),
                title: title.clone(),
                version,
                rev,
                session: None,
                resource: resource.clone(),
            };
            let path = route.to_string();
            let shared = Shared { title: title.clone(), version, resource, path };
            preparer.make_ready(name.as_str(), shared, now).await
        };
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

/// What a player asks for first.
fn resources(profile: &Profile, opened: &Opened, segments: u32) -> Vec<Resource> {
    let mut all = Vec::new();
    for (format, manifest) in [(Format::Hls, Manifest::Hls), (Format::Dash, Manifest::Dash)] {
        if profile.settings.offers(format) {
            all.push(Resource::Manifest(manifest));
        }
    }
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

/// Warm-ups of a configuration, one after the other, in a runtime that lives as long as the process: its
/// connections to the store go on being used by others.
#[derive(Debug, Default)]
pub struct WarmUps(Option<Runtime>);

impl WarmUps {
    /// Begins one, and does not wait for it.
    ///
    /// # Errors
    /// Where there is no thread for it.
    pub fn begin(&mut self, titles: &[TitleName], admin: &Arc<Admin>) -> io::Result<()> {
        if titles.is_empty() {
            return Ok(());
        }
        let runtime = match self.0.take() {
            Some(runtime) => runtime,
            None => Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("warm-up")
                .enable_all()
                .build()?,
        };
        let titles: Vec<TitleId> =
            titles.iter().filter_map(|title| title.as_str().parse().ok()).collect();
        let admin = Arc::clone(admin);
        runtime.spawn(async move {
            let warmed = warm(&admin.preparer, &titles, None, admin.extent).await;
            for failed in &warmed.failed {
                let Failed { title, profile, error } = failed;
                tracing::warn!(title, profile, error, "not made ready");
            }
            tracing::info!(made = warmed.made, there = warmed.there, "titles were made ready");
        });
        self.0 = Some(runtime);
        Ok(())
    }
}

impl Drop for WarmUps {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
