//! The way in: a request for something of a title, and the token that lets it pass.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use headwater_config::Renewal;
use headwater_packager::heads::Media;
use headwater_packager::ids::{TitleId, TrackId, VersionId};
use headwater_packager::label::Label;
use http::HeaderValue;

use super::carrier::Carrier;
use super::child::Parent;
use super::policy::{Asked, Enforcer, Policy, Span, Thing};
use super::refusal::Refusal;
use super::scope::SessionId;
use super::session::TokenSum;
use super::tokens::Tokens;
use super::{Access, Terms};
use crate::client::Trust;
use crate::exchange::Request;
use crate::failure::Failure;
use crate::route::{Resource, Route, TrackFile};
use crate::titles::Titles;

/// A request for something of a title.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The request.
    pub request: &'a Request,
    /// Whose word on the client is taken.
    pub trust: &'a Trust,
    /// Its path without a token.
    pub path: &'a str,
    /// The profile's name.
    pub profile: &'a str,
    /// How the profile is protected.
    pub access: &'a Access,
    /// The title.
    pub title: &'a TitleId,
    /// What of it.
    pub of: Of<'a>,
    /// Whose keys it is under.
    pub keys: KeysOf<'a>,
}

/// Whose keys something is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysOf<'a> {
    /// All viewers', if anybody's.
    Everybody,
    /// Those of whoever's token it is: what is asked for leads to one session's paths.
    Bearer,
    /// Those of the session that the path names.
    Session(&'a SessionId),
}

/// A time on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For what is remembered for a while.
    pub now: Instant,
    /// Seconds since 1970, for what tokens say.
    pub unix_s: u64,
}

impl Moment {
    /// The moment that one clock calls `now` and the other `at`.
    pub fn new(now: Instant, at: SystemTime) -> Self {
        Self { now, unix_s: at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) }
    }
}

/// What of a title is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// A manifest of the title or of a track.
    Manifest,
    /// A file of a version's track.
    Track(VersionId, &'a TrackId),
    /// Where keys are handed out, whichever they are.
    Keys,
    /// A content key.
    Key(Label),
}

impl<'a> KeysOf<'a> {
    /// Whose keys a route is under, in a profile whose keys are single sessions' or not.
    ///
    /// # Errors
    /// Where the path names a session and none has keys of its own, or the other way round.
    pub fn route(route: &'a Route<'_>, of_sessions: bool) -> Result<Self, Failure> {
        match (route, of_sessions) {
            (Route::Versioned { session: Some(id), .. }, true) => Ok(Self::Session(id)),
            (Route::Versioned { session: Some(_), .. }, false)
            | (Route::Versioned { session: None, .. }, true) => Err(Failure::UnknownPath),
            (_, true) => Ok(Self::Bearer),
            (_, false) => Ok(Self::Everybody),
        }
    }
}

impl<'a> Of<'a> {
    /// What a route asks for.
    pub fn route(route: &'a Route<'_>) -> Self {
        let Route::Versioned { version, resource, .. } = route else { return Self::Manifest };
        match resource {
            Resource::Manifest(_)
            | Resource::TrackFile(_, TrackFile::Playlist | TrackFile::Iframes) => Self::Manifest,
            // Asked again with the labels, once they are known.
            Resource::Key(..) | Resource::ClearKey => Self::Keys,
            Resource::TrackFile(track, TrackFile::Init(_)) | Resource::Segment(track, _) => {
                Self::Track(*version, track)
            }
        }
    }
}

/// How a request passed, as far as its answer depends on that.
#[derive(Debug, Default)]
pub struct Pass<'a> {
    /// Its token, and how it came.
    pub token: Option<(&'a str, Carrier)>,
    /// What the token is exchanged for.
    pub parent: Option<Parent>,
    /// The cookie that carries the token on.
    pub cookie: Option<HeaderValue>,
    /// The session that the token belongs to.
    pub session: Option<SessionId>,
}

