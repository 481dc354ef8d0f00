//! Who may have a profile's responses: decided for each request before any cache is asked.
//!
//! ```text
//! none     everybody
//! cdn      who shows the CDN's secret; its viewers are the CDN's to check
//! origin   nobody yet: no kind of token exists, and what cannot be checked is refused
//! ```
//!
//! OPTIONS is answered before: a preflight carries nothing that could be checked.

pub mod base64url;
pub mod carrier;
pub mod cdn;
pub mod compact;
pub mod jwks;
pub mod jwt;
pub mod key;
pub mod policy;
pub mod refusal;
pub mod scope;
mod secret;

use std::fmt;

use headwater_config::{Access as Settings, EnforcedBy, SecretSource};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderValue};

use crate::exchange::Request;
use crate::failure::Failure;
use cdn::Cdn;
pub use refusal::Refusal;

/// How one profile is protected.
#[derive(Debug)]
pub enum Access {
    /// Not at all.
    Public,
    /// By the CDN.
    Cdn(Cdn),
    /// By this service.
    Origin,
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
        Ok(match settings.enforced_by {
            EnforcedBy::None => Self::Public,
            EnforcedBy::Cdn => Self::Cdn(Cdn::open(&settings.cdn_header, &settings.cdn_secrets)?),
            EnforcedBy::Origin => Self::Origin,
        })
    }

    /// Lets a request pass, or refuses it.
    pub fn admit(&self, request: &Request) -> Result<(), Failure> {
        let outcome = match self {
            Self::Public => Ok(()),
            Self::Cdn(cdn) => cdn.admit(&request.headers),
            Self::Origin => Err(Refusal::TokensUnsupported),
        };
        outcome.map_err(Failure::AccessRefused)
    }

    /// Keeps shared caches from storing what was answered to one viewer, whatever the answer: the
    /// last thing that is done to a header.
    pub fn seal(&self, headers: &mut HeaderMap) {
        if !matches!(self, Self::Origin) {
            return;
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
            Access::Origin.seal(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], wanted);
            assert!(!headers.contains_key("cdn-cache-control"));
        }
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        let settings = Settings { enforced_by: EnforcedBy::Origin, ..Settings::default() };
        let refused = Access::open(&settings).unwrap().admit(&Request::default());
        assert_eq!(refused, Err(Failure::AccessRefused(Refusal::TokensUnsupported)));
    }
}
