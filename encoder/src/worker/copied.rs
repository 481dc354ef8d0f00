//! The rung that is the source's own pictures. Whether it can be had is found out by having it, when the job is
//! planned; then it is a task beside the tracks of sound, so that a part that is lost is made again.

use std::path::Path;

use super::chunk::blocking;
use super::hold::Bench;
use super::plan::LOOKING;
use crate::error::{Error, Kind};
use crate::ffmpeg::Copied;
use crate::ladder::Rung;
use crate::plan::{Plan, raw_name};
use crate::remux::{self, Made};

/// Whether the rung of `plan` that is to be copied can be; `Some` says why it cannot.
pub(super) async fn refused(
    bench: &Bench<'_>,
    plan: &Plan,
    input: &Path,
) -> Result<Option<String>, Error> {
    let Some(rung) = &plan.copied else { return Ok(None) };
    let source = input.to_owned();
    let look = move || Ok(remux::entries::is_one(&source));
    if let Err(why) = blocking(look, bench.cancel).await? {
        return Ok(Some(why));
    }
    match copied(bench, plan, rung, input).await {
        Ok(made) => {
            std::fs::remove_file(&made.path).map_err(|e| Error::storage(made.path.display(), e))?;
            Ok(None)
        }
        Err(error) if matches!(error.kind(), Kind::Interrupted | Kind::Storage) => Err(error),
        // Nothing else fails for it: it is encoded, like others.
        Err(error) => {
            bench.work.empty()?;
            Ok(Some(error.to_string()))
        }
    }
}

/// Makes it.
pub(super) async fn copied(
    bench: &Bench<'_>,
    plan: &Plan,
    rung: &Rung,
    input: &Path,
) -> Result<Made, Error> {
    let (tools, folder) = (&bench.worker.tools, bench.work.folder());
    let index = plan.source.video.index;
    let stream = Copied { index, track: rung.track.clone(), is_video: true, is_hevc: false };
    let streams = std::slice::from_ref(&stream);
    let mut moved = |_| {};
    let copy = tools.copy(input, streams, folder, bench.cancel, &mut moved);
    // It is watched by itself.
    let log = bench.movement.trust(LOOKING, copy).await?;
    bench.ended(&log);
    if let Some(damage) = log.damage() {
        return Err(Error::new(Kind::SourceDamaged, damage.said.clone()));
    }
    let raw = folder.join(raw_name(&rung.track));
    let (grid, rung, cancel) = (plan.grid, rung.clone(), bench.cancel.clone());
    let folder = folder.to_owned();
    let work = move || {
        let made = remux::copied(&folder, &grid, &rung, &cancel)?;
        std::fs::remove_file(&raw).map_err(|e| Error::storage(raw.display(), e))?;
        Ok(made)
    };
    bench.movement.trust(LOOKING, blocking(work, bench.cancel)).await
}
