//! Who holds what, and for how long.

use super::super::QueueError;
use super::backend::Backend;
use super::drive::{claim, failed, moved, name, next, plan, planned, submission, version};
use super::on_every_backend;
use crate::job::{Event, Fault, FaultKind, JobState, Priority, Refusal, State, Terms};

on_every_backend!(
    a_dead_worker_loses_its_task_when_its_lease_ends,
    what_moves_is_kept,
    what_stands_still_is_lost_though_its_worker_speaks,
    a_preemption_is_not_counted,
    a_refused_source_is_given_up_at_once,
    what_kills_its_workers_is_given_up,
);

async fn a_dead_worker_loses_its_task_when_its_lease_ends(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    planned(&*queue, &submission(1, Priority::Normal), &plan(1, 0), 0).await;
    let dead = claim(&*queue, 1_000).await.unwrap();
    assert_eq!(next(&*queue, 30_999).await, "-");
    let other = claim(&*queue, 31_000).await.unwrap();
    assert_eq!((name(&other), other.hold.attempt), ("1/chunk 0".to_owned(), 2));
    let task = &other.task;
    assert_eq!((task.failures, task.losses), (0, 1), "that is nobody's failure");
    assert_eq!(task.fault.as_ref().unwrap().kind, FaultKind::Lost);
    assert!(queue.tell(&dead.hold, moved(1), 31_000).await.is_err());
}

async fn what_moves_is_kept(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    planned(&*queue, &submission(1, Priority::Normal), &plan(1, 0), 0).await;
    let hold = claim(&*queue, 0).await.unwrap().hold;
    for beat in 1..20 {
        let now_ms = beat * 20_000;
        assert_eq!(next(&*queue, now_ms).await, "-");
        let task = queue.tell(&hold, moved(beat.unsigned_abs()), now_ms).await.unwrap();
        assert_eq!(task.until_ms, Some(now_ms + 30_000));
    }
}

async fn what_stands_still_is_lost_though_its_worker_speaks(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    planned(&*queue, &submission(1, Priority::Normal), &plan(1, 0), 0).await;
    let hold = claim(&*queue, 0).await.unwrap().hold;
    queue.tell(&hold, moved(7), 10_000).await.unwrap();
    for (now_ms, until_ms) in [(20_000, 50_000), (40_000, 70_000), (60_000, 70_000)] {
        let task = queue.tell(&hold, moved(7), now_ms).await.unwrap();
        assert_eq!(task.until_ms, Some(until_ms), "at most a stall after the last movement");
    }
    let refused = queue.tell(&hold, moved(7), 70_000).await;
    assert_eq!(refused, Err(QueueError::Refused(Refusal::Stalled { still_ms: 60_000 })));
    assert_eq!(queue.tick(70_000).await, Ok(1));
    let task = &queue.tasks(version(1)).await.unwrap()[2];
    assert_eq!((task.state, task.failures), (State::Delayed, 1), "a hung ffmpeg is a failure");
    assert_eq!(task.fault.as_ref().unwrap().kind, FaultKind::Stalled);
}

async fn a_preemption_is_not_counted(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    planned(&*queue, &submission(1, Priority::Normal), &plan(1, 0), 0).await;
    for attempt in 1..=30 {
        let claimed = claim(&*queue, 0).await.unwrap();
        assert_eq!(claimed.hold.attempt, attempt, "ready again at once");
        queue.tell(&claimed.hold, Event::Released, 0).await.unwrap();
    }
    let task = &queue.tasks(version(1)).await.unwrap()[2];
    assert_eq!((task.state, task.failures, task.losses), (State::Ready, 0, 0));
}

async fn a_refused_source_is_given_up_at_once(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    queue.submit(&submission(1, Priority::Normal), 0).await.unwrap();
    let hold = claim(&*queue, 0).await.unwrap().hold;
    let fault = Fault::new(FaultKind::Source, "there is no picture in it");
    queue.tell(&hold, Event::Failed(fault.clone()), 0).await.unwrap();
    let job = queue.job(version(1)).await.unwrap().job;
    assert_eq!((job.state, job.fault), (JobState::Failed, Some(fault)));
}

async fn what_kills_its_workers_is_given_up(backend: Backend) {
    let terms = Terms::default();
    let queue = backend.open(terms).await;
    planned(&*queue, &submission(1, Priority::Normal), &plan(2, 0), 0).await;
    let held = claim(&*queue, 0).await.unwrap().hold;
    let mut now_ms = 0;
    let mut killed = 0;
    // The other chunk fails once; what its workers' deaths count has no part in that.
    queue.tell(&held, failed(), 0).await.unwrap();
    loop {
        now_ms += terms.lease_ms;
        let Some(claimed) = claim(&*queue, now_ms).await else { break };
        if claimed.hold.key.index == 0 {
            queue.tell(&claimed.hold, super::drive::done("made"), now_ms).await.unwrap();
            continue;
        }
        killed += 1;
        assert!(killed <= terms.losses);
    }
    assert_eq!(killed, terms.losses);
    assert_eq!(queue.job(version(1)).await.unwrap().job.state, JobState::Failed);
}
