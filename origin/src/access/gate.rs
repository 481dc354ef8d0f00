//! The way in: a request for something of a title, and the token that lets it pass.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use headwater_packager::heads::Media;
use headwater_packager::ids::{TitleId, TrackId, VersionId};

use super::Access;
use super::key::KeyId;
use super::policy::{Asked, Enforcer, Thing};
use super::refusal::Refusal;
use super::tokens::Tokens;
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
}

impl<'a> Of<'a> {
    /// What a route asks for.
    pub fn route(route: &'a Route<'_>) -> Self {
        let Route::Versioned { version, resource, .. } = route else { return Self::Manifest };
        match resource {
            Resource::Manifest(_)
            | Resource::TrackFile(_, TrackFile::Playlist | TrackFile::Iframes) => Self::Manifest,
            Resource::TrackFile(track, TrackFile::Init) | Resource::Segment(track, _) => {
                Self::Track(*version, track)
            }
        }
    }
}

impl Visit<'_> {
    /// Lets the request pass, or refuses it. Where the profile's viewers are this service's to
    /// check, a token is wanted; one that comes although the CDN checks them must be good too.
    pub async fn admit(
        &self,
        tokens: &Tokens,
        titles: &Arc<Titles>,
        moment: Moment,
    ) -> Result<(), Failure> {
        let Moment { now, unix_s: now_s } = moment;
        let (enforcer, keys): (_, &[KeyId]) = match self.access {
            Access::Public => return Ok(()),
            Access::Cdn(cdn, keys) => {
                cdn.admit(&self.request.headers).map_err(Failure::AccessRefused)?;
                (Enforcer::Cdn, keys)
            }
            Access::Origin(keys) => (Enforcer::Origin, keys),
        };
        // Without a key nothing that looks like a token is meant for this service.
        if enforcer == Enforcer::Cdn && tokens.is_empty() {
            return Ok(());
        }
        let Some(token) = tokens.carried(self.request).map_err(Failure::AccessRefused)? else {
            return match enforcer {
                Enforcer::Cdn => Ok(()),
                Enforcer::Origin => Err(Failure::AccessRefused(Refusal::TokenMissing)),
            };
        };
        let policy = tokens.policy(token).await.map_err(Failure::AccessRefused)?;
        let client = self.trust.client(self.request);
        let mut asked = Asked {
            path: self.path,
            profile: self.profile,
            title: self.title.as_str(),
            thing: match self.of {
                Of::Manifest => Thing::Manifest,
                Of::Track(..) => Thing::Track,
            },
            keys,
            client: client.address,
            // A client's own word on where it is counts for nothing.
            country: tokens.country(self.request).filter(|_| client.behind_proxy),
            audience: tokens.audience(),
            session: tokens.session(self.request),
            enforcer,
        };
        // Heads are looked into for those alone whose token is good but for the height.
        if let Of::Track(version, track) = self.of
            && policy.asks_for_the_track()
        {
            policy.span.permits(now_s, tokens.skew_s()).map_err(Failure::AccessRefused)?;
            asked.thing = self.track(titles, version, track, now).await?;
        }
        policy.permits(&asked, now_s, tokens.skew_s()).map_err(Failure::AccessRefused)
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
