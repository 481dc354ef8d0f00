//! Laws of key periods: they tile a title, both manifests agree on them, and no key opens another's
//! segments.

use bytes::Bytes;
use headwater_packager::label::Label;
use headwater_packager::limits;
use headwater_packager::period::{Period, Periods, Suffix};
use headwater_packager::protect::{Form, Scheme};
use headwater_packager::signalling::{KeyUse, LabelKey, Protection, Signals, System, Told};
use headwater_packager::timeline::Timeline;
use headwater_packager::title::{Title, Track};
use headwater_packager::{dash, hls, time};
use proptest::prelude::*;

use crate::common::{any_title, audio, make, protection_by, video};
use crate::protect::Made;

const SCHEMES: [Scheme; 3] = [Scheme::Cbcs, Scheme::Cenc, Scheme::Aes128];

fn cut(
    title: &Title,
    segment_ms: u32,
    scheme: Scheme,
    key_period_s: u32,
) -> (Timeline, Protection) {
    let timeline = Timeline::new(title, segment_ms, Form::Protected(scheme));
    let systems: &[System] = if scheme == Scheme::Aes128 { &[] } else { &[System::ClearKey] };
    let protection = protection_by(title, &timeline, key_period_s, scheme, systems);
    (timeline, protection)
}

/// By the segments' names in a playlist: the init segment and the key that stand before each. Every
/// init segment is under the key that it is encrypted with: none, unless segments are so whole.
fn of_playlist(playlist: Vec<u8>, scheme: Scheme) -> Vec<(u32, String, String)> {
    let playlist = String::from_utf8(playlist).unwrap();
    let (mut init, mut key, mut found) = (String::new(), String::new(), Vec::new());
    for line in playlist.lines() {
        if let Some(uri) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
            init = uri.trim_end_matches('"').to_owned();
            match init.strip_prefix("init").and_then(|rest| rest.strip_suffix(".mp4")) {
                Some(suffix) if scheme == Scheme::Aes128 => assert_eq!(key, format!("key{suffix}")),
                _ => assert_eq!(key, "", "{init} is in the clear"),
            }
        } else if line == "#EXT-X-KEY:METHOD=NONE" {
            key.clear();
        } else if line.starts_with("#EXT-X-KEY") && !line.contains("identity") {
            key = line.split("URI=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        } else if let Some(number) = line.strip_suffix(".m4s") {
            found.push((number.parse().unwrap(), init.clone(), key.clone()));
        }
    }
    found
}

/// The values of an attribute in the order of a document.
fn attributes<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let before = format!(" {name}=\"");
    text.split(&before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Microseconds of an xs:duration in seconds.
fn micros(text: &str) -> u64 {
    let seconds = text.strip_prefix("PT").unwrap().strip_suffix('S').unwrap();
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, ""));
    whole.parse::<u64>().unwrap() * 1_000_000 + format!("{part:0<6}").parse::<u64>().unwrap()
}

