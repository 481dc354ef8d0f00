//! The binary: arguments, start, signals, logs.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};

use rustls::version::TLS13;

use crate::common::{Client, Stored, VERSION};
use crate::net::{Certificates, client_config, tls_to, until};

/// A running origin.
pub struct Running {
    child: Ending,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    log: std::path::PathBuf,
    said: Arc<Mutex<String>>,
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater-origin"));
    // Nothing of the environment of whoever runs the tests is a setting.
    let ours =
        std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("HEADWATER_"));
    command.env_clear().envs(ours).args(arguments);
    command
}

/// Exit code, standard output and standard error of a run that must end by itself.
pub fn outcome(arguments: &[&str]) -> (Option<i32>, String, String) {
    let (stdout, stderr) = (tempfile::NamedTempFile::new(), tempfile::NamedTempFile::new());
    let (stdout, stderr) = (stdout.unwrap(), stderr.unwrap());
    let mut command = command(arguments);
    command.stdout(stdout.reopen().unwrap()).stderr(stderr.reopen().unwrap());
    let mut ending = Ending(command.spawn().unwrap());
    let code = ending.exit_code(Duration::from_secs(20));
    let text = |file: tempfile::NamedTempFile| fs::read_to_string(file.path()).unwrap();
    (code, text(stdout), text(stderr))
}

pub fn config_file(stored: &Stored, more: &str) -> String {
    let path = stored.folder.path().join("origin.toml");
    let store = stored.folder.path();
    fs::write(&path, format!("store.url = {store:?}\n{more}")).unwrap();
    path.to_str().unwrap().to_owned()
}

impl Running {
    pub fn start(stored: &Stored, more: &str) -> Self {
        Self::start_with(stored, more, &[])
    }

