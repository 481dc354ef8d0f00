//! The response cache: whole bodies by path, weighed by the memory they pin.
//!
//! One fill for all who miss at the same time. It runs in a task of its own, so it ends and is
//! kept although the first asker, or every asker, goes away. A failure is shared by those who
//! wait for it and then forgotten. Fills take turns at a gate.
//!
//! ```text
//!        asked for        asked for again
//! made ──────────► once ─────────────────► often
//!                  a quarter               three quarters; in each the longest unused goes first
//! ```
//!
//! So a scan of titles that nobody else wants, however long, passes through the quarter and leaves what is
//! asked for often where it is. What was made ahead waits beside it until somebody asks (`ahead`).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use headwater_config::{Name, Profile as Settings};
use moka::Expiry;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use prometheus::IntCounter;

use crate::ahead::Ahead;
use crate::delivery::CacheUse;
use crate::failure::Failure;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::representation::{Facts, Representation};
use crate::selector::Selector;
use crate::slices::Slices;
use crate::within;

/// Memory an entry takes beside its body and key: the cache's own node, counters, timers and
/// queues (measured 2026 with moka 0.12: about 400 bytes), the header values and reference counts.
const ENTRY_OVERHEAD_BYTES: u64 = 1024;
/// The share of the cache for what was asked for once, and so the most that a single response may take.
const ONCE_SHARE: u64 = 4;

/// Responses in memory. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct ResponseCache {
    /// What was asked for once.
    once: Cache<Arc<str>, Entry>,
    /// What was asked for again.
    often: Cache<Arc<str>, Entry>,
    ahead: Option<Ahead>,
    largest_bytes: u64,
    gate: Arc<Gate>,
    /// How many purges there were: a fill that began before one is not kept.
    purges: Arc<AtomicU64>,
    hits: IntCounter,
    misses: IntCounter,
    metrics: Arc<Metrics>,
}

/// A response, and since when it is kept.
#[derive(Clone, Debug)]
struct Entry {
    made: Arc<Representation>,
    since: Instant,
}

/// How long a profile's responses are kept; none where that is as long as there is room.
#[derive(Clone, Debug, Default)]
pub struct Lifetimes(BTreeMap<Name, [Option<Duration>; 2]>);

/// Why a fill did not become an entry.
enum NotKept {
    Made(Arc<Representation>),
    Failed(Failure),
}

impl ResponseCache {
    /// A cache of at most `capacity_bytes`; 0 keeps nothing, and fills are shared all the same.
    pub fn new(
        capacity_bytes: u64,
        lifetimes: &Lifetimes,
        gate: Arc<Gate>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let once_bytes = capacity_bytes / ONCE_SHARE;
        // The weigher counts in 32 bits.
        let largest_bytes = once_bytes.min(u64::from(u32::MAX));
        let [hits, misses] =
            ["hit", "miss"].map(|outcome| metrics.cache_lookups.with_label_values(&[outcome]));
        Self {
            once: segment(once_bytes, lifetimes),
            often: segment(capacity_bytes - once_bytes, lifetimes),
            ahead: None,
            largest_bytes,
            gate,
            purges: Arc::default(),
            hits,
            misses,
            metrics,
        }
    }

    /// With a place for what is made ahead.
    #[must_use]
    pub fn with_ahead(self, ahead: Option<Ahead>) -> Self {
        Self { ahead, ..self }
    }

    /// The response kept under `key`.
    pub async fn kept(&self, key: &str) -> Option<Arc<Representation>> {
        let kept = match self.often.get(key).await {
            None => self.asked_again(key).await,
            often => often,
        };
        let counted = if kept.is_some() { &self.hits } else { &self.misses };
        counted.inc();
        kept.map(|entry| entry.made)
    }

    /// What was asked for once is from now on asked for often.
    async fn asked_again(&self, key: &str) -> Option<Entry> {
        let began = self.purges.load(Ordering::Acquire);
        let entry = self.once.get(key).await?;
        self.often.insert(key.into(), entry.clone()).await;
        self.once.invalidate(key).await;
        if self.purges.load(Ordering::Acquire) != began {
            self.often.invalidate(key).await;
        }
        Some(entry)
    }

