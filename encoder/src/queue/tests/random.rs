//! Workers that crash, stall, come back late and repeat themselves; jobs that are cancelled, tried
//! again and moved; a clock that jumps. Whatever the order:
//!
//! 1. a part has one result at most, and keeps it (but a plan is a part like any other);
//! 2. publications count 1, 2, 3 ..., each is written once, and never shows less than the one before;
//! 3. the last one is written when every part is done, and not before;
//! 4. in the end every job that was not cancelled is published whole: nothing is lost;
//! 5. a backend answers every call as the queue in memory does, and holds the same tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Claimed, Filter, Memory, Page, Queue};
use super::backend::{Backend, on_memory};
use super::chance::Chance;
use super::drive::{complete, drain, plan, reached, spent, submission, version, worker};
use super::on_every_backend;
use crate::job::{
    Event, Fault, FaultKind, JobState, Kind, Plan, Priority, Progress, State, Submission, TaskKey,
    Terms,
};

on_every_backend!(schedules);

const JOBS: u32 = 4;

async fn schedules(backend: Backend) {
    for seed in 0..2 {
        let queue = backend.open(terms()).await;
        // Jobs of the schedule before are there, ended.
        World::new(queue, seed * 100).run(seed, 250).await;
    }
}

/// Found by chance: a job that failed in a claim which gave nothing.
#[test]
fn a_schedule_that_was_found() {
    on_memory(async |backend: Backend| {
        World::new(backend.open(terms()).await, 0).run(9_341_649_583_305_205_091, 300).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn any_schedule_in_memory(seed: u64) {
        on_memory(async |backend: Backend| {
            World::new(backend.open(terms()).await, 0).run(seed, 300).await;
        });
    }
}

fn terms() -> Terms {
    Terms { losses: 4, age_ms: 40_000, ..Terms::default() }
}

struct World {
    queue: Arc<dyn Queue>,
    /// The same calls, in memory.
    shadow: Memory,
    base: u64,
    plan: Plan,
    now_ms: i64,
    /// Claims that somebody believes to have; many are over.
    held: Vec<Claimed>,
    results: BTreeMap<TaskKey, String>,
    written: BTreeMap<u32, (u64, u32)>,
}

impl World {
    fn new(queue: Arc<dyn Queue>, base: u64) -> Self {
        let shadow = Memory::new(terms());
        let (plan, held) = (plan(5, 1), Vec::new());
        let (results, written) = (BTreeMap::new(), BTreeMap::new());
        Self { queue, shadow, base, plan, now_ms: 0, held, results, written }
    }

    async fn run(mut self, seed: u64, steps: u32) {
        let mut chance = Chance::new(seed);
        for number in 1..=JOBS {
            self.submit(number, &mut chance).await;
        }
        for step in 0..steps {
            self.step(&mut chance).await;
            if step % 10 == 0 {
                self.look().await;
            }
        }
        self.end().await;
    }

    fn number(&self, number: u32) -> u32 {
        u32::try_from(self.base).unwrap() + number
    }

    async fn submit(&mut self, number: u32, chance: &mut Chance) {
        let number = self.number(number);
        let priority = Priority::ALL[usize::try_from(chance.below(3)).unwrap()];
        let submission = Submission { growing: chance.once_in(2), ..submission(number, priority) };
        self.queue.submit(&submission, self.now_ms).await.unwrap();
        self.shadow.submit(&submission, self.now_ms).await.unwrap();
    }

    async fn step(&mut self, chance: &mut Chance) {
        let job = version(self.number(u32::try_from(chance.below(u64::from(JOBS))).unwrap() + 1));
        match chance.below(24) {
            0..8 => self.claim(chance).await,
            8..16 => self.word(chance).await,
            16 => self.now_ms += i64::try_from(chance.below(5_000)).unwrap(),
            17 => self.now_ms += i64::try_from(chance.below(45_000)).unwrap(),
            18 | 19 => {
                let now_ms = self.now_ms;
                let outcome = self.queue.retry(job, now_ms).await;
                assert_eq!(self.shadow.retry(job, now_ms).await, outcome);
            }
            20 if chance.once_in(4) => {
                let now_ms = self.now_ms;
                let outcome = self.queue.cancel(job, now_ms).await;
                assert_eq!(self.shadow.cancel(job, now_ms).await, outcome);
            }
            20 | 21 => {
                let fragment = u32::try_from(chance.below(9)).unwrap();
                let outcome = self.queue.want(job, fragment, self.now_ms).await;
                assert_eq!(self.shadow.want(job, fragment, self.now_ms).await, outcome);
            }
            _ => {
                let priority = Priority::ALL[usize::try_from(chance.below(3)).unwrap()];
                let now_ms = self.now_ms;
                let outcome = self.queue.move_to(job, priority, None, now_ms).await;
                assert_eq!(self.shadow.move_to(job, priority, None, now_ms).await, outcome);
            }
        }
    }

    async fn claim(&mut self, chance: &mut Chance) {
        let worker = worker(&format!("w{}", chance.below(5)));
        let claimed = self.queue.claim(&worker, self.now_ms).await.unwrap();
        assert_eq!(self.shadow.claim(&worker, self.now_ms).await.unwrap(), claimed);
        self.held.extend(claimed);
    }

    /// Somebody says something of what he holds, or held once.
    async fn word(&mut self, chance: &mut Chance) {
        let Some(claimed) = chance.take(&mut self.held) else { return };
        if chance.once_in(3) {
            // He will say it again, or die.
            self.held.push(claimed.clone());
        }
        let (hold, now_ms) = (claimed.hold, self.now_ms);
        let kind = hold.key.kind;
        if kind == Kind::Plan && !chance.once_in(4) {
            let outcome = self.queue.planned(&hold, &self.plan, now_ms).await;
            assert_eq!(self.shadow.planned(&hold, &self.plan, now_ms).await, outcome);
            if outcome.is_ok() {
                self.committed(hold.key, "plan");
            }
            return;
        }
        let words = format!("attempt {} at {now_ms}", hold.attempt);
        let event = match chance.below(10) {
            0 => Event::Released,
            1 => Event::Failed(Fault::new(FaultKind::Tool, "rc 1")),
            2 | 3 => {
                let frames = chance.below(40);
                Event::Beat(Progress { frames, ..Progress::default() })
            }
            4 if kind == Kind::Audio => reached(u32::try_from(chance.below(9)).unwrap(), &words),
            _ => match claimed.publication {
                Some(publication) => Event::Written { seq: publication.seq },
                None => {
                    let spent = vec![spent("v360", chance.below(9)), spent("a", 1)];
                    Event::Done { result: words.clone(), spent }
                }
            },
        };
        let outcome = self.queue.tell(&hold, event.clone(), now_ms).await;
        assert_eq!(self.shadow.tell(&hold, event.clone(), now_ms).await, outcome);
        match (event, outcome) {
            (Event::Done { .. }, Ok(_)) => self.committed(hold.key, &words),
            (Event::Written { seq }, Ok(_)) => {
                let publication = claimed.publication.unwrap();
                self.wrote(hold.key, seq, publication.frontier, publication.is_last).await;
            }
            _ => {}
        }
    }

    fn committed(&mut self, key: TaskKey, words: &str) {
        let before = self.results.insert(key, words.to_owned());
        assert_eq!(before, None, "{key} has a second result");
    }

    async fn wrote(&mut self, key: TaskKey, seq: u64, frontier: u32, is_last: bool) {
        let job = u32::try_from(key.job.as_u128()).unwrap();
        let (was, shown) = self.written.insert(job, (seq, frontier)).unwrap_or_default();
        assert_eq!(seq, was + 1, "{key}");
        assert!(frontier >= shown, "{key} shows {frontier} after {shown}");
        let parts = self.results.keys().filter(|part| part.job == key.job).count();
        assert!(!is_last || parts == self.plan.chunks.len() + 2, "{key} was closed too early");
    }

    /// Both hold the same, and no result has changed.
    async fn look(&self) {
        for number in 1..=JOBS {
            let job = version(self.number(number));
            let tasks = self.queue.tasks(job).await.unwrap();
            assert_eq!(self.shadow.tasks(job).await.unwrap(), tasks);
            assert_eq!(self.shadow.job(job).await.unwrap(), self.queue.job(job).await.unwrap());
            let story = self.queue.story(job, 0).await.unwrap();
            assert_eq!(self.shadow.story(job, 0).await.unwrap(), story);
            for task in tasks {
                let is_part = task.key.kind != Kind::Publish && task.key.kind != Kind::Plan;
                if let Some(words) = self.results.get(&task.key).filter(|_| is_part) {
                    assert_eq!((task.state, task.result.as_ref()), (State::Done, Some(words)));
                }
            }
        }
    }

    /// From here on nothing fails: all is done that there is to do.
    async fn end(mut self) {
        self.look().await;
        for round in 0..6 {
            self.now_ms += 1_000_000;
            for number in 1..=JOBS {
                let job = version(self.number(number));
                let outcome = self.queue.retry(job, self.now_ms).await;
                assert_eq!(self.shadow.retry(job, self.now_ms).await, outcome);
            }
            loop {
                // Also a claim that gives nothing may end leases.
                let claimed = self.queue.claim(&worker("w"), self.now_ms).await.unwrap();
                let same = self.shadow.claim(&worker("w"), self.now_ms).await.unwrap();
                assert_eq!(same, claimed, "round {round}");
                let Some(claimed) = claimed else { break };
                let key = claimed.hold.key;
                complete(&*self.queue, &claimed, &self.plan, self.now_ms).await.unwrap();
                complete(&self.shadow, &claimed, &self.plan, self.now_ms).await.unwrap();
                match claimed.publication {
                    Some(p) => self.wrote(key, p.seq, p.frontier, p.is_last).await,
                    None if key.kind == Kind::Plan => self.committed(key, "plan"),
                    None => self.committed(key, "made"),
                }
            }
        }
        self.look().await;
        for number in 1..=JOBS {
            let job = version(self.number(number));
            let view = self.queue.job(job).await.unwrap();
            let state = view.job.state;
            assert!(matches!(state, JobState::Published | JobState::Cancelled), "{state:?}");
            let is_whole = view.tally.done == view.tally.tasks && view.job.open == 0;
            assert!(state == JobState::Cancelled || is_whole, "{view:?}");
        }
        assert_eq!(drain(&*self.queue, &self.plan, self.now_ms).await, 0);
        let (one, other) = (self.queue.depth().await.unwrap(), self.shadow.depth().await.unwrap());
        if self.base == 0 {
            assert_eq!(one, other);
        }
        let page = Page { before: None, entries: JOBS };
        let all = self.queue.jobs(&Filter::default(), &page).await.unwrap();
        assert_eq!(self.shadow.jobs(&Filter::default(), &page).await.unwrap(), all);
    }
}
