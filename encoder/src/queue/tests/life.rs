//! A job from its submission to its end, lists, cancelling, trying again.

use super::super::{Filter, Page, QueueError};
use super::backend::Backend;
use super::drive::{
    claim, complete, done, drain, failed, next, plan, planned, reached, submission, version,
};
use super::on_every_backend;
use crate::job::{Event, FaultKind, JobState, Kind, Priority, Refusal, State, Terms};
use crate::limits;

on_every_backend!(
    from_submission_to_publication,
    an_attempt_that_is_over_changes_nothing,
    a_plan_that_cannot_be_carried_out_is_refused,
    a_failed_job_goes_on_where_it_was,
    a_cancelled_job_is_over,
    lists_by_page_and_filter,
    what_ended_long_ago_is_forgotten,
);

async fn from_submission_to_publication(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(3, 1);
    queue.submit(&submission(1, Priority::Normal), 1_000).await.unwrap();
    let again = queue.submit(&submission(1, Priority::Normal), 1_000).await;
    assert_eq!(again, Err(QueueError::Exists(version(1))));
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Queued);
    let claimed = claim(&*queue, 2_000).await.unwrap();
    assert_eq!(next(&*queue, 2_000).await, "-", "one plan");
    queue.planned(&claimed.hold, &plan, 3_000).await.unwrap();
    let mut holds = Vec::new();
    while let Some(claimed) = claim(&*queue, 4_000).await {
        holds.push(claimed);
    }
    let names: Vec<_> = holds.iter().map(super::drive::name).collect();
    assert_eq!(names, ["1/audio 0", "1/chunk 0", "1/chunk 1", "1/chunk 2"]);
    queue.tell(&holds[1].hold, super::drive::moved(20), 4_500).await.unwrap();
    let tally = queue.job(version(1)).await.unwrap().tally;
    assert_eq!((tally.tasks, tally.done, tally.held), (6, 1, 4));
    assert_eq!((tally.frames, tally.frames_made), (4 * 48, 20));
    for claimed in &holds {
        assert_eq!(next(&*queue, 5_000).await, "-", "published when all is done, not before");
        complete(&*queue, claimed, &plan, 5_000).await.unwrap();
    }
    let publish = claim(&*queue, 6_000).await.unwrap();
    let publication = publish.publication.unwrap();
    assert_eq!((publication.seq, publication.frontier, publication.is_last), (1, 4, true));
    complete(&*queue, &publish, &plan, 7_000).await.unwrap();
    let view = queue.job(version(1)).await.unwrap();
    assert_eq!((view.job.state, view.job.ended_ms), (JobState::Published, Some(7_000)));
    assert_eq!(
        (&view.job.audio[0], &view.job.texts[0]),
        (&"1:lang=en".into(), &"/films/1.srt:en".into())
    );
    // Four parts, of which each took as much.
    let sums: Vec<_> =
        view.spent.iter().map(|s| (s.track.as_str(), s.cpu_ms, s.media_ms)).collect();
    assert_eq!(sums, [("a", 4, 16_000), ("v360", 12, 16_000)]);
    assert_eq!(queue.depth().await.unwrap().spent, view.spent);
    assert_eq!((view.tally.done, view.tally.frames_made), (6, 4 * 48));
    let story = queue.story(version(1), 0).await.unwrap();
    let words: Vec<_> = story.iter().map(|told| told.what.as_str()).collect();
    let wanted = ["submitted", "begun", "planned", "done", "done", "done", "done", "written"];
    assert_eq!(words, wanted);
    assert_eq!(story[1].text, "by w, attempt 1");
    assert_eq!(queue.story(version(1), 6).await.unwrap(), story[6..]);
    assert_eq!(next(&*queue, i64::MAX / 2).await, "-");
}

