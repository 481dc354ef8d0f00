//! Which tracks share a content key: SPEKE v2's labels, so that a licence may allow SD alone.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::heads::Media;

/// What a content key of a title is for. Tracks of one label share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// Sound.
    Audio,
    /// Video whose shorter side has at most 576 pixels.
    Sd,
    /// Up to 1080 pixels.
    Hd,
    /// Up to 2160 pixels.
    Uhd1,
    /// Everything above.
    Uhd2,
}

impl Label {
    /// Every label.
    pub const ALL: [Self; 5] = [Self::Audio, Self::Sd, Self::Hd, Self::Uhd1, Self::Uhd2];

    /// The label of a track's key.
    pub fn of(media: &Media) -> Self {
        let Media::Video { width, height, .. } = *media else { return Self::Audio };
        // Portrait video is as sharp as its shorter side.
        match width.min(height) {
            0..=576 => Self::Sd,
            577..=1080 => Self::Hd,
            1081..=2160 => Self::Uhd1,
            2161.. => Self::Uhd2,
        }
    }

    /// The fewest pixels that the shorter side of its video has; 0 for sound.
    pub fn lowest_height(self) -> u32 {
        match self {
            Self::Audio | Self::Sd => 0,
            Self::Hd => 577,
            Self::Uhd1 => 1081,
            Self::Uhd2 => 2161,
        }
    }

    /// SPEKE's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "AUDIO",
            Self::Sd => "SD",
            Self::Hd => "HD",
            Self::Uhd1 => "UHD1",
            Self::Uhd2 => "UHD2",
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|label| label.as_str() == text).ok_or_else(|| {
            Error::invalid("label", format!("{text:.20?} is none of AUDIO, SD, HD, UHD1, UHD2"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_shorter_side() {
        let video = |width, height| Media::Video { width, height, frame_rate: (25, 1) };
        let cases = [
            (Media::Audio { sample_rate: 48_000, channels: 2 }, Label::Audio),
            (video(426, 240), Label::Sd),
            (video(1024, 576), Label::Sd),
            (video(1026, 578), Label::Hd),
            (video(1080, 1920), Label::Hd),
            (video(1920, 1082), Label::Uhd1),
            (video(4096, 2160), Label::Uhd1),
            (video(7680, 4320), Label::Uhd2),
        ];
        for (media, wanted) in cases {
            assert_eq!(Label::of(&media), wanted, "{media:?}");
            assert_eq!(wanted.as_str().parse::<Label>().unwrap(), wanted);
            if let Media::Video { width, height, .. } = media {
                assert!(wanted.lowest_height() <= width.min(height));
                let above = Label::ALL.into_iter().filter(|other| *other > wanted);
                assert!(above.into_iter().all(|other| other.lowest_height() > width.min(height)));
            }
        }
        assert!("hd".parse::<Label>().is_err());
    }
}
