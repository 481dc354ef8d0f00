//! A store that is not what it was: 502, nothing kept, no panic, and right again once mended.

use std::fs;
use std::path::{Path, PathBuf};

use headwater_packager::stored;
use headwater_packager::title::Track;
use headwater_tests::hls::Master;
use headwater_tests::origin::Origin;
use headwater_tests::scratch;
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::Web;
use tempfile::TempDir;

/// What a path was before anything was damaged.
#[derive(Clone)]
struct Right {
    path: String,
    body: Vec<u8>,
}

/// A copy of two titles, what is right of the first, and an origin that has read none of it.
struct Scene {
    folder: TempDir,
    title: Title,
    other: Title,
    origin: Origin,
    manifests: Vec<Right>,
    /// Per track: id, init, segments.
    tracks: Vec<(String, Right, Vec<Right>)>,
}

impl Scene {
    fn new() -> Self {
        let folder = scratch::folder();
        let store = folder.path().join("store");
        let title = Rate::Film.title().copy(&store);
        let other = Rate::Pal.title().copy(&store);
        let reference = Origin::start(&store);
        let web = reference.web();
        let right = |path: String| Right { body: web.body(&path), path };
        let manifests = vec![right(title.master()), right(title.mpd())];
        let tracks = Master::fetch(web, &title.master())
            .all_media(web)
            .iter()
            .map(|media| {
                let segments = media.segment_paths().into_iter().map(right).collect();
                (media.track().to_owned(), right(media.init_path()), segments)
            })
            .collect();
        drop(reference);
        let origin = Origin::start(&store);
        Self { folder, title, other, origin, manifests, tracks }
    }

    fn web(&self) -> &Web {
        self.origin.web()
    }

    fn heads(&self) -> PathBuf {
        self.title.file("heads.bin")
    }

    fn pointer(&self) -> PathBuf {
        self.title.store.join(stored::pointer_key(&self.title.id))
    }

    fn track(&self, id: &str) -> &Track {
        self.title.heads.track(&id.parse().unwrap()).unwrap()
    }

    fn everything(&self) -> impl Iterator<Item = &Right> {
        self.manifests.iter().chain(self.versioned())
    }

    fn versioned(&self) -> impl Iterator<Item = &Right> {
        self.tracks.iter().flat_map(|(_, init, segments)| segments.iter().chain([init]))
    }

    fn expect_right<'a>(&self, what: impl IntoIterator<Item = &'a Right>) {
        for Right { path, body } in what {
            let answer = self.web().get(path);
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.body == *body, "{path}: other bytes");
        }
    }

    /// 502 with the failure's body, twice: nothing was kept, and no cache may keep it.
    fn expect_damaged<'a>(&self, what: impl IntoIterator<Item = &'a Right>, how: &str) {
        for Right { path, .. } in what {
            for headers in [&[][..], &[("range", "bytes=0-0")], &[]] {
                let answer = self.web().get_with(path, headers);
                assert_eq!(answer.status, 502, "{path}: {how}");
                assert_eq!(answer.error(), "source_damaged", "{path}: {how}");
                assert!(answer.is_no_store(), "{path}: {how}");
                assert!(!answer.text().contains("titles/"), "{path}: the store is not shown");
            }
        }
    }

    /// The log says what is damaged and the metric counts it; the origin goes on.
    fn expect_told(&self, object: &Path) {
        let key = object.strip_prefix(&self.title.store).unwrap();
        let key = key.to_str().unwrap();
        let log = self.origin.log();
        assert!(
            log.lines().any(|line| line.contains("source_damaged") && line.contains(key)),
            "{key} is not in the log:\n{log}"
        );
        assert_eq!(self.web().get("/healthz").status, 200);
        assert_eq!(self.web().get("/readyz").status, 200);
    }
}

