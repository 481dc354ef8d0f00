//! An issuer that also makes what no honest one would.

use headwater_origin::access::key::{Key, Keys, Secret};
use headwater_origin::access::policy::{Asked, Enforcer, Policy, Thing};
use headwater_origin::access::refusal::Refusal;
use headwater_origin::access::{base64url, compact, jwt};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

/// The time of every test.
pub const NOW_S: u64 = 1_800_000_000;
/// How far clocks may differ.
pub const SKEW_S: u64 = 10;
/// Secrets of `k1` and `k2`, and of a key that was taken out.
pub const K1: &[u8] = b"first secret of thirty-two bytes";
pub const K2: &[u8] = b"other secret of thirty-two bytes";
pub const GONE: &[u8] = b"an old secret of many more bytes than that";

/// Hostile cases that make a class.
const CLASS: usize = 12;

/// Signs with public-key algorithms.
pub struct Pairs {
    es: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Pairs {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            es: EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(),
            ed: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
        }
    }

    /// `k1`, `k2`: secrets; `es`, `ed`: public keys.
    pub fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        let es = Key::p256(self.es.public_key().as_ref().to_vec()).unwrap();
        let ed = Key::ed25519(self.ed.public_key().as_ref().to_vec()).unwrap();
        let all = [
            ("k1", Key::secret(K1).unwrap()),
            ("k2", Key::secret(K2).unwrap()),
            ("es", es),
            ("ed", ed),
        ];
        for (id, key) in all {
            assert!(keys.add(id.parse().unwrap(), key));
        }
        keys
    }

    pub fn es_public(&self) -> Vec<u8> {
        self.es.public_key().as_ref().to_vec()
    }

    pub fn sign(&self, id: &str, message: &[u8]) -> Vec<u8> {
        match id {
            "es" => self.es.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            "ed" => self.ed.sign(message).as_ref().to_vec(),
            "k1" => Secret::new(K1).unwrap().sign(&[message]).to_vec(),
            "k2" => Secret::new(K2).unwrap().sign(&[message]).to_vec(),
            _ => Secret::new(GONE).unwrap().sign(&[message]).to_vec(),
        }
    }

    /// A JWT with this header and these claims, signed by the key `id`.
    pub fn jwt(&self, id: &str, header: &str, claims: &str) -> String {
        let mut token = format!("{}.{}", text(header), text(claims));
        let signature = self.sign(id, token.as_bytes());
        token.push('.');
        token.push_str(&base64url::encode(&signature));
        token
    }

    /// A JWT with a header as it should be.
    pub fn good_jwt(&self, id: &str, claims: &str) -> String {
        let alg = match id {
            "es" => "ES256",
            "ed" => "EdDSA",
            _ => "HS256",
        };
        self.jwt(id, &format!(r#"{{"alg":"{alg}","kid":"{id}"}}"#), claims)
    }
}

pub fn text(text: &str) -> String {
    base64url::encode(text.as_bytes())
}

/// A compact token out of its parts, signed with `secret`.
pub fn raw(version: u8, id: &str, claims: &[(u8, &[u8])], secret: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version, u8::try_from(id.len()).unwrap()];
    bytes.extend_from_slice(id.as_bytes());
    for (tag, value) in claims {
        bytes.push(*tag);
        bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(value);
    }
    resigned(bytes, secret)
}

/// Bytes with the signature that they should have.
pub fn resigned(mut bytes: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    let mac = Secret::new(secret).unwrap().sign(&[b"headwater token\n", &bytes]);
    bytes.extend_from_slice(&mac);
    bytes
}

/// An hour from now, as a compact claim.
pub fn in_an_hour() -> [u8; 8] {
    (NOW_S + 3_600).to_be_bytes()
}

/// A good compact token of `k1` with these claims before its expiry (tag 8).
pub fn compact_with(before: &[(u8, &[u8])]) -> String {
    let expires = in_an_hour();
    let mut claims = before.to_vec();
    claims.push((8, &expires));
    claims.sort_by_key(|(tag, _)| *tag);
    base64url::encode(&raw(1, "k1", &claims, K1))
}

/// A request for a segment of 720 lines of title `film` in profile `main`.
pub fn asked() -> Asked<'static> {
    Asked {
        path: "/main/film/01939c2e-7f00-7abc-8def-0123456789ab.00c0ffee/v720/1.m4s",
        profile: "main",
        title: "film",
        thing: Thing::Video(720),
        exchange: false,
        keys: &[],
        client: Some("203.0.113.7".parse().unwrap()),
        country: Some("DE"),
        audience: Some("headwater"),
        session: Some("s-1"),
        wants_session: false,
        enforcer: Enforcer::Origin,
    }
}

pub fn parse(token: &str, keys: &Keys) -> Result<Policy, Refusal> {
    if jwt::looks_like_one(token) { jwt::parse(token, keys) } else { compact::parse(token, keys) }
}

/// Counts the hostile cases of a class, by what is wanted of each.
pub fn class<'a>(name: &str, wanted: impl IntoIterator<Item = &'a str>) {
    let hostile = wanted.into_iter().filter(|wanted| *wanted != "ok").count();
    assert!(hostile >= CLASS, "{name}: {hostile} hostile cases, at least {CLASS} make a class");
}

/// The reason why a token does not open what is asked for; `ok` if it does.
pub fn outcome_at(token: &str, keys: &Keys, asked: &Asked<'_>, now_s: u64) -> &'static str {
    let outcome = parse(token, keys).and_then(|policy| policy.permits(asked, now_s, SKEW_S));
    outcome.map_or_else(Refusal::reason, |()| "ok")
}

pub fn outcome(token: &str, keys: &Keys) -> &'static str {
    outcome_at(token, keys, &asked(), NOW_S)
}
