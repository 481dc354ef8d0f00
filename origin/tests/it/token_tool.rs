//! `sign` and `explain-token`, as an operator runs them.

use std::fs;

use crate::binary::{config_file, outcome};
use crate::common::Stored;

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

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
        let table: [(&[&str], bool, &str); 8] = [
            (&[token], true, "paths      /main/movie/\n"),
            (&[signed], true, "request    /main/movie/master.m3u8\n"),
            (&[token, "--url", "/main/movie/manifest.mpd"], true, "height     at most 720\n"),
            (&[token, "--url", "/main/movie2/master.m3u8"], false, "refused: path_refused: "),
            (&[token, "--url", "/main/other/master.m3u8"], false, "refused: title_refused: "),
            (&[token, "--at-s", "4000000000"], false, "refused: token_expired: "),
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
