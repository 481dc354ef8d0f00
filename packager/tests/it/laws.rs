//! Laws that hold for every title and every segment length.

use crate::common::any_title;
use bytes::Bytes;
use headwater_packager::protect::Form;
use headwater_packager::timeline::Timeline;
use headwater_packager::title::{Position, Title, Track};
use headwater_packager::{dash, hls, plan, time};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn segments_tile_the_title(made in any_title(), segment_ms in 1000..20_000u32) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        for track in made.title.tracks() {
            let (mut fragment, mut at) = (0, Position::default());
            for (i, segment) in timeline.segments_of(track).enumerate() {
                prop_assert_eq!(segment.number as usize, i + 1);
                prop_assert_eq!(segment.fragments.start, fragment);
                prop_assert!(segment.fragments.end > fragment);
                prop_assert_eq!(segment.start, at);
                prop_assert_eq!(timeline.segment(track, segment.number), Some(segment.clone()));
                fragment = segment.fragments.end;
                at = segment.end;
            }
            prop_assert_eq!(fragment, track.fragments());
            prop_assert_eq!(at, track.position(track.fragments()));
            prop_assert_eq!(at.ticks, track.duration_ticks());
            prop_assert!(timeline.segment(track, 0).is_none());
            prop_assert!(timeline.segment(track, timeline.segments() + 1).is_none());
            prop_assert!(timeline.segment(track, u32::MAX).is_none());
        }
    }

    #[test]
    fn positions_are_plain_sums(made in any_title()) {
        for track in made.title.tracks() {
            let mut at = Position::default();
            for i in 0..track.fragments() {
                prop_assert_eq!(track.position(i), at);
                at = at.after(track.row(i));
            }
            prop_assert_eq!(track.position(track.fragments()), at);
        }
    }

    #[test]
    fn planned_reads_are_the_stored_fragments_once_and_in_order(
        made in any_title(), segment_ms in 1000..20_000u32,
    ) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        for (track, objects) in made.title.tracks().iter().zip(&made.objects) {
            let mut delivered = Vec::new();
            for number in 1..=timeline.segments() {
                let Some(plan) = plan::segment(&timeline, track, number) else { continue };
                let before = delivered.len();
                for read in &plan.reads {
                    let bytes = slice(&objects[read.object], read);
                    prop_assert_eq!(plan::verify(track, read, &bytes), Ok(()));
                    delivered.extend_from_slice(&bytes);
                }
                prop_assert_eq!((delivered.len() - before) as u64, plan.len_bytes);
                // One read for each object the segment lies in.
                let mut touched: Vec<_> = plan.reads.iter().map(|r| r.object).collect();
                touched.dedup();
                prop_assert_eq!(touched.len(), plan.reads.len());
            }
            let stored: Vec<u8> = objects
                .iter()
                .zip(track.objects())
                .flat_map(|(bytes, head)| bytes[usize::try_from(head.media_offset_bytes).unwrap()..].to_vec())
                .collect();
            prop_assert!(delivered == stored);
        }
    }

    #[test]
    fn no_damage_passes(made in any_title(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let timeline = Timeline::new(&made.title, 6000, Form::Clear);
        let track = &made.title.tracks()[0];
        let plan = plan::segment(&timeline, track, 1).unwrap();
        let read = &plan.reads[0];
        let whole = slice(&made.objects[0][read.object], read);
        let mut flipped = whole.to_vec();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        let damage = plan::verify(track, read, &flipped.into()).unwrap_err();
        prop_assert!(damage.offset >= read.bytes.start && damage.offset <= read.bytes.start + at as u64);
        prop_assert!(plan::verify(track, read, &whole.slice(..at)).is_err());
        let longer: Bytes = [&whole[..], &[0]].concat().into();
        prop_assert!(plan::verify(track, read, &longer).is_err());
    }

    #[test]
    fn iframes_are_the_fragments_of_the_segments(made in any_title(), segment_ms in 1000..20_000u32) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        for track in made.title.tracks().iter().filter(|track| track.is_video()) {
            let mut wanted = String::new();
            let mut at = Position::default();
            for segment in timeline.segments_of(track) {
                let start_bytes = at.bytes;
                for row in track.rows(segment.fragments) {
                    let us = |at: Position| time::micros(at.ticks, track.timescale());
                    let next = at.after(row);
                    let duration_us = us(next) - us(at);
                    wanted += &format!(
                        "#EXTINF:{}.{:06},\n#EXT-X-BYTERANGE:{}@{}\n{}.m4s\n",
                        duration_us / 1_000_000,
                        duration_us % 1_000_000,
                        Form::Clear.first_sample_end(true, row),
                        at.bytes - start_bytes,
                        segment.number,
                    );
                    at = next;
                }
            }
            let playlist = text(hls::iframes(&timeline, track, None).unwrap());
            let (_, lines) = playlist.split_once("#EXT-X-MAP:URI=\"init.mp4\"\n").unwrap();
            prop_assert_eq!(lines, wanted + "#EXT-X-ENDLIST\n");
        }
    }

    #[test]
    fn extinf_sums_lead_back_to_every_boundary(made in any_title(), segment_ms in 1000..20_000u32) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        for track in made.title.tracks() {
            let playlist = text(hls::media(&timeline, track, None));
            let mut sum_us = 0;
            let extinfs = extinfs_us(&playlist);
            let segments: Vec<_> = timeline.segments_of(track).collect();
            prop_assert_eq!(extinfs.len(), segments.len());
            for (duration_us, segment) in extinfs.iter().zip(&segments) {
                sum_us += duration_us;
                prop_assert_eq!(time::ticks(sum_us, track.timescale()), segment.end.ticks);
            }
        }
    }

    #[test]
    fn target_duration_bounds_every_rounded_extinf_and_is_met(
        made in any_title(), segment_ms in 1000..20_000u32,
    ) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        let mut longest = 0;
        let mut targets = Vec::new();
        for track in made.title.tracks() {
            let playlists = [Some(hls::media(&timeline, track, None)), hls::iframes(&timeline, track, None)];
            for playlist in playlists.into_iter().flatten().map(text) {
                targets.push(number_after(&playlist, "#EXT-X-TARGETDURATION:"));
                let rounded = extinfs_us(&playlist).into_iter().map(|us| (us + 500_000) / 1_000_000);
                longest = longest.max(rounded.max().unwrap());
            }
        }
        prop_assert!(targets.iter().all(|&t| t == longest.max(1)), "{targets:?} {longest}");
    }

    #[test]
    fn hls_and_dash_agree_on_every_boundary(made in any_title(), segment_ms in 1000..20_000u32) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        let mpd = text(dash::mpd(&made.title, &timeline, None, ""));
        for track in made.title.tracks() {
            let (timescale, durations) = dash_timeline(&mpd, track);
            let playlist = text(hls::media(&timeline, track, None));
            let extinfs = extinfs_us(&playlist);
            prop_assert_eq!(durations.len(), extinfs.len());
            let (mut ticks, mut us) = (0, 0);
            for (d, e) in durations.iter().zip(&extinfs) {
                ticks += d;
                us += e;
                prop_assert_eq!(time::micros(ticks, timescale), us);
            }
        }
    }

    #[test]
    fn iframe_ranges_start_a_fragment_and_end_its_first_sample(
        made in any_title(), segment_ms in 1000..20_000u32,
    ) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        for (track, objects) in made.title.tracks().iter().zip(&made.objects).filter(|(t, _)| t.is_video()) {
            let playlist = text(hls::iframes(&timeline, track, None).unwrap());
            let mut seen = 0;
            for (range, uri) in byte_ranges(&playlist) {
                let number: u32 = uri.strip_suffix(".m4s").unwrap().parse().unwrap();
                let segment = segment_bytes(&timeline, track, objects, number);
                let picture = &segment[range.clone()];
                prop_assert_eq!(&picture[4..8], b"moof");
                let moof = u32::from_be_bytes(picture[..4].try_into().unwrap()) as usize;
                prop_assert_eq!(&picture[moof + 4..moof + 8], b"mdat");
                let row = track.row(seen);
                prop_assert_eq!(picture.len(), moof + 8 + row.first_sample_bytes as usize);
                seen += 1;
            }
            prop_assert_eq!(seen, track.fragments());
        }
    }

    #[test]
    fn bandwidth_is_the_peak_over_runs_of_half_to_one_and_a_half_targets(
        made in any_title(), segment_ms in 1000..20_000u32,
    ) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        let target_s = timeline.target_duration_s();
        let mut wanted: Vec<(u64, u64)> = Vec::new();
        for (track, rates) in made.title.tracks().iter().zip(timeline.rates()) {
            let all: Vec<_> = timeline.segments_of(track)
                .map(|s| (s.duration_us(track.timescale()), s.clear_bytes())).collect();
            let rate = |part: &[(u64, u64)]| {
                let (us, bytes) = part.iter().fold((0, 0), |(u, b), p| (u + p.0, b + p.1));
                (us, (u128::from(bytes) * 8_000_000).div_ceil(u128::from(us)))
            };
            let mut peak = rate(&all).1;
            for from in 0..all.len() {
                for to in from + 1..=all.len() {
                    let (us, bps) = rate(&all[from..to]);
                    if us * 2 >= target_s * 1_000_000 && us * 2 <= target_s * 3_000_000 {
                        peak = peak.max(bps);
                    }
                }
            }
            let got = rates.segments;
            prop_assert_eq!(u128::from(got.peak_bps), peak);
            prop_assert_eq!(u128::from(got.average_bps), rate(&all).1);
            wanted.push((got.peak_bps, got.average_bps));
        }
        // In the multivariant playlist the sound is added to each picture.
        let master = text(hls::multivariant(&made.title, &timeline, None, ""));
        for (i, id) in [(0, "v720"), (1, "v360")] {
            let line = format!(
                "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},",
                wanted[i].0 + wanted[2].0, wanted[i].1 + wanted[2].1
            );
            let lines: Vec<_> = master.lines().collect();
            let at = lines.iter().position(|l| *l == format!("{id}/index.m3u8")).unwrap();
            prop_assert!(lines[at - 1].starts_with(&line), "{}\n{}", line, lines[at - 1]);
        }
    }

    #[test]
    fn any_bit_of_heads_flipped_is_refused(
        made in any_title(), at in any::<prop::sample::Index>(), bit in 0..8u8,
    ) {
        let mut bytes = made.heads.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Title::open(&bytes.into()).is_err());
        prop_assert!(Title::open(&made.heads.slice(..at)).is_err());
    }

    #[test]
    fn heads_with_a_right_checksum_but_wrong_content_never_panic(
        made in any_title(), at in any::<prop::sample::Index>(), value: u8,
    ) {
        let mut bytes = made.heads.to_vec();
        let body = bytes.len() - 4;
        bytes[at.index(body)] = value;
        let crc = crc32c::crc32c(&bytes[..body]);
        bytes[body..].copy_from_slice(&crc.to_be_bytes());
        if let Ok(title) = Title::open(&bytes.into()) {
            let timeline = Timeline::new(&title, 6000, Form::Clear);
            for track in title.tracks() {
                hls::media(&timeline, track, None);
                hls::iframes(&timeline, track, None);
                for number in 1..=timeline.segments() {
                    plan::segment(&timeline, track, number);
                }
            }
            hls::multivariant(&title, &timeline, None, "");
            dash::mpd(&title, &timeline, None, "");
        }
    }
}

