//! Ladders, recipes and the rules that choose among them.

use super::Findings;
use crate::{Audio, AudioCodec, Config, Rule, Rung, VideoCodec};

pub(super) fn check(config: &Config, found: &mut Findings) {
    let encoder = &config.encoder;
    check_ladder("encoder.ladder", &encoder.ladder, found);
    for (name, recipe) in &encoder.recipes {
        let key = format!("encoder.recipes.{name}");
        check_ladder(&format!("{key}.ladder"), &recipe.ladder, found);
        check_audio(&format!("{key}.audio"), &recipe.audio, found);
        if !encoder.rules.iter().any(|rule| rule.recipe == name.to_string()) {
            found.warning(
                key,
                "no rule names it, so it is never used".to_owned(),
                "add a rule to encoder.rules, or remove it",
            );
        }
    }
    for (i, rule) in encoder.rules.iter().enumerate() {
        let key = format!("encoder.rules[{i}]");
        check_rule(config, rule, &key, found);
        if is_always(rule) && i + 1 < encoder.rules.len() {
            found.error(
                key,
                "fits every source, so those after it never decide".to_owned(),
                "put it last",
            );
        }
    }
}

fn check_rule(config: &Config, rule: &Rule, key: &str, found: &mut Findings) {
    let known = |name: &str| config.encoder.recipes.keys().any(|known| known.to_string() == name);
    if !rule.recipe.is_empty() && !known(&rule.recipe) {
        found.error(
            format!("{key}.recipe"),
            format!("there is no recipe {}", rule.recipe),
            "write one of encoder.recipes, or nothing for encoder.ladder",
        );
    }
    let pairs = [
        ("height", rule.min_height, rule.max_height),
        ("fps", rule.min_fps, rule.max_fps),
        ("duration_s", rule.min_duration_s, rule.max_duration_s),
    ];
    for (what, low, high) in pairs {
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            found.error(
                key,
                format!("min_{what} = {low} is more than max_{what} = {high}: it fits nothing"),
                "exchange them",
            );
        }
    }
}

fn is_always(rule: &Rule) -> bool {
    *rule == Rule { recipe: rule.recipe.clone(), ..Rule::default() }
}

fn check_ladder(key: &str, ladder: &[Rung], found: &mut Findings) {
    let mut rungs: Vec<_> = ladder.iter().collect();
    rungs.sort_by_key(|rung| (rung.codec, rung.height));
    for rung in &rungs {
        if !rung.height.is_multiple_of(2) {
            found.error(
                key,
                format!("height {} is odd, which 4:2:0 video cannot be", rung.height),
                "use an even height",
            );
        }
        if rung.hdr && rung.codec == VideoCodec::H264 {
            found.error(
                key,
                format!("height {}: players show no HDR in H.264", rung.height),
                "give it codec = \"hevc\" or \"av1\", or hdr = false",
            );
        }
    }
    for pair in rungs.windows(2) {
        let (low, high) = (pair[0], pair[1]);
        if low.codec != high.codec {
            continue;
        }
        if low.height == high.height {
            found.error(
                key,
                format!("two rungs are {} high, and a track is named after its height", low.height),
                "remove one",
            );
        } else if low.max_bitrate_kbps >= high.max_bitrate_kbps {
            found.warning(
                key,
                format!(
                    "{} lines may take {} kbit/s, {} lines only {}: players choose by bit rate",
                    low.height, low.max_bitrate_kbps, high.height, high.max_bitrate_kbps
                ),
                "let max_bitrate_kbps rise with height",
            );
        }
    }
}

