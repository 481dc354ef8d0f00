//! What a viewer sends to be let in, and what an operator takes issuers' keys from.

use std::sync::LazyLock;

use headwater_origin::access::carrier::{self, Carrier, Names};
use headwater_origin::access::key::{Key, Keys, Secret, secret_bytes};
use headwater_origin::access::policy::Policy;
use headwater_origin::access::propagate::Along;
use headwater_origin::access::refusal::Refusal;
use headwater_origin::access::session::{self, NoSession, TokenSum};
use headwater_origin::access::{base64url, compact, jwks as sets, jwt as tokens};
use headwater_origin::exchange::Request;
use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE};

static SECRET: LazyLock<Secret> = LazyLock::new(|| Secret::new(&[7; 32]).unwrap());
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let mut keys = Keys::default();
    keys.add("k".parse().unwrap(), Key::Secret(SECRET.clone()));
    // RFC 8037 A.2.
    let public = base64url::decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    keys.add("ed".parse().unwrap(), Key::ed25519(public).unwrap());
    keys
});
/// SHA-256 of `a` (FIPS 180-4), the token of every session here.
const SUM_OF_A: [u8; 32] = [
    0xca, 0x97, 0x81, 0x12, 0xca, 0x1b, 0xbd, 0xca, 0xfa, 0xc2, 0x31, 0xb3, 0x9a, 0x23, 0xdc, 0x4d,
    0xa7, 0x86, 0xef, 0xf8, 0x14, 0x7c, 0x4e, 0x72, 0xb9, 0x80, 0x77, 0x85, 0xaf, 0xee, 0x48, 0xbb,
];

