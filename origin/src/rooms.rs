//! The rooms between the listeners and the store, built from a configuration; a reload builds those
//! anew whose rules changed, around what stays.

use std::sync::Arc;
use std::time::Duration;

use headwater_config::{Config, StoreUrl};

use crate::access::tokens::Tokens;
use crate::access_log::AccessLog;
use crate::admin::Admin;
use crate::ahead::Ahead;
use crate::bodies::Bodies;
use crate::cache::{Lifetimes, ResponseCache};
use crate::clients::Clients;
use crate::delivery::Books;
use crate::edge::Edge;
use crate::gate::{Gate, Rules};
use crate::keys::KeyRing;
use crate::limits;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::prefetch::Prefetch;
use crate::preparer::Preparer;
use crate::profile::{self, Profiles};
use crate::protections::Protections;
use crate::recent::Recent;
use crate::service::Service;
use crate::sources::Sources;
use crate::start_error::StartError;
use crate::store::{FileStore, Guarded, S3Store, Store, StoreError};
use crate::telemetry::Telemetry;
use crate::titles::{self, Titles};
use crate::tls::Tls;
use crate::warm::Extent;

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
        let gate = Gate::new("fills", fills(config), &metrics);
        let cache = cache(config, &gate, &metrics);
        let sources = sources(config, &metrics);
        let bodies = Bodies::new(most_bodies(config), Arc::clone(&metrics));
        let spans = metrics.telemetry_spans.clone();
        let telemetry = Telemetry::open(&config.origin.telemetry, spans);
        let telemetry = Arc::new(telemetry.map_err(StartError::Telemetry)?);
        let books = Arc::new(Books { metrics, access_log, telemetry });
        let clients = Clients::new();
        let kept = Kept { store, titles, cache, sources, bodies, gate, clients, books };
        Self::around(config, kept, &KeyRing::default())
    }

    /// The rooms under another configuration. Store, books and caches stay, but for what was made
    /// under rules that no longer hold: a response in the cache was admitted when it was made, and
    /// a version was cut to every profile's segments when it was opened.
    pub fn under(&self, old: &Config, new: &Config) -> Result<Self, StartError> {
        let service = &self.service;
        let (before, books) = (&service.preparer, Arc::clone(&service.books));
        let (store, metrics) = (Arc::clone(&before.store), &books.metrics);
        let of_titles = |config: &Config| {
            let sizes =
                headwater_config::Cache { responses_mib: 0, sources_mib: 0, ..config.origin.cache };
            (profile::cuts(&config.profiles), sizes)
        };
        let titles = if of_titles(old) == of_titles(new) {
            Arc::clone(&before.titles)
        } else {
            titles(new, Arc::clone(&store), metrics)
        };
        let gate = Arc::clone(&service.gate);
        gate.set(fills(new));
        let of_responses =
            |config: &Config| (config.origin.cache.responses_mib, config.origin.prefetch.clone());
        let cache = if old.profiles != new.profiles {
            cache(new, &gate, metrics)
        } else if of_responses(old) != of_responses(new) {
            resized(&before.cache, cache(new, &gate, metrics))?
        } else {
            before.cache.clone()
        };
        let sources = if old.origin.cache.sources_mib == new.origin.cache.sources_mib {
            before.sources.clone()
        } else {
            sources(new, metrics)
        };
        let bodies = Arc::clone(&before.bodies);
        bodies.set(most_bodies(new));
        let clients = Arc::clone(&service.clients);
        let kept = Kept { store, titles, cache, sources, bodies, gate, clients, books };
        Self::around(new, kept, &service.protections.ring)
    }

    fn around(config: &Config, kept: Kept, before: &KeyRing) -> Result<Self, StartError> {
        let Kept { store, titles, cache, sources, bodies, gate, clients, books } = kept;
        let profiles = Profiles::new(&config.profiles).map_err(StartError::Profile)?;
        let profiles = Arc::new(profiles.counted(&books.metrics));
        let protections = Arc::new(Protections::open(config, before).map_err(StartError::Keys)?);
        let tokens = Tokens::open(&config.origin.tokens).map_err(StartError::Tokens)?;
        let metrics = &books.metrics;
        let edge = Edge::new(&config.origin);
        let preparer = Preparer {
            profiles: Arc::clone(&profiles),
            protections: Arc::clone(&protections),
            titles: Arc::clone(&titles),
            cache: cache.clone(),
            bodies,
            sources,
            chains: Arc::default(),
            store: Arc::clone(&store),
            tag_fields: edge.tag_fields.clone(),
            metrics: Arc::clone(metrics),
        };
        let (preparer_of_admin, metrics) = (preparer.clone(), Arc::clone(metrics));
        let warm_up = &config.origin.warm_up;
        let extent = Extent { segments: warm_up.segments, max_concurrent: warm_up.max_concurrent };
        let admin = Admin { metrics, preparer: preparer_of_admin, extent };
        let service = Service {
            profiles,
            protections,
            tokens: Arc::new(tokens),
            titles,
            cache,
            preparer,
            prefetch: Prefetch::new(&config.origin.prefetch),
            gate,
            clients,
            max_client_requests: config.origin.limits.max_client_requests,
            store,
            page: config.origin.page.then(Page::embedded),
            books,
            edge,
            max_uri_bytes: count(config.origin.limits.max_uri_bytes),
            ready: Recent::new(limits::LOOK_TTL),
            listed: Recent::new(limits::LOOK_TTL),
        };
        Ok(Self { service: Arc::new(service), admin: Arc::new(admin) })
    }
}

