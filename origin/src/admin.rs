//! The admin port: `/metrics` for Prometheus, and what an operator does to the caches.
//!
//! ```text
//! GET  /metrics
//! POST /admin/purge?title=T&title=U                  titles, all in one purge
//! POST /admin/purge?title=T&version=V&profile=P      what agrees with all that are given
//! POST /admin/purge?all=true
//! POST /admin/warm?title=T&title=U&profile=P
//! ```
//!
//! There is no password. Counters are for whoever reaches the port; the rest is for this machine, and for
//! `origin.admin_from`. A web page may not, though its reader can reach the port: browsers say with every
//! POST which page it is from (Fetch 3.2), and such are refused.

use std::sync::Arc;

use arc_swap::ArcSwap;
use headwater_config::{Name, Network};
use headwater_packager::ids::TitleId;
use http::{Method, StatusCode, header};
use serde::Serialize;

use crate::exchange::{Answer, Request};
use crate::failure::Failure;
use crate::limits;
use crate::metrics::Metrics;
use crate::preparer::Preparer;
use crate::purges::Purges;
use crate::respond::{self, Reply};
use crate::selector::Selector;
use crate::warm::{self, Extent, WarmUps};

/// Prometheus' text format.
const EXPOSITION_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON_TYPE: &str = "application/json";
const PURGE: &str = "/admin/purge";
const WARM: &str = "/admin/warm";

/// Answers on the admin port.
pub struct Admin {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The caches, and what fills them: those of the last reload.
    pub current: Arc<ArcSwap<Preparer>>,
    /// What was purged.
    pub purges: Purges,
    /// How much a warm-up makes.
    pub extent: Extent,
    /// Who may purge and warm up beside this machine.
    pub from: Vec<Network>,
    /// Where titles are made ready.
    pub warm_ups: Arc<WarmUps>,
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
            (&Method::POST, PURGE | WARM) if !self.may_change(request) => {
                tracing::warn!(from = ?request.remote, path = request.uri.path(), "refused");
                failed(Failure::AdminRefused)
            }
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
        self.current.load().measure().await;
        respond::with_text(request, EXPOSITION_TYPE, self.metrics.exposition())
    }

    async fn purge(&self, request: &Request) -> Result<Reply, Failure> {
        let wanted = Wanted::of(request)?;
        let named = wanted.selector()?;
        let (current, purges) = (Arc::clone(&self.current), self.purges.clone());
        let from = request.remote;
        // To its end, whoever leaves.
        let purging = tokio::spawn(async move {
            let purged = Preparer::purge(&current, &purges, &named).await;
            tracing::info!(?from, ?named, ?purged, "purged");
            purged
        });
        let purged = purging.await.map_err(|error| Failure::Internal(error.to_string()))?;
        for (tier, number) in [
            ("responses", purged.responses),
            ("sources", purged.sources),
            ("versions", purged.versions),
            ("pointers", purged.pointers),
        ] {
            self.metrics.purged.with_label_values(&[tier]).inc_by(number);
        }
        Ok(told(request, &purged))
    }

    async fn warm(&self, request: &Request) -> Result<Reply, Failure> {
        let wanted = Wanted::of(request)?;
        if wanted.titles.is_empty() || wanted.version.is_some() || wanted.all {
            return Err(Failure::MalformedUrl("name titles: title=T, and profile=P for one alone"));
        }
        if let Some(name) = &wanted.profile
            && self.current.load().profiles.named(name.as_str()).is_none()
        {
            return Err(Failure::UnknownProfile);
        }
        let (current, extent, from) = (Arc::clone(&self.current), self.extent, request.remote);
        let warmed = self.warm_ups.run(async move {
            let Wanted { titles, profile, .. } = wanted;
            let warmed = warm::warm(&current, &titles, profile.as_ref(), extent).await;
            let (made, there, failed) = (warmed.made, warmed.there, warmed.failed.len());
            tracing::info!(?from, titles = titles.len(), made, there, failed, "made ready");
            warmed
        });
        Ok(told(request, &warmed.await?))
    }

    fn may_change(&self, request: &Request) -> bool {
        let from = request.remote.map(|from| from.to_canonical());
        from.is_some_and(|from| {
            from.is_loopback() || self.from.iter().any(|network| network.contains(from))
        })
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
                        "write title=T, as often as there are titles, version=V, profile=P or all=true",
                    ));
                }
            }
        }
        if wanted.titles.len() > limits::NAMED_TITLES {
            return Err(Failure::MalformedUrl("too many titles"));
        }
        Ok(wanted)
    }

    fn selector(self) -> Result<Selector, Failure> {
        let Self { titles, version, profile, all } = self;
        let named = Selector { titles: titles.into_iter().collect(), version, profile };
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
