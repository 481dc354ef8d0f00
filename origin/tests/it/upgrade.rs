//! SIGUSR2: a new process takes the listeners over, or nothing changes. What it does to clients
//! under load is tested end to end, in tests/tests/life.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binary::{Running, command, config_file, free_address, segment_path};
use crate::common::{Client, Stored};
use crate::net::until;

/// A service manager, as far as the service tells it anything.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, path, _folder: folder }
    }

    fn start(&self, stored: &Stored, more: &str) -> Running {
        let path = self.path.to_str().unwrap();
        let running = Running::start_with(stored, more, &[("NOTIFY_SOCKET", path)]);
        assert_eq!(self.told(), "READY=1");
        running
    }

    fn told(&self) -> String {
        let mut words = [0; 100];
        let len = self.socket.recv(&mut words).unwrap();
        String::from_utf8(words[..len].to_vec()).unwrap()
    }

    /// Asks for an upgrade; who the service is then.
    fn upgrade(&self, running: &Running) -> Successor {
        running.signal(Signal::USR2);
        // The two tell of themselves at the same time.
        let mut told = [self.told(), self.told()];
        told.sort();
        let [main_pid, ready] = told;
        assert_eq!(ready, "READY=1");
        let pid = main_pid.strip_prefix("MAINPID=").unwrap().parse().unwrap();
        assert_ne!(pid, running.pid());
        Successor(pid)
    }
}

/// A process that nobody here has started. It ends at the latest when dropped.
struct Successor(u32);

