//! What the client of a bucket adds by itself: time limits, connections, header fields, credentials.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use headwater_tests::origin::{self, Origin, Settings};
use headwater_tests::s3::{self, outcome};
use headwater_tests::s3_proxy::{Fault, Kind};
use headwater_tests::{binaries, run, scratch};
use rustix::net::{AddressFamily, SocketType};

use crate::common::{Bench, HASTY, names};

/// A listener that accepts nobody and whose queue is full: the system answers nobody who comes.
struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn listen() -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        loop {
            match TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
                Ok(stream) => queue.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                    return Self { address, _listener: listener, _queue: queue };
                }
            }
            assert!(queue.len() < 100, "the queue has no end");
        }
    }
}

#[test]
fn a_server_that_accepts_nobody_is_given_up_by_the_limit_for_connections() {
    let silent = Silent::listen();
    let more = "connect_timeout_ms = 200\nattempt_timeout_ms = 3000\n\
                operation_timeout_ms = 3000\nmax_attempts = 1";
    let store = s3::settings(silent.address, more);
    let origin = Origin::launch(&origin::toml(&store, &Settings::default()), &s3::env());
    let answer = origin.web().get("/clear/film/master.m3u8");
    assert_eq!((answer.status, answer.error()), (504, "store_timeout".to_owned()));
    // Not the limit for attempts, which says "no answer in time".
    assert!(origin.log().contains("no connection in time"), "{}", origin.log());
}

#[test]
fn attempts_end_with_the_limit_for_all_of_them() {
    const ATTEMPTS: usize = 10;
    let bench = Bench::new();
    let more = format!(
        "connect_timeout_ms = 500\nattempt_timeout_ms = 300\noperation_timeout_ms = 1000\n\
         max_attempts = {ATTEMPTS}"
    );
    let origin = bench.origin(&more, 64, "[origin.store]\nread_timeout_ms = 60000\n");
    bench.proxy.inject(|a| if names(a, "title.json") { Fault::Late(5_000) } else { Fault::Pass });
    let answer = origin.web().get(&bench.title.master());
    assert_eq!((answer.status, answer.error()), (504, "store_timeout".to_owned()));
    let asked = bench.proxy.taken().iter().filter(|a| names(a, "title.json")).count();
    assert!((1..ATTEMPTS).contains(&asked), "{asked} attempts");
}

/// By an address, any client would name it there; a host's name leaves the choice.
#[test]
fn the_bucket_stands_in_the_path_where_that_is_set() {
    let bench = Bench::new();
    let store = s3::settings(bench.proxy.address(), "").replace("127.0.0.1", "localhost");
    let origin = Origin::launch(&origin::toml(&store, &Settings::default()), &s3::env());
    assert_eq!(origin.web().get(&bench.title.master()).status, 200, "{}", origin.log());
}

#[test]
fn connections_are_used_again() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let origin = bench.origin("", 0, "");
    for (path, body) in &wanted.segments {
        assert!(origin.web().body(path) == *body, "{path}");
    }
    let asked = bench.proxy.taken().len();
    let connections = bench.proxy.connections();
    // One after the other; but one that is not back in the pool yet is not waited for.
    assert!(asked > 10 && connections <= asked / 2, "{connections} connections, {asked} requests");
}

/// Other servers refuse what they do not know.
#[test]
fn no_checksum_is_sent_or_asked_for() {
    let bench = Bench::new();
    let wanted = bench.wanted();
    let origin = bench.origin("", 64, "");
    for path in [wanted.manifests.keys().next(), wanted.segments.keys().next()] {
        assert_eq!(origin.web().get(path.unwrap()).status, 200);
    }
    let asked = bench.proxy.taken();
    assert!(asked.iter().any(|asked| asked.kind == Kind::Range), "{asked:#?}");
    for asked in asked {
        assert_eq!(asked.checksums, [] as [String; 0], "{asked:?}");
    }
}

/// The names of a profile file, without any variable that holds a key.
#[test]
fn credentials_come_from_the_profile_that_is_named() {
    let bench = Bench::new();
    let home = scratch::folder();
    let aws = home.path().join(".aws");
    fs::create_dir(&aws).unwrap();
    let (id, secret) = (s3::ACCESS_KEY, s3::SECRET_KEY);
    let profile = |name: &str, id: &str| {
        format!("[{name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    };
    let profiles = profile("default", "AKIANOBODY") + &profile("films", id);
    fs::write(aws.join("credentials"), profiles).unwrap();
    let config = home.path().join("headwater.toml");
    fs::write(&config, s3::settings(bench.proxy.address(), HASTY)).unwrap();
    for (profile, code, said) in [
        ("films", 0, "1 titles looked at, 1 can be served"),
        ("default", 1, "does not know this access key"),
        ("nobody", 1, "no usable credentials"),
    ] {
        let mut command = run::command(binaries::origin());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command.args(["check", "--config"]).arg(&config);
        command.env("HOME", home.path()).env("AWS_PROFILE", profile);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let (got, text) = outcome(&mut command);
        assert_eq!(got, Some(code), "{profile}: {text}");
        assert!(text.contains(said), "{profile}: wanted {said}:\n{text}");
        assert!(!text.contains(secret), "{profile}: {text}");
    }
}
