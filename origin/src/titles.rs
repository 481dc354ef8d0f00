//! Which version of a title is live, and opened versions to plan from.
//!
//! ```text
//! pointer(title)           title.json   believed for pointer_ttl; kept in use for a while when it is, or cannot
//!                                       be, read again
//! opened(title, version)   heads.bin    immutable, so kept until memory is short
//! ```
//!
//! What is missing is remembered for a moment, what failed is not. One load for all who need it,
//! finished also when they go away. A version's `seq` never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::limits as packager_limits;
use headwater_packager::protect::Form;
use headwater_packager::stored::Pointer;
use headwater_packager::timeline::Timeline;
use headwater_packager::title::Title;
use moka::future::Cache;

use crate::errands::{BrokenOff, Errand, Errands};
use crate::failure::{Cause, Failure, Part};
use crate::limits;
use crate::metrics::Metrics;
use crate::purges::{Purges, Purging, Since};
use crate::selector::Selector;
use crate::store::{Fault, Key, Small, Stamp, Store};

/// Pointers and opened versions.
pub struct Titles {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    purges: Purges,
    terms: Terms,
    pointers: Cache<TitleId, PointerSeen>,
    looks: Errands<TitleId, PointerSeen>,
    versions: Cache<Of, VersionSeen>,
    loads: Errands<Of, VersionSeen>,
    seqs: Cache<Of, u64>,
}

type Of = (TitleId, VersionId);

/// How much is remembered, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Memory for opened versions.
    pub capacity_bytes: u64,
    /// How long a pointer is believed.
    pub pointer_ttl: Duration,
    /// How long after that it is used while it is looked at again.
    pub pointer_stale: Duration,
    /// How long it is used while it cannot be looked at.
    pub pointer_stale_if_error: Duration,
    /// How long it is believed that something is missing.
    pub not_found_ttl: Duration,
    /// How versions are cut when they are opened.
    pub cuts: Vec<Cut>,
}

/// How a version is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    /// About how long segments are, in milliseconds.
    pub segment_ms: u32,
    /// How they leave.
    pub form: Form,
}

/// A version, ready to plan any response from.
#[derive(Debug)]
pub struct Opened {
    /// The heads.
    pub title: Title,
    timelines: Vec<(Cut, Timeline)>,
}

impl Opened {
    /// The version as some profile has it cut.
    pub fn timeline(&self, cut: Cut) -> &Timeline {
        let found = self.timelines.iter().find(|(of, _)| *of == cut);
        &found.expect("versions are cut for every profile when opened").1
    }

    fn open(heads: &Bytes, cuts: &[Cut]) -> Result<Self, headwater_packager::Error> {
        let title = Title::open(heads)?;
        let timeline = |&cut: &Cut| (cut, Timeline::new(&title, cut.segment_ms, cut.form));
        Ok(Self { timelines: cuts.iter().map(timeline).collect(), title })
    }

    fn resident_bytes(&self) -> u64 {
        let starts = |(_, timeline): &(Cut, Timeline)| u64::from(timeline.segments()) * 4 + 64;
        self.title.resident_bytes() as u64 + self.timelines.iter().map(starts).sum::<u64>()
    }
}

/// What the last look at a pointer found.
#[derive(Clone)]
struct PointerSeen {
    /// When the store last said so.
    said_at: Instant,
    /// Somebody looks at it again.
    looked_at: Arc<AtomicBool>,
    /// The store was waited for in vain when it was last asked, or is now: nobody waits for it.
    is_store_away: Arc<AtomicBool>,
    outcome: Result<(Arc<Pointer>, Stamp), Failure>,
    /// From when on it must be looked at again.
    stale_at: Instant,
}

/// What the last look at a version found.
#[derive(Clone)]
enum VersionSeen {
    Opened(Arc<Opened>),
    Absent { stale_at: Instant },
    Failed(Failure),
}

