//! The admin port: `/metrics` for Prometheus, and what an operator does to the caches.
//!
//! ```text
//! GET  /metrics
//! POST /admin/purge?title=T&version=V&profile=P      what agrees with all that are given
//! POST /admin/purge?all=true
//! POST /admin/warm?title=T&title=U&profile=P
//! ```
//!
//! There is no password: who reaches the port may do this. A web page may not, though its reader can reach it:
//! browsers say with every POST which page it is from (Fetch 3.2), and such are refused.

use std::sync::Arc;

use headwater_config::Name;
use headwater_packager::ids::TitleId;
use http::{Method, StatusCode, header};
use serde::Serialize;

use crate::exchange::{Answer, Request};
use crate::failure::Failure;
use crate::limits;
use crate::metrics::Metrics;
use crate::preparer::Preparer;
use crate::respond::{self, Reply};
use crate::selector::{Purged, Selector};
use crate::warm::{self, Extent};

/// Prometheus' text format.
const EXPOSITION_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON_TYPE: &str = "application/json";
const PURGE: &str = "/admin/purge";
const WARM: &str = "/admin/warm";

/// Answers on the admin port.
pub struct Admin {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The caches, and what fills them.
    pub preparer: Preparer,
    /// How much a warm-up makes.
    pub extent: Extent,
}

impl Admin {
    /// Answers one request.
    pub async fn answer(&self, request: &Request) -> Answer {
        let failed = |failure: Failure| respond::with_failure(request, &failure);
        let reply = match (&request.method, request.uri.path()) {
            _ if request.lacks_host => failed(Failure::HostRefused),
            _ if request.has_body => failed(Failure::BodyRefused),
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics(request).await,
            (&Method::POST, PURGE | WARM) if is_of_a_page(request) => failed(Failure::UnknownPath),
            (&Method::POST, PURGE) => self.purge(request).await.unwrap_or_else(failed),
            (&Method::POST, WARM) => self.warm(request).await.unwrap_or_else(failed),
            (_, PURGE | WARM) => failed(Failure::MethodRefused { takes_body: true }),
            (&Method::GET | &Method::HEAD, _) => failed(Failure::UnknownPath),
            _ => failed(Failure::MethodRefused { takes_body: false }),
        };
        let Reply { status, headers, body } = reply;
        Answer { status, headers, body, delivery: None }
    }

    async fn metrics(&self, request: &Request) -> Reply {
        self.preparer.cache.measure().await;
        self.preparer.sources.measure().await;
        self.preparer.titles.measure().await;
        respond::with_text(request, EXPOSITION_TYPE, self.metrics.exposition())
    }

    async fn purge(&self, request: &Request) -> Result<Reply, Failure> {
        let wanted = Wanted::of(request)?;
        let named = wanted.selector()?;
        let Preparer { cache, sources, titles, .. } = &self.preparer;
        // From the store's side on, so that nothing is made of what goes.
        let (pointers, versions) = titles.purge(&named).await;
        let sources = sources.purge(&named).await;
        let responses = cache.purge(&named).await;
        let purged = Purged { responses, sources, versions, pointers };
        for (tier, number) in [
            ("responses", responses),
            ("sources", sources),
            ("versions", versions),
            ("pointers", pointers),
        ] {
            self.metrics.purged.with_label_values(&[tier]).inc_by(number);
        }
        tracing::info!(?named, ?purged, "purged");
        Ok(told(request, &purged))
    }

    async fn warm(&self, request: &Request) -> Result<Reply, Failure> {
        let wanted = Wanted::of(request)?;
        if wanted.titles.is_empty() || wanted.version.is_some() || wanted.all {
            return Err(Failure::MalformedUrl("name titles: title=T, and profile=P for one alone"));
        }
        let only = wanted.profile.as_ref();
        let warmed = warm::warm(&self.preparer, &wanted.titles, only, self.extent).await;
        Ok(told(request, &warmed))
    }
}

/// A query's words.
#[derive(Default)]
struct Wanted {
    titles: Vec<TitleId>,
    version: Option<headwater_packager::ids::VersionId>,
    profile: Option<Name>,
    all: bool,
}

impl Wanted {
    /// Names hold nothing that is ever percent-encoded.
    fn of(request: &Request) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        let query = request.uri.query().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("title", id) => {
                    let id = id.parse();
                    wanted.titles.push(id.map_err(|_| Failure::MalformedUrl("title is no id"))?);
                }
                ("version", id) if wanted.version.is_none() => {
                    let id = id.parse();
                    wanted.version =
                        Some(id.map_err(|_| Failure::MalformedUrl("version is no id"))?);
                }
                ("profile", name) if wanted.profile.is_none() => {
                    let name = name.parse();
                    wanted.profile =
                        Some(name.map_err(|_| Failure::MalformedUrl("profile is no name"))?);
                }
                ("all", "true") => wanted.all = true,
                _ => {
                    return Err(Failure::MalformedUrl(
                        "write title=T, version=V, profile=P or all=true, each once",
                    ));
                }
            }
        }
        if wanted.titles.len() > limits::WARMED_TITLES {
            return Err(Failure::MalformedUrl("too many titles"));
        }
        Ok(wanted)
    }

    fn selector(self) -> Result<Selector, Failure> {
        let Self { mut titles, version, profile, all } = self;
        let title = titles.pop();
        if !titles.is_empty() {
            return Err(Failure::MalformedUrl("name one title at a time"));
        }
        let named = Selector { title, version, profile };
        match (all, named == Selector::default()) {
            (true, true) | (false, false) => Ok(named),
            (true, false) => Err(Failure::MalformedUrl("all=true stands alone")),
            (false, true) => {
                Err(Failure::MalformedUrl("name a title, a version or a profile, or all=true"))
            }
        }
    }
}

fn is_of_a_page(request: &Request) -> bool {
    let says = |name: &str| request.headers.contains_key(name);
    says(header::ORIGIN.as_str()) || says("sec-fetch-site")
}

fn told(request: &Request, what: &impl Serialize) -> Reply {
    let json = serde_json::to_vec(what).expect("names and numbers");
    let mut reply = respond::with_text(request, JSON_TYPE, json);
    reply.status = StatusCode::OK;
    reply
}
