//! A title is published again, and deleted, while it is watched.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use headwater_packager::stored;
use headwater_tests::encoder;
use headwater_tests::hls::{Master, Media};
use headwater_tests::origin::{Origin, Settings};
use headwater_tests::run;
use headwater_tests::scratch;
use headwater_tests::titles::{LADDER, Rate, Title};
use headwater_tests::web::{Answer, Web};

/// Everything that a player of one version asks for.
fn urls(web: &Web, title: &Title) -> Vec<String> {
    let master = Master::fetch(web, &title.master());
    let media = master.all_media(web);
    let mut all: Vec<_> = media.iter().map(|media| media.path.clone()).collect();
    all.extend(media.iter().map(Media::init_path));
    all.extend(media.iter().flat_map(Media::segment_paths));
    all
}

fn encoder(title: &Title, args: &[&str]) -> String {
    let mut command = encoder::command(args);
    command.arg("--store").arg(format!("file://{}", title.store.display()));
    String::from_utf8(run::succeed(&mut command)).unwrap()
}

/// Makes as if a version was displaced a day ago.
fn age(title: &Title) {
    let note = title.file("displaced.json");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
    let at_ms = json["at_ms"].as_u64().unwrap() - 24 * 3_600_000;
    fs::write(note, format!("{{\"at_ms\":{at_ms}}}")).unwrap();
}

fn is_unknown(answer: &Answer) -> bool {
    answer.status == 404 && answer.error() == "unknown_version"
}

fn published_again(store: &Path) -> (Title, Title) {
    let old = Rate::Pal.title().copy(store);
    encoder::encode(&old.source, "pal", store, &LADDER[2..]);
    let new = Title::open(old.source.clone(), old.rate, store.to_owned(), "pal");
    (old, new)
}

#[test]
fn who_watches_goes_on_while_the_title_is_published_again() {
    let store = scratch::folder();
    let old = Rate::Pal.title().copy(store.path());
    // Nothing is kept in memory: every answer comes from the store.
    let origin = Origin::with(store.path(), &Settings { responses_mib: 0, ..Settings::default() });
    let watched = urls(origin.web(), &old);
    let wanted: Vec<_> = watched.iter().map(|url| origin.web().body(url)).collect();
    let done = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut rounds = 0;
            // Once more after the publication.
            let mut is_last = false;
            while !is_last {
                is_last = done.load(Ordering::SeqCst);
                for (url, wanted) in watched.iter().zip(&wanted) {
                    assert_eq!(origin.web().body(url), *wanted, "{url}");
                }
                rounds += 1;
            }
            rounds
        });
        encoder::encode(&old.source, "pal", store.path(), &LADDER[2..]);
        done.store(true, Ordering::SeqCst);
        watching.join().unwrap()
    });
    assert!(rounds > 1, "watched while it was encoded");
    let new = Title::open(old.source.clone(), old.rate, store.path().to_owned(), "pal");
    assert_ne!(new.version, old.version);
    let now = urls(origin.web(), &new);
    assert!(now.iter().all(|url| url.contains(&new.version.to_string())), "new viewers: {now:?}");
}

#[test]
fn a_displaced_version_goes_when_its_grace_is_over() {
    let store = scratch::folder();
    let (old, new) = published_again(store.path());
    let origin = Origin::with(store.path(), &Settings { responses_mib: 0, ..Settings::default() });
    let old_url = |name: &str| format!("/clear/pal/{}.a74fbb0e/{name}", old.version);
    assert_eq!(origin.web().get(&old_url("v144/1.m4s")).status, 200);
    assert_eq!(encoder(&new, &["sweep"]), "0 versions removed, 0 titles left as they are\n");
    assert_eq!(origin.web().get(&old_url("v144/2.m4s")).status, 200);
    age(&old);
    let swept = encoder(&new, &["sweep"]);
    assert_eq!(
        swept,
        format!("removed pal {}\n1 versions removed, 0 titles left as they are\n", old.version)
    );
    // This origin has its heads in memory, another one does not.
    assert!(is_unknown(&origin.web().get(&old_url("v144/2.m4s"))));
    assert!(is_unknown(&Origin::start(store.path()).web().get(&old_url("v144/index.m3u8"))));
    assert_eq!(origin.metric("headwater_origin_source_damage_total"), 0.0);
    for url in urls(origin.web(), &new) {
        assert_eq!(origin.web().get(&url).status, 200, "{url}");
    }
    encoder(&new, &["verify", "pal"]);
    // The next publication removes by itself what is over by then.
    encoder::encode(&new.source, "pal", store.path(), &LADDER[2..]);
    age(&new);
    encoder::encode(&new.source, "pal", store.path(), &LADDER[2..]);
    assert!(!new.file("heads.bin").exists() && !new.file("displaced.json").exists());
}

#[test]
fn a_deleted_title_is_watched_to_its_end_and_then_gone() {
    let store = scratch::folder();
    let title = Rate::Pal.title().copy(store.path());
    let origin = Origin::with(store.path(), &Settings { responses_mib: 0, ..Settings::default() });
    let watched = urls(origin.web(), &title);
    encoder(&title, &["delete", "pal"]);
    for path in [title.master(), title.mpd()] {
        let gone = origin.web().get(&path);
        assert_eq!((gone.status, gone.error().as_str()), (404, "unknown_title"), "{path}");
    }
    for url in &watched {
        assert_eq!(origin.web().get(url).status, 200, "{url}");
    }
    assert!(encoder(&title, &["inspect", "pal"]).starts_with("title pal, deleted\n"));
    // Published again, it is back, and the version before has its grace.
    encoder::encode(&title.source, "pal", store.path(), &LADDER[2..]);
    assert_eq!(origin.web().get(&title.master()).status, 200);
    encoder(&title, &["delete", "pal", "--now"]);
    assert!(!store.path().join(stored::title_prefix(&title.id)).exists(), "nothing is left");
    assert_eq!(origin.web().get(&title.master()).status, 404);
    assert!(is_unknown(&origin.web().get(watched.last().unwrap())));
}
