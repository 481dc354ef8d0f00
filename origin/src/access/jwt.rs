//! JSON Web Tokens: a JWS in compact serialization (RFC 7515 3.1) over a claims set (RFC 7519).
//!
//! The key is found by `kid`; its type says the algorithm, and a header that names another one
//! refuses the token. Keys inside tokens (`jwk`, `jku`, `x5c`) are never looked at.
//!
//! ```text
//! exp nbf aud                                       RFC 7519; exp is required
//! hw_profiles hw_titles hw_paths hw_urls            lists of texts, or one text
//! hw_labels hw_networks hw_countries
//! hw_max_height                                     a whole number
//! hw_session hw_enforced_by                         texts
//! hw_renew_until                                    a time, as exp
//! iss sub iat jti, x_*                              inform, and are passed over
//! ```
//!
//! Any other claim may restrict, and refuses the token: that is stricter than RFC 7519 4.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::base64url;
use super::key::{Key, KeyId, Keys, Secret};
use super::policy::{Only, Policy, Span};
use super::refusal::{Claim, Refusal};
use super::scope::{NotInScope, PathScope};

/// Times from here on are no whole numbers in JSON any more (RFC 8259 6).
const LATEST_S: f64 = 9_007_199_254_740_992.0;

/// Whether a text looks like a JWT and not like a compact token, which has no dot.
pub fn looks_like_one(token: &str) -> bool {
    token.contains('.')
}

/// The policy of a token that one of `keys` signed.
pub fn parse(token: &str, keys: &Keys) -> Result<Policy, Refusal> {
    Unchecked::read(token, keys)?.check()
}

/// A token and the key that it names, before anybody looked at its signature. Only `alg`, `kid` and
/// `crit` were read.
pub struct Unchecked<'a> {
    /// What the signature covers: header and payload as they are written.
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    id: &'a KeyId,
    key: &'a Key,
}

impl<'a> Unchecked<'a> {
    /// Takes a token apart.
    pub fn read(token: &'a str, keys: &'a Keys) -> Result<Self, Refusal> {
        let bad_form = Refusal::TokenMalformed("a JWT has three parts with dots between");
        let (signed, signature) = token.rsplit_once('.').ok_or(bad_form)?;
        let (header, payload) = signed.split_once('.').ok_or(bad_form)?;
        if payload.contains('.') {
            return Err(bad_form);
        }
        let header = Members::read(&decode(header)?)?;
        // RFC 7515 4.1.11: extensions that must be understood, of which none is.
        if header.value("crit").is_some() {
            return Err(Refusal::TokenMalformed("an extension of JWS that is not known"));
        }
        let id = header.value("kid").and_then(Value::as_str).ok_or(Refusal::KeyUnknown)?;
        let (id, key) = keys.key(id)?;
        if header.value("alg").and_then(Value::as_str) != Some(key.jose_algorithm()) {
            return Err(Refusal::AlgorithmRefused);
        }
        Ok(Self { signed, payload, signature, id, key })
    }

    /// Whether its key is a shared secret, so that a check costs less than to remember one.
    pub fn is_of_a_secret(&self) -> bool {
        matches!(self.key, Key::Secret(_))
    }

