//! What the cache keeps, what it never keeps, and how it is made to forget.

use std::fs;

use headwater_tests::hls::{Master, Media};
use headwater_tests::nginx::Nginx;
use headwater_tests::origin::{self, Origin, Settings};
use headwater_tests::scratch;
use headwater_tests::titles::Rate;
use headwater_tests::web::Web;
use reqwest::Method;

const SECRET: &str = "thisSecretMustNeverAppearInAnyLog-cdn";

/// How often an origin was asked for segments.
fn segments_asked(origin: &Origin) -> f64 {
    origin.metric("headwater_origin_requests_total{kind=\"segment\"")
}

fn segments(web: &Web, master: &str) -> Vec<String> {
    let master = Master::fetch(web, master);
    master.all_media(web).iter().flat_map(Media::segment_paths).collect()
}

#[test]
fn a_segment_is_filled_once() {
    let title = Rate::Film.title();
    let origin = Origin::start(&title.store);
    let Some(nginx) = Nginx::start([&origin, &origin], None) else { return };
    let paths = segments(nginx.web(), &title.master());
    assert_eq!(paths.len(), 12, "three segments of three renditions and of sound");
    let wanted: Vec<_> = paths.iter().map(|path| origin.web().body(path)).collect();
    let before = segments_asked(&origin);
    // Many at once, whole and in parts, with queries that mean nothing.
    std::thread::scope(|scope| {
        for viewer in 0..8 {
            let (nginx, paths, wanted) = (&nginx, &paths, &wanted);
            scope.spawn(move || {
                for (path, wanted) in paths.iter().zip(wanted) {
                    let asked = format!("{path}?session={viewer}");
                    if viewer % 2 == 0 {
                        assert_eq!(nginx.web().body(&asked), *wanted, "{path}");
                    } else {
                        let part = nginx.web().get_with(&asked, &[("range", "bytes=100-299")]);
                        assert_eq!(
                            (part.status, &part.body[..]),
                            (206, &wanted[100..300]),
                            "{path}"
                        );
                    }
                }
            });
        }
    });
    let filled = segments_asked(&origin) - before;
    assert_eq!(filled, 12.0, "one fill a segment for 8 viewers");
    for path in &paths {
        let cached = nginx.web().get(path);
        assert_eq!(cached.header("x-cache"), Some("HIT"), "{path}");
        let direct = origin.web().get(path);
        assert_eq!(cached.header("etag"), direct.header("etag"), "{path}");
        assert_eq!(cached.header("cache-control"), direct.header("cache-control"), "{path}");
        let head = nginx.web().ask(Method::HEAD, path, &[]);
        assert_eq!((head.status, head.content_length()), (200, direct.content_length()));
    }
}

#[test]
fn refusals_are_never_cached() {
    let title = Rate::Film.title();
    let folder = scratch::folder();
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let toml = |secret_file: &str| {
        let store = format!("[store]\nurl = \"file://{}\"\n", title.store.display());
        let access = format!(
            "[profiles.clear.access]\nenforced_by = \"cdn\"\ncdn_secrets = [\"file:{secret_file}\"]\n"
        );
        format!("{}{access}", origin::toml(&store, &Settings::default()))
    };
    let origin = Origin::launch(&toml(&secret.display().to_string()), &[]);
    // One CDN without the secret, one with it.
    let Some(stranger) = Nginx::start([&origin, &origin], None) else { return };
    let cdn = Nginx::start([&origin, &origin], Some(SECRET)).unwrap();
    let guess = [("x-headwater-cdn", "a-guess-of-a-viewer")];
    // A viewer's field does not reach the origin; the CDN's does, in its place.
    let master = cdn.web().get_with(&title.master(), &guess);
    assert_eq!(master.status, 200, "{}", master.text());
    let segment = segments(cdn.web(), &title.master()).swap_remove(0);
    let malformed = format!("{segment}%2e");
    let base = segment.rsplit_once('/').unwrap().0;
    let absent = format!("{base}/999.m4s");
    let unknown_rev = segment.replace(".a74fbb0e/", ".00000000/");
    // web, path, status
    let table = [
        (stranger.web(), &segment, 403),
        (stranger.web(), &title.master(), 403),
        (cdn.web(), &malformed, 400),
        (cdn.web(), &unknown_rev, 404),
    ];
    for (web, path, status) in table {
        for _ in 0..3 {
            let refused = web.get_with(path, &guess);
            assert_eq!(refused.status, status, "{path}");
            assert!(refused.is_no_store(), "{path}");
            assert_eq!(refused.header("x-cache"), Some("MISS"), "{path}");
        }
    }
    // A 404 of something that may come to be may live for seconds.
    assert_eq!(cdn.web().get(&absent).status, 404);
    assert_eq!(cdn.web().get(&absent).header("cache-control"), Some("public, max-age=2"));
    // None of it kept anybody from the same URLs.
    for path in [&title.master(), &segment] {
        assert_eq!(cdn.web().get(path).status, 200, "{path}");
    }
    let refused = origin.metric("headwater_origin_refusals_total{reason=\"cdn_secret_wrong\"}");
    assert_eq!(refused, 6.0);
    // The access log follows in batches.
    while !origin.log().contains("\"reason\":\"cdn_secret_wrong\"") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!origin.log().contains(SECRET), "a secret is in the log");
}

