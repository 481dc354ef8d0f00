//! A worker: takes tasks from the queue, does them, and says what became of them.
//!
//! ```text
//!            ┌─ plan    probe, scan, grid, ladder, chunks; texts ────► jobs/<job>/plan-<attempt>
//! claim ─────┼─ chunk   one decode, all rungs; remuxed and checked ──► jobs/<job>/chunk-<n>-<attempt>
//!   │        ├─ sound   one track from start to end; the same ───────► jobs/<job>/sound-<n>-<attempt>
//!   │        └─ publish parts joined, read back, pointer ────────────► titles/<title>/<job>/
//!   └─ beats while something moves; the result is committed by the attempt's number
//! ```
//!
//! Objects below `jobs/` have the attempt in their names, so a worker that was taken for dead writes
//! over nobody's work; which of them count is what the queue says. `hold` is one task that is held,
//! `room` whether there is disk and memory for another one, `leftovers` what is swept.

mod chunk;
mod fingerprint;
mod hold;
mod journal;
mod leftovers;
mod movement;
mod part;
mod plan;
mod publish;
mod room;
mod sound;

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
use crate::queue::{self, Queue, QueueError};
use crate::store::{self, Store};

pub use journal::Journal;
pub use plan::Planned;

/// A worker and what it works with.
pub struct Worker {
    queue: Arc<dyn Queue>,
    name: queue::Worker,
    config: Encoder,
    store: Box<dyn Store>,
    tools: Tools,
    journal: Journal,
    plans: Mutex<BTreeMap<VersionId, Arc<Planned>>>,
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
        let store = store::open(store)?;
        let (config, plans) = (config.clone(), Mutex::default());
        Ok(Self { queue, name, config, store, tools, journal, plans })
    }

    /// Works until `cancel`, or until there is nothing left. Tasks that are held when it is told to
    /// stop are given back.
    pub async fn run(self: &Rc<Self>, until: Until, cancel: &Cancel) -> Result<(), Error> {
        self.journal.say(&format!("worker {} with {}", self.name.name, self.name.tool));
        let mut tasks = JoinSet::new();
        let mut sweep_at = Instant::now();
        let poll = Duration::from_millis(self.config.queue.poll_ms.into());
        let mut is_short = false;
        while cancel.check().is_ok() {
            if sweep_at <= Instant::now() {
                leftovers::sweep(self).await;
                sweep_at = Instant::now() + limits::LEFTOVERS_LOOK;
            }
            let why = room::lacks(&self.config);
            if let (Some(why), false) = (&why, is_short) {
                self.journal.say(&format!("takes nothing: {why}"));
            }
            is_short = why.is_some();
            if tasks.len() < self.parallel() && !is_short {
                match self.queue.claim(&self.name, now_ms()).await {
                    Ok(Some(claimed)) => {
                        let (worker, cancel) = (Rc::clone(self), cancel.clone());
                        tasks.spawn_local(
                            async move { hold::carry(&worker, claimed, &cancel).await },
                        );
                        continue;
                    }
                    Ok(None) if tasks.is_empty() && until == Until::Drained => {
                        if self.is_drained().await? {
                            return Ok(());
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

    async fn is_drained(&self) -> Result<bool, Error> {
        let depth = self.queue.depth().await.map_err(unreachable)?;
        Ok(depth.ready.is_empty() && depth.held == 0 && depth.delayed == 0)
    }

    /// A job's plan, read once.
    async fn planned(&self, job: VersionId) -> Result<Arc<Planned>, Error> {
        let plans = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(planned) = plans().get(&job) {
            return Ok(Arc::clone(planned));
        }
        let tasks = self.queue.tasks(job).await.map_err(unreachable)?;
        let done = tasks
            .iter()
            .find(|task| task.key.kind == crate::job::Kind::Plan && task.state == State::Done);
        let words = done.and_then(|task| task.result.as_deref());
        let words = words.ok_or_else(|| Error::storage(job, "the queue holds no plan of it"))?;
        let planned = Arc::new(Planned::read(self.store.as_ref(), job, words).await?);
        let mut plans = plans();
        if plans.len() >= limits::KNOWN_PLANS {
            plans.pop_first();
        }
        plans.insert(job, Arc::clone(&planned));
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
