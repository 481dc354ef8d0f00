//! The life of a request, and nothing else.
//!
//! ```text
//! request -> route -> OPTIONS answered -> profile and access, rev and format -> response cache
//!         -> opened title, admitted? -> plan -> store, checked -> cache -> respond
//!                                   `-> keys, for whom they may be told: kept nowhere
//! ```
//!
//! Nothing here knows a codec or looks at a clock: `now` comes in.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use headwater_config::{Format, PropagateQuery};
use headwater_packager::ids::{TitleId, VersionId};
use http::{HeaderValue, Method, header};

use crate::access::carrier::{self, Carrier};
use crate::access::child::Parent;
use crate::access::gate::{KeysOf, Moment, Of, Pass, Visit};
use crate::access::policy::Enforcer;
use crate::access::propagate::Along;
use crate::access::scope::{PathScope, SessionId};
use crate::access::tokens::Tokens;
use crate::cache::ResponseCache;
use crate::cache_status::CACHE_STATUS;
use crate::cache_tags::Tags;
use crate::cdn_loop;
use crate::clients::Clients;
use crate::coding;
use crate::delivery::{About, Books, CacheUse, Caller, Delivery};
use crate::edge::Edge;
use crate::exchange::{Answer, Request};
use crate::failure::{Cause, Failure, Part};
use crate::gate::Gate;
use crate::lag::Lag;
use crate::make::{self, Planned, Served};
use crate::page::Page;
use crate::prefetch::Prefetch;
use crate::preparer::{Preparer, live_key};
use crate::profile::{Profile, Profiles};
use crate::protections::Protections;
use crate::purges::Since;
use crate::recent::Recent;
use crate::representation::{Facts, Representation};
use crate::respond::{self, Lifetime, Reply, Verdict};
use crate::route::{Manifest, NotRouted, Resource, Route, SESSION};
use crate::slices::Slices;
use crate::store::{Key, Store};
use crate::title_list;
use crate::titles::{Opened, Titles};
use crate::trace::REQUEST_ID;

const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Answers requests.
pub struct Service {
    /// Delivery policies.
    pub profiles: Arc<Profiles>,
    /// Their titles under keys.
    pub protections: Arc<Protections>,
    /// What viewers of protected profiles show.
    pub tokens: Arc<Tokens>,
    /// Pointers and opened versions.
    pub titles: Arc<Titles>,
    /// Responses in memory.
    pub cache: ResponseCache,
    /// Makes what viewers share.
    pub preparer: Preparer,
    /// Makes what is asked for next, where that is wanted.
    pub prefetch: Option<Prefetch>,
    /// Where what is made for one viewer takes its turn; the response cache has the same.
    pub gate: Arc<Gate>,
    /// How much each client has at a time.
    pub clients: Arc<Clients>,
    /// How late the serving threads are.
    pub lag: Arc<Lag>,
    /// How much that may be; 0 for any.
    pub max_client_requests: u32,
    /// Where media is read from.
    pub store: Arc<dyn Store>,
    /// The player page, where it is on.
    pub page: Option<Page>,
    /// Metrics and access log.
    pub books: Arc<Books>,
    /// Proxies and CDNs in front.
    pub edge: Edge,
    /// Longest path and query.
    pub max_uri_bytes: usize,
    /// The last look at whether the store can be read.
    pub ready: Recent<Result<(), Failure>>,
    /// The last list of titles.
    pub listed: Recent<Result<Arc<Representation>, Failure>>,
}

