//! What `deploy/` says is what the binaries do: units are whole, their command lines start with the
//! deployment's configuration, and they need no folder that a unit does not give them.
#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod root;
mod unit;

use std::process::{Command, Stdio};

use headwater_tests::encoder::{self, Sample};
use headwater_tests::postgres::Postgres;
use headwater_tests::{run, scratch, skip};

use root::Root;
use unit::{UNITS, Unit};

/// systemd's own check, of units whose binaries are the ones that were built.
#[test]
fn systemd_finds_no_fault_in_the_units() {
    if Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status().is_err() {
        skip::skip("no systemd-analyze here (Debian: systemd)");
        return;
    }
    let root = Root::new();
    for unit in UNITS {
        // A template is looked at as one of its instances.
        let file = root.path(&unit.replace('@', "@film"));
        std::fs::write(&file, root.moved(&Unit::read(unit).text)).unwrap();
        let output = run::finish(Command::new("systemd-analyze").arg("verify").arg(&file));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{unit}: {said}");
    }
}

/// `serve` as its unit starts it: takes a job from the command line, publishes it, and ends in time when
/// it is told to.
#[test]
fn the_encoders_unit_takes_jobs() {
    let root = Root::new();
    let mut serve = root.start(&Unit::read("headwater-encoder.service"), &[]);
    works(&root, &mut serve, &[]);
}

/// The same of a worker, with the drop-in that names its queue.
#[test]
fn the_workers_unit_works_on_a_database() {
    let Some(postgres) = Postgres::start() else { return };
    let root = Root::new();
    let address = postgres.url();
    let queue = [("HEADWATER_ENCODER__QUEUE__POSTGRES", "env:QUEUE"), ("QUEUE", &address)];
    let mut worker = root.start(&Unit::read("headwater-worker.service"), &queue);
    works(&root, &mut worker, &queue);
}

fn works(root: &Root, service: &mut root::Service, env: &[(&str, &str)]) {
    let film = scratch::lasting("deploy").join(format!("{}.mp4", service.name));
    encoder::sample(&Sample { rate: "24", width: 320, height: 180, seconds: 2 }, &film);
    // Its queue is made when it starts, where only it may write.
    service.wait("its start", |said| said.contains("with ffmpeg-"));
    let submit = ["submit", film.to_str().unwrap(), "--title", "film"];
    run::succeed(root.command(&submit).envs(env.iter().copied()));
    let pointer = root.path("lib/store/titles/film/title.json");
    service.wait("the title", |_| pointer.exists());
    service.stop();
}
