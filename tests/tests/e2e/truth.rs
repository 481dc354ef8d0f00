//! A generated source says its frame numbers and seconds; what is served must say the same.

use headwater_tests::beeps::{self, FRAME, RATE};
use headwater_tests::dash::Mpd;
use headwater_tests::ffmpeg;
use headwater_tests::hls::Master;
use headwater_tests::origin::Origin;
use headwater_tests::titles::{self, Title};
use headwater_tests::{barcode, encoder};

#[test]
fn every_frame_at_24() {
    every_frame(titles::Rate::Film);
}

#[test]
fn every_frame_at_25() {
    every_frame(titles::Rate::Pal);
}

#[test]
fn every_frame_at_30000_1001() {
    every_frame(titles::Rate::Ntsc);
}

#[test]
fn every_frame_at_60() {
    every_frame(titles::Rate::Sixty);
}

/// Frame k of every rendition reads k, at k / rate: in the stored file, through each media
/// playlist, through the multivariant playlist and through the MPD.
fn every_frame(rate: titles::Rate) {
    let title = rate.title();
    let frames = title.frames();
    assert!(frames > 100, "{} has {frames} frames", title.id);
    let source = ffmpeg::path(&title.source);
    expect_numbers(source, &["0:v:0".to_owned()], frames);

    let (videos, _) = title.tracks();
    assert_eq!(videos.len(), titles::LADDER.len(), "the source fills its ladder");
    let all: Vec<String> = (0..videos.len()).map(|i| format!("0:v:{i}")).collect();
    let origin = Origin::start(&title.store);
    let web = origin.web();
    for track in &videos {
        let file = title.track_file(track);
        expect_numbers(ffmpeg::path(&file), &all[..1], frames);
    }
    let master = Master::fetch(web, &title.master());
    for variant in master.variants() {
        let url = web.url(&headwater_tests::web::follow(&master.path, &variant.uri));
        expect_numbers(&url, &all[..1], frames);
        expect_times(title, &url, 0, frames);
    }
    let mpd = Mpd::fetch(web, &title.mpd());
    assert_eq!(mpd.representations().iter().filter(|r| r.is_video()).count(), videos.len());
    let (master, mpd) = (web.url(&title.master()), web.url(&title.mpd()));
    expect_numbers(&master, &all, frames);
    for (i, stream) in all.iter().enumerate() {
        // One by one: ffmpeg's DASH reader ends all streams where the first one ends.
        expect_numbers(&mpd, std::slice::from_ref(stream), frames);
        expect_times(title, &master, i, frames);
        expect_times(title, &mpd, i, frames);
    }
}

fn expect_numbers(input: &str, streams: &[String], frames: usize) {
    for (stream, numbers) in streams.iter().zip(barcode::read(input, streams)) {
        for (k, number) in numbers.iter().enumerate() {
            let wanted = u16::try_from(k).unwrap();
            assert_eq!(number.as_ref(), Ok(&wanted), "{input} {stream}: frame {k}");
        }
        assert_eq!(numbers.len(), frames, "{input} {stream}");
    }
}

/// Presentation time of frame k is k / rate, to the tick.
fn expect_times(title: &Title, input: &str, stream: usize, frames: usize) {
    let (numerator, denominator) = title.rate;
    let packets = ffmpeg::packets(input, &format!("v:{stream}"));
    let shift = title.ffmpeg_shift_ticks(&title.tracks().0[0]);
    let times: Vec<i64> = packets.pts_in_order().iter().map(|ticks| ticks - shift).collect();
    assert_eq!(times.len(), frames);
    for (k, ticks) in (0i128..).zip(times) {
        let exact = k * i128::from(packets.timescale) * i128::from(denominator);
        assert_eq!(
            i128::from(ticks) * i128::from(numerator),
            exact,
            "{}: frame {k} at {ticks}/{}",
            title.id,
            packets.timescale
        );
    }
}

