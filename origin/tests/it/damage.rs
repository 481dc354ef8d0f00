//! Damage to what is stored: always a 502, never a body, never in the cache, never a panic, and
//! over when the file is mended.

use headwater_packager::stored;

use crate::caches::post;
use crate::common::{OTHER_VERSION, Origin, Stored, VERSION, heads, noise, title_id};

/// Asks for something of each kind.
async fn statuses(origin: &Origin) -> Vec<u16> {
    let base = origin.base();
    let mut statuses = Vec::new();
    for path in [
        "/clear/movie/master.m3u8".to_owned(),
        format!("{base}master.m3u8"),
        format!("{base}v720/index.m3u8"),
        format!("{base}v720/init.mp4"),
        format!("{base}v720/1.m4s"),
        format!("{base}v360/2.m4s"),
        format!("{base}a-en/4.m4s"),
    ] {
        statuses.push(origin.get(&path).await.status);
    }
    statuses
}

/// Breaks `key`, asks, mends it, asks again, and breaks it once more under a warm origin.
async fn break_and_mend(stored: &Stored, key: &str, broken: &[u8], wanted: &[u16], what: &str) {
    let good = stored.read(key);
    assert!(good != broken, "{what}: nothing is broken");
    let origin = stored.origin();
    stored.write(key, broken);
    assert_eq!(statuses(&origin).await, wanted, "{what}: broken");
    assert_eq!(statuses(&origin).await, wanted, "{what}: still broken");
    stored.write(key, &good);
    assert_eq!(statuses(&origin).await, [200; 7], "{what}: mended");
    stored.write(key, broken);
    assert_eq!(statuses(&origin).await, [200; 7], "{what}: broken again, but all is known");
    stored.write(key, &good);
}

