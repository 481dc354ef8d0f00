//! Who may do what: keys with scopes, in `Authorization: Bearer` (RFC 6750 2.1).
//!
//! Keys are kept and compared as SHA-256 sums, every one of them for each request: how long that
//! takes says nothing about how much of a guess is right, or which key it is near.

use std::fmt;
use std::fs::File;
use std::io::Read;

use headwater_config::SecretSource;
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::error::{Error, Kind};
use crate::limits;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look at jobs and at the queue.
    Read,
    /// Submit jobs.
    Submit,
    /// Cancel, try again, change priorities.
    Manage,
}

impl Scope {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Manage => "manage",
        }
    }
}

/// A key.
#[derive(Clone)]
pub struct ApiKey {
    name: String,
    sum: [u8; 32],
    scopes: Vec<Scope>,
}

impl ApiKey {
    /// Reads a key from a file or a variable.
    pub fn read(name: &str, source: &SecretSource, scopes: &[Scope]) -> Result<Self, Error> {
        let wrong =
            |why: String| Error::new(Kind::Usage, format!("API key {name}: {source}: {why}"));
        let mut secret = Zeroizing::new(Vec::with_capacity(limits::API_KEY_BYTES + 1));
        match source {
            SecretSource::File(path) => {
                let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
                let most_bytes = limits::API_KEY_BYTES as u64 + 1;
                file.take(most_bytes).read_to_end(&mut secret).map_err(|e| wrong(e.to_string()))?;
            }
            SecretSource::Variable(variable) => {
                let value = std::env::var_os(variable);
                let value = value.ok_or_else(|| wrong("this variable is not set".to_owned()))?;
                secret = Zeroizing::new(value.into_encoded_bytes());
            }
        }
        Self::new(name, secret.trim_ascii_end(), scopes).map_err(|e| e.within(source))
    }

    /// The key with this secret.
    pub fn new(name: &str, secret: &[u8], scopes: &[Scope]) -> Result<Self, Error> {
        let allowed = limits::API_KEY_LEAST_BYTES..=limits::API_KEY_BYTES;
        if !allowed.contains(&secret.len()) || !secret.iter().all(u8::is_ascii_graphic) {
            let text = format!(
                "API key {name} is not {} to {} printable characters without spaces: make one with \
                 `openssl rand -hex 32`",
                allowed.start(),
                allowed.end()
            );
            return Err(Error::new(Kind::Usage, text));
        }
        Ok(Self {
            name: name.to_owned(),
            sum: Sha256::digest(secret).into(),
            scopes: scopes.to_vec(),
        })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({} {:?})", self.name, self.scopes)
    }
}

/// All keys.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<ApiKey>);

impl ApiKeys {
    /// These keys. Without any, nobody is admitted.
    pub fn new(keys: Vec<ApiKey>) -> Self {
        Self(keys)
    }

    /// Refuses who has no key, or one that does not allow `scope`.
    pub(super) fn admit(
        &self,
        authorization: Option<&HeaderValue>,
        scope: Scope,
    ) -> Result<(), Failure> {
        let refused = |detail: &str| Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        let Some(value) = authorization else {
            return Err(refused("send a key: Authorization: Bearer KEY"));
        };
        let value = value.as_bytes();
        let secret = match value.split_at_checked(b"Bearer ".len()) {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case(b"Bearer ") => secret,
            _ => return Err(refused("send the key as Authorization: Bearer KEY")),
        };
        let sum: [u8; 32] = Sha256::digest(secret).into();
        let (mut is_known, mut is_allowed) = (Choice::from(0), Choice::from(0));
        for key in &self.0 {
            let is_it = key.sum.ct_eq(&sum);
            is_known |= is_it;
            is_allowed |= is_it & Choice::from(u8::from(key.scopes.contains(&scope)));
        }
        if !bool::from(is_known) {
            return Err(refused("this key is not known here"));
        }
        if !bool::from(is_allowed) {
            let detail = format!("this key has not the scope {}", scope.as_str());
            return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        Ok(())
    }
}
