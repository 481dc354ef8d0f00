//! Profiles that are not for everybody: refused before any cache is asked, and never kept.

use std::fs;

use headwater_config::Config;
use headwater_origin::rooms::Rooms;
use http::Method;

use crate::common::{OTHER_VERSION, Origin, Stored, VERSION};

const OLD: &str = "the-old-secret-of-the-cdn";
const NEW: &str = "the-new-secret-of-the-cdn";
const FIELD: &str = "x-edge-key";

/// `open` is public; `paid` is for titles of that class, by way of a CDN that changes its secret.
fn config(stored: &Stored) -> Config {
    for (name, secret) in [("old", OLD), ("new", NEW)] {
        fs::write(stored.path(name), format!("{secret}\n")).unwrap();
    }
    let (old, new) = (stored.path("old"), stored.path("new"));
    stored.config(&format!(
        r#"
        [profiles.open]
        [profiles.paid]
        titles = []
        access_classes = ["paid"]
        cors_origins = ["https://shop.example"]
        [profiles.paid.access]
        enforced_by = "cdn"
        cdn_header = "X-Edge-Key"
        cdn_secrets = ["file:{}", "file:{}"]
        "#,
        old.display(),
        new.display()
    ))
}

fn protected() -> (Stored, Config) {
    let stored = Stored::with_movie();
    stored.publish("show", OTHER_VERSION, Some("paid"));
    let config = config(&stored);
    assert_eq!(config.check(), []);
    (stored, config)
}

fn paths(origin: &Origin) -> Vec<String> {
    let base = format!("/paid/show/{OTHER_VERSION}.{}", origin.rev("paid"));
    [
        "master.m3u8",
        "manifest.mpd",
        "v720/index.m3u8",
        "v720/iframes.m3u8",
        "v720/init.mp4",
        "v720/1.m4s",
    ]
    .iter()
    .map(|file| format!("{base}/{file}"))
    .chain(["/paid/show/master.m3u8".to_owned(), "/paid/show/manifest.mpd".to_owned()])
    .collect()
}

#[tokio::test]
async fn every_request_of_a_cdn_profile_must_carry_a_secret() {
    let (_stored, config) = protected();
    let origin = Origin::new(&config);
    // Each refused cold, then warm: a cache never answers instead.
    for _ in ["cold", "warm"] {
        for path in paths(&origin) {
            for method in [Method::GET, Method::HEAD] {
                let reads = origin.counted("store_reads_total{part=\"heads\"}");
                let lookups = origin.metrics().cache_lookups.with_label_values(&["hit"]).get();
                let shown: [&[(&str, &str)]; 4] = [
                    &[],
                    &[(FIELD, "a-guess-of-somebody")],
                    &[(FIELD, OLD), (FIELD, NEW)],
                    &[("x-headwater-cdn", OLD)],
                ];
                for fields in shown {
                    let refused = origin.ask(method.clone(), &path, fields).await;
                    assert_eq!(refused.status, 403, "{path} {fields:?}");
                    assert_eq!(refused.header("cache-control"), "no-store");
                    assert_eq!(refused.header("etag"), "");
                    if method == Method::GET {
                        let told = String::from_utf8(refused.body.clone()).unwrap();
                        assert_eq!(refused.error(), "access_refused");
                        assert!(!told.contains("secret") && !told.contains("edge"), "{told}");
                    }
                }
                assert_eq!(origin.counted("store_reads_total{part=\"heads\"}"), reads, "{path}");
                let hits = origin.metrics().cache_lookups.with_label_values(&["hit"]).get();
                assert_eq!(hits, lookups, "{path}: refused before the cache is asked");
            }
            for secret in [OLD, NEW] {
                let served = origin.ask(Method::GET, &path, &[(FIELD, secret)]).await;
                assert_eq!(served.status, 200, "{path}");
                assert!(served.header("cache-control").starts_with("public"), "{path}");
            }
        }
    }
    let counted = |reason| origin.counted(&format!("refusals_total{{reason=\"{reason}\"}}"));
    let each = 2 * 2 * u64::try_from(paths(&origin).len()).unwrap();
    assert_eq!(counted("cdn_secret_missing"), each * 2);
    assert_eq!(counted("cdn_secret_wrong"), each);
    assert_eq!(counted("cdn_secret_repeated"), each);
}

#[tokio::test]
async fn preflights_come_before_access_and_refusals_can_be_read_by_pages() {
    let (_stored, config) = protected();
    let origin = Origin::new(&config);
    let page = [("origin", "https://shop.example")];
    for path in paths(&origin) {
        let preflight = origin.ask(Method::OPTIONS, &path, &page).await;
        assert_eq!(preflight.status, 204, "{path}");
        let refused = origin.ask(Method::GET, &path, &page).await;
        for answer in [preflight, refused] {
            assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");
        }
    }
}

#[tokio::test]
async fn no_edit_of_a_path_opens_a_protected_title() {
    let (_stored, config) = protected();
    let origin = Origin::new(&config);
    let secret = [(FIELD, NEW)];
    // Another title by this profile, this title by another one: both as if they were not there.
    for path in [
        "/paid/movie/master.m3u8".to_owned(),
        "/open/show/master.m3u8".to_owned(),
        format!("/open/show/{OTHER_VERSION}.{}/v720/1.m4s", origin.rev("open")),
        format!("/paid/movie/{VERSION}.{}/v720/1.m4s", origin.rev("paid")),
    ] {
        let refused = origin.ask(Method::GET, &path, &secret).await;
        assert_eq!(refused.status, 404, "{path}");
    }
    let list = origin.get("/titles.json").await;
    let listed = String::from_utf8(list.body).unwrap();
    assert!(listed.contains("\"open\"") && !listed.contains("paid"), "{listed}");
    // Nobody is told which titles a profile has before the secret was shown.
    let there = origin.get("/paid/show/master.m3u8").await;
    let absent = origin.get("/paid/nothing/master.m3u8").await;
    assert_eq!((there.status, &there.body), (absent.status, &absent.body));
}

/// A title without a class, in a public profile and, against what `check` says, in a protected
/// one: still not listed for the protected one.
#[tokio::test]
async fn a_list_names_public_profiles_only() {
    let stored = Stored::with_movie();
    fs::write(stored.path("new"), NEW).unwrap();
    let more = format!(
        "[profiles.a]\n[profiles.b.access]\nenforced_by = \"cdn\"\ncdn_secrets = [\"file:{}\"]\n",
        stored.path("new").display()
    );
    let origin = Origin::new(&stored.config(&more));
    let list = origin.get("/titles.json").await;
    let json: serde_json::Value = serde_json::from_slice(&list.body).unwrap();
    let profiles: Vec<_> = json[0]["profiles"].as_object().unwrap().keys().collect();
    assert_eq!(profiles, ["a"]);
}

#[test]
fn a_missing_or_bad_secret_stops_the_start_and_is_not_repeated() {
    let (stored, config) = protected();
    fs::write(stored.path("new"), "too short").unwrap();
    let error = Rooms::new(&config).err().unwrap().to_string();
    let file = stored.path("new");
    let wanted = format!(
        "`profiles.paid.access.cdn_secrets`: file:{}: expected 16 to 512 visible ASCII characters, \
         got 9 bytes; make one with `openssl rand -hex 32`",
        file.display()
    );
    assert_eq!(error, wanted);
    fs::remove_file(&file).unwrap();
    let error = Rooms::new(&config).err().unwrap().to_string();
    assert!(error.ends_with("No such file or directory (os error 2)"), "{error}");
}
