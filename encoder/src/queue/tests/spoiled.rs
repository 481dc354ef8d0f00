//! Parts that are damaged after they were committed, and jobs that a later version was faster than.

use headwater_packager::ids::VersionId;

use super::super::{Claimed, Queue, QueueError};
use super::backend::Backend;
use super::drive::{
    claim, complete, done, drain, failed, name, next, plan, planned, reached, submission, version,
};
use super::on_every_backend;
use crate::job::{
    Event, Fault, FaultKind, JobState, Kind, Priority, Refusal, State, Submission, TaskKey, Terms,
};

on_every_backend!(
    a_spoiled_part_is_made_again_and_then_published,
    sound_that_is_made_again_is_waited_for_to_its_end,
    what_is_spoiled_again_and_again_is_given_up,
    what_a_viewer_may_have_seen_is_not_made_again,
    a_superseded_job_says_so,
    what_waits_for_a_spoiled_part_can_be_called_off,
);

fn fault() -> Fault {
    Fault::new(FaultKind::Storage, "chunk-1-1.v360.mp4 is gone")
}

fn chunk(index: u32) -> TaskKey {
    TaskKey { job: version(1), kind: Kind::Chunk, index }
}

/// A job all of whose parts are made; who publishes it.
async fn closing(queue: &dyn Queue, submission: &Submission, chunks: u32) -> Claimed {
    let plan = plan(chunks, 1);
    planned(queue, submission, &plan, 0).await;
    for _ in 0..=chunks {
        let part = claim(queue, 0).await.unwrap();
        complete(queue, &part, &plan, 0).await.unwrap();
    }
    let publish = claim(queue, 0).await.unwrap();
    assert_eq!(publish.hold.key.kind, Kind::Publish);
    publish
}

async fn a_spoiled_part_is_made_again_and_then_published(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let publish = closing(&*queue, &submission(1, Priority::Normal), 3).await;
    queue.spoiled(&publish.hold, &chunk(1), &fault(), 10).await.unwrap();
    let view = queue.job(version(1)).await.unwrap();
    assert_eq!((view.job.state, view.job.open), (JobState::Running, 1));
    assert_eq!((view.tally.done, view.tally.failures), (4, 1), "the plan, sound, two chunks");
    let again = claim(&*queue, 20).await.unwrap();
    assert_eq!((name(&again), again.hold.attempt), ("1/chunk 1".to_owned(), 2));
    assert_eq!((again.task.result.clone(), again.task.fault.clone()), (None, Some(fault())));
    assert_eq!(next(&*queue, 20).await, "-", "what is marked waits for it");
    // Who said so does not hold it any more.
    let late = queue.tell(&publish.hold, Event::Written { seq: 1 }, 20).await;
    let wanted = Refusal::NotHeld { state: State::Waiting, attempt: 1 };
    assert_eq!(late, Err(QueueError::Refused(wanted)));
    queue.tell(&again.hold, done("better"), 30).await.unwrap();
    let second = claim(&*queue, 40).await.unwrap();
    assert_eq!(second.publication, publish.publication, "the same number, the same frontier");
    assert_eq!(second.hold.attempt, 2);
    complete(&*queue, &second, &plan(3, 1), 50).await.unwrap();
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Published);
    let story = queue.story(version(1), 0).await.unwrap();
    let told = story.iter().find(|told| told.what == "spoiled").unwrap();
    assert_eq!(told.text, "chunk 1, attempt 1: chunk-1-1.v360.mp4 is gone");
    let faults = queue.depth().await.unwrap().faults;
    assert_eq!(faults.into_iter().collect::<Vec<_>>(), [(FaultKind::Storage, 1)]);
}

/// It may be that nobody has the tools any more which the part is to be made with.
async fn what_waits_for_a_spoiled_part_can_be_called_off(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let publish = closing(&*queue, &submission(1, Priority::Normal), 3).await;
    let closing = Err(QueueError::Refused(Refusal::Closing));
    assert_eq!(queue.cancel(version(1), 5).await.map(drop), closing);
    queue.spoiled(&publish.hold, &chunk(1), &fault(), 10).await.unwrap();
    queue.cancel(version(1), 20).await.unwrap();
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Cancelled);
    assert_eq!(next(&*queue, 30).await, "-");
}

/// Its last fragment is committed, and its result is not.
async fn sound_that_is_made_again_is_waited_for_to_its_end(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let publish = closing(&*queue, &submission(1, Priority::Normal), 3).await;
    let sound = TaskKey { kind: Kind::Audio, ..chunk(0) };
    queue.spoiled(&publish.hold, &sound, &fault(), 10).await.unwrap();
    let again = claim(&*queue, 10).await.unwrap();
    assert_eq!((again.hold.key, again.task.reached), (sound, 0));
    assert_eq!(again.task.result, None, "nothing of it is taken for good");
    for end in [2, 4] {
        queue.tell(&again.hold, reached(end, "so far"), 10).await.unwrap();
        assert_eq!(next(&*queue, 10).await, "-", "at {end} of 4");
    }
    queue.tell(&again.hold, done("better"), 10).await.unwrap();
    assert_eq!(next(&*queue, 10).await, "1/publish 0");
}

