//! A sound task: one track from its start to its end, by one process. Sound is never encoded in
//! chunks: an encoder's warm-up at each seam would be heard. The rung that is copied is a track of that
//! kind too; it and what is passed through are one part each.

use std::cell::Cell;
use std::sync::Arc;

use super::chunk::{blocking, damaged};
use super::copied;
use super::hold::Bench;
use super::part::{self, Piece, Place};
use super::plan::{LOOKING, Planned};
use super::runs;
use super::source::Local;
use crate::error::{Error, Kind};
use crate::ffmpeg::{Copied, Damage, sound_changes};
use crate::import::sounds::{self, Ends};
use crate::plan::{Passed, raw_name};
use crate::remux::Made;

/// Makes a whole track; gives the result to commit.
pub(super) async fn sound(bench: &Bench<'_>) -> Result<String, Error> {
    let planned = bench.worker.planned(bench.job()).await?;
    let source = Local::planned(bench, &planned).await?;
    source.fill_whole(bench).await?;
    let index = usize::try_from(bench.task.key.index).expect("u32 fits");
    let Some(at) = index.checked_sub(planned.plan.sounds.len()) else {
        let made = encoded(bench, &planned, index).await;
        return made.map_err(|error| source.named(error));
    };
    let made = match (planned.plan.passed.get(at), &planned.plan.copied) {
        (Some(passed), _) => match pass(bench, &planned, passed).await? {
            Ok(made) => made,
            Err(why) => return Ok(format!("{}{why}", part::LEFT_OUT)),
        },
        (None, Some(rung)) => {
            let made = copied::copied(bench, &planned.plan, rung, source.path()).await;
            made.map_err(|error| source.named(error))?
        }
        (None, None) => return Err(Error::tool(format!("no track {index} is planned"))),
    };
    let (folder, name) = (bench.work.folder().to_owned(), bench.named("sound", ".mp4"));
    let cut = move || Piece::cut(&made, Place::START, &folder, name);
    let cut = blocking(cut, bench.cancel);
    let piece = bench.movement.trust(bench.worker.tools.stall, cut).await?;
    let part = part::put(bench, &planned.title, &bench.named("sound", ""), &[piece]).await?;
    Ok(part::words(&[part]))
}

/// Decoded and encoded; what is closed of it is committed while ffmpeg goes on.
async fn encoded(bench: &Bench<'_>, planned: &Arc<Planned>, index: usize) -> Result<String, Error> {
    let is_over = Cell::new(false);
    let made = async {
        ffmpeg(bench, planned, index).await?;
        is_over.set(true);
        Ok(())
    };
    // A fault of either ends the other.
    let ((), result) = tokio::try_join!(made, runs::follow(bench, planned, index, &is_over))?;
    Ok(result)
}

async fn ffmpeg(bench: &Bench<'_>, planned: &Planned, index: usize) -> Result<(), Error> {
    let sound = &planned.plan.sounds[index];
    let (tools, folder) = (&bench.worker.tools, bench.work.folder());
    let mut reached_s = 0.0;
    let mut moved = |progress: &crate::ffmpeg::Progress| {
        bench.movement.ffmpeg(progress);
        reached_s = progress.out_time_s();
    };
    let log = tools.sound(&planned.plan, sound, folder, bench.cancel, &mut moved).await?;
    bench.ended(&log);
    if let Some(damage) = log.damage() {
        return Err(located(bench, planned, sound.stream, damage, reached_s).await?);
    }
    match log.changed() {
        Some(_) => Err(sound_changes(planned.stream(sound.stream), reached_s)),
        None => Ok(()),
    }
}

/// The error for a sound that decoders complain of, with the time.
async fn located(
    bench: &Bench<'_>,
    planned: &Planned,
    stream: u32,
    damage: &Damage,
    reached_s: f64,
) -> Result<Error, Error> {
    let zero_s = planned.plan.source.video.start.seconds();
    let stream = damage.stream.unwrap_or(stream);
    let tools = &bench.worker.tools;
    let looked = tools.locate(&planned.plan, vec![stream], zero_s + reached_s, bench.cancel);
    // It is watched by itself.
    let at = match bench.movement.trust(LOOKING, looked).await? {
        Some(place) => format!("at {:.3} s", place.at_s - zero_s),
        None => format!("behind {reached_s:.0} s"),
    };
    Ok(damaged(&planned.stream(stream), at, &damage.said))
}

/// Its frames as they are, or why they cannot be had so: it is encoded beside that all the same. What a
/// further attempt may mend is none of the source's faults, and fails this one.
async fn pass(
    bench: &Bench<'_>,
    planned: &Arc<Planned>,
    passed: &Passed,
) -> Result<Result<Made, String>, Error> {
    // The child that reads the source is watched by itself.
    match bench.movement.trust(LOOKING, unchanged(bench, planned, passed)).await {
        Ok((made, said)) => {
            for said in said {
                bench.tell(said, &mut bench.heard.borrow_mut().notices);
            }
            Ok(Ok(made))
        }
        Err(error) if !is_the_last(bench, error.kind()) => Err(error),
        Err(error) => {
            let text = format!("{} is not passed through: {error}", passed.sound.name);
            bench.worker.journal.task(&bench.hold.key, bench.hold.attempt, "left out", &text);
            bench.worker.watcher.report().notice(&text);
            Ok(Err(text))
        }
    }
}

async fn unchanged(
    bench: &Bench<'_>,
    planned: &Arc<Planned>,
    passed: &Passed,
) -> Result<(Made, Vec<String>), Error> {
    let (tools, folder) = (&bench.worker.tools, bench.work.folder());
    let track = passed.sound.track.clone();
    let copied = Copied { index: passed.stream, track, is_video: false, is_hevc: false };
    let raw = folder.join(raw_name(&copied.track));
    let copied = std::slice::from_ref(&copied);
    let log = tools.copy(&planned.plan.input, copied, folder, bench.cancel, &mut |_| {}).await?;
    bench.ended(&log);
    if let Some(damage) = log.damage() {
        return Err(Error::new(Kind::SourceDamaged, damage.said.clone()));
    }
    let (planned, folder) = (Arc::clone(planned), folder.to_owned());
    let (sound, cancel) = (passed.sound.clone(), bench.cancel.clone());
    let work = move || {
        let grid = planned.plan.grid;
        let ticks: Vec<u64> = grid.ends().collect();
        let ends = Ends { ticks: &ticks, timescale: grid.rate().timescale() };
        let cut = sounds::cut(&folder, &sound, ends, &cancel, &mut || {})?;
        std::fs::remove_file(&raw).map_err(|e| Error::storage(raw.display(), e))?;
        Ok(cut)
    };
    blocking(work, bench.cancel).await
}

/// Whether no other attempt would fare better, or none is left.
fn is_the_last(bench: &Bench<'_>, kind: Kind) -> bool {
    match kind {
        Kind::Refused | Kind::SourceDamaged => true,
        Kind::Tool => bench.task.failures + 1 >= bench.worker.config.queue.failures,
        _ => false,
    }
}
