//! What is taken first.

use super::super::Worker;
use super::backend::Backend;
use super::drive::{
    TOOL, claim, complete, drain, failed, next, plan, planned, submission, version, worker,
};
use super::on_every_backend;
use crate::job::{Lane, Priority, State, Submission, Terms};

on_every_backend!(
    priorities_then_deadlines_then_age,
    what_waits_too_long_moves_up,
    a_viewer_goes_before_all_for_a_while,
    another_priority_moves_what_waits,
    only_the_tools_of_the_plan,
    only_the_tools_of_the_plan_join_its_parts,
);

const HOUR_MS: i64 = 3_600_000;

fn due(number: u32, priority: Priority, deadline_ms: i64) -> Submission {
    Submission { deadline_ms: Some(deadline_ms), ..submission(number, priority) }
}

async fn priorities_then_deadlines_then_age(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let jobs = [
        due(1, Priority::Backfill, 5),
        due(2, Priority::Normal, 900),
        due(3, Priority::Normal, 800),
        due(4, Priority::Launch, 9_000_000),
        due(5, Priority::Normal, 800),
        submission(6, Priority::Normal),
        due(7, Priority::Normal, 7 * HOUR_MS),
    ];
    for job in &jobs {
        queue.submit(job, 0).await.unwrap();
    }
    let mut names = Vec::new();
    while let Some(claimed) = claim(&*queue, 0).await {
        names.push(claimed.hold.key.job.as_u128());
    }
    assert_eq!(names, [4, 3, 5, 2, 6, 7, 1], "without a deadline, before those of next week");
}

async fn what_waits_too_long_moves_up(backend: Backend) {
    let terms = Terms { age_ms: HOUR_MS, ..Terms::default() };
    let queue = backend.open(terms).await;
    queue.submit(&due(1, Priority::Backfill, 0), 0).await.unwrap();
    let lane = async |now_ms: i64| {
        queue.tick(now_ms).await.unwrap();
        queue.tasks(version(1)).await.unwrap()[1].lane_now()
    };
    assert_eq!(lane(HOUR_MS - 1).await, Lane::Backfill);
    assert_eq!(lane(HOUR_MS).await, Lane::Normal);
    assert_eq!(lane(2 * HOUR_MS - 1).await, Lane::Normal);
    assert_eq!(lane(2 * HOUR_MS).await, Lane::Launch);
    assert_eq!(lane(100 * HOUR_MS).await, Lane::Launch, "and no further");
    queue.submit(&submission(2, Priority::Launch), 100 * HOUR_MS).await.unwrap();
    assert_eq!(next(&*queue, 100 * HOUR_MS).await, "1/plan 0");
}

async fn a_viewer_goes_before_all_for_a_while(backend: Backend) {
    let terms = Terms::default();
    let queue = backend.open(terms).await;
    let plan = plan(6, 1);
    planned(&*queue, &submission(1, Priority::Backfill), &plan, 0).await;
    planned(&*queue, &submission(2, Priority::Launch), &plan, 0).await;
    assert_eq!(next(&*queue, 0).await, "2/audio 0");
    // Fragment 4 is the second of chunk 3: 0 | 1 2 | 3 | 4 5 | 6 | 7 8.
    assert_eq!(queue.want(version(1), 5, 0).await, Ok(3), "chunk, sound, and the publication");
    assert_eq!(next(&*queue, 10).await, "1/audio 0");
    assert_eq!(next(&*queue, 10).await, "1/chunk 3");
    assert_eq!(next(&*queue, 10).await, "2/chunk 0");
    queue.want(version(1), 8, 100).await.unwrap();
    let late_ms = 100 + terms.want_ms;
    assert_eq!(next(&*queue, 20_000).await, "1/chunk 5");
    queue.want(version(1), 6, 100).await.unwrap();
    // Who waited has gone.
    let lanes = async || {
        let tasks = queue.tasks(version(1)).await.unwrap();
        tasks.iter().find(|task| task.fragments == (6..7)).unwrap().lane_now()
    };
    queue.tick(late_ms - 1).await.unwrap();
    assert_eq!(lanes().await, Lane::Wanted);
    queue.tick(late_ms).await.unwrap();
    assert_eq!(lanes().await, Lane::Backfill);
    // Before its plan is known, the plan is what a viewer waits for.
    queue.submit(&submission(3, Priority::Backfill), 200).await.unwrap();
    assert_eq!(queue.want(version(3), 0, 200).await, Ok(2));
    assert_eq!(next(&*queue, 200).await, "3/plan 0");
}

async fn another_priority_moves_what_waits(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(3, 0);
    planned(&*queue, &submission(1, Priority::Normal), &plan, 0).await;
    planned(&*queue, &submission(2, Priority::Launch), &plan, 0).await;
    queue.move_to(version(1), Priority::Launch, Some(0), 10).await.unwrap();
    queue.move_to(version(2), Priority::Backfill, None, 10).await.unwrap();
    assert_eq!(next(&*queue, 10).await, "1/chunk 0");
    let job = queue.job(version(2)).await.unwrap().job;
    assert_eq!((job.priority, job.deadline_ms), (Priority::Backfill, 7 * 24 * HOUR_MS));
    assert_eq!(drain(&*queue, &plan, 10).await, 2 + 3 + 1, "its publication waits for chunk 0");
}

async fn only_the_tools_of_the_plan(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    planned(&*queue, &submission(1, Priority::Normal), &plan(2, 0), 0).await;
    let other = Worker { name: "o".to_owned(), tool: "ffmpeg 8".to_owned() };
    assert_eq!(queue.claim(&other, 0).await, Ok(None));
    queue.submit(&submission(2, Priority::Backfill), 0).await.unwrap();
    assert!(!queue.depth().await.unwrap().is_drained_for("ffmpeg 8"), "a plan waits");
    let plan = queue.claim(&other, 0).await.unwrap().unwrap();
    assert_eq!(plan.hold.key.job, version(2), "a plan is for any tool");
    assert!(!queue.depth().await.unwrap().is_drained_for("ffmpeg 8"), "one is held");
    queue.cancel(version(2), 0).await.unwrap();
    // Nothing is left for that worker, though something is left.
    let depth = queue.depth().await.unwrap();
    assert!(depth.is_drained_for("ffmpeg 8") && !depth.is_drained_for(TOOL));
    assert_eq!(depth.stranded_for("ffmpeg 8").collect::<Vec<_>>(), [(TOOL, 2)]);
    assert_eq!(depth.stranded_for(TOOL).count(), 0);
    let chunk = queue.claim(&worker("w"), 0).await.unwrap().unwrap();
    assert_eq!(chunk.hold.key.job, version(1));
    let pause = queue.tell(&chunk.hold, failed(), 0).await.unwrap();
    assert_eq!(pause.state, State::Delayed);
    assert_eq!(queue.depth().await.unwrap().tools[TOOL], 2, "what pauses waits as well");
}

/// A worker of another release may not know what the parts are made of.
async fn only_the_tools_of_the_plan_join_its_parts(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(1, 0);
    planned(&*queue, &submission(1, Priority::Normal), &plan, 0).await;
    let chunk = claim(&*queue, 0).await.unwrap();
    complete(&*queue, &chunk, &plan, 0).await.unwrap();
    let other = Worker { name: "o".to_owned(), tool: "ffmpeg 8".to_owned() };
    assert_eq!(queue.claim(&other, 0).await, Ok(None));
    assert_eq!(next(&*queue, 0).await, "1/publish 0");
}
