//! Keys that sign tokens. A key is of one algorithm by its type, so no token chooses how it is
//! checked (RFC 8725 3.1).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::limits;

/// Bytes of a shared secret, at least: as many as its signatures have (RFC 7518 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// Bytes of an HMAC-SHA256.
pub const MAC_BYTES: usize = 32;
/// Bytes of a point of P-256, uncompressed (SEC 1 2.3.3).
const P256_POINT_BYTES: usize = 65;
/// The point's first byte.
const UNCOMPRESSED: u8 = 4;
/// Bytes of an Ed25519 key (RFC 8032 5.1.5).
const ED25519_BYTES: usize = 32;

/// Which key signed: `[A-Za-z0-9._-]` and at most [`limits::KEY_ID_BYTES`] of them. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

/// A key, ready to check what it signed.
#[derive(Clone)]
pub enum Key {
    /// Signs and checks with HMAC-SHA256: compact tokens and HS256.
    Secret(Secret),
    /// Checks ES256 (RFC 7518 3.4).
    P256(UnparsedPublicKey<Vec<u8>>),
    /// Checks EdDSA with Ed25519 (RFC 8037).
    Ed25519(UnparsedPublicKey<Vec<u8>>),
}

/// A shared secret. Its bytes and what was computed from them are overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

/// The keys of an origin by their ids.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<KeyId, Key>);

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// Fewer bytes than [`MIN_SECRET_BYTES`].
    ShortSecret,
    /// No uncompressed point of P-256.
    NotP256,
    /// Not the length of an Ed25519 key.
    NotEd25519,
}

impl Key {
    /// A shared secret.
    pub fn secret(bytes: &[u8]) -> Result<Self, BadKey> {
        Secret::new(bytes).map(Self::Secret)
    }

    /// A public key of P-256: its uncompressed point. Whether it lies on the curve is seen when it
    /// is used; a point that does not checks nothing.
    pub fn p256(point: Vec<u8>) -> Result<Self, BadKey> {
        if point.len() != P256_POINT_BYTES || point[0] != UNCOMPRESSED {
            return Err(BadKey::NotP256);
        }
        Ok(Self::P256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)))
    }

    /// A public key of Ed25519.
    pub fn ed25519(bytes: Vec<u8>) -> Result<Self, BadKey> {
        if bytes.len() != ED25519_BYTES {
            return Err(BadKey::NotEd25519);
        }
        Ok(Self::Ed25519(UnparsedPublicKey::new(&ED25519, bytes)))
    }

    /// The name of its algorithm in a JOSE header (RFC 7518 3.1, RFC 8037 3.1).
    pub fn jose_algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => "HS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// Whether it signed a message. A shared secret's answer takes the same time for every wrong
    /// signature.
    pub fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let good = match self {
            Self::Secret(secret) => secret.signed(&[message], signature),
            Self::P256(key) | Self::Ed25519(key) => key.verify(message, signature).is_ok(),
        };
        if good { Ok(()) } else { Err(Refusal::SignatureWrong) }
    }
}

impl Secret {
    /// A secret of at least [`MIN_SECRET_BYTES`].
    pub fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(BadKey::ShortSecret);
        }
        Ok(Self(Hmac::new_from_slice(bytes).expect("HMAC takes keys of every length")))
    }

    /// The signature of a message that is given in parts.
    pub fn sign(&self, message: &[&[u8]]) -> [u8; MAC_BYTES] {
        self.over(message).finalize().into_bytes().into()
    }

    /// Whether it signed a message, in constant time.
    pub fn signed(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        self.over(message).verify_slice(signature).is_ok()
    }

    fn over(&self, message: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        message.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl Keys {
    /// The key with this id.
    pub fn key(&self, id: &str) -> Result<(&KeyId, &Key), Refusal> {
        self.0.get_key_value(id).ok_or(Refusal::KeyUnknown)
    }

    /// Adds a key; false if its id is taken.
    pub fn add(&mut self, id: KeyId, key: Key) -> bool {
        let vacant = !self.0.contains_key(&*id.0);
        if vacant {
            self.0.insert(id, key);
        }
        vacant
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ids and algorithms, for logs.
    pub fn listed(&self) -> impl Iterator<Item = (&KeyId, &'static str)> {
        self.0.iter().map(|(id, key)| (id, key.jose_algorithm()))
    }
}

impl KeyId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=limits::KEY_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        let most = limits::KEY_ID_BYTES;
        Err(format!("{text:.70?} is no key id: 1 to {most} of A-Z a-z 0-9 . _ -"))
    }
}

impl std::borrow::Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Nothing of a key is ever shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(redacted)", self.jose_algorithm())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortSecret => write!(
                f,
                "a shared secret has at least {MIN_SECRET_BYTES} bytes; make one with \
                 `openssl rand -hex 32`"
            ),
            Self::NotP256 => f.write_str("no uncompressed point of P-256"),
            Self::NotEd25519 => write!(f, "an Ed25519 key has {ED25519_BYTES} bytes"),
        }
    }
}

/// The text of a file or variable that holds a shared secret: hexadecimal digits, with white space
/// around them at most. Overwritten when dropped.
pub fn secret_bytes(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.trim_ascii();
    // Room for all of them at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len().div_ceil(2)));
    for pair in digits.chunks(2) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
    }
    Some(bytes)
}
