//! Rules that players and validators hold a packager to, where a made-up title shows them best.
//! The end-to-end tests hold the same rules on real footage.

use std::collections::{BTreeMap, BTreeSet};

use headwater_packager::heads::{Media, Role};
use headwater_packager::protect::{Form, Scheme};
use headwater_packager::signalling::System;
use headwater_packager::timeline::Timeline;
use headwater_packager::{dash, hls};
use proptest::prelude::*;

use crate::common::{TrackSpec, audio, make, protection_by, video};

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

/// An attribute of a tag.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let at =
        line.split_once(&format!(",{name}=")).or_else(|| line.split_once(&format!(":{name}=")));
    let value = at?.1;
    Some(match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap(),
        None => value.split(',').next().unwrap(),
    })
}

/// Any sound tracks beside a picture, or alone.
fn any_sounds() -> impl Strategy<Value = Vec<TrackSpec>> {
    const IDS: [&str; 8] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"];
    let languages =
        prop_oneof![Just(None), Just(Some("en")), Just(Some("de")), Just(Some("sound"))];
    let roles = prop_oneof![
        3 => Just(Role::Main),
        1 => Just(Role::Alternate),
        1 => Just(Role::Dub),
        1 => Just(Role::Commentary),
        1 => Just(Role::Description),
    ];
    let codecs = prop_oneof![Just(("mp4a.40.2", 2)), Just(("opus", 2)), Just(("ec-3", 6))];
    prop::collection::vec((languages, roles, codecs), 1..8).prop_map(|sounds| {
        let track = |(id, (language, role, (codecs, channels)))| TrackSpec {
            role,
            codecs,
            media: Media::Audio { sample_rate: 48_000, channels },
            ..audio(id, language, RATE, &[50, 50])
        };
        IDS.into_iter().zip(sounds).map(track).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// RFC 8216 4.3.4.1.1: groups of a type have the same members, and the attributes of a member
    /// are the same in all of them but for where it is and how many channels it has: so wherever
    /// AAC has all that there is. A group lacks what only another codec than its own and AAC has,
    /// and that alone, so that no variant needs a codec but its own and AAC. Names differ within a
    /// group; one member is the default; of those that a player cannot tell apart it may choose one
    /// by itself. CODECS and BANDWIDTH count every member of the group.
    #[test]
    fn audio_groups_have_the_members_that_they_may(sounds in any_sounds(), has_picture: bool) {
        let picture = has_picture.then(|| video("v1", 360, RATE, &[50, 50], 100));
        let made = make(&picture.into_iter().chain(sounds).collect::<Vec<_>>());
        let timeline = Timeline::new(&made.title, 4000, Form::Clear);
        let master = String::from_utf8(hls::multivariant(&made.title, &timeline, None, "")).unwrap();
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in master.lines().filter(|line| line.starts_with("#EXT-X-MEDIA:")) {
            groups.entry(attribute(line, "GROUP-ID").unwrap()).or_default().push(line);
        }
        let same = ["NAME", "LANGUAGE", "DEFAULT", "AUTOSELECT", "CHARACTERISTICS"];
        let members = |lines: &[&str]| -> Vec<_> {
            lines.iter().map(|line| same.map(|name| attribute(line, name).map(str::to_owned))).collect()
        };
        let urls: BTreeSet<_> = groups.values().flatten().map(|line| attribute(line, "URI").unwrap()).collect();
        let codecs = |line: &&str| {
            let id = attribute(line, "URI").unwrap().strip_suffix("/index.m3u8").unwrap();
            made.title.tracks().iter().find(|track| track.id().as_str() == id).unwrap().codecs()
        };
        let named = |lines: &[&str]| -> BTreeSet<String> {
            lines.iter().map(|line| attribute(line, "NAME").unwrap().to_owned()).collect()
        };
        let all: BTreeSet<_> = groups.values().flat_map(|lines| named(lines)).collect();
        let aac = groups.values().find(|lines| lines.iter().all(|line| codecs(line) == "mp4a.40.2"));
        if let Some(aac) = aac.filter(|aac| named(aac) == all) {
            prop_assert!(groups.values().all(|lines| members(lines) == members(aac)), "{}", master);
        }
        for lines in groups.values() {
            let of_group: BTreeSet<_> = lines.iter().map(codecs).collect();
            let own: BTreeSet<_> = of_group.iter().copied().filter(|c| *c != "mp4a.40.2").collect();
            prop_assert!(own.len() <= 1, "{}", master);
            for name in all.difference(&named(lines)) {
                let has = |line: &&&str| attribute(line, "NAME") == Some(name);
                let lenders: BTreeSet<_> = groups.values().flatten().filter(has).map(codecs).collect();
                prop_assert!(lenders.is_disjoint(&of_group), "{name}: {}", master);
                prop_assert!(!lenders.contains("mp4a.40.2"), "{name}: {}", master);
            }
            let of_group = members(lines);
            let names: BTreeSet<_> = of_group.iter().map(|member| &member[0]).collect();
            prop_assert_eq!(names.len(), of_group.len());
            prop_assert_eq!(of_group.iter().filter(|m| m[2].as_deref() == Some("YES")).count(), 1);
            let mut chosen: Vec<_> = of_group
                .iter()
                .filter(|member| member[3].as_deref() == Some("YES"))
                .map(|member| (&member[1], &member[4]))
                .collect();
            let count = chosen.len();
            chosen.sort();
            chosen.dedup();
            prop_assert_eq!(chosen.len(), count, "{}", master);
        }
        if groups.is_empty() {
            prop_assert!(!has_picture);
        } else {
            // Nothing is lost.
            prop_assert_eq!(urls.len(), made.title.tracks().iter().filter(|t| !t.is_video()).count());
        }
        let track = |uri: &str| {
            let id = uri.strip_suffix("/index.m3u8").unwrap();
            let at = made.title.tracks().iter().position(|track| track.id().as_str() == id).unwrap();
            (&made.title.tracks()[at], timeline.rates()[at].segments.peak_bps)
        };
        let lines: Vec<_> = master.lines().collect();
        for (variant, uri) in lines.iter().zip(&lines[1..]) {
            let Some(bandwidth) = variant.strip_prefix("#EXT-X-STREAM-INF:") else { continue };
            let bandwidth: u64 = attribute(&format!(":{bandwidth}"), "BANDWIDTH").unwrap().parse().unwrap();
            let (own, own_bps) = track(uri);
            let of_group = attribute(variant, "AUDIO").map_or(&[][..], |group| &groups[group]);
            let others: Vec<_> = of_group.iter().map(|line| track(attribute(line, "URI").unwrap())).collect();
            let worst_bps = others.iter().map(|(_, bps)| *bps).max().unwrap_or(0);
            let own_bps = if own.is_video() || others.is_empty() { own_bps } else { 0 };
            prop_assert_eq!(bandwidth, own_bps + worst_bps);
            let said: BTreeSet<_> = attribute(variant, "CODECS").unwrap().split(',').collect();
            let wanted = others.iter().map(|(track, _)| track.codecs()).chain([own.codecs()]);
            prop_assert_eq!(said, wanted.collect::<BTreeSet<_>>());
        }
    }
}

/// EXT-X-VERSION is the highest that a protected playlist's own features need (8216bis 8): IV 2;
/// decimals 3; byte ranges and I-frames 4; SAMPLE-AES, KEYFORMAT, KEYFORMATVERSIONS and a map of
/// I-frames 5; another map 6.
#[test]
fn version_is_what_a_protected_playlist_needs() {
    let gops = [50; 6];
    let made = make(&[video("v360", 360, RATE, &gops, 100), audio("a-en", None, RATE, &gops)]);
    for (scheme, systems) in [
        (Scheme::Aes128, &[][..]),
        (Scheme::Cbcs, &[System::Common][..]),
        (Scheme::Cenc, &[System::ClearKey][..]),
        (Scheme::Cbcs, &[System::Widevine, System::FairPlay][..]),
    ] {
        let timeline = Timeline::new(&made.title, 4000, Form::Protected(scheme));
        let protection = protection_by(&made.title, &timeline, 4, scheme, systems);
        let protected = Some(&protection);
        let mut playlists = vec![hls::multivariant(&made.title, &timeline, protected, "")];
        for track in made.title.tracks() {
            playlists.push(hls::media(&timeline, track, protected));
            playlists.extend(hls::iframes(&timeline, track, protected));
        }
        for playlist in playlists {
            let text = String::from_utf8(playlist).unwrap();
            let has = |what: &str| text.contains(what);
            let needs = [
                (has(",IV="), 2),
                (text.lines().any(|l| l.starts_with("#EXTINF:") && l.contains('.')), 3),
                (has("#EXT-X-BYTERANGE") || has("#EXT-X-I-FRAMES-ONLY"), 4),
                (has("METHOD=SAMPLE-AES") || has("KEYFORMAT"), 5),
                (has("#EXT-X-MAP"), if has("#EXT-X-I-FRAMES-ONLY") { 5 } else { 6 }),
            ];
            let needed = needs.iter().filter(|(is_there, _)| *is_there).map(|(_, n)| *n).max();
            let said = text.lines().find_map(|line| line.strip_prefix("#EXT-X-VERSION:"));
            assert_eq!(said.map(|said| said.parse().unwrap()), needed, "{text}");
        }
    }
}
