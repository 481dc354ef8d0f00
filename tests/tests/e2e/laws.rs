//! Laws of what is served, on a running origin.

use std::collections::BTreeSet;
use std::fs;

use headwater_tests::fragments;
use headwater_tests::hls::{Master, Media};
use headwater_tests::origin::{Origin, Settings};
use headwater_tests::scratch;
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::{Answer, Web};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;

/// A path of each kind of resource of a title.
fn every_kind(title: &Title, web: &Web) -> Vec<String> {
    let master = Master::fetch(web, &title.master());
    let media = master.all_media(web);
    let versioned = media[0].path.split('/').take(4).collect::<Vec<_>>().join("/");
    let mut paths = vec![
        title.master(),
        title.mpd(),
        format!("{versioned}/master.m3u8"),
        format!("{versioned}/manifest.mpd"),
        master.all_iframes(web)[0].path.clone(),
    ];
    for media in media {
        paths.push(media.init_path());
        paths.push(media.segment_paths()[0].clone());
        paths.push(media.segment_paths().pop().unwrap());
        paths.push(media.path);
    }
    paths
}

/// Everything of a title that never changes under its URL.
fn immutable_paths(title: &Title, web: &Web) -> BTreeSet<String> {
    let all = Master::fetch(web, &title.master()).all_media(web);
    all.iter()
        .flat_map(|media| media.segment_paths().into_iter().chain([media.init_path()]))
        .collect()
}

/// What a range asks for, as written and as half-open bytes of a body.
#[derive(Clone, Debug)]
enum Asked {
    Between(usize, usize),
    From(usize),
    Last(usize),
}

impl Asked {
    fn header(&self) -> String {
        match self {
            Self::Between(first, end) => format!("bytes={first}-{}", end - 1),
            Self::From(first) => format!("bytes={first}-"),
            Self::Last(count) => format!("bytes=-{count}"),
        }
    }

    /// `None` where nothing of a body of this length is asked for.
    fn of(&self, len: usize) -> Option<std::ops::Range<usize>> {
        let range = match *self {
            Self::Between(first, end) => first..end.min(len),
            Self::From(first) => first..len,
            Self::Last(count) => len.saturating_sub(count)..len,
        };
        (range.start < range.end).then_some(range)
    }
}

fn any_asked(len: usize) -> impl Strategy<Value = Asked> {
    let beyond = len + len / 8 + 2;
    prop_oneof![
        4 => (0..beyond, 1..beyond).prop_map(|(first, count)| Asked::Between(first, first + count)),
        1 => (0..beyond).prop_map(Asked::From),
        1 => (0..beyond).prop_map(Asked::Last),
        1 => Just(Asked::Between(0, 1)),
        1 => Just(Asked::From(len - 1)),
        1 => Just(Asked::From(len)),
    ]
}

/// Any range of anything is a slice of the whole, whether the whole was cached before or not.
#[test]
fn any_range_is_a_slice_of_the_whole() {
    let title = Rate::Ntsc.title();
    for responses_mib in [64, 0] {
        let settings = Settings { responses_mib, ..Settings::default() };
        let origin = Origin::with(&title.store, &settings);
        let web = origin.web();
        for path in every_kind(title, web) {
            let whole = web.body(&path);
            let etag = web.get(&path).header("etag").unwrap().to_owned();
            let check = |asked: Asked| {
                let part = web.get_with(&path, &[("range", &asked.header())]);
                match asked.of(whole.len()) {
                    Some(range) => {
                        let said =
                            format!("bytes {}-{}/{}", range.start, range.end - 1, whole.len());
                        prop_assert_eq!(part.status, 206);
                        prop_assert_eq!(part.header("content-range"), Some(said.as_str()));
                        prop_assert_eq!(part.content_length(), Some(range.len() as u64));
                        prop_assert_eq!(part.header("etag"), Some(etag.as_str()));
                        prop_assert!(part.body == whole[range]);
                    }
                    None => {
                        let said = format!("bytes */{}", whole.len());
                        prop_assert_eq!(part.status, 416);
                        prop_assert_eq!(part.header("content-range"), Some(said.as_str()));
                        prop_assert!(part.is_no_store());
                    }
                }
                Ok(())
            };
            let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
            let outcome = TestRunner::new(config).run(&any_asked(whole.len()), check);
            outcome.unwrap_or_else(|e| panic!("{path}: {e}"));
        }
    }
}

