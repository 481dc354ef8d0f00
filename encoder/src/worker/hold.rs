//! One task that is held: the work, its beats beside it, and what is said of it at the end.

use std::cell::RefCell;
use std::time::Duration;

use headwater_packager::ids::VersionId;

use super::heard::Heard;
use super::movement::Movement;
use super::{Worker, chunk, now_ms, plan, publish, sound};
use crate::cancel::{self, Cancel};
use crate::error::{Error, Kind as ErrorKind};
use crate::ffmpeg::Log;
use crate::job::{Event, Fault, FaultKind, Hold, Kind, Plan, Refusal, Spent, Task, TaskKey};
use crate::ladder::Rung;
use crate::limits;
use crate::queue::{Claimed, QueueError};
use crate::work::Work;

/// A task at work, as its kind sees it.
pub(super) struct Bench<'a> {
    pub(super) worker: &'a Worker,
    pub(super) task: &'a Task,
    pub(super) hold: Hold,
    pub(super) work: &'a Work,
    pub(super) movement: &'a Movement,
    pub(super) cancel: &'a Cancel,
    /// What is kept of this attempt for the title's facts.
    pub(super) heard: RefCell<Heard>,
}

impl Bench<'_> {
    /// The job, which is the version that it makes.
    pub(super) fn job(&self) -> VersionId {
        self.hold.key.job
    }

    /// The name of an object of this attempt.
    pub(super) fn named(&self, what: &str, end: &str) -> String {
        format!("{what}-{}-{}{end}", self.hold.key.index, self.hold.attempt)
    }

    /// Tells whoever waits, and keeps it.
    pub(super) fn tell(&self, notice: String, notices: &mut Vec<String>) {
        self.worker.watcher.report().notice(&notice);
        notices.push(notice);
    }

    /// A child of this task ended: what it took, and what it said.
    pub(super) fn ended(&self, log: &Log) {
        self.movement.took(log.cpu_ms());
        self.heard.borrow_mut().ffmpeg(log);
    }
}

/// What a task ended in.
enum Outcome {
    Planned(Plan),
    Done(String, Vec<Spent>),
    Published(publish::Ended),
}

/// Why work ended before its own end.
enum Ended {
    /// The worker stops.
    Stopped,
    /// Another may have the task: what is made is of no use.
    Lost(String),
    /// Nothing moved.
    Stalled(String),
}

/// Does a claimed task, and says what became of it.
pub(super) async fn carry(worker: &Worker, claimed: Claimed, stop: &Cancel) {
    let Claimed { hold, task, publication } = &claimed;
    let say = |what: &str, text: &str| worker.journal.task(&hold.key, hold.attempt, what, text);
    say("begun", "");
    let started = std::time::Instant::now();
    let movement = Movement::default();
    let (canceller, cancel) = cancel::pair();
    let work = async {
        let scratch = Work::scratch(&worker.config.work_dir)?;
        let bench = Bench {
            worker,
            task,
            hold: *hold,
            work: &scratch,
            movement: &movement,
            cancel: &cancel,
            heard: RefCell::default(),
        };
        let made = |result| Outcome::Done(result, Vec::new());
        let outcome = match hold.key.kind {
            Kind::Plan => plan::plan(&bench).await.map(Outcome::Planned),
            Kind::Chunk => chunk::chunk(&bench).await.map(made),
            Kind::Audio => sound::sound(&bench).await.map(made),
            Kind::Publish => publish::publish(&bench, *publication).await.map(Outcome::Published),
        };
        let outcome = match outcome {
            Ok(Outcome::Done(result, _)) => {
                let spent = costs(&bench, started.elapsed()).await;
                spent.map(|spent| Outcome::Done(result, spent))
            }
            outcome => outcome,
        };
        let removed = scratch.remove();
        let outcome = outcome?;
        removed?;
        Ok::<_, Error>(outcome)
    };
    tokio::pin!(work);
    let outcome = tokio::select! {
        outcome = &mut work => Ok(outcome),
        ended = beats(worker, hold, &movement) => Err(ended),
        () = stop.cancelled() => Err(Ended::Stopped),
    };
    let ended = match outcome {
        Ok(outcome) => outcome,
        Err(why) => {
            canceller.cancel();
            // It kills its ffmpeg and cleans up; what hangs is left to the kernel.
            match tokio::time::timeout(limits::ABORT_TIME, &mut work).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) if !error.is_unsure() => {}
                _ => worker.watcher.left(hold),
            }
            match why {
                Ended::Stopped => Err(Error::interrupted()),
                Ended::Stalled(text) => {
                    let fault = Fault::new(FaultKind::Stalled, &text);
                    say("stalled", &text);
                    worker.watcher.failed(hold, &Error::tool(text));
                    tell(worker, hold, Event::Failed(fault), LAST_WORDS).await;
                    return;
                }
                Ended::Lost(text) => {
                    say("lost", &text);
                    return;
                }
            }
        }
    };
    let took = format!("in {:.1} s", started.elapsed().as_secs_f64());
    match ended {
        Ok(outcome) => commit(worker, hold, outcome, &took).await,
        Err(error) => match Fault::of(&error) {
            Some(fault) => {
                worker.watcher.failed(hold, &error);
                say("failed", &format!("{}: {}", fault.kind.as_str(), fault.text));
                tell(worker, hold, Event::Failed(fault), patience(worker)).await;
            }
            None => {
                say("given back", &error.to_string());
                if error.kind() == ErrorKind::Taken {
                    // Somebody else's turn: not asked for again at once.
                    tokio::select! {
                        () = tokio::time::sleep(limits::TAKEN_PAUSE) => {}
                        () = stop.cancelled() => {}
                    }
                }
                tell(worker, hold, Event::Released, LAST_WORDS).await;
            }
        },
    }
}

