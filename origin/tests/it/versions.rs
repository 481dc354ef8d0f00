//! Versions that are not live any more: displaced, deleted, removed.

use std::fs;

use headwater_packager::stored::{self, Pointer};

use crate::common::{OTHER_VERSION, Stored, VERSION, title_id};

/// What `headwater-encoder delete` writes.
fn tombstone() -> Vec<u8> {
    Pointer { live: None, deleted: true, ..Pointer::to_live(VERSION, None) }.to_json()
}

#[tokio::test]
async fn a_displaced_version_is_served_as_before() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let base = origin.base();
    let before = origin.get(&format!("{base}v720/1.m4s")).await;
    stored.publish("movie", OTHER_VERSION, None);
    let live = String::from_utf8(origin.get("/clear/movie/master.m3u8").await.body).unwrap();
    assert!(live.contains(&OTHER_VERSION.to_string()) && !live.contains(&VERSION.to_string()));
    assert_eq!(origin.get(&format!("{base}v720/1.m4s")).await, before);
    for file in ["master.m3u8", "manifest.mpd", "a-en/index.m3u8", "v360/3.m4s", "a-en/init.mp4"] {
        assert_eq!(stored.origin().get(&format!("{base}{file}")).await.status, 200, "{file}");
    }
}

/// RFC 9110 15.5.5 and 15.5.11: 404 and not 410, which would tell that the title was there, and
/// would be kept by caches although a title may be published again.
#[tokio::test]
async fn a_deleted_title_is_found_by_nobody_new_and_watched_to_its_end() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let base = origin.base();
    stored.write(&stored::pointer_key(&title_id("movie")), &tombstone());
    for manifest in ["master.m3u8", "manifest.mpd"] {
        let gone = origin.get(&format!("/clear/movie/{manifest}")).await;
        let never = origin.get(&format!("/clear/nothing/{manifest}")).await;
        assert_eq!((gone.status, gone.error().as_str()), (404, "unknown_title"));
        assert_eq!(gone, never, "as if it never was");
    }
    assert_eq!(origin.get("/titles.json").await.body, b"[]");
    for file in ["master.m3u8", "v720/index.m3u8", "v720/2.m4s", "v720/init.mp4"] {
        assert_eq!(origin.get(&format!("{base}{file}")).await.status, 200, "{file}");
    }
}

/// An origin that opened a version before it was removed says 404, not that it is damaged.
#[tokio::test]
async fn a_removed_version_is_unknown_and_not_damaged() {
    let stored = Stored::with_movie();
    let origin = stored.origin();
    let base = origin.base();
    assert_eq!(origin.get(&format!("{base}v720/1.m4s")).await.status, 200);
    let folder = stored.path(&stored::version_prefix(&title_id("movie"), VERSION));
    fs::remove_dir_all(folder).unwrap();
    let first = origin.get(&format!("{base}v720/2.m4s")).await;
    assert_eq!((first.status, first.error().as_str()), (404, "unknown_version"));
    assert_eq!(origin.get(&format!("{base}v720/index.m3u8")).await.status, 404, "forgotten");
    assert_eq!(origin.counted("source_damage_total{part=\"media\"}"), 0);
    // What is in memory is as good as it was.
    assert_eq!(origin.get(&format!("{base}v720/1.m4s")).await.status, 200);
}
