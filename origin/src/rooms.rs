//! The rooms between the listeners and the store, built from a configuration; a reload builds those
//! anew whose rules changed, around what stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use headwater_config::{self as config, Config, StoreUrl};

use crate::access::tokens::Tokens;
use crate::access_log::AccessLog;
use crate::admin::Admin;
use crate::bodies::{Bodies, Bounds};
use crate::cache::ResponseCache;
use crate::clients::Clients;
use crate::delivery::Books;
use crate::edge::Edge;
use crate::filing::Filing;
use crate::gate::{Gate, Rules};
use crate::keys::KeyRing;
use crate::lag::Lag;
use crate::lifetimes::Lifetimes;
use crate::limits;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::prefetch::Prefetch;
use crate::preparer::Preparer;
use crate::profile::{self, Profiles};
use crate::protections::Protections;
use crate::purges::{Purges, Since};
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

/// Rooms under another configuration, which nobody uses yet: until then everything is as it was.
pub struct Built {
    rooms: Rooms,
    /// When what is in their caches was copied.
    since: Since,
    /// Which caches are not those of before.
    new: New,
    before: Preparer,
    fills: Rules,
    of_bodies: Bounds,
    max_lag: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct New {
    cache: bool,
    sources: bool,
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
        let purges = Purges::default();
        let terms = terms_of_titles(config);
        let titles = Titles::new(Arc::clone(&store), Arc::clone(&metrics), purges.clone(), terms);
        let gate = Gate::new("fills", fills(config), &metrics);
        let bodies = Bodies::new(of_bodies(config), Arc::clone(&metrics));
        // Behind TLS all is copied anyway.
        let is_plain = !config.origin.listen.is_empty();
        let filing = is_plain.then(|| Filing::new(Arc::clone(&bodies), &metrics));
        let cache = cache(config, &gate, &purges, &metrics).with_filing(filing);
        let sources = sources(config, &purges, &metrics);
        let spans = metrics.telemetry_spans.clone();
        let telemetry = Telemetry::open(&config.origin.telemetry, spans);
        let telemetry = Arc::new(telemetry.map_err(StartError::Telemetry)?);
        let books = Arc::new(Books { metrics, access_log, telemetry });
        let (clients, lag) = (Clients::new(), Lag::new(max_lag(config), &books.metrics));
        let kept =
            Kept { store, titles, cache, sources, bodies, gate, clients, lag, purges, books };
        Self::around(config, kept, None)
    }

    /// The rooms under another configuration. Store, books and caches stay, but for what was made
    /// under rules that no longer hold: a response in the cache was admitted when it was made, and
    /// a version was cut to every profile's segments when it was opened.
    pub fn under(&self, old: &Config, new: &Config) -> Result<Built, StartError> {
        let service = &self.service;
        let (before, books) = (&service.preparer, Arc::clone(&service.books));
        let (store, metrics) = (Arc::clone(&before.store), &books.metrics);
        let (gate, purges) = (Arc::clone(&service.gate), self.admin.purges.clone());
        let tagged_alike = old.origin.cache_tags == new.origin.cache_tags;
        let (admitted, admits) = (admission(old), admission(new));
        let admits_the_same = tagged_alike && admitted == admits;
        let is_made_alike = |key: &str| {
            let profile = key.split('/').nth(1).unwrap_or_default();
            tagged_alike && admitted.get(profile) == admits.get(profile)
        };
        let sizes = |config: &Config| {
            let origin = &config.origin;
            let lifetimes = Lifetimes::new(&config.profiles);
            (origin.cache.responses_mib, origin.prefetch.clone(), lifetimes)
        };
        let is_new = New {
            cache: !admits_the_same || sizes(old) != sizes(new),
            sources: old.origin.cache.sources_mib != new.origin.cache.sources_mib,
        };
        let carried_over = async {
            let since = purges.quiet().await;
            let (mut cache_of_now, mut sources_of_now) =
                (before.cache.clone(), before.sources.clone());
            if is_new.cache {
                cache_of_now = cache(new, &gate, &purges, metrics);
                cache_of_now = cache_of_now.with_filing(before.cache.filing());
                cache_of_now.take_over(&before.cache, since, is_made_alike).await;
            }
            if is_new.sources {
                sources_of_now = sources(new, &purges, metrics);
                sources_of_now.take_over(&before.sources, since).await;
            }
            let titles = before.titles.under(terms_of_titles(new), since).await;
            (since, cache_of_now, sources_of_now, titles)
        };
        let (since, cache, sources, titles) = aside(carried_over)?;
        let (bodies, clients) = (Arc::clone(&before.bodies), Arc::clone(&service.clients));
        let lag = Arc::clone(&service.lag);
        let kept =
            Kept { store, titles, cache, sources, bodies, gate, clients, lag, purges, books };
        let rooms = Self::around(new, kept, Some((&service.protections.ring, &self.admin)))?;
        Ok(Built {
            rooms,
            since,
            new: is_new,
            before: before.clone(),
            fills: fills(new),
            of_bodies: of_bodies(new),
            max_lag: max_lag(new),
        })
    }

