//! Paths that look like those a token is for. The origin refuses every second spelling of a path
//! before any token is read; here both walls are tried, together and each alone.

use headwater_origin::access::carrier;
use headwater_origin::access::policy::{Asked, Thing};
use headwater_origin::route::Route;

use super::issue::{NOW_S, Pairs, asked, class, compact_with, outcome_at};

/// `refused` by the token where the path is a route, `no_route` where it never gets there.
fn tried(token: &str, target: &str) -> &'static str {
    let keys = Pairs::new().keys();
    let (_, path) = carrier::split(target);
    let about = Asked { path, thing: Thing::Manifest, ..asked() };
    // The token's own wall holds without the other one.
    let outcome = outcome_at(token, &keys, &about, NOW_S);
    if Route::parse(path).is_err() {
        assert_ne!(outcome, "ok", "{target}: only the spelling kept it out");
        return "no_route";
    }
    outcome
}

#[test]
fn paths_beside_a_folder() {
    let token = compact_with(&[(3, b"/main/film")]);
    let table = [
        ("/main/film/master.m3u8", "ok"),
        ("/~x/main/film/master.m3u8", "ok"),
        ("/main/film2/master.m3u8", "path_refused"),
        ("/main/fil/master.m3u8", "path_refused"),
        ("/main/Film/master.m3u8", "path_refused"),
        ("/Main/film/master.m3u8", "path_refused"),
        ("/main/film./master.m3u8", "path_refused"),
        ("/main/.film/master.m3u8", "path_refused"),
        ("/main/film.../master.m3u8", "path_refused"),
        ("/main/film-/master.m3u8", "path_refused"),
        ("/vip/film/master.m3u8", "path_refused"),
        ("/film/main/master.m3u8", "path_refused"),
        ("/main/other/master.m3u8", "path_refused"),
        ("/main/../main/other/master.m3u8", "no_route"),
        ("//main/film/master.m3u8", "no_route"),
        ("/main//film/master.m3u8", "no_route"),
        ("/main/./film/master.m3u8", "no_route"),
        ("/main/%66ilm/master.m3u8", "no_route"),
        ("/main/film%2fmaster.m3u8", "no_route"),
        ("/main/film%2F..%2Fother/master.m3u8", "no_route"),
        ("/main/%2e%2e/film/master.m3u8", "no_route"),
        ("/main\\film\\master.m3u8", "no_route"),
        ("/main/fi\u{fb01}lm/master.m3u8", "no_route"),
        ("/main/film\u{2024}/master.m3u8", "no_route"),
        ("/main/film\0/master.m3u8", "no_route"),
        ("/main/film /master.m3u8", "no_route"),
        ("main/film/master.m3u8", "no_route"),
    ];
    class("paths", table.iter().map(|case| case.1));
    for (target, wanted) in table {
        assert_eq!(tried(&token, target), wanted, "{target:?}");
    }
}

/// Dot elements inside the folder would lead out of it: no route, whatever the token says.
#[test]
fn no_path_leads_out_of_a_folder() {
    let paths = [
        "/main/film/../other/master.m3u8",
        "/main/film/./master.m3u8",
        "/main/film//master.m3u8",
        "/main/film/%2e%2e/other/master.m3u8",
        "/main/film/..%2fother/master.m3u8",
        "/main/film/..\\other/master.m3u8",
        "/main/film/%252e%252e/other/master.m3u8",
        "/main/film/..;/other/master.m3u8",
        "/main/film/master.m3u8/..",
        "/main/film/master.m3u8/",
        "/main/film/master.m3u8#/other",
        "/main/film/\u{ff0e}\u{ff0e}/other/master.m3u8",
        "/main/film/~x/master.m3u8",
    ];
    class("paths that lead out", paths);
    for path in paths {
        assert!(Route::parse(path).is_err(), "{path}");
    }
}

#[test]
fn a_single_url_is_that_url_and_no_manifest() {
    let keys = Pairs::new().keys();
    let segment = "/main/film/01939c2e-7f00-7abc-8def-0123456789ab.00c0ffee/v720/1.m4s";
    let token = compact_with(&[(4, segment.as_bytes())]);
    let try_at = |token: &str, path: &str, thing| {
        outcome_at(token, &keys, &Asked { path, thing, ..asked() }, NOW_S)
    };
    assert_eq!(try_at(&token, segment, Thing::Video(720)), "ok");
    for other in [
        segment.replace("1.m4s", "2.m4s"),
        segment.replace("1.m4s", "11.m4s"),
        segment.replace("1.m4s", "1.m4"),
        segment.replace("v720", "v1080"),
        segment.replace("00c0ffee", "00c0ffef"),
        format!("{segment}/"),
        format!("{segment}/x"),
        segment.to_uppercase(),
        "/main/film".to_owned(),
    ] {
        assert_eq!(try_at(&token, &other, Thing::Video(720)), "path_refused", "{other}");
    }
    let master = "/main/film/master.m3u8";
    let single = compact_with(&[(4, master.as_bytes())]);
    assert_eq!(try_at(&single, master, Thing::Manifest), "single_url_on_manifest");
    // Beside a folder that covers it, the URL is no longer the only way.
    let both = compact_with(&[(3, b"/main/film"), (4, master.as_bytes())]);
    assert_eq!(try_at(&both, master, Thing::Manifest), "ok");
    assert_eq!(try_at(&both, "/main/other/master.m3u8", Thing::Manifest), "path_refused");
}
