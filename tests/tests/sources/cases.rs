//! A case: how a source is made, and what must come of it. `table` has them all.
//!
//! Test films have 4 s and 320x180 unless their name says otherwise; see `film`.

/// A source and what must come of it.
pub struct Case {
    /// Its name, and the title's id.
    pub name: &'static str,
    /// Its file.
    pub file: &'static str,
    /// How it is made.
    pub make: Make,
    /// What must come of it.
    pub want: Want,
    /// Whether every run of the tests takes it.
    pub is_core: bool,
}

/// How a source is made.
pub enum Make {
    /// By ffmpeg with these arguments.
    Ffmpeg(&'static str),
    /// From these bytes; `FILM` stands for another file of this machine.
    Bytes(&'static [u8]),
    /// By ffmpeg, and then damaged.
    Damaged(&'static str, fn(&mut Vec<u8>)),
}

/// What must come of a source.
pub enum Want {
    /// A title.
    Title(Right),
    /// This exit code, and a reason with these words.
    Refused(i32, &'static str),
}

/// A right title.
pub struct Right {
    /// Its pictures.
    pub frames: Frames,
    /// Frames a second.
    pub rate: (u32, u32),
    /// Its renditions.
    pub rungs: &'static [(u32, u32)],
    /// Its tracks of sound.
    pub sounds: &'static [&'static str],
    /// When it beeps, in each of them.
    pub beeps_ms: &'static [usize],
    /// What ffprobe says of each rendition.
    pub tags: &'static [(&'static str, &'static str)],
    /// What the uploader is told.
    pub said: &'static [&'static str],
}

/// Which frames of the test film a title shows.
#[derive(Clone, Copy)]
pub enum Frames {
    /// Each `step`th, from `first` on.
    From { first: usize, step: usize, count: usize },
    /// At each time one that is near.
    Near { source_fps: f64, count: usize },
}

impl Frames {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Self::From { count, .. } | Self::Near { count, .. } => count,
        }
    }
}

const ALL: Frames = Frames::From { first: 0, step: 1, count: 96 };
const LAND: &[(u32, u32)] = &[(320, 180), (256, 144)];
/// A portrait film's renditions.
pub const TALL: &[(u32, u32)] = &[(180, 320), (144, 256)];
const BEEPS: &[usize] = &[0, 1000, 2000, 3000];
const SDR: &[(&str, &str)] = &[("pix_fmt", "yuv420p")];
/// What an SD film that says nothing of its colours is taken for.
pub const SD: &[(&str, &str)] = &[
    ("pix_fmt", "yuv420p"),
    ("color_space", "smpte170m"),
    ("color_transfer", "smpte170m"),
    ("color_primaries", "smpte170m"),
];
/// SDR as screens expect it.
pub const BT709: &[(&str, &str)] = &[
    ("pix_fmt", "yuv420p"),
    ("color_range", "tv"),
    ("color_transfer", "bt709"),
    ("color_primaries", "bt709"),
];

/// Each `step`th frame from `first` on.
pub fn from(first: usize, step: usize, count: usize) -> Frames {
    Frames::From { first, step, count }
}

/// Near frames of a source of this rate.
pub fn near(source_fps: f64, count: usize) -> Frames {
    Frames::Near { source_fps, count }
}

/// A source of ffmpeg's that becomes the whole test film, unless it is said otherwise.
pub fn made(name: &'static str, file: &'static str, line: &'static str) -> Case {
    case(name, file, Make::Ffmpeg(line))
}

/// A source of these bytes.
pub fn written(name: &'static str, file: &'static str, bytes: &'static [u8]) -> Case {
    case(name, file, Make::Bytes(bytes))
}

/// A source of ffmpeg's that is damaged.
pub fn damaged(
    name: &'static str,
    file: &'static str,
    line: &'static str,
    damage: fn(&mut Vec<u8>),
) -> Case {
    case(name, file, Make::Damaged(line, damage))
}

fn case(name: &'static str, file: &'static str, make: Make) -> Case {
    let want = Want::Title(Right {
        frames: ALL,
        rate: (24, 1),
        rungs: LAND,
        sounds: &["a-und"],
        beeps_ms: BEEPS,
        tags: SDR,
        said: &[],
    });
    Case { name, file, make, want, is_core: false }
}

impl Case {
    /// Taken by every run of the tests.
    pub fn core(self) -> Self {
        Self { is_core: true, ..self }
    }

    /// Refused instead.
    pub fn refused(self, code: i32, words: &'static str) -> Self {
        Self { want: Want::Refused(code, words), ..self }
    }

    pub fn frames(self, frames: Frames) -> Self {
        self.but(|right| right.frames = frames)
    }

    pub fn rate(self, num: u32, den: u32) -> Self {
        self.but(|right| right.rate = (num, den))
    }

    pub fn rungs(self, rungs: &'static [(u32, u32)]) -> Self {
        self.but(|right| right.rungs = rungs)
    }

    pub fn sounds(self, sounds: &'static [&'static str]) -> Self {
        self.but(|right| right.sounds = sounds)
    }

    pub fn beeps(self, ms: &'static [usize]) -> Self {
        self.but(|right| right.beeps_ms = ms)
    }

    pub fn tags(self, tags: &'static [(&'static str, &'static str)]) -> Self {
        self.but(|right| right.tags = tags)
    }

    pub fn says(self, words: &'static [&'static str]) -> Self {
        self.but(|right| right.said = words)
    }

    fn but(mut self, change: impl FnOnce(&mut Right)) -> Self {
        if let Want::Title(right) = &mut self.want {
            change(right);
        }
        self
    }
}
