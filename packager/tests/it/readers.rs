//! m3u8-rs, an independent parser, reads every playlist and finds what was meant.

use crate::common::any_title;
use headwater_packager::hls;
use headwater_packager::protect::Form;
use headwater_packager::timeline::Timeline;
use m3u8_rs::{AlternativeMediaType, MediaPlaylistType};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn media_playlists(made in any_title(), segment_ms in 1000..20_000u32) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        for track in made.title.tracks() {
            let bytes = hls::media(&timeline, track, None);
            let playlist = m3u8_rs::parse_media_playlist_res(&bytes).unwrap();
            prop_assert_eq!(playlist.version, Some(6));
            prop_assert_eq!(playlist.media_sequence, 1);
            prop_assert_eq!(playlist.playlist_type, Some(MediaPlaylistType::Vod));
            prop_assert!(playlist.end_list && playlist.independent_segments);
            prop_assert!(!playlist.i_frames_only);
            prop_assert_eq!(playlist.segments.len(), timeline.segments_of(track).count());
            let map = playlist.segments[0].map.as_ref().unwrap();
            prop_assert_eq!(map.uri.as_str(), "init.mp4");
            for (i, segment) in playlist.segments.iter().enumerate() {
                prop_assert_eq!(&segment.uri, &format!("{}.m4s", i + 1));
                prop_assert!(!segment.discontinuity);
            }
        }
    }

    #[test]
    fn iframe_playlists(made in any_title(), segment_ms in 1000..20_000u32) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        for track in made.title.tracks().iter().filter(|t| t.is_video()) {
            let bytes = hls::iframes(&timeline, track, None).unwrap();
            let playlist = m3u8_rs::parse_media_playlist_res(&bytes).unwrap();
            prop_assert_eq!(playlist.version, Some(5));
            prop_assert!(playlist.i_frames_only);
            prop_assert_eq!(playlist.segments.len(), track.fragments() as usize);
            for segment in &playlist.segments {
                let range = segment.byte_range.as_ref().unwrap();
                prop_assert!(range.length > 0 && range.offset.is_some());
            }
        }
    }

    #[test]
    fn multivariant_playlists(made in any_title(), segment_ms in 1000..20_000u32) {
        let timeline = Timeline::new(&made.title, segment_ms, Form::Clear);
        let bytes = hls::multivariant(&made.title, &timeline, None, "V.00c0ffee/");
        let playlist = m3u8_rs::parse_master_playlist_res(&bytes).unwrap();
        prop_assert_eq!(playlist.version, None);
        prop_assert!(playlist.independent_segments);
        let (variants, iframes): (Vec<_>, Vec<_>) =
            playlist.variants.iter().partition(|v| !v.is_i_frame);
        prop_assert_eq!((variants.len(), iframes.len()), (2, 2));
        for variant in &variants {
            prop_assert!(variant.uri.starts_with("V.00c0ffee/v"));
            // Every codec of every group that the variant names (8216bis 4.4.6.2).
            prop_assert_eq!(variant.codecs.as_deref(), Some("avc1.64001F,mp4a.40.2"));
            prop_assert_eq!(variant.audio.as_deref(), Some("audio1"));
            prop_assert_eq!(
                variant.closed_captions.as_ref(),
                Some(&m3u8_rs::ClosedCaptionGroupId::None)
            );
            prop_assert!(variant.average_bandwidth.unwrap() <= variant.bandwidth);
            prop_assert!(variant.resolution.is_some() && variant.frame_rate.is_some());
        }
        // The first is the best within 2 Mbit/s, or else the lowest; the rest descend.
        let rest: Vec<_> = variants[1..].iter().map(|v| v.bandwidth).collect();
        prop_assert!(rest.is_sorted_by(|a, b| a >= b));
        prop_assert_eq!(playlist.alternatives.len(), 1);
        let audio = &playlist.alternatives[0];
        prop_assert_eq!(audio.media_type.clone(), AlternativeMediaType::Audio);
        prop_assert!(audio.default && audio.autoselect);
        prop_assert_eq!(audio.uri.as_deref(), Some("V.00c0ffee/a-en/index.m3u8"));
        prop_assert_eq!(audio.channels.as_deref(), Some("2"));
        prop_assert!(iframes.iter().all(|v| v.uri.ends_with("/iframes.m3u8")));
    }
}
