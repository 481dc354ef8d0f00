//! Reads the test film's bar code and beeps, by the description in `sample`.

use std::path::Path;

use crate::lab::{ffmpeg, ffprobe};

/// The frame number that each picture shows; `None` where the bar code contradicts itself.
pub fn codes(film: &Path) -> Vec<Option<u32>> {
    let film = film.to_str().unwrap();
    let shape = ffprobe(&[
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=width,height",
        "-of",
        "csv=p=0",
        film,
    ]);
    let (width, height) = shape.trim().split_once(',').unwrap();
    let (width, height): (usize, usize) = (width.parse().unwrap(), height.parse().unwrap());
    let pixels = ffmpeg(&[
        "-i",
        film,
        "-map",
        "0:v:0",
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-",
    ]);
    pixels.chunks_exact(width * height).map(|picture| code(picture, width, height)).collect()
}

fn code(picture: &[u8], width: usize, height: usize) -> Option<u32> {
    // The middle of the strip, which is a ninth of the height.
    let row = &picture[height / 18 * width..][..width];
    let is_white = |cell: usize| u32::from(row[(2 * cell + 1) * width / 40] > 127);
    let number = (2..18).fold(0, |number, cell| number << 1 | is_white(cell));
    let frame = [is_white(0), is_white(1), is_white(18), is_white(19)];
    (frame == [1, 0, number.count_ones() % 2, 1]).then_some(number)
}

/// The samples, at 48 kHz, at which a beep starts.
pub fn beeps(film: &Path) -> Vec<usize> {
    const LOUD: u16 = 1600;
    const APART: usize = 4800;
    // What an edit list hides comes before 0.
    let sound = ffmpeg(&[
        "-copyts",
        "-i",
        film.to_str().unwrap(),
        "-map",
        "0:a:0",
        "-af",
        "atrim=start=0",
        "-ac",
        "1",
        "-ar",
        "48000",
        "-f",
        "s16le",
        "-",
    ]);
    let mut starts = Vec::new();
    let mut last_loud: Option<usize> = None;
    for (at, sample) in sound.chunks_exact(2).enumerate() {
        if i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs() > LOUD {
            if last_loud.is_none_or(|last| at - last > APART) {
                starts.push(at);
            }
            last_loud = Some(at);
        }
    }
    starts
}

/// Whether beeps start at `wanted`, in milliseconds, to 5 ms: a frame of sound too many or too few
/// would be 21 ms. One at 0 comes up slowly, as the decoder does not know what came before.
pub fn assert_beeps(film: &Path, wanted_ms: &[usize]) {
    let got = beeps(film);
    let near = |(got, &wanted_ms): (&usize, &usize)| {
        let slack = if wanted_ms == 0 { 1024 } else { 240 };
        got.abs_diff(wanted_ms * 48) <= slack
    };
    assert!(
        got.len() == wanted_ms.len() && got.iter().zip(wanted_ms).all(near),
        "{}: beeps at samples {got:?}, wanted {wanted_ms:?} ms",
        film.display()
    );
}

/// Whether the pictures show `wanted`, one after the other.
pub fn assert_codes(film: &Path, wanted: std::ops::Range<u32>) {
    let wanted: Vec<_> = wanted.map(Some).collect();
    assert_eq!(codes(film), wanted, "{}", film.display());
}
