//! The tokens that this service takes: its keys, and what their tokens allow.
//!
//! Keys are read again while the service runs. All of them change at once, and with them goes what
//! was remembered of tokens that were good under the old ones.

use std::sync::{Arc, PoisonError, RwLock};

use headwater_config::Tokens as Settings;
use http::{HeaderName, HeaderValue};
use moka::future::Cache;
use sha2::{Digest, Sha256};

use super::carrier::{self, Carrier, Names};
use super::key::{self, Key, KeyId, Keys, Secret};
use super::policy::Policy;
use super::refusal::Refusal;
use super::session::{self, NoSession, TokenSum};
use super::{SecretError, compact, jwks, jwt, secret};
use crate::exchange::Request;
use crate::limits;

type Sum = [u8; 32];

/// Keys and settings.
#[derive(Debug)]
pub struct Tokens {
    settings: Settings,
    session_field: HeaderName,
    own: Vec<KeyId>,
    held: RwLock<Arc<Held>>,
}

/// What is held under one set of keys.
#[derive(Debug)]
struct Held {
    keys: Keys,
    /// Over everything that the keys were read from.
    sum: Sum,
    /// What tokens of public keys allow, by SHA-256 of the token: their check costs a hundred times
    /// a shared secret's.
    verified: Cache<Sum, Arc<Policy>>,
}

impl Tokens {
    /// Reads the keys that the settings name.
    pub fn open(settings: &Settings) -> Result<Self, SecretError> {
        let session_field = HeaderName::from_bytes(settings.session_header.as_str().as_bytes());
        Ok(Self {
            held: RwLock::new(Arc::new(Held::read(settings)?)),
            own: settings
                .own_keys
                .iter()
                .map(|id| id.as_str().parse().expect("the same bounds"))
                .collect(),
            session_field: session_field.expect("a field's name was checked"),
            settings: settings.clone(),
        })
    }

    /// Reads the keys again; whether they changed. If one cannot be read, all stay as they were.
    pub fn reload(&self) -> Result<bool, SecretError> {
        let read = Held::read(&self.settings)?;
        if read.sum == self.held().sum {
            return Ok(false);
        }
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        Ok(true)
    }

