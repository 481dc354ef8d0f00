//! A track of sound is committed run by run while its ffmpeg goes on, so that a title's start is there
//! early, and so that it is seen how far its sound is.
//!
//! Every attempt starts its ffmpeg anew, from the track's first sample. With the same tools it makes the
//! same bytes: a run that the attempt before it committed is compared by its checksum, and taken as it
//! is. From the first one that differs on, what this attempt made takes the place of what was there, all
//! at once: so one attempt's bytes are published, whoever stored them.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use headwater_config::AudioCodec;

use super::chunk::blocking;
use super::hold::{self, Bench};
use super::part::{self, Committed, Piece};
use super::plan::Planned;
use super::{now_ms, unreachable};
use crate::audio::{AudioGrid, Frames, PRIMING_FRAMES};
use crate::chunks::{self, Lengths};
use crate::error::Error;
use crate::job::{Event, Refusal};
use crate::limits;
use crate::plan::{AudioPlan, Plan};
use crate::queue::QueueError;
use crate::remux::{self, Made, Runs, Sound, Written};

/// Commits what ffmpeg writes of a sound until it `is_over`; gives the result to commit with the end.
pub(super) async fn follow(
    bench: &Bench<'_>,
    planned: &Arc<Planned>,
    index: usize,
    is_over: &Cell<bool>,
) -> Result<String, Error> {
    let mut told = Told::new(bench, planned);
    let mut runs: Option<Runs> = None;
    loop {
        let (planned, cancel) = (Arc::clone(planned), bench.cancel.clone());
        let (folder, stem) = (bench.work.folder().to_owned(), told.stem.clone());
        let is_over = is_over.get();
        let look = move || -> Result<_, Error> {
            if runs.is_none() {
                runs = open(&planned.plan, index, &folder, stem, is_over)?;
            }
            let made = match &mut runs {
                Some(runs) => runs.next(is_over, &cancel)?,
                None => None,
            };
            Ok((runs, made))
        };
        let look = blocking(look, bench.cancel);
        let made;
        (runs, made) = bench.movement.trust(bench.worker.tools.stall, look).await?;
        let is_last = runs.as_ref().is_some_and(Runs::is_done);
        match made {
            Some((made, end)) => told.run(made, end, is_last).await?,
            None => tokio::select! {
                () = tokio::time::sleep(limits::SOUND_LOOK) => {}
                () = bench.cancel.cancelled() => return Err(Error::interrupted()),
            },
        }
        if is_last {
            return Ok(part::words(&told.runs));
        }
    }
}

/// The runs of what ffmpeg writes, once its header is there.
fn open(
    plan: &Plan,
    index: usize,
    folder: &Path,
    stem: String,
    is_over: bool,
) -> Result<Option<Runs>, Error> {
    let sound = &plan.sounds[index];
    let Some(written) = Written::open(folder, &sound.track, is_over)? else { return Ok(None) };
    let (grid, dropped_frames) = placed(plan, sound, written.delay_ticks());
    let part = Sound {
        track: &sound.track,
        language: sound.language.as_ref(),
        role: sound.role,
        grid: &grid,
        gap_ticks: 0,
        dropped_frames,
        may_be_longer: sound.codec == AudioCodec::HeAac,
    };
    let spans = chunks::cut(&plan.grid, &Lengths::of_sound());
    let ends = spans.iter().map(|span| span.fragments.end).collect();
    let expects = |entry: &_| remux::is_ours(entry, sound.codec, sound.channels);
    Runs::new(written, part, (folder, stem, ends), expects).map(Some)
}

/// Where a sound is cut, and how many of its encoder's frames stand before the first that is kept.
fn placed(plan: &Plan, sound: &AudioPlan, delay_ticks: u64) -> (AudioGrid, u64) {
    match sound.codec {
        AudioCodec::Aac | AudioCodec::Dolby => (sound.grid.clone(), PRIMING_FRAMES.into()),
        AudioCodec::Opus => (sound.grid.clone(), 0),
        AudioCodec::HeAac => {
            // ffmpeg says it in an edit list; none says that there is no delay.
            let (dropped, hidden) = Frames::made_by(sound.codec).behind(delay_ticks);
            (AudioGrid::new(&plan.grid, hidden), dropped)
        }
    }
}

/// What the store and the queue have of a track.
struct Told<'a> {
    bench: &'a Bench<'a>,
    planned: &'a Planned,
    /// What this attempt's objects are called.
    stem: String,
    /// What an attempt before this one committed.
    before: Vec<Committed>,
    /// What counts now.
    runs: Vec<Committed>,
}

impl<'a> Told<'a> {
    fn new(bench: &'a Bench<'a>, planned: &'a Planned) -> Self {
        // What cannot be read is made again, like what differs.
        let before = bench.task.result.as_deref().map(part::committed);
        let before = before.and_then(Result::ok).unwrap_or_default();
        Self { bench, planned, stem: bench.named("sound", ""), before, runs: Vec::new() }
    }

    /// Commits a run that ends before fragment `end`; the last one goes with the task's result.
    async fn run(&mut self, made: Made, end: u32, is_last: bool) -> Result<(), Error> {
        let bench = self.bench;
        let piece = Piece::from(made);
        let number = self.runs.len();
        let before = self.before.get(number);
        if let Some(same) = before.filter(|before| before.media_crc32c == piece.crc32c(0)) {
            self.runs.push(same.clone());
        } else {
            if before.is_some() {
                self.differs(number).await?;
            }
            let stem = format!("{}.{number}", self.stem);
            let title = &self.planned.title;
            let part = part::put(bench, title, &stem, std::slice::from_ref(&piece)).await?;
            self.runs.push(part);
            // Until as much of this attempt is there, what was committed stays.
            if !is_last && end >= bench.task.reached {
                self.reached(end).await?;
            }
        }
        // The rest of a long track needs its room.
        match std::fs::remove_file(&piece.path) {
            // A store on this disk may have moved it.
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(Error::storage(piece.path.display(), e))
            }
            _ => Ok(()),
        }
    }

    /// What was committed is not what is made now.
    async fn differs(&mut self, number: usize) -> Result<(), Error> {
        let bench = self.bench;
        let view = bench.worker.queue.job(bench.job()).await.map_err(unreachable)?;
        if view.job.growing {
            return Err(Error::tool(format!(
                "run {number} of the sound is not what an attempt before made of it, and a viewer may \
                 have heard that: cancel the job and submit it again"
            )));
        }
        let text =
            format!("run {number} is not what an attempt before made of it, which is dropped");
        bench.worker.journal.task(&bench.hold.key, bench.hold.attempt, "differs", &text);
        self.before.truncate(number);
        Ok(())
    }

    async fn reached(&self, fragment: u32) -> Result<(), Error> {
        let Bench { worker, hold, .. } = self.bench;
        let result = part::words(&self.runs);
        let event = || Event::Reached { fragment, result: result.clone() };
        let told = || worker.queue.tell(hold, event(), now_ms());
        match hold::surely(hold::patience(worker), told).await {
            Ok(_) => Ok(()),
            Err(QueueError::Refused(Refusal::NotHeld { .. } | Refusal::JobIs { .. })) => {
                Err(Error::interrupted())
            }
            Err(error) => Err(unreachable(error)),
        }
    }
}
