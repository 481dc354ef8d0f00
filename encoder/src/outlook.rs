//! What `probe` shows: what a source is, which recipe it gets, what would be made of it.

use serde_json::{Value, json};

use crate::ladder::Rung;
use crate::look::Looked;
use crate::plan::AudioPlan;

/// For people.
pub fn to_text(looked: &Looked) -> String {
    let plan = &looked.plan;
    let (video, recipe) = (&plan.source.video, &plan.recipe);
    let rule = recipe.rule.map_or("no rule fits".to_owned(), |i| format!("encoder.rules[{i}]"));
    let mut text = format!(
        "{}\n  shown as {}x{}, {}, {} frames at {} a second\n",
        looked.selected.video.describe(),
        video.width,
        video.height,
        video.light.as_str(),
        video.frames,
        video.rate
    );
    for sound in &looked.selected.sounds {
        let language = sound.language.as_ref().map_or("und", |l| l.tag.as_str());
        text += &format!("{}\n  {language}, {}\n", sound.stream.describe(), sound.role.as_str());
    }
    for stream in &looked.selected.texts {
        text += &format!("{}\n", stream.describe());
    }
    text += &format!("recipe {} ({rule})\n", recipe.name);
    if let Some(rung) = &plan.copied {
        text += &format!("  {:12} {}\n", rung.track, Rung::as_copied(rung));
    }
    for rung in &plan.rungs {
        text += &format!("  {:12} {}\n", rung.track, Rung::in_words(rung));
    }
    for sound in &plan.sounds {
        text += &format!("  {}\n", AudioPlan::in_words(sound));
    }
    for passed in &plan.passed {
        text += &format!("  {}\n", passed.in_words());
    }
    for notice in &looked.notices {
        text += &format!("note: {notice}\n");
    }
    text
}

/// For programs.
pub fn to_json(looked: &Looked) -> Value {
    let plan = &looked.plan;
    let (video, recipe) = (&plan.source.video, &plan.recipe);
    let sounds: Vec<Value> = (looked.selected.sounds.iter())
        .map(|sound| {
            json!({
                "stream": sound.stream.index, "codec": sound.stream.codec(),
                "channels": sound.stream.channels, "role": sound.role.as_str(),
                "language": sound.language.as_ref().map(|l| &l.tag),
            })
        })
        .collect();
    let texts: Vec<Value> = (looked.selected.texts.iter())
        .map(|text| json!({"stream": text.index, "codec": text.codec(), "language": text.tags.get("language")}))
        .collect();
    let rungs: Vec<Value> = (plan.rungs.iter())
        .map(|rung| {
            json!({
                "track": rung.track, "width": rung.width, "height": rung.height,
                "codec": rung.codec, "max_kbps": rung.max_kbps, "crf": rung.crf,
            })
        })
        .collect();
    let tracks: Vec<Value> = (plan.sounds.iter())
        .map(|sound| {
            json!({
                "track": sound.track, "stream": sound.stream, "codec": sound.codec,
                "channels": sound.channels, "kbps": sound.kbps, "role": sound.role.as_str(),
                "language": sound.language.as_ref().map(|l| &l.tag),
            })
        })
        .collect();
    let passed: Vec<Value> = (plan.passed.iter())
        .map(|passed| json!({"track": passed.sound.track, "stream": passed.stream}))
        .collect();
    json!({
        "event": "result",
        "source": {
            "codec": video.codec, "width": video.width, "height": video.height,
            "rate": video.rate.to_string(), "frames": video.frames,
            "duration_ms": plan.grid.duration_ms(), "light": video.light.as_str(),
            "interlaced": video.is_interlaced, "peak_kbps": video.peak_kbps,
            "sounds": sounds, "texts": texts,
        },
        "recipe": {"name": recipe.name, "rule": recipe.rule},
        "copied": plan.copied.as_ref().map(|rung| &rung.track),
        "rungs": rungs,
        "sounds": tracks,
        "passed": passed,
        "notices": looked.notices,
    })
}