/// Fields that differ from one request to the next, whatever its method.
const OF_THE_REQUEST: [&str; 5] = ["age", "cache-status", "connection", "date", "x-request-id"];

/// Field values that a GET and a HEAD of the same thing have in common.
fn header_of(answer: &Answer) -> Vec<(String, String)> {
    let mut fields: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !OF_THE_REQUEST.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    fields.sort_unstable();
    fields
}

/// HEAD tells what GET would, on a cold origin and on a warm one.
#[test]
fn head_is_get_without_its_body() {
    let title = Rate::Film.title();
    let planning = Origin::start(&title.store);
    let paths = every_kind(title, planning.web());
    let origin = Origin::start(&title.store);
    let web = origin.web();
    let media = paths.last().unwrap().replace("index.m3u8", "");
    let missing = ["9999.m4s", "no.m4s", "0.m4s"].map(|file| format!("{media}{file}"));
    for path in paths.iter().chain(&missing).chain([&"/clear/nobody/master.m3u8".to_owned()]) {
        let cold = web.ask(Method::HEAD, path, &[]);
        let get = web.get(path);
        let warm = web.ask(Method::HEAD, path, &[]);
        for head in [&cold, &warm] {
            assert_eq!(head.status, get.status, "{path}");
            assert!(head.body.is_empty(), "{path}");
            assert_eq!(header_of(head), header_of(&get), "{path}");
        }
        assert_eq!(get.content_length(), Some(get.body.len() as u64), "{path}");
    }
}

/// The same URL has the same bytes and the same strong entity tag after a restart and on another
/// node with a copy of the store; what never changes says so.
#[test]
fn entity_tags_outlive_restarts_and_are_equal_on_every_node() {
    let title = Rate::Film.title();
    let copy = scratch::folder();
    let other = title.copy(copy.path());
    let mut seen: Vec<Vec<(String, String, Vec<u8>)>> = Vec::new();
    for store in [&title.store, &title.store, &other.store] {
        let origin = Origin::start(store);
        let web = origin.web();
        let answers = every_kind(title, web).into_iter().map(|path| {
            let answer = web.get(&path);
            let tag = answer.header("etag").unwrap_or_else(|| panic!("{path} has no tag"));
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag} is strong");
            (path, tag.to_owned(), answer.body)
        });
        seen.push(answers.collect());
        assert!(origin.stop(), "SIGTERM ends it well");
    }
    assert!(seen[0] == seen[1] && seen[0] == seen[2]);
    let tags: BTreeSet<_> = seen[0].iter().map(|(_, tag, _)| tag).collect();
    let bodies: BTreeSet<_> = seen[0].iter().map(|(_, _, body)| body).collect();
    assert!(tags.len() >= bodies.len(), "other bytes have another tag");
}

