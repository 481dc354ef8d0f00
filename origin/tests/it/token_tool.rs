//! `sign` and `explain-token`, as an operator runs them.

use std::fs;

use headwater_origin::access::compact;
use headwater_origin::access::key::{Secret, secret_bytes};
use headwater_origin::access::policy::{Policy, Span};
use headwater_origin::access::session::{self, TokenSum};

use crate::binary::{config_file, outcome};
use crate::common::Stored;

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OWN: &str = "abababababababababababababababababababababababababababababababab";

fn config(stored: &Stored) -> String {
    fs::write(stored.path("k1"), SECRET).unwrap();
    let more = format!(
        "[origin.tokens]\nkeys = [{{ id = \"k1\", secret = \"file:{}\" }}]\n[profiles.main.access]\nenforced_by = \"origin\"\n",
        stored.path("k1").display()
    );
    config_file(stored, &more)
}

#[test]
fn a_signed_url_is_explained() {
    let stored = Stored::with_movie();
    let config = config(&stored);
    let url = "https://cdn.example/main/movie/master.m3u8?a=b";
    for kind in ["compact", "jwt"] {
        let sign = ["sign", "--config", &config, "--key", "k1", "--lasts-s", "60", "--kind", kind];
        let (code, signed, said) =
            outcome(&[&sign[..], &["--max-height", "720", "--title", "mov*", url]].concat());
        assert_eq!((code, said.as_str()), (Some(0), ""));
        let signed = signed.trim();
        let token = signed.strip_prefix("https://cdn.example/~").unwrap();
        let token = token.strip_suffix("/main/movie/master.m3u8?a=b").unwrap();
        let explain =
            |more: &[&str]| outcome(&[&["explain-token", "--config", &config][..], more].concat());
        // What is asked with it, whether it is good, and a part of what is said.
        let master = "/main/movie/master.m3u8";
        let table: [(&[&str], bool, &str); 9] = [
            (&[token], true, "paths      /main/movie/\n"),
            (&[signed], true, "request    /main/movie/master.m3u8\n"),
            (&[token, "--url", "/main/movie/manifest.mpd"], true, "height     at most 720\n"),
            (&[token, "--url", "/main/movie2/master.m3u8"], false, "refused: path_refused: "),
            (&[token, "--url", "/main/other/master.m3u8"], false, "refused: title_refused: "),
            (&[token, "--at-s", "4000000000"], false, "refused: token_expired: "),
            (&[token, "--url", master, "--at-s", "4000000000"], false, "refused: token_expired: "),
            (&[&token[1..]], false, "refused: "),
            (&[token, "--url", "/main/movie/../x"], false, "no URL of this origin"),
        ];
        for (more, good, part) in table {
            let (code, told, said) = explain(more);
            assert_eq!((code, said.as_str()), (Some(i32::from(!good)), ""), "{more:?}: {told}");
            assert!(told.contains(part), "{more:?}: {told}");
            assert!(!told.contains(SECRET) && !told.contains(&token[..20]), "{told}");
        }
    }
}

