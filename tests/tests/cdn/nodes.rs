//! Two nodes behind one cache: the same bytes under the same tags, also while they differ.

use std::path::{Path, PathBuf};

use headwater_tests::hls::Master;
use headwater_tests::nginx::Nginx;
use headwater_tests::origin::{self, Origin, Settings};
use headwater_tests::titles::{Rate, Title};
use headwater_tests::{binaries, skip};

/// Another release's origin, to be compared with this one's.
const OTHER: &str = "HEADWATER_TEST_OTHER_ORIGIN";

/// A node that differs in everything that shapes no byte.
fn other_node(store: &Path, binary: &Path) -> Origin {
    let settings = Settings { responses_mib: 0, ..Settings::default() };
    let toml = origin::toml(&format!("[store]\nurl = \"file://{}\"\n", store.display()), &settings);
    let toml = format!("{toml}manifest_max_age_s = 7\nformats = [\"hls\"]\n");
    Origin::launch_binary(binary, &toml, &[])
}

fn segments(title: &Title, origin: &Origin) -> Vec<String> {
    let master = Master::fetch(origin.web(), &title.master());
    let media = master.all_media(origin.web());
    media
        .iter()
        .flat_map(|media| [vec![media.init_path()], media.segment_paths()].concat())
        .collect()
}

#[test]
fn a_resume_crosses_nodes() {
    resumes_with(&binaries::origin());
}

#[test]
fn a_resume_crosses_releases() {
    match std::env::var_os(OTHER).filter(|binary| !binary.is_empty()) {
        Some(binary) => resumes_with(&PathBuf::from(binary)),
        None => skip::skip(format!("{OTHER} is not set: .ci/other-origin builds one")),
    }
}

/// What this release's node began, a node of the other binary ends.
fn resumes_with(other: &Path) {
    let title = Rate::Film.title();
    let (first, second) = (Origin::start(&title.store), other_node(&title.store, other));
    let paths = segments(title, &first);
    let Some(nginx) = Nginx::start([&first, &second], None) else { return };
    let mut begun = Vec::new();
    for path in &paths {
        let whole = first.web().get(path);
        assert_eq!(second.web().get(path).header("etag"), whole.header("etag"), "{path}");
        let part = nginx.web().get_with(path, &[("range", "bytes=0-249")]);
        assert_eq!(part.status, 206, "{path}");
        begun.push((path, part, whole));
    }
    // The cache forgets, one node goes: what follows can only come from the other one.
    nginx.forget();
    assert!(first.stop());
    for (path, part, whole) in begun {
        let etag = part.header("etag").unwrap();
        for web in [second.web(), nginx.web()] {
            let rest = web.get_with(path, &[("range", "bytes=250-"), ("if-range", etag)]);
            assert_eq!(rest.status, 206, "{path}: the other node has the same tag");
            assert_eq!([&part.body[..], &rest.body].concat(), whole.body, "{path}");
            let other = web.get_with(path, &[("range", "bytes=250-"), ("if-range", "\"other\"")]);
            assert_eq!((other.status, &other.body), (200, &whole.body), "{path}");
        }
    }
}

#[test]
fn a_configuration_rolls_over_two_nodes() {
    let title = Rate::Film.title();
    let old = Origin::start(&title.store);
    let new = Origin::with(&title.store, &Settings { segment_ms: 4000, ..Settings::default() });
    let Some(nginx) = Nginx::start([&old, &new], None) else { return };
    let mut bytes = Vec::new();
    for (node, other) in [(&old, &new), (&new, &old)] {
        let paths = segments(title, node);
        for path in &paths {
            let absent = other.web().get(path);
            assert_eq!((absent.status, absent.error().as_str()), (404, "unknown_rev"), "{path}");
            assert!(absent.is_no_store(), "{path}");
            // Whichever node is asked first, and however often.
            for _ in 0..2 {
                let cached = nginx.web().get(path);
                assert_eq!(cached.status, 200, "{path}");
                assert_eq!(cached.body, node.web().body(path), "{path}");
            }
        }
        let last = paths.iter().rev().find(|path| path.contains("v288")).unwrap();
        bytes.push((last.rsplit('/').next().unwrap().to_owned(), paths.len()));
    }
    assert_eq!(bytes, [("3.m4s".to_owned(), 16), ("4.m4s".to_owned(), 20)]);
}