fn start_us(timeline: &Timeline, track: &Track, number: u32) -> u64 {
    time::micros(timeline.segment(track, number).unwrap().start.ticks, track.timescale())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Periods tile segments and time; each begins at the first segment that starts in it, and in
    /// each there is something of every kind of media.
    #[test]
    fn periods_tile_a_title(made in any_title(), segment_ms in 500..9000u32, s in 0..40u32) {
        let title = &made.title;
        let timeline = Timeline::new(title, segment_ms, Form::Clear);
        let periods = Periods::new(title, &timeline, s);
        let all: Vec<&Period> = periods.iter().collect();
        prop_assert_eq!((all[0].number(), all[0].segments.start, all[0].start_us), (0, 1, 0));
        let last = all[all.len() - 1];
        prop_assert_eq!(last.segments.end, u32::MAX);
        prop_assert_eq!(last.end_us, title.duration_us());
        prop_assert!(all.len() <= limits::KEY_PERIODS as usize);
        prop_assert!(s > 0 || all.len() == 1);
        for pair in all.windows(2) {
            prop_assert_eq!(pair[0].segments.end, pair[1].segments.start);
            prop_assert_eq!(pair[0].end_us, pair[1].start_us);
            prop_assert!(pair[0].number() < pair[1].number());
            let begins = pair[1].segments.start;
            prop_assert_eq!(start_us(&timeline, title.reference(), begins), pair[1].start_us);
            for is_video in [true, false] {
                let mut kind = title.tracks().iter().filter(|track| track.is_video() == is_video);
                prop_assert!(kind.any(|track| timeline.segment(track, begins).is_some()));
            }
        }
        let period_us = (u64::from(s) * 1_000_000).max(title.duration_us().div_ceil(64));
        for number in 1..=timeline.segments() {
            let period = periods.of(number);
            prop_assert!(period.segments.contains(&number));
            prop_assert_eq!(periods.named(period.suffix()), Some(period));
            let is_everywhere = title.tracks().iter().all(|t| timeline.segment(t, number).is_some());
            if s > 0 && is_everywhere {
                let at_us = start_us(&timeline, title.reference(), number);
                prop_assert_eq!(u64::from(period.number()), at_us / period_us);
            }
        }
        prop_assert_eq!(periods.named(Suffix(None)).is_some(), s == 0);
    }

    /// HLS, I-frames and DASH change keys at the same segments, with the same init and key.
    #[test]
    fn manifests_agree_on_boundaries(
        made in any_title(), segment_ms in 1000..7000u32, s in 1..30u32,
    ) {
        let title = &made.title;
        for scheme in SCHEMES {
            let (timeline, protection) = cut(title, segment_ms, scheme, s);
            for track in title.tracks() {
                let media = of_playlist(hls::media(&timeline, track, Some(&protection)), scheme);
                prop_assert_eq!(media.len(), timeline.segments_of(track).count());
                for (number, init, key) in &media {
                    let suffix = protection.periods().of(*number).suffix();
                    prop_assert_eq!(init, &format!("init{suffix}.mp4"));
                    let id = protection.of(track, *number).protector.key_id();
                    let uri = match scheme {
                        Scheme::Aes128 => format!("key{suffix}"),
                        _ => format!("../clearkey?kid={:032x}", u128::from_be_bytes(id.0)),
                    };
                    prop_assert_eq!(key, &uri);
                }
                if let Some(pictures) = hls::iframes(&timeline, track, Some(&protection)) {
                    for picture in of_playlist(pictures, scheme) {
                        prop_assert!(media.contains(&picture), "{:?}", picture);
                    }
                }
            }
            if scheme == Scheme::Aes128 {
                continue;
            }
            let mpd = String::from_utf8(dash::mpd(title, &timeline, Some(&protection), "")).unwrap();
            let parts: Vec<&str> = mpd.split("<Period ").skip(1).collect();
            prop_assert_eq!(parts.len(), protection.periods().iter().count());
            for (part, period) in parts.iter().zip(protection.periods().iter()) {
                let head = format!(" {part}");
                prop_assert_eq!(micros(attributes(&head, "start")[0]), period.start_us);
                prop_assert_eq!(micros(attributes(&head, "duration")[0]), period.end_us - period.start_us);
                let starts = attributes(part, "startNumber");
                let wanted = period.segments.start.to_string();
                prop_assert!(starts.iter().all(|start| *start == wanted), "{starts:?}");
                for set in part.split("<AdaptationSet").skip(1) {
                    let of = |id: &&&str| title.track(&id.parse().unwrap()).is_some();
                    let ids = attributes(set, "id");
                    let track = title.track(&ids.iter().find(of).unwrap().parse().unwrap()).unwrap();
                    let id = protection.of(track, period.segments.start).protector.key_id();
                    prop_assert_eq!(attributes(set, "cenc:default_KID"), [id.to_string()]);
                    let init = format!("$RepresentationID$/init{}.mp4", period.suffix());
                    prop_assert_eq!(attributes(set, "initialization")[0], init);
                    // presentation time = tfdt - offset + Period start: what it was without periods.
                    let offset = attributes(set, "presentationTimeOffset");
                    let offset: u64 = offset.first().map_or(0, |text| text.parse().unwrap());
                    let tfdt: u64 = attributes(set, "t")[0].parse().unwrap();
                    let first = timeline.segment(track, period.segments.start).unwrap();
                    prop_assert_eq!(tfdt, first.start.ticks);
                    let (shown, plain) = (
                        time::micros(tfdt, track.timescale()) + period.start_us,
                        time::micros(offset, track.timescale()) + time::micros(tfdt, track.timescale()),
                    );
                    let tick_us = 1_000_000 / u64::from(track.timescale()) + 1;
                    prop_assert!(shown.abs_diff(plain) <= tick_us, "{} {}", shown, plain);
                    // A picture before the Period's start might be dropped, and all that needs it.
                    prop_assert!(!track.is_video() || offset == tfdt, "{} {}", offset, tfdt);
                }
            }
        }
    }
}

