//! Which renditions a source gets: the operator's ladder, never above the source's size or rate.
//!
//! A rung's height is the shorter side of the picture, so a portrait film gets the same quality as
//! a landscape one. A source below the ladder's top is its own top rung.

use headwater_config::{Rung as Wanted, VideoCodec};
use headwater_packager::ids::TrackId;
use serde::{Deserialize, Serialize};

use crate::grid::Rate;

/// One rendition to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// `v` and the shorter side, and the codec where it is not H.264.
    pub track: TrackId,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// The encoder's `maxrate`; the buffer is two seconds of it.
    pub max_kbps: u32,
    /// The encoder's constant rate factor.
    pub crf: u32,
    /// How it is coded.
    pub codec: VideoCodec,
    /// Its samples.
    pub look: Look,
}

/// What a rung's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
    /// SDR of 8 bits.
    Flat,
    /// SDR of 10 bits.
    Deep,
    /// The source's HDR, of 10 bits.
    Hdr,
}

/// What of a source decides its ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second.
    pub rate: Rate,
    /// What AVC would need for the source's busiest GOP, in kbit/s: no rung is let above it.
    pub peak_kbps: u32,
    /// More than 8 bits a sample.
    pub is_deep: bool,
    /// High dynamic range.
    pub is_hdr: bool,
}

/// A rung this near in size below a source that is its own top rung is left out, in percent.
const TOO_NEAR_PERCENT: u32 = 85;
/// Pixel shape that a rung's bit rate is meant for.
const MEANT_FOR: (u32, u32) = (16, 9);
/// Least cap in kbit/s, whatever the source has.
const LEAST_KBPS: u32 = 50;

/// The rungs for `picture`, codec by codec, the largest of each first; `ladder` is not empty.
pub fn rungs(picture: Picture, ladder: &[Wanted]) -> Vec<Rung> {
    let of = |codec| ladder.iter().filter(move |wanted| wanted.codec == codec).collect();
    let codecs = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1];
    codecs.into_iter().flat_map(|codec| rungs_of(picture, of(codec))).collect()
}

/// The rungs of one codec.
fn rungs_of(picture: Picture, mut wanted: Vec<&Wanted>) -> Vec<Rung> {
    wanted.sort_by_key(|rung| std::cmp::Reverse(rung.height));
    wanted.dedup_by_key(|rung| rung.height);
    let short = even(picture.width.min(picture.height));
    let (above, mut below): (Vec<&Wanted>, Vec<&Wanted>) =
        wanted.into_iter().partition(|rung| rung.height > short);
    let mut rungs = Vec::with_capacity(below.len() + 1);
    // Without a rung of the source's own size, the next above lends its quality.
    if let Some(lender) = above.last()
        && below.first().is_none_or(|rung| rung.height < short)
    {
        below.retain(|rung| rung.height * 100 <= short * TOO_NEAR_PERCENT);
        let (w, h) = MEANT_FOR;
        let side = u64::from(lender.height);
        let meant_pixels = side * side * u64::from(w) / u64::from(h);
        let kbps = scaled(lender.max_bitrate_kbps, pixels(picture), meant_pixels);
        rungs.push(rung(picture, short, kbps, lender));
    }
    rungs.extend(
        below.iter().map(|wanted| rung(picture, wanted.height, wanted.max_bitrate_kbps, wanted)),
    );
    rungs
}

fn rung(picture: Picture, short: u32, max_kbps: u32, like: &Wanted) -> Rung {
    let (source_short, source_long) =
        (picture.width.min(picture.height), picture.width.max(picture.height));
    let short = even(short);
    let long = if short == even(source_short) {
        even(source_long)
    } else {
        nearest_even(source_long, short, source_short)
    };
    let (width, height) =
        if picture.width < picture.height { (short, long) } else { (long, short) };
    let source_share =
        scaled(picture.peak_kbps, u64::from(width) * u64::from(height), pixels(picture));
    let (suffix, is_new) = match like.codec {
        VideoCodec::H264 => ("", false),
        VideoCodec::Hevc => ("-hevc", true),
        VideoCodec::Av1 => ("-av1", true),
    };
    Rung {
        track: format!("v{short}{suffix}").parse().expect("v, digits and a word"),
        width,
        height,
        max_kbps: max_kbps.min(source_share).max(LEAST_KBPS),
        crf: like.crf,
        codec: like.codec,
        look: match () {
            () if is_new && like.hdr && picture.is_hdr => Look::Hdr,
            // Every player of these codecs decodes 10 bits; of H.264 few do.
            () if is_new && picture.is_deep => Look::Deep,
            () => Look::Flat,
        },
    }
}

fn pixels(picture: Picture) -> u64 {
    u64::from(picture.width) * u64::from(picture.height)
}

fn even(side: u32) -> u32 {
    (side & !1).max(2)
}

