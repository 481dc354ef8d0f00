//! The frame number that a generated picture carries as a bar code.
//!
//! A strip at the top of the picture, as wide as it is and a ninth of its height: 20 equal cells,
//! white, black, 16 bits of the frame's number from the highest (white is 1), even parity, white.

use crate::ffmpeg::ffmpeg;

/// Cells of the strip, and so bytes of a frame that was scaled down to one byte a cell.
const CELLS: usize = 20;
/// A cell darker than this is black; 16 is coded black, 235 coded white.
const BLACK: u8 = 90;
/// A cell brighter than this is white. What lies between is neither.
const WHITE: u8 = 160;

/// The numbers that the frames of some streams of an input carry, in the order they are shown.
///
/// `streams` are ffmpeg's names (`0:v:0`). A frame whose strip cannot be read is an error in its
/// place.
pub fn read(input: &str, streams: &[String]) -> Vec<Vec<Result<u16, String>>> {
    let folder = crate::scratch::folder();
    let outputs: Vec<_> =
        (0..streams.len()).map(|i| folder.path().join(format!("{i}.gray"))).collect();
    // The middle half of the strip, so that neither its lower edge nor the picture's bleeds in.
    let strip = "crop=iw:ih/18:0:ih/36,scale=20:1:flags=area,format=gray";
    let mut args = vec!["-i", input];
    for (stream, output) in streams.iter().zip(&outputs) {
        args.extend(["-map", stream, "-vf", strip, "-fps_mode", "passthrough"]);
        args.extend(["-f", "rawvideo", "-y", crate::ffmpeg::path(output)]);
    }
    ffmpeg(&args);
    outputs.iter().map(|output| strips(&std::fs::read(output).unwrap())).collect()
}

fn strips(gray: &[u8]) -> Vec<Result<u16, String>> {
    assert_eq!(gray.len() % CELLS, 0, "whole frames");
    gray.chunks(CELLS).map(number).collect()
}

/// The number in one strip.
fn number(cells: &[u8]) -> Result<u16, String> {
    let bits: Option<Vec<bool>> = cells
        .iter()
        .map(|&cell| match cell {
            0..BLACK => Some(false),
            WHITE.. => Some(true),
            _ => None,
        })
        .collect();
    let Some([true, false, number @ .., parity, true]) = bits.as_deref() else {
        return Err(format!("no bar code in {cells:?}"));
    };
    let ones = number.iter().filter(|&&bit| bit).count();
    if (ones % 2 == 1) != *parity {
        return Err(format!("wrong parity in {cells:?}"));
    }
    Ok(number.iter().fold(0, |n, &bit| n << 1 | u16::from(bit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_are_read_and_damage_is_seen() {
        let mut cells = [16u8; CELLS];
        for white in [0, 17, 15, 19] {
            cells[white] = 235;
        }
        assert_eq!(number(&cells), Ok(0b101));
        for (at, value) in [(0, 16), (1, 235), (19, 16), (18, 235), (5, 235), (5, 128)] {
            let mut bad = cells;
            bad[at] = value;
            assert!(number(&bad).is_err(), "cell {at} as {value}");
        }
    }
}
