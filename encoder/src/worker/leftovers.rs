//! What is swept: work folders of dead processes, parts of jobs that are over, what attempts at a
//! publication left that came to nothing, jobs that ended long ago. Nothing here can fail a job: what
//! could not be removed is removed the next time.

use std::collections::BTreeMap;

use headwater_packager::ids::VersionId;

use super::{Worker, now_ms, part};
use crate::error::{Error, Kind as ErrorKind};
use crate::job::{Job, JobState, Kind};
use crate::limits;
use crate::queue::QueueError;
use crate::store;
use crate::work;

/// Sweeps everything.
pub(super) async fn sweep(worker: &Worker) {
    match work::sweep(&worker.config.work_dir).await {
        Ok(swept) => swept.iter().for_each(|swept| worker.journal.say(swept)),
        Err(error) => worker.journal.say(&format!("not swept: {error}")),
    }
    let keep_ms = keep_ms(worker);
    if let Err(error) = worker.queue.forget(now_ms() - keep_ms).await {
        worker.journal.say(&format!("no job is forgotten: {error}"));
    }
    if let Err(error) = sweep_parts(worker).await {
        worker.journal.say(&format!("parts are not swept: {error}"));
    }
}

/// Removes the parts of a job that is over, and the copy of its source here.
pub(super) async fn clear(worker: &Worker, job: VersionId) {
    if let Err(error) = store::delete_all(worker.store.as_ref(), &part::prefix(job)).await {
        worker.journal.say(&format!("parts of {job} are not removed: {error}"));
    }
    if let Err(error) = worker.copies.remove(job) {
        worker.journal.say(&format!("the copy of the source of {job} is not removed: {error}"));
    }
}

