//! A PostgreSQL of the tests' own: in a temporary folder, on a socket there, without a port.

use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// PostgreSQL refuses to run as root; this is Debian's `nobody`.
const NOBODY: u32 = 65_534;

pub(super) struct Cluster {
    server: Child,
    folder: TempDir,
    databases: AtomicU32,
}

/// The cluster that tests which run at the same time share; `None` where there is no PostgreSQL.
pub(super) fn shared() -> Option<Arc<Cluster>> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(cluster) = shared.upgrade() {
        return Some(cluster);
    }
    let Some(programs) = programs() else {
        // Past the harness's capture, so that it is counted.
        let why = "skipped: no /usr/lib/postgresql/*/bin/postgres (Debian: postgresql)";
        let _ = writeln!(std::io::stderr(), "{why}");
        return None;
    };
    let cluster = Arc::new(Cluster::start(&programs));
    *shared = Arc::downgrade(&cluster);
    Some(cluster)
}

impl Cluster {
    fn start(programs: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(folder.path()).stdout(Stdio::null());
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let data = folder.path().join("data");
        let made = command("initdb")
            .args(["--username=headwater", "--auth=trust", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let server = command("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300"])
            .args(["-c", "deadlock_timeout=100ms"])
            .stderr(log)
            .spawn()
            .unwrap();
        Self { server, folder, databases: AtomicU32::new(0) }
    }

    /// A fresh database's address.
    pub(super) async fn database(&self) -> String {
        sqlx::any::install_default_drivers();
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.connect().await;
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        connection.close().await.unwrap();
        self.address(&name)
    }

    async fn connect(&self) -> AnyConnection {
        let mut said = String::new();
        for _ in 0..1200 {
            match AnyConnection::connect(&self.address("postgres")).await {
                Ok(connection) => return connection,
                Err(e) => said = e.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not answer: {said}\n{log}");
    }

    fn address(&self, database: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgres:///{database}?host={folder}&user=headwater&sslmode=disable")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ended = self.server.kill().and_then(|()| self.server.wait());
        assert!(ended.is_ok(), "{ended:?}");
    }
}

/// The newest PostgreSQL that Debian installed.
fn programs() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = folders.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    found.filter(|folder| folder.join("postgres").exists()).max()
}
