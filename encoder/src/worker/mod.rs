//! A worker: takes tasks from the queue, does them, and says what became of them.
//!
//! ```text
//!            ┌─ plan    probe, scan, grid, ladder, chunks; texts ────► jobs/<job>/plan-<attempt>
//! claim ─────┼─ chunk   one decode, all rungs; remuxed and checked ──► jobs/<job>/chunk-<n>-<attempt>
//!   │        ├─ sound   one track from start to end, run by run ─────► jobs/<job>/sound-<n>-<attempt>
//!   │        └─ publish parts joined, read back, pointer ────────────► titles/<title>/<job>/
//!   └─ beats while something moves; the result is committed by the attempt's number
//! ```
//!
//! Objects below `jobs/` have the attempt in their names, so a worker that was taken for dead writes
//! over nobody's work; which of them count is what the queue says. `hold` is one task that is held,
//! `room` whether there is disk and memory for another one, `leftovers` what is swept; `source` is the
//! source on this machine, a copy where it lies in a bucket.

mod chunk;
mod copied;
mod fingerprint;
mod heard;
mod hold;
mod journal;
mod leftovers;
mod movement;
mod part;
mod plan;
mod publish;
mod room;
mod runs;
mod sound;
mod source;
mod texts;
mod watcher;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use headwater_config::{self as config, Encoder};
use headwater_packager::ids::VersionId;
use tokio::task::JoinSet;

use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::ffmpeg::Tools;
use crate::job::State;
use crate::limits;
use crate::queue::{self, Depth, Queue, QueueError};
use crate::store::{self, Store};
use watcher::Nobody;

pub use journal::Journal;
pub(crate) use part::PREFIX as PARTS;
pub use plan::Planned;
pub(crate) use watcher::Watcher;

/// A worker and what it works with.
pub struct Worker {
    queue: Arc<dyn Queue>,
    name: queue::Worker,
    config: Encoder,
    store: Arc<dyn Store>,
    copies: source::Copies,
    tools: Tools,
    journal: Journal,
    plans: Mutex<BTreeMap<VersionId, (Arc<Planned>, usize)>>,
    watcher: Box<dyn Watcher>,
}

/// When a worker ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// When nothing is left that it, or another worker, could do.
    Drained,
}

impl Worker {
    /// A worker called `name`, once its tools are found to work here.
    pub async fn new(
        queue: Arc<dyn Queue>,
        name: &str,
        config: &Encoder,
        store: &config::Store,
        journal: Journal,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        // Each encoder has one thread: what runs at once is chunks, which costs less.
        let tools = Tools { threads: 1, ..Tools::new(config)? };
        let build = tools.version(cancel).await?;
        let name = queue::Worker { name: name.to_owned(), tool: fingerprint::of(&build) };
        let copies = source::Copies::new(config, &store.s3);
        let (store, config) = (store::open(store)?.into(), config.clone());
        let (plans, watcher) = (Mutex::default(), Box::new(Nobody::default()));
        Ok(Self { queue, name, config, store, copies, tools, journal, plans, watcher })
    }

    /// A worker whose user waits for it, with these tools and this store, and a queue of its own.
    pub(crate) async fn watched(
        queue: Arc<dyn Queue>,
        config: Encoder,
        store: Arc<dyn Store>,
        tools: &Tools,
        watcher: Box<dyn Watcher>,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let tools = Tools { threads: 1, ..tools.clone() };
        let build = tools.version(cancel).await?;
        let name = queue::Worker { name: "encode".to_owned(), tool: fingerprint::of(&build) };
        let copies = source::Copies::new(&config, &config::S3::default());
        let (journal, plans) = (Journal::Silent, Mutex::default());
        Ok(Self { queue, name, config, store, copies, tools, journal, plans, watcher })
    }

