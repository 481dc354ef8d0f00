//! A chunk task: one decode of some seconds, every rung of them, each fragment checked against the
//! plan before anything is stored.

use std::fmt::Display;
use std::sync::Arc;

use super::hold::Bench;
use super::part::{self, Piece, Place};
use super::plan::{LOOKING, Planned};
use super::source::{self, Local};
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::ffmpeg::part::Cut;
use crate::ffmpeg::{Log, Progress};
use crate::job::{Fault, FaultKind};
use crate::remux;

/// Makes a chunk; gives the result to commit.
pub(super) async fn chunk(bench: &Bench<'_>) -> Result<String, Error> {
    let planned = bench.worker.planned(bench.job()).await?;
    let source = Local::planned(bench, &planned).await?;
    let fragments = bench.task.fragments.clone();
    let mut cut = Cut { plan: &planned.plan, input: source.path(), fragments, from: None };
    cut.from = cut.point(&planned.points, lead_s(bench));
    source.fill(bench, &planned.needs(&cut)).await?;
    // Asked before: others may fill it meanwhile.
    let has_holes = source.is_partial()?;
    let pieces = match made(bench, &cut, &planned, has_holes).await {
        // What its reader looked for may lie in a hole.
        Err(error) if has_holes && source::is_of_holes(&error) => {
            let text = format!("again over the whole source: {error}");
            bench.worker.journal.task(&bench.hold.key, bench.hold.attempt, "holes", &text);
            source.fill_whole(bench).await?;
            bench.work.empty()?;
            made(bench, &cut, &planned, false).await
        }
        made => made,
    };
    let pieces = pieces.map_err(|error| source.named(error))?;
    let part = part::put(bench, &planned.title, &bench.named("chunk", ""), &pieces).await?;
    Ok(part::words(&[part]))
}

async fn made(
    bench: &Bench<'_>,
    cut: &Cut<'_>,
    planned: &Arc<Planned>,
    has_holes: bool,
) -> Result<Vec<Piece>, Error> {
    encode(bench, cut, planned, has_holes).await?;
    package(bench, planned, cut).await
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

async fn encode(
    bench: &Bench<'_>,
    cut: &Cut<'_>,
    planned: &Planned,
    has_holes: bool,
) -> Result<(), Error> {
    let tools = &bench.worker.tools;
    let warm_frames = cut.plan.rungs.first().map_or(0, |rung| cut.warm_frames(rung.codec));
    let mut moved = |progress: &Progress| {
        // What a warm-up makes is dropped.
        let frames = progress.frames.saturating_sub(warm_frames);
        bench.movement.ffmpeg(&Progress { frames, ..*progress });
        bench.worker.watcher.moved(bench.task.key.index, frames);
    };
    let log = tools.chunk(cut, bench.work.folder(), bench.cancel, &mut moved).await?;
    bench.ended(&log);
    let Some(damage) = log.damage() else { return all_were_shown(bench, cut, planned, &log) };
    if has_holes {
        // Who looks again may find filled what was a hole.
        return Err(Error::tool(format!("a source with holes: {}", damage.said)));
    }
    // It is watched by itself.
    let looked = tools.damage_within(cut, bench.cancel);
    match bench.movement.trust(LOOKING, looked).await? {
        None => all_were_shown(bench, cut, planned, &log),
        Some(place) => {
            let at_s = place.at_s - cut.plan.source.video.start.seconds();
            let name = planned.stream(cut.plan.source.video.index);
            Err(damaged(&name, format_args!("at {at_s:.3} s"), &damage.said))
        }
    }
}

/// The error for a stream that decoders complain of.
pub(super) fn damaged(name: &str, at: impl Display, said: &str) -> Error {
    Error::new(
        Kind::SourceDamaged,
        format!(
            "{name} is damaged {at}: {said}; nothing was published. Send a whole copy of the source"
        ),
    )
}

/// ffmpeg's word against ours: the frames that it says it decoded against those that the source holds.
/// Where a rate varies the frame before stands in for one that was not decoded, so they are counted.
fn all_were_shown(
    bench: &Bench<'_>,
    cut: &Cut<'_>,
    planned: &Planned,
    log: &Log,
) -> Result<(), Error> {
    let index = usize::try_from(bench.task.key.index).expect("u32 fits");
    let video = &cut.plan.source.video;
    let (decoded, held) = match (planned.held.get(index), log.tally(video.index)) {
        (Some(&held), _) => {
            let shown = log.shown().iter().filter(|&&ticks| cut.is_of(ticks)).count();
            (u64::try_from(shown).expect("a count fits"), held)
        }
        (None, Some(tally)) => {
            // A lead-in is decoded too.
            let least = cut.least_held();
            (if cut.is_whole() { tally.frames } else { tally.frames.min(least) }, least)
        }
        // An ffmpeg that does not say.
        (None, None) => return Ok(()),
    };
    if decoded == held {
        return Ok(());
    }
    let part = match cut.is_whole() {
        true => String::new(),
        false => {
            let (frames, grid) = (cut.frames(), &cut.plan.grid);
            format!(" from {:.3} to {:.3} s", grid.seconds(frames.start), grid.seconds(frames.end))
        }
    };
    let text = format!(
        "{}: {decoded} of its {held} frames{part} could be decoded; ffmpeg says: {}; nothing was \
         published. Send a whole copy of the source",
        planned.stream(video.index),
        log.last_lines()
    );
    // A seek may be to blame, until the longest lead was tried.
    let is_last = LEADS_S.last() == Some(&lead_s(bench));
    let kind = if is_last { Kind::SourceDamaged } else { Kind::Tool };
    Err(Error::new(kind, text))
}

/// ffmpeg's files to pieces of the title's tracks, each fragment checked.
async fn package(
    bench: &Bench<'_>,
    planned: &Arc<Planned>,
    cut: &Cut<'_>,
) -> Result<Vec<Piece>, Error> {
    let codecs = planned.plan.rungs.iter().map(|rung| rung.codec);
    let warm: Vec<u64> = codecs.map(|codec| cut.warm_frames(codec)).collect();
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
        for ((rung, name), warm_frames) in plan.rungs.iter().zip(names).zip(warm) {
            let is_of = |video: &_| remux::is_of(video, rung.codec);
            let made = remux::video(&folder, &part, warm_frames, rung, is_of, &cancel, &mut || ())?;
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
