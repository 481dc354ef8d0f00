//! The rooms between the listeners and the store, built from a configuration; a reload builds those
//! anew whose rules changed, around what stays.

use std::sync::Arc;
use std::time::Duration;

use headwater_config::{Config, StoreUrl};

use crate::access::tokens::Tokens;
use crate::access_log::AccessLog;
use crate::admin::Admin;
use crate::bodies::Bodies;
use crate::cache::ResponseCache;
use crate::delivery::Books;
use crate::edge::Edge;
use crate::keys::KeyRing;
use crate::limits;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::profile::{self, Profiles};
use crate::protections::Protections;
use crate::recent::Recent;
use crate::service::Service;
use crate::start_error::StartError;
use crate::store::{FileStore, Guarded, S3Store, Store, StoreError};
use crate::telemetry::Telemetry;
use crate::titles::{self, Titles};
use crate::tls::Tls;

/// Everything between the listeners and the store.
#[derive(Clone)]
pub struct Rooms {
    /// Answers players and CDNs.
    pub service: Arc<Service>,
    /// Answers on the admin port.
    pub admin: Arc<Admin>,
}

impl Rooms {
    /// Builds every room; the access log is opened, and the thread that exports spans
    /// started where a collector is named; nothing else is touched.
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let dropped = metrics.access_log_dropped.clone();
        let access_log = AccessLog::open(&config.origin.access_log, dropped).map_err(|error| {
            StartError::AccessLog(config.origin.access_log.clone().into(), error)
        })?;
        let store = store(config, &metrics).map_err(StartError::Store)?;
        Self::with_store(config, store, metrics, access_log)
    }

    /// The rooms around a store.
    pub fn with_store(
        config: &Config,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        access_log: AccessLog,
    ) -> Result<Self, StartError> {
        let titles = titles(config, Arc::clone(&store), &metrics);
        let cache = cache(config, &metrics);
        let bodies = bodies(config, &metrics);
        let spans = metrics.telemetry_spans.clone();
        let telemetry = Telemetry::open(&config.origin.telemetry, spans);
        let telemetry = Arc::new(telemetry.map_err(StartError::Telemetry)?);
        let books = Arc::new(Books { metrics, access_log, telemetry });
        Self::around(config, store, titles, cache, bodies, books, &KeyRing::default())
    }

    /// The rooms under another configuration. Store, books and caches stay, but for what was made
    /// under rules that no longer hold: a response in the cache was admitted when it was made, and
    /// a version was cut to every profile's segments when it was opened.
    pub fn under(&self, old: &Config, new: &Config) -> Result<Self, StartError> {
        let service = &self.service;
        let books = Arc::clone(&service.books);
        let cuts = |config: &Config| profile::cuts(&config.profiles);
        let keeps_titles = cuts(old) == cuts(new) && old.origin.cache == new.origin.cache;
        let titles = if keeps_titles {
            Arc::clone(&service.titles)
        } else {
            titles(new, Arc::clone(&service.store), &books.metrics)
        };
        let cache = if old.profiles == new.profiles {
            service.cache.clone()
        } else {
            cache(new, &books.metrics)
        };
        let bodies = Arc::clone(&service.bodies);
        let ring = &service.protections.ring;
        Self::around(new, Arc::clone(&service.store), titles, cache, bodies, books, ring)
    }

    fn around(
        config: &Config,
        store: Arc<dyn Store>,
        titles: Arc<Titles>,
        cache: ResponseCache,
        bodies: Arc<Bodies>,
        books: Arc<Books>,
        before: &KeyRing,
    ) -> Result<Self, StartError> {
        let profiles = Profiles::new(&config.profiles).map_err(StartError::Profile)?;
        let protections = Protections::open(config, before).map_err(StartError::Keys)?;
        let tokens = Tokens::open(&config.origin.tokens).map_err(StartError::Tokens)?;
        let metrics = &books.metrics;
        let admin = Admin {
            metrics: Arc::clone(metrics),
            cache: cache.clone(),
            titles: Arc::clone(&titles),
        };
        let service = Service {
            profiles,
            protections,
            tokens: Arc::new(tokens),
            titles,
            cache,
            bodies,
            store,
            page: config.origin.page.then(Page::embedded),
            books,
            edge: Edge::new(&config.origin),
            max_uri_bytes: count(config.origin.limits.max_uri_bytes),
            ready: Recent::new(limits::LOOK_TTL),
            listed: Recent::new(limits::LOOK_TTL),
        };
        Ok(Self { service: Arc::new(service), admin: Arc::new(admin) })
    }
}

/// The configured store, behind its time limit and counters.
///
/// # Errors
/// Where what is needed to reach it cannot be read. The store itself is not asked.
pub fn store(config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<dyn Store>, StoreError> {
    let reads = &config.origin.store;
    let max_reads = count(reads.max_concurrent_reads);
    let timeout = Duration::from_millis(reads.read_timeout_ms.into());
    let metrics = Arc::clone(metrics);
    Ok(match &config.store.url {
        StoreUrl::File(folder) => {
            Arc::new(Guarded::new(FileStore::new(folder.clone(), max_reads), timeout, metrics))
        }
        StoreUrl::S3(bucket) => {
            let store = S3Store::new(bucket, &config.store.s3, max_reads)?;
            Arc::new(Guarded::new(store, timeout, metrics))
        }
    })
}

/// The configured cache of titles.
pub fn titles(config: &Config, store: Arc<dyn Store>, metrics: &Arc<Metrics>) -> Arc<Titles> {
    let cache = &config.origin.cache;
    let terms = titles::Terms {
        capacity_bytes: mib(cache.titles_mib),
        pointer_ttl: Duration::from_millis(cache.pointer_ttl_ms.into()),
        not_found_ttl: Duration::from_millis(cache.not_found_ttl_ms.into()),
        cuts: profile::cuts(&config.profiles),
    };
    Titles::new(store, Arc::clone(metrics), terms)
}

/// TLS, where anything speaks it.
pub fn tls(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<Tls>>, StartError> {
    let settings = &config.origin.tls;
    if settings.listen.is_empty() {
        return Ok(None);
    }
    let tls = Tls::new(settings, Arc::clone(metrics)).map_err(StartError::Certificate)?;
    Ok(Some(Arc::new(tls)))
}

fn cache(config: &Config, metrics: &Arc<Metrics>) -> ResponseCache {
    ResponseCache::new(mib(config.origin.cache.responses_mib), Arc::clone(metrics))
}

fn bodies(config: &Config, metrics: &Arc<Metrics>) -> Arc<Bodies> {
    let origin = &config.origin;
    let most_bytes = mib(origin.cache.responses_mib) + mib(origin.limits.max_body_mib);
    Bodies::new(most_bytes, Arc::clone(metrics))
}

fn mib(mib: u32) -> u64 {
    u64::from(mib) * 1024 * 1024
}

/// A configured number as a count.
pub fn count(number: u32) -> usize {
    usize::try_from(number).expect("usize has at least 32 bits here")
}