/// What a chunk or a whole track took.
async fn costs(bench: &Bench<'_>, took: Duration) -> Result<Vec<Spent>, Error> {
    let planned = bench.worker.planned(bench.job()).await?;
    let plan = &planned.plan;
    let (tracks, media_ms) = match bench.hold.key.kind {
        Kind::Chunk => {
            let pixels = |rung: &Rung| u64::from(rung.width) * u64::from(rung.height);
            let shared = plan.rungs.iter().map(|rung| (rung.track.to_string(), pixels(rung)));
            (shared.collect(), plan.grid.part(&bench.task.fragments).duration_ms())
        }
        _ => {
            let sounds = plan.sounds.iter().map(|sound| &sound.track);
            let passed = plan.passed.iter().map(|passed| &passed.sound.track);
            let index = usize::try_from(bench.hold.key.index).expect("u32 fits");
            let copied = plan.copied.iter().map(|rung| &rung.track);
            let track = sounds.chain(passed).chain(copied).nth(index);
            (track.iter().map(|track| (track.to_string(), 1)).collect(), plan.grid.duration_ms())
        }
    };
    let tracks: Vec<_> = tracks;
    let work_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Ok(Spent::shared(&tracks, bench.movement.cpu_ms(), work_ms, media_ms))
}

async fn commit(worker: &Worker, hold: &Hold, outcome: Outcome, took: &str) {
    let patience = patience(worker);
    let what = match outcome {
        Outcome::Published(publish::Ended::Superseded(..)) => "superseded",
        _ => "done",
    };
    let committed = match outcome {
        Outcome::Planned(plan) => {
            surely(patience, || worker.queue.planned(hold, &plan, now_ms())).await
        }
        Outcome::Done(result, spent) => {
            let event = || Event::Done { result: result.clone(), spent: spent.clone() };
            surely(patience, || worker.queue.tell(hold, event(), now_ms())).await.map(drop)
        }
        Outcome::Published(publish::Ended::Spoiled(part, error)) => {
            return spoiled(worker, hold, part, &error).await;
        }
        Outcome::Published(publish::Ended::Superseded(by, why)) => {
            worker.watcher.failed(hold, &why);
            let event = Event::Superseded { by };
            let told = surely(patience, || worker.queue.tell(hold, event.clone(), now_ms())).await;
            told.map(drop)
        }
        Outcome::Published(publish::Ended::Written(seq)) => {
            let event = Event::Written { seq };
            let told = surely(patience, || worker.queue.tell(hold, event.clone(), now_ms())).await;
            told.map(drop)
        }
    };
    match committed {
        Ok(()) => worker.journal.task(&hold.key, hold.attempt, what, took),
        Err(error) => {
            worker.journal.task(&hold.key, hold.attempt, "not taken", &error.to_string());
            worker.watcher.failed(hold, &super::unreachable(error));
            return;
        }
    }
    if hold.key.kind == Kind::Publish {
        super::leftovers::clear(worker, hold.key.job).await;
    }
}

/// What `part` made is damaged or gone, and is to be made again before this publication.
async fn spoiled(worker: &Worker, hold: &Hold, part: TaskKey, error: &Error) {
    worker.watcher.failed(hold, error);
    let fault = Fault::new(FaultKind::Storage, &error.to_string());
    let text = format!("{part}: {}", fault.text);
    worker.journal.task(&hold.key, hold.attempt, "spoiled", &text);
    let said = || worker.queue.spoiled(hold, &part, &fault, now_ms());
    if let Err(error) = surely(patience(worker), said).await {
        worker.journal.task(&hold.key, hold.attempt, "not taken", &error.to_string());
        // Shown already, or not a part: nothing is left but to fail.
        tell(worker, hold, Event::Failed(fault), LAST_WORDS).await;
    }
}

/// Says that the task lives, again and again; ends when it is not ours any more, or stands still.
async fn beats(worker: &Worker, hold: &Hold, movement: &Movement) -> Ended {
    let queue = &worker.config.queue;
    let beat = Duration::from_secs(queue.beat_s.into());
    let lease_ms = i64::from(queue.lease_s) * 1_000;
    let mut heard_ms = now_ms();
    loop {
        tokio::time::sleep(beat).await;
        let event = Event::Beat(movement.so_far());
        match worker.queue.tell(hold, event, now_ms()).await {
            Ok(_) => heard_ms = now_ms(),
            Err(QueueError::Refused(refusal @ Refusal::Stalled { .. })) => {
                return Ended::Stalled(refusal.to_string());
            }
            Err(error @ QueueError::Database { .. }) => {
                if now_ms() - heard_ms >= lease_ms {
                    return Ended::Lost(error.to_string());
                }
            }
            Err(error) => return Ended::Lost(error.to_string()),
        }
    }
}

/// How long the last word of an attempt that is given up is tried.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a result is offered to a queue that does not answer: as long as it may be ours.
pub(super) fn patience(worker: &Worker) -> Duration {
    Duration::from_secs(worker.config.queue.lease_s.into())
}

async fn tell(worker: &Worker, hold: &Hold, event: Event, patience: Duration) {
    let told = surely(patience, || worker.queue.tell(hold, event.clone(), now_ms())).await;
    if let Err(error) = told {
        worker.journal.task(&hold.key, hold.attempt, "not heard", &error.to_string());
    }
}

/// Makes a call again while the database does not answer. One that was carried out although its
/// answer was lost is then refused by the attempt's number.
pub(super) async fn surely<T, F: Future<Output = Result<T, QueueError>>>(
    patience: Duration,
    call: impl Fn() -> F,
) -> Result<T, QueueError> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        match call().await {
            Err(QueueError::Database { .. }) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(limits::DATABASE_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
