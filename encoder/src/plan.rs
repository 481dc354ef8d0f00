//! Everything about an encode that is decided before it starts: grid, ladder, sound, recipe.

use std::path::PathBuf;

use headwater_config::{Encoder, Preset, VideoCodec};
use headwater_packager::ids::TrackId;

use crate::audio::{AudioGrid, Frames};
use crate::error::Error;
use crate::grid::Grid;
use crate::ladder::{self, Look, Picture, Rung};
use crate::language::Language;
use crate::probe::channels_in_words;
use crate::recipe::{self, Recipe};
use crate::source::{AudioSource, Role, Source};

/// The plan of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The source, an absolute path.
    pub input: PathBuf,
    /// What it is.
    pub source: Source,
    /// The recipe that it gets.
    pub recipe: Recipe,
    /// Where fragments start.
    pub grid: Grid,
    /// Renditions, codec by codec, the largest first.
    pub rungs: Vec<Rung>,
    /// The tracks of sound, those of the main sound first.
    pub sounds: Vec<AudioPlan>,
    /// The encoders' trade of time against bits.
    pub preset: Preset,
}

/// A track of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioPlan {
    /// `a-`, the language (`und` where it is unknown), and what tells it from others.
    pub track: TrackId,
    /// The source's stream.
    pub stream: u32,
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
        Ok(Self { rungs, sounds, grid, recipe, preset: config.preset, input, source })
    }

    /// Every track, video first.
    pub fn tracks(&self) -> impl Iterator<Item = &TrackId> {
        let sounds = self.sounds.iter().map(|sound| &sound.track);
        self.rungs.iter().map(|rung| &rung.track).chain(sounds)
    }

    /// A line for people.
    pub fn summary(&self) -> String {
        let rungs: Vec<String> = self.rungs.iter().map(Rung::in_words).collect();
        let sounds: Vec<String> = self.sounds.iter().map(AudioPlan::in_words).collect();
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
}

impl AudioPlan {
    /// A few words for people.
    pub fn in_words(&self) -> String {
        let channels = channels_in_words(self.channels);
        format!("{} AAC {channels} {} kbit/s", self.track, self.kbps)
    }
}

/// Every track of sound, a sound's stereo before its six channels.
fn sounds(source: &Source, recipe: &Recipe, grid: &Grid, config: &Encoder) -> Vec<AudioPlan> {
    let mut sounds: Vec<AudioPlan> = Vec::new();
    for sound in &source.sounds {
        let base = base_id(sound, source);
        let mut add = |channels: u32, suffix: &str| {
            sounds.push(AudioPlan {
                track: format!("{base}{suffix}").parse().expect("letters, digits and dashes"),
                stream: sound.index,
                channels,
                // The configured rate is for two channels.
                kbps: (config.audio_bitrate_kbps * channels).div_ceil(2),
                language: sound.language.clone(),
                role: sound.role,
                grid: AudioGrid::new(grid, Frames::AAC),
            });
        };
        add(sound.channels.min(2), "");
        if recipe.surround && sound.channels >= 6 {
            add(6, "-6ch");
        }
    }
    sounds
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

/// What ffmpeg calls a track's file before it is remuxed.
pub fn raw_name(track: &TrackId) -> String {
    format!("{track}.raw.mp4")
}

/// What a track's file is called in the store.
pub fn object_name(track: &TrackId) -> String {
    format!("{track}.mp4")
}
