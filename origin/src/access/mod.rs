//! Who may have a profile's responses: decided for each request before any cache is asked.
//!
//! ```text
//! none     everybody
//! cdn      who shows the CDN's secret; its viewers are the CDN's to check
//! origin   who shows a token that is good for what is asked for
//! ```
//!
//! OPTIONS is answered before: a preflight carries nothing that could be checked.

pub mod base64url;
pub mod carrier;
pub mod cdn;
pub mod child;
pub mod compact;
pub mod gate;
pub mod jwks;
pub mod jwt;
pub mod key;
pub mod policy;
pub mod propagate;
pub mod refusal;
pub mod scope;
pub(crate) mod secret;
pub mod session;
pub mod tokens;

use std::fmt;

use headwater_config::{Access as Settings, EnforcedBy, PropagateQuery, Renewal, SecretSource};
use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HeaderValue,
};

use cdn::Cdn;
use key::KeyId;
use policy::Enforcer;
pub use refusal::Refusal;

/// How one profile is protected.
#[derive(Debug)]
pub enum Access {
    /// Not at all.
    Public,
    /// By the CDN; tokens that come along are taken on these terms.
    Cdn(Cdn, Terms),
    /// By this service; tokens are taken on these terms.
    Origin(Terms),
}

/// On which terms a profile takes tokens.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Keys that they are of; any if there is none.
    pub keys: Vec<KeyId>,
    /// Whether one for a manifest's URL alone is exchanged.
    pub exchange: bool,
    /// How one that may be renewed is.
    pub renewal: Renewal,
    /// Seconds that a renewal lasts.
    pub renewal_s: u64,
    /// How manifests pass on one that came in their query.
    pub propagate_query: PropagateQuery,
}

/// A secret that cannot be had. Never holds the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretError {
    /// Where it should be.
    pub source: SecretSource,
    /// Expected, got, remedy.
    pub detail: String,
}

impl Access {
    /// Reads what the settings name.
    pub fn open(settings: &Settings) -> Result<Self, SecretError> {
        let id = |id: &headwater_config::TokenKeyId| id.as_str().parse().expect("the same bounds");
        let terms = Terms {
            keys: settings.token_keys.iter().map(id).collect(),
            exchange: settings.exchange,
            renewal: settings.renewal,
            renewal_s: settings.renewal_s.into(),
            propagate_query: settings.propagate_query,
        };
        Ok(match settings.enforced_by {
            EnforcedBy::None => Self::Public,
            EnforcedBy::Cdn => {
                Self::Cdn(Cdn::open(&settings.cdn_header, &settings.cdn_secrets)?, terms)
            }
            EnforcedBy::Origin => Self::Origin(terms),
        })
    }

    /// The terms on which tokens are taken, where any are, and who enforces them.
    pub fn terms(&self) -> Option<(Enforcer, &Terms)> {
        match self {
            Self::Public => None,
            Self::Cdn(_, terms) => Some((Enforcer::Cdn, terms)),
            Self::Origin(terms) => Some((Enforcer::Origin, terms)),
        }
    }

    /// Keeps shared caches from storing what was answered to one viewer, whatever the answer: the
    /// last thing that is done to a header.
    pub fn seal(&self, headers: &mut HeaderMap) {
        if !matches!(self, Self::Origin(_)) {
            return;
        }
        // Fetch 3.2.5: pages send cookies where one of them is named, never where all are.
        if headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin != "*") {
            let allowed = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
        }
        // RFC 9213: a targeted field would be believed before Cache-Control.
        headers.remove("cdn-cache-control");
        let Some(said) = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()) else {
            return;
        };
        if said != "no-store" {
            let rest = said.strip_prefix("public").unwrap_or(", no-cache");
            let private = HeaderValue::try_from(format!("private{rest}"));
            headers.insert(CACHE_CONTROL, private.expect("it was a header's value"));
        }
    }
}

impl Terms {
    /// Whether this service hands out tokens of its own, and so takes them.
    pub fn hands_out(&self) -> bool {
        self.exchange || self.renewal == Renewal::Exchange
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.detail)
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_origin_enforces_is_private() {
        let table = [
            ("public, max-age=31536000, immutable", "private, max-age=31536000, immutable"),
            ("public, max-age=2", "private, max-age=2"),
            ("no-store", "no-store"),
            ("no-cache", "private, no-cache"),
        ];
        for (said, wanted) in table {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(said));
            headers.insert("cdn-cache-control", HeaderValue::from_static("max-age=60"));
            let before = headers.clone();
            Access::Public.seal(&mut headers);
            assert_eq!(headers, before);
            Access::Origin(Terms::default()).seal(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], wanted);
            assert!(!headers.contains_key("cdn-cache-control"));
        }
    }

    #[test]
    fn cookies_are_sent_by_pages_that_are_named() {
        for (origin, allowed) in [("https://shop.example", true), ("*", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static(origin));
            Access::Origin(Terms::default()).seal(&mut headers);
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), allowed, "{origin}");
        }
    }
}
