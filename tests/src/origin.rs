//! A running origin.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::web::Web;
use crate::{binaries, run, scratch};

/// How long a start and a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an origin is started with beyond its store and its addresses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Milliseconds of a segment in the profile `clear`.
    pub segment_ms: u32,
    /// MiB of the response cache; 0 keeps nothing.
    pub responses_mib: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_ms: 6000, responses_mib: 64 }
    }
}

/// An origin over one store. Stops when dropped, and fails the test if it ever panicked.
#[derive(Debug)]
pub struct Origin {
    web: Web,
    admin: Web,
    process: Child,
    folder: TempDir,
}

impl Origin {
    /// Starts an origin over `store` with the default settings.
    pub fn start(store: &Path) -> Self {
        Self::with(store, &Settings::default())
    }

    /// Starts an origin over `store`.
    pub fn with(store: &Path, settings: &Settings) -> Self {
        let url = format!("[store]\nurl = \"file://{}\"\n", store.display());
        let mut origin = Self::launch(&toml(&url, settings), &[]);
        origin.wait_until_ready();
        origin
    }

    /// Starts an origin with a configuration that names no address, and does not wait for it to
    /// be ready, only to listen.
    pub fn launch(toml: &str, env: &[(&str, &str)]) -> Self {
        Self::launch_binary(&binaries::origin(), toml, env)
    }

    /// The same with a binary that may be another release's.
    pub fn launch_binary(binary: &Path, toml: &str, env: &[(&str, &str)]) -> Self {
        let folder = scratch::folder();
        let (port, admin_port) = free_ports();
        let config = folder.path().join("headwater.toml");
        fs::write(&config, toml).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = run::command(binary)
            .arg("--config")
            .arg(&config)
            .env("HEADWATER_ORIGIN__LISTEN", format!("[\"127.0.0.1:{port}\"]"))
            .env("HEADWATER_ORIGIN__ADMIN_LISTEN", format!("127.0.0.1:{admin_port}"))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the origin can be run");
        let mut origin = Self { web: Web::new(port), admin: Web::new(admin_port), process, folder };
        origin.wait_until("/healthz");
        origin
    }

    /// Its client.
    pub fn web(&self) -> &Web {
        &self.web
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens, `host:port`.
    pub fn address(&self) -> String {
        self.web.url("").trim_start_matches("http://").to_owned()
    }

    /// What it wrote so far: its own log and the access log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// One number of its metrics: the sum over all samples whose name and labels begin so.
    pub fn metric(&self, beginning: &str) -> f64 {
        let text = self.admin.text("/metrics");
        let samples = text.lines().filter(|line| line.starts_with(beginning));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Memory of its process that lies in RAM now, as Linux counts it.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("the origin runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("the kernel says it in KiB") * 1024
    }

    /// Stops it as a service manager does, and says whether it ended well.
    pub fn stop(mut self) -> bool {
        self.terminate()
    }

    /// Waits until it can serve.
    pub fn wait_until_ready(&mut self) {
        self.wait_until("/readyz");
    }

    fn wait_until(&mut self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A connection alone proves nothing: before it serves, the origin tries its ports.
            if self.web.status(path) == Some(200) {
                return;
            }
            if let Some(status) = self.process.try_wait().expect("a child can be asked") {
                panic!("the origin ended at once: {status}\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "the origin is not ready\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and SIGKILL for one that does not end; whether it ended by itself.
    fn terminate(&mut self) -> bool {
        let id = self.process.id().to_string();
        let _ = run::finish(run::command("kill").args(["-TERM", &id]));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.process.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        false
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.terminate();
        let log = self.log();
        if std::thread::panicking() {
            // Its own log, and of the access log the end.
            let (own, access): (Vec<_>, Vec<_>) =
                log.lines().partition(|line| line.contains("\"level\""));
            let access = &access[access.len().saturating_sub(5)..];
            eprintln!("the origin's log:\n{}\n{}", own.join("\n"), access.join("\n"));
        } else {
            assert!(!log.contains("panicked"), "the origin panicked:\n{log}");
        }
    }
}

/// A configuration around `[store]` tables.
pub fn toml(store: &str, settings: &Settings) -> String {
    let Settings { segment_ms, responses_mib } = settings;
    format!(
        r#"{store}
[origin]
workers = 2
grace_s = 1
[origin.cache]
responses_mib = {responses_mib}
pointer_ttl_ms = 0
not_found_ttl_ms = 0
[profiles.clear]
segment_ms = {segment_ms}
"#
    )
}

/// Two ports that nobody listens on now. Both are held until both are known.
fn free_ports() -> (u16, u16) {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (first, second) = (listen(), listen());
    let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
    (port(&first), port(&second))
}
