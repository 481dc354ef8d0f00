//! `headwater-origin sign` and `explain-token`: tokens for people. Secrets are used and never
//! printed; a token that is explained is not repeated.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use headwater_config::{Config, Name, Network, Renewal, TitleRule};
use http::Uri;

use crate::access::gate::{KeysOf, Of};
use crate::access::key::{Key, KeyId};
use crate::access::policy::{Asked, Only, Policy, Span, Thing};
use crate::access::refusal::Refusal;
use crate::access::scope::{Audience, Country, Label, PathScope, SessionId};
use crate::access::session::{self, TokenSum};
use crate::access::tokens::Tokens;
use crate::access::{carrier, compact, jwt};
use crate::clock::Utc;
use crate::profile::Profiles;
use crate::route::Route;

/// What a new token says.
#[derive(Debug, Args)]
pub struct Sign {
    /// The id of the secret in `origin.tokens` that signs it.
    #[arg(long, value_name = "ID")]
    key: KeyId,
    /// Seconds from now on that it is good for.
    #[arg(long, value_name = "SECONDS")]
    lasts_s: u64,
    /// Seconds from now on for which it may be renewed, where its profile renews tokens.
    #[arg(long, value_name = "SECONDS")]
    renew_for_s: Option<u64>,
    /// What kind of token.
    #[arg(long, value_enum, default_value_t = Kind::Compact)]
    kind: Kind,
    /// When it begins, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    not_before_s: Option<u64>,
    /// A profile; may be repeated, as may the others that narrow.
    #[arg(long, value_name = "NAME")]
    profile: Vec<Name>,
    /// A title, or the beginning of titles and *.
    #[arg(long, value_name = "TITLE")]
    title: Vec<TitleRule>,
    /// A path with everything below it.
    #[arg(long, value_name = "PATH", value_parser = folder)]
    folder: Vec<PathScope>,
    /// One path; not for manifests.
    #[arg(long, value_name = "PATH", value_parser = single)]
    path: Vec<PathScope>,
    /// Lines of the largest picture.
    #[arg(long, value_name = "LINES")]
    max_height: Option<u32>,
    /// A content key's label.
    #[arg(long, value_name = "LABEL", value_parser = word::<Label>)]
    label: Vec<Label>,
    /// A network of the client's, such as 203.0.113.0/24.
    #[arg(long, value_name = "NETWORK")]
    network: Vec<Network>,
    /// A country, two capital letters.
    #[arg(long, value_name = "COUNTRY", value_parser = word::<Country>)]
    country: Vec<Country>,
    /// A service that the token is for.
    #[arg(long, value_name = "NAME", value_parser = word::<Audience>)]
    audience: Vec<Audience>,
    /// The session that the token belongs to.
    #[arg(long, value_name = "ID", value_parser = word::<SessionId>)]
    session: Option<SessionId>,
    /// Print this URL with the token before its path. Unless a folder or path is named, the token
    /// opens the folder of the URL's title alone.
    url: Option<Uri>,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Headwater's own.
    Compact,
    /// A JWT with HS256.
    Jwt,
}

/// A token, and a request that it might come with.
#[derive(Debug, Args)]
pub struct Explain {
    /// The token, or a URL that begins with one.
    token: String,
    /// The URL or path of a request, without the token.
    #[arg(long)]
    url: Option<Uri>,
    /// The client's address.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// The client's country.
    #[arg(long)]
    country: Option<String>,
    /// The session.
    #[arg(long)]
    session: Option<String>,
    /// The cookie that a renewal set, as NAME=VALUE or VALUE.
    #[arg(long, value_name = "COOKIE")]
    cookie: Option<String>,
    /// Lines of the track that is asked for.
    #[arg(long, value_name = "LINES")]
    height: Option<u32>,
    /// When, in seconds since 1970; now if it is left out.
    #[arg(long, value_name = "SECONDS")]
    at_s: Option<u64>,
}

impl Sign {
    /// The token, or the URL with it.
    pub fn run(self, config: &Config, at: SystemTime) -> Result<String, String> {
        let tokens = Tokens::open(&config.origin.tokens).map_err(|e| e.to_string())?;
        let (id, key) = tokens.key(self.key.as_str()).map_err(|refusal| {
            format!("{}: {refusal}; there are: {}", self.key, tokens.listed())
        })?;
        let Key::Secret(secret) = key else {
            return Err(format!("{id} is a public key; who holds the private one can sign"));
        };
        let now_s = unix_s(at);
        let mut paths = [self.folder, self.path].concat();
        if let Some(url) = self.url.as_ref().filter(|_| paths.is_empty()) {
            paths.push(title_folder(url.path())?);
        }
        let policy = Policy {
            profiles: list(self.profile),
            titles: list(self.title),
            paths: list(paths),
            max_height: self.max_height,
            labels: list(self.label),
            networks: list(self.network),
            countries: list(self.country),
            audiences: list(self.audience),
            session: self.session,
            ..Policy::unrestricted(
                id,
                Span {
                    not_before_s: self.not_before_s,
                    expires_s: now_s.saturating_add(self.lasts_s),
                    renew_until_s: self.renew_for_s.map(|lasts_s| now_s.saturating_add(lasts_s)),
                },
            )
        };
        let token = match self.kind {
            Kind::Compact => compact::sign(&policy, &secret),
            Kind::Jwt => jwt::sign(&policy, &secret),
        };
        Ok(self.url.map_or_else(|| token.clone(), |url| with_token(&url, &token)))
    }
}

