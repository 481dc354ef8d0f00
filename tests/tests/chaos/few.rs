//! Eight jobs on one machine, and some on several: what every change is tried with.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use headwater_tests::measured;
use headwater_tests::postgres::Postgres;
use rustix::process::Signal;

use crate::chance::Chance;
use crate::films;
use crate::liar::{LIES, Liar};
use crate::process::Process;
use crate::site::{LEASE_S, Site, wait_until};
use crate::watch::{Ends, never_back};

/// A queue that is given up: a machine with nothing else to do takes a minute.
const PATIENCE: Duration = Duration::from_secs(900);
/// How often pointers are looked at.
const LOOK: Duration = Duration::from_millis(20);

#[test]
fn eight_titles_are_published_as_if_nothing_had_happened() {
    const JOBS: usize = 8;
    let mut chance = Chance::new();
    let quiet = quiet();
    let mut site = Site::new();
    let liar = Liar::new(&site.path(""));
    site.set("HEADWATER_ENCODER__FFMPEG", liar.program().to_str().unwrap());
    // Eight jobs are 13 chunks: whatever happens, each of these is made.
    let places = chance.shuffled((0..12).collect());
    for (lie, place) in LIES.iter().zip(places) {
        liar.lie(place, *lie);
    }
    let titles: Vec<String> = (0..JOBS).map(|k| format!("title-{k}")).collect();
    for (k, title) in titles.iter().enumerate() {
        site.submit(&films::tiny()[k % 3], title);
    }
    let mut processes = [("serve", &["serve"][..]), ("one", &["worker"]), ("two", &["worker"])]
        .map(|(name, args)| Process::start(&site, name, args, &[]));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| never_back(&site, &titles, LOOK, &is_over));
        let _ends = Ends(&is_over);
        let started = Instant::now();
        let mut hits = 0;
        while published(&site) < JOBS {
            assert!(started.elapsed() < PATIENCE, "{:#?}", site.jobs());
            if hits == 12 {
                // Later nothing more happens: what was hit recovers.
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
            hits += 1;
            std::thread::sleep(Duration::from_millis(200 + 100 * chance.below(8) as u64));
            let hit = &mut processes[chance.below(3)];
            match chance.below(4) {
                0 | 1 => hit.again(&site, Signal::KILL),
                2 => hit.again(&site, Signal::TERM),
                _ => {
                    // Longer than its leases: others take over, and then it goes on.
                    hit.send(Signal::STOP);
                    std::thread::sleep(Duration::from_millis(LEASE_S * 1000 + 500));
                    hit.send(Signal::CONT);
                }
            }
        }
    });
    drop(processes);
    assert_eq!(liar.told(), LIES.len(), "lies that were told");
    for (k, title) in titles.iter().enumerate() {
        let same = site.tracks(title) == quiet.tracks(&format!("film-{}", k % 3));
        assert!(same, "{title} differs from a run without faults");
    }
    measured(format_args!("chaos: {} encodes begun where 13 are enough", liar.runs()));
    // Whoever comes next sweeps what the dead ones left.
    for name in ["work-serve", "work-one", "work-two"] {
        site.set("HEADWATER_ENCODER__WORK_DIR", site.path(name).to_str().unwrap());
        site.drain();
    }
    assert_eq!(site.left("jobs"), Vec::<String>::new());
}

/// Three machines and a server on one PostgreSQL, each with a work folder of its own: all of them work,
/// and what two of them held when they were killed is done by others.
#[test]
fn machines_share_a_queue_in_postgresql() {
    const JOBS: usize = 6;
    let Some(mut postgres) = Postgres::start() else { return };
    let quiet = quiet();
    let site = Site::new().with_postgres(&postgres);
    let machines = ["one", "two", "three"];
    let mut workers = machines.map(|name| Process::start(&site, name, &["worker"], &[]));
    let _server = Process::start(&site, "serve", &["serve"], &[]);
    let titles: Vec<String> = (0..JOBS).map(|k| format!("title-{k}")).collect();
    let jobs: Vec<String> =
        (0..JOBS).map(|k| site.submit(&films::tiny()[k % 3], &titles[k])).collect();
    let held = "SELECT count(*) FROM tasks WHERE state = 'leased'";
    for worker in &mut workers[..2] {
        wait_until("tasks at work", || postgres.query(held) != "0");
        worker.again(&site, Signal::KILL);
    }
    postgres.crash();
    wait_until("all titles", || {
        workers.iter_mut().for_each(|worker| worker.revive(&site));
        published(&site) == JOBS
    });
    for (k, title) in titles.iter().enumerate() {
        let same = site.tracks(title) == quiet.tracks(&format!("film-{}", k % 3));
        assert!(same, "{title} differs from what one machine makes");
    }
    // What counts the work for machines that are started when there is some (docs/encoder.md).
    let left = "SELECT count(*) FROM tasks WHERE state IN ('ready', 'delayed', 'leased')";
    assert_eq!(postgres.query(left), "0");
    let failed: Vec<_> = jobs.iter().map(|id| site.job(id)["failures"].clone()).collect();
    assert!(failed.iter().all(|failures| *failures == 0), "a death is no failure: {failed:?}");
}

/// How many jobs are published, or were overtaken by a later one of their title; none where the queue
/// does not answer.
pub fn published(site: &Site) -> usize {
    let jobs = site.jobs().unwrap_or_default();
    let failed = jobs.iter().find(|job| job["state"] == "failed");
    assert!(failed.is_none(), "{:#}", failed.unwrap());
    let is_over =
        |job: &&serde_json::Value| ["published", "superseded"].iter().any(|s| job["state"] == *s);
    jobs.iter().filter(is_over).count()
}

/// A run of each film without faults.
fn quiet() -> Site {
    let site = Site::new();
    for (k, film) in films::tiny().iter().enumerate() {
        site.submit(film, &format!("film-{k}"));
    }
    site.drain();
    site
}