impl Service {
    /// Answers one request that arrived `now`; the wall clock's `at` is for the log and for what
    /// tokens say of time.
    pub async fn answer(&self, request: &Request, now: Instant, at: SystemTime) -> Answer {
        let caller = Caller::of(request, &self.edge.trust);
        let request_id = caller.request_id.clone();
        // Boxed, for it goes a long way: through the codec to the last byte.
        let mut delivery = Box::new(Delivery::open(&self.books, request, caller, now, at));
        let route = self.route(request);
        // Before anything is waited for: whoever leaves meanwhile is accounted for too.
        delivery.about.kind = route.as_ref().map_or("unrouted", Route::kind);
        delivery.about.route = route.as_ref().ok().map(Route::template);
        let within = delivery.within();
        let reply = match &route {
            Ok(route) => {
                let about = &mut delivery.about;
                let serve = self.serve(request, route, Moment::new(now, at), about);
                let reply = within.run(serve).await;
                reply.map(|reply| self.with_cache_status(reply, about.cache))
            }
            Err(_) if request.asks_for_options_of_all() => Ok(respond::preflight(false)),
            Err(failure) => Err(failure.clone()),
        };
        let mut reply = reply.unwrap_or_else(|failure| {
            delivery.about.error = Some(failure.row().error);
            delivery.about.reason = failure.reason();
            respond::with_failure(request, &failure)
        });
        let profile = route.as_ref().ok().and_then(|route| self.profile_of(route));
        let of_profile = profile.map(|profile| &profile.settings.cors_origins);
        let origins = of_profile.unwrap_or_else(|| self.profiles.cors_origins());
        respond::allow_pages(&mut reply.headers, origins, request);
        if let Some(profile) = profile {
            profile.access.seal(&mut reply.headers);
            if profile.settings.protection.is_of_sessions() {
                respond::keep_nowhere(&mut reply.headers);
            }
        }
        reply.headers.insert(&REQUEST_ID, request_id);
        delivery.answered(reply.status);
        let Reply { status, headers, body } = reply;
        Answer { status, headers, body, delivery: Some(delivery) }
    }

