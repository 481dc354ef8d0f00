//! What ffprobe says of a source: its JSON, read into plain types and nothing decided.
//!
//! Every field is optional, as containers leave out what they like. `source` decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::grid::Rate;
use crate::limits;

/// What ffprobe is asked for (`-show_entries`): every field below and no other. Comments and
/// descriptions, as long as an archive likes, stay where they are.
pub const ENTRIES: &str = "format=format_name,duration,size:\
    stream=index,codec_type,codec_name,profile,width,height,closed_captions,pix_fmt,\
    sample_aspect_ratio,field_order,color_range,color_space,color_transfer,color_primaries,\
    r_frame_rate,avg_frame_rate,time_base,nb_frames,sample_rate,channels,channel_layout:\
    stream_disposition:stream_tags=language:stream_side_data=side_data_type,rotation,\
    dv_profile,dv_bl_signal_compatibility_id";

/// ffprobe's answer to [`ENTRIES`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Probe {
    /// Every stream, in file order.
    pub streams: Vec<Stream>,
    /// The container.
    pub format: Format,
}

/// The container.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Format {
    /// Names of the demuxer, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format_name: String,
    /// Seconds.
    pub duration: Option<String>,
    /// Bytes.
    pub size: Option<String>,
}

/// One stream.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are ffprobe's own")]
pub struct Stream {
    pub index: u32,
    pub codec_type: Option<String>,
    pub codec_name: Option<String>,
    pub profile: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub closed_captions: Option<u32>,
    pub pix_fmt: Option<String>,
    pub sample_aspect_ratio: Option<String>,
    pub field_order: Option<String>,
    pub color_range: Option<String>,
    pub color_space: Option<String>,
    pub color_transfer: Option<String>,
    pub color_primaries: Option<String>,
    pub r_frame_rate: Option<String>,
    pub avg_frame_rate: Option<String>,
    pub time_base: Option<String>,
    pub nb_frames: Option<String>,
    pub sample_rate: Option<String>,
    pub channels: Option<u32>,
    pub channel_layout: Option<String>,
    pub disposition: BTreeMap<String, u32>,
    pub tags: BTreeMap<String, String>,
    pub side_data_list: Vec<SideData>,
}

/// Side data of a stream: rotation, mastering display and the like.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are ffprobe's own")]
pub struct SideData {
    pub side_data_type: String,
    pub rotation: Option<f64>,
    pub dv_profile: Option<u32>,
    pub dv_bl_signal_compatibility_id: Option<u32>,
}

impl Probe {
    /// Reads ffprobe's JSON.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let probe: Self = serde_json::from_slice(json).map_err(|e| {
            Error::tool(format!(
                "ffprobe's answer cannot be read ({e}); is `encoder.ffprobe` an ffprobe?"
            ))
        })?;
        if probe.streams.len() > limits::STREAMS {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the source has {} streams, at most {} are taken; remux it with the ones that matter",
                    probe.streams.len(),
                    limits::STREAMS
                ),
            ));
        }
        Ok(probe)
    }
}

impl Format {
    /// Seconds that the container promises, where it does.
    pub fn duration_s(&self) -> Option<f64> {
        self.duration.as_deref()?.parse().ok()
    }
}

impl Stream {
    /// Whether it is a moving picture and not a cover.
    pub fn is_video(&self) -> bool {
        self.codec_type.as_deref() == Some("video")
            && !self.has("attached_pic")
            && !self.has("still_image")
    }

    /// Whether it is sound.
    pub fn is_audio(&self) -> bool {
        self.codec_type.as_deref() == Some("audio")
    }

    /// Whether it is subtitles, as text or as pictures.
    pub fn is_subtitle(&self) -> bool {
        self.codec_type.as_deref() == Some("subtitle")
    }

    /// Whether its subtitles are words that ffmpeg can write as WebVTT.
    pub fn is_text(&self) -> bool {
        matches!(self.codec(), "mov_text" | "subrip" | "srt" | "webvtt" | "ass" | "ssa" | "text")
    }

    /// Whether a disposition is set.
    pub fn has(&self, disposition: &str) -> bool {
        self.disposition.get(disposition).is_some_and(|&set| set != 0)
    }

    /// The codec's name, `unknown` without one.
    pub fn codec(&self) -> &str {
        self.codec_name.as_deref().unwrap_or("unknown")
    }

    /// Seconds for each tick of this stream's time stamps, as a fraction.
    pub fn time_base(&self) -> Option<(u32, u32)> {
        let (num, den) = self.time_base.as_deref()?.split_once('/')?;
        let (num, den) = (num.parse().ok()?, den.parse().ok()?);
        (num != 0 && den != 0).then_some((num, den))
    }

    /// Frame rates that the container or the bitstream claims, the likelier first.
    pub fn claimed_rates(&self) -> impl Iterator<Item = Rate> {
        [&self.r_frame_rate, &self.avg_frame_rate]
            .into_iter()
            .filter_map(|text| Rate::parse(text.as_deref()?))
            .filter(|rate| rate.num() <= limits::RATE_NUMERATOR)
    }

    /// For messages: `stream 0 (video, h264 1920x1080)`.
    pub fn describe(&self) -> String {
        let kind = self.codec_type.as_deref().unwrap_or("unknown");
        let codec = self.codec();
        let detail = match (self.width, self.height, self.channels) {
            (Some(width), Some(height), _) => format!(" {width}x{height}"),
            (_, _, Some(channels)) => format!(" {}", channels_in_words(channels)),
            _ => String::new(),
        };
        format!("stream {} ({kind}, {codec}{detail})", self.index)
    }
}

/// `mono`, `stereo`, `6 channels`.
pub fn channels_in_words(channels: u32) -> String {
    match channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        more => format!("{more} channels"),
    }
}