    /// The token of a request, if it has one, and how it came.
    pub fn carried<'a>(&self, request: &'a Request) -> Result<Option<(&'a str, Carrier)>, Refusal> {
        let Settings { cookie, query, .. } = &self.settings;
        carrier::find(request, Names { cookie: cookie.as_str(), query: query.as_str() })
    }

    /// The query parameter that carries a token.
    pub fn query_name(&self) -> &str {
        self.settings.query.as_str()
    }

    /// Whether a key signs what this service itself hands out.
    pub fn is_own(&self, key: &KeyId) -> bool {
        self.own.contains(key)
    }

    /// What signs that; nothing where the first of the own keys is no secret that is held.
    pub fn own_key(&self) -> Option<(KeyId, Secret)> {
        let (id, key) = self.key(self.own.first()?.as_str()).ok()?;
        let Key::Secret(secret) = key else { return None };
        Some((id, secret))
    }

    /// Until when the cookie of a session carries a token on.
    pub fn carried_on(&self, request: &Request, token: &TokenSum) -> Option<u64> {
        let name = self.cookie_name(token);
        self.session_expires_s(carrier::cookies(request, &name).next()?, token).ok()
    }

    /// What the cookie is called that carries a token on.
    pub fn cookie_name(&self, token: &TokenSum) -> String {
        token.cookie_name(self.settings.session_cookie.as_str())
    }

    /// Until when a cookie's value carries a token on.
    pub fn session_expires_s(&self, value: &str, token: &TokenSum) -> Result<u64, NoSession> {
        session::expires_s(value, token, &self.held().keys, &self.own)
    }

    /// The field that sets this cookie anew.
    pub fn set_cookie(&self, token: &TokenSum, now_s: u64, expires_s: u64) -> Option<HeaderValue> {
        let (id, secret) = self.own_key()?;
        let value = session::sign(token, expires_s, (&id, &secret));
        let name = self.cookie_name(token);
        let lasts_s = expires_s.saturating_sub(now_s);
        Some(session::set_cookie(&name, &value, lasts_s, self.settings.session_cookie_sites))
    }

    /// What a token allows, if one of the keys signed it.
    pub async fn policy(&self, token: &str) -> Result<Arc<Policy>, Refusal> {
        if token.len() > limits::TOKEN_BYTES {
            return Err(Refusal::TokenMalformed("longer than any token"));
        }
        let held = self.held();
        if !jwt::looks_like_one(token) {
            return compact::parse(token, &held.keys).map(Arc::new);
        }
        let unchecked = jwt::Unchecked::read(token, &held.keys)?;
        if unchecked.is_of_a_secret() {
            return unchecked.check().map(Arc::new);
        }
        let sum: Sum = Sha256::digest(token).into();
        if let Some(policy) = held.verified.get(&sum).await {
            return Ok(policy);
        }
        let policy = Arc::new(unchecked.check()?);
        held.verified.insert(sum, Arc::clone(&policy)).await;
        Ok(policy)
    }

    /// The session that a request says it belongs to.
    pub fn session<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.field(&self.session_field)
    }

    /// The country that a request is said to come from.
    pub fn country<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.field(self.settings.country_header.name()?)
    }

    /// What this service is called as an audience.
    pub fn audience(&self) -> Option<&str> {
        self.settings.audience.name()
    }

    /// Seconds between looks at whether keys changed; 0 for none.
    pub fn look_s(&self) -> u32 {
        self.settings.look_s
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.held().keys.is_empty()
    }

    /// Seconds by which clocks may differ.
    pub fn skew_s(&self) -> u64 {
        self.settings.skew_s.into()
    }

    /// The key with this id, to sign with.
    pub fn key(&self, id: &str) -> Result<(KeyId, Key), Refusal> {
        let held = self.held();
        let (id, key) = held.keys.key(id)?;
        Ok((id.clone(), key.clone()))
    }

    /// Ids and algorithms, for logs.
    pub fn listed(&self) -> String {
        let held = self.held();
        let all: Vec<_> = held.keys.listed().map(|(id, alg)| format!("{id} ({alg})")).collect();
        all.join(", ")
    }

    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    fn read(settings: &Settings) -> Result<Self, SecretError> {
        let mut keys = Keys::default();
        let mut sum = Sha256::new();
        for named in &settings.keys {
            let failed = |detail| SecretError { source: named.secret.clone(), detail };
            let text = secret::read(&named.secret)?;
            sum.update(Sha256::digest(&text));
            let bytes = key::secret_bytes(&text);
            let bytes = bytes.ok_or_else(|| {
                failed("expected hexadecimal digits; make some with `openssl rand -hex 32`".into())
            })?;
            let key = Key::secret(&bytes).map_err(|why| failed(why.to_string()))?;
            let id = named.id.as_str().parse().map_err(failed)?;
            add(&mut keys, id, key).map_err(failed)?;
        }
        for source in &settings.jwks {
            let failed = |detail| SecretError { source: source.clone(), detail };
            let json = secret::read(source)?;
            sum.update(Sha256::digest(&json));
            for (id, key) in jwks::parse(&json).map_err(failed)? {
                add(&mut keys, id, key).map_err(failed)?;
            }
        }
        Ok(Self { keys, sum: sum.finalize().into(), verified: Cache::new(limits::VERIFIED_TOKENS) })
    }
}

