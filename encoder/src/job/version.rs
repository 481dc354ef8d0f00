//! The making of one version: fan-out when its plan is known, fan-in when every part is done, and
//! what is to be published next.
//!
//! A publication is marked in the same transaction as the result that makes it due, and written to
//! the store by whoever holds the publish task, as often as it takes: the same `seq` always says the
//! same frontier. The next one is not marked before this one is confirmed, so `seq` only rises.

use std::ops::Range;

use headwater_packager::ids::{TitleId, VersionId};

use super::fault::Fault;
use super::priority::Priority;
use super::step::Refusal;
use super::task::{Kind, State, Task, TaskKey};
use super::terms::Terms;
use crate::limits;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Nobody has begun.
    Queued,
    /// Somebody has.
    Running,
    /// The whole title is published.
    Published,
    /// A task of it was given up.
    Failed,
    /// It was called off.
    Cancelled,
    /// The title had a later version when this one was whole: it does not take its place.
    Superseded,
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Published,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether there is anything to do.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// What somebody wants made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The version to make; fresh.
    pub version: VersionId,
    /// Of this title.
    pub title: TitleId,
    /// From this source: a path or an object's URL, which the queue does not read.
    pub input: String,
    /// How urgent it is.
    pub priority: Priority,
    /// When it should be done; without one, some time after now that follows from its priority.
    pub deadline_ms: Option<i64>,
    /// Whether it may be published before it is complete.
    pub growing: bool,
    /// What its sounds are, where the source does not say it: as `encode --audio` takes it.
    pub audio: Vec<String>,
    /// Files of subtitles beside it: as `encode --text` takes them.
    pub texts: Vec<String>,
}

/// What is written to the store next, or was last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its number, from 1.
    pub seq: u64,
    /// The fragments that it shows, from the title's start.
    pub frontier: u32,
    /// Whether the title is complete with it.
    pub is_last: bool,
}

/// A run of fragments that one task makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The fragments.
    pub fragments: Range<u32>,
    /// Frames in them.
    pub frames: u64,
}

/// What the encoding of a source needs, as its plan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The build of the tools that every part must be made with.
    pub tool: String,
    /// Fragments of the title.
    pub fragments: u32,
    /// Runs that cover all of them once, in order.
    pub chunks: Vec<Span>,
    /// Tracks of sound.
    pub sounds: u32,
    /// The plan itself: the worker's words, kept as the plan task's result.
    pub words: String,
}

/// A job, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The version that it makes; also its id.
    pub version: VersionId,
    /// The title.
    pub title: TitleId,
    /// The source.
    pub input: String,
    /// How urgent it is.
    pub priority: Priority,
    /// When it should be done.
    pub deadline_ms: i64,
    /// Whether it may be published before it is complete.
    pub growing: bool,
    /// Where it stands.
    pub state: JobState,
    /// When it was submitted.
    pub submitted_ms: i64,
    /// When somebody began.
    pub begun_ms: Option<i64>,
    /// When it was published, failed or was cancelled.
    pub ended_ms: Option<i64>,
    /// Fragments of the title; 0 before its plan is known.
    pub fragments: u32,
    /// Chunks and tracks of sound that are not done.
    pub open: u32,
    /// What is to be written.
    pub publication: Option<Publication>,
    /// What was written last.
    pub published: Option<Publication>,
    /// Why it failed.
    pub fault: Option<Fault>,
    /// The title's version that it did not take the place of.
    pub superseded_by: Option<VersionId>,
    /// What its sounds are, where the source does not say it.
    pub audio: Vec<String>,
    /// Files of subtitles beside it.
    pub texts: Vec<String>,
}

impl Job {
    /// A job and its first tasks: the plan, ready, and the publication, which waits.
    pub fn new(submission: &Submission, now_ms: i64, terms: &Terms) -> (Self, [Task; 2]) {
        let Submission { version, title, input, priority, deadline_ms, growing, audio, texts } =
            submission;
        let job = Self {
            version: *version,
            title: title.clone(),
            input: input.clone(),
            priority: *priority,
            deadline_ms: deadline_ms.unwrap_or(now_ms + priority.usual_ms()),
            growing: *growing,
            state: JobState::Queued,
            submitted_ms: now_ms,
            begun_ms: None,
            ended_ms: None,
            fragments: 0,
            open: 0,
            publication: None,
            published: None,
            fault: None,
            superseded_by: None,
            audio: audio.clone(),
            texts: texts.clone(),
        };
        let mut plan = job.task(Kind::Plan, 0, now_ms);
        plan.ready(now_ms, terms);
        let publish = job.task(Kind::Publish, 0, now_ms);
        (job, [plan, publish])
    }

