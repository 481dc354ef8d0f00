//! `[encoder]`: the tools, the ladder and the patience of the encoder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::queue::{ApiKey, JobApi, Queue};

/// `[encoder]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Encoder {
    /// The ffmpeg to run: a path, or a name looked up in `PATH`.
    pub ffmpeg: PathBuf,
    /// The ffprobe to run, from the same build.
    pub ffprobe: PathBuf,
    /// Folder for unfinished work; on the store's file system publication is a rename.
    pub work_dir: PathBuf,
    /// Chunks that `encode` works on at once; 0 is one for each core.
    pub threads: u32,
    /// Milliseconds of one group of pictures, the smallest unit that is cut. Rounded to whole
    /// frames of the source's rate.
    pub gop_ms: u32,
    /// x264's trade of CPU time against bits.
    pub preset: Preset,
    /// Whether pictures of a source that are as the top rung of H.264 should be are taken as they are.
    pub copy_top_rung: bool,
    /// Bit rate of each AAC track in kbit/s, for two channels.
    pub audio_bitrate_kbps: u32,
    /// Seconds after which ffmpeg counts as hung when neither frames nor media time nor bytes of
    /// its first output grow, and ffprobe when it writes nothing. Slow presets at large sizes look
    /// ahead for long before their first frame.
    pub stall_s: u32,
    /// How many times the CPU time that its work was seen to need ffmpeg may take before it is ended.
    pub cpu_factor: u32,
    /// What keeps ffmpeg, which reads uploads, from the rest of the machine.
    pub sandbox: Sandbox,
    /// Hours that a version surely stays after another took its place, or its title was deleted:
    /// players in mid-title need it, and no manifest may live longer in caches.
    pub version_grace_h: u32,
    /// Renditions of the recipe that is used where no rule names another, none above the source's
    /// size. What the source cannot fill is left out.
    pub ladder: Vec<Rung>,
    /// Other recipes by name.
    pub recipes: BTreeMap<Name, Recipe>,
    /// Which source gets which recipe: the first rule that fits decides.
    pub rules: Vec<Rule>,
    /// Jobs that wait, and how they are worked on.
    pub queue: Queue,
    /// The job API.
    pub api: JobApi,
}

/// `[encoder.recipes.NAME]`: what is made of a source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Renditions.
    pub ladder: Vec<Rung>,
    /// What is made of each sound.
    #[serde(default = "Audio::plain")]
    pub audio: Vec<Audio>,
    /// Whether a sound of six channels or more is also made with six, beside stereo: in AAC and
    /// Opus.
    #[serde(default)]
    pub surround: bool,
}

/// `[[encoder.recipes.NAME.audio]]`: a track that is made of each sound.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// How it is coded.
    pub codec: AudioCodec,
    /// Its bit rate in kbit/s for two channels. Without it AAC has `encoder.audio_bitrate_kbps`,
    /// Opus three quarters and HE-AAC half of that.
    #[serde(default)]
    pub bitrate_kbps: Option<u32>,
}

/// A codec of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioCodec {
    /// AAC-LC, by ffmpeg itself.
    Aac,
    /// HE-AAC (with SBR), by libfdk-aac.
    HeAac,
    /// Opus, by libopus.
    Opus,
    /// AC-3 and E-AC-3 of the source as they are; other sounds have nothing to pass through.
    Dolby,
}

impl Audio {
    /// What every recipe makes that says nothing of sound.
    #[must_use]
    pub fn plain() -> Vec<Self> {
        vec![Self { codec: AudioCodec::Aac, bitrate_kbps: None }]
    }

    /// Its bit rate in kbit/s for two channels, where AAC has `aac_kbps`.
    #[must_use]
    pub fn stereo_kbps(&self, aac_kbps: u32) -> u32 {
        self.bitrate_kbps.unwrap_or(match self.codec {
            AudioCodec::Aac | AudioCodec::Dolby => aac_kbps,
            AudioCodec::Opus => aac_kbps * 3 / 4,
            AudioCodec::HeAac => aac_kbps / 2,
        })
    }
}