/// What a reload keeps.
struct Kept {
    store: Arc<dyn Store>,
    titles: Arc<Titles>,
    cache: ResponseCache,
    sources: Sources,
    bodies: Arc<Bodies>,
    gate: Arc<Gate>,
    clients: Arc<Clients>,
    books: Arc<Books>,
}

/// The configured store, behind its time limit, its turns and counters.
///
/// # Errors
/// Where what is needed to reach it cannot be read. The store itself is not asked.
pub fn store(config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<dyn Store>, StoreError> {
    let reads = &config.origin.store;
    let max_reads = count(reads.max_concurrent_reads);
    let timeout = Duration::from_millis(reads.read_timeout_ms.into());
    let rules = Rules {
        most: max_reads,
        most_waiting: count(reads.max_waiting_reads),
        patience: Duration::from_millis(reads.read_wait_ms.into()),
    };
    let gate = Gate::new("reads", rules, metrics);
    let places = max_reads + limits::READS_WITHOUT_TURN;
    let metrics = Arc::clone(metrics);
    Ok(match &config.store.url {
        StoreUrl::File(folder) => {
            let store = FileStore::new(folder.clone(), places);
            Arc::new(Guarded::new(store, timeout, metrics).behind(gate))
        }
        StoreUrl::S3(bucket) => {
            let store = S3Store::new(bucket, &config.store.s3, places)?;
            Arc::new(Guarded::new(store, timeout, metrics).behind(gate))
        }
    })
}

/// The configured cache of titles.
pub fn titles(config: &Config, store: Arc<dyn Store>, metrics: &Arc<Metrics>) -> Arc<Titles> {
    let cache = &config.origin.cache;
    let terms = titles::Terms {
        capacity_bytes: mib(cache.titles_mib),
        pointer_ttl: Duration::from_millis(cache.pointer_ttl_ms.into()),
        pointer_stale: Duration::from_millis(cache.pointer_stale_ms.into()),
        pointer_stale_if_error: Duration::from_secs(cache.pointer_stale_if_error_s.into()),
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

fn cache(config: &Config, gate: &Arc<Gate>, metrics: &Arc<Metrics>) -> ResponseCache {
    let capacity_bytes = mib(config.origin.cache.responses_mib);
    let lifetimes = Lifetimes::new(&config.profiles);
    let ahead = Ahead::new(mib(config.origin.prefetch.memory_mib), Arc::clone(metrics));
    ResponseCache::new(capacity_bytes, &lifetimes, Arc::clone(gate), Arc::clone(metrics))
        .with_ahead((config.origin.prefetch.segments > 0).then_some(ahead))
}

/// A new cache with what another has. In a thread and a runtime of its own: nobody serves before it is
/// done, and who reloads may be in a runtime or not.
fn resized(before: &ResponseCache, cache: ResponseCache) -> Result<ResponseCache, StartError> {
    let copy = || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(cache.take_over(before));
        Ok(())
    };
    let copied = std::thread::scope(|scope| scope.spawn(copy).join());
    copied
        .unwrap_or_else(|_| Err(std::io::Error::other("it broke off")))
        .map_err(StartError::Thread)?;
    Ok(cache)
}

fn sources(config: &Config, metrics: &Arc<Metrics>) -> Sources {
    Sources::new(mib(config.origin.cache.sources_mib), Arc::clone(metrics))
}

/// Bytes of segments: those in the caches, and those that are being read or sent.
fn most_bodies(config: &Config) -> u64 {
    let origin = &config.origin;
    let ahead_mib = match origin.prefetch.segments {
        0 => 0,
        _ => origin.prefetch.memory_mib,
    };
    mib(origin.cache.responses_mib) + mib(ahead_mib) + mib(origin.limits.max_body_mib)
}

/// How responses take turns.
fn fills(config: &Config) -> Rules {
    let limits = &config.origin.limits;
    Rules {
        most: count(limits.max_concurrent_fills),
        most_waiting: count(limits.max_waiting_fills),
        patience: Duration::from_millis(limits.fill_wait_ms.into()),
    }
}

fn mib(mib: u32) -> u64 {
    u64::from(mib) * 1024 * 1024
}

/// A configured number as a count.
pub fn count(number: u32) -> usize {
    usize::try_from(number).expect("usize has at least 32 bits here")
}