#[test]
fn one_title_is_purged_and_no_other() {
    let store = scratch::folder();
    let (film, pal) = (Rate::Film.title().copy(store.path()), Rate::Pal.title().copy(store.path()));
    let origin = Origin::start(store.path());
    let Some(nginx) = Nginx::start([&origin, &origin], None) else { return };
    let of_film = segments(nginx.web(), &film.master());
    let of_pal = segments(nginx.web(), &pal.master());
    let how = |path: &str| nginx.web().get(path).header("x-cache").unwrap().to_owned();
    let all = || of_film.iter().chain(&of_pal);
    all().for_each(|path| assert_eq!(how(path), "MISS", "{path}"));
    all().for_each(|path| assert_eq!(how(path), "HIT", "{path}"));
    nginx.purge("~^/[^/]+/film/ 1;");
    of_pal.iter().for_each(|path| assert_eq!(how(path), "HIT", "{path}"));
    of_film.iter().for_each(|path| assert_eq!(how(path), "MISS", "{path}"));
    all().for_each(|path| assert_eq!(how(path), "HIT", "{path}"));
}

#[test]
fn a_tag_is_purged_and_no_other() {
    let store = scratch::folder();
    let (film, pal) = (Rate::Film.title().copy(store.path()), Rate::Pal.title().copy(store.path()));
    let toml = format!("[store]\nurl = \"file://{}\"\n", store.path().display());
    let toml = origin::toml(&toml, &Settings::default())
        .replace("[origin]\n", "[origin]\ncache_tags = [\"cache-tag\"]\n");
    let origin = Origin::launch(&toml, &[]);
    let Some(nginx) = Nginx::start([&origin, &origin], None) else { return };
    let of_film = segments(nginx.web(), &film.master());
    let of_pal = segments(nginx.web(), &pal.master());
    let how = |path: &str| nginx.web().get(path).header("x-cache").unwrap().to_owned();
    let all = || of_film.iter().chain(&of_pal);
    all().for_each(|path| assert_eq!(how(path), "MISS", "{path}"));
    // Neither a part of a tag nor a tag in another letter.
    for tag in ["title-fil", "itle-film", "title-filmx", "title-f.lm"] {
        nginx.purge_tag(tag);
    }
    all().for_each(|path| assert_eq!(how(path), "HIT", "{path}"));
    nginx.purge_tag("title-film");
    of_pal.iter().for_each(|path| assert_eq!(how(path), "HIT", "{path}"));
    of_film.iter().for_each(|path| assert_eq!(how(path), "MISS", "{path}"));
    nginx.purge_tag(&format!("version-{}", pal.version));
    of_film.iter().for_each(|path| assert_eq!(how(path), "HIT", "{path}"));
    of_pal.iter().for_each(|path| assert_eq!(how(path), "MISS", "{path}"));
}
