//! Rules that players and validators hold a packager to, where a made-up title shows them best.
//! The end-to-end tests hold the same rules on real footage.

use headwater_packager::protect::Form;
use headwater_packager::timeline::Timeline;
use headwater_packager::{dash, hls};

use crate::common::{audio, make, video};

const RATE: (u32, u32) = (25, 1);

#[test]
fn independence_is_never_claimed_for_a_track_that_was_not_seen_to_have_it() {
    let gops = [50, 50, 50, 50];
    let mut open_gop = video("v720", 720, RATE, &gops, 400);
    open_gop.independent = false;
    let made = make(&[
        open_gop,
        video("v360", 360, RATE, &gops, 100),
        audio("a-en", Some("en"), RATE, &gops),
    ]);
    let timeline = Timeline::new(&made.title, 4000, Form::Clear);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let master = text(hls::multivariant(&made.title, &timeline, None, ""));
    assert!(!master.contains("INDEPENDENT"), "one rendition is not: {master}");
    assert!(!master.contains("v720/iframes"), "{master}");
    assert!(master.contains("v360/iframes"), "{master}");
    let [open, closed, _] = made.title.tracks() else { unreachable!() };
    assert!(!text(hls::media(&timeline, open, None)).contains("INDEPENDENT"));
    assert!(text(hls::media(&timeline, closed, None)).contains("INDEPENDENT"));
    assert!(hls::iframes(&timeline, open, None).is_none());
    let mpd = text(dash::mpd(&made.title, &timeline, None, ""));
    let sets: Vec<_> = mpd.split("<AdaptationSet").skip(1).collect();
    assert!(!sets[0].contains("startWithSAP"), "{}", sets[0]);
    assert!(sets[1].contains("startWithSAP=\"1\""), "{}", sets[1]);
}

#[test]
fn a_shorter_track_ends_where_it_ends() {
    let made =
        make(&[video("v360", 360, RATE, &[50; 9], 100), audio("a-en", None, RATE, &[50; 4])]);
    let timeline = Timeline::new(&made.title, 4000, Form::Clear);
    let [video, audio] = made.title.tracks() else { unreachable!() };
    assert_eq!(timeline.segments_of(video).count(), 5);
    assert_eq!(timeline.segments_of(audio).count(), 2);
    assert!(timeline.segment(audio, 3).is_none());
    assert_eq!(timeline.segment(video, 5).unwrap().fragments, 8..9);
}

#[test]
fn the_first_variant_is_the_best_within_two_megabits() {
    // Weights near 0.4, 1.6 and 8 Mbit/s.
    let ladder = |weights: &[u32]| {
        let ids = ["v1", "v2", "v3"];
        let specs: Vec<_> = weights
            .iter()
            .zip(ids)
            .map(|(&w, id)| video(id, 360, RATE, &[50, 50, 50], w))
            .collect();
        let made = make(&specs);
        let timeline = Timeline::new(&made.title, 4000, Form::Clear);
        let master =
            String::from_utf8(hls::multivariant(&made.title, &timeline, None, "")).unwrap();
        let uris: Vec<_> = master.lines().filter(|l| !l.starts_with('#')).collect();
        uris.iter().map(|uri| uri[..2].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ladder(&[40_000, 6000, 2000]), ["v2", "v1", "v3"]);
    assert_eq!(ladder(&[2000, 1000, 500]), ["v1", "v2", "v3"]);
    assert_eq!(ladder(&[60_000, 50_000, 40_000]), ["v3", "v1", "v2"]);
}