async fn an_attempt_that_is_over_changes_nothing(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    planned(&*queue, &submission(1, Priority::Normal), &plan(1, 0), 0).await;
    let late = claim(&*queue, 0).await.unwrap();
    let now_ms = 31_000;
    let other = claim(&*queue, now_ms).await.unwrap();
    assert_eq!((late.hold.key, late.hold.attempt + 1), (other.hold.key, other.hold.attempt));
    let events =
        [done("late"), failed(), Event::Released, super::drive::moved(9), reached(1, "late")];
    let refused = QueueError::Refused(Refusal::NotHeld { state: State::Leased, attempt: 2 });
    for event in events {
        let before = queue.tasks(version(1)).await.unwrap();
        assert_eq!(queue.tell(&late.hold, event, now_ms).await, Err(refused.clone()));
        assert_eq!(queue.tasks(version(1)).await.unwrap(), before);
    }
    queue.tell(&other.hold, done("first"), now_ms).await.unwrap();
    let refused = QueueError::Refused(Refusal::NotHeld { state: State::Done, attempt: 2 });
    for hold in [late.hold, other.hold] {
        assert_eq!(queue.tell(&hold, done("again"), now_ms).await, Err(refused.clone()));
    }
    let chunk = &queue.tasks(version(1)).await.unwrap()[2];
    assert_eq!((chunk.key.kind, chunk.result.as_deref()), (Kind::Chunk, Some("first")));
}

async fn a_plan_that_cannot_be_carried_out_is_refused(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    queue.submit(&submission(1, Priority::Normal), 0).await.unwrap();
    let claimed = claim(&*queue, 0).await.unwrap();
    let good = plan(4, 1);
    let mut gap = good.clone();
    gap.chunks.remove(1);
    let mut short = good.clone();
    short.chunks.pop();
    let mut swapped = good.clone();
    swapped.chunks.swap(0, 1);
    let mut empty = good.clone();
    (empty.chunks, empty.fragments) = (Vec::new(), 0);
    let mut loud = good.clone();
    loud.sounds = limits::SOUNDS + 1;
    for bad in [gap, short, swapped, empty, loud] {
        let refused = queue.planned(&claimed.hold, &bad, 0).await;
        assert!(
            matches!(refused, Err(QueueError::Refused(Refusal::BadPlan { .. }))),
            "{refused:?}"
        );
    }
    assert_eq!(queue.tasks(version(1)).await.unwrap().len(), 2);
    queue.planned(&claimed.hold, &good, 0).await.unwrap();
    assert_eq!(queue.tasks(version(1)).await.unwrap().len(), 7);
}

async fn a_failed_job_goes_on_where_it_was(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(4, 1);
    planned(&*queue, &submission(1, Priority::Normal), &plan, 0).await;
    let mut held = Vec::new();
    while let Some(claimed) = claim(&*queue, 0).await {
        held.push(claimed);
    }
    complete(&*queue, &held[1], &plan, 0).await.unwrap();
    let (mut hold, mut now_ms) = (held[2].hold, 0);
    for failures in 1..=3 {
        let task = queue.tell(&hold, failed(), now_ms).await.unwrap();
        let wanted = if failures < 3 { State::Delayed } else { State::Poisoned };
        assert_eq!((task.failures, task.state), (failures, wanted));
        let Some(until_ms) = task.until_ms else { break };
        assert_eq!(next(&*queue, until_ms - 1).await, "-", "before its pause is over");
        now_ms = until_ms;
        hold = claim(&*queue, now_ms).await.unwrap().hold;
        assert_eq!(hold.key, held[2].hold.key);
    }
    let job = queue.job(version(1)).await.unwrap().job;
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(job.fault.unwrap().text, "ffmpeg ended with 1");
    let refused = queue.tell(&held[3].hold, done("late"), now_ms).await;
    let parked = Refusal::NotHeld { state: State::Parked, attempt: 1 };
    assert_eq!(refused, Err(QueueError::Refused(parked)));
    assert_eq!(next(&*queue, now_ms + 1_000_000).await, "-");
    let faults = queue.depth().await.unwrap().faults;
    assert_eq!(faults.into_iter().collect::<Vec<_>>(), [(FaultKind::Tool, 3)]);
    queue.retry(version(1), now_ms).await.unwrap();
    assert_eq!(drain(&*queue, &plan, now_ms).await, 5, "sound, three chunks, the publication");
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Published);
    let again = QueueError::Refused(Refusal::JobIs { state: JobState::Published });
    assert_eq!(queue.retry(version(1), now_ms).await, Err(again));
}