#[test]
fn two_hours_of_ntsc_cut_into_threes_without_drift() {
    let gops = vec![60; 3597];
    let made = crate::common::make(&[
        crate::common::video("v360", 360, (30_000, 1001), &gops, 1),
        crate::common::audio("a-en", None, (30_000, 1001), &gops),
    ]);
    let timeline = Timeline::new(&made.title, 6000, Form::Clear);
    let [video, audio] = made.title.tracks() else { panic!("two tracks") };
    assert_eq!(timeline.segments(), 1199);
    for (v, a) in timeline.segments_of(video).zip(timeline.segments_of(audio)) {
        assert_eq!(v.fragments.len(), 3);
        let (v, a) = (time::micros(v.end.ticks, 30_000), time::micros(a.end.ticks, 48_000));
        assert!(v.abs_diff(a) <= 10_667, "half an audio frame: {v} {a}");
    }
    assert_eq!(timeline.target_duration_s(), 6);
}

fn slice(object: &Bytes, read: &plan::SourceRange) -> Bytes {
    object
        .slice(usize::try_from(read.bytes.start).unwrap()..usize::try_from(read.bytes.end).unwrap())
}

fn segment_bytes(timeline: &Timeline, track: &Track, objects: &[Bytes], number: u32) -> Vec<u8> {
    let plan = plan::segment(timeline, track, number).unwrap();
    plan.reads.iter().flat_map(|read| slice(&objects[read.object], read)).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn extinfs_us(playlist: &str) -> Vec<u64> {
    playlist
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','))
        .map(|seconds| {
            let (whole, fraction) = seconds.split_once('.').unwrap();
            assert_eq!(fraction.len(), 6);
            whole.parse::<u64>().unwrap() * 1_000_000 + fraction.parse::<u64>().unwrap()
        })
        .collect()
}

