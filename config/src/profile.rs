//! `[profiles.<name>]`: how titles are delivered, and which.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::access::{Access, PropagateQuery};
use crate::limits::{MAX_NAME_BYTES, MAX_TITLE_ID_BYTES};
use crate::protection::Protection;

/// One named delivery policy; its name is the first part of each URL it answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The manifests that are offered; media URLs are the same for all of them.
    pub formats: Vec<Format>,
    /// Milliseconds of a media segment, rounded to whole fragments.
    pub segment_ms: u32,
    /// `max-age` of playlists and MPDs, in seconds.
    pub manifest_max_age_s: u32,
    /// `stale-while-revalidate` of playlists and MPDs, in seconds.
    pub manifest_stale_s: u32,
    /// Whether manifests carry `CDN-Cache-Control` (RFC 9213), which caches of a CDN obey in
    /// place of `Cache-Control`.
    pub cdn_cache_control: bool,
    /// `max-age` of playlists and MPDs in a CDN, in seconds.
    pub cdn_manifest_max_age_s: u32,
    /// `stale-while-revalidate` of playlists and MPDs in a CDN, in seconds.
    pub cdn_manifest_stale_s: u32,
    /// `stale-if-error` of playlists and MPDs, in seconds; 0 says nothing.
    pub manifest_stale_if_error_s: u32,
    /// Seconds that the response cache keeps manifests; 0 for as long as there is room.
    pub keep_manifests_s: u32,
    /// The same of init sections and segments.
    pub keep_media_s: u32,
    /// Titles without an access class that are admitted: ids, or `prefix*`.
    pub titles: Vec<TitleRule>,
    /// Access classes that are admitted. A title that has one is admitted by nothing else.
    pub access_classes: Vec<Name>,
    /// Web pages that may read responses: `"*"`, or origins such as `https://example.com`.
    pub cors_origins: CorsOrigins,
    /// Who decides which viewers may have responses.
    pub access: Access,
    /// How media is encrypted.
    pub protection: Protection,
}

impl Profile {
    /// Whether this profile serves a title. One with an `access_class` is served only where the
    /// class is listed: the `titles` rule never opens it.
    #[must_use]
    pub fn admits(&self, title_id: &str, access_class: Option<&str>) -> bool {
        match access_class {
            Some(class) => self.access_classes.iter().any(|listed| listed.as_str() == class),
            None => self.titles.iter().any(|rule| rule.matches(title_id)),
        }
    }

    /// Whether manifests of this format are offered.
    #[must_use]
    pub fn offers(&self, format: Format) -> bool {
        self.formats.contains(&format)
    }

    /// The settings that shape the bytes of a response, in a fixed order, as text: what `rev` is
    /// made of. Two profiles that differ here must never share a media URL.
    #[must_use]
    pub fn shape(&self) -> Vec<(&'static str, String)> {
        // Taken apart, so that a new setting does not compile until someone decides here.
        let Self {
            segment_ms,
            formats: _,
            manifest_max_age_s: _,
            manifest_stale_s: _,
            cdn_cache_control: _,
            cdn_manifest_max_age_s: _,
            cdn_manifest_stale_s: _,
            manifest_stale_if_error_s: _,
            keep_manifests_s: _,
            keep_media_s: _,
            titles: _,
            access_classes: _,
            cors_origins: _,
            access,
            protection,
        } = self;
        let mut shape = vec![("segment_ms", segment_ms.to_string())];
        // Of access this alone is written into manifests; left out where it writes nothing.
        if access.propagate_query != PropagateQuery::None {
            shape.push(("propagate_query", format!("{:?}", access.propagate_query)));
        }
        shape.extend(protection.shape());
        shape
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            formats: vec![Format::Hls, Format::Dash],
            segment_ms: 6_000,
            manifest_max_age_s: 2,
            manifest_stale_s: 60,
            cdn_cache_control: false,
            cdn_manifest_max_age_s: 10,
            cdn_manifest_stale_s: 60,
            manifest_stale_if_error_s: 0,
            keep_manifests_s: 0,
            keep_media_s: 0,
            titles: vec![TitleRule::Prefix(String::new())],
            access_classes: Vec::new(),
            cors_origins: CorsOrigins::Any,
            access: Access::default(),
            protection: Protection::default(),
        }
    }
}