async fn a_cancelled_job_is_over(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(3, 0);
    planned(&*queue, &submission(1, Priority::Normal), &plan, 0).await;
    let held = claim(&*queue, 0).await.unwrap();
    queue.cancel(version(1), 5).await.unwrap();
    assert_eq!(next(&*queue, 10).await, "-");
    let refused = queue.tell(&held.hold, done("late"), 10).await;
    let wanted = Refusal::NotHeld { state: State::Dropped, attempt: 1 };
    assert_eq!(refused, Err(QueueError::Refused(wanted)));
    let cancelled = QueueError::Refused(Refusal::JobIs { state: JobState::Cancelled });
    assert_eq!(queue.cancel(version(1), 10).await, Err(cancelled.clone()));
    assert_eq!(queue.retry(version(1), 10).await, Err(cancelled.clone()));
    let moved = queue.move_to(version(1), Priority::Launch, None, 10).await;
    assert_eq!(moved, Err(cancelled));
    assert_eq!(queue.cancel(version(9), 10).await, Err(QueueError::NoSuchJob(version(9))));
    // What is about to be complete cannot be called off: the pointer may name it already.
    planned(&*queue, &submission(2, Priority::Normal), &plan, 20).await;
    for _ in 0..3 {
        let chunk = claim(&*queue, 20).await.unwrap();
        complete(&*queue, &chunk, &plan, 20).await.unwrap();
    }
    let closing = QueueError::Refused(Refusal::Closing);
    assert_eq!(queue.cancel(version(2), 20).await, Err(closing));
    assert_eq!(drain(&*queue, &plan, 20).await, 1);
}

async fn lists_by_page_and_filter(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    for number in 1..=7 {
        let priority = Priority::ALL[number as usize % 3];
        queue.submit(&submission(number, priority), i64::from(number)).await.unwrap();
    }
    queue.cancel(version(3), 9).await.unwrap();
    let list = async |filter: Filter, before: Option<u32>, entries: u32| -> Vec<u128> {
        let page = Page { before: before.map(version), entries };
        let views = queue.jobs(&filter, &page).await.unwrap();
        views.iter().map(|view| view.job.version.as_u128()).collect()
    };
    let all = Filter::default;
    assert_eq!(list(all(), None, 3).await, [7, 6, 5]);
    assert_eq!(list(all(), Some(5), 3).await, [4, 3, 2]);
    assert_eq!(list(all(), Some(2), 3).await, [1]);
    assert_eq!(list(all(), None, 0).await, [7], "a page has an entry at least");
    let cancelled = Filter { state: Some(JobState::Cancelled), ..all() };
    assert_eq!(list(cancelled, None, 9).await, [3]);
    let launches = Filter { priority: Some(Priority::Launch), ..all() };
    assert_eq!(list(launches, None, 9).await, [6, 3]);
    let title = Filter { title: Some("film-4".parse().unwrap()), ..all() };
    assert_eq!(list(title, None, 9).await, [4]);
    let depth = queue.depth().await.unwrap();
    let ready: Vec<_> = depth.ready.values().copied().collect();
    assert_eq!(ready, [(1, 6), (3, 1), (2, 2)], "launch, normal, backfill; tasks and since when");
}

async fn what_ended_long_ago_is_forgotten(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(2, 1);
    for number in 1..=20 {
        queue.submit(&submission(number, Priority::Normal), 0).await.unwrap();
        if number < 19 {
            queue.cancel(version(number), i64::from(number)).await.unwrap();
        }
    }
    queue.cancel(version(20), 500).await.unwrap();
    assert_eq!(drain(&*queue, &plan, 100).await, 5, "the 19th");
    assert_eq!(queue.forget(100).await, Ok(16), "a bounded piece");
    assert_eq!(queue.forget(100).await, Ok(2));
    assert_eq!(queue.forget(100).await, Ok(0), "what ended at that time is kept");
    let gone = QueueError::NoSuchJob(version(3));
    assert_eq!(queue.tasks(version(3)).await, Err(gone.clone()));
    assert_eq!(queue.story(version(3), 0).await, Err(gone));
    let page = Page { before: None, entries: 50 };
    assert_eq!(queue.jobs(&Filter::default(), &page).await.unwrap().len(), 2);
    assert_eq!(queue.forget(101).await, Ok(1));
    assert_eq!(queue.depth().await.unwrap().spent[0].cpu_ms, 3, "what was spent ever stays");
    assert_eq!(queue.submit(&submission(3, Priority::Normal), 0).await, Ok(()));
    assert_eq!(queue.tasks(version(3)).await.unwrap().len(), 2, "nothing of it was left");
}
