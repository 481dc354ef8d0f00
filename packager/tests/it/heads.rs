//! Heads that lie: each field that could mislead a plan is refused with its own words, although
//! the checksum is right.

use bytes::Bytes;
use headwater_packager::heads::{PREAMBLE_BYTES, ROW_BYTES};
use headwater_packager::title::Title;
use headwater_packager::{Error, Kind, limits};
use proptest::prelude::*;

use crate::common::{audio, make, video};

fn good() -> Vec<u8> {
    let rate = (25, 1);
    let gops = [50; 5];
    make(&[video("v360", 360, rate, &gops, 50), audio("a-en", Some("en"), rate, &gops)])
        .heads
        .to_vec()
}

fn json_range(heads: &[u8]) -> std::ops::Range<usize> {
    let len = u32::from_be_bytes(heads[8..12].try_into().unwrap());
    PREAMBLE_BYTES..PREAMBLE_BYTES + usize::try_from(len).unwrap()
}

fn sealed(mut heads: Vec<u8>) -> Bytes {
    let body = heads.len() - 4;
    let crc = crc32c::crc32c(&heads[..body]);
    heads[body..].copy_from_slice(&crc.to_be_bytes());
    heads.into()
}

/// The heads with one text of their JSON replaced.
fn with_json(from: &str, to: &str) -> Bytes {
    let heads = good();
    let range = json_range(&heads);
    let json = std::str::from_utf8(&heads[range.clone()]).unwrap();
    assert!(json.contains(from), "{from} is not in {json}");
    let json = json.replacen(from, to, 1);
    let len = u32::try_from(json.len()).unwrap().to_be_bytes();
    sealed([&heads[..8], &len, &heads[12..16], json.as_bytes(), &heads[range.end..]].concat())
}

fn refusal(heads: &Bytes) -> Error {
    Title::open(heads).unwrap_err()
}

#[test]
fn every_field_that_could_mislead_is_refused() {
    let zero = "\"timescale\":0";
    let cases = [
        ("\"timescale\":25", zero, "heads/v360/timescale: 0 ticks a second"),
        ("\"id\":\"a-en\"", "\"id\":\"v360\"", "heads/tracks: two tracks `v360`"),
        ("\"id\":\"v360\"", "\"id\":\"../x\"", "heads/json: track: \"../x\""),
        ("v360.0.mp4", "../other.mp4", "heads/v360/objects: name \"../other.mp4\""),
        ("v360.0.mp4", ".hidden", "heads/v360/objects: name \".hidden\""),
        ("avc1.64001F", "avc1\\\"\\nX", "heads/v360/codecs: "),
        ("\"language\":\"en\"", "\"language\":\"e\\\"n\"", "heads/a-en/language: "),
        ("\"height\":360", "\"height\":0", "heads/v360/video: a width, height or frame rate"),
        ("\"frame_rate\":[25,1]", "\"frame_rate\":[25,0]", "heads/v360/video: "),
        ("\"fragments\":5", "\"fragments\":0", "heads/v360/objects: `v360.0.mp4` holds 0"),
        ("\"fragments\":5", "\"fragments\":4", "heads/"),
        ("\"fragments\":5", "\"fragments\":6", "heads/"),
        ("\"fragments\":5", "\"fragments\":4294967295", "heads/v360/objects: "),
        ("\"init_bytes\":667", "\"init_bytes\":99999999", "heads/v360/init: 99999999 bytes"),
        ("\"media_offset_bytes\":30", "\"media_offset_bytes\":31", "heads/v360/objects: "),
        (
            "\"media_offset_bytes\":30",
            "\"media_offset_bytes\":18446744073709551615",
            "heads/v360/objects: ",
        ),
        ("\"seq\":1", "\"seq\":-1", "heads/json: "),
        (
            "\"start_offset_ticks\":0",
            "\"start_offset_ticks\":1024",
            "heads/v360/start_offset_ticks: 1024 ticks",
        ),
        ("\"seq\":1", "\"seq\":1,\"access_class\":\"A/b\"", "heads/access_class: \"A/b\""),
    ];
    for (from, to, wanted) in cases {
        let error = refusal(&with_json(from, to)).to_string();
        assert!(error.starts_with(wanted), "{from} -> {to}:\n  got    {error}\n  wanted {wanted}");
    }
}

#[test]
fn preambles() {
    let at = |at: usize, bytes: &[u8]| {
        let mut heads = good();
        heads[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&sealed(heads))
    };
    assert_eq!(at(0, b"X").to_string(), "heads: does not start with HWHEADS1");
    assert_eq!(at(7, b"2").to_string(), "heads: made by a later release");
    assert_eq!(at(7, b"2").kind(), Kind::Unsupported);
    assert!(at(8, &[0xff; 4]).to_string().starts_with("heads: JSON head of"));
    assert_eq!(at(12, &[0, 0, 0, 19]).to_string(), "heads: rows of 19 bytes: expected at least 22");
    assert_eq!(refusal(&Bytes::new()).to_string(), "heads: only 0 bytes");
    let huge = Bytes::from(vec![0; limits::HEADS_BYTES + 1]);
    assert_eq!(refusal(&huge).kind(), Kind::TooLarge);
}

#[test]
fn rows_that_contradict_themselves_are_refused() {
    let heads = good();
    let rows = heads.len() - 4 - 10 * ROW_BYTES;
    // A row's duration, size, moof length and sample count may none of them be zero.
    for field in [0..4, 4..8, 16..18, 18..20] {
        let mut bad = heads.clone();
        bad[rows..][field.clone()].fill(0);
        let error = refusal(&sealed(bad)).to_string();
        assert!(error.starts_with("heads/v360/rows: row 0 contradicts"), "{field:?}: {error}");
    }
    let mut first_sample_past_the_end = heads;
    first_sample_past_the_end[rows + 8..rows + 12].fill(0x0f);
    assert!(Title::open(&sealed(first_sample_past_the_end)).is_err());
}

#[test]
fn a_later_release_may_lengthen_rows() {
    let heads = good();
    let rows = heads.len() - 4 - 10 * ROW_BYTES;
    let mut longer = heads[..rows].to_vec();
    longer[12..16].copy_from_slice(&26u32.to_be_bytes());
    for row in heads[rows..heads.len() - 4].chunks(ROW_BYTES) {
        longer.extend_from_slice(row);
        longer.extend_from_slice(b"new.");
    }
    longer.extend_from_slice(&[0; 4]);
    let (old, new) = (Title::open(&heads.into()).unwrap(), Title::open(&sealed(longer)).unwrap());
    for (old, new) in old.tracks().iter().zip(new.tracks()) {
        assert!((0..5).all(|i| old.row(i) == new.row(i)));
        assert_eq!(old.init(), new.init());
    }
}

proptest! {
    /// Mended checksums let any single byte through to the parser: it refuses or copes.
    #[test]
    fn any_byte_may_be_anything(at in any::<prop::sample::Index>(), value: u8) {
        let mut heads = good();
        let body = heads.len() - 4;
        heads[at.index(body)] = value;
        let _ = Title::open(&sealed(heads));
    }
}