/// A token with its signature, as a viewer sends it. What is accepted is not accepted any more once
/// one of its characters is another.
pub fn token_text(bytes: &[u8]) -> bool {
    if let Some(decoded) = base64url::decode(bytes) {
        assert_eq!(base64url::encode(&decoded).as_bytes(), bytes, "one spelling");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(policy) = parse(text) else { return false };
    assert_eq!(session::unchecked(text), None, "a token is no session's cookie");
    for at in 0..text.len() {
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        let mut changed = text.to_owned();
        changed.replace_range(at..=at, other);
        assert!(parse(&changed).is_err(), "{changed}");
    }
    check(&Policy { key: "k".parse().unwrap(), ..policy });
    true
}

fn parse(text: &str) -> Result<Policy, Refusal> {
    match tokens::looks_like_one(text) {
        true => tokens::parse(text, &KEYS),
        false => compact::parse(text, &KEYS),
    }
}

/// A cookie of a session without its signature. What is accepted is what this service writes, and
/// is good for one token and under an own key alone.
pub fn session_cookie(signed: &[u8]) -> bool {
    let (token, own) = (TokenSum::of("a"), ["k".parse().unwrap()]);
    let mac = SECRET.sign(&[b"headwater session\n", &SUM_OF_A, signed]);
    let value = base64url::encode(&[signed, &mac].concat());
    assert!(compact::parse(&value, &KEYS).is_err(), "no cookie is a token");
    let Ok(at_s) = session::expires_s(&value, &token, &KEYS, &own) else { return false };
    assert_eq!(session::sign(&token, at_s, (&own[0], &SECRET)), value, "one spelling");
    assert_eq!(session::unchecked(&value), Some(("k".to_owned(), at_s)));
    let others = session::expires_s(&value, &TokenSum::of("b"), &KEYS, &own);
    assert_eq!(others, Err(NoSession::SignatureWrong));
    assert_eq!(session::expires_s(&value, &token, &KEYS, &[]), Err(NoSession::KeyRefused));
    true
}

/// Without what was added a manifest is what it was, and no URI of ours is left out.
pub fn propagate(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    // What is added must be known from what was there; manifests end lines as Unix does.
    if text.contains(['\r', '{']) || text.contains("token=") || text.contains("QUERYPARAM") {
        return false;
    }
    let (reference, inline) = (Along::Reference("token"), Along::Inline("token", "a.b"));
    for (along, query) in [(reference, "token={$token}"), (inline, "token=a.b")] {
        let ours =
            |line: &&str| !line.starts_with("#EXT-X-VERSION:") && !line.contains("QUERYPARAM");
        let made = along.in_playlist(text);
        let without = made.replace(&format!("?{query}"), "").replace(&format!("&{query}"), "");
        assert!(without.lines().filter(ours).eq(text.lines().filter(ours)), "{made}");
        let uris = made.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert!(uris.filter(|uri| !uri.contains(':')).all(|uri| uri.ends_with(query)), "{made}");
    }
    let made = inline.in_mpd(text);
    assert_eq!(made.replace("?token=a.b", "").replace("&amp;token=a.b", ""), text);
    let made = reference.in_mpd(text);
    let end = text.find("</MPD>").unwrap_or(text.len());
    assert!(made.starts_with(&text[..end]) && made.ends_with(&text[end..]), "{made}");
    text.starts_with("#EXTM3U") || end < text.len()
}

/// A compact token without its signature. What is accepted can be written in both dialects, and
/// is read from them as it was.
pub fn compact_token(signed: &[u8]) -> bool {
    let mac = SECRET.sign(&[b"headwater token\n", signed]);
    let token = base64url::encode(&[signed, &mac].concat());
    let Ok(policy) = compact::parse(&token, &KEYS) else { return false };
    check(&policy);
    true
}

/// Header and claims of a JWT.
pub fn jwt(bytes: &[u8]) -> bool {
    let at = bytes.iter().position(|&b| b == b'\n').unwrap_or(bytes.len());
    let (header, claims) = bytes.split_at(at);
    let claims = claims.strip_prefix(b"\n").unwrap_or_default();
    let signed = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
    let mac = SECRET.sign(&[signed.as_bytes()]);
    let Ok(policy) = tokens::parse(&format!("{signed}.{}", base64url::encode(&mac)), &KEYS) else {
        return false;
    };
    check(&policy);
    true
}

fn check(policy: &Policy) {
    assert_eq!(compact::parse(&compact::sign(policy, &SECRET), &KEYS).as_ref(), Ok(policy));
    assert_eq!(tokens::parse(&tokens::sign(policy, &SECRET), &KEYS).as_ref(), Ok(policy));
}

/// Keys of a set have ids that a token can name, and show nothing of themselves. A shared secret is
/// what its digits say.
pub fn jwks(bytes: &[u8]) -> bool {
    if let Some(secret) = secret_bytes(bytes) {
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(digits.as_bytes().eq_ignore_ascii_case(bytes.trim_ascii()));
        return Key::secret(&secret).is_ok();
    }
    let Ok(keys) = sets::parse(bytes) else { return false };
    for (id, key) in &keys {
        assert_eq!(id.as_str().parse().as_ref(), Ok(id));
        assert_eq!(format!("{key:?}"), format!("{}(redacted)", key.jose_algorithm()));
        assert!(key.check(b"message", &[0; 64]).is_err());
    }
    !keys.is_empty()
}

/// A token is a part of what came, and no log shows it.
pub fn carriers(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or("");
    let Ok(uri) = next().parse::<http::Uri>() else { return false };
    let mut request = Request { uri, ..Request::default() };
    for name in [COOKIE, AUTHORIZATION] {
        if let Ok(value) = HeaderValue::from_str(next()) {
            request.headers.append(name, value);
        }
    }
    let path = request.uri.path();
    let shown = carrier::redacted(path);
    assert!(
        shown.split('/').all(|element| element.find('~').is_none_or(|at| at + 1 == element.len()))
    );
    let (in_path, rest) = carrier::split(path);
    if let Some(token) = in_path {
        assert_eq!(format!("/~{token}{rest}"), path);
    }
    let found = carrier::find(&request, Names { cookie: "hw", query: "token" });
    let Ok(Some((token, by))) = found else { return false };
    assert!(text.contains(token));
    assert_eq!(in_path.is_some(), by == Carrier::Path);
    true
}
