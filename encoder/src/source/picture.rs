//! What a picture is: how it is to be shown, in which colours, and what of it is not taken.
//!
//! Sizes here are those of the picture as a player shows it: upright and with square pixels.

use serde::{Deserialize, Serialize};

use super::refusal;
use crate::error::Error;
use crate::limits;
use crate::probe::Stream;

/// The light that sample values stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Light {
    /// As on any screen: BT.709 and its like.
    Sdr,
    /// SDR in the wide gamut of BT.2020.
    Wide,
    /// High dynamic range, SMPTE ST 2084.
    Pq,
    /// High dynamic range, ARIB STD-B67.
    Hlg,
}

impl Light {
    /// Whether it is high dynamic range.
    pub fn is_hdr(self) -> bool {
        matches!(self, Self::Pq | Self::Hlg)
    }

    /// The word for it in rules, and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sdr => "sdr",
            Self::Wide => "wide",
            Self::Pq => "pq",
            Self::Hlg => "hlg",
        }
    }
}

/// Refuses what cannot be shown rightly.
pub fn check(video: &Stream) -> Result<(), Error> {
    let refuse = |found: &str, remedy: &str| Err(refusal(video, found, remedy));
    if video.codec_name.is_none() {
        return refuse("a codec that ffmpeg does not know", "convert the source first");
    }
    let (width, height) = (video.width.unwrap_or(0), video.height.unwrap_or(0));
    if width == 0 || height == 0 {
        return refuse(
            &format!("a picture without a size, or of more than {} pixels", limits::PIXELS),
            "scale it down first, or convert it to MP4",
        );
    }
    if width.min(height) < limits::LEAST_SIDE {
        return refuse(
            &format!("a picture of {width}x{height} pixels"),
            &format!("each side needs at least {} pixels", limits::LEAST_SIDE),
        );
    }
    if u64::from(width) * u64::from(height) > limits::PIXELS {
        return refuse(
            &format!("a picture of {width}x{height} pixels"),
            &format!("scale it to at most {} pixels first", limits::PIXELS),
        );
    }
    let (shown_width, shown_height) = shown(video);
    let is_possible = shown_width.min(shown_height) >= limits::LEAST_SIDE
        && u64::from(shown_width) * u64::from(shown_height) <= limits::PIXELS;
    if !is_possible {
        let ratio = video.sample_aspect_ratio.as_deref().unwrap_or("1:1");
        return refuse(
            &format!(
                "pixels of shape {ratio}, which make a picture of {shown_width}x{shown_height}"
            ),
            "write the right pixel shape into it first (ffmpeg's filter setsar)",
        );
    }
    if let Some(degrees) = rotation(video).filter(|degrees| degrees % 90.0 != 0.0) {
        return refuse(
            &format!("a picture to be rotated by {degrees} degrees"),
            "turn the source upright first: quarter turns are taken, others not",
        );
    }
    match dolby_vision(video) {
        Some((profile, 0)) => refuse(
            &format!(
                "Dolby Vision of profile {profile}, whose base layer no other decoder shows rightly"
            ),
            "export it as HDR10, HLG or SDR first",
        ),
        _ => Ok(()),
    }
}

/// Width and height as shown: pixels made square by width alone, so that no line is made up, and
/// then turned.
pub fn shown(video: &Stream) -> (u32, u32) {
    let (width, height) = (video.width.unwrap_or(0), video.height.unwrap_or(0));
    let width = match square(video.sample_aspect_ratio.as_deref(), width) {
        Some((num, den)) => {
            let wide = (u64::from(width) * num + den / 2) / den;
            u32::try_from(wide).unwrap_or(u32::MAX)
        }
        None => width,
    };
    let is_turned = rotation(video).is_some_and(|degrees| degrees.rem_euclid(180.0) == 90.0);
    if is_turned { (height, width) } else { (width, height) }
}

/// The shape of the pixels, where it changes the width by a pixel or more: scalers that round to
/// even sizes leave lesser ones behind (854x480 with 1280:1281). 0:1 means unknown.
fn square(ratio: Option<&str>, width: u32) -> Option<(u64, u64)> {
    let (num, den) = ratio?.split_once(':')?;
    let (num, den): (u64, u64) = (num.parse().ok()?, den.parse().ok()?);
    let is_known = num != 0 && den != 0 && num <= u32::MAX.into() && den <= u32::MAX.into();
    (is_known && num.abs_diff(den).saturating_mul(u64::from(width)) >= den).then_some((num, den))
}

/// Degrees by which the picture is to be turned, where it is; ffmpeg turns it as it decodes.
pub fn rotation(video: &Stream) -> Option<f64> {
    let rotation = video.side_data_list.iter().find_map(|data| data.rotation);
    rotation.filter(|&degrees| degrees != 0.0)
}

/// The field order in words, of a stream that says it is interlaced.
pub fn interlaced(video: &Stream) -> Option<&'static str> {
    match video.field_order.as_deref()? {
        "tt" | "tb" => Some("top field first"),
        "bb" | "bt" => Some("bottom field first"),
        _ => None,
    }
}

/// Dolby Vision's profile, and with what its base layer is compatible (0: nothing).
fn dolby_vision(video: &Stream) -> Option<(u32, u32)> {
    let data = video.side_data_list.iter().find(|d| d.side_data_type.starts_with("DOVI"))?;
    Some((data.dv_profile.unwrap_or(0), data.dv_bl_signal_compatibility_id.unwrap_or(0)))
}

