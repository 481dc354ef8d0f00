//! Stored objects and the configuration.

use std::fs;
use std::ops::Range;

use bytes::Bytes;
use headwater_config::Config;
use headwater_packager::protect::Form;
use headwater_packager::stored::Pointer;
use headwater_packager::timeline::Timeline;
use headwater_packager::title::{Position, Title, Track};
use headwater_packager::{dash, hls, plan, time};
use quick_xml::events::Event;

/// Fragments over which every law is checked; long titles are checked in their first part.
const FRAGMENTS: u32 = 4096;

/// A heads.bin. Its last four bytes are replaced by the right checksum, so that what lies behind
/// the checksum is reached.
pub fn heads(bytes: &[u8]) -> bool {
    let Some(body_len) = bytes.len().checked_sub(4) else { return false };
    let mut summed = bytes[..body_len].to_vec();
    summed.extend(crc32c::crc32c(&summed).to_be_bytes());
    let Ok(title) = Title::open(&Bytes::from(summed)) else { return false };
    assert!(!title.tracks().is_empty());
    if title.tracks().iter().any(|track| track.fragments() > FRAGMENTS) {
        return false;
    }
    for segment_ms in [1000, 6000, 60_000] {
        let timeline = Timeline::new(&title, segment_ms, Form::Clear);
        for track in title.tracks() {
            segments_tile(&timeline, track);
            let playlist = String::from_utf8(hls::media(&timeline, track, None)).unwrap();
            extinfs_add_up(&playlist, &timeline, track);
            if let Some(iframes) = hls::iframes(&timeline, track, None) {
                plain_lines(&String::from_utf8(iframes).unwrap());
            }
        }
        for prefix in ["", "01939c2e-7f00-7abc-8def-0123456789ab.00c0ffee/"] {
            plain_lines(
                &String::from_utf8(hls::multivariant(&title, &timeline, None, prefix)).unwrap(),
            );
            well_formed(&dash::mpd(&title, &timeline, None, prefix));
        }
    }
    true
}

/// Segments cover the track's fragments once and in order, and their plans read exactly them.
fn segments_tile(timeline: &Timeline, track: &Track) {
    let mut at = Position::default();
    let mut fragment = 0;
    for segment in timeline.segments_of(track) {
        assert_eq!(segment.fragments.start, fragment);
        assert_eq!(segment.start, at);
        let plan = plan::segment(timeline, track, segment.number).expect("a segment has a plan");
        assert_eq!(plan.len_bytes, segment.clear_bytes());
        let len = |range: &Range<u64>| range.end.checked_sub(range.start).unwrap();
        assert_eq!(plan.reads.iter().map(|read| len(&read.bytes)).sum::<u64>(), plan.len_bytes);
        for read in &plan.reads {
            assert!(read.bytes.end <= track.objects()[read.object].len_bytes);
        }
        fragment = segment.fragments.end;
        at = segment.end;
    }
    assert_eq!(fragment, track.fragments());
    assert_eq!(at.ticks, track.duration_ticks());
    for beyond in [0, timeline.segments() + 1, u32::MAX] {
        assert!(plan::segment(timeline, track, beyond).is_none());
    }
}

/// Every prefix sum of EXTINF, rounded to ticks, is a boundary, wherever microseconds can tell
/// ticks apart.
fn extinfs_add_up(playlist: &str, timeline: &Timeline, track: &Track) {
    plain_lines(playlist);
    let extinfs = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    let mut sum_us = 0;
    let mut count = 0;
    for (extinf, segment) in extinfs.zip(timeline.segments_of(track)) {
        let (whole, fraction) = extinf.trim_end_matches(',').split_once('.').unwrap();
        assert_eq!(fraction.len(), 6);
        sum_us += whole.parse::<u64>().unwrap() * 1_000_000 + fraction.parse::<u64>().unwrap();
        if track.timescale() <= 500_000 {
            assert_eq!(time::ticks(sum_us, track.timescale()), segment.end.ticks);
        }
        count += 1;
    }
    assert_eq!(count, timeline.segments_of(track).count());
}

/// Nothing that came from heads breaks out of its line or its quotes.
fn plain_lines(playlist: &str) {
    assert!(playlist.starts_with("#EXTM3U\n") && playlist.ends_with('\n'));
    for line in playlist.lines() {
        assert!(line.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{line:?}");
        assert_eq!(line.bytes().filter(|&b| b == b'"').count() % 2, 0, "{line}");
        assert!(!line.is_empty());
    }
}

/// XML that a parser accepts, without an element that our own code does not write.
fn well_formed(mpd: &[u8]) {
    const ELEMENTS: [&str; 9] = [
        "MPD",
        "Period",
        "AdaptationSet",
        "Role",
        "Representation",
        "SegmentTemplate",
        "SegmentTimeline",
        "S",
        "AudioChannelConfiguration",
    ];
    let text = std::str::from_utf8(mpd).unwrap();
    let mut reader = quick_xml::Reader::from_str(text);
    let mut depth = 0u32;
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(start) => {
                assert!(ELEMENTS.contains(&start.name().as_ref()), "{text}");
                assert!(start.attributes().all(|attribute| attribute.is_ok()), "{text}");
                depth += 1;
            }
            Event::Empty(empty) => {
                assert!(ELEMENTS.contains(&empty.name().as_ref()), "{text}");
                assert!(empty.attributes().all(|attribute| attribute.is_ok()), "{text}");
            }
            Event::End(_) => depth = depth.checked_sub(1).unwrap(),
            Event::Text(text) => assert!(text.as_ref().trim().is_empty(), "{text:?}"),
            Event::Decl(_) => {}
            other => panic!("{other:?} in {text}"),
        }
    }
    assert_eq!(depth, 0);
}

/// A title.json: what is accepted is written and read again as the same.
pub fn pointer(bytes: &[u8]) -> bool {
    let Ok(pointer) = Pointer::parse(bytes) else { return false };
    assert_eq!(Pointer::parse(&pointer.to_json()).unwrap(), pointer);
    true
}

/// A configuration file, up to the first line of `%`, and variables after it, one a line. What is
/// accepted can be checked, and what is refused says where.
pub fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (file, variables) = text.split_once("\n%\n").unwrap_or((text, ""));
    let folder = crate::encoder::scratch();
    let path = folder.join("headwater.toml");
    fs::write(&path, file).unwrap();
    let variables = || {
        let pairs = variables.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let first = Config::load(Some(&path), variables());
    match &first {
        Ok(config) => {
            for finding in config.check() {
                assert!(!finding.to_string().is_empty());
            }
            assert!(!config.profiles.is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // The same words mean the same, whatever order a map was walked in.
    let again = Config::load(Some(&path), variables());
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    first.is_ok()
}
