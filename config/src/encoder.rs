//! `[encoder]`: the tools, the ladder and the patience of the encoder.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    /// Threads for one encode; 0 is one for each core.
    pub threads: u32,
    /// Milliseconds of one group of pictures, the smallest unit that is cut. Rounded to whole
    /// frames of the source's rate.
    pub gop_ms: u32,
    /// x264's trade of CPU time against bits.
    pub preset: Preset,
    /// Bit rate of each AAC track in kbit/s, for two channels.
    pub audio_bitrate_kbps: u32,
    /// Seconds after which ffmpeg counts as hung when neither frames nor media time nor bytes of
    /// its first output grow, and ffprobe when it writes nothing. Slow presets at large sizes look
    /// ahead for long before their first frame.
    pub stall_s: u32,
    /// Hours that a version surely stays after another took its place, or its title was deleted:
    /// players in mid-title need it, and no manifest may live longer in caches.
    pub version_grace_h: u32,
    /// Renditions, none above the source's size. What the source cannot fill is left out.
    pub ladder: Vec<Rung>,
}

/// `[[encoder.ladder]]`: one video rendition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Height in pixels, even; of a portrait source, the shorter side.
    pub height: u32,
    /// The cap in kbit/s (`maxrate`); the buffer is two seconds of it.
    pub max_bitrate_kbps: u32,
    /// x264's constant rate factor: less is better and larger.
    pub crf: u32,
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
        let rung = |height, max_bitrate_kbps| Rung { height, max_bitrate_kbps, crf: 23 };
        Self {
            ffmpeg: PathBuf::from("ffmpeg"),
            ffprobe: PathBuf::from("ffprobe"),
            work_dir: PathBuf::from("./data/work"),
            threads: 0,
            gop_ms: 2_000,
            preset: Preset::default(),
            audio_bitrate_kbps: 128,
            stall_s: 60,
            version_grace_h: 24,
            ladder: vec![rung(1080, 6_000), rung(720, 3_500), rung(480, 1_600), rung(360, 900)],
        }
    }
}
