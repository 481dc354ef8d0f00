//! What a viewer sends to be let in, and what an operator takes issuers' keys from.

use std::sync::LazyLock;

use headwater_origin::access::carrier::{self, Carrier, Names};
use headwater_origin::access::key::{Key, Keys, Secret};
use headwater_origin::access::policy::Policy;
use headwater_origin::access::{base64url, compact, jwks as sets, jwt as tokens};
use headwater_origin::exchange::Request;
use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE};

static SECRET: LazyLock<Secret> = LazyLock::new(|| Secret::new(&[7; 32]).unwrap());
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let mut keys = Keys::default();
    keys.add("k".parse().unwrap(), Key::Secret(SECRET.clone()));
    keys
});

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

/// Keys of a set have ids that a token can name, and show nothing of themselves.
pub fn jwks(bytes: &[u8]) -> bool {
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