/// Changes a file for as long as `body` runs.
fn while_changed(file: &Path, change: impl FnOnce(&mut Vec<u8>), body: impl FnOnce()) {
    let right = fs::read(file).unwrap();
    let mut wrong = right.clone();
    change(&mut wrong);
    assert!(wrong != right, "{} was not changed", file.display());
    replace(file, &wrong);
    body();
    replace(file, &right);
}

/// As the encoder replaces: another file under the same name.
fn replace(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(&new, file).unwrap();
}

/// Every region of heads, with bits flipped and with an end cut off. Nothing can be served from
/// them, and the moment they are mended everything is.
#[test]
fn heads() {
    let scene = Scene::new();
    let file = scene.heads();
    let bytes = fs::read(&file).unwrap();
    let json = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let inits = 16 + json;
    let init_bytes: usize = scene.title.heads.tracks().iter().map(|t| t.init().len()).sum();
    let rows = inits + init_bytes;
    let crc = bytes.len() - 4;
    assert!(rows < crc, "the regions are in order");
    let regions = [
        ("magic", 0..8),
        ("JSON length", 8..12),
        ("row length", 12..16),
        ("JSON", 16..inits),
        ("inits", inits..rows),
        ("rows", rows..crc),
        ("CRC", crc..bytes.len()),
    ];
    for (region, range) in regions {
        for at in [range.start, range.start + range.len() / 2, range.end - 1] {
            let how = format!("heads.bin, {region}, byte {at}");
            while_changed(
                &file,
                |bytes| bytes[at] ^= 0x10,
                || {
                    scene.expect_damaged(scene.everything().take(1), &how);
                },
            );
        }
        let how = format!("heads.bin ends at the start of {region}");
        while_changed(
            &file,
            |bytes| bytes.truncate(range.start),
            || {
                scene.expect_damaged(scene.everything().take(1), &how);
            },
        );
    }
    while_changed(
        &file,
        |bytes| bytes.push(0),
        || {
            scene.expect_damaged(scene.everything(), "heads.bin with a byte more");
        },
    );
    scene.expect_told(&file);
    scene.expect_right(scene.everything());
    // Opened heads stay in use: they are immutable under their version.
    while_changed(&file, |bytes| bytes[20] ^= 1, || scene.expect_right(scene.everything()));
}

/// Another title's or another version's heads are damage, however well formed.
#[test]
fn foreign_heads() {
    let scene = Scene::new();
    let foreign = fs::read(scene.other.file("heads.bin")).unwrap();
    while_changed(
        &scene.heads(),
        |bytes| *bytes = foreign,
        || {
            scene.expect_damaged(scene.everything(), "another title's heads");
        },
    );
    scene.expect_told(&scene.heads());
    scene.expect_right(scene.everything());
}

/// A live version without heads is damage for who asks for the title, and unknown for who names
/// the version.
#[test]
fn missing_heads() {
    let scene = Scene::new();
    let bytes = fs::read(scene.heads()).unwrap();
    fs::remove_file(scene.heads()).unwrap();
    scene.expect_damaged(&scene.manifests, "no heads");
    let (_, init, segments) = &scene.tracks[0];
    for right in segments.iter().chain([init]) {
        let answer = scene.web().get(&right.path);
        assert_eq!((answer.status, answer.error()), (404, "unknown_version".into()));
    }
    scene.expect_told(&scene.heads());
    replace(&scene.heads(), &bytes);
    scene.expect_right(scene.everything());
}

