//! Which segments a player asks for next, made before it does: those behind one that came in order, or
//! the one that the player names (CTA-5004 nor).
//!
//! Never many at a time, never where somebody waits for a turn, and in memory of their own; what is not
//! asked for within a minute is forgotten. Nothing is made ahead under one session's keys.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use headwater_config as config;
use headwater_packager::ids::{TitleId, TrackId, VersionId};
use http::HeaderName;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;

use crate::access::carrier;
use crate::exchange::Request;
use crate::limits;
use crate::preparer::{Preparer, Shared};
use crate::rooms::count;
use crate::route::{Resource, Route};

static CMCD_REQUEST: HeaderName = HeaderName::from_static("cmcd-request");

/// Makes segments ahead.
#[derive(Debug)]
pub struct Prefetch {
    segments: u32,
    places: Arc<Semaphore>,
    /// Who asked for what, as hashes: to know who asks in order.
    asked: Cache<u64, ()>,
}

/// A request for a segment that all viewers share.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The request.
    pub request: &'a Request,
    /// Its path without a token.
    pub path: &'a str,
    /// Who asks.
    pub client: Option<IpAddr>,
    /// The profile's name.
    pub profile: &'a str,
    /// The title.
    pub title: &'a TitleId,
    /// The version.
    pub version: VersionId,
    /// The track.
    pub track: &'a TrackId,
    /// The segment.
    pub number: u32,
}

impl Prefetch {
    /// As configured; none where nothing is made ahead.
    pub fn new(settings: &config::Prefetch) -> Option<Self> {
        let asked = Cache::builder()
            .max_capacity(limits::FOLLOWED)
            .time_to_live(limits::FOLLOWED_TTL)
            .eviction_policy(EvictionPolicy::lru());
        (settings.segments > 0).then(|| Self {
            segments: settings.segments,
            places: Arc::new(Semaphore::new(count(settings.max_concurrent))),
            asked: asked.build(),
        })
    }

    /// Sees a request, and has made what is likely to follow it.
    pub async fn follow(&self, preparer: &Preparer, seen: Seen<'_>, now: Instant) {
        for (path, track, number) in self.next(&seen).await {
            let (profile, of) = (seen.profile, (seen.title, seen.version));
            let is_there = preparer.cache.has(&path);
            if is_there || preparer.ends_before(profile, of, (&track, number)).await {
                continue;
            }
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                preparer.metrics.prefetches.with_label_values(&["busy"]).inc();
                return;
            };
            let (title, resource) = (seen.title.clone(), Resource::Segment(track, number));
            let prefix = String::new();
            let shared = Shared { title, version: seen.version, resource, path, prefix };
            preparer.make_ahead(profile, shared, now, place);
        }
    }

    /// What is likely to be asked for next, with its path.
    async fn next(&self, seen: &Seen<'_>) -> Vec<(String, TrackId, u32)> {
        let in_order = self.is_in_order(seen).await;
        if let Some(named) = named_next(seen) {
            return vec![named];
        }
        let Some((folder, _)) = seen.path.rsplit_once('/').filter(|_| in_order) else {
            return Vec::new();
        };
        let ahead = (1..=self.segments).map_while(|step| seen.number.checked_add(step));
        ahead.map(|n| (format!("{folder}/{n}.m4s"), seen.track.clone(), n)).collect()
    }

    /// Whether the same client asked for the segment before this one. Many viewers may share an address.
    async fn is_in_order(&self, seen: &Seen<'_>) -> bool {
        let hash = |number: u32| {
            let mut hasher = DefaultHasher::new();
            let of = (seen.client, seen.profile, seen.title, seen.version, seen.track, number);
            of.hash(&mut hasher);
            hasher.finish()
        };
        self.asked.insert(hash(seen.number), ()).await;
        let before = seen.number.checked_sub(1);
        before.is_some_and(|before| self.asked.contains_key(&hash(before)))
    }
}