    /// Whether it has, or is about to have, what lies under `key`; nobody is taken to have asked.
    pub fn has(&self, key: &str) -> bool {
        let (once, often) = (&self.once, &self.often);
        let kept = often.contains_key(key) || once.contains_key(key);
        kept || self.ahead.as_ref().is_some_and(|ahead| ahead.has(key))
    }

    /// The response under `key`, made by `make` unless somebody else is making it or has made it;
    /// and which of these it was.
    pub async fn fill(
        &self,
        key: &str,
        make: impl Future<Output = Result<Representation, Failure>> + Send + 'static,
    ) -> Result<(Arc<Representation>, CacheUse), Failure> {
        let key: Arc<str> = key.into();
        let this = self.clone();
        let filling = tokio::spawn(within::carried(async move {
            let began = this.purges.load(Ordering::Acquire);
            let (mut collapsed, mut was_ahead) = (true, false);
            let make = async {
                // It may have come to be asked for often since it was looked for.
                if let Some(entry) = this.often.get(&*key).await {
                    return Ok(entry);
                }
                collapsed = false;
                if let Some(made) = this.take_ahead(&key).await {
                    was_ahead = true;
                    return this.judge(&key, made, began);
                }
                this.make_once(&key, make, began).await
            };
            let filled = this.once.try_get_with(Arc::clone(&key), make).await;
            // Purged while it was being put in.
            if filled.is_ok() && this.purges.load(Ordering::Acquire) != began {
                this.once.invalidate(&*key).await;
            }
            let filled = filled.map(|entry| entry.made);
            (filled, collapsed, was_ahead)
        }));
        let used = |stored, collapsed, was_ahead| match was_ahead {
            true => CacheUse::Hit,
            false => CacheUse::Miss { stored, collapsed },
        };
        match filling.await {
            Ok((Ok(made), collapsed, was_ahead)) => Ok((made, used(true, collapsed, was_ahead))),
            Ok((Err(not_kept), collapsed, was_ahead)) => match &*not_kept {
                NotKept::Made(made) => Ok((Arc::clone(made), used(false, collapsed, was_ahead))),
                NotKept::Failed(failure) => Err(failure.clone()),
            },
            Err(broken) => {
                let failure = Failure::Internal(format!("a fill broke off: {broken}"));
                failure.report(&self.metrics);
                Err(failure)
            }
        }
    }

    /// Makes a response that nobody has asked for, where there is a place for such and nobody waits for
    /// a turn.
    pub async fn make_ahead(
        &self,
        key: &str,
        make: impl Future<Output = Result<Representation, Failure>>,
    ) {
        let Some(ahead) = &self.ahead else { return };
        let began = self.purges.load(Ordering::Acquire);
        let Some(_turn) = self.gate.turn_now() else {
            self.metrics.prefetches.with_label_values(&["busy"]).inc();
            return;
        };
        ahead.make(key, make).await;
        if self.purges.load(Ordering::Acquire) != began {
            ahead.let_go(key).await;
        }
    }

