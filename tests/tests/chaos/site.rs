//! A place where films are encoded: a queue, a store, a folder for each process; and the commands that
//! ask it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headwater_packager::ids::VersionId;
use headwater_packager::stored::{self, Pointer};
use headwater_packager::title::Title;
use headwater_tests::garage::{self, Garage};
use headwater_tests::postgres::Postgres;
use headwater_tests::s3::{self, Server};
use headwater_tests::{encoder, scratch};
use serde_json::Value;
use tempfile::TempDir;

/// Seconds that a task is held without a word of its worker. Long enough for a machine that does much
/// else, short enough to be waited for.
pub const LEASE_S: u64 = 4;

/// The place.
pub struct Site {
    folder: TempDir,
    env: Vec<(String, String)>,
    store: Store,
}

enum Store {
    Folder,
    /// Its server's objects are files too.
    Files(Server),
    Garage(Garage),
}

impl Site {
    /// One machine's: SQLite and a folder.
    pub fn new() -> Self {
        let folder = scratch::folder();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut site = Self { folder, env: Vec::new(), store: Store::Folder };
        let (store, queue) = (site.path("store"), site.path("queue.sqlite"));
        site.set("HEADWATER_STORE__URL", store.to_str().unwrap());
        site.set("HEADWATER_ENCODER__QUEUE__SQLITE", queue.to_str().unwrap());
        for (name, value) in [
            ("LEASE_S", LEASE_S.to_string().as_str()),
            ("BEAT_S", "1"),
            ("RETRY_S", "1"),
            ("RETRY_CAP_S", "4"),
            ("POLL_MS", "100"),
            ("PARALLEL", "2"),
            // Of a film that is lied about, killed and torn again and again: never the reason.
            ("FAILURES", "100"),
            ("MIN_DISK_MIB", "0"),
            ("MIN_MEMORY_MIB", "0"),
        ] {
            site.set(&format!("HEADWATER_ENCODER__QUEUE__{name}"), value);
        }
        site.set("HEADWATER_ENCODER__THREADS", "1");
        site.set("HEADWATER_ENCODER__API__LISTEN", "127.0.0.1:0");
        // Of a hung ffmpeg; no honest one on a busy machine stands still for so long.
        site.set("HEADWATER_ENCODER__STALL_S", "15");
        site
    }

    /// Its queue in PostgreSQL.
    pub fn with_postgres(mut self, postgres: &Postgres) -> Self {
        let address = self.path("queue-address");
        fs::write(&address, postgres.url()).unwrap();
        self.set("HEADWATER_ENCODER__QUEUE__POSTGRES", &format!("file:{}", address.display()));
        self
    }

    /// Its store in a bucket of s3s-fs.
    pub fn with_server(mut self, server: Server) -> Self {
        let url = format!("s3://{}/{}", s3::BUCKET, s3::PREFIX);
        self.set_bucket(&url, server.address(), s3::env());
        self.store = Store::Files(server);
        self
    }

    /// Its store in a bucket of Garage.
    pub fn with_garage(mut self, server: Garage) -> Self {
        let url = format!("s3://{}/{}", s3::BUCKET, garage::PREFIX);
        self.set_bucket(&url, server.address(), server.env());
        self.set("HEADWATER_STORE__S3__REGION", garage::REGION);
        self.store = Store::Garage(server);
        self
    }

    fn set_bucket(&mut self, url: &str, server: SocketAddr, env: [(&str, &str); 5]) {
        self.set("HEADWATER_STORE__URL", url);
        self.set("HEADWATER_STORE__S3__ENDPOINT", &format!("http://{server}"));
        self.set("HEADWATER_STORE__S3__PATH_STYLE", "true");
        self.set("HEADWATER_STORE__S3__PART_SIZE_MIB", "5");
        self.set("HEADWATER_STORE__S3__ATTEMPT_TIMEOUT_MS", "20000");
        for (name, value) in env {
            self.set(name, value);
        }
    }