fn check_audio(key: &str, audio: &[Audio], found: &mut Findings) {
    for (i, one) in audio.iter().enumerate() {
        if audio[..i].iter().any(|other| other.codec == one.codec) {
            found.error(
                key,
                "one codec stands in it twice, and a track is named after its codec".to_owned(),
                "remove one",
            );
        }
        if one.codec == AudioCodec::Dolby && one.bitrate_kbps.is_some() {
            found.error(
                key,
                "bitrate_kbps of codec \"dolby\", which is passed through as it is".to_owned(),
                "remove it",
            );
        }
    }
    if audio.iter().any(|one| one.codec == AudioCodec::HeAac && one.bitrate_kbps > Some(128)) {
        found.error(
            key,
            "codec \"he-aac\" of more than 128 kbit/s, which its encoder refuses".to_owned(),
            "use codec = \"aac\", which is better there",
        );
    }
    if audio.iter().all(|one| one.codec == AudioCodec::Dolby) {
        found.error(
            key,
            "nothing but codec \"dolby\": other sounds would be lost, and browsers play none of it"
                .to_owned(),
            "add codec = \"aac\"",
        );
    } else if !audio.iter().any(|one| matches!(one.codec, AudioCodec::Aac | AudioCodec::HeAac)) {
        found.warning(
            key,
            "no AAC: Apple's players before Safari 17 play no Opus in MP4".to_owned(),
            "add codec = \"aac\"",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::{Audio, AudioCodec, Config, Recipe, Rule, VideoCodec};

    fn config() -> Config {
        let mut config = Config::default();
        let mut ladder = config.encoder.ladder.clone();
        ladder.iter_mut().for_each(|rung| rung.codec = VideoCodec::Hevc);
        ladder.extend(config.encoder.ladder.clone());
        let recipe = Recipe { ladder, audio: Audio::plain(), surround: true };
        config.encoder.recipes.insert("big".parse().unwrap(), recipe);
        config.encoder.rules = vec![
            Rule { recipe: "big".to_owned(), min_height: Some(1080), ..Rule::default() },
            Rule::default(),
        ];
        config
    }

    #[test]
    fn what_contradicts_itself() {
        assert_eq!(config().check(), []);
        type Break = fn(&mut Config);
        let table: [(Break, &str, &str); 11] = [
            (
                |c| c.encoder.rules[0].recipe = "huge".to_owned(),
                "encoder.rules[0].recipe",
                "there is no recipe huge",
            ),
            (|c| c.encoder.rules[0].min_height = None, "encoder.rules[0]", "fits every source"),
            (|c| c.encoder.rules[0].max_height = Some(720), "encoder.rules[0]", "it fits nothing"),
            (|c| c.encoder.rules.truncate(0), "encoder.recipes.big", "never used"),
            (|c| first(c).ladder[4].hdr = true, "encoder.recipes.big.ladder", "no HDR in H.264"),
            (
                |c| first(c).ladder[1].height = 1080,
                "encoder.recipes.big.ladder",
                "two rungs are 1080 high",
            ),
            (
                |c| first(c).audio.extend(Audio::plain()),
                "encoder.recipes.big.audio",
                "one codec stands in it twice",
            ),
            (
                |c| first(c).audio.push(audio(AudioCodec::Dolby, Some(448))),
                "encoder.recipes.big.audio",
                "passed through as it is",
            ),
            (
                |c| first(c).audio.push(audio(AudioCodec::HeAac, Some(160))),
                "encoder.recipes.big.audio",
                "of more than 128 kbit/s",
            ),
            (
                |c| first(c).audio = vec![audio(AudioCodec::Dolby, None)],
                "encoder.recipes.big.audio",
                "other sounds would be lost",
            ),
            (
                |c| first(c).audio = vec![audio(AudioCodec::Opus, None)],
                "encoder.recipes.big.audio",
                "no AAC",
            ),
        ];
        for (break_it, key, words) in table {
            let mut config = config();
            break_it(&mut config);
            let found = config.check();
            let is_there = found.iter().any(|f| f.key == key && f.message.contains(words));
            assert!(is_there, "{key} {words}: {found:?}");
        }
    }

    fn audio(codec: AudioCodec, bitrate_kbps: Option<u32>) -> Audio {
        Audio { codec, bitrate_kbps }
    }

    fn first(config: &mut Config) -> &mut Recipe {
        config.encoder.recipes.values_mut().next().unwrap()
    }
}
