//! The response cache: whole bodies by path, weighed by the memory they pin.
//!
//! One fill for all who miss at the same time, an errand ([`Errands`]): it ends and is kept although
//! every asker goes away. A failure is shared by those who wait for it and then forgotten. Media takes
//! turns at a gate. What a purge may have been for is not kept ([`Purges`]).
//!
//! ```text
//!        asked for        asked for again
//! made ──────────► once ─────────────────► often
//!                  a quarter               three quarters; in each the longest unused goes first
//! ```
//!
//! So a scan of titles that nobody else wants, however long, passes through the quarter and leaves what is
//! asked for often where it is. What was made ahead waits beside it until somebody asks (`ahead`).

mod forms;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use prometheus::IntCounter;

use crate::ahead::Ahead;
use crate::delivery::CacheUse;
use crate::errands::Errands;
use crate::failure::Failure;
use crate::filing::Filing;
use crate::gate::Gate;
use crate::lifetimes::Lifetimes;
use crate::metrics::Metrics;
use crate::purges::{Purges, Purging, Since};
use crate::representation::Representation;
use crate::selector::Selector;

/// Memory an entry takes beside its body and key: the cache's own node, counters, timers and
/// queues (measured 2026 with moka 0.12: about 400 bytes), the header values and reference counts.
const ENTRY_OVERHEAD_BYTES: u64 = 1024;
/// The share of the cache for what was asked for once, and so the most that a single response may take.
const ONCE_SHARE: u64 = 4;
/// What came of a fill that is kept, as the metric calls it.
const KEPT: &str = "kept";

/// Responses in memory. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct ResponseCache {
    /// What was asked for once.
    once: Cache<Arc<str>, Entry>,
    /// What was asked for again.
    often: Cache<Arc<str>, Entry>,
    ahead: Option<Ahead>,
    largest_bytes: u64,
    filing: Option<Filing>,
    gate: Arc<Gate>,
    purges: Purges,
    fills: Errands<Arc<str>, Filled>,
    hits: IntCounter,
    misses: IntCounter,
    metrics: Arc<Metrics>,
}

/// A response, and since when it is kept.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The response.
    pub made: Arc<Representation>,
    /// Since when.
    pub since: Instant,
}

/// What came of a fill.
#[derive(Clone)]
struct Filled {
    made: Result<Arc<Representation>, Failure>,
    is_stored: bool,
    was_there: bool,
}

