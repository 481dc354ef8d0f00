//! Tokens that must open nothing, class by class, each with the reason that the operator is told.

use headwater_origin::access::base64url;
use headwater_origin::access::policy::{Asked, Enforcer, Thing};
use headwater_origin::limits;

use super::issue::{
    GONE, K1, K2, NOW_S, Pairs, SKEW_S, asked, class, compact_with, in_an_hour, outcome,
    outcome_at, raw, resigned, text,
};

const HOUR: &str = r#""exp":1800003600"#;

#[test]
fn claims_of_a_jwt_missing_or_wrong() {
    let pairs = Pairs::new();
    let keys = pairs.keys();
    let table = [
        ("no claim at all", "{}".to_owned(), "claim_missing"),
        ("no expiry", r#"{"hw_titles":"film"}"#.into(), "claim_missing"),
        ("expiry is a text", r#"{"exp":"1800003600"}"#.into(), "claim_malformed"),
        ("expiry is null", r#"{"exp":null}"#.into(), "claim_malformed"),
        ("expiry before time", r#"{"exp":-1}"#.into(), "claim_malformed"),
        ("expiry beyond numbers", r#"{"exp":1e300}"#.into(), "claim_malformed"),
        ("expiry twice", format!(r#"{{"exp":1,{HOUR}}}"#), "token_malformed"),
        ("expiry is a list", r#"{"exp":[1800003600]}"#.into(), "claim_malformed"),
        ("beginning is true", format!(r#"{{{HOUR},"nbf":true}}"#), "claim_malformed"),
        ("titles is a number", format!(r#"{{{HOUR},"hw_titles":1}}"#), "claim_malformed"),
        ("titles is empty", format!(r#"{{{HOUR},"hw_titles":[]}}"#), "claim_malformed"),
        ("titles hold null", format!(r#"{{{HOUR},"hw_titles":["film",null]}}"#), "claim_malformed"),
        ("a title that is none", format!(r#"{{{HOUR},"hw_titles":"a/b"}}"#), "claim_malformed"),
        ("an empty title", format!(r#"{{{HOUR},"hw_titles":""}}"#), "claim_malformed"),
        ("a profile that is none", format!(r#"{{{HOUR},"hw_profiles":"A"}}"#), "claim_malformed"),
        ("height is a text", format!(r#"{{{HOUR},"hw_max_height":"720"}}"#), "claim_malformed"),
        (
            "height has a fraction",
            format!(r#"{{{HOUR},"hw_max_height":720.5}}"#),
            "claim_malformed",
        ),
        ("height is negative", format!(r#"{{{HOUR},"hw_max_height":-1}}"#), "claim_malformed"),
        ("height is huge", format!(r#"{{{HOUR},"hw_max_height":4294967296}}"#), "claim_malformed"),
        ("no network", format!(r#"{{{HOUR},"hw_networks":"10.0.0.0/33"}}"#), "claim_malformed"),
        ("no country", format!(r#"{{{HOUR},"hw_countries":"de"}}"#), "claim_malformed"),
        (
            "a country with a comma",
            format!(r#"{{{HOUR},"hw_countries":"DE,AT"}}"#),
            "claim_malformed",
        ),
        ("no session", format!(r#"{{{HOUR},"hw_session":""}}"#), "claim_malformed"),
        ("no enforcer", format!(r#"{{{HOUR},"hw_enforced_by":"me"}}"#), "claim_malformed"),
        (
            "no end of renewals",
            format!(r#"{{{HOUR},"hw_renew_until":"later"}}"#),
            "claim_malformed",
        ),
        ("a claim of another dialect", format!(r#"{{{HOUR},"catu":{{}}}}"#), "claim_unsupported"),
        ("a restriction to come", format!(r#"{{{HOUR},"hw_device":"x"}}"#), "claim_unsupported"),
        ("another case", format!(r#"{{{HOUR},"HW_TITLES":"film"}}"#), "claim_unsupported"),
        ("scopes of OAuth", format!(r#"{{{HOUR},"scope":"read"}}"#), "claim_unsupported"),
        ("proof of possession", format!(r#"{{{HOUR},"cnf":{{}}}}"#), "claim_unsupported"),
        ("claims are a list", "[]".into(), "token_malformed"),
        ("claims are a text", "\"exp\"".into(), "token_malformed"),
        ("claims are cut", r#"{"exp":1800003600"#.into(), "token_malformed"),
        ("something behind them", format!("{{{HOUR}}}x"), "token_malformed"),
        (
            "what informs",
            format!(r#"{{{HOUR},"iss":"a","sub":"b","iat":1,"jti":"c","x_d":[]}}"#),
            "ok",
        ),
    ];
    class("claims of a JWT", table.iter().map(|case| case.2));
    for (name, claims, wanted) in table {
        assert_eq!(outcome(&pairs.good_jwt("k1", &claims), &keys), wanted, "{name}");
    }
}

#[test]
fn claims_of_a_compact_token_missing_or_wrong() {
    let keys = Pairs::new().keys();
    let hour = in_an_hour();
    type Claims<'a> = &'a [(u8, &'a [u8])];
    let table: &[(&str, Claims<'_>, &str)] = &[
        ("no claim at all", &[], "claim_missing"),
        ("no expiry", &[(2, b"film")], "claim_missing"),
        ("expiry of four bytes", &[(8, &[0x6b; 4])], "claim_malformed"),
        ("expiry of nine bytes", &[(8, &[0; 9])], "claim_malformed"),
        ("expiry without bytes", &[(8, b"")], "claim_malformed"),
        ("expiry twice", &[(8, &hour), (8, &hour)], "token_malformed"),
        ("falling tags", &[(8, &hour), (2, b"film")], "token_malformed"),
        ("titles twice", &[(2, b"film"), (2, b"other"), (8, &hour)], "token_malformed"),
        ("no title", &[(2, b""), (8, &hour)], "claim_malformed"),
        ("an empty title", &[(2, b"film,"), (8, &hour)], "claim_malformed"),
        ("a title that is none", &[(2, b"fi lm"), (8, &hour)], "claim_malformed"),
        ("no text", &[(2, b"\xff"), (8, &hour)], "claim_malformed"),
        ("no profile", &[(1, b"A"), (8, &hour)], "claim_malformed"),
        ("a relative folder", &[(3, b"main"), (8, &hour)], "claim_malformed"),
        ("height of two bytes", &[(5, &[2, 208]), (8, &hour)], "claim_malformed"),
        ("a label with a space", &[(6, b"H D"), (8, &hour)], "claim_malformed"),
        ("beginning of one byte", &[(7, &[1]), (8, &hour)], "claim_malformed"),
        ("no network", &[(8, &hour), (9, b"10.0.0.1/8")], "claim_malformed"),
        ("no country", &[(8, &hour), (10, b"GERMANY")], "claim_malformed"),
        ("no session", &[(8, &hour), (12, b"a b")], "claim_malformed"),
        ("no enforcer", &[(8, &hour), (13, b"")], "claim_malformed"),
        ("no end of renewals", &[(8, &hour), (14, b"")], "claim_malformed"),
        ("a restriction to come", &[(8, &hour), (15, b"")], "claim_unsupported"),
        ("the last restriction", &[(8, &hour), (127, b"x")], "claim_unsupported"),
        ("no restriction", &[(0, b"x"), (8, &hour)], "token_malformed"),
        ("what informs", &[(8, &hour), (128, b"x"), (255, b"")], "ok"),
    ];
    class("claims of a compact token", table.iter().map(|case| case.2));
    for (name, claims, wanted) in table {
        let token = base64url::encode(&raw(1, "k1", claims, K1));
        assert_eq!(outcome(&token, &keys), *wanted, "{name}");
    }
    // Claims that end inside of themselves, well signed.
    for tail in [&[8][..], &[8, 0], &[8, 0, 8], &[8, 0, 8, 1, 2, 3], &[8, 255, 255, 1]] {
        let mut bytes = vec![1, 2, b'k', b'1'];
        bytes.extend_from_slice(tail);
        let token = base64url::encode(&resigned(bytes, K1));
        assert_eq!(outcome(&token, &keys), "token_malformed", "{tail:?}");
    }
}

#[test]
fn times_at_their_boundaries() {
    let pairs = Pairs::new();
    let keys = pairs.keys();
    let last = u64::MAX;
    // name, beginning, end, now, outcome
    let table = [
        ("well within", Some(100), 200, 150, "ok"),
        ("the first second", Some(100), 200, 100, "ok"),
        ("the first second of the leeway", Some(100), 200, 100 - SKEW_S, "ok"),
        ("a second before", Some(100), 200, 99 - SKEW_S, "token_not_yet_valid"),
        ("the last second", Some(100), 200, 199, "ok"),
        ("the end itself", Some(100), 200, 200, "ok"),
        ("the last second of the leeway", Some(100), 200, 199 + SKEW_S, "ok"),
        ("the end of the leeway", Some(100), 200, 200 + SKEW_S, "token_expired"),
        ("long after", Some(100), 200, NOW_S, "token_expired"),
        ("no beginning", None, 200, 0, "ok"),
        ("an end at the beginning of time", None, 0, SKEW_S, "token_expired"),
        ("over before it began", Some(300), 200, 250, "token_expired"),
        ("the end of time", None, last, last - 1, "ok"),
        ("the end of time is an end", None, last, last, "token_expired"),
        ("never", Some(last), last, 5, "token_not_yet_valid"),
    ];
    let both = table.iter().chain(&table);
    class("times, in both dialects", both.map(|case| case.4));
    for (name, from_s, until_s, now_s, wanted) in table {
        let nbf = from_s.map_or(String::new(), |s| format!(r#","nbf":{s}"#));
        let jwt = pairs.good_jwt("k1", &format!(r#"{{"exp":{until_s}{nbf}}}"#));
        assert_eq!(outcome_at(&jwt, &keys, &asked(), now_s), wanted, "jwt, {name}");
        let (from, until) = (from_s.map(u64::to_be_bytes), until_s.to_be_bytes());
        let mut claims: Vec<(u8, &[u8])> = vec![(8, &until)];
        claims.extend(from.as_ref().map(|from| (7, &from[..])));
        claims.sort_unstable();
        let compact = base64url::encode(&raw(1, "k1", &claims, K1));
        assert_eq!(outcome_at(&compact, &keys, &asked(), now_s), wanted, "compact, {name}");
    }
    // Fractions never lengthen: what ends is rounded down, what begins is rounded up.
    let table = [
        (r#"{"exp":200.9}"#, 199 + SKEW_S, "ok"),
        (r#"{"exp":200.9}"#, 200 + SKEW_S, "token_expired"),
        (r#"{"exp":300,"nbf":100.1}"#, 101 - SKEW_S, "ok"),
        (r#"{"exp":300,"nbf":100.1}"#, 100 - SKEW_S, "token_not_yet_valid"),
        (r#"{"exp":2e2}"#, 199, "ok"),
    ];
    for (claims, now_s, wanted) in table {
        let token = pairs.good_jwt("k1", claims);
        assert_eq!(outcome_at(&token, &keys, &asked(), now_s), wanted, "{claims} at {now_s}");
    }
}

#[test]
fn tokens_of_a_wrong_form() {
    let pairs = Pairs::new();
    let keys = pairs.keys();
    let good = compact_with(&[]);
    let jwt = pairs.good_jwt("k1", &format!("{{{HOUR}}}"));
    assert_eq!((outcome(&good, &keys), outcome(&jwt, &keys)), ("ok", "ok"));
    let bytes = base64url::decode(good.as_bytes()).unwrap();
    // The last character of 4n+2 or 4n+3 has bits that no byte needs.
    let loose = |text: &str| {
        let last = text.chars().last().unwrap();
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = ALPHABET.find(last).unwrap();
        assert!(!text.len().is_multiple_of(4) && at.is_multiple_of(4), "{text} has loose bits");
        format!("{}{}", &text[..text.len() - 1], &ALPHABET[at + 1..at + 2])
    };
    let parts: Vec<_> = jwt.split('.').collect();
    let (header, claims, mac) = (parts[0], parts[1], parts[2]);
    let of = |bytes: &[u8]| base64url::encode(bytes);
    let table = [
        ("nothing", String::new(), "token_malformed"),
        ("one character", "A".into(), "token_malformed"),
        ("a signature alone", of(&bytes[bytes.len() - 32..]), "token_malformed"),
        ("without its last byte", of(&bytes[..bytes.len() - 1]), "signature_wrong"),
        ("without its signature", of(&bytes[..bytes.len() - 32]), "token_malformed"),
        ("with a byte more", of(&[&bytes[..], &[0]].concat()), "signature_wrong"),
        ("twice", format!("{good}{good}"), "token_malformed"),
        ("padded", format!("{good}="), "token_malformed"),
        ("in the other alphabet", good.replace(['-', '_'], "/") + "/", "token_malformed"),
        (
            "encoded for a URL",
            format!("%{:02x}{}", good.as_bytes()[0], &good[1..]),
            "token_malformed",
        ),
        ("encoded twice", text(&good), "token_malformed"),
        (
            "loose bits of a JWT's signature",
            format!("{header}.{claims}.{}", loose(mac)),
            "token_malformed",
        ),
        ("a space before", format!(" {good}"), "token_malformed"),
        ("a space behind", format!("{good} "), "token_malformed"),
        ("a line break within", format!("{}\n{}", &good[..8], &good[8..]), "token_malformed"),
        ("a tab within", format!("{}\t{}", &good[..8], &good[8..]), "token_malformed"),
        ("a zero byte behind", format!("{good}\0"), "token_malformed"),
        ("letters that look alike", good.replacen('A', "\u{410}", 1), "token_malformed"),
        ("upper case", good.to_uppercase(), "key_unknown"),
        ("version 0", of(&raw(0, "k1", &[(8, &in_an_hour())], K1)), "token_malformed"),
        ("version 2", of(&raw(2, "k1", &[(8, &in_an_hour())], K1)), "token_malformed"),
        ("a key id beyond the end", of(&resigned(vec![1, 200, b'k'], K1)), "token_malformed"),
        ("a key id that is no text", of(&resigned(vec![1, 2, 0xff, 0xfe], K1)), "token_malformed"),
        ("two parts", format!("{header}.{claims}"), "token_malformed"),
        ("four parts", format!("{jwt}."), "token_malformed"),
        ("five parts, as encrypted ones have", format!("{jwt}.a.b"), "token_malformed"),
        ("no header", format!(".{claims}.{mac}"), "token_malformed"),
        ("no claims", format!("{header}..{mac}"), "signature_wrong"),
        ("no signature", format!("{header}.{claims}."), "signature_wrong"),
        ("a JSON serialization", "{\"payload\":\"e30\"}".to_owned(), "token_malformed"),
        ("a padded header", format!("{header}=.{claims}.{mac}"), "token_malformed"),
        ("only dots", "..".into(), "token_malformed"),
    ];
    class("form", table.iter().map(|case| case.2));
    for (name, token, wanted) in table {
        assert_eq!(outcome(&token, &keys), wanted, "{name}: {token:?}");
    }
    let huge = "A".repeat(limits::TOKEN_BYTES * 100);
    assert_eq!(outcome(&huge, &keys), "token_malformed");
    assert_eq!(outcome(&format!("{huge}.{huge}.{huge}"), &keys), "token_malformed");
}

#[test]
fn keys_and_algorithms_that_do_not_fit() {
    let pairs = Pairs::new();
    let keys = pairs.keys();
    let claims = format!("{{{HOUR}}}");
    let expires = in_an_hour();
    let good: &[(u8, &[u8])] = &[(8, &expires)];
    let of = |bytes: &[u8]| base64url::encode(bytes);
    let public = pairs.es_public();
    // The classic: the public key's bytes taken for a shared secret.
    let confused = |header: &str| {
        let signed = format!("{}.{}", text(header), text(&claims));
        let secret = headwater_origin::access::key::Secret::new(&public).unwrap();
        format!("{signed}.{}", of(&secret.sign(&[signed.as_bytes()])))
    };
    let unsigned = |header: &str| format!("{}.{}.", text(header), text(&claims));
    let jwt = |id: &str, header: &str| pairs.jwt(id, header, &claims);
    let table = [
        ("a key that was taken out", of(&raw(1, "gone", good, GONE)), "key_unknown"),
        ("an id of another case", of(&raw(1, "K1", good, K1)), "key_unknown"),
        ("an id with a space", of(&raw(1, "k1 ", good, K1)), "key_unknown"),
        ("no id", of(&raw(1, "", good, K1)), "key_unknown"),
        ("another key's secret", of(&raw(1, "k1", good, K2)), "signature_wrong"),
        ("another key's id", of(&raw(1, "k2", good, K1)), "signature_wrong"),
        ("the old key's secret under a new id", of(&raw(1, "k1", good, GONE)), "signature_wrong"),
        ("a compact token of a public key", of(&raw(1, "es", good, K1)), "algorithm_refused"),
        (
            "a compact token with a public key as secret",
            of(&raw(1, "es", good, &public)),
            "algorithm_refused",
        ),
        ("no kid", jwt("k1", r#"{"alg":"HS256"}"#), "key_unknown"),
        ("a kid that is a number", jwt("k1", r#"{"alg":"HS256","kid":1}"#), "key_unknown"),
        ("a kid that is a path", jwt("k1", r#"{"alg":"HS256","kid":"../k1"}"#), "key_unknown"),
        ("a kid that was taken out", jwt("gone", r#"{"alg":"HS256","kid":"gone"}"#), "key_unknown"),
        ("no alg", jwt("k1", r#"{"kid":"k1"}"#), "algorithm_refused"),
        ("alg none", unsigned(r#"{"alg":"none","kid":"k1"}"#), "algorithm_refused"),
        ("alg nOnE", unsigned(r#"{"alg":"nOnE","kid":"k1"}"#), "algorithm_refused"),
        ("alg is empty", unsigned(r#"{"alg":"","kid":"k1"}"#), "algorithm_refused"),
        ("alg is null", unsigned(r#"{"alg":null,"kid":"k1"}"#), "algorithm_refused"),
        ("alg is a list", jwt("k1", r#"{"alg":["HS256"],"kid":"k1"}"#), "algorithm_refused"),
        ("alg of another case", jwt("k1", r#"{"alg":"hs256","kid":"k1"}"#), "algorithm_refused"),
        ("HS512", jwt("k1", r#"{"alg":"HS512","kid":"k1"}"#), "algorithm_refused"),
        (
            "HS256 with a public key as secret",
            confused(r#"{"alg":"HS256","kid":"es"}"#),
            "algorithm_refused",
        ),
        ("that, and says ES256", confused(r#"{"alg":"ES256","kid":"es"}"#), "signature_wrong"),
        (
            "ES256 under a secret's id",
            jwt("es", r#"{"alg":"ES256","kid":"k1"}"#),
            "algorithm_refused",
        ),
        ("ES256 under EdDSA's id", jwt("es", r#"{"alg":"ES256","kid":"ed"}"#), "algorithm_refused"),
        ("EdDSA under ES256's id", jwt("ed", r#"{"alg":"ES256","kid":"es"}"#), "signature_wrong"),
        ("ES384", jwt("es", r#"{"alg":"ES384","kid":"es"}"#), "algorithm_refused"),
        (
            "a secret's signature under EdDSA",
            jwt("k1", r#"{"alg":"EdDSA","kid":"ed"}"#),
            "signature_wrong",
        ),
        ("alg twice", jwt("k1", r#"{"alg":"none","alg":"HS256","kid":"k1"}"#), "token_malformed"),
        ("kid twice", jwt("k1", r#"{"alg":"HS256","kid":"es","kid":"k1"}"#), "token_malformed"),
        (
            "a key in the token",
            jwt("gone", r#"{"alg":"HS256","kid":"k1","jwk":{"kty":"oct","k":"YQ"}}"#),
            "signature_wrong",
        ),
        (
            "an extension",
            jwt("k1", r#"{"alg":"HS256","kid":"k1","crit":["b64"],"b64":false}"#),
            "token_malformed",
        ),
        (
            "an ES256 signature of zeros",
            format!("{}{}", unsigned(r#"{"alg":"ES256","kid":"es"}"#), of(&[0; 64])),
            "signature_wrong",
        ),
        ("secret, compact", of(&raw(1, "k2", good, K2)), "ok"),
        ("secret", pairs.good_jwt("k2", &claims), "ok"),
        ("P-256", pairs.good_jwt("es", &claims), "ok"),
        ("Ed25519", pairs.good_jwt("ed", &claims), "ok"),
    ];
    class("keys and algorithms", table.iter().map(|case| case.2));
    for (name, token, wanted) in table {
        assert_eq!(outcome(&token, &keys), wanted, "{name}");
    }
}

#[test]
fn a_token_opens_nothing_else() {
    let pairs = Pairs::new();
    let keys = pairs.keys();
    let height = 720u32.to_be_bytes();
    let token = compact_with(&[
        (1, b"main,vip"),
        (2, b"film,show-*"),
        (3, b"/main/film/"),
        (5, &height),
        (6, b"SD,HD"),
        (9, b"203.0.113.0/24,2001:db8::/32"),
        (10, b"DE,AT"),
        (11, b"headwater"),
        (12, b"s-1"),
        (13, b"origin"),
    ]);
    let good = asked();
    let others = ["other".parse().unwrap()];
    let own = ["other".parse().unwrap(), "k1".parse().unwrap()];
    let at = |ip: &str| Some(ip.parse().unwrap());
    let table: &[(&str, Asked<'_>, &str)] = &[
        ("as it is", good, "ok"),
        ("its key", Asked { keys: &own, ..good }, "ok"),
        ("another key", Asked { keys: &others, ..good }, "key_refused"),
        ("another profile", Asked { profile: "clear", ..good }, "profile_refused"),
        ("a longer profile", Asked { profile: "mainx", ..good }, "profile_refused"),
        ("another title", Asked { title: "film2", ..good }, "title_refused"),
        ("a shorter title", Asked { title: "fil", ..good }, "title_refused"),
        ("another case", Asked { title: "Film", ..good }, "title_refused"),
        ("another path", Asked { path: "/main/film2/master.m3u8", ..good }, "path_refused"),
        ("the path above", Asked { path: "/main", ..good }, "path_refused"),
        ("the same height", Asked { thing: Thing::Video(720), ..good }, "ok"),
        ("a line more", Asked { thing: Thing::Video(721), ..good }, "height_refused"),
        ("a track that nobody looked up", Asked { thing: Thing::Track, ..good }, "height_refused"),
        ("sound", Asked { thing: Thing::Sound, ..good }, "ok"),
        ("a manifest", Asked { thing: Thing::Manifest, ..good }, "ok"),
        ("its label", Asked { thing: Thing::Key("HD"), ..good }, "ok"),
        ("another label", Asked { thing: Thing::Key("AUDIO"), ..good }, "label_refused"),
        ("a key above the height", Asked { thing: Thing::Key("UHD1"), ..good }, "height_refused"),
        ("no label", Asked { thing: Thing::Key(""), ..good }, "height_refused"),
        ("where keys are", Asked { thing: Thing::Keys, ..good }, "ok"),
        ("IPv6", Asked { client: at("2001:db8::9"), ..good }, "ok"),
        ("IPv4 in IPv6", Asked { client: at("::ffff:203.0.113.9"), ..good }, "ok"),
        ("another network", Asked { client: at("203.0.114.7"), ..good }, "network_refused"),
        ("another IPv6 network", Asked { client: at("2001:db9::1"), ..good }, "network_refused"),
        ("no address", Asked { client: None, ..good }, "network_refused"),
        ("another country", Asked { country: Some("FR"), ..good }, "country_refused"),
        ("another case of it", Asked { country: Some("de"), ..good }, "country_refused"),
        ("no country", Asked { country: None, ..good }, "country_refused"),
        ("another service", Asked { audience: Some("other"), ..good }, "audience_refused"),
        ("a service without a name", Asked { audience: None, ..good }, "audience_refused"),
        ("another session", Asked { session: Some("s-2"), ..good }, "session_refused"),
        ("a longer session", Asked { session: Some("s-10"), ..good }, "session_refused"),
        ("no session", Asked { session: None, ..good }, "session_refused"),
        ("its own session's keys", Asked { wants_session: true, ..good }, "ok"),
        ("another enforcer", Asked { enforcer: Enforcer::Cdn, ..good }, "enforcer_refused"),
    ];
    class("replay", table.iter().map(|case| case.2));
    for (name, asked, wanted) in table {
        assert_eq!(outcome_at(&token, &keys, asked, NOW_S), *wanted, "{name}");
    }
    let shows = Asked { title: "show-2", path: "/main/film/x", ..good };
    assert_eq!(outcome_at(&token, &keys, &shows, NOW_S), "ok", "the beginning of a title");
}