/// The segment of the same version and profile that the player says it will ask for.
fn named_next(seen: &Seen<'_>) -> Option<(String, TrackId, u32)> {
    let query = seen.request.uri.query().unwrap_or_default();
    let in_query = query.split('&').find_map(|pair| pair.strip_prefix("CMCD=")).map(decoded);
    let in_header = seen.request.field(&CMCD_REQUEST).map(Cow::Borrowed);
    let name = next_object(&in_header.or(in_query)?)?;
    let path = resolved(seen.path, &name)?;
    let (_, path) = carrier::split(&path);
    match Route::parse(path).ok()? {
        Route::Versioned { profile, title, version, session: None, resource, .. }
            if profile == seen.profile && title == *seen.title && version == seen.version =>
        {
            // Its own folder says its rev.
            let same_rev = folder(path, 3)? == folder(seen.path, 3)?;
            match resource {
                Resource::Segment(track, number) if same_rev => {
                    Some((path.to_owned(), track, number))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The value of `nor`, the first of a list (CTA-5004-A), decoded.
fn next_object(cmcd: &str) -> Option<String> {
    let (before, after) = cmcd.split_once("nor=")?;
    let begins_a_pair = before.is_empty() || before.ends_with([',', ' ']);
    let quoted = after.strip_prefix('(').unwrap_or(after).strip_prefix('"')?;
    let (name, _) = quoted.split_once('"')?;
    let is_small = name.len() <= limits::NEXT_OBJECT_BYTES;
    (begins_a_pair && is_small).then(|| decoded(name).into_owned())
}

/// A reference as RFC 3986 5.2 resolves it, of a path alone, as far as our paths go.
fn resolved(base: &str, reference: &str) -> Option<String> {
    let reference = reference.split(['?', '#']).next().unwrap_or_default();
    if reference.is_empty() || reference.contains("//") {
        return None;
    }
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let mut folders: Vec<&str> = base.split('/').collect();
    folders.pop();
    for part in reference.split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()?),
            part => folders.push(part),
        }
    }
    Some(folders.join("/"))
}

/// The element of a path, the first being 1.
fn folder(path: &str, nth: usize) -> Option<&str> {
    path.split('/').nth(nth)
}

/// Percent-encoding taken off; what is none stays as it is, and what is no text is lost.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let encoded = match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        plain.push(encoded.unwrap_or(byte));
        at += if encoded.is_some() { 3 } else { 1 };
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "/clear/movie/01939c2e-7f00-7abc-8def-0123456789ab.00c0ffee";

    async fn next(prefetch: &Prefetch, number: u32, query: &str, header: &str) -> Vec<String> {
        let path = format!("{FOLDER}/v720/{number}.m4s");
        let mut request =
            Request { uri: format!("{path}?{query}").parse().unwrap(), ..Request::default() };
        if !header.is_empty() {
            request.headers.insert(&CMCD_REQUEST, header.parse().unwrap());
        }
        let (title, track) = ("movie".parse().unwrap(), "v720".parse().unwrap());
        let version = "01939c2e-7f00-7abc-8def-0123456789ab".parse().unwrap();
        let seen = Seen {
            request: &request,
            path: &path,
            client: None,
            profile: "clear",
            title: &title,
            version,
            track: &track,
            number,
        };
        let next = prefetch.next(&seen).await;
        next.into_iter().map(|(path, ..)| path.replace(FOLDER, "")).collect()
    }

    fn prefetch(segments: u32) -> Prefetch {
        Prefetch::new(&config::Prefetch { segments, ..config::Prefetch::default() }).unwrap()
    }

    #[tokio::test]
    async fn what_follows_one_that_came_in_order() {
        let prefetch = prefetch(2);
        let none: [&str; 0] = [];
        assert_eq!(next(&prefetch, 7, "", "").await, none, "a seek");
        assert_eq!(next(&prefetch, 8, "", "").await, ["/v720/9.m4s", "/v720/10.m4s"]);
        assert_eq!(next(&prefetch, 20, "", "").await, none, "another seek");
        assert_eq!(next(&prefetch, u32::MAX, "", "").await, none);
        assert!(
            Prefetch::new(&config::Prefetch::default()).is_none(),
            "nothing unless it is wanted"
        );
    }

    #[tokio::test]
    async fn what_a_player_names() {
        // what stands behind nor=, what is made ahead
        let table = [
            ("\"9.m4s\"", "/v720/9.m4s"),
            ("\"..%2Fv1080%2F9.m4s\"", "/v1080/9.m4s"),
            ("\"../v1080/9.m4s?a=b\",nrr=\"0-\"", "/v1080/9.m4s"),
            ("(\"9.m4s\" \"10.m4s\")", "/v720/9.m4s"),
            ("\"./9.m4s\"", "/v720/9.m4s"),
            ("\"index.m3u8\"", ""),
            ("\"../../other.00c0ffee/v720/9.m4s\"", ""),
            ("\"../../01939c2e-7f00-7abc-8def-0123456789ab.00c0fff0/v720/9.m4s\"", ""),
            ("\"/secret/movie/01939c2e-7f00-7abc-8def-0123456789ab.00c0ffee/v720/9.m4s\"", ""),
            ("\"../../../../../../../x\"", ""),
            ("\"https://example.com/9.m4s\"", ""),
            ("\"\"", ""),
            ("9.m4s", ""),
            ("\"%zz%\"", ""),
        ];
        for (nor, wanted) in table {
            let header = format!("bl=21300,nor={nor}");
            assert_eq!(next(&prefetch(1), 2, "", &header).await.concat(), wanted, "{nor}");
        }
        let whole = format!("nor=\"{FOLDER}/v720/9.m4s\"");
        assert_eq!(next(&prefetch(1), 2, "", &whole).await, ["/v720/9.m4s"]);
        let query = "a=b&CMCD=bl%3D100%2Cnor%3D%229.m4s%22";
        assert_eq!(next(&prefetch(1), 2, query, "").await, ["/v720/9.m4s"]);
        let long = format!("nor=\"{}/9.m4s\"", "./".repeat(600));
        assert!(next(&prefetch(1), 2, "", &long).await.is_empty());
    }
}