/// A delivery format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// HTTP Live Streaming: `.m3u8`.
    Hls,
    /// MPEG-DASH: `.mpd`.
    Dash,
}

/// A word of the operator's, for a profile or an access class: `[a-z0-9-]{1,32}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that a part of a URL finds its profile without a copy.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is no name: 1 to {MAX_NAME_BYTES} of a-z, 0-9 and -"))
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// Which titles: `some.title` is that one, `some*` each that begins so, `*` all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum TitleRule {
    /// The one title of this id.
    Exact(String),
    /// Each title whose id begins so; the empty prefix is all.
    Prefix(String),
}

impl TitleRule {
    /// Whether the rule is about this title.
    #[must_use]
    pub fn matches(&self, title_id: &str) -> bool {
        match self {
            Self::Exact(id) => id == title_id,
            Self::Prefix(prefix) => title_id.starts_with(prefix.as_str()),
        }
    }
}

impl FromStr for TitleRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (stem, prefix) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !stem.bytes().all(allowed) || stem.len() > MAX_TITLE_ID_BYTES || text.is_empty() {
            return Err(format!(
                "`{text}` is no title rule: an id of 1 to {MAX_TITLE_ID_BYTES} letters, digits, '.', '_' and '-', or the beginning of one and '*'"
            ));
        }
        let stem = stem.to_owned();
        Ok(if prefix { Self::Prefix(stem) } else { Self::Exact(stem) })
    }
}

impl TryFrom<String> for TitleRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for TitleRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(id) => f.write_str(id),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl From<TitleRule> for String {
    fn from(rule: TitleRule) -> Self {
        rule.to_string()
    }
}

/// Whether a text is a title's id: the packager's `TitleId` takes the same.
pub(crate) fn is_title_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_TITLE_ID_BYTES).contains(&text.len())
        && text.bytes().all(allowed)
        && text != "."
        && text != ".."
}

/// Web pages that may read responses (the `Origin` of a CORS request).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum CorsOrigins {
    /// Every page: `Access-Control-Allow-Origin: *`, the same answer for whoever asks.
    Any,
    /// These, each as the browser writes it: scheme, host, port if it is not the scheme's own.
    /// None at all: no CORS header is ever sent.
    Listed(Vec<String>),
}

impl CorsOrigins {
    /// The pages that at least one of these profiles allows.
    #[must_use]
    pub fn of_any<'a>(profiles: impl IntoIterator<Item = &'a Profile>) -> Self {
        let mut all = Vec::new();
        for profile in profiles {
            match &profile.cors_origins {
                Self::Any => return Self::Any,
                Self::Listed(origins) => all.extend_from_slice(origins),
            }
        }
        all.sort_unstable();
        all.dedup();
        Self::Listed(all)
    }

    /// Whether a page of this origin may read responses.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.iter().any(|listed| listed == origin),
        }
    }
}

impl TryFrom<Vec<String>> for CorsOrigins {
    type Error = String;

    fn try_from(origins: Vec<String>) -> Result<Self, String> {
        if origins == ["*"] {
            return Ok(Self::Any);
        }
        match origins.iter().find(|origin| !is_web_origin(origin)) {
            None => Ok(Self::Listed(origins)),
            Some(wrong) => Err(format!(
                "`{wrong}` is no web origin: write `https://example.com`, lower case, no path, no '/' at the end; or `[\"*\"]` alone for all"
            )),
        }
    }
}

