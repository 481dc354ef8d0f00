//! Whether a published title is the source.

use std::path::Path;

use headwater_packager::heads::Media;
use headwater_packager::title::Track;
use headwater_tests::barcode;
use headwater_tests::beeps::{self, FRAME, RATE};
use headwater_tests::ffmpeg;
use headwater_tests::origin::Origin;
use headwater_tests::titles::Title;

use crate::cases::{Frames, Right};

/// How far from its time a beep may begin, in samples: 5 ms.
const SLACK: usize = 240;

/// Checks everything of a title.
pub fn title(origin: &Origin, store: &Path, id: &str, right: &Right, said: &str) {
    let title = Title::open(Path::new("").into(), right.rate, store.into(), id);
    let (videos, sounds) = title.tracks();
    for words in right.said {
        assert!(said.contains(words), "expected the notice `{words}`: {said}");
    }
    let opened = |id: &String| title.heads.track(&id.parse().unwrap()).unwrap();
    let shapes: Vec<(u32, u32)> = videos.iter().map(|id| shape(opened(id))).collect();
    assert_eq!(shapes, right.rungs, "rungs");
    assert_eq!(sounds, right.sounds, "sounds");
    for track in &videos {
        let file = title.track_file(track);
        let tags = ffmpeg::ffprobe(
            ffmpeg::path(&file),
            &[
                "-show_entries",
                "stream=pix_fmt,color_range,color_space,color_transfer,color_primaries,sample_aspect_ratio",
            ],
        );
        let tags = &tags["streams"][0];
        for (name, value) in right.tags {
            assert_eq!(tags[name], *value, "{track}: {tags}");
        }
        assert_eq!(tags["sample_aspect_ratio"], "1:1", "{track}");
    }
    let web = origin.web();
    let (master, mpd) = (web.url(&title.master()), web.url(&title.mpd()));
    let all: Vec<String> = (0..videos.len()).map(|i| format!("0:v:{i}")).collect();
    let mut readings: Vec<Vec<Result<u16, String>>> = barcode::read(&master, &all);
    for stream in &all {
        // One by one: ffmpeg's DASH reader ends all streams where the first one ends.
        readings.extend(barcode::read(&mpd, std::slice::from_ref(stream)));
    }
    for reading in readings {
        let codes: Vec<u16> = reading.into_iter().map(Result::unwrap).collect();
        frames(&codes, right);
    }
    let length_s = right.frames.count() as f64 * f64::from(right.rate.1) / f64::from(right.rate.0);
    for i in 0..sounds.len() {
        for input in [&master, &mpd] {
            let samples = beeps::samples(input, &format!("0:a:{i}"));
            let off_s = (samples.len() as f64 / RATE as f64 - length_s).abs();
            assert!(
                off_s <= FRAME as f64 / RATE as f64,
                "{input}: sound of {} samples for {length_s} s",
                samples.len()
            );
            beep(&beeps::onsets(&samples), right.beeps_ms, input);
        }
    }
    let made_s = f64::from(u32::try_from(title.heads.duration_ms()).unwrap()) / 1000.0;
    // The longest track counts, and sound ends at the end of a frame of its own.
    let slack_s = FRAME as f64 / RATE as f64 + 0.001;
    assert!((made_s - length_s).abs() < slack_s, "{made_s} s, expected {length_s} s");
}

fn shape(track: &Track) -> (u32, u32) {
    match track.media() {
        Media::Video { width, height, .. } => (*width, *height),
        Media::Audio { .. } => panic!("{} is sound", track.id()),
    }
}

fn frames(codes: &[u16], right: &Right) {
    assert_eq!(codes.len(), right.frames.count(), "frames: {codes:?}");
    for (k, &code) in codes.iter().enumerate() {
        match right.frames {
            Frames::From { first, step, .. } => {
                assert_eq!(usize::from(code), first + k * step, "frame {k} of {codes:?}");
            }
            Frames::Near { source_fps, .. } => {
                let at_s = k as f64 * f64::from(right.rate.1) / f64::from(right.rate.0);
                let off = (f64::from(code) - at_s * source_fps).abs();
                assert!(off <= 1.6, "frame {k} at {at_s:.3} s shows {code}: {codes:?}");
                assert!(k == 0 || codes[k - 1] <= code, "frame {k} goes back: {codes:?}");
            }
        }
    }
}

fn beep(onsets: &[usize], wanted_ms: &[usize], input: &str) {
    let near =
        |(at, ms): (&usize, &usize)| at.abs_diff(ms * 48) <= if *ms == 0 { FRAME } else { SLACK };
    assert!(
        onsets.len() == wanted_ms.len() && onsets.iter().zip(wanted_ms).all(near),
        "{input}: beeps at samples {onsets:?}, expected {wanted_ms:?} ms"
    );
}
