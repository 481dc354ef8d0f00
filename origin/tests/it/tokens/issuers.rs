//! Tokens of issuers that share no code with the origin: the script that comes with the
//! documentation, and PyJWT. What they sign is read here, what is signed here they read.

use std::path::Path;
use std::process::{Command, Stdio};

use headwater_origin::access::key::{Key, Keys, Secret};
use headwater_origin::access::policy::{Only, Policy, Span};
use headwater_origin::access::scope::PathScope;
use headwater_origin::access::{compact, jwks, jwt};

use crate::common::skip;

use super::issue::{K1, NOW_S, asked, outcome, outcome_at, parse};

const EXP_S: u64 = NOW_S + 3_600;

/// What a Python program prints, or nothing where it cannot run for want of what it imports.
fn python(program: &str) -> Option<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", program]).env("PYTHONPATH", docs).env("PYTHONDONTWRITEBYTECODE", "1");
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        skip("there is no /usr/bin/python3");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named 'jwt'") || said.contains("No module named 'cryptography'") {
        skip("PyJWT or cryptography is not installed");
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add("k1".parse().unwrap(), Key::secret(K1).unwrap());
    keys
}

fn policy() -> Policy {
    let span = Span { not_before_s: Some(NOW_S - 60), ..Span::until(EXP_S) };
    Policy {
        titles: Only::These(vec!["film".parse().unwrap()]),
        paths: Only::These(vec![PathScope::under("/main/film").unwrap()]),
        max_height: Some(720),
        ..Policy::unrestricted("k1".parse().unwrap(), span)
    }
}

fn secret_hex() -> String {
    K1.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The script is 30 lines that know nothing but docs/tokens.md.
#[test]
fn the_documented_script_signs_what_is_read_here() {
    let program = format!(
        "{SCRIPT}; print(t.issue(bytes.fromhex('{}'), 'k1', \
         {{2: 'film', 3: '/main/film/', 5: 720, 7: {}, 8: {EXP_S}}}))",
        secret_hex(),
        NOW_S - 60,
    );
    let Some(token) = python(&program) else { return };
    assert_eq!(parse(&token, &keys()), Ok(policy()));
    assert_eq!(token, compact::sign(&policy(), &Secret::new(K1).unwrap()), "byte for byte");
    assert_eq!(outcome(&token, &keys()), "ok");
}

/// The script, as somebody who was given it uses it.
const SCRIPT: &str = "import hw_token as t";

#[test]
fn the_documented_script_reads_what_is_signed_here() {
    let token = compact::sign(&policy(), &Secret::new(K1).unwrap());
    let program = format!(
        "{SCRIPT}; c = t.verify(bytes.fromhex('{}'), '{token}'); \
         print(c[2].decode(), c[3].decode(), int.from_bytes(c[5], 'big'), int.from_bytes(c[8], 'big'))",
        secret_hex(),
    );
    let Some(read) = python(&program) else { return };
    assert_eq!(read, format!("film /main/film/ 720 {EXP_S}"));
    let changed = program.replacen("'AQ", "'AA", 1);
    let refused = changed.replace("print(", "assert False, (");
    let wrapped = refused.replace("; c = t.verify", "\ntry:\n  c = t.verify")
        + "\nexcept ValueError as e: print('refused', e)";
    assert_eq!(python(&wrapped).unwrap(), "refused signature");
}

/// The example of docs/tokens.md is the one that its script makes, and opens what it says.
#[test]
fn the_example_in_the_documentation() {
    let text = include_str!("../../../../docs/tokens.md");
    let token = text.lines().find(|line| line.starts_with("AQJrMQ")).unwrap();
    let mut keys = Keys::default();
    let secret: Vec<u8> = (0..32).collect();
    keys.add("k1".parse().unwrap(), Key::secret(&secret).unwrap());
    let policy = parse(token, &keys).unwrap();
    assert_eq!(policy.paths, Only::These(vec![PathScope::under("/main/film").unwrap()]));
    assert_eq!(policy.span, Span::until(2_000_000_000));
}

/// With HS256, ES256 and EdDSA; public keys by way of a set of JWKs that PyJWT writes.
#[test]
fn pyjwt_signs_what_is_read_here() {
    let program = format!(
        r#"
import base64, json, jwt
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
b = lambda v: base64.urlsafe_b64encode(v).rstrip(b"=").decode()
es, ed = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
n = es.public_key().public_numbers()
raw = ed.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)
jwks = {{"keys": [
    {{"kty": "EC", "crv": "P-256", "kid": "es", "alg": "ES256", "use": "sig",
      "x": b(n.x.to_bytes(32, "big")), "y": b(n.y.to_bytes(32, "big"))}},
    {{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b(raw)}}]}}
print(json.dumps(jwks))
claims = {{"exp": {EXP_S}, "nbf": {}, "hw_titles": ["film"], "hw_paths": ["/main/film"], "hw_max_height": 720}}
for key, alg, kid in [(bytes.fromhex("{}"), "HS256", "k1"), (es, "ES256", "es"), (ed, "EdDSA", "ed")]:
    print(jwt.encode(claims, key, algorithm=alg, headers={{"kid": kid}}))
"#,
        NOW_S - 60,
        secret_hex(),
    );
    let Some(printed) = python(&program) else { return };
    let mut lines = printed.lines();
    let mut keys = keys();
    for (id, key) in jwks::parse(lines.next().unwrap().as_bytes()).unwrap() {
        assert!(keys.add(id, key));
    }
    for (token, id) in lines.zip(["k1", "es", "ed"]) {
        assert_eq!(
            parse(token, &keys),
            Ok(Policy { key: id.parse().unwrap(), ..policy() }),
            "{id}"
        );
        assert_eq!(outcome(token, &keys), "ok");
        assert_eq!(outcome_at(token, &keys, &asked(), EXP_S + 60), "token_expired");
    }
}

#[test]
fn pyjwt_reads_what_is_signed_here() {
    let token = jwt::sign(&policy(), &Secret::new(K1).unwrap());
    let program = format!(
        r#"
import jwt
c = jwt.decode("{token}", bytes.fromhex("{}"), algorithms=["HS256"],
    options={{"verify_exp": False, "verify_nbf": False}})
print(jwt.get_unverified_header("{token}")["kid"], c["exp"] + 0, c["hw_titles"], c["hw_paths"], c["hw_max_height"])
"#,
        secret_hex(),
    );
    let Some(read) = python(&program) else { return };
    assert_eq!(read, format!("k1 {EXP_S} ['film'] ['/main/film/'] 720"));
}