    /// The policy, if the key signed it.
    pub fn check(&self) -> Result<Policy, Refusal> {
        let (payload, signature) = (decode(self.payload)?, decode(self.signature)?);
        self.key.check(self.signed.as_bytes(), &signature)?;
        let mut policy = Policy::unrestricted(self.id.clone(), Span::until(0));
        claims(&mut policy, &Members::read(&payload)?)?;
        Ok(policy)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    let why = "a part is not base64url in its one spelling";
    base64url::decode(part.as_bytes()).ok_or(Refusal::TokenMalformed(why))
}

/// The token of a policy, signed with HS256 and the secret that its key id names.
pub fn sign(policy: &Policy, secret: &Secret) -> String {
    let header = serde_json::json!({ "alg": "HS256", "kid": policy.key.as_str(), "typ": "JWT" });
    let text = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let mut token = format!("{}.{}", text(&header), text(&claims_set(policy)));
    let mac = secret.sign(&[token.as_bytes()]);
    token.push('.');
    token.push_str(&base64url::encode(&mac));
    token
}

fn claims(policy: &mut Policy, members: &Members) -> Result<(), Refusal> {
    let mut expires_s = None;
    for (name, value) in &members.0 {
        match name.as_str() {
            // What ends it is rounded down, what begins it is rounded up.
            "exp" => expires_s = Some(time_s(value, f64::floor, Claim::Expires)?),
            "nbf" => {
                policy.span.not_before_s = Some(time_s(value, f64::ceil, Claim::NotBefore)?);
            }
            "hw_renew_until" => {
                let until_s = time_s(value, f64::floor, Claim::RenewUntil)?;
                policy.span.renew_until_s = Some(until_s);
            }
            "aud" => policy.audiences = list(value, Claim::Audiences)?,
            "hw_profiles" => policy.profiles = list(value, Claim::Profiles)?,
            "hw_titles" => policy.titles = list(value, Claim::Titles)?,
            "hw_paths" => add_paths(&mut policy.paths, value, PathScope::under)?,
            "hw_urls" => add_paths(&mut policy.paths, value, PathScope::url)?,
            "hw_labels" => policy.labels = list(value, Claim::Labels)?,
            "hw_networks" => policy.networks = list(value, Claim::Networks)?,
            "hw_countries" => policy.countries = list(value, Claim::Countries)?,
            "hw_max_height" => policy.max_height = Some(count(value, Claim::MaxHeight)?),
            "hw_session" => {
                let id = text(value, Claim::Session)?.parse();
                policy.session = Some(id.map_err(|_| Refusal::ClaimMalformed(Claim::Session))?);
            }
            "hw_enforced_by" => policy.enforcer = Some(text(value, Claim::Enforcer)?.parse()?),
            "iss" | "sub" | "iat" | "jti" => {}
            other if other.starts_with("x_") => {}
            _ => return Err(Refusal::ClaimUnsupported),
        }
    }
    policy.span.expires_s = expires_s.ok_or(Refusal::ClaimMissing(Claim::Expires))?;
    Ok(())
}

fn claims_set(policy: &Policy) -> Value {
    // Taken apart, so that a new restriction does not compile until it has a claim.
    let Policy {
        key: _,
        profiles,
        titles,
        paths,
        max_height,
        labels,
        span,
        networks,
        countries,
        audiences,
        session,
        enforcer,
    } = policy;
    let mut set = serde_json::Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            set.insert(name.to_owned(), value);
        }
    };
    let of_kind = |single: bool| {
        let Only::These(paths) = paths else { return None };
        let of_kind = |path: &&PathScope| matches!(path, PathScope::Url(_)) == single;
        let texts: Vec<_> = paths.iter().filter(of_kind).map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| Value::from(texts))
    };
    put("exp", Some(span.expires_s.into()));
    put("nbf", span.not_before_s.map(Value::from));
    put("hw_renew_until", span.renew_until_s.map(Value::from));
    put("aud", values(audiences));
    put("hw_profiles", values(profiles));
    put("hw_titles", values(titles));
    put("hw_paths", of_kind(false));
    put("hw_urls", of_kind(true));
    put("hw_max_height", max_height.map(Value::from));
    put("hw_labels", values(labels));
    put("hw_networks", values(networks));
    put("hw_countries", values(countries));
    put("hw_session", session.as_ref().map(|id| id.as_str().into()));
    put("hw_enforced_by", enforcer.map(|who| who.as_str().into()));
    Value::Object(set)
}

fn values<T: fmt::Display>(only: &Only<T>) -> Option<Value> {
    let Only::These(list) = only else { return None };
    Some(list.iter().map(ToString::to_string).collect())
}

/// A NumericDate (RFC 7519 2): seconds since 1970, perhaps with a fraction.
fn time_s(value: &Value, round: fn(f64) -> f64, claim: Claim) -> Result<u64, Refusal> {
    if let Some(whole) = value.as_u64() {
        return Ok(whole);
    }
    let seconds = value.as_f64().filter(|s| (0.0..LATEST_S).contains(s)).map(round);
    let seconds = seconds.ok_or(Refusal::ClaimMalformed(claim))?;
    // Exact: a whole number below 2^53.
    format!("{seconds:.0}").parse().map_err(|_| Refusal::ClaimMalformed(claim))
}

fn count(value: &Value, claim: Claim) -> Result<u32, Refusal> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or(Refusal::ClaimMalformed(claim))
}

fn text(value: &Value, claim: Claim) -> Result<&str, Refusal> {
    value.as_str().ok_or(Refusal::ClaimMalformed(claim))
}

/// A text, or a list of texts.
fn texts(value: &Value, claim: Claim) -> Result<Vec<&str>, Refusal> {
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(|v| text(v, claim)).collect(),
        one => Ok(vec![text(one, claim)?]),
    }
}

fn list<T: std::str::FromStr>(value: &Value, claim: Claim) -> Result<Only<T>, Refusal> {
    Only::of(&texts(value, claim)?, claim)
}

fn add_paths(
    paths: &mut Only<PathScope>,
    value: &Value,
    scope: impl Fn(&str) -> Result<PathScope, NotInScope>,
) -> Result<(), Refusal> {
    let mut all = match std::mem::take(paths) {
        Only::Any => Vec::new(),
        Only::These(paths) => paths,
    };
    for text in texts(value, Claim::Paths)? {
        all.push(scope(text).map_err(|_| Refusal::ClaimMalformed(Claim::Paths))?);
    }
    *paths = Only::These(all);
    Ok(())
}

/// A JSON object whose names are unique: of two with one name, readers disagree which counts
/// (RFC 7515 4, RFC 7519 4).
#[derive(Debug)]
pub struct Members(Vec<(String, Value)>);

impl Members {
    /// Reads an object.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let why = "a part is no JSON object with unique names";
        serde_json::from_slice(json).map_err(|_| Refusal::TokenMalformed(why))
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members(Vec::new());
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.value(&name).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
            members.0.push((name, value));
        }
        Ok(members)
    }
}