async fn what_is_spoiled_again_and_again_is_given_up(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let mut publish = closing(&*queue, &submission(1, Priority::Normal), 3).await;
    for spoiled in 1..=3 {
        queue.spoiled(&publish.hold, &chunk(2), &fault(), 10).await.unwrap();
        if spoiled == 3 {
            break;
        }
        let again = claim(&*queue, 10).await.unwrap();
        complete(&*queue, &again, &plan(3, 1), 10).await.unwrap();
        publish = claim(&*queue, 10).await.unwrap();
    }
    let job = queue.job(version(1)).await.unwrap().job;
    assert_eq!((job.state, job.fault), (JobState::Failed, Some(fault())));
    assert_eq!(next(&*queue, 1_000_000).await, "-");
    // Tried again, the part is made before anything is published.
    queue.retry(version(1), 20).await.unwrap();
    assert_eq!(next(&*queue, 20).await, "1/chunk 2");
    assert_eq!(next(&*queue, 20).await, "-");
    assert_eq!(drain(&*queue, &plan(3, 1), 40_000).await, 2, "its lease ran out; the publication");
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Published);
}

async fn what_a_viewer_may_have_seen_is_not_made_again(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let growing = Submission { growing: true, ..submission(1, Priority::Normal) };
    let plan = plan(2, 0);
    planned(&*queue, &growing, &plan, 0).await;
    let first = claim(&*queue, 0).await.unwrap();
    complete(&*queue, &first, &plan, 0).await.unwrap();
    let shows = claim(&*queue, 0).await.unwrap();
    complete(&*queue, &shows, &plan, 0).await.unwrap();
    let second = claim(&*queue, 0).await.unwrap();
    complete(&*queue, &second, &plan, 0).await.unwrap();
    let publish = claim(&*queue, 0).await.unwrap();
    let refused = |kind| Err(QueueError::Refused(Refusal::NotSpoiled { kind, state: State::Done }));
    let shown = queue.spoiled(&publish.hold, &chunk(0), &fault(), 0).await;
    assert_eq!(shown, refused(Kind::Chunk));
    let plan_key = TaskKey { kind: Kind::Plan, ..chunk(0) };
    assert_eq!(queue.spoiled(&publish.hold, &plan_key, &fault(), 0).await, refused(Kind::Plan));
    let absent = queue.spoiled(&publish.hold, &chunk(9), &fault(), 0).await;
    assert_eq!(absent, Err(QueueError::NoSuchTask(chunk(9))));
    let not_ours = queue.spoiled(&shows.hold, &chunk(1), &fault(), 0).await;
    assert!(matches!(not_ours, Err(QueueError::Refused(Refusal::NotHeld { .. }))), "{not_ours:?}");
    queue.spoiled(&publish.hold, &chunk(1), &fault(), 0).await.unwrap();
    assert_eq!(next(&*queue, 0).await, "1/chunk 1");
}

async fn a_superseded_job_says_so(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let publish = closing(&*queue, &submission(1, Priority::Normal), 2).await;
    let by: VersionId = version(7);
    let chunk_hold = queue.tell(&publish.hold, failed(), 5).await.unwrap().until_ms.unwrap();
    let publish = claim(&*queue, chunk_hold).await.unwrap();
    queue.tell(&publish.hold, Event::Superseded { by }, chunk_hold).await.unwrap();
    let job = queue.job(version(1)).await.unwrap().job;
    assert_eq!((job.state, job.superseded_by), (JobState::Superseded, Some(by)));
    assert_eq!((job.published, job.ended_ms), (None, Some(chunk_hold)));
    let story = queue.story(version(1), 0).await.unwrap();
    let last = story.last().unwrap();
    let wanted = format!("film-1 has a later version, {by}, which stays");
    assert_eq!((last.what.as_str(), &last.text), ("superseded", &wanted));
    let over = QueueError::Refused(Refusal::JobIs { state: JobState::Superseded });
    assert_eq!(queue.retry(version(1), 0).await, Err(over.clone()));
    assert_eq!(queue.cancel(version(1), 0).await, Err(over));
    assert_eq!(next(&*queue, 1_000_000).await, "-");
    planned(&*queue, &submission(2, Priority::Normal), &plan(1, 0), 0).await;
    let part = claim(&*queue, 0).await.unwrap();
    let refused = queue.tell(&part.hold, Event::Superseded { by }, 0).await;
    assert_eq!(refused, Err(QueueError::Refused(Refusal::NotFor { kind: Kind::Chunk })));
}