    /// Sets a variable of every process here.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The bucket's server, where the store is one.
    pub fn server(&self) -> Option<SocketAddr> {
        match &self.store {
            Store::Folder => None,
            Store::Files(server) => Some(server.address()),
            Store::Garage(server) => Some(server.address()),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The encoder here. Its name says where: everything that it starts is known by the folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let config = self.path("headwater.toml");
        fs::write(&config, "").unwrap();
        let mut command = encoder::command(args);
        command.arg("--config").arg(config).current_dir(self.folder.path());
        command.env("HEADWATER_ENCODER__WORK_DIR", self.path("work"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Puts a job in, and gives its id.
    pub fn submit(&self, film: &Path, title: &str) -> String {
        self.ask(&["submit", film.to_str().unwrap(), "--title", title])["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A job, its tasks and its story.
    pub fn job(&self, id: &str) -> Value {
        self.ask(&["jobs", id])
    }

    /// Every job; none where the queue does not answer.
    pub fn jobs(&self) -> Option<Vec<Value>> {
        Some(self.try_ask(&["jobs"], &[]).ok()?["jobs"].as_array()?.clone())
    }

    /// Works until nothing is left.
    pub fn drain(&self) {
        let drained = self.command(&["worker", "--drain"]).output().unwrap();
        let said = String::from_utf8_lossy(&drained.stderr);
        assert!(drained.status.success(), "{}: {said}", drained.status);
    }

    fn ask(&self, args: &[&str]) -> Value {
        self.ask_with(args, &[])
    }

    /// What a command says, with these variables beside those of the place.
    pub fn ask_with(&self, args: &[&str], env: &[(&str, &str)]) -> Value {
        self.try_ask(args, env).unwrap_or_else(|said| panic!("{args:?}: {said}"))
    }

    fn try_ask(&self, args: &[&str], env: &[(&str, &str)]) -> Result<Value, String> {
        let output = self.command(args).envs(env.iter().copied()).arg("--json").output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        let value = out.lines().next().and_then(|line| serde_json::from_str(line).ok());
        value.filter(|_| output.status.success()).ok_or_else(|| format!("{out}{err}"))
    }

    /// An object of the store; an error where it does not answer.
    pub fn object(&self, key: &str) -> std::io::Result<Option<Vec<u8>>> {
        let file = match &self.store {
            Store::Folder => self.path("store").join(key),
            Store::Files(server) => server.folder().join(key),
            Store::Garage(server) => return server.object(key),
        };
        match fs::read(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// The live version of a title.
    pub fn live(&self, title: &str) -> std::io::Result<Option<VersionId>> {
        let json = self.object(&stored::pointer_key(&title.parse().unwrap()))?;
        Ok(json.and_then(|json| Pointer::parse(&json).expect("a pointer").live))
    }

    /// The heads of a version.
    pub fn heads(&self, title: &str, version: VersionId) -> std::io::Result<Option<Vec<u8>>> {
        self.object(&stored::heads_key(&title.parse().unwrap(), version))
    }

    /// The stored tracks of the live version, by name.
    pub fn tracks(&self, title: &str) -> Vec<(String, Vec<u8>)> {
        let version = self.live(title).unwrap().unwrap_or_else(|| panic!("{title} is not live"));
        let heads = Bytes::from(self.heads(title, version).unwrap().expect("heads"));
        let heads = Title::open(&heads).unwrap();
        let names = heads.tracks().iter().map(|track| track.objects()[0].name.clone());
        let read = |name: String| {
            let key = stored::object_key(&title.parse().unwrap(), version, &name);
            let bytes = self.object(&key).unwrap().unwrap_or_else(|| panic!("{key} is gone"));
            (name, bytes)
        };
        names.map(read).collect()
    }

    /// What lies in the store below `prefix`, and in the work folders but for locks; of a store whose
    /// files can be seen.
    pub fn left(&self, prefix: &str) -> Vec<String> {
        let store = match &self.store {
            Store::Folder => self.path("store"),
            Store::Files(server) => server.folder(),
            Store::Garage(_) => panic!("its files are its own"),
        };
        let mut left = files_below(&store.join(prefix));
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let folder = entry.unwrap().path();
            if folder.file_name().unwrap().to_string_lossy().starts_with("work") {
                left.extend(
                    files_below(&folder).into_iter().filter(|name| !name.ends_with("lock")),
                );
            }
        }
        left
    }
}

/// Waits for a condition, on a machine that may be busy.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(300), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => names.extend(files_below(&entry.path())),
            _ => names.push(entry.path().display().to_string()),
        }
    }
    names
}