    /// Works until `cancel`, or until there is nothing left. Tasks that are held when it is told to
    /// stop are given back.
    pub async fn run(self: &Rc<Self>, until: Until, cancel: &Cancel) -> Result<(), Error> {
        self.journal.say(&format!("worker {} with {}", self.name.name, self.name.tool));
        let mut tasks = JoinSet::new();
        let (mut sweep_at, mut copies_at) = (Instant::now(), Instant::now());
        let poll = Duration::from_millis(self.config.queue.poll_ms.into());
        let mut is_short = false;
        let mut look_at = Instant::now();
        let mut stranded = String::new();
        while cancel.check().is_ok() {
            if sweep_at <= Instant::now() {
                // A store that does not answer must not keep it from being stopped.
                tokio::select! {
                    () = leftovers::sweep(self) => {}
                    () = cancel.cancelled() => break,
                }
                sweep_at = Instant::now() + limits::LEFTOVERS_LOOK;
            }
            if copies_at <= Instant::now() {
                source::sweep(self).await;
                copies_at = Instant::now() + limits::COPIES_LOOK;
            }
            let why = room::lacks(&self.config);
            if let (Some(why), false) = (&why, is_short) {
                self.journal.say(&format!("takes nothing: {why}"));
            }
            is_short = why.is_some();
            // Where nobody else would ever take it, one at a time has to do.
            let has_room = !is_short || self.watcher.has_this_worker_alone() && tasks.is_empty();
            if tasks.len() < self.parallel() && has_room {
                match self.queue.claim(&self.name, now_ms()).await {
                    Ok(Some(claimed)) => {
                        let (worker, cancel) = (Rc::clone(self), cancel.clone());
                        tasks.spawn_local(
                            async move { hold::carry(&worker, claimed, &cancel).await },
                        );
                        continue;
                    }
                    Ok(None) if tasks.is_empty() => {
                        let drains = until == Until::Drained;
                        if drains || look_at <= Instant::now() {
                            look_at = Instant::now() + limits::STRANDED_LOOK;
                            match self.queue.depth().await {
                                Ok(depth) => {
                                    self.tell_stranded(&depth, &mut stranded);
                                    if drains && depth.is_drained_for(&self.name.tool) {
                                        source::sweep(self).await;
                                        return Ok(());
                                    }
                                }
                                Err(error) if drains => return Err(unreachable(error)),
                                Err(_) => {}
                            }
                        }
                    }
                    Ok(None) => {}
                    Err(error) => self.journal.say(&format!("cannot claim: {error}")),
                }
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                Some(_) = tasks.join_next() => {}
                () = tokio::time::sleep(poll) => {}
            }
        }
        // Each of them has seen the same wish, kills its ffmpeg and gives its task back.
        let given_back = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limits::STOP_TIME, given_back).await;
        Ok(())
    }

    /// Tasks at once.
    fn parallel(&self) -> usize {
        match usize::try_from(self.config.queue.parallel).unwrap_or(0) {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            parallel => parallel,
        }
    }

    /// Says what waits for tools that this worker does not have, when that has changed.
    fn tell_stranded(&self, depth: &Depth, said: &mut String) {
        let waits: Vec<_> = depth.stranded_for(&self.name.tool).collect();
        let tools: Vec<_> = waits.iter().map(|(tool, _)| *tool).collect();
        let tools = tools.join(", ");
        if tools != *said && !waits.is_empty() {
            let tasks: u64 = waits.iter().map(|(_, tasks)| tasks).sum();
            self.journal.say(&format!(
                "{tasks} tasks wait for other tools than these: {tools}. Where no worker has them, \
                 cancel their jobs and submit them again"
            ));
        }
        *said = tools;
    }

    /// A job's plan, read once.
    async fn planned(&self, job: VersionId) -> Result<Arc<Planned>, Error> {
        let plans = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((planned, _)) = plans().get(&job) {
            return Ok(Arc::clone(planned));
        }
        let tasks = self.queue.tasks(job).await.map_err(unreachable)?;
        let done = tasks
            .iter()
            .find(|task| task.key.kind == crate::job::Kind::Plan && task.state == State::Done);
        let words = done.and_then(|task| task.result.as_deref());
        let words = words.ok_or_else(|| Error::storage(job, "the queue holds no plan of it"))?;
        let (mut planned, bytes) = Planned::read(self.store.as_ref(), job, words).await?;
        if let Some(object) = &planned.object {
            planned.plan.input = self.copies.path(job, object);
        }
        let planned = Arc::new(planned);
        let mut plans = plans();
        let kept = |plans: &BTreeMap<_, (_, usize)>| -> usize {
            plans.values().map(|(_, bytes)| bytes).sum()
        };
        let room = limits::KNOWN_PLANS_BYTES.saturating_sub(bytes);
        while !plans.is_empty() && kept(&plans) > room {
            plans.pop_first();
        }
        plans.insert(job, (Arc::clone(&planned), bytes));
        Ok(planned)
    }
}

/// The wall clock, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    i64::try_from(crate::version::unix_ms()).unwrap_or(i64::MAX)
}

/// The queue cannot be asked.
#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
pub fn unreachable(error: QueueError) -> Error {
    Error::new(Kind::Storage, error.to_string())
}
