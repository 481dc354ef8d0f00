//! Writes a store to measure an origin with: `headwater-packager-store FOLDER`.
//!
//! - `segments`: 64 segments, of 2 MB of pictures and of 10 KB of sound.
//! - `two-hours`: heads of two hours and seven tracks, without media: for manifests.
#![expect(clippy::unwrap_used, reason = "a folder that cannot be written ends it")]

use std::fs;
use std::path::{Path, PathBuf};

use headwater_packager::heads::HeadsWriter;
use headwater_packager::ids::TitleId;
use headwater_packager::stored::{self, Pointer};
use headwater_packager_bench::film::{self, VERSION};
use headwater_packager_bench::segment::Track;

const FRAGMENTS: u32 = 64 * 3;

fn main() {
    let store = PathBuf::from(std::env::args_os().nth(1).unwrap());
    let title: TitleId = "segments".parse().unwrap();
    let mut writer = HeadsWriter::new(title.clone(), VERSION, 1);
    for track in [Track::pictures(FRAGMENTS), Track::sound(FRAGMENTS)] {
        track.tell(&mut writer);
        write(&store, &stored::object_key(&title, VERSION, &track.name()), &track.bytes);
    }
    publish(&store, &title, &writer.finish());
    publish(&store, &film::title(), &film::heads());
}

/// The pointer last.
fn publish(store: &Path, title: &TitleId, heads: &[u8]) {
    write(store, &stored::heads_key(title, VERSION), heads);
    let pointer = serde_json::to_vec(&Pointer::to_live(VERSION, None)).unwrap();
    write(store, &stored::pointer_key(title), &pointer);
}

fn write(store: &Path, key: &str, bytes: &[u8]) {
    let path = store.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
