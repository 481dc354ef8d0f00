//! The law of a purge in each tier, and what a reload does to what is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use headwater_config::{CacheTags, Config, TitleRule};
use http::Method;
use tokio::sync::watch;

use crate::caches::{SHORT, UNDER_KEYS, Watched, post, reads, until, watched};
use crate::common::{Origin, Stored, VERSION};

/// A profile under keys, so that each tier has work.
fn under_keys(stored: &Stored) -> Config {
    let master = stored.folder.path().join("master");
    std::fs::write(&master, "00112233445566778899aabbccddeeff").unwrap();
    let source = format!("file:{}", master.display());
    let more = UNDER_KEYS.replace("env:HEADWATER_TEST_MASTER", &source);
    let profile = "[profiles.clear]\nformats = [\"hls\"]\nprotection = { scheme = \"aes-128\", \
                   keys = \"main\", deliver_keys = true }\n";
    let mut config = stored.config(&format!("{more}{profile}"));
    config.origin.cache.pointer_ttl_ms = 60_000;
    config
}

fn base(origin: &Origin) -> String {
    let service = &origin.rooms.service;
    let profile = service.profiles.named("clear").unwrap();
    let rev = service.protections.rev(profile, &"movie".parse().unwrap());
    format!("/clear/movie/{VERSION}.{rev}/")
}

/// Reads of pointers, heads and media, that a manifest and a segment take.
async fn asked(origin: &Origin) -> [u64; 3] {
    let read = || {
        ["pointer", "heads", "media"]
            .map(|part| origin.counted(&format!("store_reads_total{{part=\"{part}\"}}")))
    };
    let before = read();
    assert_eq!(origin.get("/clear/movie/master.m3u8").await.status, 200);
    assert_eq!(origin.get(&format!("{}a-en/1.m4s", base(origin))).await.status, 200);
    let after = read();
    [0, 1, 2].map(|n| after[n] - before[n])
}

