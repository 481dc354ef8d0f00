//! What it costs to check a token: found in the request, signature, claims, and what is asked for.
//!
//! `cargo bench -p headwater-origin --bench tokens` takes times. `bench/token-cost.sh` counts
//! instructions: with `HEADWATER_COUNT=KIND:TIMES` this program checks so many tokens between two
//! signals to itself, and does nothing else.
#![expect(clippy::unwrap_used, reason = "a bench says what failed by panicking")]

use criterion::Criterion;
use headwater_config::{SecretSource, TokenKey, Tokens as Settings};
use headwater_origin::access::key::{Key, Keys, Secret};
use headwater_origin::access::policy::{Asked, Enforcer, Only, Policy, Span, Thing};
use headwater_origin::access::scope::PathScope;
use headwater_origin::access::tokens::Tokens;
use headwater_origin::access::{base64url, compact, jwt};
use headwater_origin::exchange::Request;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::{Builder, Runtime};

const SECRET: [u8; 32] = [7; 32];
const NOW_S: u64 = 1_800_000_000;
const FILE: &str = "/main/film/01939c2e-7f00-7abc-8def-0123456789ab.00c0ffee/v720/1.m4s";
/// Public keys' tokens are checked anew each time, unless they are said to come again.
const KINDS: [&str; 6] = ["compact", "hs256", "eddsa", "es256", "eddsa-again", "es256-again"];

/// Keys of every kind, and a runtime to check tokens on.
struct Bench {
    runtime: Runtime,
    tokens: Tokens,
    keys: Keys,
    ed: Ed25519KeyPair,
    es: EcdsaKeyPair,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (secret, set) = (folder.path().join("k"), folder.path().join("set"));
        std::fs::write(&secret, "07".repeat(32)).unwrap();
        let ed = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let es = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let point = es.public_key().as_ref();
        let part = base64url::encode;
        let jwks = format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"eddsa","x":"{}"}},{{"kty":"EC","crv":"P-256","kid":"es256","x":"{}","y":"{}"}}]}}"#,
            part(ed.public_key().as_ref()),
            part(&point[1..33]),
            part(&point[33..])
        );
        std::fs::write(&set, jwks).unwrap();
        let settings = Settings {
            keys: vec![TokenKey { id: "k".parse().unwrap(), secret: SecretSource::File(secret) }],
            jwks: vec![SecretSource::File(set)],
            ..Settings::default()
        };
        let mut keys = Keys::default();
        let ed_key = Key::ed25519(ed.public_key().as_ref().to_vec()).unwrap();
        let es_key = Key::p256(point.to_vec()).unwrap();
        assert!(keys.add("eddsa".parse().unwrap(), ed_key));
        assert!(keys.add("es256".parse().unwrap(), es_key));
        let runtime = Builder::new_current_thread().build().unwrap();
        Self { runtime, tokens: Tokens::open(&settings).unwrap(), keys, ed, es }
    }

    /// A token of a folder for some minutes.
    fn token(&self, kind: &str) -> String {
        let paths = Only::These(vec![PathScope::under("/main/film").unwrap()]);
        let span = Span { not_before_s: Some(NOW_S - 60), ..Span::until(NOW_S + 600) };
        let policy = Policy { paths, ..Policy::unrestricted("k".parse().unwrap(), span) };
        let secret = Secret::new(&SECRET).unwrap();
        let signed = |alg: &str, kid: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
            let text = |text: String| base64url::encode(text.as_bytes());
            let header = text(format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#));
            let (exp, nbf) = (NOW_S + 600, NOW_S - 60);
            let claims = format!(r#"{{"exp":{exp},"nbf":{nbf},"hw_paths":["/main/film"]}}"#);
            let signed = format!("{header}.{}", text(claims));
            let signature = sign(signed.as_bytes());
            format!("{signed}.{}", base64url::encode(&signature))
        };
        match kind.split('-').next().unwrap() {
            "hs256" => jwt::sign(&policy, &secret),
            "eddsa" => signed("EdDSA", "eddsa", &|m| self.ed.sign(m).as_ref().to_vec()),
            "es256" => signed("ES256", "es256", &|m| {
                self.es.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec()
            }),
            _ => compact::sign(&policy, &secret),
        }
    }

    fn check(&self, kind: &str, request: &Request, times: u64) {
        let anew = matches!(kind, "eddsa" | "es256");
        self.runtime.block_on(async {
            for _ in 0..times {
                let (token, _) = self.tokens.carried(request).unwrap().unwrap();
                let outcome = match anew {
                    true => jwt::parse(token, &self.keys).unwrap().permits(&asked(), NOW_S, 10),
                    false => self.tokens.policy(token).await.unwrap().permits(&asked(), NOW_S, 10),
                };
                assert_eq!(outcome, Ok(()));
            }
        });
    }
}

fn asked() -> Asked<'static> {
    Asked {
        path: FILE,
        profile: "main",
        title: "film",
        thing: Thing::Track,
        exchange: false,
        keys: &[],
        client: None,
        country: None,
        audience: None,
        session: None,
        wants_session: false,
        enforcer: Enforcer::Origin,
    }
}

fn main() {
    let bench = Bench::new();
    let request = |kind: &str| {
        let uri = format!("/~{}{FILE}", bench.token(kind));
        Request { uri: uri.parse().unwrap(), ..Request::default() }
    };
    if let Ok(count) = std::env::var("HEADWATER_COUNT") {
        let (kind, times) = count.split_once(':').unwrap();
        let request = request(kind);
        bench.check(kind, &request, 1);
        // `bench/steps.c` counts from one to the other.
        let marked = || kill_process(getpid(), Signal::USR1).unwrap();
        marked();
        bench.check(kind, &request, times.parse().unwrap());
        marked();
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for kind in KINDS {
        let request = request(kind);
        criterion.bench_function(&format!("token/{kind}"), |b| {
            b.iter(|| bench.check(kind, &request, 1));
        });
    }
    criterion.final_summary();
}
