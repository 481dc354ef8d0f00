//! The source of a job on this machine: a file that is there, or a copy of an object, filled with what
//! the job's tasks here need and shared by all of them.
//!
//! ```text
//! <work_dir>/sources/<job>/    a copy (fetch::sparse); removed when the job is over and nobody uses it
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use headwater_config::{Encoder, S3, StoreUrl};
use headwater_packager::ids::VersionId;

use super::hold::Bench;
use super::plan::Planned;
use super::{Worker, part, room};
use crate::error::{Error, Kind};
use crate::fetch::{Input, Object, Place, Sparse};
use crate::job::Spent;
use crate::limits;
use crate::queue::QueueError;

/// The copies of a machine.
pub(super) struct Copies {
    root: PathBuf,
    settings: S3,
    open: Mutex<BTreeMap<VersionId, Weak<Sparse>>>,
}

/// A source as ffmpeg reads it.
pub(super) struct Local {
    path: PathBuf,
    copy: Option<Arc<Sparse>>,
}

impl Copies {
    /// Those in the work folder; buckets are reached by `settings`.
    pub(super) fn new(config: &Encoder, settings: &S3) -> Self {
        let work =
            std::path::absolute(&config.work_dir).unwrap_or_else(|_| config.work_dir.clone());
        Self { root: work.join("sources"), settings: settings.clone(), open: Mutex::default() }
    }

    /// Where the copy for a job lies.
    pub(super) fn path(&self, job: VersionId, object: &Object) -> PathBuf {
        Sparse::path_of(&self.folder(job), object)
    }

    fn folder(&self, job: VersionId) -> PathBuf {
        self.root.join(job.to_string())
    }

    async fn open(&self, job: VersionId, object: &Object) -> Result<Arc<Sparse>, Error> {
        if let Some(known) = self.known(job, object) {
            return Ok(known);
        }
        let place = Place::new(&object.address, &self.settings)?;
        let copy = Arc::new(Sparse::open(&self.folder(job), object, place).await?);
        if let Some(known) = self.known(job, object) {
            // Somebody else of us was quicker.
            return Ok(known);
        }
        let mut open = self.opened();
        open.retain(|_, copy| copy.strong_count() > 0);
        open.insert(job, Arc::downgrade(&copy));
        Ok(copy)
    }

    fn known(&self, job: VersionId, object: &Object) -> Option<Arc<Sparse>> {
        let known = self.opened().get(&job).and_then(Weak::upgrade);
        known.filter(|known| known.object() == object)
    }

    fn opened(&self) -> MutexGuard<'_, BTreeMap<VersionId, Weak<Sparse>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a job's copy, unless somebody uses it.
    pub(super) fn remove(&self, job: VersionId) -> Result<(), Error> {
        let folder = self.folder(job);
        if folder.exists() {
            Sparse::remove(&folder)?;
        }
        // Where others are in it, it stays.
        let _ = std::fs::remove_dir(&self.root);
        Ok(())
    }

    /// The jobs that there are copies for.
    fn jobs(&self) -> Vec<VersionId> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

/// Removes copies whose jobs are over, whoever made them.
pub(super) async fn sweep(worker: &Worker) {
    for job in worker.copies.jobs() {
        let is_needed = match worker.queue.state(job).await {
            Ok(state) => state.is_open(),
            Err(QueueError::NoSuchJob(_)) => false,
            Err(_) => true,
        };
        if is_needed {
            continue;
        }
        if let Err(error) = worker.copies.remove(job) {
            worker.journal.say(&format!("the copy of the source of {job} is not removed: {error}"));
        }
    }
}

impl Local {
    /// What a job names, looked for; an object is read to its end, once.
    pub(super) async fn found(bench: &Bench<'_>, input: &str) -> Result<Self, Error> {
        let Worker { config, copies, .. } = bench.worker;
        let address = match Input::parse(input)? {
            Input::File(path) => {
                let path = super::plan::within(&path, &folders(&config.api.inputs))?;
                return Ok(Self { path, copy: None });
            }
            Input::Object(address) => address,
        };
        let place = Place::new(&address, &copies.settings)?;
        let object = tokio::select! {
            found = place.find() => found?,
            () = bench.cancel.cancelled() => return Err(Error::interrupted()),
        };
        let found = Self::copy(bench, &object).await?;
        found.fill_whole(bench).await?;
        Ok(found)
    }

    /// The one that was planned for. Of an object it may not be here yet.
    pub(super) async fn planned(bench: &Bench<'_>, planned: &Planned) -> Result<Self, Error> {
        match &planned.object {
            Some(object) => Self::copy(bench, object).await,
            None => Ok(Self { path: planned.source()?, copy: None }),
        }
    }

