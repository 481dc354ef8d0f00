//! nginx with docs/cdn/headwater.conf in front of origins, in a scratch folder.
//!
//! The file is taken as an operator takes it: what stands between `<` and `>` is filled in, and
//! nothing else is changed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::origin::Origin;
use crate::web::Web;
use crate::{run, scratch, skip};

/// The file that operators are given.
const CONFIGURATION: &str = include_str!("../../docs/cdn/headwater.conf");
/// How long a start, a reload and a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running nginx. Stops when dropped.
#[derive(Debug)]
pub struct Nginx {
    web: Web,
    process: Child,
    folder: TempDir,
}

impl Nginx {
    /// In front of two origins, which may be the same one; `secret` is sent to them. `None`, counted
    /// as a skip, where nginx is not installed.
    pub fn start(origins: [&Origin; 2], secret: Option<&str>) -> Option<Self> {
        Self::judging(origins, secret, &[])
    }

    /// The same, for profiles that want a token from each viewer.
    pub fn judging(origins: [&Origin; 2], secret: Option<&str>, profiles: &[&str]) -> Option<Self> {
        let program =
            ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|p| Path::new(p).is_file());
        let Some(program) = program else {
            skip::skip("nginx is not installed");
            return None;
        };
        let folder = scratch::folder();
        let port = free_port();
        write_files(folder.path(), port, origins, secret);
        let wanted: String = profiles.iter().map(|name| format!("~^/{name}/ 1;\n")).collect();
        fs::write(folder.path().join("headwater-wanted.map"), wanted).unwrap();
        let process = run::command(program)
            .args(["-p", &text(folder.path()), "-c", "nginx.conf"])
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx can be run");
        let nginx = Self { web: Web::new(port), process, folder };
        nginx.wait("it answers", || nginx.web.status("/no-such-path").is_some());
        Some(nginx)
    }

    /// Its client.
    pub fn web(&self) -> &Web {
        &self.web
    }

    /// Makes every response void whose path fits: one line of the purge file, then a reload.
    pub fn purge(&self, line: &str) {
        let file = self.folder.path().join("headwater-purged.map");
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, format!("{before}{line}\n")).unwrap();
        let ended = || self.log().matches("exited with code 0").count();
        let workers = ended();
        signal("-HUP", self.process.id());
        // The old worker answers until it has ended.
        self.wait("its old worker ends", || ended() > workers);
    }

    /// Removes what is cached under a tag, with the script of docs/cdn.
    pub fn purge_tag(&self, tag: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cdn/purge-tag");
        run::succeed(run::command(script).arg(self.folder.path().join("cache")).arg(tag));
    }

    /// Forgets everything that is cached.
    pub fn forget(&self) {
        files(&self.folder.path().join("cache"))
            .iter()
            .for_each(|file| fs::remove_file(file).unwrap());
    }

    /// How many responses lie in the cache.
    pub fn cached(&self) -> usize {
        files(&self.folder.path().join("cache")).len()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "nginx: {what}: not in time\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        signal("-TERM", self.process.id());
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("nginx's log:\n{}", self.log());
        }
    }
}

fn write_files(folder: &Path, port: u16, origins: [&Origin; 2], secret: Option<&str>) {
    let [first, second] = origins.map(Origin::address);
    let cache = text(&folder.join("cache"));
    let mut site = CONFIGURATION.to_owned();
    for (blank, filled) in [
        ("</var/cache/nginx/headwater>", cache.as_str()),
        ("<100g>", "100m"),
        ("<10.0.0.11:8080>", &first),
        ("<10.0.0.12:8080>", &second),
        ("<80>", &format!("127.0.0.1:{port}")),
        ("<media.example.com>", "localhost"),
        ("</etc/nginx>", &text(folder)),
    ] {
        assert!(site.contains(blank), "docs/cdn/headwater.conf has {blank}");
        site = site.replace(blank, filled);
    }
    let left = site
        .lines()
        .find(|l| !l.trim_start().starts_with('#') && l.contains('<') && !l.contains("(?<"));
    assert_eq!(left, None, "something is not filled in");
    // What a distribution's nginx.conf has around it; root's workers would lose the folder.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let around = format!(
        "{user}\ndaemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log notice;\n\
         events {{ worker_connections 512; }}\nhttp {{\naccess_log off;\n\
         client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\ninclude headwater.conf;\n}}\n"
    );
    fs::write(folder.join("nginx.conf"), around).unwrap();
    fs::write(folder.join("headwater.conf"), site).unwrap();
    if let Some(secret) = secret {
        let line = format!("proxy_set_header x-headwater-cdn \"{secret}\";\n");
        fs::write(folder.join("headwater-secret.conf"), line).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn signal(which: &str, process: u32) {
    let _ = run::finish(run::command("kill").args([which, &process.to_string()]));
}

fn text(path: &Path) -> String {
    path.to_str().expect("scratch folders have plain names").to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