impl<'a> Visit<'a> {
    /// Lets the request pass, or refuses it. Where the profile's viewers are this service's to
    /// check, a token is wanted; one that comes although the CDN checks them must be good too.
    pub async fn admit(
        &self,
        tokens: &Tokens,
        titles: &Arc<Titles>,
        moment: Moment,
    ) -> Result<Pass<'a>, Failure> {
        if let Access::Cdn(cdn, _) = self.access {
            cdn.admit(&self.request.headers).map_err(Failure::AccessRefused)?;
        }
        let Some((enforcer, terms)) = self.access.terms() else { return Ok(Pass::default()) };
        // Without a key nothing that looks like a token is meant for this service.
        if enforcer == Enforcer::Cdn && tokens.is_empty() {
            return Ok(Pass::default());
        }
        let carried = tokens.carried(self.request).map_err(Failure::AccessRefused)?;
        let Some((token, carrier)) = carried else {
            return match enforcer {
                Enforcer::Cdn => Ok(Pass::default()),
                Enforcer::Origin => Err(Failure::AccessRefused(Refusal::TokenMissing)),
            };
        };
        let policy = tokens.policy(token).await.map_err(Failure::AccessRefused)?;
        let session = Session::of(self.request, token, &policy, terms, tokens, moment);
        session.span.permits(moment.unix_s, tokens.skew_s()).map_err(Failure::AccessRefused)?;
        // With the token in a cookie or a field of its own, a child in the path would be a second.
        let exchangeable = matches!(carrier, Carrier::Path | Carrier::Query);
        let asked = Asked {
            exchange: terms.exchange && exchangeable,
            ..self.asked(tokens, titles, &policy, (enforcer, terms), moment.now).await?
        };
        policy.permits_at_any_time(&asked).map_err(Failure::AccessRefused)?;
        let is_manifest = asked.thing == Thing::Manifest;
        let parent = (is_manifest && exchangeable)
            .then(|| parent(&policy, self.path, terms, moment.unix_s))
            .flatten();
        let cookie = session.renewal(tokens, terms, moment.unix_s);
        let session = policy.session.clone();
        Ok(Pass { token: Some((token, carrier)), parent, cookie, session })
    }

    /// What tokens are asked about this request.
    async fn asked<'b>(
        &'b self,
        tokens: &'b Tokens,
        titles: &Arc<Titles>,
        policy: &'b Policy,
        (enforcer, terms): (Enforcer, &'b Terms),
        now: Instant,
    ) -> Result<Asked<'b>, Failure> {
        let client = self.trust.client(self.request);
        // What this service handed out is of the profile that its path names, by its own word.
        let own = terms.hands_out() && tokens.is_own(&policy.key);
        Ok(Asked {
            path: self.path,
            profile: self.profile,
            title: self.title.as_str(),
            thing: match self.of {
                Of::Manifest => Thing::Manifest,
                Of::Keys => Thing::Keys,
                Of::Key(label) => Thing::Key(label.as_str()),
                // Heads are looked into for those alone whose token asks for the height.
                Of::Track(version, track) if policy.asks_for_the_track() => {
                    self.track(titles, version, track, now).await?
                }
                Of::Track(..) => Thing::Track,
            },
            exchange: false,
            keys: if own { &[] } else { &terms.keys },
            client: client.address,
            // A client's own word on where it is counts for nothing.
            country: tokens.country(self.request).filter(|_| client.behind_proxy),
            audience: tokens.audience(),
            session: match self.keys {
                KeysOf::Everybody => tokens.session(self.request),
                KeysOf::Bearer => policy.session.as_ref().map(SessionId::as_str),
                KeysOf::Session(id) => Some(id.as_str()),
            },
            wants_session: self.keys != KeysOf::Everybody,
            enforcer,
        })
    }

    async fn track(
        &self,
        titles: &Arc<Titles>,
        version: VersionId,
        track: &TrackId,
        now: Instant,
    ) -> Result<Thing<'static>, Failure> {
        let opened = titles.opened(self.title, version, now).await?;
        let track = opened.title.track(track).ok_or(Failure::UnknownTrack)?;
        Ok(match *track.media() {
            Media::Video { width, height, .. } => Thing::Video(width.min(height)),
            Media::Audio { .. } => Thing::Sound,
        })
    }
}

/// A token's time, with what the cookie of its session adds to it.
struct Session {
    token: Option<TokenSum>,
    span: Span,
}

impl Session {
    fn of(
        request: &Request,
        token: &str,
        policy: &Policy,
        terms: &Terms,
        tokens: &Tokens,
        moment: Moment,
    ) -> Self {
        let mut span = policy.span;
        // While neither a cookie can matter nor one is due, the token's digest is not needed.
        let due = span.renewed(moment.unix_s, terms.renewal_s).is_some();
        if !due || terms.renewal != Renewal::Cookie {
            return Self { token: None, span };
        }
        let sum = TokenSum::of(token);
        if let Some(carried_s) = tokens.carried_on(request, &sum) {
            span = span.carried_on(carried_s);
        }
        Self { token: Some(sum), span }
    }

    fn renewal(&self, tokens: &Tokens, terms: &Terms, now_s: u64) -> Option<HeaderValue> {
        let expires_s = self.span.renewed(now_s, terms.renewal_s)?;
        tokens.set_cookie(self.token.as_ref()?, now_s, expires_s)
    }
}

/// What a token is exchanged for on a manifest that it opens, if for anything.
fn parent(policy: &Arc<Policy>, path: &str, terms: &Terms, now_s: u64) -> Option<Parent> {
    let single = terms.exchange && policy.is_for_url_alone(path);
    let renewed = match terms.renewal {
        Renewal::Exchange => policy.span.renewed(now_s, terms.renewal_s),
        Renewal::None | Renewal::Cookie => None,
    };
    (single || renewed.is_some()).then(|| Parent {
        policy: Arc::clone(policy),
        single,
        expires_s: renewed.unwrap_or(policy.span.expires_s),
    })
}
