//! A Garage: an S3 server that others run in production, one node of it over a scratch folder.
//!
//! What differs from s3s-fs and matters here: it checks signatures and regions strictly, and it
//! ignores If-None-Match on PUT (2.5).

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::s3::BUCKET;
use crate::{run, scratch, skip};

/// Who may use it, in Garage's form.
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const READER_KEY: &str = "GK89abcdef0123456789abcdef";
const READER_SECRET: &str = "89abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567";
/// The region that requests are signed for.
pub const REGION: &str = "garage";
/// What stands before every key.
pub const PREFIX: &str = "vod";
/// Behind a bucket's name, the host that its web server answers to.
const WEB_ROOT: &str = "web.garage";
/// The folder below the user's cache into which `.ci/setup long` installs it.
const INSTALLED: &str = "headwater/garage-2.5.0/bin/garage";
/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node with the bucket [`BUCKET`]. It ends when dropped.
#[derive(Debug)]
pub struct Garage {
    folder: TempDir,
    address: SocketAddr,
    web: SocketAddr,
    process: Child,
}

impl Garage {
    /// Starts one, or counts a skip where there is no Garage.
    pub fn start() -> Option<Self> {
        if Command::new(program()).arg("--version").stdout(Stdio::null()).status().is_err() {
            skip::skip("no garage here: .ci/setup long builds it");
            return None;
        }
        let folder = scratch::folder();
        let [address, rpc, web] = free_addresses();
        fs::write(folder.path().join("garage.toml"), settings(&folder, address, rpc, web)).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = command(&folder)
            .arg("server")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("garage can be run");
        let garage = Self { folder, address, web, process };
        garage.prepare();
        Some(garage)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An object's bytes, read by nobody in particular over Garage's web server; none where there is no
    /// such object, and an error where it does not answer.
    pub fn object(&self, key: &str) -> std::io::Result<Option<Vec<u8>>> {
        let mut stream = TcpStream::connect(self.web)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let host = format!("{BUCKET}.{WEB_ROOT}");
        write!(stream, "GET /{PREFIX}/{key} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let odd = || std::io::Error::other("no whole answer of Garage's web server");
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or_else(odd)?;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let body = answer.split_off(end + 4);
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        match head.split(' ').nth(1) {
            Some("200") if len == Some(&body.len().to_string()) => Ok(Some(body)),
            Some("404") => Ok(None),
            _ => Err(odd()),
        }
    }

    /// A key that may only read, as an origin's should: the environment with it.
    pub fn env_of_a_reader(&self) -> [(&'static str, &'static str); 5] {
        let mut env = self.env();
        (env[0].1, env[1].1) = (READER_KEY, READER_SECRET);
        env
    }

    /// The environment with this server's credentials, and without any other's.
    pub fn env(&self) -> [(&'static str, &'static str); 5] {
        [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nowhere"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
        ]
    }

    /// Gives the node its place, the bucket, and the key that may use it.
    fn prepare(&self) {
        let deadline = Instant::now() + PATIENCE;
        let node = loop {
            let output = run::finish(command(&self.folder).args(["node", "id", "-q"]));
            let up = run::finish(command(&self.folder).arg("status")).status.success();
            if up && output.status.success() {
                let id = String::from_utf8(output.stdout).unwrap();
                break id.split('@').next().unwrap().trim().to_owned();
            }
            assert!(Instant::now() < deadline, "garage is not up: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        };
        let steps: [&[&str]; 8] = [
            &["layout", "assign", "-z", "here", "-c", "1G", &node],
            &["layout", "apply", "--version", "1"],
            &["bucket", "create", BUCKET],
            &["bucket", "website", "--allow", BUCKET],
            &["key", "import", "--yes", ACCESS_KEY, SECRET_KEY],
            &["bucket", "allow", "--read", "--write", BUCKET, "--key", ACCESS_KEY],
            &["key", "import", "--yes", READER_KEY, READER_SECRET],
            &["bucket", "allow", "--read", BUCKET, "--key", READER_KEY],
        ];
        for step in steps {
            run::succeed(command(&self.folder).args(step));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Garage {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("garage's log ends:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"));
        }
    }
}

/// How the store is reached through `address`, as `[store]` and `[store.s3]` say it; `more` are
/// further lines.
pub fn store(address: SocketAddr, more: &str) -> String {
    format!(
        "[store]\nurl = \"s3://{BUCKET}/{PREFIX}\"\n[store.s3]\nendpoint = \"http://{address}\"\n\
         region = \"{REGION}\"\npath_style = true\n{more}\n"
    )
}

/// Where `.ci/setup` put it, or what the path has.
fn program() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let installed = cache.map(|cache| cache.join(INSTALLED)).filter(|path| path.is_file());
    installed.unwrap_or_else(|| PathBuf::from("garage"))
}

fn command(folder: &TempDir) -> Command {
    let mut command = run::command(program());
    command.arg("-c").arg(folder.path().join("garage.toml"));
    command
}

/// Garage reference manual, "Configuration file format".
fn settings(folder: &TempDir, s3: SocketAddr, rpc: SocketAddr, web: SocketAddr) -> String {
    let folder = folder.path().display();
    format!(
        "metadata_dir = \"{folder}/meta\"\ndata_dir = \"{folder}/data\"\ndb_engine = \"sqlite\"\n\
         replication_factor = 1\nrpc_bind_addr = \"{rpc}\"\nrpc_public_addr = \"{rpc}\"\n\
         rpc_secret = \"{SECRET_KEY}\"\n\
         [s3_api]\ns3_region = \"{REGION}\"\napi_bind_addr = \"{s3}\"\n\
         [s3_web]\nbind_addr = \"{web}\"\nroot_domain = \".{WEB_ROOT}\"\n"
    )
}

/// Addresses that nobody listens on now. Each is held until all are known.
fn free_addresses() -> [SocketAddr; 3] {
    let listen = |()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    [(); 3].map(listen).map(|listener| listener.local_addr().expect("it is bound"))
}
