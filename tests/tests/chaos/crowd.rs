//! Thirty jobs on several machines: PostgreSQL, a bucket of Garage, and everything that may go wrong,
//! in an order that is drawn.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use headwater_tests::garage::Garage;
use headwater_tests::postgres::Postgres;
use headwater_tests::{measured, skip};
use rustix::process::Signal;

use crate::chance::Chance;
use crate::disk;
use crate::few::published;
use crate::films;
use crate::liar::{LIES, Liar};
use crate::meter::Meter;
use crate::process::{Process, may_mount};
use crate::site::{LEASE_S, Site};
use crate::watch::{Ends, never_back};

/// Jobs, of which each third title is asked for twice.
const JOBS: usize = 30;
/// A rendition whose objects are sent in parts of 5 MiB, and one that is not.
const LADDER: &str = "[{height=288,max_bitrate_kbps=200000,crf=8},\
                      {height=144,max_bitrate_kbps=200,crf=26}]";
/// A queue that is given up.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long a stopped publisher is waited for: the lease of its task, that of its title in the bucket,
/// and another's work.
const TAKEOVER: Duration = Duration::from_secs(180);

/// What happens, and how often.
const EVENTS: [(Event, usize); 9] = [
    (Event::KillWorker, 10),
    (Event::EndWorker, 3),
    (Event::StopWorker, 3),
    (Event::StopPublisher, 2),
    (Event::KillServer, 4),
    (Event::KillDatabase, 4),
    (Event::FillDisk, 3),
    (Event::Tear, 6),
    (Event::CutOff, 2),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    KillWorker,
    EndWorker,
    StopWorker,
    StopPublisher,
    KillServer,
    KillDatabase,
    FillDisk,
    Tear,
    CutOff,
}

#[test]
fn thirty_titles_are_published_as_if_nothing_had_happened() {
    if !skip::is_long("thirty jobs") {
        return;
    }
    let (Some(postgres), Some(garage)) = (Postgres::start(), Garage::start()) else { return };
    let mut chance = Chance::new();
    let films = films::real();
    let (quiet, quiet_cpu_s) = quiet(&films);
    let mut site = Site::new().with_postgres(&postgres).with_garage(garage);
    let liar = Liar::new(&site.path(""));
    site.set("HEADWATER_ENCODER__FFMPEG", liar.program().to_str().unwrap());
    site.set("HEADWATER_ENCODER__LADDER", LADDER);
    site.set("HEADWATER_ENCODER__PRESET", "ultrafast");
    // Ten ffmpegs at once on two cores: a slow one is not hung.
    site.set("HEADWATER_ENCODER__STALL_S", "30");
    // Each lie twice, among as many encodes as there surely are.
    let places = chance.shuffled((0..2 * JOBS).collect());
    let lies = LIES.iter().chain(&LIES);
    lies.zip(places).for_each(|(lie, place)| liar.lie(place, *lie));
    // Of each five jobs two are of one title, which must end as the later one.
    let title_of = |k: usize| if k % 5 == 4 { k - 1 } else { k };
    let titles: Vec<String> =
        (0..JOBS).filter(|k| title_of(*k) == *k).map(|k| format!("title-{k}")).collect();
    let mut jobs = Vec::new();
    for k in 0..JOBS {
        let title = format!("title-{}", title_of(k));
        jobs.push((site.submit(&films[k % films.len()], &title), title, k % films.len()));
    }
    let meter = Meter::start(site.path(""));
    let started = Instant::now();
    let mut scene = Scene::new(&site, postgres);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let looks = never_back(&site, &titles, Duration::from_millis(200), &is_over);
            measured(format_args!("chaos: pointers and heads looked at {looks} times"));
        });
        let _ends = Ends(&is_over);
        scene.play(&mut chance);
        // Nothing more happens: what was hit recovers.
        while published(&site) < JOBS {
            assert!(started.elapsed() < PATIENCE, "{:#?}", site.jobs());
            scene.revive();
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let took_s = started.elapsed().as_secs();
    let cpu_s = meter.taken().cpu_s();
    assert_eq!(liar.told(), 2 * LIES.len(), "lies that were told");
    let torn = scene.torn();
    assert!(torn.1 >= 1, "no part was torn: {torn:?}");
    let stopped = scene.stopped;
    assert!(stopped >= 1, "no publisher was stopped inside its PUT");
    drop(scene);
    for title in &titles {
        let (id, _, film) = jobs.iter().rfind(|(_, of, _)| of == title).unwrap();
        assert_eq!(site.live(title).unwrap().map(|live| live.to_string()).as_ref(), Some(id));
        let same = site.tracks(title) == quiet.tracks(&format!("film-{film}"));
        assert!(same, "{title} differs from a run without faults");
    }
    let wanted_s = quiet_cpu_s * f64::from(u32::try_from(JOBS / films.len()).unwrap());
    measured(format_args!(
        "chaos: {JOBS} jobs in {took_s} s through {:?}; {} objects torn, {} of them parts of uploads, \
         {stopped} publishers stopped inside a PUT, {} lies told in {} encodes",
        EVENTS,
        torn.0,
        torn.1,
        liar.told(),
        liar.runs(),
    ));
    measured(format_args!(
        "chaos: {cpu_s:.0} CPU seconds, where {wanted_s:.0} are enough: {:.0} lost to faults",
        cpu_s - wanted_s
    ));
}

