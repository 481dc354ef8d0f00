//! A viewer's session: a cookie beside a token, which lets the token go on after its expiry.
//!
//! ```text
//! name    <session_cookie>-<12 characters of base64url(SHA-256(token))>
//! value   base64url(signed | mac)
//! signed  version u8 = 1 | key id length u8 | key id | expires u64
//! mac     HMAC-SHA256(own key, "headwater session\n" | SHA-256(token) | signed)
//! ```
//!
//! It says nothing but a time, and of one token alone: what may be watched is still the token's to
//! say, which must come along, and so is the end of all renewals. Several tokens of one viewer have
//! a cookie each.

use std::fmt;

use headwater_config::CookieSites;
use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::base64url;
use super::key::{Key, KeyId, Keys, MAC_BYTES, Secret};

const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"headwater session\n";
/// Characters of a token's digest in the cookie's name: 72 bits, so that two tokens of one browser
/// never share one.
const NAME_CHARS: usize = 12;

/// Why a cookie carries no token on. To a viewer it is as none: the token says by itself whether its
/// time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSession {
    /// This service writes no such value.
    Malformed,
    /// No key has its key id, or one that is not the service's own.
    KeyRefused,
    /// It is another token's, or was changed.
    SignatureWrong,
}

/// A token as sessions know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSum([u8; 32]);

impl TokenSum {
    /// Of a token as it came.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// The name of its cookie.
    pub fn cookie_name(&self, prefix: &str) -> String {
        let digest = base64url::encode(&self.0);
        format!("{prefix}-{}", &digest[..NAME_CHARS])
    }
}

/// The cookie's value that carries a token on until `expires_s`.
pub fn sign(token: &TokenSum, expires_s: u64, (id, secret): (&KeyId, &Secret)) -> String {
    let mut signed = vec![VERSION];
    signed.push(u8::try_from(id.as_str().len()).expect("key ids are shorter than 256 bytes"));
    signed.extend_from_slice(id.as_str().as_bytes());
    signed.extend_from_slice(&expires_s.to_be_bytes());
    let mac = secret.sign(&[CONTEXT, &token.0, &signed]);
    signed.extend_from_slice(&mac);
    base64url::encode(&signed)
}

/// Until when a cookie's value carries this token on, if one of `own` signed it for that.
pub fn expires_s(
    value: &str,
    token: &TokenSum,
    keys: &Keys,
    own: &[KeyId],
) -> Result<u64, NoSession> {
    let bytes = base64url::decode(value.as_bytes()).ok_or(NoSession::Malformed)?;
    let (signed, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(NoSession::Malformed)?;
    let (id, expires_s) = said(signed).ok_or(NoSession::Malformed)?;
    let (id, key) = keys.key(id).map_err(|_| NoSession::KeyRefused)?;
    match key {
        Key::Secret(secret) if own.contains(id) => {
            let good = secret.signed(&[CONTEXT, &token.0, signed], mac);
            if good { Ok(expires_s) } else { Err(NoSession::SignatureWrong) }
        }
        _ => Err(NoSession::KeyRefused),
    }
}

/// The key's id and the time of what looks like a cookie's value, whoever signed it.
pub fn unchecked(value: &str) -> Option<(String, u64)> {
    let bytes = base64url::decode(value.as_bytes())?;
    let (signed, _) = bytes.split_last_chunk::<MAC_BYTES>()?;
    said(signed).map(|(id, expires_s)| (id.to_owned(), expires_s))
}

/// No token has this form: a time alone is shorter than the claim that says it.
fn said(signed: &[u8]) -> Option<(&str, u64)> {
    let (&[version, id_len], rest) = signed.split_first_chunk()?;
    let (id, expires) = rest.split_at_checked(id_len.into())?;
    let expires_s = u64::from_be_bytes(expires.try_into().ok()?);
    (version == VERSION).then_some((std::str::from_utf8(id).ok()?, expires_s))
}

/// For people.
impl fmt::Display for NoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no cookie of a session",
            Self::KeyRefused => "its key is none of own_keys",
            Self::SignatureWrong => "it is another token's, or was changed",
        })
    }
}

/// The response's field that sets a cookie for as long as it is good. Scripts do not see it.
pub fn set_cookie(name: &str, value: &str, lasts_s: u64, sites: CookieSites) -> HeaderValue {
    let sites = match sites {
        CookieSites::Same => "SameSite=Lax",
        CookieSites::All => "SameSite=None; Secure",
    };
    let text = format!("{name}={value}; Max-Age={lasts_s}; Path=/; HttpOnly; {sites}");
    HeaderValue::try_from(text).expect("words, numbers and base64url")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_one_tokens_and_of_an_own_key() {
        let secret = Secret::new(&[7; 32]).unwrap();
        let mut keys = Keys::default();
        let id = |text: &str| text.parse::<KeyId>().unwrap();
        for name in ["own", "issuer"] {
            assert!(keys.add(id(name), Key::Secret(secret.clone())));
        }
        let own = [id("own")];
        let (token, other) = (TokenSum::of("a"), TokenSum::of("b"));
        let value = sign(&token, 77, (&own[0], &secret));
        let issued = sign(&token, 77, (&id("issuer"), &secret));
        let unknown = sign(&token, 77, (&id("none"), &secret));
        let longer = base64url::encode(&[1, 1, b'a', 0]);
        let compact = base64url::encode(&[&[1, 3][..], b"own", &[0; 11 + MAC_BYTES]].concat());
        use NoSession::{KeyRefused, Malformed, SignatureWrong};
        let table = [
            ("its own", &value, &token, &own[..], Ok(77)),
            ("another token's", &value, &other, &own, Err(SignatureWrong)),
            ("an issuer's key", &issued, &token, &own, Err(KeyRefused)),
            ("an unknown key", &unknown, &token, &own, Err(KeyRefused)),
            ("no own key any more", &value, &token, &[], Err(KeyRefused)),
            ("no signature", &longer, &token, &own, Err(Malformed)),
            ("as long as a token", &compact, &token, &own, Err(Malformed)),
            ("nothing", &String::new(), &token, &own, Err(Malformed)),
            ("padded", &format!("{value}="), &token, &own, Err(Malformed)),
            ("a space behind", &format!("{value} "), &token, &own, Err(Malformed)),
            ("twice", &format!("{value}{value}"), &token, &own, Err(Malformed)),
            ("another version", &format!("B{}", &value[1..]), &token, &own, Err(Malformed)),
        ];
        for (name, value, token, own, wanted) in table {
            assert_eq!(expires_s(value, token, &keys, own), wanted, "{name}");
        }
        assert_eq!(unchecked(&issued), Some(("issuer".to_owned(), 77)));
        for at in 0..value.len() {
            let other = if &value[at..=at] == "A" { "B" } else { "A" };
            let mut changed = value.clone();
            changed.replace_range(at..=at, other);
            assert!(expires_s(&changed, &token, &keys, &own).is_err(), "{changed}");
            assert!(expires_s(&value[..at], &token, &keys, &own).is_err(), "{at}");
        }
    }

    #[test]
    fn what_a_browser_is_told() {
        let name = TokenSum::of("a").cookie_name("s");
        assert_eq!(name, "s-ypeBEsobvcr6");
        let of = |sites| set_cookie("s-1", "v", 60, sites);
        assert_eq!(of(CookieSites::Same), "s-1=v; Max-Age=60; Path=/; HttpOnly; SameSite=Lax");
        let all = "s-1=v; Max-Age=60; Path=/; HttpOnly; SameSite=None; Secure";
        assert_eq!(of(CookieSites::All), all);
    }
}