impl Titles {
    /// Remembers nothing yet.
    pub fn new(
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        purges: Purges,
        terms: Terms,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            metrics,
            purges,
            versions: versions(&terms),
            terms,
            pointers: Cache::new(limits::POINTERS),
            looks: Errands::default(),
            loads: Errands::default(),
            seqs: Cache::new(limits::SEQS),
        })
    }

    /// The same under other terms, with everything that is remembered; but versions that are to be cut
    /// otherwise are opened anew. Nothing was purged `since`, or it is let go.
    pub async fn under(&self, terms: Terms, since: Since) -> Arc<Self> {
        let mut loads = self.loads.clone();
        let mut kept = self.versions.clone();
        if (terms.capacity_bytes, &terms.cuts) != (self.terms.capacity_bytes, &self.terms.cuts) {
            (loads, kept) = (Errands::default(), versions(&terms));
        }
        if terms.cuts == self.terms.cuts && terms.capacity_bytes != self.terms.capacity_bytes {
            for (of, seen) in &self.versions {
                self.purges.keep(since, kept.insert(Of::clone(&of), seen)).await;
            }
        }
        Arc::new(Self {
            store: Arc::clone(&self.store),
            metrics: Arc::clone(&self.metrics),
            purges: self.purges.clone(),
            terms,
            pointers: self.pointers.clone(),
            looks: self.looks.clone(),
            versions: kept,
            loads,
            seqs: self.seqs.clone(),
        })
    }

    /// The title's pointer. A title without one is [`Failure::UnknownTitle`].
    pub async fn pointer(
        self: &Arc<Self>,
        title: &TitleId,
        now: Instant,
    ) -> Result<Arc<Pointer>, Failure> {
        let since = self.purges.since();
        let last = self.pointers.get(title).await;
        let (outcome, seen) = match last {
            Some(seen) if now < seen.stale_at => ("hit", seen),
            Some(seen) if self.is_usable_meanwhile(&seen, now) => {
                // One look for all who come meanwhile.
                if !seen.looked_at.swap(true, Ordering::Relaxed) {
                    drop(self.look_again(title, Some(seen.clone()), (since, now)));
                }
                ("stale", seen)
            }
            last => {
                let looking = self.look_again(title, last.clone(), (since, now));
                let known = last.filter(|seen| self.is_usable_if_error(seen, now));
                match (tokio::time::timeout(limits::POINTER_PATIENCE, looking.clone()).await, known)
                {
                    // A store that does not answer is taken to be away (RFC 5861 4).
                    (Err(_slow), Some(seen)) => {
                        seen.is_store_away.store(true, Ordering::Relaxed);
                        self.metrics.stale_pointers.inc();
                        ("stale", seen)
                    }
                    (Err(_slow), None) => ("miss", looking.await.map_err(|e| self.broken_off(&e))?),
                    (Ok(looked), _) => ("miss", looked.map_err(|e| self.broken_off(&e))?),
                }
            }
        };
        self.metrics.pointer_lookups.with_label_values(&[outcome]).inc();
        seen.outcome.map(|(pointer, _)| pointer)
    }

    /// Whether a pointer that must be looked at again may be used while that is done (RFC 5861 3), or while
    /// nobody expects it to be (RFC 5861 4).
    fn is_usable_meanwhile(&self, seen: &PointerSeen, now: Instant) -> bool {
        let is_fresh_enough =
            seen.outcome.is_ok() && now < seen.stale_at + self.terms.pointer_stale;
        let is_away = seen.is_store_away.load(Ordering::Relaxed);
        is_fresh_enough || is_away && self.is_usable_if_error(seen, now)
    }

    /// Whether it may be used while the store cannot be asked.
    fn is_usable_if_error(&self, seen: &PointerSeen, now: Instant) -> bool {
        seen.outcome.is_ok() && now < seen.said_at + self.terms.pointer_stale_if_error
    }

    fn look_again(
        self: &Arc<Self>,
        title: &TitleId,
        last: Option<PointerSeen>,
        (since, now): (Since, Instant),
    ) -> Errand<PointerSeen> {
        let (this, of) = (Arc::clone(self), title.clone());
        let look = async move {
            // Somebody may have looked since it was looked for.
            if let Some(seen) = this.pointers.get(&of).await.filter(|seen| now < seen.stale_at) {
                return seen;
            }
            let being_replaced = last.as_ref().map(|last| Arc::clone(&last.looked_at));
            let seen = this.look_at_pointer(&of, last, now).await;
            let is_kept = this.purges.keep(since, this.pointers.insert(of, seen.clone())).await;
            if !is_kept && let Some(looked_at) = being_replaced {
                looked_at.store(false, Ordering::Relaxed);
            }
            seen
        };
        self.looks.run(title.clone(), since, look).0
    }

    /// An opened version. One that is not in the store is [`Failure::UnknownVersion`].
    pub async fn opened(
        self: &Arc<Self>,
        title: &TitleId,
        version: VersionId,
        now: Instant,
    ) -> Result<Arc<Opened>, Failure> {
        let key = (title.clone(), version);
        let since = self.purges.since();
        let here = self.versions.get(&key).await.filter(|seen| !seen.is_stale(now));
        let outcome = match &here {
            Some(VersionSeen::Absent { .. }) => "absent",
            Some(_) => "hit",
            None => "miss",
        };
        self.metrics.title_lookups.with_label_values(&[outcome]).inc();
        let seen = match here {
            Some(seen) => seen,
            None => {
                let (this, of) = (Arc::clone(self), key.clone());
                let load = async move { this.load(of, since, now).await };
                let (loading, _) = self.loads.run(key, since, load);
                loading.await.map_err(|e| self.broken_off(&e))?
            }
        };
        match seen {
            VersionSeen::Opened(opened) => Ok(opened),
            VersionSeen::Absent { .. } => Err(Failure::UnknownVersion),
            VersionSeen::Failed(failure) => Err(failure),
        }
    }

    /// A version that is open already.
    pub async fn known(&self, title: &TitleId, version: VersionId) -> Option<Arc<Opened>> {
        match self.versions.get(&(title.clone(), version)).await? {
            VersionSeen::Opened(opened) => Some(opened),
            VersionSeen::Absent { .. } | VersionSeen::Failed(_) => None,
        }
    }

    /// Looks again whether the store still has a version that was opened, and forgets it if not.
    pub async fn is_removed(&self, title: &TitleId, version: VersionId) -> bool {
        let since = self.purges.since();
        let removed = matches!(self.read_heads(title, version, since).await, Ok(None));
        if removed {
            self.versions.invalidate(&(title.clone(), version)).await;
        }
        removed
    }

    /// Forgets what is named: how many pointers, and how many opened versions. And how far these had grown:
    /// what lies in the store now may be of an earlier time.
    pub async fn purge(&self, _at_work: &Purging, named: &Selector) -> (u64, u64) {
        let pointers: Vec<_> =
            self.pointers.iter().filter(|(title, _)| named.names_pointer(title)).collect();
        for (title, _) in &pointers {
            self.pointers.invalidate(&**title).await;
        }
        let versions: Vec<_> =
            self.versions.iter().filter(|(of, _)| named.names_version(&of.0, of.1)).collect();
        for (of, _) in &versions {
            self.versions.invalidate(&**of).await;
        }
        for (of, _) in self.seqs.iter().filter(|(of, _)| named.names_version(&of.0, of.1)) {
            self.seqs.invalidate(&*of).await;
        }
        (pointers.len() as u64, versions.len() as u64)
    }

    /// Forgets every version.
    pub fn empty(&self) {
        self.versions.invalidate_all();
    }

    /// Sets the gauges.
    pub async fn measure(&self) {
        self.versions.run_pending_tasks().await;
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.titles_open.set(gauge(self.versions.entry_count()));
        self.metrics.titles_bytes.set(gauge(self.versions.weighted_size()));
    }

    async fn look_at_pointer(
        &self,
        title: &TitleId,
        last: Option<PointerSeen>,
        now: Instant,
    ) -> PointerSeen {
        let said_at = last.as_ref().map(|seen| seen.said_at);
        let last = last.and_then(|seen| seen.outcome.ok());
        let stamp = last.as_ref().map(|(_, stamp)| stamp);
        let terms = &self.terms;
        let seen = |outcome, said_at, stale_at| PointerSeen {
            outcome,
            said_at,
            stale_at,
            looked_at: Arc::default(),
            is_store_away: Arc::default(),
        };
        let asked_at = Instant::now();
        let read = self.read_pointer(title, stamp).await;
        // A store that hangs takes longer to fail than that is believed.
        let ended = now + asked_at.elapsed();
        match (read, last) {
            (Ok(None), Some(unchanged)) => seen(Ok(unchanged), now, now + terms.pointer_ttl),
            (Ok(Some(new)), _) => seen(Ok(new), now, now + terms.pointer_ttl),
            (Ok(None), None) => {
                let failure = Failure::Internal(format!("{title}: unchanged, but never seen"));
                seen(Err(failure), now, now)
            }
            (Err(Failure::UnknownTitle), _) => {
                seen(Err(Failure::UnknownTitle), now, now + terms.not_found_ttl)
            }
            // What was published stays published while the store is away (RFC 5861 4).
            (Err(failure), Some(stale)) => {
                failure.report(&self.metrics);
                let said_at = said_at.unwrap_or(now);
                if ended >= said_at + terms.pointer_stale_if_error {
                    return seen(Err(failure), said_at, ended);
                }
                self.metrics.stale_pointers.inc();
                let seen = seen(Ok(stale), said_at, ended + terms.pointer_ttl);
                // Who is told at once that it cannot be had loses no time by asking.
                let is_away = asked_at.elapsed() >= limits::POINTER_PATIENCE;
                seen.is_store_away.store(is_away, Ordering::Relaxed);
                seen
            }
            (Err(failure), None) => {
                failure.report(&self.metrics);
                seen(Err(failure), ended, ended)
            }
        }
    }

    /// The pointer as it is now; `None` if it is still the one that `known` describes.
    async fn read_pointer(
        &self,
        title: &TitleId,
        known: Option<&Stamp>,
    ) -> Result<Option<(Arc<Pointer>, Stamp)>, Failure> {
        let key = Key::pointer(title);
        let max_bytes = packager_limits::POINTER_BYTES as u64;
        match self.store.read_small(&key, max_bytes, known).await {
            Ok(Small::Unchanged) => Ok(None),
            Ok(Small::Bytes(json, stamp)) => {
                let pointer = Pointer::parse(&json).map_err(|e| damaged(&key, e.to_string()))?;
                Ok(Some((Arc::new(pointer), stamp)))
            }
            Err(e) if e.fault == Fault::NotFound => Err(Failure::UnknownTitle),
            Err(e) => Err(e.into_failure(key.part(), key.as_str())),
        }
    }

    async fn load(&self, of: Of, since: Since, now: Instant) -> VersionSeen {
        // It may have come in since it was looked for.
        if let Some(seen) = self.versions.get(&of).await.filter(|seen| !seen.is_stale(now)) {
            return seen;
        }
        let (outcome, seen) = match self.read_heads(&of.0, of.1, since).await {
            Ok(Some(opened)) => ("opened", VersionSeen::Opened(Arc::new(opened))),
            Ok(None) => {
                ("absent", VersionSeen::Absent { stale_at: now + self.terms.not_found_ttl })
            }
            Err(failure) => {
                failure.report(&self.metrics);
                ("failed", VersionSeen::Failed(failure))
            }
        };
        self.metrics.title_loads.with_label_values(&[outcome]).inc();
        if !matches!(seen, VersionSeen::Failed(_)) {
            self.purges.keep(since, self.versions.insert(of, seen.clone())).await;
        }
        seen
    }

    async fn read_heads(
        &self,
        title: &TitleId,
        version: VersionId,
        since: Since,
    ) -> Result<Option<Opened>, Failure> {
        let key = Key::heads(title, version);
        let max_bytes = packager_limits::HEADS_BYTES as u64;
        let heads = match self.store.read_small(&key, max_bytes, None).await {
            Ok(Small::Bytes(heads, _)) => heads,
            Ok(Small::Unchanged) => return Err(damaged(&key, "nothing to compare with".into())),
            Err(e) if e.fault == Fault::NotFound => return Ok(None),
            Err(e) => return Err(e.into_failure(key.part(), key.as_str())),
        };
        let opened =
            Opened::open(&heads, &self.terms.cuts).map_err(|e| damaged(&key, e.to_string()))?;
        let found = (opened.title.id(), opened.title.version());
        if found != (title, version) {
            let detail = format!("expected {title} {version}, got {} {}", found.0, found.1);
            return Err(damaged(&key, detail));
        }
        self.check_seq(&key, &opened.title, since).await?;
        Ok(Some(opened))
    }

    fn broken_off(&self, error: &BrokenOff) -> Failure {
        let failure = Failure::Internal(format!("a load broke off: {error}"));
        failure.report(&self.metrics);
        failure
    }

    /// Refuses heads older than those that were served before: a store that went back.
    async fn check_seq(&self, key: &Key, opened: &Title, since: Since) -> Result<(), Failure> {
        let id = (opened.id().clone(), opened.version());
        let seen = self.seqs.get(&id).await.unwrap_or(0);
        if opened.seq() < seen {
            let detail = format!("expected seq {seen} or later, got {}", opened.seq());
            return Err(damaged(key, detail));
        }
        self.purges.keep(since, self.seqs.insert(id, opened.seq())).await;
        Ok(())
    }
}

impl VersionSeen {
    fn is_stale(&self, now: Instant) -> bool {
        match self {
            Self::Opened(_) => false,
            Self::Absent { stale_at } => now >= *stale_at,
            Self::Failed(_) => true,
        }
    }
}

fn versions(terms: &Terms) -> Cache<Of, VersionSeen> {
    let weigh = |_: &_, seen: &VersionSeen| match seen {
        VersionSeen::Opened(opened) => u32::try_from(opened.resident_bytes()).unwrap_or(u32::MAX),
        VersionSeen::Absent { .. } | VersionSeen::Failed(_) => 512,
    };
    Cache::builder().max_capacity(terms.capacity_bytes).weigher(weigh).build()
}

fn damaged(key: &Key, detail: String) -> Failure {
    let part: Part = key.part();
    Failure::SourceDamaged(Cause { part, key: key.to_string(), detail })
}
