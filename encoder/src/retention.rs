//! How long a version stays after its title has left it, and what becomes of deleted titles.
//!
//! ```text
//! another version goes live, or the title is deleted
//!     ──► <version>/displaced.json says when
//!     ──► version_grace_h later: heads first, then media, the note last
//!     ──► of a deleted title, when the last version is gone: title.json
//! ```
//!
//! Until then every URL that names the version is served, so whoever is in the middle of a film goes
//! on. What the pointer names is never removed. All of it happens under the title's lease. A version
//! that is not live and has no note is given one: its time begins when it is found, so an encoder that
//! dies between pointer and note costs storage and no viewer. Clocks are compared over hours only.

use std::collections::{BTreeMap, BTreeSet};

use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored::{self, POINTER_FORMAT, Pointer};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::limits;
use crate::publish;
use crate::store::Store;

/// The note's name among a version's objects.
pub const NAME: &str = "displaced.json";

/// Since when nothing leads to a version any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Displaced {
    /// Milliseconds of Unix time.
    at_ms: u64,
}

/// When it is, and how long displaced versions stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Milliseconds of Unix time.
    pub now_ms: u64,
    /// Milliseconds that a version stays after it was displaced.
    pub grace_ms: u64,
}

/// Notes that `version` is not live any more, whatever was noted before.
pub async fn displace(
    store: &dyn Store,
    title: &TitleId,
    version: VersionId,
    terms: Terms,
) -> Result<(), Error> {
    let note = serde_json::to_vec(&Displaced { at_ms: terms.now_ms }).expect("plain data");
    store.put(&stored::object_key(title, version, NAME), note.into()).await
}

/// Makes a title's versions what its pointer says, and removes those whose time is over. The lease
/// is held by the caller. Says which were removed.
pub async fn retain(
    store: &dyn Store,
    title: &TitleId,
    terms: Terms,
) -> Result<Vec<VersionId>, Error> {
    // A pointer that cannot be read protects everything.
    let pointer = publish::pointer(store, title).await?;
    let mut removed = Vec::new();
    let mut kept = 0;
    for version in versions(store, title).await? {
        let is_named =
            pointer.as_ref().is_some_and(|p| p.live == Some(version) || p.growing == Some(version));
        let key = stored::object_key(title, version, NAME);
        match (is_named, note(store, &key).await?) {
            (true, None) => {}
            // It was brought back.
            (true, Some(_)) => store.delete(&key).await?,
            (false, Some(note)) if terms.is_over(note) => {
                remove(store, title, version).await?;
                removed.push(version);
                continue;
            }
            (false, Some(_)) => {}
            (false, None) => displace(store, title, version, terms).await?,
        }
        kept += 1;
    }
    if kept == 0 && pointer.is_some_and(|pointer| pointer.deleted) {
        store.delete(&stored::pointer_key(title)).await?;
    }
    Ok(removed)
}

/// Takes a title from its viewers: new ones find nothing at once, those in the middle of it go on
/// for the grace, which may be 0. The lease is held by the caller.
pub async fn delete(
    store: &dyn Store,
    title: &TitleId,
    terms: Terms,
) -> Result<Vec<VersionId>, Error> {
    let before = publish::pointer(store, title).await?;
    let versions = versions(store, title).await?;
    if before.is_none() && versions.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("there is no title {title} in the store")));
    }
    let was_deleted = before.as_ref().is_some_and(|pointer| pointer.deleted);
    let tombstone = Pointer {
        format: POINTER_FORMAT,
        live: None,
        growing: None,
        access_class: before.and_then(|pointer| pointer.access_class),
        deleted: true,
    };
    store.put(&stored::pointer_key(title), tombstone.to_json().into()).await?;
    for version in versions {
        let key = stored::object_key(title, version, NAME);
        // Deleted twice, or displaced before: its time runs already.
        if !was_deleted && note(store, &key).await?.is_none() {
            displace(store, title, version, terms).await?;
        }
    }
    retain(store, title, terms).await
}

/// Titles in the store that have something other than one live version: also what a publication left
/// that came to nothing.
pub async fn unsettled(store: &dyn Store) -> Result<BTreeSet<TitleId>, Error> {
    let mut found: BTreeSet<TitleId> = BTreeSet::new();
    // The last version of each title, until a pointer is found that names it.
    let mut single: BTreeMap<TitleId, VersionId> = BTreeMap::new();
    for entry in store.list(stored::TITLES_PREFIX).await? {
        let Some((title, rest)) = split(&entry.key, stored::TITLES_PREFIX) else { continue };
        let Ok(title) = title.parse::<TitleId>() else { continue };
        let Some((version, name)) = rest.split_once('/') else {
            // Keys are in order: versions come before the pointer.
            let alone = single.remove(&title);
            if !is_settled(store, &title, alone).await? {
                found.insert(title);
            }
            continue;
        };
        let Ok(version) = version.parse::<VersionId>() else { continue };
        let before = single.insert(title.clone(), version);
        if before.is_some_and(|before| before != version) || name == NAME {
            found.insert(title);
        }
    }
    found.extend(single.into_keys());
    Ok(found)
}