    fn route<'a>(&self, request: &'a Request) -> Result<Route<'a>, Failure> {
        if request.lacks_host {
            return Err(Failure::HostRefused);
        }
        let len_bytes = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if len_bytes > self.max_uri_bytes {
            return Err(Failure::UrlTooLong);
        }
        cdn_loop::check(request, self.edge.name.as_str())?;
        let (token, path) = carrier::split(request.uri.path());
        let route = Route::parse(path).map_err(|not_routed| match not_routed {
            NotRouted::Malformed(why) => Failure::MalformedUrl(why),
            NotRouted::Unknown => Failure::UnknownPath,
        })?;
        // Nothing but what a profile serves has a second spelling, with a token.
        if token.is_some() && route.profile().is_none() {
            return Err(Failure::UnknownPath);
        }
        Ok(route)
    }

    async fn serve(
        &self,
        request: &Request,
        route: &Route<'_>,
        moment: Moment,
        about: &mut About,
    ) -> Result<Reply, Failure> {
        let now = moment.now;
        let takes_body = matches!(route, Route::Versioned { resource: Resource::ClearKey, .. });
        match request.method {
            Method::OPTIONS => {}
            Method::POST if takes_body => {}
            Method::GET | Method::HEAD if !takes_body => {}
            _ => return Err(Failure::MethodRefused { takes_body }),
        }
        if request.has_body {
            return Err(Failure::BodyRefused);
        }
        if request.method == Method::OPTIONS {
            return Ok(respond::preflight(takes_body));
        }
        match route {
            Route::Page => self.page(request, "").await,
            Route::Asset(name) => self.page(request, name).await,
            Route::TitleList => self.title_list(request, now).await,
            Route::Health => Ok(respond::with_text(request, TEXT_TYPE, "ok\n")),
            Route::Ready => self.readiness(request, now).await,
            Route::Live { profile, title, manifest } => {
                about.title = Some(title.clone());
                about.seat = self.seat(request)?;
                let mut asked = self.asked(request, route, profile, title, moment).await?;
                let cookie = asked.pass.cookie.take();
                let reply = self.live(request, &asked, *manifest, now, about).await?;
                Ok(self.with_session(reply, cookie))
            }
            Route::Versioned { profile, title, version, rev, resource, session: _ } => {
                about.title = Some(title.clone());
                about.version = Some(*version);
                about.seat = self.seat(request)?;
                let mut asked = self.asked(request, route, profile, title, moment).await?;
                let cookie = asked.pass.cookie.take();
                if *rev != self.protections.rev(asked.profile, title) {
                    return Err(Failure::UnknownRev);
                }
                let reply =
                    self.versioned(request, &asked, *version, resource, moment, about).await?;
                Ok(self.with_session(reply, cookie))
            }
        }
    }

    /// What is asked for, by somebody who may have it as far as the request alone can tell.
    async fn asked<'a>(
        &'a self,
        request: &'a Request,
        route: &'a Route<'_>,
        name: &'a str,
        title: &'a TitleId,
        moment: Moment,
    ) -> Result<Asked<'a>, Failure> {
        let since = self.cache.since();
        let profile = self.profiles.named(name).ok_or(Failure::UnknownProfile)?;
        let (_, path) = carrier::split(request.uri.path());
        let (trust, access, of) = (&self.edge.trust, &profile.access, Of::route(route));
        let keys = KeysOf::route(route, profile.settings.protection.is_of_sessions())?;
        let visit = Visit { request, trust, path, profile: name, access, title, of, keys };
        let pass = visit.admit(&self.tokens, &self.titles, moment).await?;
        Ok(Asked { since, profile_name: name, profile, title, path, pass, keys })
    }

    /// A manifest of the live version; what it refers to is bound to that version.
    async fn live(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        manifest: Manifest,
        now: Instant,
        about: &mut About,
    ) -> Result<Reply, Failure> {
        asked.check_offers(&Resource::Manifest(manifest))?;
        let pointer = self.titles.pointer(asked.title, now).await?;
        if pointer.deleted || !asked.admits(pointer.access_class.as_deref()) {
            return Err(Failure::UnknownTitle);
        }
        let version = pointer.live.ok_or(Failure::NothingLive)?;
        about.version = Some(version);
        let rev = self.protections.rev(asked.profile, asked.title);
        let own = asked.session().map(|id| format!("{SESSION}{id}/")).unwrap_or_default();
        let prefix = format!("{version}.{rev}/{own}");
        if let Some(parent) = &asked.pass.parent {
            let folder = format!("/{}/{}/{prefix}", asked.profile_name, asked.title);
            return self.handed_on(request, parent, &folder, &manifest.to_string());
        }
        let key = live_key(asked.path, &prefix);
        let is_shared = asked.session().is_none();
        if is_shared && let Some(kept) = self.looked_up(asked, &key).await {
            about.cache = CacheUse::Hit;
            return self.manifest(request, asked, (&key, manifest.format()), &kept).await;
        }
        about.cache = CacheUse::MISS;
        let opened = self.opened_live(asked.title, version, now).await?;
        if !asked.admits(opened.title.access_class()) {
            return Err(Failure::UnknownTitle);
        }
        let served = self.served(asked, opened).await?;
        let tags = self.edge.tag_fields.of(asked.profile_name, asked.title, version);
        if !is_shared {
            let made = served.manifest(manifest, &prefix);
            return self.own_manifest(request, asked, manifest.format(), made).await;
        }
        let make = async move { Ok(served.manifest(manifest, &prefix).tagged(tags)) };
        let (made, used) = self.cache.fill(&key, asked.since, make).await?;
        about.cache = used;
        self.manifest(request, asked, (&key, manifest.format()), &made).await
    }

    /// A version as the asked profile serves it.
    async fn served(&self, asked: &Asked<'_>, opened: Arc<Opened>) -> Result<Served, Failure> {
        self.preparer.served(asked.profile, (opened, asked.since), asked.session()).await
    }

    /// A live version must be there: its pointer was written last.
    async fn opened_live(
        &self,
        title: &TitleId,
        version: VersionId,
        now: Instant,
    ) -> Result<Arc<Opened>, Failure> {
        self.titles.opened(title, version, now).await.map_err(|failure| match failure {
            Failure::UnknownVersion => {
                let key = Key::heads(title, version).to_string();
                let detail = "title.json calls this version live, but it has no heads".to_owned();
                let missing = Failure::SourceDamaged(Cause { part: Part::Heads, key, detail });
                missing.report(&self.books.metrics);
                missing
            }
            other => other,
        })
    }

    /// A resource bound to a version. Heads say whether the profile serves the title, so the
    /// pointer is not read; what is in the cache was admitted when it was made, for the same
    /// profile, title and version.
    async fn versioned(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        version: VersionId,
        resource: &Resource,
        moment: Moment,
        about: &mut About,
    ) -> Result<Reply, Failure> {
        asked.check_offers(resource)?;
        let path = asked.path;
        if let Some(parent) = &asked.pass.parent
            && let Some((folder, file)) = path.rsplit_once('/')
        {
            return self.handed_on(request, parent, folder, file);
        }
        if matches!(resource, Resource::Segment(..)) && self.lag.is_too_much() {
            let refused = &self.books.metrics.turns_refused;
            refused.with_label_values(&["processors", "late"]).inc();
            Failure::Overloaded.report(&self.books.metrics);
            return Err(Failure::Overloaded);
        }
        let is_shared = asked.session().is_none();
        if is_shared {
            self.follow(request, asked, version, resource, moment.now).await;
        }
        if is_shared && let Some(kept) = self.looked_up(asked, path).await {
            about.cache = CacheUse::Hit;
            return self.made(request, asked, resource, &kept).await;
        }
        let opened = self.titles.opened(asked.title, version, moment.now).await?;
        if !asked.admits(opened.title.access_class()) {
            return Err(Failure::UnknownVersion);
        }
        let served = self.served(asked, opened).await?;
        if matches!(resource, Resource::Key(..) | Resource::ClearKey) {
            return self.keys(request, asked, &served, resource, moment).await;
        }
        if !is_shared {
            let made = self.own(request, asked, served, resource).await;
            return made.inspect_err(|failure| failure.report(&self.books.metrics));
        }
        let tags = self.edge.tag_fields.of(asked.profile_name, asked.title, version);
        let filling = match resource.clone() {
            // Answered above.
            Resource::Key(..) | Resource::ClearKey => return Err(Failure::UnknownPath),
            Resource::Manifest(manifest) => {
                let make = async move { Ok(served.manifest(manifest, "").tagged(tags)) };
                self.cache.fill(path, asked.since, make).await
            }
            Resource::TrackFile(track, file) => {
                let make = async move { Ok(served.track_file(&track, file)?.tagged(tags)) };
                self.cache.fill(path, asked.since, make).await
            }
            Resource::Segment(track, number) => {
                let planned = Planned::new(served, &track, number, path, tags)?;
                // HEAD, 304, 412 and 416 need no byte of media.
                let verdict = respond::decide(request, &planned.facts)?;
                if request.is_head() || verdict == Verdict::NotModified {
                    let (facts, none) = (&planned.facts, Slices::empty());
                    let lifetime = &respond::IMMUTABLE;
                    return Ok(respond::with_facts(request, facts, &verdict, &none, lifetime));
                }
                let media = self.preparer.media(planned, asked.since);
                self.cache.fill(path, asked.since, self.cache.in_turn(media)).await
            }
        };
        about.cache = CacheUse::MISS;
        let (made, used) = filling?;
        about.cache = used;
        self.made(request, asked, resource, &made).await
    }

    /// The answer with a resource under the keys of one session, which is made anew each time: the
    /// response cache is for what viewers share.
    async fn own(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        served: Served,
        resource: &Resource,
    ) -> Result<Reply, Failure> {
        let made = match resource {
            Resource::Manifest(manifest) => served.manifest(*manifest, ""),
            Resource::TrackFile(track, file) => served.track_file(track, *file)?,
            Resource::Segment(track, number) => {
                let planned = Planned::new(served, track, *number, asked.path, Tags::default())?;
                let verdict = respond::decide(request, &planned.facts)?;
                if request.is_head() || verdict == Verdict::NotModified {
                    let (facts, none) = (&planned.facts, Slices::empty());
                    let lifetime = &respond::KEPT_NOWHERE;
                    return Ok(respond::with_facts(request, facts, &verdict, &none, lifetime));
                }
                let media = self.preparer.media(planned, asked.since);
                self.cache.in_turn(media).await?
            }
            Resource::Key(..) | Resource::ClearKey => return Err(Failure::UnknownPath),
        };
        match resource.format() {
            Some(format) => self.own_manifest(request, asked, format, made).await,
            None => self.found(request, &made, &respond::KEPT_NOWHERE).await,
        }
    }

    /// The answer with a manifest of one session.
    async fn own_manifest(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        format: Format,
        made: Representation,
    ) -> Result<Reply, Failure> {
        let made = match asked.along(self.tokens.query_name()) {
            None => made,
            Some(along) => make::passing_on(&made, format, along)?,
        };
        self.found(request, &made, &respond::KEPT_NOWHERE).await
    }

    /// The answer with a resource of a version, which lies under its path in the response cache.
    async fn made(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        resource: &Resource,
        made: &Arc<Representation>,
    ) -> Result<Reply, Failure> {
        match resource.format() {
            Some(format) => self.manifest(request, asked, (asked.path, format), made).await,
            None => self.kept(request, asked.path, made, &respond::IMMUTABLE).await,
        }
    }

    /// The answer with a manifest, which lies under `key` in the response cache; where it passes
    /// on the query's token, a rewritten one.
    async fn manifest(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        (key, format): (&str, Format),
        made: &Arc<Representation>,
    ) -> Result<Reply, Failure> {
        let lifetime = &asked.profile.manifest_lifetime;
        match asked.along(self.tokens.query_name()) {
            None => self.kept(request, key, made, lifetime).await,
            Some(along @ Along::Inline(..)) => {
                let own = make::passing_on(made, format, along)?;
                self.found(request, &own, lifetime).await
            }
            Some(Along::Reference(name)) => {
                // Paths hold no '?', so this is no other resource's key; and a reload may name another parameter.
                let (key, name) = (format!("{key}?{name}"), name.to_owned());
                if let Some(made) = self.cache.kept(&key).await {
                    return self.kept(request, &key, &made, lifetime).await;
                }
                let plain = Arc::clone(made);
                let make = async move { make::passing_on(&plain, format, Along::Reference(&name)) };
                let (made, _) = self.cache.fill(&key, asked.since, make).await?;
                self.kept(request, &key, &made, lifetime).await
            }
        }
    }

    /// Sends a player to a manifest in `folder` with a token of this service's own.
    fn handed_on(
        &self,
        request: &Request,
        parent: &Parent,
        folder: &str,
        file: &str,
    ) -> Result<Reply, Failure> {
        let own_key = self.tokens.own_key().ok_or_else(|| {
            let failure = Failure::Internal("no key of the service's own is held".to_owned());
            failure.report(&self.books.metrics);
            failure
        });
        let (id, secret) = own_key?;
        let scope = PathScope::under(folder).expect("a path of the origin's own spelling");
        let token = parent.sign((id, &secret), &scope).map_err(Failure::AccessRefused)?;
        let grant = if parent.single { "exchange" } else { "path" };
        self.books.metrics.token_grants.with_label_values(&[grant]).inc();
        let folder = folder.trim_end_matches('/');
        // Relative, whatever proxies put before our paths.
        let up = "../".repeat(request.uri.path().matches('/').count() - 1);
        Ok(respond::elsewhere(request, &format!("{up}~{token}{folder}/{file}")))
    }

    fn with_session(&self, mut reply: Reply, cookie: Option<HeaderValue>) -> Reply {
        if let Some(cookie) = cookie {
            self.books.metrics.token_grants.with_label_values(&["cookie"]).inc();
            reply.headers.insert(header::SET_COOKIE, cookie);
        }
        reply
    }

    /// The answer with a representation that lies under `key` in the response cache.
    async fn kept(
        &self,
        request: &Request,
        key: &str,
        made: &Arc<Representation>,
        lifetime: &Lifetime,
    ) -> Result<Reply, Failure> {
        let gzip = match self.wants_gzip(request, made) {
            true => self.cache.gzipped(key, made).await,
            false => None,
        };
        self.reply(request, made, gzip, lifetime)
    }

    /// The answer with a representation that lies elsewhere.
    async fn found(
        &self,
        request: &Request,
        made: &Representation,
        lifetime: &Lifetime,
    ) -> Result<Reply, Failure> {
        let gzip = match self.wants_gzip(request, made) {
            true => made.gzipped().await,
            false => None,
        };
        self.reply(request, made, gzip, lifetime)
    }

    fn wants_gzip(&self, request: &Request, made: &Representation) -> bool {
        let lines = || request.lines(header::ACCEPT_ENCODING);
        self.edge.gzip && made.is_text() && coding::wants_gzip(lines())
    }

    /// The answer with a representation as it is, or with its form as gzip.
    fn reply(
        &self,
        request: &Request,
        made: &Representation,
        gzip: Option<(&Facts, &Slices)>,
        lifetime: &Lifetime,
    ) -> Result<Reply, Failure> {
        let (facts, body) = gzip.unwrap_or((&made.facts, &made.body));
        let verdict = respond::decide(request, facts)?;
        let mut reply = respond::with_facts(request, facts, &verdict, body, lifetime);
        if self.edge.gzip && made.is_text() {
            respond::vary_by_coding(&mut reply.headers);
        }
        Ok(reply)
    }

    fn with_cache_status(&self, mut reply: Reply, used: CacheUse) -> Reply {
        if let Some(status) = self.edge.cache_status.of(used) {
            reply.headers.insert(&CACHE_STATUS, status.clone());
        }
        reply
    }

    async fn page(&self, request: &Request, name: &str) -> Result<Reply, Failure> {
        let page = self.page.as_ref().ok_or(Failure::UnknownPath)?;
        let (file, lifetime) = page.file(name).ok_or(Failure::UnknownPath)?;
        self.found(request, file, lifetime).await
    }

    async fn title_list(&self, request: &Request, now: Instant) -> Result<Reply, Failure> {
        if self.page.is_none() {
            return Err(Failure::UnknownPath);
        }
        let look = async {
            let made = title_list::make(&*self.store, &self.titles, &self.profiles, now).await;
            made.map(Arc::new).inspect_err(|failure| failure.report(&self.books.metrics))
        };
        let list = self.listed.seen(now, look).await?;
        self.found(request, &list, &respond::NO_CACHE).await
    }

    async fn readiness(&self, request: &Request, now: Instant) -> Result<Reply, Failure> {
        let look = async {
            let probed = self.store.probe().await.map_err(|e| e.into_failure(Part::List, ""));
            probed.inspect_err(|failure| failure.report(&self.books.metrics))
        };
        self.ready.seen(now, look).await?;
        Ok(respond::with_text(request, TEXT_TYPE, "ready\n"))
    }

    fn profile_of(&self, route: &Route<'_>) -> Option<&Profile> {
        route.profile().and_then(|name| self.profiles.named(name))
    }
}