/// The cookie of a session, with its token and without, good and not; what it is signed with is
/// never shown, nor is it itself.
#[test]
fn a_sessions_cookie_is_explained() {
    let stored = Stored::with_movie();
    fs::write(stored.path("k1"), SECRET).unwrap();
    fs::write(stored.path("own"), OWN).unwrap();
    let file = |name: &str| stored.path(name).display().to_string();
    let more = format!(
        "[origin.tokens]\nkeys = [{{ id = \"k1\", secret = \"file:{}\" }}, \
         {{ id = \"own\", secret = \"file:{}\" }}]\nown_keys = [\"own\"]\nskew_s = 0\n\
         [profiles.main.access]\nenforced_by = \"origin\"\nrenewal = \"cookie\"\n\
         [profiles.plain.access]\nenforced_by = \"origin\"\n",
        file("k1"),
        file("own")
    );
    let config = config_file(&stored, &more);
    let secret = |hex: &str| Secret::new(&secret_bytes(hex.as_bytes()).unwrap()).unwrap();
    let signed = |until_s: Option<u64>| {
        let span = Span { renew_until_s: until_s, ..Span::until(1_000) };
        let policy = Policy::unrestricted("k1".parse().unwrap(), span);
        compact::sign(&policy, &secret(SECRET))
    };
    let (token, fixed) = (signed(Some(3_000)), signed(None));
    let cookie = |token: &str, until_s: u64, id: &str, hex: &str| {
        let key = (&id.parse().unwrap(), &secret(hex));
        session::sign(&TokenSum::of(token), until_s, key)
    };
    let value = cookie(&token, 2_000, "own", OWN);
    let named = format!("{}={value}", TokenSum::of(&token).cookie_name("headwater-session"));
    let misnamed = format!("headwater-session-AAAAAAAAAAAA={value}");
    let changed = format!("{}A", &value[..value.len() - 1]);
    let of_other = cookie(&fixed, 2_000, "own", OWN);
    let issued = cookie(&token, 2_000, "k1", SECRET);
    let beyond = cookie(&token, 9_000, "own", OWN);
    let (main, plain) = ("/main/movie/master.m3u8", "/plain/movie/master.m3u8");
    let until = "cookie     good until 1970-01-01T00:33:20";
    // The token, its cookie, the request, when; whether it is good, and two parts of what is said.
    type Case<'a> = (&'a str, &'a str, &'a str, &'a str, bool, [&'a str; 2]);
    let table: [Case<'_>; 14] = [
        (&token, &value, main, "1999", true, [until, "good at"]),
        (&token, &named, main, "1999", true, [until, "good at"]),
        (&token, &value, "", "1999", true, [until, "good at"]),
        (&token, &value, main, "2000", false, [until, "refused: token_expired"]),
        (&token, &value, plain, "1999", false, [until, "takes no cookies of sessions"]),
        (&token, &value, plain, "999", true, [until, "good at"]),
        (&token, &misnamed, main, "1999", false, ["carries nothing on", "this token's is called"]),
        (&token, &changed, main, "1999", false, ["carries nothing on", "or was changed"]),
        (&token, &of_other, main, "1999", false, ["carries nothing on", "another token's"]),
        (&token, &issued, main, "1999", false, ["carries nothing on", "none of own_keys"]),
        (&token, "x", main, "1999", false, ["carries nothing on", "no cookie of a session"]),
        (&token, &beyond, main, "2999", true, ["good until", "renewals   until"]),
        (&token, &beyond, main, "3000", false, ["good until", "refused: token_expired"]),
        (&fixed, &of_other, main, "1999", false, ["good until", "refused: token_expired"]),
    ];
    let explain =
        |more: &[&str]| outcome(&[&["explain-token", "--config", &config], more].concat());
    let shows_nothing = |told: &str| {
        let secrets = [SECRET, OWN, &value[..], &beyond, &issued, &token[8..]];
        assert!(secrets.iter().all(|secret| !told.contains(secret)), "{told}");
    };
    for (token, cookie, url, at_s, good, parts) in table {
        let mut more = vec![token, "--cookie", cookie, "--at-s", at_s];
        if !url.is_empty() {
            more.extend(["--url", url]);
        }
        let (code, told, said) = explain(&more);
        assert_eq!((code, said.as_str()), (Some(i32::from(!good)), ""), "{url} {at_s}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{parts:?}: {told}");
        shows_nothing(&told);
    }
    // Alone it says what it says, and that nobody can check it so.
    for alone in [&value, &named] {
        let (code, told, _) = explain(&[alone]);
        let said =
            "a session's cookie, not checked\nkey        own\nexpires    1970-01-01T00:33:20";
        assert_eq!(code, Some(1));
        assert!(told.starts_with(said) && told.contains("--cookie"), "{told}");
        shows_nothing(&told);
    }
}

#[test]
fn what_cannot_be_signed_is_said() {
    let stored = Stored::with_movie();
    let config = config(&stored);
    let base = ["sign", "--config", &config, "--lasts-s", "60"];
    let table: [(&[&str], &str); 5] = [
        (
            &["--key", "k2"],
            "k2: key_unknown: no key with the token's key id is configured; there are: k1 (HS256)",
        ),
        (
            &["--key", "k1", "/healthz"],
            "/healthz is nothing of a title; name a --folder or a --path",
        ),
        (&["--key", "k1", "--folder", "/a/../b"], "is no path as this origin spells them"),
        (&["--key", "k1", "--country", "de"], "does not fit"),
        (&["--key", "k/1"], "is no key id"),
    ];
    for (more, part) in table {
        let (code, printed, said) = outcome(&[&base[..], more].concat());
        assert!(code != Some(0) && printed.is_empty(), "{more:?}");
        assert!(said.contains(part), "{more:?}: {said}");
        assert!(!said.contains(SECRET), "{said}");
    }
}