/// `[[encoder.rules]]`: a condition on what a source is. What is left out fits every source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The recipe; empty for the default one, `encoder.ladder`.
    pub recipe: String,
    /// Least pixels of the shorter side.
    pub min_height: Option<u32>,
    /// Most pixels of the shorter side.
    pub max_height: Option<u32>,
    /// Least frames a second.
    pub min_fps: Option<u32>,
    /// Most frames a second.
    pub max_fps: Option<u32>,
    /// Whether its pictures are HDR, PQ or HLG.
    pub hdr: Option<bool>,
    /// The codec of its pictures, as ffmpeg calls it: h264, hevc, prores.
    pub video_codec: Option<String>,
    /// The codec of its main sound, as ffmpeg calls it: aac, ac3, eac3, pcm_s16le.
    pub audio_codec: Option<String>,
    /// Least channels of its main sound; 0 fits films without sound too.
    pub min_channels: Option<u32>,
    /// Least length in seconds.
    pub min_duration_s: Option<u32>,
    /// Most length in seconds.
    pub max_duration_s: Option<u32>,
}

/// A codec of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264, by x264.
    #[default]
    H264,
    /// H.265, by x265.
    Hevc,
    /// AV1, by SVT-AV1.
    Av1,
}

impl Encoder {
    /// The defaults, with one of each thing that there is none of by default.
    pub(crate) fn every_key() -> Self {
        let rung = Rung {
            height: 2160,
            max_bitrate_kbps: 16_000,
            crf: 24,
            codec: VideoCodec::Hevc,
            hdr: true,
        };
        let audio = [
            Audio { codec: AudioCodec::Aac, bitrate_kbps: Some(128) },
            Audio { codec: AudioCodec::Opus, bitrate_kbps: Some(96) },
        ];
        let recipe = Recipe { ladder: vec![rung], audio: audio.into(), surround: true };
        let rule = Rule {
            recipe: "main".to_owned(),
            min_height: Some(1440),
            max_height: Some(4320),
            min_fps: Some(1),
            max_fps: Some(120),
            hdr: Some(true),
            video_codec: Some("hevc".to_owned()),
            audio_codec: Some("eac3".to_owned()),
            min_channels: Some(6),
            min_duration_s: Some(60),
            max_duration_s: Some(36_000),
        };
        let main = "main".parse().expect("a name");
        let api = JobApi { keys: vec![ApiKey::example()], ..JobApi::default() };
        Self {
            recipes: BTreeMap::from([(main, recipe)]),
            rules: vec![rule],
            api,
            ..Self::default()
        }
    }
}

/// Who shuts ffmpeg in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// The encoder: namespaces without a network. Where the machine refuses them, so does it.
    #[default]
    Namespaces,
    /// What surrounds the encoder, a container or a unit without a network.
    Outer,
}

/// `[[encoder.ladder]]`: one video rendition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Height in pixels, even; of a portrait source, the shorter side.
    pub height: u32,
    /// The cap in kbit/s (`maxrate`); the buffer is two seconds of it.
    pub max_bitrate_kbps: u32,
    /// The encoder's constant rate factor: less is better and larger.
    pub crf: u32,
    /// How it is coded.
    #[serde(default)]
    pub codec: VideoCodec,
    /// Whether HDR of the source is kept, in HEVC or AV1; it is toned down to SDR otherwise.
    #[serde(default)]
    pub hdr: bool,
}

/// x264's presets, fastest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are x264's own")]
pub enum Preset {
    Ultrafast,
    Superfast,
    #[default]
    Veryfast,
    Faster,
    Fast,
    Medium,
    Slow,
    Slower,
    Veryslow,
}

impl Preset {
    /// The word that ffmpeg's `-preset` takes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
            Self::Slower => "slower",
            Self::Veryslow => "veryslow",
        }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        let rung = |height, max_bitrate_kbps| Rung {
            height,
            max_bitrate_kbps,
            crf: 23,
            codec: VideoCodec::H264,
            hdr: false,
        };
        Self {
            ffmpeg: PathBuf::from("ffmpeg"),
            ffprobe: PathBuf::from("ffprobe"),
            work_dir: PathBuf::from("./data/work"),
            threads: 0,
            gop_ms: 2_000,
            preset: Preset::default(),
            copy_top_rung: false,
            audio_bitrate_kbps: 128,
            stall_s: 60,
            cpu_factor: 5,
            sandbox: Sandbox::default(),
            version_grace_h: 24,
            ladder: vec![rung(1080, 6_000), rung(720, 3_500), rung(480, 1_600), rung(360, 900)],
            recipes: BTreeMap::new(),
            rules: Vec::new(),
            queue: Queue::default(),
            api: JobApi::default(),
        }
    }
}