/// A segment under its period's key is what it would be under that key alone, were there no periods:
/// real pictures and sound, whose maps of what is encrypted are not empty.
#[test]
fn a_period_changes_nothing_but_the_key() {
    for is_video in [true, false] {
        let (title, media) = nine_fragments(is_video);
        let track = &title.tracks()[0];
        for scheme in SCHEMES {
            let (timeline, protection) = cut(&title, 2000, scheme, 6);
            let firsts: Vec<u32> = protection.periods().iter().map(|p| p.segments.start).collect();
            assert_eq!(firsts, [1, 4, 7]);
            for period in protection.periods().iter() {
                let of_period = protection.of(track, period.segments.start);
                let of = KeyUse { period: 0, label: of_period.label };
                let (key_id, key) = (of_period.protector.key_id(), of_period.key.clone());
                let told = Told::default();
                let alone = Protection::new(
                    &title,
                    scheme,
                    Signals::default(),
                    Periods::new(&title, &timeline, 0),
                    &[LabelKey { of, key_id, key, told }],
                )
                .unwrap();
                for number in 1..=timeline.segments() {
                    let segment = timeline.segment(track, number).unwrap();
                    let at = |bytes: u64| usize::try_from(bytes).unwrap();
                    let clear = &media[at(segment.start.bytes)..at(segment.end.bytes)];
                    let of = |protection: &Protection| {
                        let protector = &protection.of(track, number).protector;
                        let from = segment.fragments.start;
                        protector.segment(track, number, from, clear.into()).unwrap().concat()
                    };
                    let is_same = of(&protection) == of(&alone);
                    assert_eq!(is_same, period.segments.contains(&number), "{scheme:?} {number}");
                }
                let with_periods = protection.init(track, period.suffix()).unwrap().unwrap();
                let boxes = Protection::init(&alone, track, Suffix(None)).unwrap().unwrap();
                // The systems' boxes stand last.
                assert!(with_periods.len() >= boxes.len());
            }
            assert_eq!(protection.init(track, Suffix(None)).unwrap(), None);
            assert_eq!(protection.init(track, Suffix(Some(3))).unwrap(), None);
        }
    }
}

/// Nine fragments of 2 s with a real slice or frame in each sample.
fn nine_fragments(is_video: bool) -> (Title, Bytes) {
    let sample = match is_video {
        true => vec![Made::Picture(vec![(false, 20), (true, 333), (true, 90)]); 5],
        false => vec![Made::Sound(100); 5],
    };
    let sample_ticks = if is_video { 10 } else { 19_200 };
    crate::protect::title_of(&vec![sample; 9], is_video, sample_ticks)
}

