//! What a worker takes, one at a time: its states, and the lease of who holds it.
//!
//! ```text
//! waiting ─► ready ◄──────── delayed
//!              │ claim          ▲ failed, or its lease ran out
//!              ▼                │
//!            leased ────────────┴─► poisoned   the job fails, its other tasks are parked
//!              │ commit
//!              ▼
//!            done
//! ```
//!
//! **Fencing.** Each claim has a number, the attempt. A worker says it with every word, and is
//! refused unless the task is leased to that very attempt. So whatever a stalled worker still does,
//! one result is ever committed.

use std::fmt;
use std::ops::Range;

use headwater_packager::ids::VersionId;

use super::fault::{Fault, FaultKind};
use super::priority::{Lane, Priority};
use super::retry;
use super::step::Refusal;
use super::terms::Terms;

/// What is to be done. Within a job, what stands first is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Write heads and pointer for what is done.
    Publish,
    /// Look at the source, and say which tasks its encoding needs.
    Plan,
    /// One track of sound, from its start to its end.
    Audio,
    /// A run of whole fragments of all video renditions.
    Chunk,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Plan, Self::Audio, Self::Chunk];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Plan => "plan",
            Self::Audio => "audio",
            Self::Chunk => "chunk",
        }
    }
}

/// The name of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// The job, which is the version that it makes.
    pub job: VersionId,
    /// What is to be done.
    pub kind: Kind,
    /// Which of its kind, from 0.
    pub index: u32,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind.as_str(), self.index, self.job)
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// For other tasks.
    Waiting,
    /// To be taken.
    Ready,
    /// Until its pause after a failure is over.
    Delayed,
    /// Held by a worker.
    Leased,
    /// Its result is committed.
    Done,
    /// Given up.
    Poisoned,
    /// Another task of the job was given up. Goes on when the job is tried again.
    Parked,
    /// The job was cancelled.
    Dropped,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Ready,
        Self::Delayed,
        Self::Leased,
        Self::Done,
        Self::Poisoned,
        Self::Parked,
        Self::Dropped,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Delayed => "delayed",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Poisoned => "poisoned",
            Self::Parked => "parked",
            Self::Dropped => "dropped",
        }
    }
}

/// One attempt's right to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The task.
    pub key: TaskKey,
    /// The attempt, from 1.
    pub attempt: u32,
}

/// How far an attempt has come. Whatever of it grows is movement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames made.
    pub frames: u64,
    /// Bytes written.
    pub out_bytes: u64,
    /// Bytes of the source that were read.
    pub in_bytes: u64,
}

impl Progress {
    /// The larger of each, and whether that is more than `self`.
    fn joined(self, other: Self) -> (Self, bool) {
        let joined = Self {
            frames: self.frames.max(other.frames),
            out_bytes: self.out_bytes.max(other.out_bytes),
            in_bytes: self.in_bytes.max(other.in_bytes),
        };
        (joined, joined != self)
    }
}

/// A task, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub key: TaskKey,
    /// Where it stands.
    pub state: State,
    /// The build of the tools that must do it; empty for any.
    pub tool: String,
    /// The lane it waits in while no viewer waits for it.
    pub lane: Lane,
    /// Until when a viewer waits for it.
    pub wanted_until_ms: Option<i64>,
    /// When it should be done; what orders a lane.
    pub deadline_ms: i64,
    /// Claims so far.
    pub attempt: u32,
    /// Real failures so far.
    pub failures: u32,
    /// Leases that ran out since something last moved.
    pub losses: u32,
    /// Who holds it; empty for nobody.
    pub worker: String,
    /// The fragments of the title that it makes.
    pub fragments: Range<u32>,
    /// The end of those that are committed; sound commits them as it goes.
    pub reached: u32,
    /// Frames to make; 0 where that is not known.
    pub frames: u64,
    /// How far the present attempt has come.
    pub progress: Progress,
    /// When the present attempt last moved.
    pub moved_ms: i64,
    /// When the lease, the pause or the time in this lane ends.
    pub until_ms: Option<i64>,
    /// Since when it is in this state.
    pub since_ms: i64,
    /// The last fault.
    pub fault: Option<Fault>,
    /// What was committed: the worker's words, which the queue does not read. Of sound that is not done,
    /// what was before `reached`.
    pub result: Option<String>,
}

/// What the clock did to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing is due.
    Nothing,
    /// It waits in another lane, or its pause is over.
    Moved,
    /// Its lease ran out; there will be another attempt.
    Lost,
    /// Its lease ran out once too often.
    Poisoned,
}