/// Each byte of a pointer, flipped: the title is damaged, or unknown, or still right; never
/// anything else, and never another title's bytes.
#[test]
fn pointers() {
    let scene = Scene::new();
    let file = scene.pointer();
    let len = fs::read(&file).unwrap().len();
    let right = &scene.manifests[0];
    let mut seen = [0; 3];
    for at in 0..len {
        for bit in [0x01, 0x20] {
            // A good pointer stays in use while a later one cannot be read, so none is seen first;
            // one that a flip leads elsewhere may be, and then leads to damage ever after.
            while_changed(
                &file,
                |bytes| bytes[at] ^= bit,
                || {
                    let answer = scene.web().get(&right.path);
                    let kind = match answer.status {
                        200 if answer.body == right.body => 0,
                        404 if ["unknown_title", "nothing_live"]
                            .contains(&answer.error().as_str()) =>
                        {
                            1
                        }
                        502 if answer.error() == "source_damaged" && answer.is_no_store() => 2,
                        other => panic!("byte {at} ^ {bit:#x}: {other}, {}", answer.text()),
                    };
                    seen[kind] += 1;
                },
            );
        }
    }
    assert!(seen[2] > len, "most flips are damage: {seen:?}");
    scene.expect_right(scene.everything());
}

/// Pointers that are cut off, empty, too large, or none at all. What names its version needs no
/// pointer and is served all the while.
#[test]
fn broken_pointers() {
    let scene = Scene::new();
    let file = scene.pointer();
    let whole = fs::read(&file).unwrap();
    for len in [0, 1, whole.len() / 2, whole.len() - 1, 100_000] {
        let how = format!("title.json of {len} bytes");
        while_changed(
            &file,
            |bytes| bytes.resize(len, b' '),
            || {
                scene.expect_damaged(&scene.manifests, &how);
                scene.expect_right(scene.versioned());
            },
        );
    }
    scene.expect_told(&file);
    fs::remove_file(&file).unwrap();
    for right in &scene.manifests {
        let answer = scene.web().get(&right.path);
        assert_eq!((answer.status, answer.error()), (404, "unknown_title".into()));
    }
    scene.expect_right(scene.versioned());
    replace(&file, &whole);
    scene.expect_right(scene.everything());
}

/// Every region of a track file that is served: the fragment's segment is damaged, the others and
/// everything else are not.
#[test]
fn fragments() {
    let scene = Scene::new();
    for (id, init, segments) in &scene.tracks {
        let file = scene.title.track_file(id);
        let track = scene.track(id);
        let media_at = usize::try_from(track.objects()[0].media_offset_bytes).unwrap();
        let last = track.fragments() - 1;
        for fragment in [0, 1, last] {
            let start = media_at + usize::try_from(track.position(fragment).bytes).unwrap();
            let row = track.row(fragment);
            let mdat = start + usize::from(row.moof_bytes);
            let end = start + usize::try_from(row.size_bytes).unwrap();
            let places = [
                ("first byte of moof", start),
                ("last byte of moof", mdat - 1),
                ("mdat's size", mdat + 3),
                ("mdat's type", mdat + 4),
                ("first byte of media", mdat + 8),
                ("last byte of media", end - 1),
            ];
            let hit = segment_of(segments, start - media_at);
            for (place, at) in places {
                let how = format!("{id}, fragment {fragment}, {place}");
                while_changed(
                    &file,
                    |bytes| bytes[at] ^= 0x80,
                    || {
                        scene.expect_damaged([&segments[hit]], &how);
                    },
                );
            }
            scene.expect_told(&file);
        }
        let others = scene.manifests.iter().chain([init]);
        scene.expect_right(others.chain(segments));
    }
}

/// Damage in one segment leaves its neighbours alone.
#[test]
fn neighbours_of_a_damaged_segment() {
    let scene = Scene::new();
    let (id, init, segments) = &scene.tracks[0];
    let file = scene.title.track_file(id);
    let media_at = scene.track(id).objects()[0].media_offset_bytes;
    let in_second = usize::try_from(media_at).unwrap() + segments[0].body.len() + 1000;
    while_changed(
        &file,
        |bytes| bytes[in_second] ^= 1,
        || {
            scene.expect_damaged([&segments[1]], "a bit in segment 2");
            scene
                .expect_right(segments.iter().take(1).chain(segments.iter().skip(2)).chain([init]));
            scene.expect_damaged([&segments[1]], "a bit in segment 2, asked again");
        },
    );
    scene.expect_right(segments);
}

