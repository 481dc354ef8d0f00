//! A chunk task: one decode of some seconds, every rung of them, each fragment checked against the
//! plan before anything is stored.

use std::sync::Arc;

use super::hold::Bench;
use super::part::{self, Piece, Place};
use super::plan::Planned;
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::ffmpeg::part::Cut;
use crate::remux;

/// Makes a chunk; gives the result to commit.
pub(super) async fn chunk(bench: &Bench<'_>) -> Result<String, Error> {
    let planned = bench.worker.planned(bench.job()).await?;
    let input = planned.source()?;
    let fragments = bench.task.fragments.clone();
    // What a seek got wrong is found out below; the next attempt reads from the start.
    let seeks = bench.task.failures == 0 && planned.may_seek();
    let cut = Cut { plan: &planned.plan, input: &input, fragments, seeks };
    encode(bench, &cut).await?;
    let pieces = package(bench, &planned).await?;
    part::put(bench, &planned.title, "chunk", &pieces).await
}

async fn encode(bench: &Bench<'_>, cut: &Cut<'_>) -> Result<(), Error> {
    let tools = &bench.worker.tools;
    let mut moved = |progress: &crate::ffmpeg::Progress| bench.movement.ffmpeg(progress);
    let log = tools.chunk(cut, bench.work.folder(), bench.cancel, &mut moved).await?;
    let Some(damage) = log.damage() else { return Ok(()) };
    let looked = tools.damage_within(cut, bench.cancel);
    match bench.movement.trust(tools.stall, looked).await? {
        None => Ok(()),
        Some(place) => Err(Error::new(
            Kind::SourceDamaged,
            format!(
                "the picture is damaged at {:.3} s: {}; nothing was published. Send a whole copy \
                 of the source",
                place.at_s - cut.plan.source.video.start.seconds(),
                damage.said
            ),
        )),
    }
}

/// ffmpeg's files to pieces of the title's tracks, each fragment checked.
async fn package(bench: &Bench<'_>, planned: &Arc<Planned>) -> Result<Vec<Piece>, Error> {
    let (planned, cancel) = (Arc::clone(planned), bench.cancel.clone());
    let folder = bench.work.folder().to_owned();
    let fragments = bench.task.fragments.clone();
    let names: Vec<String> = planned
        .plan
        .rungs
        .iter()
        .map(|r| bench.named("chunk", &format!(".{}.mp4", r.track)))
        .collect();
    let work = move || -> Result<Vec<Piece>, Error> {
        let plan = &planned.plan;
        let part = plan.grid.part(&fragments);
        let place = Place {
            fragment: fragments.start,
            ticks: plan.grid.ticks(plan.grid.fragment(fragments.start).start),
        };
        let mut pieces = Vec::new();
        for (rung, name) in plan.rungs.iter().zip(names) {
            let is_of = |video: &_| remux::is_of(video, rung.codec);
            let made = remux::video(&folder, &part, rung, is_of, &cancel, &mut || ())?;
            pieces.push(Piece::cut(&made, place, &folder, name)?);
        }
        Ok(pieces)
    };
    bench.movement.trust(bench.worker.tools.stall, blocking(work, bench.cancel)).await
}

/// File work off the async thread; given up when it is not wanted any more.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    cancel: &Cancel,
) -> Result<T, Error> {
    tokio::select! {
        done = tokio::task::spawn_blocking(work) => {
            done.map_err(|e| Error::tool(format!("packaging: {e}")))?
        }
        () = cancel.cancelled() => Err(Error::interrupted()),
    }
}
