//! Everything about an encode that is decided before it starts: grid, ladder, sound, recipe.

use std::path::PathBuf;

use headwater_config::{Encoder, Preset};
use headwater_packager::ids::TrackId;

use crate::audio::{AudioGrid, Frames};
use crate::grid::Grid;
use crate::ladder::{self, Picture, Rung};
use crate::language::Language;
use crate::probe::channels_in_words;
use crate::source::Source;

/// The plan of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The source, an absolute path.
    pub input: PathBuf,
    /// What it is.
    pub source: Source,
    /// Where fragments start.
    pub grid: Grid,
    /// Renditions, largest first.
    pub rungs: Vec<Rung>,
    /// The sound track, if there is one.
    pub audio: Option<AudioPlan>,
    /// x264's preset.
    pub preset: Preset,
}

/// The sound track of a version.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioPlan {
    /// `a-` and the language, `a-und` where it is unknown.
    pub track: TrackId,
    /// One or two.
    pub channels: u32,
    /// AAC's bit rate in kbit/s.
    pub kbps: u32,
    /// What the source declares.
    pub language: Option<Language>,
    /// Where fragments start.
    pub grid: AudioGrid,
}

impl Plan {
    /// Plans the encode of `source`, found at the absolute path `input`.
    pub fn new(input: PathBuf, source: Source, config: &Encoder) -> Self {
        let video = &source.video;
        let grid = Grid::new(video.rate, video.frames, config.gop_ms);
        let picture = Picture {
            width: video.width,
            height: video.height,
            rate: video.rate,
            peak_kbps: video.peak_kbps,
        };
        let audio = source.audio.as_ref().map(|audio| {
            let tag = audio.language.as_ref().map_or("und", |l| l.tag.as_str());
            AudioPlan {
                track: format!("a-{tag}").parse().expect("a tag is two or three letters"),
                channels: audio.channels,
                // The configured rate is for two channels.
                kbps: (config.audio_bitrate_kbps * audio.channels).div_ceil(2),
                language: audio.language.clone(),
                grid: AudioGrid::new(&grid, Frames::AAC),
            }
        });
        Self {
            rungs: ladder::rungs(picture, &config.ladder),
            grid,
            audio,
            preset: config.preset,
            input,
            source,
        }
    }

    /// Every track, video first.
    pub fn tracks(&self) -> impl Iterator<Item = &TrackId> {
        let audio = self.audio.as_ref().map(|audio| &audio.track);
        self.rungs.iter().map(|rung| &rung.track).chain(audio)
    }

    /// A line for people.
    pub fn summary(&self) -> String {
        let rungs: Vec<String> = self
            .rungs
            .iter()
            .map(|r| format!("{}x{} up to {} kbit/s", r.width, r.height, r.max_kbps))
            .collect();
        let sound = self.audio.as_ref().map_or_else(
            || "no sound".to_owned(),
            |a| format!("AAC {} {} kbit/s", channels_in_words(a.channels), a.kbps),
        );
        format!(
            "{} frames at {} a second in {} fragments of {}: {}; {sound}",
            self.grid.frames(),
            self.grid.rate(),
            self.grid.fragments(),
            self.grid.gop_frames(),
            rungs.join(", ")
        )
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
