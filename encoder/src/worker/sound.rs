//! A sound task: one track from its start to its end, by one process. Sound is never encoded in
//! chunks: an encoder's warm-up at each seam would be heard.

use std::sync::Arc;

use headwater_config::AudioCodec;

use super::chunk::blocking;
use super::hold::Bench;
use super::journal::Silent;
use super::part::{self, Piece, Place};
use super::plan::{LOOKING, Planned};
use crate::encode;
use crate::error::{Error, Kind};
use crate::plan::Passed;
use crate::remux::{self, Made, Sound};
use crate::report::Report;
use crate::version::Station;
use crate::work;

/// Makes a track of sound; gives the result to commit.
pub(super) async fn sound(bench: &Bench<'_>) -> Result<String, Error> {
    let planned = bench.worker.planned(bench.job()).await?;
    planned.source()?;
    let index = usize::try_from(bench.task.key.index).expect("u32 fits");
    let made = match index.checked_sub(planned.plan.sounds.len()) {
        None => encoded(bench, &planned, index).await?,
        Some(passed) => {
            let passed = planned.plan.passed.get(passed);
            let passed =
                passed.ok_or_else(|| Error::tool(format!("no sound {index} is planned")))?;
            match pass(bench, &planned, passed).await? {
                Ok(made) => made,
                Err(why) => return Ok(format!("{}{why}", part::LEFT_OUT)),
            }
        }
    };
    let (folder, name) = (bench.work.folder().to_owned(), bench.named("sound", ".mp4"));
    let cut = move || Piece::cut(&made, Place::START, &folder, name);
    let cut = blocking(cut, bench.cancel);
    let piece = bench.movement.trust(bench.worker.tools.stall, cut).await?;
    part::put(bench, &planned.title, "sound", &[piece]).await
}

/// Decoded and encoded.
async fn encoded(bench: &Bench<'_>, planned: &Arc<Planned>, index: usize) -> Result<Made, Error> {
    let sound = &planned.plan.sounds[index];
    let (tools, folder) = (&bench.worker.tools, bench.work.folder());
    let mut moved = |progress: &crate::ffmpeg::Progress| bench.movement.ffmpeg(progress);
    let log = tools.sound(&planned.plan, sound, folder, bench.cancel, &mut moved).await?;
    bench.movement.took(log.cpu_ms());
    if let Some(damage) = log.damage() {
        return Err(Error::new(
            Kind::SourceDamaged,
            format!(
                "the sound of stream {} is damaged: {}; nothing was published. Send a whole copy \
                 of the source",
                sound.stream, damage.said
            ),
        ));
    }
    let (planned, cancel) = (Arc::clone(planned), bench.cancel.clone());
    let folder = folder.to_owned();
    let work = move || -> Result<Made, Error> {
        let sound = &planned.plan.sounds[index];
        let (grid, dropped_frames) = encode::placed(&planned.plan, sound, &folder)?;
        let part = Sound {
            track: &sound.track,
            language: sound.language.as_ref(),
            role: sound.role,
            grid: &grid,
            gap_ticks: 0,
            dropped_frames,
            may_be_longer: sound.codec == AudioCodec::HeAac,
        };
        let expects = |entry: &_| remux::is_ours(entry, sound.codec, sound.channels);
        remux::sound(&folder, part, expects, &cancel, &mut || ())
    };
    bench.movement.trust(bench.worker.tools.stall, blocking(work, bench.cancel)).await
}

/// Its frames as they are, or why they cannot be had so: it is encoded beside that all the same. What a
/// further attempt may mend is none of the source's faults, and fails this one.
async fn pass(
    bench: &Bench<'_>,
    planned: &Arc<Planned>,
    passed: &Passed,
) -> Result<Result<Made, String>, Error> {
    let report: Arc<dyn Report> = Arc::new(Silent);
    let job = work::Job {
        title: planned.title.clone(),
        version: bench.job(),
        store: headwater_config::Store::default(),
    };
    let station = Station {
        job: &job,
        tools: &bench.worker.tools,
        folder: bench.work.folder(),
        report: &report,
        cancel: bench.cancel,
    };
    let plan = Arc::new(planned.plan.clone());
    // The child that reads the source is watched by itself.
    match bench.movement.trust(LOOKING, station.pass(&plan, passed)).await {
        Ok((made, _)) => Ok(Ok(made)),
        Err(error) if !is_the_last(bench, error.kind()) => Err(error),
        Err(error) => {
            let text = format!("{} is not passed through: {error}", passed.sound.name);
            bench.worker.journal.task(&bench.hold.key, bench.hold.attempt, "left out", &text);
            Ok(Err(text))
        }
    }
}

/// Whether no other attempt would fare better, or none is left.
fn is_the_last(bench: &Bench<'_>, kind: Kind) -> bool {
    match kind {
        Kind::Refused | Kind::SourceDamaged => true,
        Kind::Tool => bench.task.failures + 1 >= bench.worker.config.queue.failures,
        _ => false,
    }
}