async fn sweep_parts(worker: &Worker) -> Result<(), Error> {
    let named = |key: &str| key.strip_prefix(part::PREFIX)?.split('/').next()?.parse().ok();
    // Of each job, when its newest part was written.
    let mut jobs: BTreeMap<VersionId, i64> = BTreeMap::new();
    for entry in worker.store.list(part::PREFIX).await? {
        if let Some(job) = named(&entry.key) {
            let newest_ms = jobs.entry(job).or_insert(entry.modified_ms);
            *newest_ms = entry.modified_ms.max(*newest_ms);
        }
    }
    for (job, newest_ms) in jobs {
        match worker.queue.job(job).await {
            Ok(view) => settle(worker, &view.job).await,
            // Perhaps of another queue on the same store: those are left alone for as long as a
            // queue remembers its jobs.
            Err(QueueError::NoSuchJob(_)) if newest_ms < now_ms() - keep_ms(worker) => {
                clear(worker, job).await;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// Removes what a job does not need any more.
async fn settle(worker: &Worker, job: &Job) {
    match job.state {
        JobState::Queued | JobState::Running => {}
        JobState::Published | JobState::Superseded => clear(worker, job.version).await,
        JobState::Failed | JobState::Cancelled => match take_back(worker, job).await {
            // Of a failed one the parts stay: it may be tried again. Without them nothing would tell
            // of its version, so they go last.
            Ok(true) if job.state == JobState::Cancelled => clear(worker, job.version).await,
            Ok(_) => {}
            // Somebody writes the title just now.
            Err(error) if error.kind() == ErrorKind::Taken => {}
            Err(error) => {
                worker.journal.say(&format!("{} is not taken back: {error}", job.version));
            }
        },
    }
}

/// Removes what attempts to publish a job left that has come to nothing; says whether nothing is left.
async fn take_back(worker: &Worker, job: &Job) -> Result<bool, Error> {
    let tasks = worker.queue.tasks(job.version).await.map_err(super::unreachable)?;
    let Some(publish) = tasks.iter().find(|task| task.key.kind == Kind::Publish) else {
        return Ok(true);
    };
    if publish.attempt == 0 {
        return Ok(true);
    }
    // A pointer that somebody had begun to write may still arrive.
    let unsure_ms = i64::try_from(limits::UNSURE_TIME.as_millis()).unwrap_or(i64::MAX);
    if now_ms() - publish.since_ms < unsure_ms {
        return Ok(false);
    }
    let store = worker.store.as_ref();
    let lease = store.lease(&job.title).await?;
    let taken = work::take_back(store, &job.title, job.version).await;
    lease.give_back().await;
    taken.map(|_| true)
}

fn keep_ms(worker: &Worker) -> i64 {
    i64::from(worker.config.queue.keep_days) * 24 * 3_600_000
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use headwater_config::{Encoder, Sandbox};
    use headwater_packager::ids::TitleId;
    use headwater_packager::stored::{self, Pointer};

    use super::*;
    use crate::ffmpeg::Tools;
    use crate::job::{Event, Fault, FaultKind, Plan, Priority, Span, Submission, Terms};
    use crate::queue::{self, Memory};
    use crate::store::FileStore;
    use crate::worker::watcher::Nobody;
    use crate::worker::{Journal, source};

    const HOUR_MS: i64 = 3_600_000;

    struct Bench {
        worker: Worker,
        title: TitleId,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let terms = Terms { failures: 1, ..Terms::default() };
            let mut config = Encoder { work_dir: folder.path().join("work"), ..Encoder::default() };
            config.sandbox = Sandbox::Outer;
            let worker = Worker {
                queue: Arc::new(Memory::new(terms)),
                name: queue::Worker { name: "w".to_owned(), tool: String::new() },
                tools: Tools::new(&config).unwrap(),
                copies: source::Copies::new(&config, &headwater_config::S3::default()),
                config,
                store: Arc::new(FileStore::new(&folder.path().join("store")).unwrap()),
                journal: Journal::Silent,
                plans: Mutex::default(),
                watcher: Box::new(Nobody::default()),
            };
            Self { worker, title: "film".parse().unwrap(), _folder: folder }
        }

        /// A job whose publication failed at `at_ms`, and what it left.
        async fn failed(&self, number: u128, at_ms: i64) -> VersionId {
            let (queue, job) = (&self.worker.queue, VersionId::from_u128(number));
            let submission = Submission {
                version: job,
                title: self.title.clone(),
                input: "/film.mov".to_owned(),
                priority: Priority::Normal,
                deadline_ms: None,
                growing: false,
                audio: Vec::new(),
                texts: Vec::new(),
            };
            queue.submit(&submission, at_ms).await.unwrap();
            let plan = Plan {
                tool: String::new(),
                fragments: 1,
                chunks: vec![Span { fragments: 0..1, frames: 48 }],
                sounds: 0,
                words: String::new(),
            };
            let claim = async || queue.claim(&self.worker.name, at_ms).await.unwrap().unwrap().hold;
            queue.planned(&claim().await, &plan, at_ms).await.unwrap();
            let made = Event::Done { result: "made".to_owned(), spent: Vec::new() };
            queue.tell(&claim().await, made, at_ms).await.unwrap();
            let fault = Fault::new(FaultKind::Storage, "the store is full");
            queue.tell(&claim().await, Event::Failed(fault), at_ms).await.unwrap();
            let version = stored::object_key(&self.title, job, "v360.mp4");
            for key in [&version, &part::key(job, "chunk-0-1.heads")] {
                self.worker.store.put(key, Bytes::from_static(b"x")).await.unwrap();
            }
            job
        }

        /// Whether its version, and its parts, are there.
        async fn there(&self, job: VersionId) -> (bool, bool) {
            let store = &self.worker.store;
            let version = store.list(&stored::version_prefix(&self.title, job)).await.unwrap();
            let parts = store.list(&part::prefix(job)).await.unwrap();
            (!version.is_empty(), !parts.is_empty())
        }
    }

    #[tokio::test]
    async fn what_a_publication_left_is_taken_back_when_nothing_can_arrive_any_more() {
        let bench = Bench::new();
        let now_ms = now_ms();
        let old = bench.failed(1, now_ms - HOUR_MS).await;
        let new = bench.failed(2, now_ms).await;
        let live = bench.failed(3, now_ms - HOUR_MS).await;
        let pointer = Pointer::to_live(live, None).to_json();
        let key = stored::pointer_key(&bench.title);
        bench.worker.store.put(&key, pointer.into()).await.unwrap();
        let lease = bench.worker.store.lease(&bench.title).await.unwrap();
        sweep(&bench.worker).await;
        assert_eq!(bench.there(old).await, (true, true), "somebody writes the title");
        lease.give_back().await;
        sweep(&bench.worker).await;
        assert_eq!(bench.there(old).await, (false, true), "parts are there for another try");
        assert_eq!(bench.there(new).await, (true, true), "its pointer may still arrive");
        assert_eq!(bench.there(live).await, (true, true), "it did arrive");
        for (job, at_ms) in [(old, now_ms - HOUR_MS), (new, now_ms)] {
            bench.worker.queue.cancel(job, at_ms).await.unwrap();
        }
        sweep(&bench.worker).await;
        assert_eq!(bench.there(old).await, (false, false));
        assert_eq!(bench.there(new).await, (true, true), "what tells of it goes last");
    }

    /// Another queue's job may be worked on however long ago it was submitted.
    #[tokio::test]
    async fn parts_of_an_unknown_job_stay_while_they_are_new() {
        let bench = Bench::new();
        let job = VersionId::from_u128(1);
        let key = part::key(job, "chunk-0-1.heads");
        bench.worker.store.put(&key, Bytes::from_static(b"x")).await.unwrap();
        sweep(&bench.worker).await;
        assert_eq!(bench.there(job).await, (false, true));
    }
}