    /// With variables beside the configuration.
    pub fn start_with(stored: &Stored, more: &str, variables: &[(&str, &str)]) -> Self {
        let (listen, admin) = (free_address(), free_address());
        let log = stored.folder.path().join("access.log");
        let config = config_file(
            stored,
            &format!(
                "origin.listen = [\"{listen}\"]\norigin.admin_listen = \"{admin}\"\n\
                 origin.access_log = {log:?}\norigin.workers = 2\n{more}"
            ),
        );
        let mut child = command(&["--config", &config])
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("\"serving\"") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the origin did not start");
        }
        for word in [&listen.to_string(), &admin.to_string(), "\"profiles\":\"clear"] {
            assert!(line.contains(word), "{word} is not in {line}");
        }
        let said = Arc::new(Mutex::new(line));
        let saying = Arc::clone(&said);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *saying.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child: Ending(child), listen, admin, log, said }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.listen)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub fn exit_code(&mut self, limit: Duration) -> Option<i32> {
        self.child.exit_code(limit)
    }

    pub fn child_runs(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What it said so far, since it serves, and what those said that it started.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

/// A process that is ended at the latest when dropped.
struct Ending(Child);

impl Ending {
    fn exit_code(&mut self, limit: Duration) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("still running after {limit:?}");
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn segment_path(client: &mut Client) -> String {
    let master = client.ask("GET", "/clear/movie/master.m3u8");
    let master = String::from_utf8(master.body).unwrap();
    let playlist = master.lines().find(|line| line.ends_with("v720/index.m3u8")).unwrap();
    format!("/clear/movie/{}", playlist.replace("index.m3u8", "1.m4s"))
}

#[test]
fn it_serves_measures_and_logs() {
    let stored = Stored::with_movie();
    let mut running = Running::start(&stored, "origin.page = true\n");
    let mut client = running.client();
    assert_eq!(client.ask("GET", "/readyz").status, 200);
    let segment = segment_path(&mut client);
    for _ in 0..2 {
        assert!(client.ask("GET", &segment).body == stored.track("v720").segment(1));
    }
    client.send(
        "GET /clear/none/manifest.mpd?secret=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: test/1\r\n\r\n",
    );
    assert_eq!(client.read(false).status, 404);
    assert!(client.ask("GET", "/").header("content-type").starts_with("text/html"));
    assert_eq!(client.ask("GET", "/metrics").status, 404, "not on this port");

    let mut admin = Client::connect(running.admin);
    let metrics = String::from_utf8(admin.ask("GET", "/metrics").body).unwrap();
    for series in [
        "requests_total{kind=\"segment\",status=\"200\"} 2",
        "cache_lookups_total{outcome=\"hit\"} 1",
        "cache_entries 2",
        "titles_open 1",
    ] {
        let series = format!("headwater_origin_{series}\n");
        assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
    }
    assert_eq!(admin.ask("GET", "/healthz").status, 404);
    assert_eq!(admin.ask("POST", "/metrics").status, 405);

    running.signal(Signal::TERM);
    assert_eq!(running.exit_code(Duration::from_secs(15)), Some(0));
    let log = fs::read_to_string(&running.log).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cache: Vec<_> = lines.iter().map(|line| line["cache"].as_str().unwrap()).collect();
    assert_eq!(cache, ["none", "miss", "miss", "hit", "none", "none", "none"]);
    let (hit, missing) = (&lines[3], &lines[4]);
    assert_eq!(hit["path"], segment.as_str());
    assert_eq!(hit["bytes"], stored.track("v720").segment(1).len());
    assert_eq!((&hit["title"], &hit["version"]), (&"movie".into(), &VERSION.to_string().into()));
    assert_eq!(missing["path"], "/clear/none/manifest.mpd", "no query, which may hold secrets");
    assert_eq!((&missing["status"], &missing["error"]), (&404.into(), &"unknown_title".into()));
    assert_eq!(
        (&missing["user_agent"], &missing["remote"]),
        (&"test/1".into(), &"127.0.0.1".into())
    );
    assert!(missing["ts"].as_str().unwrap().ends_with('Z') && missing["duration_us"].is_u64());
}

#[test]
fn no_line_of_the_access_log_is_lost_at_the_end_and_nobody_waits_for_it() {
    let stored = Stored::with_movie();
    let log = stored.folder.path().join("access.log");
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    // A disk that takes nothing until it is told to; a pipe holds 64 KiB.
    let reader = thread::spawn(move || {
        let mut pipe = fs::File::open(log).unwrap();
        held.recv().unwrap();
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    });
    let mut running = Running::start(&stored, "");
    let mut client = running.client();
    let path = format!("/healthz?{}", "x".repeat(100));
    for _ in 0..1000 {
        assert_eq!(client.ask("GET", &path).status, 200);
    }
    drop(client);
    running.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(500));
    assert!(running.child.0.try_wait().unwrap().is_none(), "lines are left");
    go_on.send(()).unwrap();
    assert_eq!(running.exit_code(Duration::from_secs(15)), Some(0));
    assert_eq!(reader.join().unwrap().lines().count(), 1000);
}

#[test]
fn on_sigterm_a_slow_download_ends_whole_and_then_the_process() {
    let stored = Stored::with_movie_scaled(1000);
    let mut running = Running::start(&stored, "origin.grace_s = 30\n");
    let segment = segment_path(&mut running.client());
    let mut slow = running.client();
    slow.send(&format!("GET {segment} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let mut got = vec![0; 1000];
    slow.0.read_exact(&mut got).unwrap();
    running.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(500));
    assert!(running.child.0.try_wait().unwrap().is_none(), "a response is still running");
    assert!(std::net::TcpStream::connect(running.listen).is_err(), "nobody new is let in");
    slow.0.read_to_end(&mut got).unwrap();
    assert!(got.ends_with(&stored.track("v720").segment(1)));
    assert_eq!(running.exit_code(Duration::from_secs(15)), Some(0), "long before the grace ends");
}

#[test]
fn the_grace_ends_and_ctrl_c_shortens_it() {
    let stored = Stored::with_movie_scaled(1000);
    // signals, grace_s, least and most seconds
    let cases: &[(&[Signal], u32, u64, u64)] = &[
        (&[Signal::TERM], 1, 1, 15),
        (&[Signal::INT], 30, 2, 15),
        (&[Signal::TERM, Signal::INT], 30, 0, 15),
    ];
    for (signals, grace_s, least_s, most_s) in cases {
        let mut running = Running::start(&stored, &format!("origin.grace_s = {grace_s}\n"));
        let segment = segment_path(&mut running.client());
        let mut stuck = running.client();
        stuck.send(&format!("GET {segment} HTTP/1.1\r\nHost: x\r\n\r\n"));
        stuck.0.read_exact(&mut [0; 1000]).unwrap();
        let start = Instant::now();
        for signal in *signals {
            running.signal(*signal);
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(running.exit_code(Duration::from_secs(20)), Some(0), "{signals:?}");
        let took = start.elapsed();
        let allowed = Duration::from_secs(*least_s)..Duration::from_secs(*most_s);
        assert!(allowed.contains(&took), "{signals:?}: {took:?}");
    }
}

#[test]
fn what_keeps_it_from_starting_is_said_with_a_remedy() {
    let stored = Stored::with_movie();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, free) = (listener.local_addr().unwrap(), free_address());
    let in_use = format!("{taken} is in use: stop what listens there, or set `origin.listen`");
    let cases = [
        (format!("origin.listen = [\"{taken}\"]"), in_use.as_str()),
        ("origin.acces_log = \"off\"".to_owned(), "access_log"),
        (format!("origin.listen = [\"{free}\"]"), "is listened on twice"),
        (
            format!(
                "origin.listen = [\"{}\"]\norigin.access_log = \"/no/such/log\"",
                free_address()
            ),
            "cannot open the access log /no/such/log",
        ),
    ];
    for (more, wanted) in cases {
        let config = config_file(&stored, &format!("{more}\norigin.admin_listen = \"{free}\"\n"));
        let (code, _, stderr) = outcome(&["--config", &config]);
        assert_eq!(code, Some(1), "{more}");
        assert!(stderr.contains(wanted), "{wanted} is not in {stderr}");
    }
}

#[test]
fn certificates_are_looked_at_and_changed_while_it_runs() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let shown = files.write("shown", &["a.example"], 3);
    let next = files.write("next", &["a.example"], 90);
    let tls = free_address();
    let (cert, key) = (shown.cert.display(), shown.key.display());
    let settings = format!(
        "[origin.tls]\nlisten = [\"{tls}\"]\ncertificates_look_s = 1\n\
         certificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n"
    );
    let config = config_file(&stored, &settings);
    let (code, stdout, _) = outcome(&["check", "--config", &config]);
    assert_eq!(code, Some(0));
    let wanted =
        format!("warning: `origin.tls.certificates`: {cert}: it expires in 3 days: renew it");
    assert!(stdout.contains(&wanted), "{stdout}");

    let running = Running::start(&stored, &settings);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let believed = |certificate| client_config(&[certificate], &["h2"], &[&TLS13]);
    let (old, new) = (believed(&shown), believed(&next));
    let connects = |config| runtime.block_on(tls_to(tls, config, "a.example")).is_ok();
    assert!(connects(&old) && !connects(&new));
    // First half of the change: a certificate without its key is not shown.
    fs::copy(&next.cert, &shown.cert).unwrap();
    let mut admin = Client::connect(running.admin);
    let mut reads = |outcome: &str| {
        let text = String::from_utf8(admin.ask("GET", "/metrics").body).unwrap();
        text.contains(&format!("tls_certificate_reads_total{{outcome=\"{outcome}\"}}"))
    };
    until("the half is refused", || reads("refused"));
    assert!(connects(&old) && !connects(&new));
    fs::copy(&next.key, &shown.key).unwrap();
    until("the whole is shown", || connects(&new) && !connects(&old));
    let (code, stdout, _) = outcome(&["check", "--config", &config]);
    assert!(code == Some(0) && !stdout.contains("expires"), "{stdout}");
    drop(running);
    fs::write(&shown.key, "no key").unwrap();
    let wanted = format!("{key}: no PEM private key");
    let (code, stdout, _) = outcome(&["check", "--config", &config]);
    assert!(code == Some(1) && stdout.contains(&wanted), "{stdout}");
    let (code, _, stderr) = outcome(&["--config", &config]);
    assert!(code == Some(1) && stderr.contains(&wanted), "{stderr}");
}

#[test]
fn arguments() {
    let (code, stdout, _) = outcome(&["--help"]);
    assert_eq!(code, Some(0));
    for word in ["check", "--config <FILE>", "HEADWATER_CONFIG", "127.0.0.1:8080", "SIGTERM"] {
        assert!(stdout.contains(word), "{word} is not in {stdout}");
    }
    let (code, stdout, _) = outcome(&["--version"]);
    assert_eq!(
        (code, stdout.trim()),
        (Some(0), concat!("headwater-origin ", env!("CARGO_PKG_VERSION")))
    );
    let (code, _, stderr) = outcome(&["--confg", "x"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--config"), "{stderr}");
    let (code, _, stderr) = outcome(&["chek"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("check"), "{stderr}");
    let (code, _, stderr) = outcome(&["--config", "/no/such/file.toml"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("/no/such/file.toml"), "{stderr}");
}

#[test]
fn check_finds_what_would_not_be_served() {
    let stored = Stored::with_movie();
    stored.publish("vip", VERSION, Some("paid"));
    stored.write(&format!("titles/coming/{VERSION}/v720.mp4"), b"");
    let config = config_file(&stored, "");
    let (code, stdout, stderr) = outcome(&["check", "--config", &config]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("warning: title vip: not live, or no profile serves it"), "{stdout}");
    assert!(stdout.contains("notice: title coming: not published yet"), "{stdout}");
    assert!(stdout.contains("3 titles looked at, 1 can be served"), "{stdout}");

    let heads = format!("titles/movie/{VERSION}/heads.bin");
    stored.write(&heads, b"HWHEADS1");
    let (code, stdout, _) = outcome(&["--config", &config, "check"]);
    assert_eq!(code, Some(1));
    assert!(
        stdout.contains("error: title movie: source_damaged") && stdout.contains(&heads),
        "{stdout}"
    );

    let (code, stdout, _) = outcome(&["check", "--config", &missing_store(stored.folder.path())]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("/nowhere") && stdout.contains("create the folder"), "{stdout}");
    let (code, _, stderr) = outcome(&["--config", &missing_store(stored.folder.path())]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("/nowhere") && stderr.contains("no such folder; create it"),
        "{stderr}"
    );
}

fn missing_store(folder: &Path) -> String {
    let path = folder.join("missing.toml");
    fs::write(&path, format!("store.url = {:?}\n", folder.join("nowhere"))).unwrap();
    path.to_str().unwrap().to_owned()
}
