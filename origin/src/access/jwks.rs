//! A set of JSON Web Keys (RFC 7517): public keys of those who issue JWTs.
//!
//! Keys of other kinds or for other uses are passed over (RFC 7517 5). A key that is one of ours
//! and broken refuses the whole set: half of a set would turn away half of the viewers.

use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::base64url;
use super::key::{Key, KeyId};

/// The keys of a set.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

/// The members that are read (RFC 7517 4, RFC 7518 6, RFC 8037 2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<String>,
}

/// Text that held a key is overwritten.
impl Drop for Jwk {
    fn drop(&mut self) {
        self.k.zeroize();
        self.d.zeroize();
    }
}

/// Every key of a set that can check tokens. The error says which key is wrong and how.
pub fn parse(json: &[u8]) -> Result<Vec<(KeyId, Key)>, String> {
    let set: Set = serde_json::from_slice(json).map_err(|e| format!("no set of JWKs: {e}"))?;
    let mut keys = Vec::new();
    for (at, jwk) in set.keys.iter().enumerate() {
        let named = jwk.kid.as_deref().unwrap_or_default();
        keys.extend(jwk.key().map_err(|why| format!("key {at} {named:.70?}: {why}"))?);
    }
    Ok(keys)
}

impl Jwk {
    /// The key, if it is of a kind that checks tokens here.
    fn key(&self) -> Result<Option<(KeyId, Key)>, String> {
        let curve = self.crv.as_deref();
        let kind: fn(&Self) -> Result<Key, String> = match (self.kty.as_str(), curve) {
            ("oct", _) => Self::secret,
            ("EC", Some("P-256")) => Self::p256,
            ("OKP", Some("Ed25519")) => Self::ed25519,
            _ => return Ok(None),
        };
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if self.usage.as_deref().is_some_and(|usage| usage != "sig")
            || self.key_ops.as_ref().is_some_and(|ops| !verifies(ops))
        {
            return Ok(None);
        }
        if self.d.is_some() {
            return Err("it holds the private key; give the origin the public one".to_owned());
        }
        let id = self.kid.as_deref().ok_or("it has no `kid`")?.parse()?;
        let key = kind(self)?;
        match self.alg.as_deref() {
            None => Ok(Some((id, key))),
            Some(alg) if alg == key.jose_algorithm() => Ok(Some((id, key))),
            Some(alg) => Err(format!("{alg:.20?} is not the algorithm of such a key, {key:?}")),
        }
    }

    fn secret(&self) -> Result<Key, String> {
        let bytes = Zeroizing::new(bytes(self.k.as_deref(), "k")?);
        Key::secret(&bytes).map_err(|why| why.to_string())
    }

    /// RFC 7518 6.2.1: both coordinates at their full length.
    fn p256(&self) -> Result<Key, String> {
        let mut point = vec![4];
        for (name, text) in [("x", &self.x), ("y", &self.y)] {
            let coordinate = bytes(text.as_deref(), name)?;
            if coordinate.len() != 32 {
                return Err(format!("`{name}` has {} bytes, expected 32", coordinate.len()));
            }
            point.extend_from_slice(&coordinate);
        }
        Key::p256(point).map_err(|why| why.to_string())
    }

    fn ed25519(&self) -> Result<Key, String> {
        Key::ed25519(bytes(self.x.as_deref(), "x")?).map_err(|why| why.to_string())
    }
}

fn bytes(text: Option<&str>, name: &str) -> Result<Vec<u8>, String> {
    let text = text.ok_or_else(|| format!("it has no `{name}`"))?;
    base64url::decode(text.as_bytes()).ok_or_else(|| format!("`{name}` is not base64url"))
}