impl Task {
    /// A task that waits for others.
    pub(super) fn new(key: TaskKey, priority: Priority, deadline_ms: i64, now_ms: i64) -> Self {
        Self {
            key,
            state: State::Waiting,
            tool: String::new(),
            lane: priority.lane(),
            wanted_until_ms: None,
            deadline_ms,
            attempt: 0,
            failures: 0,
            losses: 0,
            worker: String::new(),
            fragments: 0..0,
            reached: 0,
            frames: 0,
            progress: Progress::default(),
            moved_ms: now_ms,
            until_ms: None,
            since_ms: now_ms,
            fault: None,
            result: None,
        }
    }

    /// The lane that it is taken from.
    pub fn lane_now(&self) -> Lane {
        if self.wanted_until_ms.is_some() { Lane::Wanted } else { self.lane }
    }

    /// When the clock next changes it; `None` for never.
    pub fn due_ms(&self) -> Option<i64> {
        match self.state {
            State::Ready => [self.until_ms, self.wanted_until_ms].into_iter().flatten().min(),
            State::Leased | State::Delayed => self.until_ms,
            _ => None,
        }
    }

    /// What a queue's order compares.
    pub fn rank(&self) -> (Lane, i64, TaskKey) {
        (self.lane_now(), self.deadline_ms, self.key)
    }

    /// Gives a ready task to `worker`.
    pub fn claim(&mut self, worker: &str, now_ms: i64, terms: &Terms) -> Result<Hold, Refusal> {
        if self.state != State::Ready {
            return Err(Refusal::NotHeld { state: self.state, attempt: self.attempt });
        }
        self.enter(State::Leased, now_ms);
        self.attempt += 1;
        worker.clone_into(&mut self.worker);
        self.progress = Progress::default();
        self.moved_ms = now_ms;
        self.until_ms = Some(now_ms + terms.lease_ms.min(terms.stall_ms));
        Ok(Hold { key: self.key, attempt: self.attempt })
    }

