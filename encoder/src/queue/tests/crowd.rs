//! Many workers: on a virtual clock, and all at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::super::{Claimed, Queue};
use super::backend::Backend;
use super::chance::Chance;
use super::drive::{complete, moved, plan, planned, submission, version, worker};
use super::on_every_backend;
use crate::job::{JobState, Kind, Plan, Priority, Submission, TaskKey, Terms};

on_every_backend!(fifty_jobs_on_fifty_workers_take_the_time_of_one, deadlines_hold, at_once);

/// How long a scripted tool takes, in milliseconds.
fn cost_ms(kind: Kind) -> i64 {
    match kind {
        Kind::Plan => 1_000,
        Kind::Chunk => 20_000,
        Kind::Audio => 15_000,
        Kind::Publish => 500,
    }
}

/// Jobs on workers from 0 until all is done: when each was published. A worker speaks every ten
/// seconds of what it does.
async fn run(queue: &dyn Queue, jobs: &[Submission], plan: &Plan, workers: usize) -> Vec<i64> {
    for job in jobs {
        queue.submit(job, 0).await.unwrap();
    }
    // When what happens to whom; a worker without a task waits for the next thing that happens.
    let mut clock: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut doing: BTreeMap<usize, (Claimed, i64)> = BTreeMap::new();
    let mut idle: Vec<usize> = (0..workers).collect();
    let mut now_ms = 0;
    loop {
        while let Some(&at) = idle.last() {
            let Some(claimed) = queue.claim(&worker(&format!("w{at}")), now_ms).await.unwrap()
            else {
                break;
            };
            idle.pop();
            let ends_ms = now_ms + cost_ms(claimed.hold.key.kind);
            clock.push(Reverse((ends_ms.min(now_ms + 10_000), at)));
            doing.insert(at, (claimed, ends_ms));
        }
        let Some(Reverse((then_ms, at))) = clock.pop() else { break };
        now_ms = then_ms;
        let (claimed, ends_ms) = &doing[&at];
        if now_ms < *ends_ms {
            queue.tell(&claimed.hold, moved(now_ms.unsigned_abs()), now_ms).await.unwrap();
            clock.push(Reverse(((*ends_ms).min(now_ms + 10_000), at)));
            continue;
        }
        complete(queue, claimed, plan, now_ms).await.unwrap();
        doing.remove(&at);
        idle.push(at);
    }
    let mut ended = Vec::new();
    for job in jobs {
        let job = queue.job(job.version).await.unwrap().job;
        assert_eq!(job.state, JobState::Published);
        ended.push(job.ended_ms.unwrap());
    }
    ended
}

async fn fifty_jobs_on_fifty_workers_take_the_time_of_one(backend: Backend) {
    let plan = plan(8, 1);
    let jobs: Vec<_> = (1..=51).map(|number| submission(number, Priority::Normal)).collect();
    let queue = backend.open(Terms::default()).await;
    let one_ms = run(&*queue, &jobs[50..], &plan, 1).await[0];
    let all = run(&*queue, &jobs[..50], &plan, 50).await;
    let all_ms = all.into_iter().max().unwrap();
    println!("measured: 1 job on 1 worker {one_ms} ms, 50 jobs on 50 workers {all_ms} ms");
    assert!(all_ms * 10 <= one_ms * 11, "{all_ms} ms where one takes {one_ms}");
}

async fn deadlines_hold(backend: Backend) {
    let queue = backend.open(Terms::default()).await;
    let plan = plan(4, 0);
    // One worker needs 81.5 s for each; the deadlines are in no order, and just reachable.
    let mut jobs = Vec::new();
    for (number, place) in (1..).zip([4, 1, 5, 3, 2]) {
        let deadline_ms = Some(place * 81_500);
        jobs.push(Submission { deadline_ms, ..submission(number, Priority::Normal) });
    }
    let last = Submission { deadline_ms: Some(0), ..submission(9, Priority::Backfill) };
    jobs.push(last);
    let ended = run(&*queue, &jobs, &plan, 1).await;
    for (job, ended_ms) in jobs.iter().zip(&ended).take(5) {
        // Every plan is looked at when its turn comes, so the chunks of one job are not held up by
        // the plan of another.
        assert!(*ended_ms <= job.deadline_ms.unwrap(), "{} ended at {ended_ms}", job.title);
    }
    assert_eq!(ended.iter().max(), ended.last(), "backfill comes last, whatever its deadline");
}

/// Workers of their own threads, some of whom die or stall: every part is made, and one result kept.
async fn at_once(backend: Backend) {
    const JOBS: u32 = 6;
    let terms = Terms { losses: u32::MAX, ..Terms::default() };
    let queue = backend.open(terms).await;
    let plan = plan(8, 1);
    for number in 1..=JOBS {
        planned(&*queue, &submission(number, Priority::Normal), &plan, 0).await;
    }
    let mut workers = tokio::task::JoinSet::new();
    for seed in 0..6 {
        // In memory all share one queue; of a database each has its own connections.
        let own: Arc<dyn Queue> = match backend.sql(terms).await {
            Some(queue) => Arc::new(queue),
            None => Arc::clone(&queue),
        };
        workers.spawn(work(own, seed, plan.clone()));
    }
    let mut committed: BTreeMap<TaskKey, u32> = BTreeMap::new();
    while let Some(made) = workers.join_next().await {
        for key in made.unwrap() {
            *committed.entry(key).or_default() += 1;
        }
    }
    let twice: Vec<_> = committed.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(committed.len(), JOBS as usize * 10, "chunks, sound and publication of each");
    for number in 1..=JOBS {
        assert_eq!(queue.job(version(number)).await.unwrap().job.state, JobState::Published);
    }
}

/// Takes what there is until all is published; gives what it committed. Each worker has a clock of its
/// own, and all clocks run ahead at their own pace.
async fn work(queue: Arc<dyn Queue>, seed: u64, plan: Plan) -> Vec<TaskKey> {
    let mut chance = Chance::new(seed);
    let mut now_ms = 0;
    let mut made = Vec::new();
    let mut stalled: Option<Claimed> = None;
    for _ in 0..5_000 {
        now_ms += 1_000;
        let claimed = queue.claim(&worker(&format!("w{seed}")), now_ms).await.unwrap();
        if let Some(late) = stalled.take()
            && complete(&*queue, &late, &plan, now_ms).await.is_ok()
        {
            made.push(late.hold.key);
        }
        let Some(claimed) = claimed else {
            let mut open = 0;
            for number in 1..=6 {
                let state = queue.job(version(number)).await.unwrap().job.state;
                open += u32::from(state != JobState::Published);
            }
            if open == 0 {
                return made;
            }
            now_ms += 10_000;
            continue;
        };
        match chance.below(10) {
            // It dies.
            0 => {}
            // It stalls past its lease, and comes back.
            1 => {
                stalled = Some(claimed);
                now_ms += 31_000;
            }
            _ => {
                if complete(&*queue, &claimed, &plan, now_ms).await.is_ok() {
                    made.push(claimed.hold.key);
                }
            }
        }
    }
    panic!("there is no end to it");
}