impl Terms {
    fn is_over(self, note: Displaced) -> bool {
        self.now_ms.saturating_sub(note.at_ms) >= self.grace_ms
    }
}

/// Heads first, so that nobody opens what is going; the note last, so that the rest is found again.
async fn remove(store: &dyn Store, title: &TitleId, version: VersionId) -> Result<(), Error> {
    store.delete(&stored::heads_key(title, version)).await?;
    let prefix = stored::version_prefix(title, version);
    let note = stored::object_key(title, version, NAME);
    for entry in store.list(&prefix).await? {
        if entry.key != note {
            store.delete(&entry.key).await?;
        }
    }
    store.delete(&note).await
}

async fn versions(store: &dyn Store, title: &TitleId) -> Result<BTreeSet<VersionId>, Error> {
    let prefix = stored::title_prefix(title);
    let entries = store.list(&prefix).await?;
    let version = |key: &str| split(key, &prefix)?.0.parse().ok();
    Ok(entries.iter().filter_map(|entry| version(&entry.key)).collect())
}

/// What a note says. One that cannot be read says nothing, and is written anew.
async fn note(store: &dyn Store, key: &str) -> Result<Option<Displaced>, Error> {
    let bytes = store.small(key, limits::NOTE_BYTES).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Whether a title's pointer names the one version that there is.
async fn is_settled(
    store: &dyn Store,
    title: &TitleId,
    alone: Option<VersionId>,
) -> Result<bool, Error> {
    match publish::pointer(store, title).await {
        Ok(Some(pointer)) => {
            let named = |version| pointer.live == Some(version) || pointer.growing == Some(version);
            Ok(!pointer.deleted && alone.is_none_or(named))
        }
        // It went while we looked.
        Ok(None) => Ok(alone.is_none()),
        // Found again, and told of, where it is tidied up.
        Err(e) if e.kind() == Kind::StoredDamage => Ok(false),
        Err(e) => Err(e),
    }
}

fn split<'a>(key: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    key.strip_prefix(prefix)?.split_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FileStore;
    use bytes::Bytes;

    const HOUR_MS: u64 = 3_600_000;
    const V1: VersionId = VersionId::from_u128(1);
    const V2: VersionId = VersionId::from_u128(2);
    const V3: VersionId = VersionId::from_u128(3);

    fn at(now_h: u64) -> Terms {
        Terms { now_ms: now_h * HOUR_MS, grace_ms: 24 * HOUR_MS }
    }

    struct Bench {
        folder: tempfile::TempDir,
        store: FileStore,
        title: TitleId,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = FileStore::new(folder.path()).unwrap();
            Self { folder, store, title: "film".parse().unwrap() }
        }

        async fn publish(&self, version: VersionId) {
            for name in ["a.mp4", "heads.bin", "v.mp4"] {
                let key = stored::object_key(&self.title, version, name);
                self.store.put(&key, Bytes::from_static(b"x")).await.unwrap();
            }
            self.point(&Pointer::to_live(version, Some("paid".to_owned()))).await;
        }

        async fn point(&self, pointer: &Pointer) {
            let key = stored::pointer_key(&self.title);
            self.store.put(&key, pointer.to_json().into()).await.unwrap();
        }

        async fn retain(&self, now_h: u64) -> Vec<VersionId> {
            retain(&self.store, &self.title, at(now_h)).await.unwrap()
        }

        async fn there(&self) -> Vec<VersionId> {
            versions(&self.store, &self.title).await.unwrap().into_iter().collect()
        }

        fn has(&self, version: VersionId, name: &str) -> bool {
            self.folder.path().join(stored::object_key(&self.title, version, name)).exists()
        }
    }

    #[tokio::test]
    async fn a_displaced_version_stays_for_its_grace_and_the_live_one_for_ever() {
        let bench = Bench::new();
        bench.publish(V1).await;
        assert_eq!(bench.retain(0).await, []);
        assert!(!bench.has(V1, NAME), "live");
        bench.publish(V2).await;
        displace(&bench.store, &bench.title, V1, at(100)).await.unwrap();
        for now_h in [100, 110, 123] {
            assert_eq!(bench.retain(now_h).await, []);
            assert!(bench.has(V1, "heads.bin"), "{now_h} h");
        }
        assert_eq!(bench.retain(124).await, [V1]);
        assert_eq!(bench.there().await, [V2]);
        assert_eq!(bench.retain(10_000).await, []);
        assert!(bench.has(V2, "heads.bin") && !bench.has(V2, NAME));
    }

    /// Killed between pointer and note; brought back by hand; damaged notes: the grace is never
    /// shorter than it should be.
    #[tokio::test]
    async fn a_grace_begins_anew_rather_than_too_early() {
        let bench = Bench::new();
        bench.publish(V1).await;
        bench.publish(V2).await;
        assert_eq!(bench.retain(100).await, [], "found without a note: noted now");
        bench.point(&Pointer::to_live(V1, None)).await;
        assert_eq!(bench.retain(200).await, []);
        assert!(!bench.has(V1, NAME) && bench.has(V2, NAME), "brought back; the other one went");
        bench.publish(V3).await;
        displace(&bench.store, &bench.title, V1, at(210)).await.unwrap();
        assert_eq!(bench.retain(223).await, []);
        assert_eq!(bench.retain(224).await, [V2]);
        let key = stored::object_key(&bench.title, V1, NAME);
        bench.store.put(&key, Bytes::from_static(b"{")).await.unwrap();
        assert_eq!(bench.retain(1_000).await, []);
        assert_eq!(bench.retain(1_023).await, []);
        assert_eq!(bench.retain(1_024).await, [V1]);
    }

    #[tokio::test]
    async fn nothing_is_removed_under_a_pointer_that_cannot_be_read() {
        let bench = Bench::new();
        bench.publish(V1).await;
        displace(&bench.store, &bench.title, V1, at(0)).await.unwrap();
        let key = stored::pointer_key(&bench.title);
        bench.store.put(&key, Bytes::from_static(b"{}")).await.unwrap();
        let error = retain(&bench.store, &bench.title, at(1_000)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::StoredDamage);
        assert!(bench.has(V1, "heads.bin"));
    }

    #[tokio::test]
    async fn a_deleted_title_goes_after_its_grace_or_now() {
        let bench = Bench::new();
        bench.publish(V1).await;
        bench.publish(V2).await;
        displace(&bench.store, &bench.title, V1, at(0)).await.unwrap();
        assert_eq!(delete(&bench.store, &bench.title, at(10)).await.unwrap(), []);
        let pointer = publish::pointer(&bench.store, &bench.title).await.unwrap().unwrap();
        assert!(pointer.deleted && pointer.live.is_none());
        assert_eq!(pointer.access_class.as_deref(), Some("paid"), "should it ever come back");
        // Deleted again, its time does not begin anew.
        assert_eq!(delete(&bench.store, &bench.title, at(24)).await.unwrap(), [V1]);
        assert_eq!(bench.retain(33).await, []);
        assert_eq!(bench.retain(34).await, [V2]);
        let titles = bench.folder.path().join(stored::TITLES_PREFIX);
        assert_eq!(std::fs::read_dir(titles).unwrap().count(), 0, "nothing is left");

        bench.publish(V1).await;
        let now = Terms { grace_ms: 0, ..at(50) };
        assert_eq!(delete(&bench.store, &bench.title, now).await.unwrap(), [V1]);
        let absent = delete(&bench.store, &bench.title, now).await.unwrap_err();
        assert_eq!(absent.kind(), Kind::NotFound);
    }

    #[tokio::test]
    async fn only_titles_with_something_to_do_are_looked_at() {
        let of = |id: &str| Bench { title: id.parse().unwrap(), ..Bench::new() };
        let bench = of("plain");
        let on = |id: &str| Bench {
            title: id.parse().unwrap(),
            store: FileStore::new(bench.folder.path()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        bench.publish(V1).await;
        let two = on("two");
        two.publish(V1).await;
        two.publish(V2).await;
        let dead = on("dead");
        dead.publish(V1).await;
        delete(&dead.store, &dead.title, at(1)).await.unwrap();
        // Published in vain: nothing leads to it, or what does leads elsewhere.
        let orphan = on("orphan");
        let key = stored::object_key(&orphan.title, V1, "v.mp4");
        orphan.store.put(&key, Bytes::from_static(b"x")).await.unwrap();
        let other = on("other");
        other.publish(V1).await;
        other.point(&Pointer::to_live(V2, None)).await;
        let found = unsettled(&bench.store).await.unwrap();
        let found: Vec<_> = found.iter().map(TitleId::as_str).collect();
        assert_eq!(found, ["dead", "orphan", "other", "two"]);
        assert_eq!(orphan.retain(0).await, []);
        assert_eq!(orphan.retain(24).await, [V1], "after its grace: it may be about to go live");
    }
}
