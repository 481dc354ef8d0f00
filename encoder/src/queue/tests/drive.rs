//! Short words for what the tests do with a queue.

use headwater_packager::ids::VersionId;

use super::super::{Claimed, Queue, Worker};
use crate::job::{
    Event, Fault, FaultKind, Kind, Plan, Priority, Progress, Span, Spent, Submission,
};

pub(super) const TOOL: &str = "ffmpeg 7";

pub(super) fn version(number: u32) -> VersionId {
    VersionId::from_u128(u128::from(number))
}

pub(super) fn submission(number: u32, priority: Priority) -> Submission {
    Submission {
        version: version(number),
        title: format!("film-{number}").parse().unwrap(),
        input: format!("/films/{number}.mov"),
        priority,
        deadline_ms: None,
        growing: false,
        audio: vec!["1:lang=en".to_owned()],
        texts: vec![format!("/films/{number}.srt:en")],
    }
}

/// A plan of chunks with one fragment, two, one, two ..., and some tracks of sound.
pub(super) fn plan(chunks: u32, sounds: u32) -> Plan {
    let mut end = 0;
    let chunks = (0..chunks).map(|index| {
        let start = end;
        end += 1 + index % 2;
        Span { fragments: start..end, frames: u64::from(end - start) * 48 }
    });
    let chunks: Vec<_> = chunks.collect();
    Plan { tool: TOOL.to_owned(), fragments: end, chunks, sounds, words: "{}".to_owned() }
}

pub(super) fn worker(name: &str) -> Worker {
    Worker { name: name.to_owned(), tool: TOOL.to_owned() }
}

pub(super) fn moved(frames: u64) -> Event {
    Event::Beat(Progress { frames, ..Progress::default() })
}

/// Sound that has its fragments before `fragment`.
pub(super) fn reached(fragment: u32, words: &str) -> Event {
    Event::Reached { fragment, result: words.to_owned() }
}

pub(super) fn done(words: &str) -> Event {
    Event::Done { result: words.to_owned(), spent: vec![spent("v360", 3), spent("a", 1)] }
}

pub(super) fn spent(track: &str, cpu_ms: u64) -> Spent {
    Spent { track: track.to_owned(), cpu_ms, work_ms: 2, media_ms: 4_000, read_bytes: 0 }
}

pub(super) fn failed() -> Event {
    Event::Failed(Fault::new(FaultKind::Tool, "ffmpeg ended with 1"))
}

pub(super) async fn claim(queue: &dyn Queue, now_ms: i64) -> Option<Claimed> {
    queue.claim(&worker("w"), now_ms).await.unwrap()
}

/// What is claimed next, as `kind number`, or `-`.
pub(super) async fn next(queue: &dyn Queue, now_ms: i64) -> String {
    claim(queue, now_ms).await.map_or("-".to_owned(), |claimed| name(&claimed))
}

pub(super) fn name(claimed: &Claimed) -> String {
    let key = claimed.hold.key;
    format!("{}/{} {}", key.job.as_u128(), key.kind.as_str(), key.index)
}

/// Submits a job and commits its plan.
pub(super) async fn planned(queue: &dyn Queue, submission: &Submission, plan: &Plan, now_ms: i64) {
    queue.submit(submission, now_ms).await.unwrap();
    // One that has no tools gets no chunks.
    let planner = Worker { name: "p".to_owned(), tool: String::new() };
    let claimed = queue.claim(&planner, now_ms).await.unwrap().unwrap();
    assert_eq!((claimed.hold.key.job, claimed.hold.key.kind), (submission.version, Kind::Plan));
    queue.planned(&claimed.hold, plan, now_ms).await.unwrap();
}

/// Ends whatever is claimed well.
pub(super) async fn complete(
    queue: &dyn Queue,
    claimed: &Claimed,
    plan: &Plan,
    now_ms: i64,
) -> Result<(), super::super::QueueError> {
    let hold = &claimed.hold;
    match (hold.key.kind, claimed.publication) {
        (Kind::Plan, _) => queue.planned(hold, plan, now_ms).await,
        (Kind::Publish, publication) => {
            let seq = publication.expect("a publish task is ready when one is marked").seq;
            queue.tell(hold, Event::Written { seq }, now_ms).await.map(drop)
        }
        _ => queue.tell(hold, done("made"), now_ms).await.map(drop),
    }
}

/// Does everything there is to do.
pub(super) async fn drain(queue: &dyn Queue, plan: &Plan, now_ms: i64) -> usize {
    let mut count = 0;
    while let Some(claimed) = claim(queue, now_ms).await {
        complete(queue, &claimed, plan, now_ms).await.unwrap();
        count += 1;
    }
    count
}