/// If-None-Match and If-Range, with the tag that was given and with another.
#[test]
fn conditions_follow_the_entity_tag() {
    let title = Rate::Film.title();
    let origin = Origin::start(&title.store);
    let web = origin.web();
    for path in every_kind(title, web) {
        let whole = web.get(&path);
        let tag = whole.header("etag").unwrap();
        let unchanged = web.get_with(&path, &[("if-none-match", tag)]);
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{path}");
        assert_eq!(unchanged.header("etag"), Some(tag), "{path}");
        assert_eq!(unchanged.header("cache-control"), whole.header("cache-control"), "{path}");
        let list = format!("\"other\", W/{tag}");
        assert_eq!(web.get_with(&path, &[("if-none-match", &list)]).status, 304, "{path}");
        assert_eq!(web.get_with(&path, &[("if-none-match", "\"other\"")]).status, 200, "{path}");
        let range = ("range", "bytes=0-3");
        assert_eq!(web.get_with(&path, &[range, ("if-range", tag)]).status, 206, "{path}");
        let restarted = web.get_with(&path, &[range, ("if-range", "\"other\"")]);
        assert_eq!(restarted.status, 200, "{path}");
        assert!(restarted.body == whole.body, "{path}");
    }
}

/// Two segment lengths never share a media URL, and a node that makes other bytes says 404 and
/// lets nobody keep it.
#[test]
fn two_configurations_never_share_a_media_url() {
    let title = Rate::Ntsc.title();
    let lengths = [4000, 6000];
    let origins = lengths.map(|segment_ms| {
        Origin::with(&title.store, &Settings { segment_ms, ..Settings::default() })
    });
    let paths = origins.each_ref().map(|origin| immutable_paths(title, origin.web()));
    assert!(paths.iter().all(|paths| paths.len() > 8));
    assert!(paths[0].is_disjoint(&paths[1]));
    for (origin, foreign) in [(&origins[0], &paths[1]), (&origins[1], &paths[0])] {
        for path in foreign {
            let answer = origin.web().get(path);
            assert_eq!((answer.status, answer.error()), (404, "unknown_rev".into()), "{path}");
            assert!(answer.is_no_store(), "{path}");
        }
    }
    for (origin, own) in origins.iter().zip(&paths) {
        for path in own {
            let lifetime = origin.web().get(path).header("cache-control").map(str::to_owned);
            let wanted = "public, max-age=31536000, immutable";
            assert_eq!(lifetime.as_deref(), Some(wanted), "{path}");
        }
    }
}

/// However long segments are: one after the other they are the stored track file's fragments, and
/// the init is its beginning.
#[test]
fn segments_of_any_length_are_the_stored_fragments() {
    let title = Rate::Ntsc.title();
    let mut counts = Vec::new();
    for segment_ms in [2000, 4000, 6000, 10_000] {
        let settings = Settings { segment_ms, ..Settings::default() };
        let origin = Origin::with(&title.store, &settings);
        let web = origin.web();
        for media in Master::fetch(web, &title.master()).all_media(web) {
            let file = fs::read(title.track_file(media.track())).unwrap();
            let track = title.heads.track(&media.track().parse().unwrap()).unwrap();
            let init = web.body(&media.init_path());
            assert!(file.starts_with(&init), "{}", media.path);
            let segments: Vec<Vec<u8>> =
                media.segment_paths().iter().map(|path| web.body(path)).collect();
            let media_at = usize::try_from(track.objects()[0].media_offset_bytes).unwrap();
            assert!(segments.concat() == file[media_at..], "{} at {segment_ms}", media.path);
            let fragments: usize = segments.iter().map(|s| fragments::read(s).len()).sum();
            assert_eq!(fragments, usize::try_from(track.fragments()).unwrap());
            expect_length(&media, segment_ms);
            if track.is_video() {
                counts.push((segment_ms, segments.len()));
            }
        }
    }
    counts.dedup();
    // 630 frames of 1001/30000 s in GOPs of 60.
    assert_eq!(counts, [(2000, 11), (4000, 6), (6000, 4), (10_000, 3)]);
}

/// All but the last are within half a fragment of the length that was asked for.
fn expect_length(media: &Media, segment_ms: u32) {
    let lengths = media.extinfs_us();
    let (_, others) = lengths.split_last().unwrap();
    for us in others {
        let off = us.abs_diff(u64::from(segment_ms) * 1000);
        assert!(off <= 1_030_000, "{}: {us} us at {segment_ms} ms", media.path);
    }
}
