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
pub mod compact;
pub mod gate;
pub mod jwks;
pub mod jwt;
pub mod key;
pub mod policy;
pub mod refusal;
pub mod scope;
mod secret;
pub mod tokens;

use std::fmt;

use headwater_config::{Access as Settings, EnforcedBy, SecretSource};
use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HeaderValue,
};

use cdn::Cdn;
use key::KeyId;
pub use refusal::Refusal;

/// How one profile is protected.
#[derive(Debug)]
pub enum Access {
    /// Not at all.
    Public,
    /// By the CDN; tokens that come along are of these keys, or of any if there is none.
    Cdn(Cdn, Vec<KeyId>),
    /// By this service; tokens are of these keys, or of any if there is none.
    Origin(Vec<KeyId>),
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
        let keys = || settings.token_keys.iter().map(id).collect();
        Ok(match settings.enforced_by {
            EnforcedBy::None => Self::Public,
            EnforcedBy::Cdn => {
                Self::Cdn(Cdn::open(&settings.cdn_header, &settings.cdn_secrets)?, keys())
            }
            EnforcedBy::Origin => Self::Origin(keys()),
        })
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
            Access::Origin(Vec::new()).seal(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], wanted);
            assert!(!headers.contains_key("cdn-cache-control"));
        }
    }

    #[test]
    fn cookies_are_sent_by_pages_that_are_named() {
        for (origin, allowed) in [("https://shop.example", true), ("*", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static(origin));
            Access::Origin(Vec::new()).seal(&mut headers);
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), allowed, "{origin}");
        }
    }
}
