//! `encode`: one job, worked on to its end by a worker of its own, while its user watches.
//!
//! ```text
//! title held ─► a queue in memory ─► worker ──────────► parts in the work folder ─► title.json
//!               one job              as many chunks
//!                                    at once as cores
//! ```
//!
//! What a killed encode left is taken back by the next one, which starts anew: what is to survive
//! anything is submitted to a queue that lasts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use headwater_config::{self as config, Encoder};
use headwater_packager::ids::TitleId;
use tokio::task::LocalSet;

use crate::cancel::{self, Cancel, Canceller};
use crate::error::{Error, Kind};
use crate::ffmpeg::Tools;
use crate::job::{Hold, Kind as TaskKind, Priority, Submission, Terms};
use crate::look;
use crate::publish::Product;
use crate::queue::{Memory, Queue};
use crate::report::{Meter, Report, Stage};
use crate::source::Said;
use crate::store::{FileStore, Own};
use crate::text::Sidecar;
use crate::version::{self, Making, Place, Published, Shown, Station};
use crate::worker::{PARTS, Planned, Until, Watcher, Worker, now_ms, unreachable};

/// What to encode.
#[derive(Clone, Debug)]
pub struct Request {
    /// A local file.
    pub input: PathBuf,
    /// The title it becomes.
    pub title: TitleId,
    /// Where it is published.
    pub store: config::Store,
    /// What is said of its sounds.
    pub said: Vec<Said>,
    /// Texts beside it.
    pub sidecars: Vec<Sidecar>,
}

/// Encodes and publishes. Whatever goes wrong, and when stopped, the title stays as it was and
/// nothing half made is left behind; what a failing store or disk keeps us from removing is told
/// of, and removed by the next encode.
pub async fn encode(
    request: &Request,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Published, Error> {
    let encoding = Encoding { request, config };
    let place = Place { title: &request.title, store: &request.store };
    version::publish_new(&encoding, place, config, report, cancel).await
}

/// The making of a version from one film.
struct Encoding<'a> {
    request: &'a Request,
    config: &'a Encoder,
}

/// What a job names, good from any working directory.
struct Named {
    input: String,
    texts: Vec<String>,
}

impl Making for Encoding<'_> {
    type Prepared = Named;

    /// What the command line names is there, and is named as it was there where it is not.
    async fn prepare(&self, _: &Tools, _: &Arc<dyn Report>, _: &Cancel) -> Result<Named, Error> {
        look::beside(&self.request.sidecars)?;
        let mut texts = Vec::new();
        for Sidecar { path, language } in &self.request.sidecars {
            texts.push(format!("{}:{}", word(&look::there(path)?)?, language.tag));
        }
        Ok(Named { input: word(&look::there(&self.request.input)?)?, texts })
    }

    async fn publish(&self, named: Named, station: &Station<'_>) -> Result<Shown, Error> {
        let config = ours(self.config, station.folder);
        let queue = Arc::new(Memory::new(terms(&config)));
        let submission = self.submission(named, station);
        queue.submit(&submission, now_ms()).await.map_err(unreachable)?;
        let store = Own {
            prefix: PARTS,
            here: FileStore::new(&station.folder.join("parts"))?,
            there: Arc::clone(station.store),
        };
        let (canceller, stop) = cancel::pair();
        let user = Rc::new(User {
            report: Arc::clone(station.report),
            failures: config.queue.failures,
            canceller: canceller.clone(),
            encoded: RefCell::default(),
            error: RefCell::default(),
            shown: RefCell::default(),
            is_unsure: Cell::default(),
        });
        let watcher = Box::new(Rc::clone(&user));
        let cancel = station.cancel;
        let worker =
            Worker::watched(queue, config, Arc::new(store), station.tools, watcher, cancel);
        let worker = Rc::new(worker.await?);
        let work = LocalSet::new();
        let worked = work.run_until(worker.run(Until::Drained, &stop));
        tokio::pin!(worked);
        tokio::select! {
            worked = &mut worked => worked?,
            () = cancel.cancelled() => {
                canceller.cancel();
                worked.await?;
            }
        }
        user.outcome(cancel)
    }
}

impl Encoding<'_> {
    fn submission(&self, named: Named, station: &Station<'_>) -> Submission {
        Submission {
            version: station.job.version,
            title: station.job.title.clone(),
            input: named.input,
            priority: Priority::Launch,
            deadline_ms: None,
            growing: false,
            audio: self.request.said.iter().map(Said::to_string).collect(),
            texts: named.texts,
        }
    }
}

