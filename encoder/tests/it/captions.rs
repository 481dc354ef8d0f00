//! Closed captions in the picture's bitstream: said and left out, because every manifest says that
//! there are none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::{Lab, ffmpeg, films, sample};

/// user_data_registered_itu_t_t35 with one CEA-608 byte pair (ANSI/SCTE 128-1 8.1; ITU-T H.264
/// D.1.6): an SEI NAL unit before every picture.
const CAPTION: [u8; 20] = [
    0, 0, 1, 6, 4, 14, 0xb5, 0, 0x31, b'G', b'A', b'9', b'4', 3, 0x41, 0xff, 0xfc, 0x94, 0x2c, 0xff,
];
/// rbsp_trailing_bits.
const TRAILING: u8 = 0x80;

#[test]
fn captions_are_said_and_left_out() {
    let film = captioned();
    assert!(holds_captions(&film), "the source carries captions");
    let lab = Lab::new();
    let run = lab.encode(&film, "film");
    let words = "carries closed captions (CEA-608/708), which this version leaves out";
    assert!(run.notices().iter().any(|notice| notice.contains(words)), "{run:?}");
    let run = lab.encode(sample(), "plain");
    assert!(!run.notices().iter().any(|notice| notice.contains(words)), "{run:?}");
    let made = lab.live_file("film", "v180.mp4");
    assert!(!holds_captions(&made), "a caption is in what was made");
}

/// The sample with a caption in each picture.
fn captioned() -> PathBuf {
    let plain = ffmpeg(&[
        "-i",
        sample().to_str().unwrap(),
        "-an",
        "-c",
        "copy",
        "-bsf:v",
        "h264_mp4toannexb",
        "-f",
        "h264",
        "-",
    ]);
    let stream = films().join("captions.h264");
    fs::write(&stream, with_captions(&plain)).unwrap();
    let film = films().join("captions.mp4");
    let rate = ["-r", "24", "-i", stream.to_str().unwrap()];
    let sound = ["-i", sample().to_str().unwrap(), "-map", "0:v", "-map", "1:a"];
    ffmpeg(
        &[&rate[..], &sound, &["-c:v", "libx264", "-c:a", "copy", film.to_str().unwrap()]].concat(),
    );
    film
}

/// An Annex B stream with a caption before the first slice of every picture.
pub fn with_captions(stream: &[u8]) -> Vec<u8> {
    let mut captioned = Vec::with_capacity(stream.len() * 2);
    for (at, &byte) in stream.iter().enumerate() {
        let is_start = stream[at..].starts_with(&[0, 0, 1]);
        // A slice, and its first_mb_in_slice is 0 (a one-bit Exp-Golomb code).
        let is_picture = is_start
            && stream.get(at + 3).is_some_and(|header| matches!(header & 0x1f, 1 | 5))
            && stream.get(at + 4).is_some_and(|first| first & 0x80 != 0);
        if is_picture {
            captioned.extend_from_slice(&CAPTION);
            captioned.push(TRAILING);
        }
        captioned.push(byte);
    }
    captioned
}

fn holds_captions(film: &Path) -> bool {
    fs::read(film).unwrap().windows(4).any(|window| window == b"GA94")
}
