//! A chunk task: one decode of some seconds, every rung of them, each fragment checked against the
//! plan before anything is stored.

use std::sync::Arc;

use super::hold::Bench;
use super::part::{self, Piece, Place};
use super::plan::{LOOKING, Planned};
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::ffmpeg::Log;
use crate::ffmpeg::part::Cut;
use crate::job::{Fault, FaultKind};
use crate::remux;

/// Makes a chunk; gives the result to commit.
pub(super) async fn chunk(bench: &Bench<'_>) -> Result<String, Error> {
    let planned = bench.worker.planned(bench.job()).await?;
    let input = planned.source()?;
    let fragments = bench.task.fragments.clone();
    let mut cut = Cut { plan: &planned.plan, input: &input, fragments, from: None };
    cut.from = cut.point(&planned.points, lead_s(bench));
    encode(bench, &cut, &planned).await?;
    let pieces = package(bench, &planned).await?;
    part::put(bench, &planned.title, "chunk", &pieces).await
}

/// Seconds that are decoded before a chunk's first frame and thrown away. What a seek got wrong is found
/// out, and the next attempt begins earlier.
const LEADS_S: [u32; 3] = [2, 20, 200];

fn lead_s(bench: &Bench<'_>) -> u32 {
    let is_tool = |fault: &Fault| fault.kind == FaultKind::Tool;
    let failures = match bench.task.fault.as_ref().is_some_and(is_tool) {
        true => usize::try_from(bench.task.failures).unwrap_or(usize::MAX),
        false => 0,
    };
    LEADS_S[failures.min(LEADS_S.len() - 1)]
}

async fn encode(bench: &Bench<'_>, cut: &Cut<'_>, planned: &Planned) -> Result<(), Error> {
    let tools = &bench.worker.tools;
    let mut moved = |progress: &crate::ffmpeg::Progress| bench.movement.ffmpeg(progress);
    let log = tools.chunk(cut, bench.work.folder(), bench.cancel, &mut moved).await?;
    bench.movement.took(log.cpu_ms());
    let Some(damage) = log.damage() else { return all_were_shown(bench, cut, planned, &log) };
    // It is watched by itself.
    let looked = tools.damage_within(cut, bench.cancel);
    match bench.movement.trust(LOOKING, looked).await? {
        None => all_were_shown(bench, cut, planned, &log),
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

/// Where a rate varies the frame before stands in for one that was not decoded, so frames are counted.
fn all_were_shown(
    bench: &Bench<'_>,
    cut: &Cut<'_>,
    planned: &Planned,
    log: &Log,
) -> Result<(), Error> {
    let index = usize::try_from(bench.task.key.index).expect("u32 fits");
    let Some(&held) = planned.held.get(index) else { return Ok(()) };
    let shown = log.shown().iter().filter(|&&ticks| cut.is_of(ticks)).count();
    if u64::try_from(shown).ok() == Some(held) {
        return Ok(());
    }
    let (clock_s, zero_s) = (cut.clock_s(), cut.plan.source.video.start.seconds());
    let text = format!(
        "{shown} of its {held} frames from {:.3} to {:.3} s could be decoded; ffmpeg says: {}; nothing \
         was published. Send a whole copy of the source",
        clock_s.start - zero_s,
        clock_s.end - zero_s,
        log.last_lines()
    );
    // A seek may be to blame, until the longest lead was tried.
    let is_last = LEADS_S.last() == Some(&lead_s(bench));
    let kind = if is_last { Kind::SourceDamaged } else { Kind::Tool };
    Err(Error::new(kind, text))
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
