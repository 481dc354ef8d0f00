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

/// Until when a cookie's value carries this token on; nothing unless one of `own` signed it. A
/// value that is no good is as none: the token says by itself whether its time is over.
pub fn expires_s(value: &str, token: &TokenSum, keys: &Keys, own: &[KeyId]) -> Option<u64> {
    let bytes = base64url::decode(value.as_bytes())?;
    let (signed, mac) = bytes.split_last_chunk::<MAC_BYTES>()?;
    let (&[version, id_len], rest) = signed.split_first_chunk()?;
    let (id, expires) = rest.split_at_checked(id_len.into())?;
    let (id, key) = keys.key(std::str::from_utf8(id).ok()?).ok()?;
    let Key::Secret(secret) = key else { return None };
    let good = version == VERSION && own.contains(id);
    let expires_s = u64::from_be_bytes(expires.try_into().ok()?);
    (good && secret.signed(&[CONTEXT, &token.0, signed], mac)).then_some(expires_s)
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
        assert_eq!(expires_s(&value, &token, &keys, &own), Some(77));
        assert_eq!(expires_s(&value, &other, &keys, &own), None, "another token's");
        let issued = sign(&token, 77, (&id("issuer"), &secret));
        assert_eq!(expires_s(&issued, &token, &keys, &own), None, "an issuer's key");
        assert_eq!(expires_s(&value, &token, &keys, &[]), None, "no own key any more");
        for at in 0..value.len() {
            let other = if &value[at..=at] == "A" { "B" } else { "A" };
            let mut changed = value.clone();
            changed.replace_range(at..=at, other);
            assert_eq!(expires_s(&changed, &token, &keys, &own), None, "{changed}");
            assert_eq!(expires_s(&value[..at], &token, &keys, &own), None, "{at}");
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