    /// The key of its publish task.
    pub fn publish_key(&self) -> TaskKey {
        TaskKey { job: self.version, kind: Kind::Publish, index: 0 }
    }

    /// Somebody has begun.
    pub fn begin(&mut self, now_ms: i64) {
        if self.state == JobState::Queued {
            self.state = JobState::Running;
            self.begun_ms = Some(now_ms);
        }
    }

    /// Fan-out: the tasks of a plan, ready. Refused where its chunks do not tile the title.
    pub(super) fn fan_out(
        &mut self,
        plan: &Plan,
        now_ms: i64,
        terms: &Terms,
    ) -> Result<Vec<Task>, Refusal> {
        let bad = |why: String| Err(Refusal::BadPlan { why });
        if plan.chunks.len() > limits::CHUNKS || plan.sounds > limits::SOUNDS {
            return bad(format!(
                "{} chunks and {} tracks of sound; at most {} and {}",
                plan.chunks.len(),
                plan.sounds,
                limits::CHUNKS,
                limits::SOUNDS
            ));
        }
        let mut tasks = Vec::with_capacity(plan.chunks.len() + plan.sounds as usize);
        let mut end = 0;
        for (index, span) in (0..).zip(&plan.chunks) {
            let Range { start, end: stop } = span.fragments;
            if start != end || stop <= start {
                return bad(format!("chunk {index} is {start}..{stop} where {end}.. follows"));
            }
            end = stop;
            let mut task = self.task(Kind::Chunk, index, now_ms);
            (task.fragments, task.reached, task.frames) = (start..stop, start, span.frames);
            tasks.push(task);
        }
        if end != plan.fragments || end == 0 {
            return bad(format!("its chunks end at fragment {end} of {}", plan.fragments));
        }
        for index in 0..plan.sounds {
            let mut task = self.task(Kind::Audio, index, now_ms);
            task.fragments = 0..end;
            tasks.push(task);
        }
        for task in &mut tasks {
            task.tool.clone_from(&plan.tool);
            task.ready(now_ms, terms);
        }
        self.fragments = end;
        self.open = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        Ok(tasks)
    }

    /// Fan-in: marks the publication that is due now that every track has the fragments before
    /// `frontier`, unless one is being written. Says whether it marked one.
    pub fn advance(&mut self, frontier: u32) -> bool {
        let shown = self.published.map_or(0, |published| published.frontier);
        let is_last = self.open == 0 && self.fragments > 0;
        let is_due = is_last || (self.growing && frontier > shown);
        if self.state != JobState::Running || self.publication.is_some() || !is_due {
            return false;
        }
        let seq = self.published.map_or(0, |published| published.seq) + 1;
        let frontier = if is_last { self.fragments } else { frontier };
        self.publication = Some(Publication { seq, frontier, is_last });
        true
    }

    /// Whether what is marked can be written, or written again, now that every track has the
    /// fragments before `frontier`: a part of it may have been spoiled since.
    pub fn is_whole(&self, frontier: u32) -> bool {
        self.state == JobState::Running
            && self.publication.is_some_and(|marked| {
                marked.frontier <= frontier && (self.open == 0 || !marked.is_last)
            })
    }

    /// What `part` made is damaged or gone. Refused for what a viewer may have seen: a second one
    /// need not be the first one's equal.
    pub(super) fn part_spoiled(&mut self, part: &Task) -> Result<(), Refusal> {
        let shown = self.published.map_or(0, |published| published.frontier);
        let is_part = matches!(part.key.kind, Kind::Audio | Kind::Chunk);
        if !is_part || part.state != State::Done || part.fragments.start < shown {
            return Err(Refusal::NotSpoiled { kind: part.key.kind, state: part.state });
        }
        self.open += 1;
        Ok(())
    }

    /// The title has a later version: this one is not published.
    pub(super) fn supersede(&mut self, by: VersionId, now_ms: i64) {
        self.publication = None;
        self.superseded_by = Some(by);
        self.end(JobState::Superseded, now_ms);
    }