/// What lies before a track file's first fragment is for players that open the file itself; the
/// origin serves the init that heads hold, so damage there harms nothing it serves.
#[test]
fn header_of_a_track_file() {
    let scene = Scene::new();
    for (id, init, segments) in &scene.tracks {
        let file = scene.title.track_file(id);
        let media_at = usize::try_from(scene.track(id).objects()[0].media_offset_bytes).unwrap();
        for at in [0, 4, init.body.len() / 2, init.body.len() + 4, media_at - 1] {
            while_changed(
                &file,
                |bytes| bytes[at] ^= 0xff,
                || {
                    scene.expect_right(segments.iter().chain([init]));
                },
            );
        }
    }
}

/// A track file that ends early serves what is whole of it.
#[test]
fn truncated_track_files() {
    let mut scene = Scene::new();
    for (id, init, segments) in &scene.tracks.clone() {
        let file = scene.title.track_file(id);
        let media_at = usize::try_from(scene.track(id).objects()[0].media_offset_bytes).unwrap();
        let first = media_at + segments[0].body.len();
        let whole: usize = media_at + segments.iter().map(|s| s.body.len()).sum::<usize>();
        for (len, left) in [(whole - 1, segments.len() - 1), (first, 1), (first - 1, 0), (0, 0)] {
            let how = format!("{id} of {len} bytes");
            // What was served before stays in memory.
            scene.origin = Origin::start(&scene.title.store);
            while_changed(
                &file,
                |bytes| bytes.truncate(len),
                || {
                    scene.expect_damaged(&segments[left..], &how);
                    scene.expect_right(segments[..left].iter().chain([init]));
                    scene.expect_told(&file);
                },
            );
            scene.expect_right(segments);
        }
    }
}

/// Two tracks, or two titles' tracks, in each other's place.
#[test]
fn swapped_track_files() {
    let scene = Scene::new();
    let (ids, _) = scene.title.tracks();
    let own = scene.title.track_file(&ids[0]);
    let segments = |id: &str| &scene.tracks.iter().find(|t| t.0 == id).unwrap().2;
    for foreign in [scene.title.track_file(&ids[1]), scene.other.track_file(&ids[0])] {
        let theirs = fs::read(&foreign).unwrap();
        while_changed(
            &own,
            |bytes| *bytes = theirs,
            || {
                scene.expect_damaged(segments(&ids[0]), "another track's file");
            },
        );
    }
    scene.expect_right(segments(&ids[0]));
}

/// A track file that is not there is damage, not a 404: heads name it.
#[test]
fn missing_track_file() {
    let scene = Scene::new();
    let (id, init, segments) = &scene.tracks[0];
    let file = scene.title.track_file(id);
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    scene.expect_damaged(segments, "no file");
    scene.expect_right([init]);
    scene.expect_told(&file);
    fs::rename(&aside, &file).unwrap();
    scene.expect_right(scene.everything());
}

/// A store folder that is gone is no damage: 503, and right again when it is back.
#[test]
fn missing_store() {
    let scene = Scene::new();
    let store = &scene.title.store;
    let aside = scene.folder.path().join("aside");
    fs::rename(store, &aside).unwrap();
    for right in &scene.manifests {
        let answer = scene.web().get(&right.path);
        assert_eq!((answer.status, answer.error()), (503, "store_unavailable".into()));
        assert!(answer.is_no_store());
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(scene.web().get("/healthz").status, 200);
    fs::rename(&aside, store).unwrap();
    scene.expect_right(scene.everything());
}

/// Index of the segment that holds a byte of the track's media.
fn segment_of(segments: &[Right], media_byte: usize) -> usize {
    let mut end = 0;
    let ends = segments.iter().map(|segment| {
        end += segment.body.len();
        end
    });
    ends.take_while(|&end| end <= media_byte).count()
}