impl From<CorsOrigins> for Vec<String> {
    fn from(origins: CorsOrigins) -> Self {
        match origins {
            CorsOrigins::Any => vec!["*".to_owned()],
            CorsOrigins::Listed(origins) => origins,
        }
    }
}

/// RFC 6454 6.2: the ASCII serialization that a browser sends.
fn is_web_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || matches!(b, b'.' | b'-' | b':' | b'[' | b']')
            })
    })
}

/// The profiles of a configuration that names none: `clear`, which serves every title without
/// an access class.
pub(crate) fn clear() -> BTreeMap<Name, Profile> {
    BTreeMap::from([(Name("clear".to_owned()), Profile::default())])
}

/// An empty `[profiles]` means the same as none.
pub(crate) fn one_at_least<'de, D>(from: D) -> Result<BTreeMap<Name, Profile>, D::Error>
where
    D: Deserializer<'de>,
{
    let profiles = BTreeMap::deserialize(from)?;
    Ok(if profiles.is_empty() { clear() } else { profiles })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> TitleRule {
        TitleRule::try_from(text.to_owned()).expect("a good rule")
    }

    #[test]
    fn a_title_with_an_access_class_is_opened_only_by_its_class() {
        let profile = |titles: &[&str], classes: &[&str]| Profile {
            titles: titles.iter().copied().map(rule).collect(),
            access_classes: classes.iter().map(|c| c.parse().expect("a name")).collect(),
            ..Profile::default()
        };
        let open = profile(&["*"], &[]);
        let some = profile(&["demo", "show-*"], &[]);
        let paid = profile(&[], &["paid"]);
        let both = profile(&["*"], &["paid"]);
        // name, profile, title, class, admitted
        let table = [
            ("everything clear", &open, "demo", None, true),
            ("a class closes the wildcard", &open, "demo", Some("paid"), false),
            ("exact", &some, "demo", None, true),
            ("exact is not a prefix", &some, "demo2", None, false),
            ("prefix", &some, "show-7", None, true),
            ("prefix, another", &some, "Show-7", None, false),
            ("exact does not open a class", &some, "demo", Some("paid"), false),
            ("its class", &paid, "demo", Some("paid"), true),
            ("another class", &paid, "demo", Some("free"), false),
            ("a class that begins alike", &paid, "demo", Some("paid-too"), false),
            ("a class profile has no clear titles", &paid, "demo", None, false),
            ("both, class", &both, "demo", Some("paid"), true),
            ("both, wrong class", &both, "demo", Some("free"), false),
            ("an empty class is a class", &open, "demo", Some(""), false),
        ];
        for (name, profile, title, class, wanted) in table {
            assert_eq!(profile.admits(title, class), wanted, "{name}");
        }
    }

    #[test]
    fn names() {
        for good in ["clear", "a", "drm-4k", "0123456789abcdef0123456789abcdef"] {
            assert_eq!(good.parse::<Name>().expect(good).as_str(), good);
        }
        for bad in ["", "Clear", "a.b", "a/b", "..", "~x", "0123456789abcdef0123456789abcdef0"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn title_rules_are_printed_as_they_are_read() {
        for text in ["*", "a", "a*", "A.b_c-*"] {
            assert_eq!(String::from(rule(text)), text);
        }
        for bad in ["", "a*b", "**", "a/b", "é"] {
            assert!(TitleRule::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn cors_origins() {
        let parse = |list: &[&str]| {
            CorsOrigins::try_from(list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(parse(&["*"]), Ok(CorsOrigins::Any));
        let one = parse(&["https://example.com", "http://[::1]:8080"]).expect("two origins");
        assert!(one.allows("https://example.com") && one.allows("http://[::1]:8080"));
        assert!(!one.allows("https://example.com.evil") && !one.allows("null"));
        for bad in
            [&["*", "https://a.b"][..], &["https://a.b/"], &["a.b"], &["https://A.b"], &["null"]]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse(&[]), Ok(CorsOrigins::Listed(Vec::new())), "no page at all");
    }
}