    /// A response that lies under `key` as gzip, if it has that form. Both forms share the entry,
    /// which is weighed anew when the second is made.
    pub async fn gzipped<'a>(
        &self,
        key: &str,
        made: &'a Arc<Representation>,
    ) -> Option<(&'a Facts, &'a Slices)> {
        let is_due = made.is_gzip_due();
        let coded = made.gzipped().await?;
        if is_due {
            for segment in [&self.once, &self.often] {
                if let Some(kept) = segment.get(key).await
                    && Arc::ptr_eq(&kept.made, made)
                {
                    segment.insert(key.into(), kept).await;
                }
            }
        }
        Some(coded)
    }

    /// Lets go what is named, and keeps nothing of it that is being made; how many responses that were.
    pub async fn purge(&self, named: &Selector) -> u64 {
        self.purges.fetch_add(1, Ordering::AcqRel);
        let mut gone = 0;
        for segment in [&self.once, &self.often] {
            let named: Vec<_> =
                segment.iter().filter(|(key, _)| named.names_response(key)).collect();
            for (key, _) in &named {
                segment.invalidate(&***key).await;
            }
            gone += named.len() as u64;
        }
        let ahead = match &self.ahead {
            Some(ahead) => ahead.purge(named).await,
            None => 0,
        };
        gone + ahead
    }

    /// Takes over what another cache has, as far as there is room.
    pub async fn take_over(&self, before: &Self) {
        for (from, to) in [(&before.once, &self.once), (&before.often, &self.often)] {
            for (key, entry) in from {
                if weight_bytes(&key, &entry.made) <= self.largest_bytes {
                    to.insert(Arc::clone(&key), entry).await;
                }
            }
        }
    }

    /// Sets the gauges.
    pub async fn measure(&self) {
        let (mut entries, mut bytes) = (0, 0);
        for segment in [&self.once, &self.often] {
            segment.run_pending_tasks().await;
            entries += segment.entry_count();
            bytes += segment.weighted_size();
        }
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.cache_entries.set(gauge(entries));
        self.metrics.cache_bytes.set(gauge(bytes));
        match &self.ahead {
            Some(ahead) => ahead.measure().await,
            None => self.metrics.prefetch_bytes.set(0),
        }
    }

    async fn take_ahead(&self, key: &str) -> Option<Arc<Representation>> {
        self.ahead.as_ref()?.take(key).await
    }

    async fn make_once(
        &self,
        key: &str,
        make: impl Future<Output = Result<Representation, Failure>>,
        began: u64,
    ) -> Result<Entry, NotKept> {
        let made = match self.gate.turn().await {
            Ok(_turn) => make.await,
            Err(_no_turn) => Err(Failure::Overloaded),
        };
        match made {
            Ok(made) => self.judge(key, Arc::new(made), began),
            Err(failure) => {
                failure.report(&self.metrics);
                self.count_fill("failed");
                Err(NotKept::Failed(failure))
            }
        }
    }

    /// Whether what was made is kept. What was purged while it was made is not: it may be what the purge
    /// was for.
    fn judge(&self, key: &str, made: Arc<Representation>, began: u64) -> Result<Entry, NotKept> {
        if weight_bytes(key, &made) > self.largest_bytes {
            self.count_fill("too_large");
            return Err(NotKept::Made(made));
        }
        if self.purges.load(Ordering::Acquire) != began {
            self.count_fill("purged");
            return Err(NotKept::Made(made));
        }
        self.count_fill("kept");
        Ok(Entry { made, since: Instant::now() })
    }

    fn count_fill(&self, outcome: &str) {
        self.metrics.cache_fills.with_label_values(&[outcome]).inc();
    }
}

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

fn segment(capacity_bytes: u64, lifetimes: &Lifetimes) -> Cache<Arc<str>, Entry> {
    let weigh = |key: &Arc<str>, entry: &Entry| {
        u32::try_from(weight_bytes(key, &entry.made)).unwrap_or(u32::MAX)
    };
    let entries = Cache::builder()
        .max_capacity(capacity_bytes)
        .weigher(weigh)
        .eviction_policy(EvictionPolicy::lru());
    match lifetimes.0.is_empty() {
        true => entries.build(),
        false => entries.expire_after(lifetimes.clone()).build(),
    }
}

