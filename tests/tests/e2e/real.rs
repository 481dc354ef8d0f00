//! Real footage: what HLS delivers is what DASH delivers is what was stored, frame by frame.

use std::path::Path;

use headwater_tests::encoder::{self, Rung};
use headwater_tests::ffmpeg::{self, ffmpeg};
use headwater_tests::hls::Master;
use headwater_tests::origin::Origin;
use headwater_tests::skip;
use headwater_tests::titles::Title;

#[test]
fn traffic_in_two_renditions() {
    let Some(source) = skip::shared("media/car-detection.mp4") else { return };
    let rung = |height| Rung { height, max_bitrate_kbps: 400 };
    let title = encode(&source, "traffic", (25, 2), &[rung(240), rung(144)]);
    expect_equal_frames(&title, 2);
}

#[test]
fn big_buck_bunny_in_the_default_ladder() {
    if !skip::is_long("Big Buck Bunny in the default ladder") {
        return;
    }
    let Some(source) = skip::shared("media/bbb-1080p.mp4") else { return };
    let title = encode(&source, "bbb", (24, 1), &[]);
    assert_eq!(title.frames(), 720);
    expect_equal_frames(&title, 4);
}

fn encode(source: &Path, id: &str, rate: (u32, u32), ladder: &[Rung]) -> Title {
    let store = headwater_tests::scratch::lasting(id);
    encoder::encode(source, id, &store, ladder);
    Title::open(source.to_owned(), rate, store, id)
}

/// Checksums of every decoded frame of each rendition are the same through HLS, through DASH and
/// in the stored file; as many as the source has.
fn expect_equal_frames(title: &Title, renditions: usize) {
    let frames = title.frames();
    assert!(frames > 0);
    let origin = Origin::start(&title.store);
    let web = origin.web();
    let master = Master::fetch(web, &title.master());
    assert_eq!(master.variants().count(), renditions);
    let through_dash = by_dash(&web.url(&title.mpd()), renditions);
    for variant in master.variants() {
        let media = master.media(web, &variant.uri);
        let hls = frame_checksums(&web.url(&media.path), "0:v:0");
        let file = frame_checksums(ffmpeg::path(&title.track_file(media.track())), "0:v:0");
        assert_eq!(hls.len(), frames, "{}", media.track());
        assert_eq!(hls, file, "{}", media.track());
        let (_, dash) = through_dash.iter().find(|(id, _)| id == media.track()).unwrap();
        assert_eq!(&hls, dash, "{}", media.track());
    }
    let sound = |input: &str| ffmpeg(&["-i", input, "-map", "0:a:0", "-f", "md5", "pipe:1"]);
    let (_, audios) = title.tracks();
    let file = sound(ffmpeg::path(&title.track_file(&audios[0])));
    assert_eq!(sound(&web.url(&title.master())), file);
    assert_eq!(sound(&web.url(&title.mpd())), file);
}

/// Each video representation's id with its checksums.
fn by_dash(mpd: &str, renditions: usize) -> Vec<(String, Vec<String>)> {
    let json = ffmpeg::ffprobe(mpd, &["-select_streams", "v", "-show_streams"]);
    let streams = json["streams"].as_array().unwrap();
    assert_eq!(streams.len(), renditions);
    streams
        .iter()
        .enumerate()
        .map(|(i, stream)| {
            let id = stream["tags"]["id"].as_str().expect("ffmpeg names the representation");
            (id.to_owned(), frame_checksums(mpd, &format!("0:v:{i}")))
        })
        .collect()
}

/// The checksum of every frame of a stream, in the order they are shown.
///
/// Times are left out: ffmpeg's DASH reader adds to them what it finds in each segment by itself
/// (see `ffmpeg::Packets`). Rule 14 is looked at without ffmpeg.
fn frame_checksums(input: &str, stream: &str) -> Vec<String> {
    let args = ["-i", input, "-map", stream, "-fps_mode", "passthrough", "-f", "framemd5"];
    let text = String::from_utf8(ffmpeg(&[&args[..], &["pipe:1"]].concat())).unwrap();
    let frames = text.lines().filter(|line| !line.starts_with('#'));
    frames.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}
