//! A PostgreSQL from Debian's packages: in a folder of its own, on a socket there, without a port.
//! It can be killed in the middle of its work, and started again over what it left.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{run, skip};

/// PostgreSQL refuses to run as root; this is Debian's `nobody`.
const NOBODY: u32 = 65_534;
/// How long a start may take on a busy machine, recovery and a killed one's last children included.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. It ends when dropped.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    // Not in cargo's folder: a socket's path is 107 bytes at most, and `nobody` must get there.
    folder: TempDir,
    server: Child,
}

impl Postgres {
    /// Starts one, or counts a skip where there is none.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skip::skip("no /usr/lib/postgresql/*/bin/postgres (Debian: postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may give it away");
        }
        let mut initdb = command(&programs, &folder, "initdb");
        initdb.args(["--username=headwater", "--auth=trust", "--no-sync", "--encoding=UTF8"]);
        run::succeed(initdb.args(["--locale=C", "--pgdata"]).arg(folder.path().join("data")));
        let server = serve(&programs, &folder);
        let mut started = Self { programs, folder, server };
        started.wait();
        Some(started)
    }

    /// The address of its database, as `encoder.queue.postgres` leads to it.
    pub fn url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgres:///postgres?host={folder}&user=headwater&sslmode=disable")
    }

    /// What `psql` says to a statement.
    pub fn query(&self, statement: &str) -> String {
        let said = run::succeed(self.psql().arg(statement));
        String::from_utf8(said).expect("text").trim().to_owned()
    }

    /// Kills it as a fault of its machine would, and starts it again over what is there. What it had
    /// said to be committed is in its log's files, which outlive a process without being synced.
    pub fn crash(&mut self) {
        self.server.kill().expect("it runs");
        self.server.wait().expect("it is our child");
        self.server = serve(&self.programs, &self.folder);
        self.wait();
    }

    /// Waits until it answers. Where children of a killed one still end, it gives up and is started
    /// again.
    fn wait(&mut self) {
        let started = Instant::now();
        while !run::finish(self.psql().arg("SELECT 1")).status.success() {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not answer:\n{}", self.log());
            if self.server.try_wait().expect("it is our child").is_some() {
                self.server = serve(&self.programs, &self.folder);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn psql(&self) -> Command {
        let mut psql = command(&self.programs, &self.folder, "psql");
        psql.args(["-U", "headwater", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-Atqc"]);
        psql.env("PGHOST", self.folder.path()).stdout(Stdio::piped());
        psql
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn serve(programs: &std::path::Path, folder: &TempDir) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log"));
    command(programs, folder, "postgres")
        .arg("-D")
        .arg(folder.path().join("data"))
        .arg("-k")
        .arg(folder.path())
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"])
        .stdin(Stdio::null())
        .stderr(log.expect("a file in our folder"))
        .spawn()
        .expect("PostgreSQL can be run")
}

fn command(programs: &std::path::Path, folder: &TempDir, program: &str) -> Command {
    let mut command = run::command(programs.join(program));
    command.current_dir(folder.path()).stdout(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The newest that Debian installed.
fn programs() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = folders.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    found.filter(|folder| folder.join("postgres").exists()).max()
}