    /// What the clock does to it. Call it at [`Task::due_ms`] or later.
    pub fn tick(&mut self, now_ms: i64, terms: &Terms) -> Tick {
        if self.due_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return Tick::Nothing;
        }
        match self.state {
            State::Ready => {
                self.wanted_until_ms = self.wanted_until_ms.filter(|until_ms| *until_ms > now_ms);
                self.age(now_ms, terms);
                Tick::Moved
            }
            State::Delayed => {
                self.ready(now_ms, terms);
                Tick::Moved
            }
            _ => self.lose(now_ms, terms),
        }
    }

    /// Refuses whoever does not hold it.
    pub(super) fn fence(&self, attempt: u32) -> Result<(), Refusal> {
        if self.state != State::Leased || self.attempt != attempt {
            return Err(Refusal::NotHeld { state: self.state, attempt: self.attempt });
        }
        Ok(())
    }

    /// Its worker lives; says until when the lease then lasts. The lease of what stands still is
    /// not made longer than its stall.
    pub(super) fn beat(
        &mut self,
        progress: Progress,
        now_ms: i64,
        terms: &Terms,
    ) -> Result<i64, Refusal> {
        let (joined, moved) = self.progress.joined(progress);
        self.progress = joined;
        if moved {
            self.moved_ms = now_ms;
            self.losses = 0;
        }
        let stalls_ms = self.moved_ms + terms.stall_ms;
        if stalls_ms <= now_ms {
            return Err(Refusal::Stalled { still_ms: now_ms - self.moved_ms });
        }
        let until_ms = (now_ms + terms.lease_ms).min(stalls_ms);
        self.until_ms = Some(until_ms);
        Ok(until_ms)
    }

    /// All fragments before `reached` are committed, by a task that commits as it goes: `result` is
    /// what they are. The next attempt is given it, and may say another one for the same fragments.
    pub(super) fn reach(&mut self, reached: u32, result: String) -> Result<(), Refusal> {
        if self.key.kind != Kind::Audio || reached < self.reached || reached > self.fragments.end {
            return Err(Refusal::NotThere { reached, was: self.reached, end: self.fragments.end });
        }
        self.reached = reached;
        self.result = Some(result);
        Ok(())
    }

    /// Its result is there.
    pub(super) fn finish(&mut self, result: String, now_ms: i64) {
        self.enter(State::Done, now_ms);
        self.reached = self.fragments.end;
        self.result = Some(result);
        self.fault = None;
    }

    /// To be taken by whoever comes.
    pub(super) fn ready(&mut self, now_ms: i64, terms: &Terms) {
        self.enter(State::Ready, now_ms);
        self.until_ms = self.lane.aged().map(|_| now_ms + terms.age_ms);
    }

    /// Waits for other tasks.
    pub(super) fn wait(&mut self, now_ms: i64) {
        self.enter(State::Waiting, now_ms);
    }

    /// What it made is damaged or gone: it is made again, by another attempt. Says whether it is given
    /// up instead.
    pub(super) fn spoil(&mut self, fault: Fault, now_ms: i64, terms: &Terms) -> bool {
        self.result = None;
        self.reached = self.fragments.start;
        self.progress = Progress::default();
        self.failures += 1;
        self.fault = Some(fault);
        if self.failures >= terms.failures {
            self.enter(State::Poisoned, now_ms);
            return true;
        }
        self.ready(now_ms, terms);
        false
    }

    /// An attempt ended in a fault; says whether the task is given up.
    pub(super) fn fail(&mut self, fault: Fault, now_ms: i64, terms: &Terms) -> bool {
        let is_final = fault.kind.is_final();
        self.fault = Some(fault);
        self.failures += 1;
        if is_final || self.failures >= terms.failures {
            self.enter(State::Poisoned, now_ms);
            return true;
        }
        self.enter(State::Delayed, now_ms);
        self.until_ms = Some(now_ms + retry::pause_ms(&self.key, self.failures, terms));
        false
    }

    /// A viewer waits for it, if it is not done or given up.
    pub(super) fn want(&mut self, now_ms: i64, terms: &Terms) {
        if matches!(self.state, State::Waiting | State::Ready | State::Delayed | State::Leased) {
            self.wanted_until_ms = Some(now_ms + terms.want_ms);
        }
    }

    /// Nobody works on it for now, as the job has failed.
    pub(super) fn park(&mut self, now_ms: i64) {
        if !matches!(self.state, State::Done | State::Poisoned | State::Dropped) {
            self.enter(State::Parked, now_ms);
        }
    }

    /// Nobody works on it any more.
    pub(super) fn drop_it(&mut self, now_ms: i64) {
        if self.state != State::Done {
            self.enter(State::Dropped, now_ms);
        }
    }

    /// The job is tried again: earlier failures are forgotten.
    pub(super) fn revive(&mut self, waits: bool, now_ms: i64, terms: &Terms) {
        if matches!(self.state, State::Parked | State::Poisoned) {
            (self.failures, self.losses) = (0, 0);
            if waits { self.wait(now_ms) } else { self.ready(now_ms, terms) }
        }
    }

    /// The job has another priority or deadline.
    pub(super) fn move_to(&mut self, lane: Lane, deadline_ms: i64, now_ms: i64, terms: &Terms) {
        (self.lane, self.deadline_ms) = (lane, deadline_ms);
        if self.state == State::Ready {
            self.until_ms = lane.aged().map(|_| now_ms + terms.age_ms);
        }
    }

    fn lose(&mut self, now_ms: i64, terms: &Terms) -> Tick {
        let still_ms = now_ms - self.moved_ms;
        if self.until_ms == Some(self.moved_ms + terms.stall_ms) {
            let text = format!("nothing moved for {still_ms} ms on {}", self.worker);
            let poisoned = self.fail(Fault::new(FaultKind::Stalled, &text), now_ms, terms);
            return if poisoned { Tick::Poisoned } else { Tick::Lost };
        }
        let text = format!("{} was not heard of for too long", self.worker);
        self.fault = Some(Fault::new(FaultKind::Lost, &text));
        self.losses += 1;
        if self.losses >= terms.losses {
            self.enter(State::Poisoned, now_ms);
            return Tick::Poisoned;
        }
        self.ready(now_ms, terms);
        Tick::Lost
    }

    fn age(&mut self, now_ms: i64, terms: &Terms) {
        if self.until_ms.is_some_and(|until_ms| until_ms <= now_ms)
            && let Some(next) = self.lane.aged()
        {
            self.lane = next;
            self.until_ms = next.aged().map(|_| now_ms + terms.age_ms);
        }
    }

    /// Every change of state: what belongs to the old one goes.
    fn enter(&mut self, state: State, now_ms: i64) {
        self.state = state;
        self.since_ms = now_ms;
        self.until_ms = None;
        self.worker.clear();
        let is_over =
            matches!(state, State::Done | State::Poisoned | State::Parked | State::Dropped);
        if is_over {
            self.wanted_until_ms = None;
        }
    }
}