impl ResponseCache {
    /// A cache of at most `capacity_bytes`; 0 keeps nothing, and fills are shared all the same.
    pub fn new(
        capacity_bytes: u64,
        lifetimes: &Lifetimes,
        gate: Arc<Gate>,
        purges: Purges,
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
            filing: None,
            largest_bytes,
            gate,
            purges,
            fills: Errands::default(),
            hits,
            misses,
            metrics,
        }
    }

    /// With a place for what is made ahead, of at most so many bytes.
    #[must_use]
    pub fn with_ahead(mut self, capacity_bytes: u64) -> Self {
        let (purges, metrics) = (self.purges.clone(), Arc::clone(&self.metrics));
        self.ahead = Some(Ahead::new(capacity_bytes, purges, metrics));
        self
    }

    /// With somebody who moves what is asked for often to where it is sent from without a copy.
    #[must_use]
    pub fn with_filing(self, filing: Option<Filing>) -> Self {
        Self { filing, ..self }
    }

    /// Who does so.
    pub fn filing(&self) -> Option<Filing> {
        self.filing.clone()
    }

    /// Now, to be noted before anything is taken or read that a response is made of; see [`Purges`].
    pub fn since(&self) -> Since {
        self.purges.since()
    }

    /// The response kept under `key`.
    pub async fn kept(&self, key: &str) -> Option<Arc<Representation>> {
        let kept = match self.often.get(key).await {
            None => self.asked_again(key).await,
            Some(entry) => {
                self.file_away(key, &entry);
                Some(entry)
            }
        };
        let counted = if kept.is_some() { &self.hits } else { &self.misses };
        counted.inc();
        kept.map(|entry| entry.made)
    }

    /// What was asked for once is from now on asked for often, and what was made ahead was asked for once.
    async fn asked_again(&self, key: &str) -> Option<Entry> {
        let since = self.since();
        if let Some(entry) = self.once.get(key).await {
            if self.purges.keep(since, self.often.insert(key.into(), entry.clone())).await {
                self.once.invalidate(key).await;
            }
            return Some(entry);
        }
        let entry = Entry::new(self.ahead.as_ref()?.take(key).await?);
        self.purges.keep(since, self.once.insert(key.into(), entry.clone())).await;
        Some(entry)
    }

    /// Whether it has, or is about to have, what lies under `key`; nobody is taken to have asked.
    pub fn has(&self, key: &str) -> bool {
        let since = self.since();
        self.often.contains_key(key)
            || self.once.contains_key(key)
            || self.fills.of(key.into(), since).is_some()
            || self.ahead.as_ref().is_some_and(|ahead| ahead.has(key, since))
    }

    /// The response under `key`, made by `make` of what was taken and read `since`, unless somebody
    /// else is making it or has made it; and which of these it was.
    pub async fn fill(
        &self,
        key: &str,
        since: Since,
        make: impl Future<Output = Result<Representation, Failure>> + Send + 'static,
    ) -> Result<(Arc<Representation>, CacheUse), Failure> {
        let (this, key) = (self.clone(), Arc::<str>::from(key));
        let of = Arc::clone(&key);
        let fill = async move { this.fill_once(&of, since, make).await };
        let (filling, is_first) = self.fills.run(key, since, fill);
        let filled = filling.await.map_err(|broken_off| {
            let failure = Failure::Internal(format!("a fill broke off: {broken_off}"));
            if is_first {
                failure.report(&self.metrics);
            }
            failure
        })?;
        let used = match filled.was_there {
            true => CacheUse::Hit,
            false => CacheUse::Miss { stored: filled.is_stored, collapsed: !is_first },
        };
        Ok((filled.made?, used))
    }

    async fn fill_once(
        &self,
        key: &Arc<str>,
        since: Since,
        make: impl Future<Output = Result<Representation, Failure>>,
    ) -> Filled {
        let there = |made| Filled { made: Ok(made), is_stored: true, was_there: true };
        // It may have come in since it was looked for.
        for segment in [&self.often, &self.once] {
            if let Some(entry) = segment.get(key).await {
                return there(entry.made);
            }
        }
        if let Some(ahead) = &self.ahead
            && let Some(made) = ahead.taken_when_made(key, since).await
        {
            self.put_in(key, &made, since).await;
            return there(made);
        }
        let (made, outcome) = match make.await {
            Ok(made) => {
                let made = Arc::new(made);
                let outcome = self.put_in(key, &made, since).await;
                (Ok(made), outcome)
            }
            Err(failure) => {
                failure.report(&self.metrics);
                (Err(failure), "failed")
            }
        };
        self.metrics.cache_fills.with_label_values(&[outcome]).inc();
        Filled { made, is_stored: outcome == KEPT, was_there: false }
    }

    /// Keeps what may be kept; what came of it.
    async fn put_in(
        &self,
        key: &Arc<str>,
        made: &Arc<Representation>,
        since: Since,
    ) -> &'static str {
        if weight_bytes(key, made) > self.largest_bytes {
            return "too_large";
        }
        let entry = Entry::new(Arc::clone(made));
        match self.purges.keep(since, self.once.insert(Arc::clone(key), entry)).await {
            true => KEPT,
            false => "purged",
        }
    }

    /// `make` in its turn, as media is made. What is no media costs microseconds and reads nothing: it waits for
    /// no turn, and its time does not count among those that tell how long one is.
    pub fn in_turn(
        &self,
        make: impl Future<Output = Result<Representation, Failure>> + Send + 'static,
    ) -> impl Future<Output = Result<Representation, Failure>> + Send + 'static {
        let gate = Arc::clone(&self.gate);
        async move {
            let _turn = gate.turn().await.map_err(|_no_turn| Failure::Overloaded)?;
            make.await
        }
    }

    /// Begins to make a response that nobody has asked for, where there is a place for such, nobody waits
    /// for a turn, and nobody makes it already.
    pub fn make_ahead(
        &self,
        key: &str,
        since: Since,
        make: impl Future<Output = Result<Representation, Failure>> + Send + 'static,
    ) {
        let Some(ahead) = &self.ahead else { return };
        let (gate, fills, of) = (Arc::clone(&self.gate), self.fills.clone(), key.into());
        let busy = self.metrics.prefetches.with_label_values(&["busy"]);
        ahead.make(key, since, async move {
            // Either this one sees who asks, or who asks sees this one: each is on its list by now.
            if fills.of(of, since).is_some() {
                return None;
            }
            let Some(_turn) = gate.turn_now() else {
                busy.inc();
                return None;
            };
            Some(make.await)
        });
    }

    /// Lets go what is named; how many responses that were.
    pub async fn purge(&self, _at_work: &Purging, named: &Selector) -> u64 {
        let names = named.of_responses();
        let mut gone = 0;
        for segment in [&self.once, &self.often] {
            let named: Vec<_> = segment.iter().filter(|(key, _)| names(key)).collect();
            for (key, _) in &named {
                segment.invalidate(&***key).await;
            }
            gone += named.len() as u64;
        }
        match &self.ahead {
            Some(ahead) => gone + ahead.purge(names).await,
            None => gone,
        }
    }

    /// Lets go of everything; of its memory when it is next measured.
    pub fn empty(&self) {
        self.once.invalidate_all();
        self.often.invalidate_all();
        if let Some(ahead) = &self.ahead {
            ahead.empty();
        }
    }

    /// Takes over of what another cache has those that are `wanted`, by their keys, as far as there is room; of
    /// both, nothing was purged `since`.
    pub async fn take_over(&self, before: &Self, since: Since, wanted: impl Fn(&str) -> bool) {
        for (from, to) in [(&before.once, &self.once), (&before.often, &self.often)] {
            for (key, entry) in from.iter().filter(|(key, _)| wanted(key)) {
                if weight_bytes(&key, &entry.made) <= self.largest_bytes {
                    self.purges.keep(since, to.insert(Arc::clone(&key), entry)).await;
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
        let files = self.filing.as_ref().map_or(0, Filing::files);
        self.metrics.memory_files.set(gauge(files as u64));
        match &self.ahead {
            Some(ahead) => ahead.measure().await,
            None => self.metrics.prefetch_bytes.set(0),
        }
    }
}

impl Entry {
    fn new(made: Arc<Representation>) -> Self {
        Self { made, since: Instant::now() }
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
    match lifetimes.is_empty() {
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
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    fn cache(capacity_bytes: u64) -> ResponseCache {
        let metrics = Arc::new(Metrics::new());
        let patience = Duration::from_secs(60);
        let gate = Gate::new("fills", Rules { most: 64, most_waiting: 1_000, patience }, &metrics);
        ResponseCache::new(capacity_bytes, &Lifetimes::default(), gate, Purges::default(), metrics)
    }

    async fn fill(
        cache: &ResponseCache,
        key: &str,
        make: impl Future<Output = Result<Representation, Failure>> + Send + 'static,
    ) -> Result<(Arc<Representation>, CacheUse), Failure> {
        cache.fill(key, cache.since(), make).await
    }

    async fn purge(cache: &ResponseCache, named: &Selector) -> u64 {
        let at_work = cache.purges.begin().await;
        cache.purge(&at_work, named).await
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
                fill(&cache, "/k", make).await.unwrap().0.body.len_bytes()
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
        let gone = timeout(Duration::from_millis(20), fill(&cache, "/k", make())).await;
        assert!(gone.is_err(), "the first asker gives up while the fill waits");
        let second = tokio::spawn({
            let (cache, make) = (cache.clone(), make());
            async move { fill(&cache, "/k", make).await.map(|(made, _)| made.body.len_bytes()) }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        go_on.notify_one();
        assert_eq!(second.await.unwrap(), Ok(100));
        assert_eq!(fills.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn failures_are_shared_but_not_kept() {
        let cache = cache(1 << 20);
        let failed = fill(&cache, "/k", async { Err(Failure::UnknownSegment) }).await;
        assert_eq!(failed.unwrap_err(), Failure::UnknownSegment);
        assert!(cache.kept("/k").await.is_none());
        assert!(fill(&cache, "/k", async { Ok(of(1)) }).await.is_ok());
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
        let broken = fill(&cache, "/k", async { panic!("on purpose") }).await;
        drop(logging);
        assert!(matches!(broken, Err(Failure::Internal(_))));
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert!(log.contains("ERROR") && log.contains("a fill broke off"), "{log}");
        assert!(fill(&cache, "/k", async { Ok(of(1)) }).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_too_large_is_served_and_not_kept() {
        let cache = cache(1 << 20);
        assert_eq!(
            fill(&cache, "/k", async { Ok(of(300 << 10)) }).await.unwrap().0.body.len_bytes(),
            300 << 10
        );
        assert!(cache.kept("/k").await.is_none());
    }

    #[tokio::test]
    async fn the_weight_stays_below_the_capacity() {
        let cache = cache(1 << 20);
        for n in 0..400 {
            fill(&cache, &format!("/{n}"), async { Ok(of(10_000)) }).await.unwrap();
            cache.kept(&format!("/{n}")).await;
        }
        for n in 400..500 {
            fill(&cache, &format!("/{n}"), async { Ok(of(10_000)) }).await.unwrap();
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
                    fill(&cache, key, async { Ok(of(10_000)) }).await.unwrap();
                }
            }
        }
        for n in 0..1_000 {
            let key = format!("/clear/cold/{n}");
            assert!(cache.kept(&key).await.is_none());
            fill(&cache, &key, async { Ok(of(10_000)) }).await.unwrap();
        }
        let mut hits = 0;
        for key in &hot {
            hits += u32::from(cache.kept(key).await.is_some());
        }
        assert_eq!(hits, 50);
    }

    #[tokio::test]
    async fn a_purge_takes_what_it_names_also_while_it_is_being_made() {
        let cache = cache(1 << 20).with_ahead(1 << 18);
        let keys = ["/clear/a/v.r/t/1.m4s", "/clear/b/v.r/t/1.m4s"];
        for key in keys {
            fill(&cache, key, async { Ok(of(1)) }).await.unwrap();
        }
        let named = Selector { titles: ["a".parse().unwrap()].into(), ..Selector::default() };
        assert_eq!(purge(&cache, &named).await, 1);
        assert!(cache.kept(keys[0]).await.is_none() && cache.kept(keys[1]).await.is_some());
        // Heads, keys and manifests are in hand before a fill is begun.
        let since = cache.since();
        purge(&cache, &named).await;
        let (_, used) = cache.fill(keys[0], since, async { Ok(of(1)) }).await.unwrap();
        assert_eq!(used, CacheUse::Miss { stored: false, collapsed: false });
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let make = || {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(of(1))
            }
        };
        let filling = tokio::spawn({
            let (cache, make) = (cache.clone(), make());
            async move { fill(&cache, keys[0], make).await.map(|(_, used)| used) }
        });
        begun.notified().await;
        cache.make_ahead("/clear/a/v.r/t/2.m4s", cache.since(), make());
        begun.notified().await;
        purge(&cache, &named).await;
        // Who asks now gets nothing of before.
        let (made, used) = fill(&cache, keys[0], async { Ok(of(2)) }).await.unwrap();
        let stored = CacheUse::Miss { stored: true, collapsed: false };
        assert_eq!((made.body.len_bytes(), used), (2, stored));
        go_on.notify_waiters();
        let used = filling.await.unwrap().unwrap();
        assert_eq!(used, CacheUse::Miss { stored: false, collapsed: false });
        assert_eq!(cache.kept(keys[0]).await.unwrap().body.len_bytes(), 2);
        let purged = cache.metrics.prefetches.with_label_values(&["purged"]);
        while purged.get() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!cache.has("/clear/a/v.r/t/2.m4s"));
    }

    /// While a purge looks through the cache, nothing goes from what it will look at to what it has.
    #[tokio::test]
    async fn nothing_moves_under_a_purge() {
        let cache = cache(1 << 20).with_ahead(1 << 18);
        let (all, text) =
            (Selector::default(), Representation::of_text("text/plain", vec![b'a'; 9_000]));
        fill(&cache, "/often", async { Ok(of(1)) }).await.unwrap();
        cache.kept("/often").await.unwrap();
        fill(&cache, "/once", async { Ok(text) }).await.unwrap();
        cache.make_ahead("/ahead", cache.since(), async { Ok(of(1)) });
        while cache.metrics.prefetches.with_label_values(&["made"]).get() == 0 {
            tokio::task::yield_now().await;
        }
        let at_work = cache.purges.begin().await;
        let doomed = cache.once.get("/once").await.unwrap();
        assert_eq!(cache.purge(&at_work, &all).await, 3);
        // As one who found it a moment before.
        cache.once.insert("/once".into(), doomed.clone()).await;
        assert!(cache.kept("/once").await.is_some() && !cache.often.contains_key("/once"));
        assert_eq!(cache.purge(&at_work, &all).await, 1);
        let coding = cache.gzipped("/once", &doomed.made);
        assert!(coding.await.is_some());
        drop(at_work);
        assert!(["/often", "/once", "/ahead"].iter().all(|key| !cache.has(key)));
    }

    #[tokio::test]
    async fn another_size_keeps_what_there_is_room_for() {
        let before = cache(1 << 20);
        for n in 0..50 {
            fill(&before, &format!("/{n}"), async { Ok(of(10_000)) }).await.unwrap();
            before.kept(&format!("/{n}")).await;
        }
        for (capacity_bytes, wanted) in [(2 << 20, 50..=50), (1 << 18, 15..=18)] {
            let after = cache(capacity_bytes);
            after.take_over(&before, after.since(), |_| true).await;
            after.measure().await;
            let entries = after.metrics.cache_entries.get();
            assert!(wanted.contains(&entries), "{capacity_bytes}: {entries}");
        }
        let after = cache(2 << 20);
        after.take_over(&before, after.since(), |key| key == "/7").await;
        assert!(after.has("/7") && !after.has("/8"));
    }

    #[tokio::test]
    async fn what_was_made_ahead_is_there_for_the_first_who_asks() {
        let cache = cache(1 << 20).with_ahead(1 << 18);
        let count = |outcome: &str| cache.metrics.prefetches.with_label_values(&[outcome]).get();
        let ahead = async |key: &str, len: usize| {
            let before = count("made");
            cache.make_ahead(key, cache.since(), async move { Ok(of(len)) });
            while count("made") == before {
                tokio::task::yield_now().await;
            }
        };
        ahead("/a", 100).await;
        assert!(cache.has("/a"));
        assert_eq!(cache.kept("/a").await.unwrap().body.len_bytes(), 100);
        assert_eq!((cache.hits.get(), cache.misses.get(), count("used")), (1, 0, 1));
        assert!(cache.kept("/a").await.is_some());
        // Who asks while it is being made waits for it, and it is made once.
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let make = || {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(of(7))
            }
        };
        cache.make_ahead("/b", cache.since(), make());
        begun.notified().await;
        assert!(cache.has("/b"), "about to");
        for _ in 0..3 {
            cache.make_ahead("/b", cache.since(), async { panic!("it is being made") });
        }
        let asking = fill(&cache, "/b", async { panic!("it is being made") });
        let (asked, ()) = tokio::join!(asking, async {
            tokio::task::yield_now().await;
            go_on.notify_one();
        });
        assert_eq!(asked.unwrap().0.body.len_bytes(), 7);
        assert_eq!((count("made"), count("used")), (2, 2));
        // What somebody has asked for is not made ahead beside.
        let filling = tokio::spawn({
            let (cache, make) = (cache.clone(), make());
            async move { fill(&cache, "/c", make).await }
        });
        begun.notified().await;
        assert!(cache.has("/c"));
        cache.make_ahead("/c", cache.since(), async { Ok(of(9)) });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        go_on.notify_one();
        filling.await.unwrap().unwrap();
        assert_eq!(count("made"), 2);
        // Never more than it may have.
        for n in 0..100 {
            ahead(&format!("/many/{n}"), 10_000).await;
        }
        cache.measure().await;
        let bytes = cache.metrics.prefetch_bytes.get();
        assert!((1 << 17..=1 << 18).contains(&bytes), "{bytes}");
    }
}
