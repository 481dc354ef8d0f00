//! Heads of two hours: five pictures of 25 frames a second in fragments of two seconds, and two
//! sounds that are cut beside them. Sizes go up and down as those of a real film do.

use bytes::Bytes;
use headwater_packager::bmff::movie::{Init, InitMedia, write_init};
use headwater_packager::heads::{HeadsWriter, Row, TrackHead};
use headwater_packager::ids::{TitleId, VersionId};
use serde_json::json;

use crate::segment::{avc1, mp4a};

/// Fragments of two hours.
const FRAGMENTS: u32 = 3600;
/// Its one version.
pub const VERSION: VersionId = VersionId::from_u128(0x01939c2e_7f00_7abc_8def_0123456789ab);
/// Heights, and bytes of a fragment on average.
const PICTURES: [(u32, u32); 5] =
    [(1080, 1_300_000), (720, 700_000), (540, 400_000), (360, 200_000), (234, 80_000)];
const SOUNDS: [&str; 2] = ["en", "de"];

/// What the title is called.
pub fn title() -> TitleId {
    "two-hours".parse().unwrap()
}

/// The heads object.
pub fn heads() -> Bytes {
    let mut writer = HeadsWriter::new(title(), VERSION, 1);
    for (height, average_bytes) in PICTURES {
        let width = height * 16 / 9 / 2 * 2;
        let media = InitMedia::Video {
            width: u16::try_from(width).unwrap(),
            height: u16::try_from(height).unwrap(),
        };
        let rows: Vec<_> = (0..FRAGMENTS).map(|i| picture_row(i, average_bytes)).collect();
        let facts = json!({
            "id": format!("v{height}"), "kind": "video", "codecs": "avc1.640028",
            "width": width, "height": height, "frame_rate": [25, 1], "timescale": 25_000,
        });
        let init = init(media, 25_000, &avc1());
        writer.track(head(facts, &rows), &init, &rows).unwrap();
    }
    for language in SOUNDS {
        let rows: Vec<_> = (0..FRAGMENTS).map(sound_row).collect();
        let facts = json!({
            "id": format!("a-{language}"), "kind": "audio", "codecs": "mp4a.40.2",
            "language": language, "sample_rate": 48_000, "channels": 2, "timescale": 48_000,
        });
        let init = init(InitMedia::Audio, 48_000, &mp4a());
        writer.track(head(facts, &rows), &init, &rows).unwrap();
    }
    Bytes::from(writer.finish())
}

/// What every track has, beside its own facts.
pub fn head(mut facts: serde_json::Value, rows: &[Row]) -> TrackHead {
    let media_bytes: u64 = rows.iter().map(|row| u64::from(row.size_bytes)).sum();
    let object = json!({
        "name": object_name(&facts), "len_bytes": media_bytes, "media_offset_bytes": 0,
        "fragments": rows.len(),
    });
    facts["independent"] = true.into();
    facts["init_bytes"] = 0.into();
    facts["objects"] = json!([object]);
    serde_json::from_value(facts).unwrap()
}

/// What a track's one object is called.
pub fn object_name(facts: &serde_json::Value) -> String {
    format!("{}.mp4", facts["id"].as_str().unwrap())
}

/// A track's ftyp and moov.
pub fn init(media: InitMedia, timescale: u32, sample_entry: &[u8]) -> Vec<u8> {
    let (language, edit_media_time) = (*b"und", None);
    write_init(&Init { timescale, media, language, sample_entry, edit_media_time })
}

fn picture_row(i: u32, average_bytes: u32) -> Row {
    // Between a half and one and a half of it.
    let size_bytes = average_bytes / 2 + i.wrapping_mul(2_654_435_761) % average_bytes;
    Row {
        duration_ticks: 50_000,
        size_bytes,
        first_sample_bytes: size_bytes / 9,
        crc32c: i.wrapping_mul(40_503),
        moof_bytes: 696,
        samples: 50,
        map_entries: 51,
    }
}

/// Frames of 1,024 samples, cut nearest to every two seconds: 94 or 93 of them.
fn sound_row(i: u32) -> Row {
    let frames_at = |i: u32| (i * 96_000 + 512) / 1024;
    let frames = frames_at(i + 1) - frames_at(i);
    let size_bytes = 1200 + frames * 340 + i % 97;
    Row {
        duration_ticks: frames * 1024,
        size_bytes,
        first_sample_bytes: 340,
        crc32c: i.wrapping_mul(40_503),
        moof_bytes: 460,
        samples: u16::try_from(frames).unwrap(),
        map_entries: 0,
    }
}