    /// A chunk or a track of sound is done.
    pub(super) fn part_done(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// What was marked is written; says whether that was all.
    pub(super) fn written(&mut self, seq: u64, now_ms: i64) -> Result<bool, Refusal> {
        let marked = self.publication.filter(|publication| publication.seq == seq);
        let Some(publication) = marked else {
            return Err(Refusal::OtherSeq { seq, marked: self.publication.map(|p| p.seq) });
        };
        (self.published, self.publication) = (Some(publication), None);
        if publication.is_last {
            self.end(JobState::Published, now_ms);
        }
        Ok(publication.is_last)
    }

    /// A task of it was given up.
    pub(super) fn fail(&mut self, fault: Fault, now_ms: i64) {
        self.end(JobState::Failed, now_ms);
        self.fault = Some(fault);
    }

    /// Calls it off, if the title is not about to be complete; then changes its `tasks` (all of them).
    pub fn cancel(&mut self, tasks: &mut [Task], now_ms: i64) -> Result<(), Refusal> {
        // While a part is made again its publication only waits.
        let is_closing = self.open == 0 && self.publication.is_some_and(|marked| marked.is_last);
        match self.state {
            JobState::Queued | JobState::Running if is_closing => Err(Refusal::Closing),
            JobState::Queued | JobState::Running | JobState::Failed => {
                self.end(JobState::Cancelled, now_ms);
                tasks.iter_mut().for_each(|task| task.drop_it(now_ms));
                Ok(())
            }
            state => Err(Refusal::JobIs { state }),
        }
    }

    /// Tries a failed job again, from what is done; changes its `tasks` (all of them). The publish task
    /// waits: whether it is ready is then to be found out ([`super::Next::Advance`]).
    pub fn retry(&mut self, tasks: &mut [Task], now_ms: i64, terms: &Terms) -> Result<(), Refusal> {
        if self.state != JobState::Failed {
            return Err(Refusal::JobIs { state: self.state });
        }
        let was_begun = tasks.iter().any(|task| task.attempt > 0);
        self.state = if was_begun { JobState::Running } else { JobState::Queued };
        (self.ended_ms, self.fault) = (None, None);
        for task in tasks {
            // What is marked may wait for a part that was spoiled.
            task.revive(task.key.kind == Kind::Publish, now_ms, terms);
        }
        Ok(())
    }

    /// Gives it another priority, and the deadline that goes with it where none is named; changes
    /// its `tasks` (all of them).
    pub fn move_to(
        &mut self,
        priority: Priority,
        deadline_ms: Option<i64>,
        tasks: &mut [Task],
        now_ms: i64,
        terms: &Terms,
    ) -> Result<(), Refusal> {
        if !matches!(self.state, JobState::Queued | JobState::Running | JobState::Failed) {
            return Err(Refusal::JobIs { state: self.state });
        }
        self.priority = priority;
        self.deadline_ms = deadline_ms.unwrap_or(self.submitted_ms + priority.usual_ms());
        for task in tasks {
            task.move_to(priority.lane(), self.deadline_ms, now_ms, terms);
        }
        Ok(())
    }

    /// A viewer waits for a fragment: what makes it is wanted. Says how many of `tasks` (all of
    /// them) that are.
    pub fn want(&self, fragment: u32, tasks: &mut [Task], now_ms: i64, terms: &Terms) -> usize {
        let mut wanted = 0;
        for task in tasks {
            let makes_it = match task.key.kind {
                Kind::Plan => self.fragments == 0,
                Kind::Publish => true,
                Kind::Audio => task.reached <= fragment && fragment < task.fragments.end,
                Kind::Chunk => task.fragments.contains(&fragment),
            };
            if makes_it && task.state != State::Done {
                task.want(now_ms, terms);
                wanted += usize::from(task.wanted_until_ms.is_some());
            }
        }
        wanted
    }

    fn end(&mut self, state: JobState, now_ms: i64) {
        self.state = state;
        self.ended_ms = Some(now_ms);
    }

    fn task(&self, kind: Kind, index: u32, now_ms: i64) -> Task {
        let key = TaskKey { job: self.version, kind, index };
        Task::new(key, self.priority, self.deadline_ms, now_ms)
    }
}