    async fn copy(bench: &Bench<'_>, object: &Object) -> Result<Self, Error> {
        // Another process may be beginning it.
        let opened = bench.worker.copies.open(bench.job(), object);
        let copy = tokio::select! {
            opened = bench.movement.trust(part::upload_time(TURN_BYTES), opened) => opened?,
            () = bench.cancel.cancelled() => return Err(Error::interrupted()),
        };
        Ok(Self { path: copy.path().to_owned(), copy: Some(copy) })
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The object that it is a copy of.
    pub(super) fn object(&self) -> Option<&Object> {
        self.copy.as_ref().map(|copy| copy.object())
    }

    /// Whether parts of it are holes.
    pub(super) fn is_partial(&self) -> Result<bool, Error> {
        self.copy.as_ref().map_or(Ok(false), |copy| Ok(!copy.blocks()?.is_whole()))
    }

    /// Reads all of it that is not here.
    pub(super) async fn fill_whole(&self, bench: &Bench<'_>) -> Result<(), Error> {
        self.fill(bench, &WHOLE).await
    }

    /// Reads what is not here of `wanted`.
    pub(super) async fn fill(&self, bench: &Bench<'_>, wanted: &[Range<u64>]) -> Result<(), Error> {
        let Some(copy) = &self.copy else { return Ok(()) };
        let object = copy.object();
        let missing_bytes = copy.blocks()?.missing_bytes(wanted);
        if missing_bytes == 0 {
            return Ok(());
        }
        if let Some(lacks) = room::lacks_for(&bench.worker.config, missing_bytes) {
            return Err(Error::storage(&object.address, lacks));
        }
        let (mut read_bytes, mut untold_bytes) = (0, 0);
        let ended = loop {
            // Whoever waits for a turn moves while those before it fill.
            let seen = || copy.blocks().map_or(0, |blocks| blocks.missing_bytes(&WHOLE));
            let turn = copy.fill_some(wanted);
            let turn = bench.movement.trust_moving(part::upload_time(TURN_BYTES), seen, turn);
            let filled = tokio::select! {
                filled = turn => filled,
                () = bench.cancel.cancelled() => break Err(Error::interrupted()),
            };
            bench.movement.bytes(filled.read_bytes);
            read_bytes += filled.read_bytes;
            untold_bytes += copy.take_asked_bytes();
            if let Some(error) = filled.failed {
                break Err(error);
            }
            if filled.read_bytes == 0 {
                break Ok(());
            }
            if untold_bytes >= limits::FETCH_TOLD_BYTES {
                tell(bench, std::mem::take(&mut untold_bytes)).await;
            }
        };
        untold_bytes += copy.take_asked_bytes();
        if untold_bytes > 0 {
            tell(bench, untold_bytes).await;
        }
        let text = format!("{read_bytes} of {} bytes of {}", object.len_bytes, object.address);
        bench.worker.journal.task(&bench.hold.key, bench.hold.attempt, "read", &text);
        ended
    }

    /// A fault as whoever submitted the job knows its source.
    pub(super) fn named(&self, error: Error) -> Error {
        match self.object() {
            Some(object) => {
                let path = self.path.display().to_string();
                error.renamed(&path, &object.address.to_string())
            }
            None => error,
        }
    }
}

/// Of a source.
#[expect(clippy::single_range_in_vec_init, reason = "ranges are what is asked for")]
const WHOLE: [Range<u64>; 1] = [0..u64::MAX];

/// The most that is read in a turn.
const TURN_BYTES: u64 = limits::FETCH_BYTES * limits::FETCHES_AT_ONCE as u64;

/// Counts what was read, whatever becomes of the attempt. It holds up nobody.
async fn tell(bench: &Bench<'_>, read_bytes: u64) {
    let spent = Spent::reading(read_bytes);
    if let Err(error) = bench.worker.queue.spend(bench.job(), &spent).await {
        let text = format!("{read_bytes} bytes that were read are not counted: {error}");
        bench.worker.journal.task(&bench.hold.key, bench.hold.attempt, "not heard", &text);
    }
}

/// Whether a fault may come of a hole in a copy.
pub(super) fn is_of_holes(error: &Error) -> bool {
    matches!(error.kind(), Kind::Tool | Kind::SourceDamaged | Kind::Refused)
}

/// The folders of this machine among the places that requests may name.
pub(super) fn folders(inputs: &[StoreUrl]) -> Vec<PathBuf> {
    inputs.iter().filter_map(StoreUrl::folder).map(Path::to_owned).collect()
}
