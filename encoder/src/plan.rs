//! Everything about an encode that is decided before it starts: grid, ladder, sound, recipe.

use std::path::PathBuf;

use headwater_config::{Audio, AudioCodec, Encoder, Preset, VideoCodec};
use headwater_packager::ids::TrackId;
use serde::{Deserialize, Serialize};

use crate::audio::{AudioGrid, Frames};
use crate::error::Error;
use crate::grid::Grid;
use crate::import::ladder::Sound;
use crate::ladder::{self, Look, Picture, Rung};
use crate::language::Language;
use crate::probe::channels_in_words;
use crate::recipe::{self, Recipe};
use crate::source::{AudioSource, Coded, Role, Source};

/// The plan of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The source, an absolute path.
    pub input: PathBuf,
    /// What it is.
    pub source: Source,
    /// The recipe that it gets.
    pub recipe: Recipe,
    /// Where fragments start.
    pub grid: Grid,
    /// The rendition that is the source's own pictures, the largest of H.264.
    #[serde(default)]
    pub copied: Option<Rung>,
    /// Renditions that are encoded, codec by codec, the largest first.
    pub rungs: Vec<Rung>,
    /// The tracks of sound, those of the main sound first.
    pub sounds: Vec<AudioPlan>,
    /// Sounds that are passed through beside them.
    pub passed: Vec<Passed>,
    /// What the uploader should know of it.
    pub notices: Vec<String>,
    /// The encoders' trade of time against bits.
    pub preset: Preset,
}

/// A track of sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioPlan {
    /// `a-`, the language (`und` where it is unknown), and what tells it from others.
    pub track: TrackId,
    /// The source's stream.
    pub stream: u32,
    /// How it is coded.
    pub codec: AudioCodec,
    /// One, two or six.
    pub channels: u32,
    /// Its bit rate in kbit/s.
    pub kbps: u32,
    /// What the source declares, or the uploader says.
    pub language: Option<Language>,
    /// What it is for.
    pub role: Role,
    /// Where fragments start.
    pub grid: AudioGrid,
}

/// A sound whose frames become a track as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The source's stream.
    pub stream: u32,
    /// Its track, and how it lies against the picture.
    pub sound: Sound,
}

impl Plan {
    /// Plans the encode of `source`, found at the absolute path `input`.
    pub fn new(input: PathBuf, source: Source, config: &Encoder) -> Result<Self, Error> {
        let recipe = recipe::choose(&source, config)?;
        let video = &source.video;
        let grid = Grid::new(video.rate, video.frames, config.gop_ms);
        let picture = Picture {
            width: video.width,
            height: video.height,
            rate: video.rate,
            peak_kbps: video.peak_kbps,
            is_deep: video.is_deep,
            is_hdr: video.light.is_hdr(),
        };
        let rungs = ladder::rungs(picture, &recipe.ladder);
        let sounds = sounds(&source, &recipe, &grid, config);
        let mut notices = Vec::new();
        let passed = passed(&source, &recipe, &mut notices);
        let preset = config.preset;
        let copied = None;
        Ok(Self { copied, rungs, sounds, passed, notices, grid, recipe, preset, input, source })
    }

    /// Takes the first rung from the source as it is.
    pub fn copy_top(&mut self) {
        if self.copied.is_none() && !self.rungs.is_empty() {
            self.copied = Some(self.rungs.remove(0));
        }
    }

    /// Encodes what was to be copied.
    pub fn encode_top(&mut self) {
        self.rungs.splice(0..0, self.copied.take());
    }

    /// Every track that is encoded, video first.
    pub fn tracks(&self) -> impl Iterator<Item = &TrackId> {
        let sounds = self.sounds.iter().map(|sound| &sound.track);
        self.rungs.iter().map(|rung| &rung.track).chain(sounds)
    }

    /// A line for people.
    pub fn summary(&self) -> String {
        let copied = self.copied.iter().map(Rung::as_copied);
        let rungs: Vec<String> = copied.chain(self.rungs.iter().map(Rung::in_words)).collect();
        let made = self.sounds.iter().map(AudioPlan::in_words);
        let sounds: Vec<String> = made.chain(self.passed.iter().map(Passed::in_words)).collect();
        let sound = if sounds.is_empty() { "no sound".to_owned() } else { sounds.join(", ") };
        format!(
            "recipe {}: {} frames at {} a second in {} fragments of {}: {}; {sound}",
            self.recipe.name,
            self.grid.frames(),
            self.grid.rate(),
            self.grid.fragments(),
            self.grid.gop_frames(),
            rungs.join(", ")
        )
    }
}

impl Rung {
    /// A few words for people.
    pub fn in_words(&self) -> String {
        let codec = match self.codec {
            VideoCodec::H264 => "",
            VideoCodec::Hevc => " HEVC",
            VideoCodec::Av1 => " AV1",
        };
        let look = match self.look {
            Look::Flat => "",
            Look::Deep => " 10 bit",
            Look::Hdr => " HDR",
        };
        format!("{}x{}{codec}{look} up to {} kbit/s", self.width, self.height, self.max_kbps)
    }

    /// The same, of one that is not encoded.
    pub fn as_copied(&self) -> String {
        format!("{}x{} as it is in the source", self.width, self.height)
    }
}

