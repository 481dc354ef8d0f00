//! Keys of tokens while an origin runs: from files, a variable and sets of JWKs, changed one after
//! the other without a restart and without turning anybody away.

use std::fs;
use std::path::Path;

use headwater_origin::access::base64url;
use headwater_origin::access::key::Secret;
use headwater_origin::access::policy::{Policy, Span};
use headwater_origin::access::{compact, jwt};

use rustix::process::Signal;

use crate::binary::Running;
use crate::common::Stored;
use crate::net::until;

/// What is signed with the secret of these bytes, under an id.
fn signed(id: &str, byte: u8) -> String {
    let policy = Policy::unrestricted(id.parse().unwrap(), Span::until(u64::MAX));
    compact::sign(&policy, &Secret::new(&[byte; 32]).unwrap())
}

fn signed_jwt(id: &str, byte: u8) -> String {
    let policy = Policy::unrestricted(id.parse().unwrap(), Span::until(4_000_000_000));
    jwt::sign(&policy, &Secret::new(&[byte; 32]).unwrap())
}

fn digits(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

/// As an issuer's files are written: never seen by half.
fn replace(path: &Path, content: &str) {
    let next = path.with_extension("next");
    fs::write(&next, content).unwrap();
    fs::rename(next, path).unwrap();
}

fn set(keys: &[(&str, u8)]) -> String {
    let jwk = |(id, byte): &(&str, u8)| {
        let k = base64url::encode(&[*byte; 32]);
        format!(r#"{{"kty":"oct","kid":"{id}","alg":"HS256","k":"{k}"}}"#)
    };
    let all: Vec<_> = keys.iter().map(jwk).collect();
    format!(r#"{{"keys":[{}]}}"#, all.join(","))
}

#[test]
fn keys_follow_one_another_while_it_runs() {
    let stored = Stored::with_movie();
    let (secret, jwks) = (stored.path("secret"), stored.path("set"));
    fs::write(&secret, digits(1)).unwrap();
    fs::write(&jwks, set(&[("a", 3)])).unwrap();
    let more = format!(
        "[origin.tokens]\nlook_s = 1\njwks = [\"file:{}\"]\n\
         keys = [{{ id = \"file\", secret = \"file:{}\" }}, \
         {{ id = \"variable\", secret = \"env:ISSUERS_SECRET\" }}]\n\
         [profiles.clear.access]\nenforced_by = \"origin\"\n",
        jwks.display(),
        secret.display()
    );
    let variables = [("ISSUERS_SECRET", digits(2))];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let running = Running::start_with(&stored, &more, &variables);
    let mut client = running.client();
    let mut opens = |token: &str| {
        let seen = client.ask("GET", &format!("/~{token}/clear/movie/master.m3u8"));
        let wanted = if seen.status == 200 { "" } else { "token_invalid" };
        assert_eq!(seen.error(), wanted, "{}", seen.status);
        seen.status == 200
    };
    let (in_file, in_variable) = (signed("file", 1), signed("variable", 2));
    let (a, b) = (signed_jwt("a", 3), signed_jwt("b", 4));
    assert!(opens(&in_file) && opens(&in_variable) && opens(&a));
    assert!(!opens(&b) && !opens(&signed("file", 2)) && !opens(&signed("variable", 1)));

    replace(&jwks, &set(&[("a", 3), ("b", 4)]));
    until("the next key is taken", || opens(&b));
    assert!(opens(&a), "both, while one follows the other");
    replace(&jwks, &set(&[("b", 4)]));
    until("the last key is not", || !opens(&a));
    assert!(opens(&b) && opens(&in_file) && opens(&in_variable), "the others stay");
    // What is no key changes nothing.
    replace(&jwks, "{\"keys\":[");
    until("a broken set is told", || {
        running.said().contains("the keys of tokens stay as they were")
    });
    assert!(opens(&b) && opens(&in_file));
    replace(&jwks, &set(&[("b", 4)]));
    replace(&secret, &digits(5));
    until("a secret is another one", || opens(&signed("file", 5)));
    assert!(!opens(&in_file) && opens(&b));

    // And under another id, which is configuration.
    let config = stored.path("origin.toml");
    let renamed = fs::read_to_string(&config).unwrap().replace("\"file\"", "\"next\"");
    fs::write(&config, renamed).unwrap();
    running.signal(Signal::HUP);
    until("an id is another one", || opens(&signed("next", 5)));
    assert!(!opens(&signed("file", 5)) && opens(&b) && opens(&in_variable));

    let said = running.said();
    let listed = "b (HS256), file (HS256), variable (HS256)";
    assert!(said.contains("the keys of tokens changed") && said.contains(listed), "{said}");
    for byte in 1..=5 {
        let k = base64url::encode(&[byte; 32]);
        assert!(!said.contains(&digits(byte)) && !said.contains(&k), "a secret is in the log");
    }
}