/// What every request for a title names.
pub(crate) struct Asked<'a> {
    /// Before anything was taken or read for it.
    pub(crate) since: Since,
    pub(crate) profile_name: &'a str,
    pub(crate) profile: &'a Profile,
    pub(crate) title: &'a TitleId,
    /// The path without a token: what is cached is the same for every viewer.
    pub(crate) path: &'a str,
    /// How the request passed.
    pub(crate) pass: Pass<'a>,
    /// Whose keys it is under.
    pub(crate) keys: KeysOf<'a>,
}

impl Asked<'_> {
    /// The session whose keys it is under, where each has its own.
    fn session(&self) -> Option<&SessionId> {
        match self.keys {
            KeysOf::Everybody => None,
            KeysOf::Bearer => self.pass.session.as_ref(),
            KeysOf::Session(id) => Some(id),
        }
    }

    /// Whether the profile serves a title of this access class at all. If it does not, the answer
    /// is the one that a missing title gets: no edit of a path leads from a profile that protects
    /// a title to one that does not, or tells that the title is there.
    pub(crate) fn admits(&self, access_class: Option<&str>) -> bool {
        self.profile.settings.admits(self.title.as_str(), access_class)
    }

    /// Media is the same for both formats, so it is served whichever is offered.
    fn check_offers(&self, resource: &Resource) -> Result<(), Failure> {
        let offered = resource.format().is_none_or(|format| self.profile.settings.offers(format));
        if offered { Ok(()) } else { Err(Failure::FormatNotOffered) }
    }

    /// How the manifest that is asked for passes on a token in its query. Behind a CDN, which
    /// may take the query off before it asks, every viewer gets the same manifest.
    fn along<'b>(&'b self, name: &'b str) -> Option<Along<'b>> {
        let (enforcer, terms) = self.profile.access.terms()?;
        let in_query = match self.pass.token {
            Some((token, Carrier::Query)) => Some(token),
            _ => None,
        };
        match (terms.propagate_query, in_query, enforcer) {
            (PropagateQuery::None, ..) => None,
            (PropagateQuery::Inline, token, _) => token.map(|token| Along::Inline(name, token)),
            (PropagateQuery::Reference, Some(_), _)
            | (PropagateQuery::Reference, None, Enforcer::Cdn) => Some(Along::Reference(name)),
            (PropagateQuery::Reference, None, Enforcer::Origin) => None,
        }
    }
}