/// A run of each film without faults, and the CPU seconds that they took.
fn quiet(films: &[std::path::PathBuf]) -> (Site, f64) {
    let mut site = Site::new();
    site.set("HEADWATER_ENCODER__LADDER", LADDER);
    site.set("HEADWATER_ENCODER__PRESET", "ultrafast");
    for (k, film) in films.iter().enumerate() {
        site.submit(film, &format!("film-{k}"));
    }
    let meter = Meter::start(site.path(""));
    site.drain();
    (site, meter.taken().cpu_s())
}

/// Who is on stage.
struct Scene<'a> {
    site: &'a Site,
    postgres: Postgres,
    server: Process,
    workers: Vec<Process>,
    has_small_disk: bool,
    stopped: usize,
}

impl<'a> Scene<'a> {
    fn new(site: &'a Site, postgres: Postgres) -> Self {
        let has_small_disk = may_mount();
        let server = Process::start(site, "server", &["serve"], &[]);
        let mut workers: Vec<_> = ["one", "two", "three"]
            .map(|name| Process::start(site, name, &["worker"], &[]))
            .into_iter()
            .collect();
        if has_small_disk {
            let least = [("HEADWATER_ENCODER__QUEUE__MIN_DISK_MIB", "16")];
            let small = Process::start_on_small_disk(site, "small", &["worker"], &least, 64);
            workers.push(small);
        }
        for process in workers.iter().chain([&server]) {
            process.way().tear_part();
        }
        Self { site, postgres, server, workers, has_small_disk, stopped: 0 }
    }

    fn play(&mut self, chance: &mut Chance) {
        let all = EVENTS.iter().flat_map(|(event, times)| vec![*event; *times]).collect();
        for event in chance.shuffled(all) {
            std::thread::sleep(Duration::from_millis(500 + 100 * chance.below(20) as u64));
            self.revive();
            if published(self.site) >= JOBS {
                panic!("all is done before {event:?}: the films are too short for these faults");
            }
            let drawn = chance.below(self.workers.len());
            self.happen(event, drawn);
        }
    }

    fn happen(&mut self, event: Event, drawn: usize) {
        let worker = &mut self.workers[drawn];
        match event {
            Event::KillWorker => worker.again(self.site, Signal::KILL),
            Event::EndWorker => worker.again(self.site, Signal::TERM),
            Event::StopWorker => {
                worker.send(Signal::STOP);
                std::thread::sleep(Duration::from_millis(LEASE_S * 1000 + 500));
                worker.send(Signal::CONT);
            }
            Event::StopPublisher => self.stop_publisher(),
            Event::KillServer => self.server.again(self.site, Signal::KILL),
            Event::KillDatabase => self.postgres.crash(),
            Event::FillDisk if self.has_small_disk => {
                let small = self.workers.last().expect("it is the last one");
                let full = disk::fill(&small.sees(&self.site.path("work-small")), 32 << 10);
                std::thread::sleep(Duration::from_secs(3));
                std::fs::remove_file(full).unwrap();
            }
            Event::FillDisk => {}
            Event::Tear => worker.way().tear(),
            Event::CutOff => worker.way().cut_off(Duration::from_secs(3)),
        }
    }

    /// Whoever publishes next is stopped inside a PUT, until another one has published that title.
    fn stop_publisher(&mut self) {
        for worker in &self.workers {
            worker.way().stop(worker.id(), "/titles/");
        }
        let deadline = Instant::now() + TAKEOVER;
        let stopped = |workers: &[Process]| {
            workers.iter().position(|worker| worker.way().stopped_at().is_some())
        };
        while stopped(&self.workers).is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.workers.iter().for_each(|worker| worker.way().spare());
        let held: Vec<usize> = (0..self.workers.len())
            .filter(|k| self.workers[*k].way().stopped_at().is_some())
            .collect();
        for k in &held {
            let at = self.workers[*k].way().stopped_at().expect("it is one of these");
            let (_, below) = at.split_once("/titles/").expect("it was looked for");
            let title = below.split('/').next().unwrap().to_owned();
            let before = self.site.live(&title).ok().flatten();
            let is_live = || self.site.live(&title).ok().flatten() > before;
            while !is_live() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(200));
            }
            self.stopped += usize::from(is_live());
        }
        for k in held {
            self.workers[k].send(Signal::CONT);
        }
    }

    fn revive(&mut self) {
        let site = self.site;
        self.workers.iter_mut().chain([&mut self.server]).for_each(|process| process.revive(site));
    }

    /// Objects and parts of uploads that were torn.
    fn torn(&self) -> (usize, usize) {
        let all = self.workers.iter().chain([&self.server]).map(|process| process.way().torn());
        all.fold((0, 0), |(objects, parts), torn| (objects + torn.objects, parts + torn.parts))
    }
}
