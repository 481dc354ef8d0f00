//! What a token allows: one model into which every dialect of tokens is parsed.
//!
//! ```text
//! who     the key that signed it, where a profile takes some keys only
//! what    profiles, titles, paths, tracks up to a height, labels of content keys
//! when    not before, expiry
//! where   networks of the client, countries
//! how     session, who enforces
//! ```
//!
//! Every field restricts and none widens: what a token does not say is left to the profile. A
//! dialect's claim that restricts and has no field here refuses the token when it is parsed. What
//! this service hands out in a token's place (`child`, `session`) ends at its issuer's word too.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use headwater_config::{Name, Network, TitleRule};
use headwater_packager::label::Label as KeyLabel;

use super::key::KeyId;
use super::refusal::{Claim, Refusal};
use super::scope::{Audience, Country, Label, PathScope, SessionId};

/// What a token allows, once its signature was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The key that signed it.
    pub key: KeyId,
    /// Profiles.
    pub profiles: Only<Name>,
    /// Titles.
    pub titles: Only<TitleRule>,
    /// Paths.
    pub paths: Only<PathScope>,
    /// Video whose shorter side has at most this many pixels.
    pub max_height: Option<u32>,
    /// Labels of the content keys that are handed out. What is not encrypted has none.
    pub labels: Only<Label>,
    /// When.
    pub span: Span,
    /// Networks that the client is in.
    pub networks: Only<Network>,
    /// Countries that the client is in.
    pub countries: Only<Country>,
    /// Services that it is for.
    pub audiences: Only<Audience>,
    /// The one session that it belongs to.
    pub session: Option<SessionId>,
    /// Who has to enforce it.
    pub enforcer: Option<Enforcer>,
}

/// A list of which one entry must fit; `Any` where the token has no such claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Only<T> {
    /// Not restricted.
    #[default]
    Any,
    /// One of these; none of an empty list.
    These(Vec<T>),
}

/// From when until when, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First second of it.
    pub not_before_s: Option<u64>,
    /// First second after it. Every token ends.
    pub expires_s: u64,
    /// First second to which no renewal leads, where its issuer allows renewals at all.
    pub renew_until_s: Option<u64>,
}

/// Who holds viewers to their tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcer {
    /// This origin, at each request.
    Origin,
    /// The CDN in front.
    Cdn,
}

/// A request, as far as tokens are about it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The path in its only spelling, without a token.
    pub path: &'a str,
    /// The profile.
    pub profile: &'a str,
    /// The title.
    pub title: &'a str,
    /// What kind of thing it is.
    pub thing: Thing<'a>,
    /// Whether a token for this URL alone opens a manifest, to be exchanged.
    pub exchange: bool,
    /// Keys whose tokens the profile takes; every key where it names none.
    pub keys: &'a [KeyId],
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's country, from the header that is trusted for it.
    pub country: Option<&'a str>,
    /// What this service is called as an audience, where it has such a name.
    pub audience: Option<&'a str>,
    /// The session that the request belongs to.
    pub session: Option<&'a str>,
    /// Whether only a token of a session will do.
    pub wants_session: bool,
    /// Who enforces, in this profile.
    pub enforcer: Enforcer,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing<'a> {
    /// A manifest of the title or of one track: other URLs follow from it.
    Manifest,
    /// A file of a track that nobody looked up. Never permitted where the answer depends on it.
    Track,
    /// A file of a video track whose shorter side has this many pixels.
    Video(u32),
    /// A file of a track without a picture.
    Sound,
    /// The place where keys are handed out; which of them is asked next.
    Keys,
    /// The content key of this label.
    Key(&'a str),
}

impl Policy {
    /// A policy that says nothing but who signed it and when it is good.
    pub fn unrestricted(key: KeyId, span: Span) -> Self {
        Self {
            key,
            profiles: Only::Any,
            titles: Only::Any,
            paths: Only::Any,
            max_height: None,
            labels: Only::Any,
            span,
            networks: Only::Any,
            countries: Only::Any,
            audiences: Only::Any,
            session: None,
            enforcer: None,
        }
    }

    /// Whether a request may be answered at `now_s` (seconds since 1970), by clocks that may differ
    /// by `skew_s`. The first restriction that is not met is the answer.
    pub fn permits(&self, asked: &Asked<'_>, now_s: u64, skew_s: u64) -> Result<(), Refusal> {
        self.span.permits(now_s, skew_s)?;
        self.permits_at_any_time(asked)
    }

    /// The same for one who looks at the time by himself.
    pub fn permits_at_any_time(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        // Taken apart, so that a new restriction does not compile until it is looked at here.
        let Self {
            key,
            profiles,
            titles,
            paths,
            max_height,
            labels,
            span: _,
            networks,
            countries,
            audiences,
            session,
            enforcer,
        } = self;
        hold(asked.keys.is_empty() || asked.keys.contains(key), Refusal::KeyRefused)?;
        hold(profiles.any(|name| name.as_str() == asked.profile), Refusal::ProfileRefused)?;
        hold(titles.any(|rule| rule.matches(asked.title)), Refusal::TitleRefused)?;
        permit_path(paths, asked)?;
        permit_height(*max_height, asked.thing)?;
        if let Thing::Key(asked) = asked.thing {
            hold(labels.any(|label| label.as_str() == asked), Refusal::LabelRefused)?;
        }
        let in_network = |network: &Network| asked.client.is_some_and(|ip| network.contains(ip));
        hold(networks.any(in_network), Refusal::NetworkRefused)?;
        let in_country = |country: &Country| Some(country.as_str()) == asked.country;
        hold(countries.any(in_country), Refusal::CountryRefused)?;
        let is_audience = |audience: &Audience| Some(audience.as_str()) == asked.audience;
        hold(audiences.any(is_audience), Refusal::AudienceRefused)?;
        let same_session = |id: &SessionId| Some(id.as_str()) == asked.session;
        let is_known = session.is_some() || !asked.wants_session;
        hold(is_known && session.as_ref().is_none_or(same_session), Refusal::SessionRefused)?;
        hold(enforcer.is_none_or(|who| who == asked.enforcer), Refusal::EnforcerRefused)
    }

