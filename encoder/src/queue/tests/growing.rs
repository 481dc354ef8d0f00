//! Titles that are published while they grow: the frontier, and publications with a rising number.

use super::super::QueueError;
use super::backend::Backend;
use super::drive::{
    claim, complete, done, failed, next, plan, planned, reached, submission, version,
};
use super::on_every_backend;
use crate::job::{Event, JobState, Kind, Priority, Publication, Refusal, State, Submission, Terms};
use crate::limits;

on_every_backend!(
    publications_follow_the_frontier,
    a_publication_is_written_once,
    runs_of_sound_outlive_their_attempt,
);

fn growing() -> Submission {
    Submission { growing: true, ..submission(1, Priority::Launch) }
}

async fn publications_follow_the_frontier(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    // Fragments 0 | 1 2 | 3 | 4 5
    let plan = plan(4, 1);
    planned(&*queue, &growing(), &plan, 0).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(claim(&*queue, 0).await.unwrap().hold);
    }
    let (sound, chunks) = (held[0], &held[1..]);
    let marked = async || queue.job(version(1)).await.unwrap().job.publication;
    let show = |seq, frontier, is_last| Some(Publication { seq, frontier, is_last });
    queue.tell(&chunks[1], done("b"), 0).await.unwrap();
    assert_eq!(marked().await, None, "its start is not there");
    queue.tell(&chunks[0], done("a"), 0).await.unwrap();
    assert_eq!(marked().await, None, "its sound is not there");
    queue.tell(&sound, reached(2, "a b"), 0).await.unwrap();
    assert_eq!(marked().await, show(1, 2, false), "as far as all tracks");
    let publish = claim(&*queue, 0).await.unwrap();
    assert_eq!(publish.publication, show(1, 2, false));
    // The frontier goes on while it is written; what is written does not change.
    queue.tell(&sound, reached(5, "a b c"), 0).await.unwrap();
    assert_eq!(marked().await, show(1, 2, false));
    complete(&*queue, &publish, &plan, 0).await.unwrap();
    let publish = claim(&*queue, 0).await.unwrap();
    assert_eq!((publish.hold.attempt, publish.publication), (2, show(2, 3, false)));
    for bad in [4, 7] {
        let refused = queue.tell(&sound, reached(bad, "?"), 0).await;
        let wanted = Refusal::NotThere { reached: bad, was: 5, end: 6 };
        assert_eq!(refused, Err(QueueError::Refused(wanted)));
    }
    queue.tell(&sound, done("sound"), 0).await.unwrap();
    queue.tell(&chunks[2], done("c"), 0).await.unwrap();
    queue.tell(&chunks[3], done("d"), 0).await.unwrap();
    complete(&*queue, &publish, &plan, 0).await.unwrap();
    let publish = claim(&*queue, 0).await.unwrap();
    assert_eq!(publish.publication, show(3, 6, true));
    complete(&*queue, &publish, &plan, 0).await.unwrap();
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Published);
    assert_eq!(next(&*queue, 1_000_000).await, "-");
}

async fn a_publication_is_written_once(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(2, 0);
    planned(&*queue, &growing(), &plan, 0).await;
    let chunk = claim(&*queue, 0).await.unwrap();
    complete(&*queue, &chunk, &plan, 0).await.unwrap();
    let stopped = claim(&*queue, 0).await.unwrap();
    assert_eq!(stopped.hold.key.kind, Kind::Publish);
    // It is stopped inside its write; another one writes the same, then it goes on.
    let other = claim(&*queue, 0).await.unwrap();
    assert_eq!(other.hold.key.kind, Kind::Chunk, "held");
    complete(&*queue, &other, &plan, 20_000).await.unwrap();
    let taken = claim(&*queue, 30_000).await.unwrap();
    assert_eq!(taken.publication, stopped.publication, "the same number, the same frontier");
    complete(&*queue, &taken, &plan, 30_000).await.unwrap();
    assert!(complete(&*queue, &stopped, &plan, 30_000).await.is_err());
    let last = claim(&*queue, 30_000).await.unwrap();
    assert_eq!(last.publication.unwrap().seq, 2);
    let wrong = queue.tell(&last.hold, Event::Written { seq: 1 }, 30_000).await;
    let refused = Refusal::OtherSeq { seq: 1, marked: Some(2) };
    assert_eq!(wrong, Err(QueueError::Refused(refused)), "nor a number that was written before");
    complete(&*queue, &last, &plan, 30_000).await.unwrap();
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Published);
}

async fn runs_of_sound_outlive_their_attempt(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    // Fragments 0 | 1 2
    planned(&*queue, &submission(1, Priority::Normal), &plan(2, 1), 0).await;
    let first = claim(&*queue, 0).await.unwrap();
    assert_eq!((first.hold.key.kind, &first.task.result), (Kind::Audio, &None));
    let told = queue.tell(&first.hold, reached(1, "a"), 0).await.unwrap();
    assert_eq!((told.state, told.reached, told.result.as_deref()), (State::Leased, 1, Some("a")));
    // Its answer was lost.
    assert_eq!(queue.tell(&first.hold, reached(1, "a"), 0).await.unwrap(), told);
    queue.tell(&first.hold, reached(2, "a b"), 0).await.unwrap();
    let long = "x".repeat(limits::RESULT_BYTES + 1);
    let len_bytes = long.len();
    for (end, words, refusal) in [
        (1, "a", Refusal::NotThere { reached: 1, was: 2, end: 3 }),
        (4, "a b c d", Refusal::NotThere { reached: 4, was: 2, end: 3 }),
        (3, &long, Refusal::TooLong { len_bytes }),
    ] {
        let refused = queue.tell(&first.hold, reached(end, words), 0).await;
        assert_eq!(refused, Err(QueueError::Refused(refusal)));
    }
    // Its lease runs out: the next attempt knows what is there, and it is not heard any more.
    let again = claim(&*queue, 31_000).await.unwrap();
    assert_eq!((again.hold.key, again.hold.attempt), (first.hold.key, 2));
    assert_eq!((again.task.reached, again.task.result.as_deref()), (2, Some("a b")));
    let late = queue.tell(&first.hold, reached(3, "a b c"), 31_000).await;
    let refusal = Refusal::NotHeld { state: State::Leased, attempt: 2 };
    assert_eq!(late, Err(QueueError::Refused(refusal)));
    // It may have made something else, of all that was there.
    queue.tell(&again.hold, reached(2, "A B"), 31_000).await.unwrap();
    queue.tell(&again.hold, failed(), 31_000).await.unwrap();
    let third = claim(&*queue, 9_000_000).await.unwrap();
    assert_eq!((third.hold.key, third.hold.attempt), (first.hold.key, 3));
    assert_eq!((third.task.reached, third.task.result.as_deref()), (2, Some("A B")));
    let job = queue.job(version(1)).await.unwrap().job;
    assert_eq!((job.publication, job.published), (None, None), "it is not shown before its end");
    let told = queue.tell(&third.hold, done("A B C"), 9_000_000).await.unwrap();
    assert_eq!((told.reached, told.result.as_deref()), (3, Some("A B C")));
}
