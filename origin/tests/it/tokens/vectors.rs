//! Examples from the documents, by their names.

use headwater_origin::access::key::{Key, Keys};
use headwater_origin::access::refusal::Refusal;
use headwater_origin::access::{base64url, jwks, jwt};

use super::issue::text;

/// The claims of RFC 7515 A.1.1, which RFC 7519 3.1 uses too.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const HS256_HEADER: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
const HS256_MAC: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const HS256_JWK: &str = r#"{"kid": "a1", "kty":"oct", "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;

fn key(jwk: &str) -> Key {
    let set = format!(r#"{{"keys": [{jwk}]}}"#);
    jwks::parse(set.as_bytes()).unwrap().pop().unwrap().1
}

/// The signature is the document's, and no other one is.
fn check(key: &Key, message: &str, signature: &str) {
    let signature = base64url::decode(signature.as_bytes()).unwrap();
    assert_eq!(key.check(message.as_bytes(), &signature), Ok(()));
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        let outcome = key.check(message.as_bytes(), &changed);
        assert_eq!(outcome, Err(Refusal::SignatureWrong), "byte {at}");
    }
    let longer = format!("{message}x");
    assert_eq!(key.check(longer.as_bytes(), &signature), Err(Refusal::SignatureWrong));
}

#[test]
fn rfc_7515_c_base64url() {
    let bytes = [3, 236, 255, 224, 193];
    assert_eq!(base64url::encode(&bytes), "A-z_4ME");
    assert_eq!(base64url::decode(b"A-z_4ME"), Some(bytes.to_vec()));
}

#[test]
fn rfc_7515_a_1_hs256() {
    check(&key(HS256_JWK), &format!("{HS256_HEADER}.{JOE}"), HS256_MAC);
}

#[test]
fn rfc_7515_a_3_es256() {
    let jwk = r#"{"kid": "a3", "kty":"EC", "crv":"P-256",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    check(&key(jwk), &format!("eyJhbGciOiJFUzI1NiJ9.{JOE}"), signature);
}

#[test]
fn rfc_8037_a_4_ed25519() {
    let jwk = r#"{"kid": "a4", "kty":"OKP","crv":"Ed25519",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    check(&key(jwk), message, signature);
}

/// A.1's private key is no key for an origin.
#[test]
fn rfc_8037_a_1_private_key_is_refused() {
    let set = br#"{"keys": [{"kid": "a1", "kty":"OKP","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let error = jwks::parse(set).unwrap_err();
    assert_eq!(error, "key 0 \"a1\": it holds the private key; give the origin the public one");
}

/// The example's token has no key id, so no key is tried; with one, its own claim restricts in a
/// way that is not known here.
#[test]
fn rfc_7519_3_1_example_jwt() {
    let mut keys = Keys::default();
    keys.add("a1".parse().unwrap(), key(HS256_JWK));
    let token = format!("{HS256_HEADER}.{JOE}.{HS256_MAC}");
    assert_eq!(jwt::parse(&token, &keys), Err(Refusal::KeyUnknown));
    let Key::Secret(secret) = key(HS256_JWK) else { panic!("a secret") };
    let signed = format!("{}.{JOE}", text(r#"{"typ":"JWT","alg":"HS256","kid":"a1"}"#));
    let mac = base64url::encode(&secret.sign(&[signed.as_bytes()]));
    assert_eq!(jwt::parse(&format!("{signed}.{mac}"), &keys), Err(Refusal::ClaimUnsupported));
}

#[test]
fn rfc_7519_6_1_unsecured_jwt() {
    let mut keys = Keys::default();
    keys.add("a1".parse().unwrap(), key(HS256_JWK));
    let token = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    assert_eq!(jwt::parse(&token, &keys), Err(Refusal::KeyUnknown));
    let named = format!("{}.{JOE}.", text(r#"{"alg":"none","kid":"a1"}"#));
    assert_eq!(jwt::parse(&named, &keys), Err(Refusal::AlgorithmRefused));
}

/// RFC 7517 5: keys that are not understood are passed over, broken ones are not.
#[test]
fn sets_of_keys() {
    let secret = base64url::encode(&[7; 32]);
    let set = |jwk: &str| jwks::parse(format!(r#"{{"keys": [{jwk}]}}"#).as_bytes());
    let table: &[(&str, String, Result<usize, &str>)] = &[
        ("empty", String::new(), Ok(0)),
        ("RSA", r#"{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}"#.into(), Ok(0)),
        ("another curve", r#"{"kty":"EC","crv":"P-384","kid":"r"}"#.into(), Ok(0)),
        (
            "for encryption",
            format!(r#"{{"kty":"oct","kid":"r","use":"enc","k":"{secret}"}}"#),
            Ok(0),
        ),
        (
            "for signing",
            format!(r#"{{"kty":"oct","kid":"r","key_ops":["sign"],"k":"{secret}"}}"#),
            Ok(0),
        ),
        (
            "good",
            format!(r#"{{"kty":"oct","kid":"r","alg":"HS256","use":"sig","k":"{secret}"}}"#),
            Ok(1),
        ),
        (
            "another algorithm",
            format!(r#"{{"kty":"oct","kid":"r","alg":"HS512","k":"{secret}"}}"#),
            Err("not the algorithm"),
        ),
        ("no id", format!(r#"{{"kty":"oct","k":"{secret}"}}"#), Err("no `kid`")),
        ("a bad id", format!(r#"{{"kty":"oct","kid":"a/b","k":"{secret}"}}"#), Err("no key id")),
        ("short", r#"{"kty":"oct","kid":"r","k":"AAAA"}"#.into(), Err("at least 32 bytes")),
        ("no k", r#"{"kty":"oct","kid":"r"}"#.into(), Err("no `k`")),
        ("padding", format!(r#"{{"kty":"oct","kid":"r","k":"{secret}="}}"#), Err("not base64url")),
        (
            "short x",
            r#"{"kty":"OKP","crv":"Ed25519","kid":"r","x":"AAAA"}"#.into(),
            Err("32 bytes"),
        ),
        (
            "short y",
            format!(r#"{{"kty":"EC","crv":"P-256","kid":"r","x":"{secret}","y":"AAAA"}}"#),
            Err("`y` has 3 bytes"),
        ),
    ];
    for (name, jwk, wanted) in table {
        match (set(jwk), wanted) {
            (Ok(keys), Ok(count)) => assert_eq!(keys.len(), *count, "{name}"),
            (Err(error), Err(part)) => {
                assert!(error.contains(part), "{name}: {error}");
                assert!(!error.contains(&secret), "{name}: {error}");
            }
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
    assert!(jwks::parse(b"[]").unwrap_err().starts_with("no set of JWKs"));
}
