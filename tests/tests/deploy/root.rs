//! A machine on which the deployment's files were put, in a scratch folder: every path of theirs is
//! moved there, and a service may write what its unit lets it write.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_tests::{binaries, encoder, scratch, skip};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::unit::{self, Unit};

/// How long a start, or a film of seconds, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

pub struct Root {
    folder: TempDir,
}

impl Root {
    /// With the folders of `headwater.tmpfiles` and the configuration.
    pub fn new() -> Self {
        let root = Self { folder: scratch::folder() };
        let lines = fs::read_to_string(unit::folder().join("systemd/headwater.tmpfiles")).unwrap();
        for line in lines.lines().filter(|line| line.starts_with("d ")) {
            let path = line.split_whitespace().nth(1).unwrap();
            fs::create_dir_all(root.moved(path)).unwrap();
        }
        fs::create_dir_all(root.path("etc")).unwrap();
        let config = fs::read_to_string(unit::folder().join("headwater.toml")).unwrap();
        fs::write(root.path("etc/headwater.toml"), root.moved(&config)).unwrap();
        root
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A text of the deployment with its paths here.
    pub fn moved(&self, text: &str) -> String {
        let root = self.folder.path().display();
        let binaries =
            [binaries::encoder(), binaries::origin()].map(|path| path.display().to_string());
        text.replace("/usr/bin/headwater-encoder", &binaries[0])
            .replace("/usr/bin/headwater-origin", &binaries[1])
            .replace("/var/lib/headwater", &format!("{root}/lib"))
            .replace("/var/log/headwater", &format!("{root}/log"))
            .replace("/etc/headwater", &format!("{root}/etc"))
    }

    /// The encoder with the deployment's configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = encoder::command(args);
        command.arg("--config").arg(self.path("etc/headwater.toml")).current_dir("/");
        // What the configuration says of it is to hold.
        command.env_remove("HEADWATER_ENCODER__SANDBOX");
        command
    }

    /// Starts a unit's command line in `/`. Where we may make mounts, all but the unit's folders is
    /// read-only (ProtectSystem=strict).
    pub fn start(&self, unit: &Unit, env: &[(&str, &str)]) -> Service {
        let line: Vec<String> =
            unit.words("ExecStart").iter().map(|word| self.moved(word)).collect();
        let writable: Vec<String> = unit.writable().iter().map(|path| self.moved(path)).collect();
        for folder in unit.words("StateDirectory") {
            fs::create_dir_all(self.moved(&format!("/var/lib/{folder}"))).unwrap();
        }
        let mut command = if may_mount() {
            let mut inside = Command::new("unshare");
            inside.args(["--mount", "sh", "-c", &strict(&writable), "sh"]).args(&line);
            inside
        } else {
            skip::note("a unit is started without its read-only file system: that takes root");
            let mut plain = Command::new(&line[0]);
            plain.args(&line[1..]);
            plain
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEADWATER_") {
                command.env_remove(name);
            }
        }
        let log = self.path("service.log");
        let file = File::create(&log).unwrap();
        command.current_dir("/").envs(env.iter().copied()).stdin(Stdio::null());
        // The port may be taken where tests run at the same time.
        command.env("HEADWATER_ENCODER__API__LISTEN", "127.0.0.1:0");
        // Nobody's machine is too small for a test film.
        command.env("HEADWATER_ENCODER__QUEUE__MIN_DISK_MIB", "0");
        command.env("HEADWATER_ENCODER__QUEUE__MIN_MEMORY_MIB", "0");
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let stop = Duration::from_secs(unit.seconds("TimeoutStopSec"));
        Service { name: unit.name.clone(), child: command.spawn().unwrap(), log, stop }
    }
}

/// A running one.
pub struct Service {
    pub name: String,
    child: Child,
    log: PathBuf,
    stop: Duration,
}

impl Service {
    /// Waits for a condition, by what it said so far; fails when it ends before.
    pub fn wait(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !is_so(&self.said()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: {ended:?} of {}", self.said());
            assert!(started.elapsed() < PATIENCE, "{what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn said(&self) -> String {
        format!("{}:\n{}", self.name, fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// SIGTERM: it ends well before it would be killed.
    pub fn stop(&mut self) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        let asked = Instant::now();
        let ended = loop {
            if let Some(ended) = self.child.try_wait().unwrap() {
                break ended;
            }
            assert!(asked.elapsed() < self.stop, "it would be killed: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(ended.code(), Some(0), "{}", self.said());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell's words that make everything read-only but these folders, and go on as the command.
fn strict(writable: &[String]) -> String {
    // Each is first a mount of its own, so that it can be another than what it lies in.
    let own: String =
        writable.iter().map(|path| format!("mount --bind '{path}' '{path}' && ")).collect();
    let all = "for at in $(findmnt -rno TARGET | grep -vE '^/(proc|sys|dev|run)'); do \
               mount -o remount,bind,ro \"$at\" 2>/dev/null; done; ";
    let open: String =
        writable.iter().map(|path| format!("mount -o remount,bind,rw '{path}' && ")).collect();
    format!("{own}{{ {all} }}; {open}exec \"$@\"")
}

fn may_mount() -> bool {
    let mut tried = Command::new("unshare");
    tried.args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
    tried.output().is_ok_and(|tried| tried.status.success())
}