impl AudioPlan {
    /// A few words for people.
    pub fn in_words(&self) -> String {
        let channels = channels_in_words(self.channels);
        let codec = match self.codec {
            AudioCodec::Aac | AudioCodec::Dolby => "AAC",
            AudioCodec::HeAac => "HE-AAC",
            AudioCodec::Opus => "Opus",
        };
        format!("{} {codec} {channels} {} kbit/s", self.track, self.kbps)
    }
}

impl Passed {
    /// A few words for people.
    pub fn in_words(&self) -> String {
        format!("{} passed through", self.sound.track)
    }
}

/// Every track of sound that is encoded: of each sound codec by codec, stereo before six channels.
fn sounds(source: &Source, recipe: &Recipe, grid: &Grid, config: &Encoder) -> Vec<AudioPlan> {
    let mut sounds: Vec<AudioPlan> = Vec::new();
    for sound in &source.sounds {
        for audio in recipe.audio.iter().filter(|audio| audio.codec != AudioCodec::Dolby) {
            let base = format!("{}{}", base_id(sound, source), suffix(audio.codec));
            let mut add = |channels: u32, suffix: &str| {
                sounds.push(AudioPlan {
                    track: format!("{base}{suffix}").parse().expect("letters, digits and dashes"),
                    stream: sound.index,
                    codec: audio.codec,
                    channels,
                    kbps: kbps(audio, channels, config),
                    language: sound.language.clone(),
                    role: sound.role,
                    grid: AudioGrid::new(grid, Frames::made_by(audio.codec)),
                });
            };
            add(sound.channels.min(2), "");
            let has_six = matches!(audio.codec, AudioCodec::Aac | AudioCodec::Opus);
            if recipe.surround && sound.channels >= 6 && has_six {
                add(6, "-6ch");
            }
        }
    }
    sounds
}

/// The configured rate is for two channels.
fn kbps(audio: &Audio, channels: u32, config: &Encoder) -> u32 {
    (audio.stereo_kbps(config.audio_bitrate_kbps) * channels).div_ceil(2)
}

/// What a codec adds to a track's name.
fn suffix(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Aac | AudioCodec::Dolby => "",
        AudioCodec::HeAac => "-he",
        AudioCodec::Opus => "-opus",
    }
}

/// Sounds that are passed through, as far as the recipe wants that. Nothing can be put between their
/// frames: one that starts late or has holes is left out and told of.
fn passed(source: &Source, recipe: &Recipe, notices: &mut Vec<String>) -> Vec<Passed> {
    let wants = recipe.audio.iter().any(|audio| audio.codec == AudioCodec::Dolby);
    let is_dolby = |sound: &&AudioSource| matches!(sound.codec.as_str(), "ac3" | "eac3");
    let mut passed = Vec::new();
    for sound in source.sounds.iter().filter(is_dolby).filter(|_| wants) {
        let name = format!("stream {} ({})", sound.index, sound.codec);
        let Some(Coded { early, packets, missing_ms }) = sound.coded else { continue };
        let frame_ms = 1_536_000u64.div_ceil(u64::from(sound.sample_rate.max(1)));
        let late_ms = u64::try_from(-early.ms()).unwrap_or(0);
        let why = match () {
            () if late_ms > frame_ms => format!("it starts {late_ms} ms after the picture"),
            () if missing_ms > frame_ms => format!("{missing_ms} ms are missing in it"),
            () => {
                let track = format!("{}-{}", base_id(sound, source), sound.codec);
                let track = track.parse().expect("letters, digits and dashes");
                let (language, role) = (sound.language.clone(), sound.role);
                let stream = sound.index;
                let sound = Sound { track, name, language, role, early, packets };
                passed.push(Passed { stream, sound });
                continue;
            }
        };
        notices.push(format!(
            "{name} is not passed through: {why}, and its frames leave no room for silence; it is encoded \
             all the same"
        ));
    }
    passed
}

/// `a-en`, `a-en-commentary`, and numbers from 2 on where that does not tell two sounds apart.
fn base_id(sound: &AudioSource, source: &Source) -> String {
    let plain = |sound: &AudioSource| {
        let tag = sound.language.as_ref().map_or("und", |l| l.tag.as_str());
        match sound.role {
            Role::Main | Role::Alternate | Role::Dub => format!("a-{tag}"),
            role => format!("a-{tag}-{}", role.as_str()),
        }
    };
    let id = plain(sound);
    let before = source.sounds.iter().take_while(|other| other.index != sound.index);
    match before.filter(|other| plain(other) == id).count() {
        0 => id,
        others => format!("{id}-{}", others + 1),
    }
}

/// Where in a folder of ours ffmpeg may write, and nowhere else in it.
pub const RAW: &str = "raw";

/// What ffmpeg calls a track's file before it is remuxed.
pub fn raw_name(track: &TrackId) -> String {
    format!("{RAW}/{track}.raw.mp4")
}

/// What ffmpeg calls a text's file.
pub fn text_name(stream: u32) -> String {
    format!("{RAW}/text-{stream}.vtt")
}

/// What a track's file is called in the store.
pub fn object_name(track: &TrackId) -> String {
    format!("{track}.mp4")
}
