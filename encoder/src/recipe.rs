//! Which recipe a source gets: the first rule that fits what was found decides.

use headwater_config::{Audio, Encoder, Rule, Rung};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::source::Source;

/// What is to be made of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Its name; `default` is `encoder.ladder`.
    pub name: String,
    /// Which rule chose it; `None` where none fits.
    pub rule: Option<usize>,
    /// Renditions that are wanted.
    pub ladder: Vec<Rung>,
    /// What is made of each sound.
    pub audio: Vec<Audio>,
    /// Whether six channels are kept beside stereo.
    pub surround: bool,
}

/// The name of the recipe that is no other.
const DEFAULT: &str = "default";

/// Chooses for `source`.
pub fn choose(source: &Source, config: &Encoder) -> Result<Recipe, Error> {
    let rule = config.rules.iter().position(|rule| fits(rule, source));
    let name = rule.map_or("", |rule| config.rules[rule].recipe.as_str());
    if name.is_empty() {
        return Ok(Recipe {
            name: DEFAULT.to_owned(),
            rule,
            ladder: config.ladder.clone(),
            audio: Audio::plain(),
            surround: false,
        });
    }
    let recipe = config.recipes.iter().find(|(known, _)| known.to_string() == name);
    let (_, recipe) = recipe.ok_or_else(|| {
        Error::new(Kind::Usage, format!("encoder.rules: there is no recipe {name}"))
    })?;
    Ok(Recipe {
        name: name.to_owned(),
        rule,
        ladder: recipe.ladder.clone(),
        audio: recipe.audio.clone(),
        surround: recipe.surround,
    })
}

fn fits(rule: &Rule, source: &Source) -> bool {
    let video = &source.video;
    let height = video.width.min(video.height);
    let (num, den) = (u64::from(video.rate.num()), u64::from(video.rate.den()));
    let frames = video.frames;
    let sound = source.sounds.first();
    let channels = sound.map_or(0, |sound| sound.channels);
    let audio_codec = sound.map_or("", |sound| sound.codec.as_str());
    let is_long = |s: u32| frames * den >= u64::from(s) * num;
    let is_short = |s: u32| frames * den <= u64::from(s) * num;
    rule.min_height.is_none_or(|least| height >= least)
        && rule.max_height.is_none_or(|most| height <= most)
        && rule.min_fps.is_none_or(|least| num >= u64::from(least) * den)
        && rule.max_fps.is_none_or(|most| num <= u64::from(most) * den)
        && rule.hdr.is_none_or(|hdr| video.light.is_hdr() == hdr)
        && rule.video_codec.as_deref().is_none_or(|codec| video.codec == codec)
        && rule.audio_codec.as_deref().is_none_or(|codec| audio_codec == codec)
        && rule.min_channels.is_none_or(|least| channels >= least)
        && rule.min_duration_s.is_none_or(is_long)
        && rule.max_duration_s.is_none_or(is_short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Rate;
    use crate::source::{AudioSource, Light, Role, Stamp, Timing, VideoSource};

    fn source() -> Source {
        Source {
            video: VideoSource {
                index: 0,
                codec: "hevc".to_owned(),
                width: 2160,
                height: 3840,
                rate: Rate::parse("30000/1001").unwrap(),
                frames: 1800,
                held_frames: 1800,
                timing: Timing::Numbered { every: 1 },
                start: Stamp { ticks: 0, base: (1, 1000) },
                is_guessed: false,
                is_interlaced: false,
                light: Light::Pq,
                is_deep: true,
                is_rgb: false,
                is_full_range: false,
                is_untagged: false,
                peak_kbps: 50_000,
            },
            sounds: vec![AudioSource {
                index: 1,
                codec: "eac3".to_owned(),
                channels: 6,
                sample_rate: 48_000,
                language: None,
                role: Role::Main,
                coded: None,
            }],
        }
    }

    #[test]
    fn each_condition() {
        let rule = Rule::default;
        let codec = |name: &str| Some(name.to_owned());
        let table = [
            (rule(), true),
            (Rule { min_height: Some(2160), ..rule() }, true),
            (Rule { min_height: Some(2161), ..rule() }, false),
            (Rule { max_height: Some(2159), ..rule() }, false),
            (Rule { min_fps: Some(30), ..rule() }, false),
            (Rule { max_fps: Some(30), ..rule() }, true),
            (Rule { max_fps: Some(29), ..rule() }, false),
            (Rule { hdr: Some(false), ..rule() }, false),
            (Rule { video_codec: codec("h264"), ..rule() }, false),
            (Rule { audio_codec: codec("eac3"), min_channels: Some(6), ..rule() }, true),
            (Rule { min_channels: Some(7), ..rule() }, false),
            // 60.06 s.
            (Rule { min_duration_s: Some(60), ..rule() }, true),
            (Rule { min_duration_s: Some(61), ..rule() }, false),
            (Rule { max_duration_s: Some(60), ..rule() }, false),
        ];
        for (rule, wanted) in table {
            assert_eq!(fits(&rule, &source()), wanted, "{rule:?}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let mut config = Encoder::default();
        let recipe = |rungs: usize| headwater_config::Recipe {
            ladder: config.ladder[..rungs].to_vec(),
            audio: Audio::plain(),
            surround: false,
        };
        let recipes = [("one", recipe(1)), ("two", recipe(2))];
        config.recipes = recipes.map(|(name, recipe)| (name.parse().unwrap(), recipe)).into();
        let named = |recipe: &str, min_height| Rule {
            recipe: recipe.to_owned(),
            min_height: Some(min_height),
            ..Rule::default()
        };
        config.rules = vec![named("one", 4000), named("two", 2000), named("one", 1000)];
        let chosen = choose(&source(), &config).unwrap();
        assert_eq!((chosen.name.as_str(), chosen.rule, chosen.ladder.len()), ("two", Some(1), 2));
        config.rules.clear();
        let chosen = choose(&source(), &config).unwrap();
        assert_eq!((chosen.name.as_str(), chosen.rule, chosen.ladder.len()), ("default", None, 4));
    }
}