fn add(keys: &mut Keys, id: KeyId, key: Key) -> Result<(), String> {
    if keys.len() == limits::TOKEN_KEYS {
        return Err(format!("more than {} keys", limits::TOKEN_KEYS));
    }
    let name = id.to_string();
    if keys.add(id, key) { Ok(()) } else { Err(format!("another key is called {name} too")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::access::base64url;
    use crate::access::policy::Span;
    use headwater_config::{SecretSource, TokenKey};

    const A: &str = "6669727374206b6579206f66207468697274792d74776f2062797465732e2e2e";
    const B: &str = "7365636f6e64206b6579206f66207468697274792d74776f2062797465732e2e";

    fn settings(folder: &tempfile::TempDir, ids: &[&str]) -> Settings {
        let key = |id: &&str| TokenKey {
            id: id.parse().unwrap(),
            secret: SecretSource::File(folder.path().join(id)),
        };
        Settings { keys: ids.iter().map(key).collect(), ..Settings::default() }
    }

    fn token(id: &str, hex: &str) -> String {
        let secret = Secret::new(&key::secret_bytes(hex.as_bytes()).unwrap()).unwrap();
        let span = Span::until(u64::MAX);
        compact::sign(&Policy::unrestricted(id.parse().unwrap(), span), &secret)
    }

    #[tokio::test]
    async fn keys_change_while_the_service_runs_and_never_by_half() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("old"), A).unwrap();
        fs::write(file("new"), format!("{B}\n")).unwrap();
        let tokens = Tokens::open(&settings(&folder, &["old", "new"])).unwrap();
        let (by_old, by_new) = (token("old", A), token("new", B));
        // While one key follows the other both are good.
        assert!(tokens.policy(&by_old).await.is_ok() && tokens.policy(&by_new).await.is_ok());
        assert_eq!(tokens.reload(), Ok(false), "nothing changed");
        fs::write(file("old"), B).unwrap();
        assert_eq!(tokens.reload(), Ok(true));
        assert_eq!(tokens.policy(&by_old).await, Err(Refusal::SignatureWrong));
        assert!(tokens.policy(&by_new).await.is_ok());
        // A file that is being written, or is gone, changes nothing.
        fs::write(file("new"), &A[..20]).unwrap();
        fs::write(file("old"), A).unwrap();
        assert!(tokens.reload().is_err());
        assert_eq!(tokens.policy(&by_old).await, Err(Refusal::SignatureWrong));
        assert!(tokens.policy(&by_new).await.is_ok());
    }

    /// RFC 8037 A.1 and A.2: a set with the public key, and what the private one signs.
    struct Issuer(tempfile::TempDir);

    impl Issuer {
        fn new() -> (Self, Tokens) {
            let issuer = Self(tempfile::tempdir().unwrap());
            issuer.publish("a");
            let jwks = vec![SecretSource::File(issuer.0.path().join("set"))];
            let tokens = Tokens::open(&Settings { jwks, ..Settings::default() }).unwrap();
            (issuer, tokens)
        }

        fn publish(&self, kid: &str) {
            let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
            let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#);
            fs::write(self.0.path().join("set"), format!(r#"{{"keys":[{jwk}]}}"#)).unwrap();
        }

        /// One of many tokens of key `a`.
        fn token(&self, n: u64) -> String {
            let d = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
            let seed = key::secret_bytes(d.as_bytes()).unwrap();
            let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
            let part = |text: &str| base64url::encode(text.as_bytes());
            let claims = part(&format!(r#"{{"exp":2000000000,"jti":"{n}"}}"#));
            let signed = format!("{}.{claims}", part(r#"{"alg":"EdDSA","kid":"a"}"#));
            let signature = pair.sign(signed.as_bytes());
            format!("{signed}.{}", base64url::encode(signature.as_ref()))
        }
    }

    #[tokio::test]
    async fn tokens_of_public_keys_are_remembered_until_keys_change() {
        let (issuer, tokens) = Issuer::new();
        let token = issuer.token(1);
        let first = tokens.policy(&token).await.unwrap();
        assert!(Arc::ptr_eq(&first, &tokens.policy(&token).await.unwrap()), "remembered");
        let other = tokens.policy(&issuer.token(2)).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &other), "by the whole token");
        issuer.publish("b");
        assert_eq!(tokens.reload(), Ok(true));
        assert_eq!(tokens.policy(&token).await, Err(Refusal::KeyUnknown));
    }

    /// However many come, all are let in and so many are remembered; what is no good never is.
    #[tokio::test]
    async fn what_is_remembered_of_tokens_has_a_bound() {
        let (issuer, tokens) = Issuer::new();
        let remembered = async || {
            let held = tokens.held();
            held.verified.run_pending_tasks().await;
            held.verified.entry_count()
        };
        let forged = format!("{}AA", &issuer.token(0)[..issuer.token(0).len() - 2]);
        assert_eq!(tokens.policy(&forged).await, Err(Refusal::SignatureWrong));
        assert_eq!(remembered().await, 0);
        let policy = tokens.policy(&issuer.token(0)).await.unwrap();
        assert_eq!(remembered().await, 1);
        // As if so many had been checked; a signature of each would take a test minutes.
        for n in 0..limits::VERIFIED_TOKENS + 500 {
            let sum: Sum = Sha256::digest(n.to_be_bytes()).into();
            tokens.held().verified.insert(sum, Arc::clone(&policy)).await;
        }
        for n in 1..20 {
            assert!(tokens.policy(&issuer.token(n)).await.is_ok(), "{n}");
        }
        let most = remembered().await;
        assert!((1..=limits::VERIFIED_TOKENS).contains(&most), "{most} are remembered");
    }

    #[test]
    fn keys_that_are_none_are_refused_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        for (content, wanted) in [
            ("", "at least 32 bytes"),
            ("0123456789abcdef0123456789abcde", "hexadecimal digits"),
            ("0123456789abcdef0123456789abcdef", "at least 32 bytes"),
            ("not-hexadecimal-digits-but-a-password", "hexadecimal digits"),
        ] {
            fs::write(folder.path().join("k"), content).unwrap();
            let error = Tokens::open(&settings(&folder, &["k"])).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
            assert!(content.is_empty() || !error.contains(content), "{error}");
        }
        fs::write(folder.path().join("k"), A).unwrap();
        let twice = Tokens::open(&settings(&folder, &["k", "k"])).unwrap_err();
        assert_eq!(twice.detail, "another key is called k too");
        let shown = format!("{:?}", Tokens::open(&settings(&folder, &["k"])).unwrap());
        assert!(shown.contains("HS256(redacted)") && !shown.contains(A), "{shown}");
    }
}