    /// Whether it opens this path as one URL, and nothing beside it.
    pub fn is_for_url_alone(&self, path: &str) -> bool {
        let Only::These(paths) = &self.paths else { return false };
        let fitting = || paths.iter().filter(|scope| scope.covers(path));
        fitting().next().is_some() && fitting().all(|scope| matches!(scope, PathScope::Url(_)))
    }

    /// Whether the answer depends on which track a file belongs to.
    pub fn asks_for_the_track(&self) -> bool {
        self.max_height.is_some()
    }
}

impl Span {
    /// From ever until `expires_s`, and never renewed.
    pub fn until(expires_s: u64) -> Self {
        Self { not_before_s: None, expires_s, renew_until_s: None }
    }

    /// Whether it lasts at `now_s`. RFC 7519 4.1.4 and 4.1.5: refused on or after the expiry, and
    /// before the beginning; a small leeway for clocks that differ.
    pub fn permits(&self, now_s: u64, skew_s: u64) -> Result<(), Refusal> {
        hold(now_s < self.expires_s.saturating_add(skew_s), Refusal::Expired)?;
        let began = self.not_before_s.is_none_or(|from_s| from_s <= now_s.saturating_add(skew_s));
        hold(began, Refusal::NotYetValid)
    }

    /// The same, where a session carries it on until `carried_s`: never beyond what its issuer allows.
    pub fn carried_on(self, carried_s: u64) -> Self {
        let last_s = self.renew_until_s.map_or(0, |until_s| carried_s.min(until_s));
        Self { expires_s: self.expires_s.max(last_s), ..self }
    }

    /// When it would end if it were renewed at `now_s` for `renewal_s`: never beyond what its issuer
    /// allows. Nothing where that is not later, or while three quarters of a renewal are left.
    pub fn renewed(&self, now_s: u64, renewal_s: u64) -> Option<u64> {
        let wanted_s = now_s.saturating_add(renewal_s).min(self.renew_until_s?);
        let enough_s = now_s.saturating_add(renewal_s - renewal_s / 4);
        (self.expires_s < wanted_s && self.expires_s < enough_s).then_some(wanted_s)
    }
}

impl<T> Only<T> {
    /// Whether nothing is restricted, or some entry fits.
    pub fn any(&self, fits: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(list) => list.iter().any(fits),
        }
    }

    /// Entries with commas between them, as every dialect of ours writes lists.
    pub fn parse(text: &str, claim: Claim) -> Result<Self, Refusal>
    where
        T: FromStr,
    {
        Self::of(&text.split(',').collect::<Vec<_>>(), claim)
    }

    /// Entries one by one; no entry at all is no list.
    pub fn of(texts: &[&str], claim: Claim) -> Result<Self, Refusal>
    where
        T: FromStr,
    {
        let parsed: Result<Vec<T>, _> = texts.iter().map(|text| text.parse()).collect();
        match parsed {
            Ok(list) if !list.is_empty() => Ok(Self::These(list)),
            _ => Err(Refusal::ClaimMalformed(claim)),
        }
    }
}

impl<T: fmt::Display> Only<T> {
    /// The list as it is parsed, where there is one.
    pub fn text(&self) -> Option<String> {
        let Self::These(list) = self else { return None };
        Some(list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }
}

impl Enforcer {
    /// The word in tokens and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Cdn => "cdn",
        }
    }
}

impl FromStr for Enforcer {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "origin" => Ok(Self::Origin),
            "cdn" => Ok(Self::Cdn),
            _ => Err(Refusal::ClaimMalformed(Claim::Enforcer)),
        }
    }
}

/// A token for single URLs opens no manifest, unless it is exchanged there: the player would stand
/// before URLs that it has no token for.
fn permit_path(paths: &Only<PathScope>, asked: &Asked<'_>) -> Result<(), Refusal> {
    let Only::These(paths) = paths else { return Ok(()) };
    let mut fitting = paths.iter().filter(|path| path.covers(asked.path)).peekable();
    hold(fitting.peek().is_some(), Refusal::PathRefused)?;
    let single = fitting.all(|path| matches!(path, PathScope::Url(_)));
    let leads_nowhere = single && asked.thing == Thing::Manifest && !asked.exchange;
    hold(!leads_nowhere, Refusal::SingleUrlOnManifest)
}

fn permit_height(max_height: Option<u32>, thing: Thing<'_>) -> Result<(), Refusal> {
    let Some(max_height) = max_height else { return Ok(()) };
    match thing {
        Thing::Video(height) => hold(height <= max_height, Refusal::HeightRefused),
        Thing::Track => Err(Refusal::HeightRefused),
        Thing::Manifest | Thing::Sound | Thing::Keys => Ok(()),
        // A key opens all that is encrypted with it; the lowest of that must be permitted.
        Thing::Key(label) => {
            let lowest = label.parse().map(KeyLabel::lowest_height);
            hold(lowest.is_ok_and(|height| height <= max_height), Refusal::HeightRefused)
        }
    }
}

fn hold(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}