/// Keys change on when one of several sound tracks has ended; it is left out of what follows.
#[test]
fn a_track_that_ends_early_is_not_in_later_periods() {
    let (rate, gops) = ((24, 1), [48; 6]);
    let short = audio("a-de", Some("de"), rate, &gops[..3]);
    let long = audio("a-en", Some("en"), rate, &gops);
    let made = make(&[video("v720", 720, rate, &gops, 40), short, long]);
    let (timeline, protection) = cut(&made.title, 2000, Scheme::Cbcs, 4);
    let periods = protection.periods();
    assert_eq!(periods.iter().map(|period| period.segments.start).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!(periods.held_from_us(), None);
    let mpd = String::from_utf8(dash::mpd(&made.title, &timeline, Some(&protection), "")).unwrap();
    let sets: Vec<_> = mpd
        .split("<Period ")
        .skip(1)
        .map(|period| ["v720", "a-de", "a-en"].map(|id| period.contains(&format!("id=\"{id}\""))))
        .collect();
    assert_eq!(sets, [[true; 3], [true; 3], [true, false, true]]);
    let short = made.title.track(&"a-de".parse().unwrap()).unwrap();
    let playlist = hls::media(&timeline, short, Some(&protection));
    let playlist = String::from_utf8(playlist).unwrap();
    assert!(playlist.contains("init.1.mp4") && !playlist.contains("init.2.mp4"), "{playlist}");
    assert!(playlist.ends_with("3.m4s\n#EXT-X-ENDLIST\n"), "{playlist}");
}

/// No period begins where all sound has ended: players go on without a kind of media in no Period.
#[test]
fn a_period_has_something_of_every_kind() {
    let (rate, gops) = ((24, 1), [48; 6]);
    let short = audio("a-en", Some("en"), rate, &gops[..3]);
    let made = make(&[video("v720", 720, rate, &gops, 40), short]);
    let timeline = Timeline::new(&made.title, 2000, Form::Clear);
    let of = |s| Periods::new(&made.title, &timeline, s);
    assert_eq!(of(6).iter().count(), 1);
    assert_eq!(of(6).held_from_us(), Some(6_000_000));
    assert_eq!(of(4).iter().map(|period| period.segments.start).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(of(4).held_from_us(), Some(8_000_000));
    let alone = make(&[audio("a-en", Some("en"), rate, &gops)]);
    let timeline = Timeline::new(&alone.title, 2000, Form::Clear);
    assert_eq!(Periods::new(&alone.title, &timeline, 4).iter().count(), 3);
}

/// A clock of 10 MHz counts in tenths of what manifests print.
#[test]
fn a_period_starts_with_its_key_frame_on_every_clock() {
    let rate = (10_000_000, 333_667);
    let gops = [48; 9];
    let made = make(&[video("v720", 720, rate, &gops, 40), audio("a-en", None, rate, &gops)]);
    let (timeline, protection) = cut(&made.title, 2000, Scheme::Cbcs, 4);
    let periods: Vec<_> = protection.periods().iter().collect();
    assert!(periods.len() > 3);
    for period in periods {
        let reference = made.title.reference();
        let first = timeline.segment(reference, period.segments.start).unwrap().start.ticks;
        assert_eq!(period.start_ticks(reference.timescale()), first);
    }
}

/// A day of periods of a minute is 64 of equal length, and the playlist that names keys ahead has
/// those of the first few.
#[test]
fn many_periods_are_fewer_and_longer() {
    let gops = vec![250; 24 * 360];
    let made = make(&[video("v240", 240, (25, 1), &gops, 1)]);
    let (timeline, protection) = cut(&made.title, 10_000, Scheme::Cbcs, 60);
    let all: Vec<&Period> = protection.periods().iter().collect();
    assert_eq!(all.len(), 64);
    let lengths: Vec<u64> = all.iter().map(|p| (p.end_us - p.start_us) / 1_000_000).collect();
    assert!(lengths.iter().all(|s| (1340..=1360).contains(s)), "{lengths:?}");
    let master = hls::multivariant(&made.title, &timeline, Some(&protection), "");
    let named = String::from_utf8(master).unwrap().matches("#EXT-X-SESSION-KEY").count();
    assert_eq!(named, limits::SESSION_KEY_PERIODS);
    let fewer = Periods::at_most(limits::KEY_PERIODS_OF_SESSION, &made.title, &timeline, 60);
    assert_eq!(fewer.iter().count(), 8);
    let uses = Protection::uses(&made.title, protection.periods());
    assert_eq!(uses.len(), 64);
    assert!(uses.iter().all(|of| of.label == Label::Sd));
}
