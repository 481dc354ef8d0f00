//! One fill for all who ask at the same time, whoever goes away.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_config::AccessLog as Target;
use headwater_origin::access_log::AccessLog;
use headwater_origin::metrics::Metrics;
use headwater_origin::rooms::{self, Rooms};
use headwater_origin::service::Service;
use headwater_origin::store::{Guarded, Key, Small, Stamp, Store, StoreError};
use headwater_packager::ids::TitleId;
use http::Method;

use crate::common::{Stored, VERSION, request};

/// A store that takes its time and counts.
struct Slow {
    store: Arc<dyn Store>,
    media_reads: AtomicU32,
    heads_reads: AtomicU32,
}

#[async_trait]
impl Store for Slow {
    async fn read_range(&self, key: &Key, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        self.media_reads.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.store.read_range(key, bytes).await
    }

    async fn read_small(
        &self,
        key: &Key,
        max_bytes: u64,
        known: Option<&Stamp>,
    ) -> Result<Small, StoreError> {
        self.heads_reads.fetch_add(1, Ordering::SeqCst);
        let is_stuck = key.as_str().contains("/stuck/");
        tokio::time::sleep(Duration::from_millis(if is_stuck { 60_000 } else { 50 })).await;
        self.store.read_small(key, max_bytes, known).await
    }

    async fn list_titles(&self, max: usize) -> Result<Vec<TitleId>, StoreError> {
        self.store.list_titles(max).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.store.probe().await
    }
}

fn slow(stored: &Stored) -> (Arc<Service>, Arc<Slow>) {
    slow_with_log(stored, &Target::Off)
}

fn slow_with_log(stored: &Stored, log: &Target) -> (Arc<Service>, Arc<Slow>) {
    let mut config = stored.config("");
    config.origin.cache.pointer_ttl_ms = 10_000;
    let metrics = Arc::new(Metrics::new());
    let store = rooms::store(&config, &metrics).unwrap();
    let slow =
        Arc::new(Slow { store, media_reads: AtomicU32::new(0), heads_reads: AtomicU32::new(0) });
    let log = AccessLog::open(log, metrics.access_log_dropped.clone()).unwrap();
    let store: Arc<dyn Store> = Arc::clone(&slow) as _;
    (Rooms::with_store(&config, store, metrics, log).unwrap().service, slow)
}

async fn status(service: &Service, path: &str) -> u16 {
    let request = request(Method::GET, path, &[]);
    let answer = service.answer(&request, Instant::now(), SystemTime::now()).await;
    answer.status.as_u16()
}

fn segment_path(service: &Service) -> String {
    let rev = service.profiles.named("clear").unwrap().rev(None);
    format!("/clear/movie/{VERSION}.{rev}/v720/2.m4s")
}

#[tokio::test]
async fn two_hundred_cold_requests_are_one_read_of_each_thing() {
    let stored = Stored::with_movie();
    let (service, store) = slow(&stored);
    let path = segment_path(&service);
    let asks: Vec<_> = (0..200)
        .map(|_| {
            let (service, path) = (Arc::clone(&service), path.clone());
            tokio::spawn(async move { status(&service, &path).await })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap(), 200);
    }
    assert_eq!(store.media_reads.load(Ordering::SeqCst), 1);
    assert_eq!(store.heads_reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_first_to_ask_may_go_at_any_moment() {
    // In the heads' read, in the segment's.
    for patience_ms in [25, 150] {
        let stored = Stored::with_movie();
        let (service, store) = slow(&stored);
        let path = segment_path(&service);
        let patience = Duration::from_millis(patience_ms);
        let gone = tokio::time::timeout(patience, status(&service, &path)).await;
        assert!(gone.is_err(), "{patience_ms}");
        assert_eq!(status(&service, &path).await, 200, "{patience_ms}");
        assert_eq!(store.media_reads.load(Ordering::SeqCst), 1, "{patience_ms}");
        assert_eq!(store.heads_reads.load(Ordering::SeqCst), 1, "{patience_ms}");
    }
}

#[tokio::test]
async fn a_fill_ends_when_nobody_waits_any_more() {
    let stored = Stored::with_movie();
    let (service, store) = slow(&stored);
    let path = segment_path(&service);
    let gone = tokio::time::timeout(Duration::from_millis(150), status(&service, &path)).await;
    assert!(gone.is_err());
    let metrics = &service.books.metrics;
    let start = Instant::now();
    while metrics.cache_fills.with_label_values(&["kept"]).get() == 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "the fill was given up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status(&service, &path).await, 200);
    assert_eq!(metrics.cache_lookups.with_label_values(&["hit"]).get(), 1);
    assert_eq!(store.media_reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_leaves_before_the_answer_is_no_failed_answer() {
    let stored = Stored::with_movie();
    let log = stored.folder.path().join("access.log");
    let (service, _) = slow_with_log(&stored, &Target::File(log.clone()));
    let path = segment_path(&service);
    let gone = tokio::time::timeout(Duration::from_millis(25), status(&service, &path)).await;
    assert!(gone.is_err());
    service.books.access_log.finish(Duration::from_secs(20));
    let line = std::fs::read_to_string(log).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["status"], &line["error"]), (&499.into(), &"client_gone".into()));
    assert_eq!((&line["title"], &line["bytes"]), (&"movie".into(), &0.into()));
    let metrics = &service.books.metrics;
    assert_eq!(metrics.requests.with_label_values(&["segment", "499"]).get(), 1);
    assert_eq!(metrics.failures.with_label_values(&["client_gone"]).get(), 1);
    let exposed = String::from_utf8(metrics.exposition()).unwrap();
    assert!(!exposed.contains("kind=\"\""), "each request has a kind: {exposed}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_in_time_is_a_504_and_forgotten() {
    let stored = Stored::with_movie();
    let config = stored.config("");
    let metrics = Arc::new(Metrics::new());
    let slow = Slow {
        store: rooms::store(&config, &metrics).unwrap(),
        media_reads: AtomicU32::new(0),
        heads_reads: AtomicU32::new(0),
    };
    // Enough for heads, too little for media.
    let guarded = Guarded::new(slow, Duration::from_millis(150), Arc::clone(&metrics));
    let log = AccessLog::open(&Target::Off, metrics.access_log_dropped.clone()).unwrap();
    let service =
        Rooms::with_store(&config, Arc::new(guarded), Arc::clone(&metrics), log).unwrap().service;
    let path = segment_path(&service);
    for _ in 0..2 {
        let request = request(Method::GET, &path, &[]);
        let answer = service.answer(&request, Instant::now(), SystemTime::now()).await;
        assert_eq!(answer.status.as_u16(), 504);
        assert_eq!(answer.headers["retry-after"], "2");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    assert_eq!(metrics.store_errors.with_label_values(&["timeout"]).get(), 2);
}

#[tokio::test]
async fn a_list_of_titles_opens_many_at_once_and_leaves_out_what_is_stuck() {
    let stored = Stored::with_movie();
    // One by one these take 8 s, more than a list is waited for.
    for n in 0..80 {
        stored.publish(&format!("title-{n:02}"), VERSION, None);
    }
    stored.publish("stuck", VERSION, None);
    let (service, _) = slow(&stored);
    let request = request(Method::GET, "/titles.json", &[]);
    let answer = service.answer(&request, Instant::now(), SystemTime::now()).await;
    let list: serde_json::Value = serde_json::from_slice(&answer.body.parts().concat()).unwrap();
    let ids: Vec<_> =
        list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 81, "{ids:?}");
    assert!(ids.is_sorted() && !ids.contains(&"stuck"));
}