#[tokio::test]
async fn what_is_in_flight_at_a_purge_is_in_no_tier_after_it() {
    let stored = Stored::with_movie();
    stored.publish_sound("movie", VERSION);
    // What waits in the store, and what was there before.
    let small = |store: &Watched| store.is_small_held.clone();
    let media = |store: &Watched| store.is_media_held.clone();
    type Held = fn(&Watched) -> watch::Sender<bool>;
    type Case = (&'static str, &'static str, bool, Held, &'static str, [u64; 3]);
    let table: [Case; 4] = [
        ("the pointer", "", false, small, "/clear/movie/master.m3u8", [1, 0, 1]),
        (
            "heads, for a manifest",
            "/clear/movie/manifest.mpd",
            false,
            small,
            "a-en/index.m3u8",
            [1, 1, 1],
        ),
        (
            "heads, for a segment",
            "/clear/movie/manifest.mpd",
            false,
            small,
            "a-en/1.m4s",
            [1, 1, 1],
        ),
        ("media", "/clear/movie/master.m3u8", true, media, "a-en/1.m4s", [1, 1, 1]),
    ];
    for (what, first, is_media, held, path, again) in table {
        let (origin, store) = watched(&under_keys(&stored));
        assert_eq!(asked(&origin).await, [1, 1, 1]);
        assert_eq!(asked(&origin).await, [0, 0, 0]);
        assert_eq!(post(&origin, "/admin/purge?all=true").await.0, 200);
        if !first.is_empty() {
            origin.get(first).await;
        }
        held(&store).send_replace(true);
        let before = (store.small_reads.load(Ordering::SeqCst), reads(&store));
        let path = if path.starts_with('/') { path.to_owned() } else { base(&origin) + path };
        let asking = tokio::spawn({
            let origin = Arc::clone(&origin);
            async move { origin.get(&path).await.status }
        });
        until("it is being read", || {
            (store.small_reads.load(Ordering::SeqCst), reads(&store)) != before
        })
        .await;
        assert_eq!(is_media, reads(&store) != before.1, "{what}");
        assert_eq!(post(&origin, "/admin/purge?title=movie").await.0, 200);
        held(&store).send_replace(false);
        assert_eq!(asking.await.unwrap(), 200, "{what}");
        origin.rooms.service.preparer.measure().await;
        assert_eq!(origin.metrics().cache_entries.get(), 0, "{what}");
        // Heads that are read after the pointer are read after the purge.
        assert_eq!(asked(&origin).await, again, "{what}");
        assert_eq!(asked(&origin).await, [0, 0, 0], "{what}");
    }
}

/// Heads that were mended by hand, with another track and the same `seq`.
#[tokio::test]
async fn what_was_put_under_keys_is_purged_too() {
    let stored = Stored::with_movie();
    stored.publish_sound("movie", VERSION);
    let (origin, _) = watched(&under_keys(&stored));
    assert_eq!(asked(&origin).await, [1, 1, 1]);
    stored.publish_sound_as("movie", VERSION, "a-de");
    post(&origin, "/admin/purge?title=movie").await;
    let playlist = origin.get(&format!("{}a-de/index.m3u8", base(&origin))).await;
    assert_eq!(playlist.status, 200, "{}", playlist.error());
}

#[tokio::test]
async fn a_purge_meets_what_a_reload_puts_in_place() {
    let stored = Stored::with_movie();
    let config = stored.config(SHORT);
    let (origin, store) = watched(&config);
    let path = format!("{}v720/1.m4s", origin.base());
    origin.get(&path).await;
    let mut larger = config.clone();
    larger.origin.cache.responses_mib *= 2;
    larger.origin.cache.sources_mib = 7;
    larger.origin.cache.titles_mib += 1;
    // Between the copy and its use.
    let built = origin.rooms.under(&config, &larger).unwrap();
    post(&origin, "/admin/purge?all=true").await;
    let next = Origin { rooms: built.move_in() };
    next.get(&path).await;
    assert_eq!(reads(&store), 2, "what was copied was purged");
    // By who found the old rooms a moment before.
    assert_eq!(post(&origin, "/admin/purge?all=true").await.1["responses"], 1);
    next.get(&path).await;
    assert_eq!(reads(&store), 3);
}

#[tokio::test]
async fn what_is_known_outlasts_a_reload_while_the_store_is_away() {
    let stored = Stored::with_movie();
    stored.publish_sound("movie", VERSION);
    let mut config = under_keys(&stored);
    config.origin.cache.pointer_ttl_ms = 1_000;
    config.origin.cache.pointer_stale_if_error_s = 60;
    let (origin, store) = watched(&config);
    assert_eq!(asked(&origin).await, [1, 1, 1]);
    store.is_away.store(true, Ordering::SeqCst);
    let change: [fn(&mut Config); 6] = [
        |config| config.origin.cache.pointer_stale_if_error_s = 86_400,
        |config| config.origin.cache.pointer_stale_ms = 60_000,
        |config| config.origin.cache.not_found_ttl_ms += 1,
        |config| config.origin.cache.titles_mib += 1,
        |config| config.origin.cache.sources_mib += 1,
        |config| {
            let profile = config.profiles.values_mut().next().unwrap();
            profile.keep_manifests_s = 600;
            profile.manifest_max_age_s = 1;
        },
    ];
    let mut origin = origin;
    for (n, change) in change.into_iter().enumerate() {
        let mut next = config.clone();
        change(&mut next);
        let rooms = origin.rooms.under(&config, &next).unwrap().move_in();
        origin = Arc::new(Origin { rooms });
        config = next;
        let (later, base) = (Instant::now() + Duration::from_secs(30), base(&origin));
        let live = origin.ask_at(later, Method::GET, "/clear/movie/master.m3u8", &[]).await;
        assert_eq!(live.status, 200, "{n}");
        let segment = origin.get(&format!("{base}a-en/1.m4s")).await;
        assert!(segment.cache_status.ends_with("hit"), "{n}: {}", segment.cache_status);
    }
    // Heads and stored media are there too.
    origin.rooms.service.cache.empty();
    assert_eq!(origin.get(&format!("{}a-en/1.m4s", base(&origin))).await.status, 200);
}

#[tokio::test]
async fn a_reload_lets_go_what_was_made_by_other_rules_and_nothing_else() {
    let stored = Stored::with_movie();
    let config = stored.config("[profiles.clear]\n[profiles.vip]\n");
    let (origin, _) = watched(&config);
    let base = origin.base();
    let vip = base.replace("/clear/", "/vip/");
    // What a reload changes; whether the two profiles' responses stay.
    type Case = (&'static str, fn(&mut Config), [bool; 2]);
    let table: [Case; 4] = [
        ("nothing", |_| (), [true, true]),
        (
            "a profile comes",
            |config| {
                let clear = config.profiles["clear"].clone();
                config.profiles.insert("third".parse().unwrap(), clear);
            },
            [true, true],
        ),
        (
            "a profile serves other titles",
            |config| {
                let vip = config.profiles.get_mut("vip").unwrap();
                vip.titles = vec![TitleRule::Prefix("mov".to_owned())];
            },
            [true, false],
        ),
        ("tags", |config| config.origin.cache_tags = vec![CacheTags::CacheTag], [false; 2]),
    ];
    let (mut origin, mut config) = (origin, config);
    for (name, change, stays) in table {
        for base in [&base, &vip] {
            assert_eq!(origin.get(&format!("{base}v720/1.m4s")).await.status, 200, "{name}");
        }
        let mut next = config.clone();
        change(&mut next);
        let rooms = origin.rooms.under(&config, &next).unwrap().move_in();
        origin = Arc::new(Origin { rooms });
        config = next;
        for (base, stays) in [&base, &vip].into_iter().zip(stays) {
            let seen = origin.get(&format!("{base}v720/1.m4s")).await;
            assert_eq!(seen.cache_status.ends_with("hit"), stays, "{name}: {}", seen.cache_status);
        }
    }
}

#[tokio::test]
async fn a_reload_takes_sizes_and_lifetimes() {
    let stored = Stored::with_movie();
    stored.publish_sound("movie", VERSION);
    let config = under_keys(&stored);
    let (origin, _) = watched(&config);
    let under = |origin: &Origin, next: &Config| Origin {
        rooms: origin.rooms.under(&config, next).unwrap().move_in(),
    };
    assert_eq!(asked(&origin).await, [1, 1, 1]);
    origin.rooms.service.cache.empty();
    assert_eq!(asked(&origin).await, [0, 0, 0], "stored media is kept");
    let mut next = config.clone();
    next.origin.cache.sources_mib = 0;
    let none = under(&origin, &next);
    none.rooms.service.cache.empty();
    assert_eq!(asked(&none).await, [0, 0, 1], "and then it is not");
    // What is there is let go once it is as old as is said now.
    let mut next = config.clone();
    next.profiles.values_mut().for_each(|profile| profile.keep_media_s = 1);
    let brief = under(&origin, &next);
    let start = Instant::now();
    while brief.get(&format!("{}a-en/1.m4s", base(&brief))).await.cache_status.ends_with("hit") {
        assert!(start.elapsed() < Duration::from_secs(30), "it is kept");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut next = config.clone();
    next.origin.cache.responses_mib = 0;
    next.origin.limits.max_body_mib = 0;
    let full = under(&origin, &next);
    assert_eq!(full.get(&format!("{}a-en/1.m4s", base(&full))).await.status, 503, "no room");
}

#[tokio::test]
async fn rooms_that_are_not_moved_into_change_nothing() {
    let stored = Stored::with_movie();
    let config = stored.config(SHORT);
    let (origin, store) = watched(&config);
    let mut fewer = config.clone();
    fewer.origin.limits.max_concurrent_fills = 1;
    fewer.origin.limits.max_waiting_fills = 0;
    fewer.origin.limits.max_body_mib = 1;
    fewer.origin.cache.responses_mib = 0;
    let both = async |base: String| {
        store.is_media_held.send_replace(true);
        let before = reads(&store);
        let [first, second] = [1, 2].map(|n| {
            let (origin, path) = (Arc::clone(&origin), format!("{base}v720/{n}.m4s"));
            tokio::spawn(async move { origin.get(&path).await.status })
        });
        until("both, or one and a refusal", || {
            reads(&store) == before + 2 || first.is_finished() || second.is_finished()
        })
        .await;
        store.is_media_held.send_replace(false);
        first.await.unwrap() + second.await.unwrap()
    };
    let built = origin.rooms.under(&config, &fewer).unwrap();
    assert_eq!(both(origin.base()).await, 400, "a reload that was refused after all");
    origin.rooms.service.cache.measure().await;
    assert!(origin.metrics().body_bytes.get() > 0);
    let next = built.move_in();
    // Although those of before are still held.
    let start = Instant::now();
    while origin.metrics().body_bytes.get() > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "their memory comes free");
        // What a cache let go is dropped by who looks at a cache afterwards.
        next.service.cache.measure().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(next);
    assert_eq!(both(origin.base()).await, 200 + 503);
}