#[test]
fn beeps_fall_on_their_seconds() {
    for rate in titles::Rate::ALL {
        let title = rate.title();
        let seconds = seconds(title);
        let origin = Origin::start(&title.store);
        let (_, audios) = title.tracks();
        assert_eq!(audios.len(), 1, "{}", title.id);
        let file = title.track_file(&audios[0]);
        let master = origin.web().url(&title.master());
        let mpd = origin.web().url(&title.mpd());
        expect_beeps(ffmpeg::path(&title.source), seconds);
        for input in [ffmpeg::path(&file), &master, &mpd] {
            expect_beeps(input, seconds);
        }
    }
}

/// How far from its second a beep may begin, in samples: 5 ms. A frame of sound too many or too few
/// before it would be 21 ms.
const BEEP_SLACK: usize = 240;

/// One beep a second, each on its second; all of the sound is there.
fn expect_beeps(input: &str, seconds: usize) {
    let samples = beeps::samples(input, "0:a:0");
    let short_by = (seconds * RATE).abs_diff(samples.len());
    assert!(short_by <= FRAME, "{input}: {} samples for {seconds} s", samples.len());
    let onsets = beeps::onsets(&samples);
    assert_eq!(onsets.len(), seconds, "{input}: {onsets:?}");
    for (second, onset) in onsets.into_iter().enumerate() {
        // The first frame is decoded without what came before it, and comes up slowly.
        let slack = if second == 0 { FRAME } else { BEEP_SLACK };
        let off = onset.abs_diff(second * RATE);
        assert!(off <= slack, "{input}: beep {second} is {off} samples off");
    }
}

/// Rule 17: sound and picture start together, in whatever is served.
#[test]
fn sound_and_picture_start_together() {
    for rate in titles::Rate::ALL {
        let title = rate.title();
        let origin = Origin::start(&title.store);
        for path in [title.master(), title.mpd()] {
            let url = origin.web().url(&path);
            let start_us = |stream, shift| {
                let packets = ffmpeg::packets(&url, stream);
                (packets.pts_in_order()[0] - shift) * 1_000_000 / i64::from(packets.timescale)
            };
            let shift = title.ffmpeg_shift_ticks(&title.tracks().0[0]);
            let (picture, sound) = (start_us("v:0", shift), start_us("a:0", 0));
            assert_eq!(picture, 0, "{path}");
            let frame_us = 1024 * 1_000_000 / 48_000;
            assert!(picture.abs_diff(sound) < frame_us, "{path}: {picture} and {sound} us");
        }
    }
}

/// HLS and DASH name the same media: one cached segment serves both.
#[test]
fn hls_and_dash_share_every_media_url() {
    for rate in titles::Rate::ALL {
        let title = rate.title();
        let origin = Origin::start(&title.store);
        let web = origin.web();
        let mut hls: Vec<(String, Vec<String>)> = Master::fetch(web, &title.master())
            .all_media(web)
            .iter()
            .map(|media| (media.init_path(), media.segment_paths()))
            .collect();
        let mut dash: Vec<(String, Vec<String>)> = Mpd::fetch(web, &title.mpd())
            .representations()
            .iter()
            .map(|r| (r.init_path(), r.segment_paths()))
            .collect();
        hls.sort_unstable();
        dash.sort_unstable();
        assert_eq!(hls, dash);
        assert_eq!(hls.len(), titles::LADDER.len() + 1);
        assert!(hls.iter().all(|(_, segments)| !segments.is_empty()));
    }
}

/// A source that ends early is reported and never published.
#[test]
fn a_truncated_source_is_refused() {
    let title = titles::Rate::Pal.title();
    let folder = headwater_tests::scratch::folder();
    let whole = std::fs::read(&title.source).unwrap();
    let cut = folder.path().join("cut.mp4");
    for share in [50, 80, 97] {
        std::fs::write(&cut, &whole[..whole.len() * share / 100]).unwrap();
        let store = folder.path().join(format!("store-{share}"));
        std::fs::create_dir(&store).unwrap();
        let output = encoder::try_encode(&cut, "cut", &store, &titles::LADDER);
        assert!(!output.status.success(), "{share} % of a source was accepted");
        assert!(!store.join("titles/cut/title.json").exists(), "{share} %");
    }
}

fn seconds(title: &Title) -> usize {
    let (numerator, denominator) = title.rate;
    let (numerator, denominator) = (numerator as usize, denominator as usize);
    (title.frames() * denominator + numerator / 2) / numerator
}
