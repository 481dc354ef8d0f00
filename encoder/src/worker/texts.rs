//! The texts of a title: the source's own, and those beside it.

use super::hold::Bench;
use crate::error::Error;
use crate::language;
use crate::look::Prepared;
use crate::plan::text_name;
use crate::text::{self, Text};

/// The source's own texts, and those beside it. One that cannot be read is left out: the film is
/// what was sent for.
pub(super) async fn texts(
    bench: &Bench<'_>,
    prepared: &Prepared,
    notices: &mut Vec<String>,
) -> Result<Vec<Text>, Error> {
    let (tools, folder) = (&bench.worker.tools, bench.work.folder());
    let mut texts = prepared.sidecars.clone();
    for stream in &prepared.selected.texts {
        let path = folder.join(text_name(stream.index));
        let input = &prepared.plan.input;
        let log = tools.text(input, stream.index, folder, bench.cancel).await?;
        let by_ms = -prepared.plan.source.video.start.ms();
        let cues = match log.damage() {
            Some(damage) => Err(damage.said.clone()),
            None => text::of_source(&path, by_ms),
        };
        let _ = std::fs::remove_file(&path);
        let cues = match cues {
            Err(why) => {
                bench.tell(format!("{} is left out: {why}", stream.describe()), notices);
                continue;
            }
            Ok((cues, said)) => {
                if let Some(said) = said {
                    bench.tell(format!("{}: {said}", stream.describe()), notices);
                }
                cues
            }
        };
        if cues.is_empty() {
            bench.tell(format!("{} is left out: it has no cue", stream.describe()), notices);
            continue;
        }
        let language = stream.tags.get("language").and_then(|tag| language::parse(tag));
        texts.push(text::text(&cues, language.as_ref(), stream.has("forced"), &texts));
    }
    Ok(texts)
}