fn number_after(playlist: &str, tag: &str) -> u64 {
    let line = playlist.lines().find_map(|line| line.strip_prefix(tag));
    line.unwrap().parse().unwrap()
}

fn byte_ranges(playlist: &str) -> Vec<(std::ops::Range<usize>, String)> {
    let lines: Vec<_> = playlist.lines().collect();
    lines
        .windows(2)
        .filter_map(|pair| {
            let (len, at) = pair[0].strip_prefix("#EXT-X-BYTERANGE:")?.split_once('@')?;
            let (len, at): (usize, usize) = (len.parse().unwrap(), at.parse().unwrap());
            Some((at..at + len, pair[1].to_owned()))
        })
        .collect()
}

/// Timescale and segment durations that the MPD gives for a track, found without a parser: the
/// last SegmentTemplate before the track's Representation ends.
fn dash_timeline(mpd: &str, track: &Track) -> (u32, Vec<u64>) {
    let at = mpd.find(&format!("<Representation id=\"{}\"", track.id())).unwrap();
    let end = mpd[at..].find("</Representation>").unwrap() + at;
    let template = &mpd[mpd[..end].rfind("<SegmentTemplate").unwrap()..];
    let template = &template[..template.find("</SegmentTemplate>").unwrap()];
    let attribute = |element: &str, name: &str| -> Option<u64> {
        let from = element.find(&format!(" {name}=\""))? + name.len() + 3;
        element[from..].split('"').next()?.parse().ok()
    };
    let timescale = attribute(template, "timescale").unwrap();
    let mut durations = Vec::new();
    for s in template.split("<S ").skip(1) {
        let s = format!(" {s}");
        let repeats = attribute(&s, "r").unwrap_or(0);
        durations.extend(std::iter::repeat_n(
            attribute(&s, "d").unwrap(),
            usize::try_from(repeats).unwrap() + 1,
        ));
    }
    (u32::try_from(timescale).unwrap(), durations)
}