impl Explain {
    /// What the token allows, line by line, and whether it opens what is asked for.
    pub async fn run(self, config: &Config, at: SystemTime) -> Result<(String, bool), String> {
        let tokens = Tokens::open(&config.origin.tokens).map_err(|e| e.to_string())?;
        let at_s = self.at_s.unwrap_or_else(|| unix_s(at));
        let given: Option<Uri> =
            self.token.contains('/').then(|| self.token.parse().ok()).flatten();
        let in_path = given.as_ref().map(|url| carrier::split(url.path()));
        let token = match in_path {
            Some((Some(token), _)) => token,
            Some((None, _)) => return Err("this URL has no token before its path".to_owned()),
            None => self.token.trim(),
        };
        if let Some(told) = told_of_session(token) {
            return Ok((told, false));
        }
        let policy = match tokens.policy(token).await {
            Ok(policy) => policy,
            Err(refusal) => return Ok((format!("refused: {refusal}\n"), false)),
        };
        let mut told = told(&policy);
        let carried = self.cookie.as_deref().map(|cookie| carried_on(&tokens, token, cookie));
        let _ = match &carried {
            None => Ok(()),
            Some(Ok(until_s)) => writeln!(told, "cookie     good until {}", time(*until_s)),
            Some(Err(why)) => writeln!(told, "cookie     carries nothing on: {why}"),
        };
        let carried_s = carried.and_then(Result::ok);
        let url = self.url.as_ref().map(Uri::path);
        let verdict = match url.or(in_path.map(|(_, path)| path)) {
            None => {
                let span = carried_s.map_or(policy.span, |until_s| policy.span.carried_on(until_s));
                let permitted = span.permits(at_s, tokens.skew_s());
                permitted.map(|()| "").map_err(|why| why.to_string())
            }
            Some(path) => {
                let _ = writeln!(told, "request    {path}");
                self.verdict(config, &tokens, &policy, path, (at_s, carried_s))
            }
        };
        let good = verdict.is_ok();
        let _ = match verdict {
            Ok("") => writeln!(told, "good at    {}", time(at_s)),
            Ok(how) => writeln!(told, "good at    {}, {how}", time(at_s)),
            Err(why) => writeln!(told, "refused: {why}"),
        };
        Ok((told, good))
    }

    fn verdict(
        &self,
        config: &Config,
        tokens: &Tokens,
        policy: &Policy,
        path: &str,
        (at_s, carried_s): (u64, Option<u64>),
    ) -> Result<&'static str, String> {
        let route = Route::parse(path).map_err(|e| format!("no URL of this origin: {e:?}"))?;
        let (Route::Live { profile, title, .. } | Route::Versioned { profile, title, .. }) = &route
        else {
            return Err("this URL is served to everybody".to_owned());
        };
        let profiles = Profiles::new(&config.profiles).map_err(|e| e.to_string())?;
        let named = profiles.named(profile).ok_or("no such profile")?;
        let Some((enforcer, terms)) = named.access.terms() else {
            return Err("this profile is public and looks at no token".to_owned());
        };
        let own = terms.hands_out() && tokens.is_own(&policy.key);
        let thing = match (Of::route(&route), self.height) {
            (Of::Manifest, _) => Thing::Manifest,
            (Of::Keys, _) => Thing::Keys,
            (Of::Key(label), _) => Thing::Key(label.as_str()),
            (Of::Track(..), Some(height)) => Thing::Video(height),
            (Of::Track(..), None) => Thing::Track,
        };
        if thing == Thing::Track && policy.asks_for_the_track() {
            return Err("say the track's lines with --height".to_owned());
        }
        let keys = KeysOf::route(&route, named.settings.protection.is_of_sessions());
        let keys =
            keys.map_err(|_| "keys of sessions: not this profile's kind of path".to_owned())?;
        let asked = Asked {
            path,
            profile,
            title: title.as_str(),
            thing,
            // As in the path, where tokens stand unless somebody puts them elsewhere.
            exchange: terms.exchange,
            keys: if own { &[] } else { &terms.keys },
            client: self.client,
            country: self.country.as_deref(),
            audience: tokens.audience(),
            session: match keys {
                KeysOf::Everybody => self.session.as_deref(),
                KeysOf::Bearer => policy.session.as_ref().map(SessionId::as_str),
                KeysOf::Session(id) => Some(id.as_str()),
            },
            wants_session: keys != KeysOf::Everybody,
            enforcer,
        };
        let by_cookie = terms.renewal == Renewal::Cookie;
        let counts_s = carried_s.filter(|_| by_cookie);
        let span = counts_s.map_or(policy.span, |until_s| policy.span.carried_on(until_s));
        let permitted = span.permits(at_s, tokens.skew_s());
        let renewable = span.renew_until_s.is_some_and(|until_s| at_s < until_s);
        match permitted.and_then(|()| policy.permits_at_any_time(&asked)) {
            Err(Refusal::Expired) if carried_s.is_some() && !by_cookie => {
                Err(format!("{}, and this profile takes no cookies of sessions", Refusal::Expired))
            }
            Err(Refusal::Expired) if renewable && by_cookie && carried_s.is_none() => {
                Err(format!("{}, unless its session's cookie comes along", Refusal::Expired))
            }
            other => other.map_err(|why| why.to_string()),
        }?;
        let exchanged = thing == Thing::Manifest && policy.is_for_url_alone(path);
        Ok(if exchanged { "to be exchanged for what the manifest leads to" } else { "" })
    }
}