/// `long * short / of`, to the nearest even number.
fn nearest_even(long: u32, short: u32, of: u32) -> u32 {
    let (long, short, of) = (u64::from(long), u64::from(short), u64::from(of));
    let halves = (long * short + of) / (2 * of);
    u32::try_from(halves * 2).expect("no longer than the source").max(2)
}

/// A bit rate for another picture size: by the power .75 of the pixels, as small pictures need
/// more bits for each pixel. Whole numbers, so that a plan is the same on every machine.
fn scaled(kbps: u32, to_pixels: u64, from_pixels: u64) -> u32 {
    const ONE: u64 = 1_000_000;
    let ratio = to_pixels * ONE / from_pixels.max(1);
    let root = (ratio * ONE).isqrt();
    let power = (ratio * root).isqrt();
    u32::try_from(u64::from(kbps) * power / ONE).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_config::Encoder;
    use proptest::prelude::*;

    fn picture(width: u32, height: u32, peak_kbps: u32) -> Picture {
        Picture {
            width,
            height,
            rate: Rate::parse("24").unwrap(),
            peak_kbps,
            is_deep: false,
            is_hdr: false,
        }
    }

    fn shown(rungs: &[Rung]) -> String {
        let shown: Vec<String> = rungs
            .iter()
            .map(|r| format!("{} {}x{} {}k", r.track, r.width, r.height, r.max_kbps))
            .collect();
        shown.join(", ")
    }

    #[test]
    fn ladders() {
        let table = [
            (
                (1920, 1080, 50_000),
                "v1080 1920x1080 6000k, v720 1280x720 3500k, v480 854x480 1600k, v360 640x360 900k",
            ),
            (
                (3840, 2160, 50_000),
                "v1080 1920x1080 6000k, v720 1280x720 3500k, v480 854x480 1600k, v360 640x360 900k",
            ),
            // 720 is too near 800; 800 lines of 1920 are fewer pixels than the 1080 rung is for.
            ((1920, 800, 50_000), "v800 1920x800 4790k, v480 1152x480 1600k, v360 864x360 900k"),
            ((768, 432, 50_000), "v432 768x432 1366k, v360 640x360 900k"),
            // A source of 600 kbit/s at its busiest is not blown up.
            ((768, 432, 600), "v432 768x432 600k, v360 640x360 456k"),
            ((1280, 720, 50_000), "v720 1280x720 3500k, v480 854x480 1600k, v360 640x360 900k"),
            ((320, 180, 50_000), "v180 320x180 318k"),
            ((160, 90, 10), "v90 160x90 50k"),
            // Odd sizes lose a line; portrait goes by its shorter side.
            ((853, 479, 50_000), "v478 852x478 1597k, v360 642x360 900k"),
            (
                (1080, 1920, 50_000),
                "v1080 1080x1920 6000k, v720 720x1280 3500k, v480 480x854 1600k, v360 360x640 900k",
            ),
        ];
        for ((width, height, peak), wanted) in table {
            let rungs = rungs(picture(width, height, peak), &Encoder::default().ladder);
            assert_eq!(shown(&rungs), wanted, "{width}x{height} {peak}k");
        }
    }

    #[test]
    fn codecs_and_depths() {
        let wanted =
            |codec, height, hdr| Wanted { height, max_bitrate_kbps: 5000, crf: 23, codec, hdr };
        let ladder = [
            wanted(VideoCodec::Av1, 1080, false),
            wanted(VideoCodec::H264, 1080, false),
            wanted(VideoCodec::Hevc, 2160, true),
            wanted(VideoCodec::Hevc, 720, false),
        ];
        let hdr = Picture { is_deep: true, is_hdr: true, ..picture(1920, 1080, 9000) };
        let looks = |picture| {
            let rungs = rungs(picture, &ladder).into_iter();
            rungs.map(|r| format!("{} {:?}", r.track, r.look)).collect::<Vec<_>>()
        };
        let wanted = ["v1080 Flat", "v1080-hevc Hdr", "v720-hevc Deep", "v1080-av1 Deep"];
        assert_eq!(looks(hdr), wanted);
        let flat = ["v1080 Flat", "v1080-hevc Flat", "v720-hevc Flat", "v1080-av1 Flat"];
        assert_eq!(looks(picture(1920, 1080, 9000)), flat);
    }

    proptest! {
        #[test]
        fn no_rung_is_above_its_source(
            width in 32..8192u32, height in 32..4320u32, peak_kbps in 1..100_000u32,
        ) {
            let rungs = rungs(picture(width, height, peak_kbps), &Encoder::default().ladder);
            prop_assert!(!rungs.is_empty());
            for rung in &rungs {
                prop_assert!(rung.width <= width && rung.height <= height, "{:?}", rung);
                prop_assert!(rung.width % 2 == 0 && rung.height % 2 == 0, "{:?}", rung);
                prop_assert!(rung.max_kbps <= peak_kbps.max(LEAST_KBPS), "{:?}", rung);
            }
            prop_assert!(rungs.windows(2).all(|pair| pair[0].height * pair[0].width > pair[1].height * pair[1].width));
        }
    }
}