/// What light the samples stand for, by what the stream says.
pub fn light(video: &Stream) -> Light {
    match (video.color_transfer.as_deref(), video.color_primaries.as_deref()) {
        (Some("smpte2084"), _) => Light::Pq,
        (Some("arib-std-b67"), _) => Light::Hlg,
        (_, Some("bt2020")) => Light::Wide,
        _ => Light::Sdr,
    }
}

/// More than 8 bits a sample. ffmpeg's names put the bits last (`yuv420p10le`, `gray12be`).
pub fn is_deep(video: &Stream) -> bool {
    let pix_fmt = video.pix_fmt.as_deref().unwrap_or("");
    let name = pix_fmt.trim_end_matches("le").trim_end_matches("be");
    let planar = ["p9", "p10", "p12", "p14", "p16", "y10", "y12", "y14", "y16"];
    let packed = ["p010", "p012", "p016", "p210", "p216", "p410", "p416", "x2rgb10", "x2bgr10"];
    planar.iter().any(|end| name.ends_with(end))
        || packed.contains(&name)
        || ["rgb48", "bgr48", "rgba64", "bgra64", "y210", "xyz12"].contains(&name)
}

/// Red, green and blue, without a matrix yet.
pub fn is_rgb(video: &Stream) -> bool {
    let pix_fmt = video.pix_fmt.as_deref().unwrap_or("");
    ["gbr", "rgb", "bgr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8"]
        .iter()
        .any(|prefix| pix_fmt.starts_with(prefix))
}

/// Luma from 0 to 255 and not from 16 to 235.
pub fn is_full_range(video: &Stream) -> bool {
    let pix_fmt = video.pix_fmt.as_deref().unwrap_or("");
    video.color_range.as_deref() == Some("pc") || pix_fmt.starts_with("yuvj")
}

/// Neither matrix nor primaries are said.
pub fn is_untagged(video: &Stream) -> bool {
    let is_said = |tag: &Option<String>| {
        tag.as_deref().is_some_and(|tag| !matches!(tag, "unknown" | "unspecified" | "reserved"))
    };
    !is_said(&video.color_space) && !is_said(&video.color_primaries)
}

/// Colours that are not said, by ffmpeg's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// How luma and chroma are made.
    pub matrix: &'static str,
    /// What red, green and blue are.
    pub primaries: &'static str,
    /// How light becomes numbers.
    pub transfer: &'static str,
    /// For people.
    pub in_words: &'static str,
}

/// What players take a picture of so many lines for that says nothing. They look at each rendition, so
/// that the small ones of an HD film would be shown in other colours than the large ones: it is said
/// of all what is true of the source.
pub fn usual_colours(lines: u32) -> Colours {
    let (matrix, primaries, transfer, in_words) = match lines {
        720.. => ("bt709", "bt709", "bt709", "those of HD (BT.709)"),
        576 => ("bt470bg", "bt470bg", "smpte170m", "those of PAL (BT.601)"),
        _ => ("smpte170m", "smpte170m", "smpte170m", "those of SD (BT.601)"),
    };
    Colours { matrix, primaries, transfer, in_words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::SideData;

    fn stream(width: u32, height: u32, ratio: &str, rotation: f64) -> Stream {
        let turned = SideData { rotation: Some(rotation), ..SideData::default() };
        Stream {
            width: Some(width),
            height: Some(height),
            sample_aspect_ratio: Some(ratio.to_owned()),
            side_data_list: vec![turned],
            ..Stream::default()
        }
    }

    #[test]
    fn shown_sizes() {
        let table = [
            (stream(1920, 1080, "1:1", 0.0), (1920, 1080)),
            (stream(720, 576, "16:15", 0.0), (768, 576)),
            (stream(720, 480, "8:9", 0.0), (640, 480)),
            (stream(1440, 1080, "4:3", 0.0), (1920, 1080)),
            (stream(854, 480, "1280:1281", 0.0), (854, 480)),
            (stream(1920, 1080, "0:1", 0.0), (1920, 1080)),
            (stream(1920, 1080, "1:1", -90.0), (1080, 1920)),
            (stream(1920, 1080, "1:1", 180.0), (1920, 1080)),
            (stream(720, 576, "64:45", 270.0), (576, 1024)),
            (stream(640, 360, "1:0", 0.0), (640, 360)),
        ];
        for (stream, wanted) in table {
            assert_eq!(shown(&stream), wanted, "{stream:?}");
        }
    }

    #[test]
    fn colours_that_are_not_said() {
        let said = |space: Option<&str>| Stream {
            color_space: space.map(str::to_owned),
            ..stream(1920, 1080, "1:1", 0.0)
        };
        let table = [(None, true), (Some("unknown"), true), (Some("bt709"), false)];
        for (space, wanted) in table {
            assert_eq!(is_untagged(&said(space)), wanted, "{space:?}");
        }
        let table = [(2160, "bt709"), (720, "bt709"), (576, "bt470bg"), (480, "smpte170m")];
        for (lines, matrix) in table {
            assert_eq!(usual_colours(lines).matrix, matrix, "{lines}");
        }
    }

    #[test]
    fn depths() {
        let deep = ["yuv420p10le", "yuv422p12be", "gray10le", "p010le", "gbrp16le", "rgb48be"];
        let flat = ["yuv420p", "yuvj444p", "nv12", "rgb24", "gray", "pal8", "yuv410p", "bgr0"];
        let of = |pix_fmt: &str| Stream { pix_fmt: Some(pix_fmt.to_owned()), ..Stream::default() };
        assert!(deep.iter().all(|name| is_deep(&of(name))));
        assert!(!flat.iter().any(|name| is_deep(&of(name))));
    }
}