    fn around(
        config: &Config,
        kept: Kept,
        before: Option<(&KeyRing, &Admin)>,
    ) -> Result<Self, StartError> {
        let Kept { store, titles, cache, sources, bodies, gate, clients, lag, purges, books } =
            kept;
        let profiles = Profiles::new(&config.profiles).map_err(StartError::Profile)?;
        let profiles = Arc::new(profiles.counted(&books.metrics));
        let no_keys = KeyRing::default();
        let ring = before.map_or(&no_keys, |(ring, _)| ring);
        let protections =
            Arc::new(Protections::open(config, ring, purges.clone()).map_err(StartError::Keys)?);
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
        let warm_up = &config.origin.warm_up;
        let (current, warm_ups) = match before {
            Some((_, admin)) => (Arc::clone(&admin.current), Arc::clone(&admin.warm_ups)),
            None => (Arc::new(ArcSwap::from_pointee(preparer.clone())), Arc::default()),
        };
        let admin = Admin {
            metrics: Arc::clone(metrics),
            current,
            purges,
            extent: Extent { segments: warm_up.segments, max_concurrent: warm_up.max_concurrent },
            from: config.origin.admin_from.clone(),
            warm_ups,
        };
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
            lag,
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

impl Built {
    /// Uses them from now on. What was purged since their caches were filled is in none of them, and the
    /// memory of caches that they do without is free.
    #[must_use]
    pub fn move_in(self) -> Rooms {
        let Self { rooms, since, new, before, fills, of_bodies, max_lag } = self;
        let now = &rooms.service.preparer;
        rooms.service.gate.set(fills);
        now.bodies.set(of_bodies);
        rooms.service.lag.set(max_lag);
        // A purge takes its number first, and looks then which caches are current.
        rooms.admin.current.store(Arc::new(now.clone()));
        let was_purged = rooms.admin.purges.since() != since;
        for (tiers, is_to_go) in [(&before, true), (now, was_purged)] {
            if new.cache && is_to_go {
                tiers.cache.empty();
            }
            if new.sources && is_to_go {
                tiers.sources.empty();
            }
        }
        if was_purged {
            now.titles.empty();
        }
        if new != (New { cache: false, sources: false })
            && let Err(error) = aside(before.measure())
        {
            tracing::error!(%error, "memory of the caches of before comes free later");
        }
        rooms
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
    lag: Arc<Lag>,
    purges: Purges,
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
    // Whoever asks for titles that are not there has each looked for.
    let rules = Rules {
        most: limits::SMALL_READS,
        most_waiting: limits::WAITING_POINTERS,
        patience: limits::POINTER_WAIT,
    };
    let pointers = Gate::new("pointers", rules, metrics);
    let metrics = Arc::clone(metrics);
    Ok(match &config.store.url {
        StoreUrl::File(folder) => {
            let store = FileStore::new(folder.clone(), max_reads);
            Arc::new(Guarded::new(store, timeout, metrics).behind(gate, pointers))
        }
        StoreUrl::S3(bucket) => {
            let store = S3Store::new(bucket, &config.store.s3, max_reads)?;
            Arc::new(Guarded::new(store, timeout, metrics).behind(gate, pointers))
        }
    })
}

fn terms_of_titles(config: &Config) -> titles::Terms {
    let cache = &config.origin.cache;
    titles::Terms {
        capacity_bytes: mib(cache.titles_mib),
        pointer_ttl: Duration::from_millis(cache.pointer_ttl_ms.into()),
        pointer_stale: Duration::from_millis(cache.pointer_stale_ms.into()),
        pointer_stale_if_error: Duration::from_secs(cache.pointer_stale_if_error_s.into()),
        not_found_ttl: Duration::from_millis(cache.not_found_ttl_ms.into()),
        cuts: profile::cuts(&config.profiles),
    }
}

/// The configured cache of titles, empty.
pub fn titles(config: &Config, store: Arc<dyn Store>, metrics: &Arc<Metrics>) -> Arc<Titles> {
    Titles::new(store, Arc::clone(metrics), Purges::default(), terms_of_titles(config))
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

fn cache(
    config: &Config,
    gate: &Arc<Gate>,
    purges: &Purges,
    metrics: &Arc<Metrics>,
) -> ResponseCache {
    let capacity_bytes = mib(config.origin.cache.responses_mib);
    let lifetimes = Lifetimes::new(&config.profiles);
    let (gate, purges) = (Arc::clone(gate), purges.clone());
    let cache = ResponseCache::new(capacity_bytes, &lifetimes, gate, purges, Arc::clone(metrics));
    match config.origin.prefetch.segments {
        0 => cache,
        _ => cache.with_ahead(mib(config.origin.prefetch.memory_mib)),
    }
}

/// Profiles but for what no response in the cache was made or admitted by.
fn admission(config: &Config) -> BTreeMap<&str, config::Profile> {
    let admission = |profile: &config::Profile| config::Profile {
        manifest_max_age_s: 0,
        manifest_stale_s: 0,
        manifest_stale_if_error_s: 0,
        cdn_cache_control: false,
        cdn_manifest_max_age_s: 0,
        cdn_manifest_stale_s: 0,
        keep_manifests_s: 0,
        keep_media_s: 0,
        cors_origins: config::CorsOrigins::Any,
        ..profile.clone()
    };
    let profiles = config.profiles.iter();
    profiles.map(|(name, profile)| (name.as_str(), admission(profile))).collect()
}

/// Does it in a thread and a runtime of its own, and waits: who reloads may be in a runtime or not.
fn aside<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, StartError> {
    let run = || -> std::io::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(runtime.block_on(work))
    };
    let done = std::thread::scope(|scope| scope.spawn(run).join());
    done.unwrap_or_else(|_| Err(std::io::Error::other("it broke off"))).map_err(StartError::Thread)
}

fn sources(config: &Config, purges: &Purges, metrics: &Arc<Metrics>) -> Sources {
    let capacity_bytes = mib(config.origin.cache.sources_mib);
    Sources::new(capacity_bytes, purges.clone(), Arc::clone(metrics))
}

/// Bytes of segments: those in the caches, and those that are being read or sent. What is only moved
/// leaves half of the latter alone.
fn of_bodies(config: &Config) -> Bounds {
    let origin = &config.origin;
    let ahead_mib = match origin.prefetch.segments {
        0 => 0,
        _ => origin.prefetch.memory_mib,
    };
    let being_sent_bytes = mib(origin.limits.max_body_mib);
    Bounds {
        most_bytes: mib(origin.cache.responses_mib) + mib(ahead_mib) + being_sent_bytes,
        spare_bytes: being_sent_bytes / 2,
    }
}

fn max_lag(config: &Config) -> Duration {
    Duration::from_millis(config.origin.limits.max_lag_ms.into())
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