/// Memory that an entry takes.
pub fn weight_bytes(key: &str, made: &Representation) -> u64 {
    made.resident_bytes() + key.len() as u64 + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Rules;
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU32;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    fn cache(capacity_bytes: u64) -> ResponseCache {
        with(capacity_bytes, &Lifetimes::default())
    }

    fn with(capacity_bytes: u64, lifetimes: &Lifetimes) -> ResponseCache {
        let metrics = Arc::new(Metrics::new());
        let patience = Duration::from_secs(60);
        let gate = Gate::new("fills", Rules { most: 64, most_waiting: 1_000, patience }, &metrics);
        ResponseCache::new(capacity_bytes, lifetimes, gate, metrics)
    }

    /// A writer of the log into memory.
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn of(len: usize) -> Representation {
        Representation::of_bytes("video/mp4", vec![7; len])
    }

    #[tokio::test]
    async fn two_hundred_misses_are_one_fill() {
        let cache = cache(1 << 20);
        let fills = Arc::new(AtomicU32::new(0));
        let asks = (0..200).map(|_| {
            let (cache, fills) = (cache.clone(), Arc::clone(&fills));
            tokio::spawn(async move {
                let make = async move {
                    fills.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok(of(100))
                };
                cache.fill("/k", make).await.unwrap().0.body.len_bytes()
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            assert_eq!(ask.await.unwrap(), 100);
        }
        assert_eq!(fills.load(Ordering::SeqCst), 1);
        assert!(cache.kept("/k").await.is_some());
    }

    #[tokio::test]
    async fn a_fill_outlives_the_one_who_asked_first() {
        let cache = cache(1 << 20);
        let go_on = Arc::new(Notify::new());
        let fills = Arc::new(AtomicU32::new(0));
        let make = || {
            let (go_on, fills) = (Arc::clone(&go_on), Arc::clone(&fills));
            async move {
                fills.fetch_add(1, Ordering::SeqCst);
                go_on.notified().await;
                Ok(of(100))
            }
        };
        let gone = timeout(Duration::from_millis(20), cache.fill("/k", make())).await;
        assert!(gone.is_err(), "the first asker gives up while the fill waits");
        let second = tokio::spawn({
            let (cache, make) = (cache.clone(), make());
            async move { cache.fill("/k", make).await.map(|(made, _)| made.body.len_bytes()) }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        go_on.notify_one();
        assert_eq!(second.await.unwrap(), Ok(100));
        assert_eq!(fills.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn failures_are_shared_but_not_kept() {
        let cache = cache(1 << 20);
        let failed = cache.fill("/k", async { Err(Failure::UnknownSegment) }).await;
        assert_eq!(failed.unwrap_err(), Failure::UnknownSegment);
        assert!(cache.kept("/k").await.is_none());
        assert!(cache.fill("/k", async { Ok(of(1)) }).await.is_ok());
    }

    #[tokio::test]
    async fn a_fill_that_breaks_off_is_a_fault_of_ours_and_the_log_says_why() {
        let cache = cache(1 << 20);
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&log);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Lines(Arc::clone(&writer)))
            .finish();
        let logging = tracing::subscriber::set_default(subscriber);
        let broken = cache.fill("/k", async { panic!("on purpose") }).await;
        drop(logging);
        assert!(matches!(broken, Err(Failure::Internal(_))));
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert!(log.contains("ERROR") && log.contains("a fill broke off"), "{log}");
        assert!(cache.fill("/k", async { Ok(of(1)) }).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_too_large_is_served_and_not_kept() {
        let cache = cache(1 << 20);
        assert_eq!(
            cache.fill("/k", async { Ok(of(300 << 10)) }).await.unwrap().0.body.len_bytes(),
            300 << 10
        );
        assert!(cache.kept("/k").await.is_none());
    }

    #[tokio::test]
    async fn the_weight_stays_below_the_capacity() {
        let cache = cache(1 << 20);
        for n in 0..400 {
            cache.fill(&format!("/{n}"), async { Ok(of(10_000)) }).await.unwrap();
            cache.kept(&format!("/{n}")).await;
        }
        for n in 400..500 {
            cache.fill(&format!("/{n}"), async { Ok(of(10_000)) }).await.unwrap();
        }
        cache.measure().await;
        let bytes = cache.metrics.cache_bytes.get();
        assert!((1 << 19..=1 << 20).contains(&bytes), "{bytes}");
    }

    /// Half of the cache is asked for again and again, and then ten times the cache once each.
    #[tokio::test]
    async fn a_scan_leaves_what_is_asked_for_often() {
        let cache = cache(1 << 20);
        let hot: Vec<_> = (0..50).map(|n| format!("/clear/hot/{n}")).collect();
        for _ in 0..8 {
            for key in &hot {
                if cache.kept(key).await.is_none() {
                    cache.fill(key, async { Ok(of(10_000)) }).await.unwrap();
                }
            }
        }
        for n in 0..1_000 {
            let key = format!("/clear/cold/{n}");
            assert!(cache.kept(&key).await.is_none());
            cache.fill(&key, async { Ok(of(10_000)) }).await.unwrap();
        }
        let mut hits = 0;
        for key in &hot {
            hits += u32::from(cache.kept(key).await.is_some());
        }
        assert_eq!(hits, 50);
    }

    #[tokio::test]
    async fn a_purge_takes_what_it_names_also_while_it_is_being_made() {
        let cache = cache(1 << 20);
        let keys = ["/clear/a/v.r/t/1.m4s", "/clear/b/v.r/t/1.m4s"];
        for key in keys {
            cache.fill(key, async { Ok(of(1)) }).await.unwrap();
        }
        let named = Selector { title: Some("a".parse().unwrap()), ..Selector::default() };
        assert_eq!(cache.purge(&named).await, 1);
        assert!(cache.kept(keys[0]).await.is_none() && cache.kept(keys[1]).await.is_some());
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let filling = tokio::spawn({
            let (cache, begun, go_on) = (cache.clone(), Arc::clone(&begun), Arc::clone(&go_on));
            let make = async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(of(1))
            };
            async move { cache.fill(keys[0], make).await.map(|(_, used)| used) }
        });
        begun.notified().await;
        cache.purge(&named).await;
        go_on.notify_one();
        let used = filling.await.unwrap().unwrap();
        assert_eq!(used, CacheUse::Miss { stored: false, collapsed: false });
        assert!(cache.kept(keys[0]).await.is_none());
    }

    #[tokio::test]
    async fn a_profile_has_its_own_lifetimes() {
        let short = Settings { keep_media_s: 1, ..Settings::default() };
        let profiles = [("short", short), ("long", Settings::default())];
        let profiles = profiles.map(|(name, settings)| (name.parse().unwrap(), settings));
        let cache = with(1 << 20, &Lifetimes::new(&profiles.into()));
        let keys = ["/short/a/v.r/t/1.m4s", "/long/a/v.r/t/1.m4s"];
        for key in keys {
            cache.fill(key, async { Ok(of(1)) }).await.unwrap();
        }
        cache
            .fill("/short/a/v.r/i", async { Ok(Representation::of_text("text/plain", vec![1])) })
            .await
            .unwrap();
        let start = Instant::now();
        while cache.kept(keys[0]).await.is_some() {
            assert!(start.elapsed() < Duration::from_secs(20), "it is kept for good");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(cache.kept(keys[1]).await.is_some(), "the other profile's");
        assert!(cache.kept("/short/a/v.r/i").await.is_some(), "its manifest");
    }

    #[tokio::test]
    async fn another_size_keeps_what_there_is_room_for() {
        let before = cache(1 << 20);
        for n in 0..50 {
            before.fill(&format!("/{n}"), async { Ok(of(10_000)) }).await.unwrap();
            before.kept(&format!("/{n}")).await;
        }
        for (capacity_bytes, wanted) in [(2 << 20, 50..=50), (1 << 18, 15..=18)] {
            let after = cache(capacity_bytes);
            after.take_over(&before).await;
            after.measure().await;
            let entries = after.metrics.cache_entries.get();
            assert!(wanted.contains(&entries), "{capacity_bytes}: {entries}");
        }
    }

    #[tokio::test]
    async fn what_was_made_ahead_is_there_for_the_first_who_asks() {
        let ahead = cache(1 << 20);
        let place = Ahead::new(1 << 18, Arc::clone(&ahead.metrics));
        let cache = ahead.with_ahead(Some(place));
        cache.make_ahead("/a", async { Ok(of(100)) }).await;
        assert!(cache.has("/a") && cache.kept("/a").await.is_none());
        let (made, used) = cache.fill("/a", async { panic!("it is made") }).await.unwrap();
        assert_eq!((made.body.len_bytes(), used), (100, CacheUse::Hit));
        assert!(cache.kept("/a").await.is_some());
        // Who asks while it is being made waits for it.
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let making = tokio::spawn({
            let (cache, begun, go_on) = (cache.clone(), Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                let make = async {
                    begun.notify_one();
                    go_on.notified().await;
                    Ok(of(7))
                };
                cache.make_ahead("/b", make).await;
            }
        });
        begun.notified().await;
        let asking = cache.fill("/b", async { panic!("it is being made") });
        let (asked, ()) = tokio::join!(asking, async {
            tokio::task::yield_now().await;
            go_on.notify_one();
        });
        assert_eq!(asked.unwrap().0.body.len_bytes(), 7);
        making.await.unwrap();
        // Never more than it may have.
        for n in 0..100 {
            cache.make_ahead(&format!("/many/{n}"), async { Ok(of(10_000)) }).await;
        }
        cache.measure().await;
        let bytes = cache.metrics.prefetch_bytes.get();
        assert!((1 << 17..=1 << 18).contains(&bytes), "{bytes}");
    }
}