fn flipped(good: &[u8], at: usize) -> Vec<u8> {
    let mut broken = good.to_vec();
    broken[at] ^= 0x10;
    broken
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_heads() {
    let stored = Stored::with_movie();
    let key = stored::heads_key(&title_id("movie"), VERSION);
    let good = stored.read(&key);
    let len = good.len();
    // Magic, lengths, JSON, inits, rows, trailer; and many places between.
    let places = [0, 7, 8, 11, 12, 15, 16, 40, 200, len / 2, len - 300, len - 5, len - 4, len - 1];
    for at in places.into_iter().chain((0..len).step_by(97)) {
        break_and_mend(&stored, &key, &flipped(&good, at), &[502; 7], &format!("byte {at}")).await;
    }
}

#[tokio::test]
async fn truncated_overlong_and_swapped_heads() {
    let stored = Stored::with_movie();
    let key = stored::heads_key(&title_id("movie"), VERSION);
    let good = stored.read(&key);
    for len in [0, 1, 8, 15, 16, 19, 20, good.len() / 2, good.len() - 1] {
        break_and_mend(&stored, &key, &good[..len], &[502; 7], &format!("{len} bytes")).await;
    }
    let overlong = [&good[..], b"x"].concat();
    break_and_mend(&stored, &key, &overlong, &[502; 7], "overlong").await;
    let cases = [
        ("another title's", heads(&title_id("other"), VERSION, 1, &stored.tracks)),
        ("another version's", heads(&title_id("movie"), OTHER_VERSION, 1, &stored.tracks)),
        ("noise", noise(1, good.len())),
    ];
    for (what, broken) in cases {
        break_and_mend(&stored, &key, &broken, &[502; 7], what).await;
    }
}

#[tokio::test]
async fn a_damaged_pointer() {
    let stored = Stored::with_movie();
    let key = stored::pointer_key(&title_id("movie"));
    let good = stored.read(&key);
    // A URL that names its version does not need the pointer.
    let only_live = [502, 200, 200, 200, 200, 200, 200];
    for at in 0..good.len() {
        let broken = flipped(&good, at);
        let origin = stored.origin();
        stored.write(&key, &broken);
        assert_eq!(statuses(&origin).await, only_live, "byte {at}");
        stored.write(&key, &good);
        assert_eq!(statuses(&origin).await, [200; 7], "byte {at}: mended");
    }
    for (what, broken) in
        [("empty", &b""[..]), ("half", &good[..good.len() / 2]), ("noise", &noise(2, 90))]
    {
        break_and_mend(&stored, &key, broken, &only_live, what).await;
    }
    break_and_mend(&stored, &key, &noise(3, 20_000), &only_live, "huge").await;
}

#[tokio::test]
async fn damaged_media() {
    let stored = Stored::with_movie();
    let key = stored::object_key(&title_id("movie"), VERSION, "v720.mp4");
    let good = stored.read(&key);
    let media_at = good.len() - stored.track("v720").fragments.concat().len();
    let segment_len = stored.track("v720").segment(1).len();
    let only_first_video = [200, 200, 200, 200, 502, 200, 200];
    for at in [0, 1, 119, 120, 127, 128, 500, segment_len / 2, segment_len - 1] {
        let broken = flipped(&good, media_at + at);
        break_and_mend(&stored, &key, &broken, &only_first_video, &format!("byte {at}")).await;
    }
    for len in [0, 1, media_at, media_at + 1, media_at + segment_len - 1] {
        break_and_mend(&stored, &key, &good[..len], &only_first_video, &format!("{len} bytes"))
            .await;
    }
    let other = stored.read(&stored::object_key(&title_id("movie"), VERSION, "v360.0.mp4"));
    break_and_mend(&stored, &key, &other, &only_first_video, "another track's").await;
    break_and_mend(&stored, &key, &noise(4, good.len()), &only_first_video, "noise").await;
    // What no request needs may be damaged without anybody noticing.
    let header = flipped(&good, 3);
    let origin = stored.origin();
    stored.write(&key, &header);
    assert_eq!(statuses(&origin).await, [200; 7]);
}

#[tokio::test]
async fn missing_objects() {
    let stored = Stored::with_movie();
    let title = title_id("movie");
    let origin = stored.origin();
    let path = |key: &str| stored.path(key);
    let media = path(&stored::object_key(&title, VERSION, "v720.mp4"));
    std::fs::rename(&media, media.with_extension("away")).unwrap();
    assert_eq!(statuses(&origin).await, [200, 200, 200, 200, 502, 200, 200]);
    std::fs::rename(media.with_extension("away"), &media).unwrap();
    assert_eq!(statuses(&origin).await, [200; 7]);

    let origin = stored.origin();
    let heads = path(&stored::heads_key(&title, VERSION));
    std::fs::rename(&heads, heads.with_extension("away")).unwrap();
    // The live version must be there; one that a client names need not.
    assert_eq!(statuses(&origin).await, [502, 404, 404, 404, 404, 404, 404]);
    std::fs::rename(heads.with_extension("away"), &heads).unwrap();
    assert_eq!(statuses(&origin).await, [200; 7]);
}

#[tokio::test]
async fn heads_never_go_back_to_a_lower_seq() {
    let stored = Stored::with_movie();
    let title = title_id("movie");
    let key = stored::heads_key(&title, VERSION);
    // A title cache too small for anything, so that heads are read each time.
    let mut config = stored.config("");
    config.origin.cache.titles_mib = 0;
    config.origin.cache.responses_mib = 0;
    let origin = Origin::new(&config);
    let playlist = format!("{}v720/index.m3u8", origin.base());
    // seq in the store, status
    for (seq, status) in [(1, 200), (3, 200), (2, 502), (1, 502), (3, 200), (4, 200), (3, 502)] {
        stored.write(&key, &heads(&title, VERSION, seq, &stored.tracks));
        assert_eq!(origin.get(&playlist).await.status, status, "seq {seq}");
    }
    // Unless an operator says that what is there now is what there is.
    stored.write(&key, &heads(&title, VERSION, 2, &stored.tracks));
    assert_eq!(post(&origin, "/admin/purge?title=other").await.0, 200);
    assert_eq!(origin.get(&playlist).await.status, 502);
    assert_eq!(post(&origin, "/admin/purge?title=movie").await.0, 200);
    assert_eq!(origin.get(&playlist).await.status, 200);
}

#[tokio::test]
async fn damage_is_counted_and_the_client_is_not_told_where() {
    let stored = Stored::with_movie();
    let key = stored::object_key(&title_id("movie"), VERSION, "v720.mp4");
    stored.write(&key, b"short");
    let origin = stored.origin();
    let seen = origin.get(&format!("{}v720/1.m4s", origin.base())).await;
    assert_eq!((seen.status, seen.error().as_str()), (502, "source_damaged"));
    assert_eq!(seen.header("cache-control"), "no-store");
    assert_eq!(seen.header("access-control-allow-origin"), "*");
    assert!(!String::from_utf8_lossy(&seen.body).contains("titles/"));
    assert_eq!(origin.counted("source_damage_total{part=\"media\"}"), 1);
    assert_eq!(origin.counted("failures_total{error=\"source_damaged\"}"), 1);
    assert_eq!(origin.counted("cache_fills_total{outcome=\"failed\"}"), 1);
}
