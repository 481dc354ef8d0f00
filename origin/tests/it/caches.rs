//! What the caches keep, make ahead and let go, counted in reads of the store.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_config::{AccessLog as Target, Config};
use headwater_origin::access_log::AccessLog;
use headwater_origin::exchange::Answer;
use headwater_origin::metrics::Metrics;
use headwater_origin::rooms::{self, Rooms};
use headwater_origin::store::{Fault, Key, Small, Stamp, Store, StoreError};
use headwater_packager::ids::{TitleId, VersionId};
use http::{HeaderMap, Method};
use tokio::sync::watch;

use crate::common::{Origin, Seen, Stored, VERSION, request};

/// A store that counts, may take its time, may be away, and may be made to wait.
pub struct Watched {
    store: Arc<dyn Store>,
    pub delay_ms: AtomicU64,
    /// Media is not read before it is let go.
    pub is_media_held: watch::Sender<bool>,
    /// Pointers and heads are not.
    pub is_small_held: watch::Sender<bool>,
    pub small_reads: AtomicU64,
    pub is_away: AtomicBool,
    pub media_reads: AtomicU64,
    pub media_bytes: AtomicU64,
    reading: AtomicU64,
    pub most_reading: AtomicU64,
}

impl Watched {
    async fn look(&self, is_held: &watch::Sender<bool>) -> Result<(), StoreError> {
        is_held.subscribe().wait_for(|is_held| !is_held).await.unwrap();
        let delay_ms = self.delay_ms.load(Ordering::SeqCst);
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(StoreError::new(Fault::Unavailable, "away")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Watched {
    async fn read_range(&self, key: &Key, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        self.media_reads.fetch_add(1, Ordering::SeqCst);
        self.media_bytes.fetch_add(bytes.end - bytes.start, Ordering::SeqCst);
        let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_reading.fetch_max(reading, Ordering::SeqCst);
        let looked = self.look(&self.is_media_held).await;
        self.reading.fetch_sub(1, Ordering::SeqCst);
        looked?;
        self.store.read_range(key, bytes).await
    }

    async fn read_small(
        &self,
        key: &Key,
        max_bytes: u64,
        known: Option<&Stamp>,
    ) -> Result<Small, StoreError> {
        self.small_reads.fetch_add(1, Ordering::SeqCst);
        self.look(&self.is_small_held).await?;
        self.store.read_small(key, max_bytes, known).await
    }

    async fn list_titles(&self, max: usize) -> Result<Vec<TitleId>, StoreError> {
        self.store.list_titles(max).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.store.probe().await
    }
}

/// An origin whose store is watched.
pub fn watched(config: &Config) -> (Arc<Origin>, Arc<Watched>) {
    let metrics = Arc::new(Metrics::new());
    let store = Arc::new(Watched {
        store: rooms::store(config, &metrics).unwrap(),
        delay_ms: AtomicU64::default(),
        is_media_held: watch::Sender::new(false),
        is_small_held: watch::Sender::new(false),
        small_reads: AtomicU64::default(),
        is_away: AtomicBool::default(),
        media_reads: AtomicU64::default(),
        media_bytes: AtomicU64::default(),
        reading: AtomicU64::default(),
        most_reading: AtomicU64::default(),
    });
    let log = AccessLog::open(&Target::Off, metrics.access_log_dropped.clone()).unwrap();
    let rooms = Rooms::with_store(config, Arc::clone(&store) as _, metrics, log).unwrap();
    (Arc::new(Origin { rooms }), store)
}

pub fn reads(store: &Watched) -> u64 {
    store.media_reads.load(Ordering::SeqCst)
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub const SHORT: &str = "profiles.clear.segment_ms = 2000\n";

#[tokio::test]
async fn a_thousand_misses_are_one_read_whoever_leaves() {
    let stored = Stored::with_movie();
    let (origin, store) = watched(&stored.config(SHORT));
    store.is_small_held.send_replace(true);
    store.is_media_held.send_replace(true);
    let path = format!("{}v720/2.m4s", origin.base());
    let asks: Vec<_> = (0..1_000)
        .map(|_| {
            let (origin, path) = (Arc::clone(&origin), path.clone());
            tokio::spawn(async move { origin.get(&path).await.status })
        })
        .collect();
    // Whoever came first leaves, in the heads' read or in the segment's.
    let mut asks = asks.into_iter();
    until("heads are read", || store.small_reads.load(Ordering::SeqCst) == 1).await;
    asks.by_ref().take(10).for_each(|leaver| leaver.abort());
    store.is_small_held.send_replace(false);
    until("media is read", || reads(&store) == 1).await;
    asks.by_ref().take(10).for_each(|leaver| leaver.abort());
    // They are gone, and what they began is not.
    tokio::task::yield_now().await;
    store.is_media_held.send_replace(false);
    for ask in asks {
        assert_eq!(ask.await.unwrap(), 200);
    }
    assert_eq!(reads(&store), 1);
}

#[tokio::test]
async fn a_scan_of_cold_titles_leaves_the_hot_ones() {
    let stored = Stored::with_movie_scaled(10);
    let config = stored.config(&format!("{SHORT}origin.cache.responses_mib = 1\n"));
    for n in 0..25 {
        stored.publish(&format!("cold-{n}"), VERSION, None);
    }
    let (origin, store) = watched(&config);
    let base = origin.base();
    let play = async |base: &str| {
        for number in 1..=12 {
            assert_eq!(origin.get(&format!("{base}v720/{number}.m4s")).await.status, 200);
        }
    };
    for _ in 0..6 {
        play(&base).await;
    }
    let before = reads(&store);
    play(&base).await;
    assert_eq!(reads(&store), before, "it is hot");
    let before_bytes = store.media_bytes.load(Ordering::SeqCst);
    for n in 0..25 {
        play(&base.replace("/movie/", &format!("/cold-{n}/"))).await;
    }
    let scanned = store.media_bytes.load(Ordering::SeqCst) - before_bytes;
    assert!(scanned > 10 << 20, "ten times the cache: {scanned}");
    let before = reads(&store);
    play(&base).await;
    let again = reads(&store) - before;
    assert!(again <= 1, "{again} of 12 hot segments were read again");
    origin.rooms.service.cache.measure().await;
    let bytes = origin.metrics().cache_bytes.get();
    assert!((1 << 18..=1 << 20).contains(&bytes), "{bytes}");
    let hits = origin.counted("profile_lookups_total{outcome=\"hit\",profile=\"clear\"}");
    assert!(hits >= 12 * 6 - 1, "{hits}");
}

#[tokio::test]
async fn what_is_asked_for_in_order_is_made_ahead_and_nothing_else() {
    let stored = Stored::with_movie_scaled(10);
    let config = stored.config(&format!(
        "{SHORT}origin.prefetch.segments = 2\norigin.prefetch.max_concurrent = 2\n"
    ));
    let (origin, store) = watched(&config);
    let base = origin.base();
    let count =
        |outcome: &str| origin.counted(&format!("prefetches_total{{outcome=\"{outcome}\"}}"));
    let all = ["made", "failed", "too_large", "busy", "purged"];
    // Seeks: one read for each.
    for number in [3, 9, 1] {
        origin.get(&format!("{base}v720/{number}.m4s")).await;
    }
    assert_eq!(reads(&store), 3);
    assert_eq!(all.map(count), [0; 5], "nothing was even tried");
    // In order: each is read once, and the last ones are there before they are asked for.
    let mut sent = 0;
    for number in 1..=12 {
        let seen = origin.get(&format!("{base}a-en/{number}.m4s")).await;
        sent += seen.body.len() as u64;
        let wanted = if number > 2 { "hit" } else { "stored" };
        assert!(seen.cache_status.contains(wanted), "{number}: {}", seen.cache_status);
        let ahead = if number > 1 { 12.min(number + 2) - 2 } else { 0 };
        until("it is made ahead", || count("made") == ahead).await;
    }
    assert_eq!(reads(&store), 3 + 12);
    assert_eq!((count("made"), count("used"), count("failed")), (10, 10, 0), "the end is known");
    let hits = origin.counted("cache_lookups_total{outcome=\"hit\"}");
    assert_eq!(hits, 10, "made ahead is a hit");
    assert!(sent > 12 * 9_000);
    assert!(store.most_reading.load(Ordering::SeqCst) <= 3, "one that is asked for and two ahead");
    // What a player names, wherever it is.
    let nor = [("cmcd-request", "nor=\"..%2Fv360%2F7.m4s\"")];
    origin.ask(Method::GET, &format!("{base}v720/6.m4s"), &nor).await;
    let here = &origin.rooms.service.cache;
    until("it is made ahead", || here.has(&format!("{base}v360/7.m4s"))).await;
    // A store that stands: never more at a time than is said, however many viewers name one segment, and
    // none of them waits for it.
    store.is_media_held.send_replace(true);
    let before = (reads(&store), count("busy"));
    for (number, wanted, busy) in [(1, 1, 0), (1, 1, 0), (2, 2, 0), (3, 2, 1), (1, 2, 1), (4, 2, 2)]
    {
        let nor = format!("nor=\"../v360/{number}.m4s\"");
        let path = format!("{base}a-en/{number}.m4s");
        let seen = origin.ask(Method::GET, &path, &[("cmcd-request", &nor)]).await;
        assert_eq!(seen.status, 200);
        until("it is read", || reads(&store) >= before.0 + wanted).await;
        assert_eq!(
            (reads(&store) - before.0, count("busy") - before.1),
            (wanted, busy),
            "{number}"
        );
    }
    store.is_media_held.send_replace(false);
}

#[tokio::test]
async fn sound_alone_is_read_as_it_is_sent() {
    for more in ["", "origin.prefetch.segments = 1\n", "origin.cache.responses_mib = 0\n"] {
        let stored = Stored::with_movie_scaled(100);
        let (origin, store) = watched(&stored.config(&format!("{SHORT}{more}")));
        let base = origin.base();
        let mut sent = 0;
        for number in 1..=12 {
            sent += origin.get(&format!("{base}a-en/{number}.m4s")).await.body.len() as u64;
        }
        let read = store.media_bytes.load(Ordering::SeqCst);
        println!("measured: {read} bytes read for {sent} of sound sent ({more:?})");
        assert!(sent > 1_000_000 && read * 100 <= sent * 105, "{more:?}: {read} for {sent}");
    }
}

pub const UNDER_KEYS: &str = "\
origin.cache.sources_mib = 16
[keys.main]
provider = \"derived\"
master = \"env:HEADWATER_TEST_MASTER\"
";

#[tokio::test]
async fn media_under_several_keys_is_read_once() {
    let stored = Stored::with_movie();
    stored.publish_sound("sound", VERSION);
    let master = stored.folder.path().join("master");
    std::fs::write(&master, "00112233445566778899aabbccddeeff").unwrap();
    let source = format!("file:{}", master.display());
    let mut more = UNDER_KEYS.replace("env:HEADWATER_TEST_MASTER", &source);
    for profile in ["first", "second"] {
        more += &format!("[profiles.{profile}]\nformats = [\"hls\"]\n");
        more += "protection = { scheme = \"aes-128\", keys = \"main\", deliver_keys = true }\n";
    }
    let bodies = async |config: &Config, keeps: bool| {
        let (origin, store) = watched(config);
        let mut bodies = Vec::new();
        for name in ["first", "second"] {
            let service = &origin.rooms.service;
            let profile = service.profiles.named(name).unwrap();
            let rev = service.protections.rev(profile, &"sound".parse().unwrap());
            let path = format!("/{name}/sound/{VERSION}.{rev}/a-en/1.m4s");
            let seen = origin.get(&path).await;
            assert_eq!(seen.status, 200, "{path}");
            bodies.push(seen.body);
        }
        assert_eq!(reads(&store), if keeps { 1 } else { 2 });
        bodies
    };
    let kept = bodies(&stored.config(&more), true).await;
    let read =
        bodies(&stored.config(&more.replace("sources_mib = 16", "sources_mib = 0")), false).await;
    assert!(kept == read, "the same bytes, wherever they come from");
    assert_ne!(kept[0], kept[1]);
}

pub fn admin(
    method: &Method,
    path: &str,
    fields: &[(&str, &str)],
) -> headwater_origin::exchange::Request {
    let mut asked = request(method.clone(), path, fields);
    asked.remote = Some("127.0.0.1".parse().unwrap());
    asked
}

pub async fn post(origin: &Origin, path: &str) -> (u16, serde_json::Value) {
    let answer: Answer = origin.rooms.admin.answer(&admin(&Method::POST, path, &[])).await;
    let seen = Seen::of(answer);
    (seen.status, serde_json::from_slice(&seen.body).unwrap_or_default())
}

#[tokio::test]
async fn a_purge_lets_go_what_it_names() {
    let stored = Stored::with_movie();
    stored.publish("other", VERSION, None);
    let mut config = stored.config("[profiles.clear]\n[profiles.vip]\n");
    config.origin.admin_from = vec!["192.0.2.7".parse().unwrap()];
    config.origin.cache.pointer_ttl_ms = 60_000;
    let (origin, store) = watched(&config);
    let base = origin.base();
    let all = ["/clear/movie/", "/vip/movie/", "/clear/other/", "/vip/other/"];
    let ask_all = async || {
        let before = reads(&store);
        let mut read = Vec::new();
        for folder in all {
            let base = base.replace("/clear/movie/", folder);
            assert_eq!(origin.get(&format!("{base}v720/1.m4s")).await.status, 200);
            assert_eq!(origin.get(&format!("{folder}master.m3u8")).await.status, 200);
            read.push(reads(&store) - before - read.iter().sum::<u64>());
        }
        read
    };
    assert_eq!(ask_all().await, [1, 1, 1, 1]);
    assert_eq!(ask_all().await, [0, 0, 0, 0]);
    // query, responses, versions, pointers, which are read again
    let table = [
        ("title=movie", 4, 1, 1, [1, 1, 0, 0]),
        ("profile=vip", 4, 0, 0, [0, 1, 0, 1]),
        ("title=movie&profile=clear", 2, 0, 0, [1, 0, 0, 0]),
        (&*format!("version={VERSION}"), 8, 2, 0, [1, 1, 1, 1]),
        (&*format!("title=other&version={VERSION}"), 4, 1, 0, [0, 0, 1, 1]),
        ("title=nobody", 0, 0, 0, [0, 0, 0, 0]),
        ("title=movie&title=other&profile=vip", 4, 0, 0, [0, 1, 0, 1]),
        ("title=movie&title=nobody", 4, 1, 1, [1, 1, 0, 0]),
        ("all=true", 8, 2, 2, [1, 1, 1, 1]),
    ];
    for (query, responses, versions, pointers, again) in table {
        let (status, told) = post(&origin, &format!("/admin/purge?{query}")).await;
        let wanted = serde_json::json!({
            "responses": responses, "sources": 0, "versions": versions, "pointers": pointers
        });
        assert_eq!((status, told), (200, wanted), "{query}");
        assert_eq!(ask_all().await, again, "{query}");
    }
    for bad in ["", "?all=true&title=movie", "?title=a/b", "?titel=movie", "?version=1"] {
        assert_eq!(post(&origin, &format!("/admin/purge{bad}")).await.0, 400, "{bad}");
    }
    for (method, fields, wanted) in [
        (Method::GET, &[][..], 405),
        (Method::POST, &[("origin", "http://127.0.0.1:9090")], 404),
        (Method::POST, &[("sec-fetch-site", "same-site")], 404),
    ] {
        let asked = admin(&method, "/admin/purge?all=true", fields);
        assert_eq!(origin.rooms.admin.answer(&asked).await.status, wanted, "{method} {fields:?}");
    }
    for (from, wanted) in
        [("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.7", 200), ("192.0.2.8", 403)]
    {
        let mut asked = admin(&Method::POST, "/admin/purge?title=nobody", &[]);
        asked.remote = Some(from.parse().unwrap());
        assert_eq!(origin.rooms.admin.answer(&asked).await.status, wanted, "{from}");
    }
    let mut asked = admin(&Method::POST, "/admin/warm?title=movie", &[]);
    asked.remote = None;
    assert_eq!(origin.rooms.admin.answer(&asked).await.status, 403);
    assert_eq!(ask_all().await, [0, 0, 0, 0], "nothing of these was done");
}

#[tokio::test]
async fn titles_are_made_ready() {
    let stored = Stored::with_movie();
    stored.publish("secret", VERSION, Some("paid"));
    let mut config = stored.config("origin.warm_up.segments = 2\n");
    config.origin.cache.pointer_ttl_ms = 60_000;
    let (origin, store) = watched(&config);
    // Two manifests, of the live version and of that version; of three tracks a playlist, an init section
    // and two segments.
    let (status, told) = post(&origin, "/admin/warm?title=movie&title=movie").await;
    assert_eq!((status, told), (200, serde_json::json!({"made": 16, "there": 0, "failed": []})));
    assert_eq!(reads(&store), 6 + 1, "v360 is in two objects");
    let base = origin.base();
    let live = "/clear/movie/master.m3u8".to_owned();
    let versioned = ["manifest.mpd", "v720/index.m3u8", "a-en/init.mp4", "v360/2.m4s"];
    for path in versioned.map(|path| format!("{base}{path}")).into_iter().chain([live]) {
        assert!(origin.get(&path).await.cache_status.ends_with("hit"), "{path}");
    }
    assert_eq!(reads(&store), 7);
    let (_, told) = post(&origin, "/admin/warm?title=movie&title=nobody&title=secret").await;
    let failed =
        serde_json::json!([{"title": "nobody", "profile": null, "error": "unknown_title"}]);
    assert_eq!(told, serde_json::json!({"made": 0, "there": 16, "failed": failed}));
    let (status, told) = post(&origin, "/admin/warm?title=movie&profile=other").await;
    assert_eq!((status, &told["error"]), (404, &"unknown_profile".into()));
    let (_, told) = post(&origin, "/admin/warm?title=secret&profile=clear").await;
    let failed =
        serde_json::json!([{"title": "secret", "profile": "clear", "error": "unknown_title"}]);
    assert_eq!(told["failed"], failed, "it was named");
    for bad in ["", "?all=true", "?profile=clear"] {
        assert_eq!(post(&origin, &format!("/admin/warm{bad}")).await.0, 400, "{bad}");
    }
    // One at a time, and to its end, whoever leaves.
    assert_eq!(post(&origin, "/admin/purge?all=true").await.0, 200);
    store.is_media_held.send_replace(true);
    let leaver = tokio::spawn({
        let origin = Arc::clone(&origin);
        async move { post(&origin, "/admin/warm?title=movie").await }
    });
    until("it is being made ready", || reads(&store) > 7).await;
    leaver.abort();
    assert!(leaver.await.unwrap_err().is_cancelled());
    assert_eq!(post(&origin, "/admin/warm?title=movie").await.0, 503);
    store.is_media_held.send_replace(false);
    until("all of it", || reads(&store) == 14).await;
}

/// The manifest of the live version, as it is then.
async fn live_at(origin: &Origin, now: Instant) -> (u16, String) {
    let seen = origin.ask_at(now, Method::GET, "/clear/movie/master.m3u8", &[]).await;
    (seen.status, String::from_utf8(seen.body).unwrap())
}

#[tokio::test]
async fn a_pointer_is_used_while_it_is_looked_at_again_and_for_a_time_while_it_cannot_be() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    config.origin.cache.pointer_ttl_ms = 1_000;
    config.origin.cache.pointer_stale_ms = 10_000;
    config.origin.cache.pointer_stale_if_error_s = 60;
    let (origin, store) = watched(&config);
    let start = Instant::now();
    let live = |after_s| live_at(&origin, start + Duration::from_secs(after_s));
    let (_, first) = live(0).await;
    let next = VersionId::from_u128(VERSION.as_u128() + 1);
    stored.publish("movie", next, None);
    assert_eq!(live(5).await, (200, first.clone()), "the one before, at once");
    let pointers = "store_reads_total{part=\"pointer\"}";
    until("it is looked at again", || origin.counted(pointers) == 2).await;
    until("and the next is told of it", || {
        futures_util::FutureExt::now_or_never(live(5)).is_some_and(|(_, text)| text != first)
    })
    .await;
    assert!(origin.counted("pointer_lookups_total{outcome=\"stale\"}") > 0);
    assert_eq!(origin.counted(pointers), 2, "one look for all who came meanwhile");
    // A store that does not answer is taken to be away, and is asked all the same.
    store.is_small_held.send_replace(true);
    let soon = tokio::time::timeout(Duration::from_secs(20), live(20));
    let (status, held) = soon.await.expect("it is not waited for");
    assert!(status == 200 && held.contains(&next.to_string()));
    // Nor by anybody else, for as long as it hangs.
    let others = tokio::time::timeout(headwater_origin::limits::POINTER_PATIENCE / 2, live(21));
    assert_eq!(others.await.expect("it was waited for once"), (200, held));
    store.is_small_held.send_replace(false);
    until("it has answered", || {
        let before = origin.counted("pointer_lookups_total{outcome=\"hit\"}");
        futures_util::FutureExt::now_or_never(live(20));
        origin.counted("pointer_lookups_total{outcome=\"hit\"}") > before
    })
    .await;
    assert_eq!(origin.counted(pointers), 3, "by one for all");
    store.is_away.store(true, Ordering::SeqCst);
    let (_, second) = live(6).await;
    assert!(second.contains(&next.to_string()));
    assert_eq!(live(60).await, (200, second), "the store is away");
    assert_eq!(live(90).await.0, 503, "for too long");
    store.is_away.store(false, Ordering::SeqCst);
    assert_eq!(live(91).await.0, 200);
}

/// A store that says at once that it cannot is asked by everybody, so that who comes next sees that it can.
#[tokio::test]
async fn a_store_that_answers_again_is_seen_at_once() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    config.origin.cache.pointer_ttl_ms = 1_000;
    config.origin.cache.pointer_stale_if_error_s = 60;
    let (origin, store) = watched(&config);
    let start = Instant::now();
    let live = |after_s| live_at(&origin, start + Duration::from_secs(after_s));
    let first = live(0).await;
    store.is_away.store(true, Ordering::SeqCst);
    assert_eq!(live(5).await, first);
    let next = VersionId::from_u128(VERSION.as_u128() + 1);
    stored.publish("movie", next, None);
    store.is_away.store(false, Ordering::SeqCst);
    assert!(live(10).await.1.contains(&next.to_string()));
}

#[tokio::test]
async fn a_version_that_is_not_there_is_looked_for_once_in_a_while() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    config.origin.cache.not_found_ttl_ms = 1_000;
    let (origin, store) = watched(&config);
    let start = Instant::now();
    let next = VersionId::from_u128(VERSION.as_u128() + 1);
    let path = origin.base().replace(&VERSION.to_string(), &next.to_string()) + "v720/init.mp4";
    let get = async |after_ms: u64| {
        let now = start + Duration::from_millis(after_ms);
        origin.ask_at(now, Method::GET, &path, &[]).await.status
    };
    assert_eq!(get(0).await, 404);
    let before = store.small_reads.load(Ordering::SeqCst);
    stored.publish("movie", next, None);
    assert_eq!(get(999).await, 404);
    assert_eq!(store.small_reads.load(Ordering::SeqCst), before);
    assert_eq!(get(1_000).await, 200);
}

/// What came of the last look, although it came late, is believed for a moment; who comes after that finds
/// a store of which is known that it hangs.
#[tokio::test]
async fn a_store_that_hangs_on_is_waited_for_by_one() {
    let stored = Stored::with_movie();
    let mut config = stored.config("");
    config.origin.cache.pointer_ttl_ms = 1_000;
    config.origin.cache.pointer_stale_if_error_s = 600;
    let (origin, store) = watched(&config);
    let start = Instant::now();
    let live = async |after_s| live_at(&origin, start + Duration::from_secs(after_s)).await.0;
    assert_eq!(live(0).await, 200);
    let before = store.small_reads.load(Ordering::SeqCst);
    store.is_small_held.send_replace(true);
    let asked = async {
        until("it is asked", || store.small_reads.load(Ordering::SeqCst) > before).await;
        Instant::now()
    };
    let (status, asked) = tokio::join!(live(5), asked);
    assert_eq!(status, 200);
    until("it hangs", || asked.elapsed() >= headwater_origin::limits::POINTER_PATIENCE).await;
    store.is_away.store(true, Ordering::SeqCst);
    store.is_small_held.send_replace(false);
    until("it has failed", || {
        let hits = || origin.counted("pointer_lookups_total{outcome=\"hit\"}");
        let before = hits();
        futures_util::FutureExt::now_or_never(live(5));
        hits() > before
    })
    .await;
    store.is_small_held.send_replace(true);
    let next = tokio::time::timeout(headwater_origin::limits::POINTER_PATIENCE / 2, live(300));
    assert_eq!(next.await.expect("it was waited for once"), 200);
    let too_late = futures_util::FutureExt::now_or_never(live(700));
    assert_eq!(too_late, None, "what was said so long ago is not said again");
    store.is_small_held.send_replace(false);
}

#[tokio::test]
async fn what_is_made_ahead_has_the_memory_that_is_said() {
    let stored = Stored::with_movie_scaled(100);
    let more = "origin.prefetch.segments = 1\norigin.prefetch.memory_mib = 1\n";
    let (origin, _) = watched(&stored.config(&format!("{SHORT}{more}")));
    let base = origin.base();
    let made = || origin.counted("prefetches_total{outcome=\"made\"}");
    for number in 1..=12 {
        let nor = format!("nor=\"../v720/{number}.m4s\"");
        let path = format!("{base}a-en/{number}.m4s");
        origin.ask(Method::GET, &path, &[("cmcd-request", &nor)]).await;
        until("it is made ahead", || made() == number).await;
    }
    origin.rooms.service.cache.measure().await;
    let bytes = origin.metrics().prefetch_bytes.get();
    assert!((1 << 18..=1 << 20).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn other_sizes_are_taken_with_what_is_there() {
    let stored = Stored::with_movie();
    let config = stored.config(SHORT);
    let (origin, store) = watched(&config);
    let base = origin.base();
    for number in 1..=12 {
        origin.get(&format!("{base}v720/{number}.m4s")).await;
    }
    let mut larger = config.clone();
    larger.origin.cache.responses_mib *= 2;
    larger.origin.prefetch.segments = 1;
    larger.origin.limits.max_concurrent_fills = 2;
    let origin = Origin { rooms: origin.rooms.under(&config, &larger).unwrap().move_in() };
    for number in 1..=12 {
        let seen = origin.get(&format!("{base}v720/{number}.m4s")).await;
        assert!(seen.cache_status.ends_with("hit"), "{number}: {}", seen.cache_status);
    }
    assert_eq!(reads(&store), 12);
    let mut none = larger.clone();
    none.origin.cache.responses_mib = 0;
    let origin = Origin { rooms: origin.rooms.under(&larger, &none).unwrap().move_in() };
    origin.get(&format!("{base}v720/1.m4s")).await;
    assert_eq!(reads(&store), 13);
}

#[tokio::test]
async fn who_would_wait_too_long_is_refused_at_once_and_what_is_there_is_served() {
    let stored = Stored::with_movie();
    let config = stored.config(&format!(
        "{SHORT}origin.limits.max_concurrent_fills = 1\norigin.limits.max_waiting_fills = 0\n"
    ));
    let (origin, store) = watched(&config);
    let base = origin.base();
    assert_eq!(origin.get(&format!("{base}v720/1.m4s")).await.status, 200);
    store.is_media_held.send_replace(true);
    let slow = tokio::spawn({
        let (origin, path) = (Arc::clone(&origin), format!("{base}v720/2.m4s"));
        async move { origin.get(&path).await }
    });
    until("it is being read", || reads(&store) == 2).await;
    let refused = origin.get(&format!("{base}v720/3.m4s")).await;
    assert_eq!((refused.status, refused.error()), (503, "overloaded".to_owned()));
    assert_eq!((refused.header("retry-after"), refused.header("cache-control")), ("2", "no-store"));
    assert_eq!(origin.get(&format!("{base}v720/1.m4s")).await.status, 200, "it is there");
    for text in ["master.m3u8", "manifest.mpd", "v720/index.m3u8", "v720/init.mp4"] {
        assert_eq!(origin.get(&format!("{base}{text}")).await.status, 200, "{text} reads no media");
    }
    store.is_media_held.send_replace(false);
    assert_eq!(slow.await.unwrap().status, 200);
    assert_eq!(origin.counted("turns_refused_total{reason=\"queue_full\",work=\"fills\"}"), 1);
    assert_eq!(origin.get(&format!("{base}v720/3.m4s")).await.status, 200, "afterwards");
}

#[tokio::test]
async fn a_client_has_so_many_requests_at_a_time() {
    let stored = Stored::with_movie();
    let config = stored.config(
        "origin.limits.max_client_requests = 1\norigin.trusted_proxies = [\"10.0.0.0/8\"]\n",
    );
    let (origin, _) = watched(&config);
    let ask = async |remote: &str, via: &str| {
        let mut asked = request(Method::GET, "/clear/movie/master.m3u8", &[]);
        asked.remote = Some(remote.parse().unwrap());
        if !via.is_empty() {
            asked.headers =
                HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), via.parse().unwrap())]);
        }
        origin.rooms.service.answer(&asked, Instant::now(), SystemTime::now()).await
    };
    let held = ask("192.0.2.1", "").await;
    assert_eq!(held.status, 200);
    let refused = Seen::of(ask("192.0.2.1", "").await);
    assert_eq!((refused.status, refused.error()), (429, "too_many_requests".to_owned()));
    assert_eq!((refused.header("retry-after"), refused.header("cache-control")), ("2", "no-store"));
    assert_eq!(ask("192.0.2.2", "").await.status, 200, "somebody else");
    assert_eq!(ask("192.0.2.2", "192.0.2.1").await.status, 200, "a stranger's word");
    assert_eq!(ask("10.0.0.1", "192.0.2.1").await.status, 429, "a proxy's word");
    assert_eq!(ask("10.0.0.1", "192.0.2.3").await.status, 200);
    let both = [ask("10.0.0.1", "").await, ask("10.0.0.1", "").await];
    assert_eq!(both.map(|answer| answer.status), [200; 2], "a proxy that names nobody");
    drop(held);
    assert_eq!(ask("192.0.2.1", "").await.status, 200, "its answer was sent");
}