/// A path as a job names it.
fn word(path: &Path) -> Result<String, Error> {
    let text = || format!("{}: its path is no UTF-8; rename it", path.display());
    path.to_str().map(str::to_owned).ok_or_else(|| Error::new(Kind::Usage, text()))
}

/// The configuration of the worker: its tasks are made in the encode's own folder, on a disk that nobody is
/// asked to keep free.
fn ours(config: &Encoder, folder: &Path) -> Encoder {
    let mut ours = config.clone();
    ours.work_dir = folder.join("tasks");
    // Who runs it may read the file.
    ours.api.inputs.clear();
    ours.queue.parallel = config.threads;
    ours.queue.min_disk_mib = 0;
    ours.queue.poll_ms = ours.queue.poll_ms.min(100);
    ours
}

/// One process on one queue cannot be taken for dead, however long its machine sleeps. What hangs is
/// killed by its own patience.
fn terms(config: &Encoder) -> Terms {
    const NEVER_MS: i64 = 100 * 365 * 24 * 3_600_000;
    Terms {
        lease_ms: NEVER_MS,
        stall_ms: NEVER_MS,
        backoff_ms: 500,
        failures: config.queue.failures,
        ..Terms::default()
    }
}

/// Who waits for an encode.
struct User {
    report: Arc<dyn Report>,
    /// Attempts at a task.
    failures: u32,
    /// Ends the work at the first fault that is final.
    canceller: Canceller,
    encoded: RefCell<Option<Encoded>>,
    error: RefCell<Option<Error>>,
    shown: RefCell<Option<Shown>>,
    is_unsure: Cell<bool>,
}

/// How far the encoding is.
struct Encoded {
    meter: Meter,
    /// Of each chunk.
    frames: BTreeMap<u32, u64>,
    /// Of the title.
    whole: u64,
    /// Of the title, for each of its seconds.
    rate: f64,
}

impl User {
    /// What the encode ended in.
    fn outcome(&self, cancel: &Cancel) -> Result<Shown, Error> {
        if let Some(shown) = self.shown.take() {
            return Ok(shown);
        }
        let error = self.error.take().or_else(|| cancel.check().err());
        let error = error.unwrap_or_else(|| Error::tool("the work ended without a result"));
        Err(if self.is_unsure.get() { error.unsure() } else { error })
    }

    /// Whether another attempt may help: ffmpeg's fault in a part of the title. What is wrong with the
    /// source, and a store that fails, is told at once.
    fn may_mend(&self, hold: &Hold, error: &Error) -> bool {
        let is_part = matches!(hold.key.kind, TaskKind::Chunk | TaskKind::Audio);
        is_part && error.kind() == Kind::Tool && hold.attempt < self.failures
    }
}

impl Watcher for Rc<User> {
    fn report(&self) -> &Arc<dyn Report> {
        &self.report
    }

    #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
    fn planned(&self, planned: &Planned) {
        let grid = planned.plan.grid;
        *self.encoded.borrow_mut() = Some(Encoded {
            meter: Meter::start(&self.report, Stage::Encode),
            frames: BTreeMap::new(),
            whole: grid.frames(),
            rate: grid.frames() as f64 * 1000.0 / grid.duration_ms().max(1) as f64,
        });
    }

    #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
    fn moved(&self, chunk: u32, frames: u64) {
        if let Some(Encoded { meter, frames: all, whole, rate }) = &mut *self.encoded.borrow_mut() {
            all.insert(chunk, frames);
            let frames: u64 = all.values().sum();
            meter.frames(frames, *whole, frames as f64 / *rate);
        }
    }

    fn failed(&self, hold: &Hold, error: &Error) {
        if self.may_mend(hold, error) {
            let (kind, index) = (hold.key.kind.as_str(), hold.key.index);
            let Hold { attempt, .. } = hold;
            self.report.notice(&format!(
                "{kind} {index} failed and is tried again ({attempt} of {} times): {error}",
                self.failures
            ));
            return;
        }
        self.error.borrow_mut().get_or_insert_with(|| error.clone());
        self.canceller.cancel();
    }

    fn left(&self, hold: &Hold) {
        // Perhaps in the middle of writing the pointer.
        if hold.key.kind == TaskKind::Publish {
            self.is_unsure.set(true);
        }
    }

    fn published(&self, product: &Product) {
        *self.shown.borrow_mut() = Some(Shown::from(product));
    }
}

#[cfg(test)]
mod tests;
