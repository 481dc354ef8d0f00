//! The beeps of a generated sound: 50 ms of 1 kHz, one at the start of every second.

use crate::ffmpeg::ffmpeg;

/// Samples per second that sound is decoded to.
pub const RATE: usize = 48_000;
/// Samples of an AAC frame: how far off a beep may be heard.
pub const FRAME: usize = 1024;

/// Samples that are looked at together: 1 ms.
const WINDOW: usize = 48;
/// Silence before a beep, in windows; what rings on inside one is not a new one.
const SILENCE: usize = 40;

/// One stream of an input as mono samples.
pub fn samples(input: &str, stream: &str) -> Vec<i16> {
    let pcm =
        ffmpeg(&["-i", input, "-map", stream, "-ac", "1", "-ar", "48000", "-f", "s16le", "pipe:1"]);
    pcm.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Where beeps begin, in samples.
pub fn onsets(samples: &[i16]) -> Vec<usize> {
    let peaks: Vec<u16> = samples
        .chunks(WINDOW)
        .map(|window| window.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0))
        .collect();
    // A quarter of the loudest: above what a codec smears before a sound, below the sound.
    let loud = peaks.iter().max().copied().unwrap_or(0) / 4;
    assert!(loud > 100, "there is no sound in it");
    let mut found = Vec::new();
    let mut quiet = SILENCE;
    for (i, &peak) in peaks.iter().enumerate() {
        if peak < loud {
            quiet += 1;
            continue;
        }
        if quiet >= SILENCE {
            found.push(i * WINDOW);
        }
        quiet = 0;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_beep_is_found_once_where_it_begins() {
        let mut sound = vec![3i16; 3 * RATE];
        for start in [0, RATE, 2 * RATE + 480] {
            for (i, sample) in sound[start..start + RATE / 20].iter_mut().enumerate() {
                *sample = if i % 48 < 24 { 8000 } else { -8000 };
            }
        }
        assert_eq!(onsets(&sound), [0, RATE, 2 * RATE + 480]);
    }
}
