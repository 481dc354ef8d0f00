//! `/titles.json`: what the player page lists. Titles with a live version that some profile
//! serves to everybody, with their length and where each format starts. Titles with an access class
//! are never listed.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use headwater_config::{EnforcedBy, Format};
use headwater_packager::ids::TitleId;
use serde::Serialize;
use std::sync::Arc;
use tokio::time::timeout_at;

use crate::failure::{Failure, Part};
use crate::limits;
use crate::profile::{Profile, Profiles};
use crate::representation::Representation;
use crate::route::Manifest;
use crate::store::Store;
use crate::titles::Titles;

/// One title.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: TitleId,
    duration_ms: u64,
    profiles: BTreeMap<&'a str, Starts>,
}

/// Where a profile's formats start.
#[derive(Debug, Serialize)]
struct Starts {
    #[serde(skip_serializing_if = "Option::is_none")]
    hls: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dash: Option<String>,
}

/// The list as it is now. A title that cannot be opened is left out; its failure was reported. So is
/// one that cannot be opened in time.
pub async fn make(
    store: &dyn Store,
    titles: &Arc<Titles>,
    profiles: &Profiles,
    now: Instant,
) -> Result<Representation, Failure> {
    let ids = store
        .list_titles(limits::LISTED_TITLES)
        .await
        .map_err(|e| e.into_failure(Part::List, "titles/"))?;
    let ends_at = tokio::time::Instant::now() + limits::LIST_TIME;
    let listing = stream::iter(ids)
        .map(|id| timeout_at(ends_at, list_one(titles, profiles, id, now)))
        .buffer_unordered(limits::LISTED_AT_ONCE);
    let mut listed: Vec<_> = listing.filter_map(async |one| one.ok().flatten()).collect().await;
    listed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let json = serde_json::to_vec(&listed).expect("plain data into memory");
    Ok(Representation::of_text("application/json", json))
}

async fn list_one<'a>(
    titles: &Arc<Titles>,
    profiles: &'a Profiles,
    id: TitleId,
    now: Instant,
) -> Option<Listed<'a>> {
    let pointer = titles.pointer(&id, now).await.ok()?;
    if pointer.deleted || pointer.access_class.is_some() {
        return None;
    }
    // What viewers are checked for is not listed, whoever checks.
    let is_public = |p: &Profile| p.settings.access.enforced_by == EnforcedBy::None;
    let serving =
        profiles.iter().filter(|(_, p)| is_public(p) && p.settings.admits(id.as_str(), None));
    let profiles: BTreeMap<_, _> = serving
        .map(|(name, profile)| {
            let start = |format, manifest: Manifest| {
                let offered = profile.settings.offers(format);
                offered.then(|| format!("/{name}/{id}/{manifest}"))
            };
            let hls = start(Format::Hls, Manifest::Hls);
            let dash = start(Format::Dash, Manifest::Dash);
            (name.as_str(), Starts { hls, dash })
        })
        .collect();
    if profiles.is_empty() {
        return None;
    }
    let opened = titles.opened(&id, pointer.live?, now).await.ok()?;
    if opened.title.access_class().is_some() {
        return None;
    }
    Some(Listed { duration_ms: opened.title.duration_ms(), id, profiles })
}