/// What the cookie of a session says when it stands where a token should.
fn told_of_session(text: &str) -> Option<String> {
    let (key, expires_s) = session::unchecked(value_of(text))?;
    let key: KeyId = key.parse().ok()?;
    Some(format!(
        "a session's cookie, not checked\nkey        {key}\nexpires    {}\n\
         refused: it carries one token on, and only with that can it be checked: explain the token, \
         and say this with --cookie\n",
        time(expires_s)
    ))
}

/// Until when a cookie carries this token on.
fn carried_on(tokens: &Tokens, token: &str, cookie: &str) -> Result<u64, String> {
    let sum = TokenSum::of(token);
    let name = tokens.cookie_name(&sum);
    if cookie.split_once('=').is_some_and(|(named, _)| named != name) {
        return Err(format!("this token's is called {name}"));
    }
    tokens.session_expires_s(value_of(cookie), &sum).map_err(|why| why.to_string())
}

/// The value of `NAME=VALUE`, or the text itself.
fn value_of(cookie: &str) -> &str {
    cookie.split_once('=').map_or(cookie, |(_, value)| value)
}

fn told(policy: &Policy) -> String {
    // Taken apart, so that a new restriction does not compile until it is told.
    let Policy {
        key,
        profiles,
        titles,
        paths,
        max_height,
        labels,
        span,
        networks,
        countries,
        audiences,
        session,
        enforcer,
    } = policy;
    let lines = [
        ("key", Some(key.to_string())),
        ("profiles", profiles.text()),
        ("titles", titles.text()),
        ("paths", paths.text()),
        ("height", max_height.map(|lines| format!("at most {lines}"))),
        ("labels", labels.text()),
        ("not before", span.not_before_s.map(time)),
        ("expires", Some(time(span.expires_s))),
        ("renewals", span.renew_until_s.map(|at_s| format!("until {}", time(at_s)))),
        ("networks", networks.text()),
        ("countries", countries.text()),
        ("audiences", audiences.text()),
        ("session", session.as_ref().map(ToString::to_string)),
        ("enforcer", enforcer.map(|who| who.as_str().to_owned())),
    ];
    let said = lines.into_iter().filter_map(|(name, text)| Some((name, text?)));
    said.fold(String::new(), |mut told, (name, text)| {
        let _ = writeln!(told, "{name:<10} {text}");
        told
    })
}

/// `https://host/main/film/x` with the token: `https://host/~token/main/film/x`.
fn with_token(url: &Uri, token: &str) -> String {
    let authority = url.authority().map_or(String::new(), |authority| {
        format!("{}://{authority}", url.scheme_str().unwrap_or("https"))
    });
    let rest = url.path_and_query().map_or("/", |rest| rest.as_str());
    format!("{authority}/~{token}{rest}")
}

/// The folder of a profile's title.
fn title_folder(path: &str) -> Result<PathScope, String> {
    let parts: Vec<_> = path.splitn(4, '/').collect();
    let ["", profile, title, _] = parts[..] else {
        return Err(format!("{path} is nothing of a title; name a --folder or a --path"));
    };
    folder(&format!("/{profile}/{title}"))
}

fn folder(path: &str) -> Result<PathScope, String> {
    PathScope::under(path).map_err(|_| format!("{path} is no path as this origin spells them"))
}

fn single(path: &str) -> Result<PathScope, String> {
    PathScope::url(path).map_err(|_| format!("{path} is no path as this origin spells them"))
}

fn word<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:.40?} does not fit; docs/tokens.md says what does"))
}

fn list<T>(entries: Vec<T>) -> Only<T> {
    if entries.is_empty() { Only::Any } else { Only::These(entries) }
}

fn time(unix_s: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s));
    at.map_or_else(|| format!("{unix_s} s after 1970"), |at| Utc(at).to_string())
}

fn unix_s(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