impl Successor {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0).unwrap()).unwrap();
        let _ = kill_process(pid, signal);
    }

    fn is_gone(&self) -> bool {
        // Whoever inherits it may not ask how it ended.
        let status = fs::read_to_string(format!("/proc/{}/stat", self.0));
        status.map_or(true, |status| status.contains(") Z "))
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn refused(admin: &mut Client) -> String {
    let text = String::from_utf8(admin.ask("GET", "/metrics").body).unwrap();
    let series = "headwater_origin_upgrades_refused_total ";
    text.lines().find_map(|line| line.strip_prefix(series)).unwrap().to_owned()
}

#[test]
fn a_new_process_takes_over_and_running_answers_end_whole() {
    let (stored, manager) = (Stored::with_movie_scaled(1000), Manager::new());
    let mut running = manager.start(&stored, "origin.grace_s = 30\n");
    let (mut kept, mut admin) = (running.client(), Client::connect(running.admin));
    let segment = segment_path(&mut kept);
    assert_eq!(admin.ask("GET", "/metrics").status, 200);
    let mut slow = running.client();
    slow.send(&format!("GET {segment} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let mut got = vec![0; 1000];
    slow.0.read_exact(&mut got).unwrap();

    let successor = manager.upgrade(&running);
    // Whoever is connected to the old one may ask once more, and is told that this was it.
    for (client, path) in [(&mut kept, "/healthz"), (&mut admin, "/metrics")] {
        until("it says that this was it", || {
            let answer = client.ask("GET", path);
            assert_eq!(answer.status, 200);
            answer.header("connection") == "close"
        });
        assert!(client.is_closed());
    }
    let served = format!("\"took_over_from\":{}", running.pid());
    until("the new one says that it serves", || running.said().contains(&served));
    assert_eq!(running.client().ask("GET", "/healthz").status, 200, "by either");
    assert!(running.child_runs(), "a response is still running");
    assert!(!successor.is_gone());
    slow.0.read_to_end(&mut got).unwrap();
    assert!(got.ends_with(&stored.track("v720").segment(1)), "{} bytes", got.len());
    let ended = Instant::now();
    assert_eq!(running.exit_code(Duration::from_secs(20)), Some(0));
    assert!(ended.elapsed() < Duration::from_secs(10), "long before the grace ends");

    let (mut fresh, mut admin) = (running.client(), Client::connect(running.admin));
    for (client, path) in [(&mut fresh, "/healthz"), (&mut admin, "/metrics")] {
        let answer = client.ask("GET", path);
        assert_eq!((answer.status, answer.header("connection")), (200, ""), "{path}: the new one");
    }
    successor.signal(Signal::TERM);
    assert_eq!(manager.told(), "STOPPING=1");
    until("it stops as any other", || successor.is_gone());
    assert!(TcpStream::connect(running.listen).is_err());
}

#[test]
fn an_upgrade_takes_what_a_reload_cannot() {
    let (stored, manager) = (Stored::with_movie(), Manager::new());
    let gone = free_address();
    let running = manager.start(&stored, &format!("origin.tls.listen = []\n# {gone}\n"));
    let config = stored.folder.path().join("origin.toml");
    let text = fs::read_to_string(&config).unwrap();
    let with =
        |listen: &str| text.replace("origin.listen = [", &format!("origin.listen = [{listen}, "));
    let more = free_address();
    fs::write(&config, with(&format!("\"{more}\""))).unwrap();
    let second = manager.upgrade(&running);
    assert_eq!(Client::connect(more).ask("GET", "/healthz").status, 200);
    assert_eq!(running.client().ask("GET", "/healthz").status, 200);
    // Another, by the one that took over; the listener is not wanted any more.
    fs::write(&config, &text).unwrap();
    second.signal(Signal::USR2);
    let mut told = [manager.told(), manager.told()];
    told.sort();
    let third = Successor(told[0].strip_prefix("MAINPID=").unwrap().parse().unwrap());
    until("both before it are gone", || second.is_gone());
    assert!(TcpStream::connect(more).is_err());
    assert_eq!(running.client().ask("GET", "/healthz").status, 200);
    drop(third);
}

#[test]
fn a_new_process_that_cannot_serve_changes_nothing() {
    let stored = Stored::with_movie();
    let running = Running::start(&stored, "origin.upgrade_timeout_s = 8\n");
    let (mut client, mut admin) = (running.client(), Client::connect(running.admin));
    let config = stored.folder.path().join("origin.toml");
    let text = fs::read_to_string(&config).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let pipe = stored.folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let cases = [
        ("[profiles".to_owned(), "ended before it served"),
        (text.replace("origin.workers", "origin.worker"), "did you mean"),
        (text.replace("origin.listen = [", &format!("origin.listen = [\"{taken}\", ")), "in use"),
        (text.replace("store.url = ", "store.url = \"/nowhere\" #"), "no such folder"),
        // Nobody reads it, so it cannot be opened, for ever.
        (text.replace("access.log", "pipe"), "did not serve within 8 s and was ended"),
    ];
    for (n, (bad, wanted)) in cases.iter().enumerate() {
        fs::write(&config, bad).unwrap();
        running.signal(Signal::USR2);
        until(wanted, || refused(&mut admin) == (n + 1).to_string());
        until(wanted, || running.said().contains(wanted));
        assert_eq!(client.ask("GET", "/healthz").header("connection"), "", "{wanted}");
        assert_eq!(running.client().ask("GET", "/healthz").status, 200, "{wanted}");
    }
    let said = running.said();
    assert_eq!(
        said.matches("upgrade refused: this process goes on").count(),
        cases.len(),
        "{said}"
    );
}

#[test]
fn while_a_new_one_starts_the_running_one_can_be_stopped() {
    let stored = Stored::with_movie();
    let mut running = Running::start(&stored, "");
    let config = stored.folder.path().join("origin.toml");
    let pipe = stored.folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("access.log", "pipe")).unwrap();
    running.signal(Signal::USR2);
    until("it starts", || running.said().contains("starting a new process"));
    running.signal(Signal::USR2);
    until("one is enough", || running.said().contains("under way already"));
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code(Duration::from_secs(10)), Some(0));
    // It starts at last, and finds that it is not wanted: before it was offered anything, or when
    // it would serve. Opened so, the pipe waits for nobody.
    let _pipe = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let ends = ["the running process did not hand over", "offer of listeners"];
    until("it says so", || ends.iter().any(|end| running.said().contains(end)));
    assert!(TcpStream::connect(running.listen).is_err());
}

/// What a process says that was started to take over from `offer`, and its exit code.
fn taking_over(config: &str, offer: impl FnOnce(UnixStream)) -> (Option<i32>, String) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = command(&["--config", config, "--take-over=serve"])
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    offer(ours);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn what_is_offered_by_another_release_is_not_misunderstood() {
    let stored = Stored::with_movie();
    let (listen, admin) = (free_address(), free_address());
    let more = format!("origin.listen = [\"{listen}\"]\norigin.admin_listen = \"{admin}\"\n");
    let config = config_file(&stored, &more);
    let (code, said) = taking_over(&config, |mut line| {
        line.write_all(b"{\"protocol\":2,\"sockets\":{}}\n").unwrap();
    });
    assert_eq!(code, Some(1));
    assert!(said.contains("hands over by protocol 2, this one takes over by 1"), "{said}");
    // A language that both know, but then not a word.
    let (code, said) = taking_over(&config, |mut line| {
        line.write_all(b"{\"protocol\":1,\"pid\":7,\"listeners\":[]}\n").unwrap();
        let mut words = BufReader::new(&line).lines();
        assert!(words.next().unwrap().unwrap().starts_with("starting "));
        assert_eq!(words.next().unwrap().unwrap(), "serving");
        let address: SocketAddr = listen;
        assert_eq!(Client::connect(address).ask("GET", "/healthz").status, 200, "as it said");
    });
    assert_eq!(code, Some(1));
    assert!(said.contains("the running process did not hand over"), "{said}");
    let by_hand =
        command(&["--config", &config, "--take-over=serve"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(by_hand.stderr).unwrap();
    assert!(by_hand.status.code() == Some(1) && said.contains("a person does not"), "{said}");
}
