//! An origin whose process changes: started as a service manager does, and told of each successor.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use headwater_tests::{binaries, run};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a start, an upgrade or a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The origin, whichever process it is.
pub struct Origin {
    /// HTTP/1.1 and h2c.
    pub plain: SocketAddr,
    /// TLS.
    pub tls: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
    folder: TempDir,
    manager: UnixDatagram,
    first: Child,
    pid: i32,
}

impl Origin {
    /// Starts it with the configuration that `toml` makes of its two addresses. The folder is where
    /// its files lie.
    pub fn start(folder: TempDir, toml: impl Fn(SocketAddr, SocketAddr) -> String) -> Self {
        let held: Vec<_> =
            (0..3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let at = |n: usize| held[n].local_addr().unwrap();
        let (plain, tls, admin) = (at(0), at(1), at(2));
        drop(held);
        fs::write(folder.path().join("headwater.toml"), toml(plain, tls)).unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let first = run::command(binaries::origin())
            .arg("--config")
            .arg(folder.path().join("headwater.toml"))
            .env("HEADWATER_ORIGIN__ADMIN_LISTEN", admin.to_string())
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let pid = i32::try_from(first.id()).unwrap();
        let origin = Self { plain, tls, admin, folder, manager, first, pid };
        assert_eq!(origin.told(), "READY=1");
        origin
    }

    /// What its process has in memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("headwater.toml")
    }

    /// What its processes wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Has a new process take over, and waits for it.
    pub fn upgrade(&mut self) {
        self.signal(Signal::USR2);
        // The two tell of themselves at the same time.
        for _ in 0..2 {
            if let Some(pid) = self.told().strip_prefix("MAINPID=") {
                self.pid = pid.parse().unwrap();
            }
        }
    }

    /// Has the configuration read again, and waits until the log says `outcome` once more.
    pub fn reload(&self, outcome: &str) {
        let before = self.log().matches(outcome).count();
        self.signal(Signal::HUP);
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(outcome).count() == before {
            assert!(Instant::now() < deadline, "no {outcome:?} in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn told(&self) -> String {
        let mut words = [0; 100];
        let len = self.manager.recv(&mut words).unwrap_or_else(|e| panic!("{e}\n{}", self.log()));
        String::from_utf8(words[..len].to_vec()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}
