//! Keys of a key server, with a real one that is slow, wrong, huge, down, and well again.

use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use headwater_config::{KeyProvider, Name, ProviderKind, Scheme, SecretSource, System};
use headwater_origin::failure::Failure;
use headwater_origin::keys::cpix::Cpix;
use headwater_origin::keys::{KeyError, KeyRing, Kind, Provider, TrackKey, Wanted};
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::label::Label;
use headwater_packager::signalling::KeyUse;

/// What the server does with a request.
#[derive(Clone, Debug)]
enum Mode {
    /// Gives each key that is asked for.
    Well,
    /// Answers this status.
    Status(u16),
    /// Answers 200 and this.
    Says(String),
    /// Gives the keys of other ids.
    OtherIds,
    /// Gives all keys but the last.
    OneShort,
    /// Says nothing until the client has gone.
    Silent,
    /// Gives each key, a byte now and then.
    Slow,
    /// Begins an answer and never ends it.
    Endless,
    /// Says that more will come than does.
    BreaksOff,
}

struct Server {
    port: u16,
    modes: Arc<Mutex<Vec<Mode>>>,
    requests: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
}

impl Server {
    /// Does as the modes say, one a request; the last one stays.
    fn start(modes: &[Mode]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            modes: Arc::new(Mutex::new(modes.to_vec())),
            requests: Arc::default(),
            count: Arc::default(),
        };
        let (modes, requests) = (Arc::clone(&server.modes), Arc::clone(&server.requests));
        let count = Arc::clone(&server.count);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (modes, requests) = (Arc::clone(&modes), Arc::clone(&requests));
                let count = Arc::clone(&count);
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    let Some(request) = request(&stream) else { return };
                    let mode = {
                        let mut modes = modes.lock().unwrap();
                        if modes.len() > 1 { modes.remove(0) } else { modes[0].clone() }
                    };
                    requests.lock().unwrap().push(request.clone());
                    count.fetch_add(1, Ordering::SeqCst);
                    answer(stream, &mode, &request);
                });
            }
        });
        server
    }

    fn be(&self, mode: Mode) {
        *self.modes.lock().unwrap() = vec![mode];
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn settings(&self) -> KeyProvider {
        KeyProvider {
            provider: ProviderKind::Cpix,
            url: Some(format!("http://127.0.0.1:{}/v2?a=b", self.port).parse().unwrap()),
            timeout_ms: 5_000,
            retries: 0,
            ..KeyProvider::default()
        }
    }

    fn asked(&self) -> Cpix {
        open(&self.settings())
    }
}

/// Head and body of a request.
fn request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).ok()? == 0 {
            return None;
        }
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(text + &String::from_utf8(body).unwrap())
}

fn answer(mut stream: TcpStream, mode: &Mode, request: &str) {
    let mut say = |status: u16, len: usize, body: &str| {
        let _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {len}\r\n\r\n{body}");
    };
    let mut ids: Vec<_> = request
        .split("<cpix:ContentKey kid=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    match mode {
        Mode::Well => {}
        Mode::Status(status) => return say(*status, 0, ""),
        Mode::Says(body) => return say(200, body.len(), body),
        Mode::OtherIds => ids.iter_mut().for_each(|id| id.replace_range(..4, "abcd")),
        Mode::OneShort => drop(ids.pop()),
        Mode::Silent => {
            // Ends when the client hangs up.
            let _ = stream.read(&mut [0]);
            return;
        }
        Mode::Slow => {
            let body = document(&ids);
            let _ = write!(stream, "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len());
            for byte in body.bytes() {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            return;
        }
        Mode::Endless => {
            let _ = write!(stream, "HTTP/1.1 200 X\r\n\r\n");
            while stream.write_all(&[b' '; 4096]).is_ok() {}
            return;
        }
        Mode::BreaksOff => return say(200, 5_000, "<cpix:CPIX>"),
    }
    let body = document(&ids);
    say(200, body.len(), &body);
}

/// A key's bytes are its id's, turned around.
fn document(ids: &[String]) -> String {
    let key = |id: &String| {
        let value = BASE64.encode(value(id));
        format!(
            "<cpix:ContentKey kid=\"{id}\" commonEncryptionScheme=\"cbcs\"><cpix:Data><pskc:Secret>\
             <pskc:PlainValue>{value}</pskc:PlainValue></pskc:Secret></cpix:Data></cpix:ContentKey>"
        )
    };
    let keys: String = ids.iter().map(key).collect();
    format!(
        "<cpix:CPIX contentId=\"film\" version=\"2.3\" xmlns:cpix=\"urn:dashif:org:cpix\" \
         xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\"><cpix:ContentKeyList>{keys}\
         </cpix:ContentKeyList></cpix:CPIX>"
    )
}

fn value(id: &str) -> [u8; 16] {
    let bits = u128::from_str_radix(&id.replace('-', ""), 16).unwrap();
    bits.to_le_bytes()
}

fn name() -> Name {
    "main".parse().unwrap()
}

fn open(settings: &KeyProvider) -> Cpix {
    Cpix::open(&name(), settings, None).unwrap_or_else(|error| panic!("{error}"))
}

async fn ask(cpix: &Cpix, title: &str, uses: &[KeyUse]) -> Result<Vec<TrackKey>, KeyError> {
    let title: TitleId = title.parse().unwrap();
    let wanted = Wanted {
        domain: "vip",
        scheme: Scheme::Cbcs,
        systems: &[System::Widevine, System::Clearkey],
        title: &title,
        version: VersionId::from_u128(7),
        session: None,
    };
    cpix.keys(&wanted, uses).await
}

const HD: KeyUse = KeyUse { period: 0, label: Label::Hd };
const AUDIO: KeyUse = KeyUse { period: 0, label: Label::Audio };
const USES: &[KeyUse] = &[HD, AUDIO];

#[tokio::test]
async fn all_keys_of_a_title_in_one_request_and_then_none() {
    let server = Server::start(&[Mode::Well]);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "Basic c2VjcmV0\n").unwrap();
    let mut settings = server.settings();
    settings.header_secrets = vec![headwater_config::HeaderSecret {
        name: "authorization".parse().unwrap(),
        secret: SecretSource::File(secret),
    }];
    let cpix = open(&settings);
    let keys = ask(&cpix, "film", USES).await.unwrap();
    for key in &keys {
        assert_eq!(key.key.expose(), &value(&key.id.to_string()), "its own");
    }
    assert_ne!(keys[0].id, keys[1].id);
    // The same ones in another order, and again.
    let turned = ask(&cpix, "film", &[AUDIO, HD]).await.unwrap();
    assert_eq!([&turned[1], &turned[0]], [&keys[0], &keys[1]]);
    assert_eq!(server.count(), 1);
    let request = server.requests.lock().unwrap()[0].clone();
    for line in [
        "POST /v2?a=b HTTP/1.1\r\n",
        &format!("host: 127.0.0.1:{}\r\n", server.port),
        "content-type: application/xml\r\n",
        "x-speke-version: 2.0\r\n",
        "authorization: Basic c2VjcmV0\r\n",
        "contentId=\"film\"",
        "intendedTrackType=\"AUDIO\"",
        "intendedTrackType=\"HD\"",
        "systemId=\"edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"",
    ] {
        assert!(request.contains(line), "{line}: {request}");
    }
    assert_eq!(request.matches("<cpix:DRMSystem ").count(), 2, "Widevine for each, and no other");
    ask(&cpix, "other", USES).await.unwrap();
    assert_eq!(server.count(), 2, "another title");
}

#[tokio::test]
async fn ids_are_uuids_that_every_node_works_out_alike() {
    let server = Server::start(&[Mode::Well]);
    let (one, two) = (server.asked(), server.asked());
    let keys = ask(&one, "film", USES).await.unwrap();
    assert_eq!(keys, ask(&two, "film", USES).await.unwrap());
    for key in &keys {
        let id = key.id.to_string();
        assert!(id[14..15] == *"8" && "89ab".contains(&id[19..20]), "{id}: RFC 9562 5.8");
    }
    assert_eq!(server.count(), 2);
    let (film, other) = ("film".parse().unwrap(), "other".parse().unwrap());
    assert_eq!(one.identity("vip", &film), two.identity("vip", &other));
    assert_ne!(one.identity("vip", &film), one.identity("vi", &film));
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_request() {
    let server = Server::start(&[Mode::Well]);
    let cpix = Arc::new(server.asked());
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let cpix = Arc::clone(&cpix);
            tokio::spawn(async move { ask(&cpix, "film", USES).await })
        })
        .collect();
    for asker in askers {
        assert!(asker.await.unwrap().is_ok());
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_request_goes_on_when_who_asked_has_left() {
    let server = Server::start(&[Mode::Well]);
    let cpix = server.asked();
    // Polled once, so that it is on its way, and dropped.
    {
        let mut first = pin!(ask(&cpix, "film", USES));
        let polled = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
    }
    ask(&cpix, "film", USES).await.unwrap();
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn what_a_server_can_do_wrong() {
    let huge = "x".repeat(4_300_000);
    let long = |mode: &str| format!("<a>{mode}</a>");
    // name, mode, kind, status, what the log is told
    let table = [
        ("fails", Mode::Status(500), Kind::Unavailable, 503, "answered 500"),
        ("is busy", Mode::Status(429), Kind::Unavailable, 503, "answered 429"),
        ("refuses", Mode::Status(403), Kind::Denied, 503, "answered 403"),
        ("sends elsewhere", Mode::Status(302), Kind::Wrong, 502, "answered 302"),
        ("knows no such thing", Mode::Status(404), Kind::Wrong, 502, "answered 404"),
        ("says nothing", Mode::Says(String::new()), Kind::Wrong, 502, "not a whole CPIX document"),
        ("says something else", Mode::Says(long("hunter2")), Kind::Wrong, 502, "not a whole CPIX"),
        ("says much", Mode::Says(huge), Kind::Wrong, 502, "more than 4194304 bytes"),
        ("never ends", Mode::Endless, Kind::Wrong, 502, "more than 4194304 bytes"),
        ("gives other keys", Mode::OtherIds, Kind::Wrong, 502, "the answer has no key"),
        ("gives one too few", Mode::OneShort, Kind::Wrong, 502, "which was asked for as label HD"),
        ("breaks off", Mode::BreaksOff, Kind::Unavailable, 503, "the answer broke off"),
    ];
    for (name, mode, kind, status, said) in table {
        let server = Server::start(&[mode]);
        let cpix = server.asked();
        let error = ask(&cpix, "film", USES).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        let detail = error.to_string();
        assert!(detail.starts_with("keys.main: 127.0.0.1:"), "{name}: {detail}");
        assert!(detail.contains(said) && !detail.contains("hunter2"), "{name}: {detail}");
        let row = Failure::from(error).row();
        assert_eq!(row.status.as_u16(), status, "{name}");
        assert!(!row.detail.contains("127.0.0.1"), "{name}: clients are told no address");
        // A server that could not be asked is left alone for a moment, for other titles too; what
        // went wrong is not kept for longer, and an answer about one title not at all.
        let asked = server.count();
        server.be(Mode::Well);
        let rests = matches!(name, "is busy" | "breaks off");
        assert_eq!(ask(&cpix, "other", USES).await.is_err(), rests, "{name}");
        assert_eq!(server.count() == asked, rests, "{name}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while ask(&cpix, "film", USES).await.is_err() {
            assert!(Instant::now() < deadline, "{name}, and well again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_silent_or_slow_server_is_waited_for_no_longer_than_was_set() {
    for mode in [Mode::Silent, Mode::Slow] {
        let server = Server::start(&[mode]);
        let mut settings = server.settings();
        (settings.timeout_ms, settings.retries) = (200, 1);
        let cpix = open(&settings);
        let before = Instant::now();
        let error = ask(&cpix, "film", USES).await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        assert!(error.detail.ends_with("no answer within 200 ms (tried 2 times)"), "{error}");
        assert!(before.elapsed() >= Duration::from_millis(400));
        assert_eq!(server.count(), 2);
        assert_eq!(Failure::from(error).row().status.as_u16(), 504);
    }
}

/// More titles than have a turn: the last of them waits for its turn once, and not for all others'
/// tries, and nobody starts a round of tries after another's has failed.
#[tokio::test]
async fn a_silent_server_holds_nobody_for_long() {
    const TITLES: usize = 40;
    let server = Server::start(&[Mode::Silent]);
    let mut settings = server.settings();
    (settings.timeout_ms, settings.retries) = (300, 1);
    let cpix = open(&settings);
    let asked: Vec<_> = (0..TITLES)
        .map(|n| {
            let cpix = cpix.clone();
            tokio::spawn(async move { ask(&cpix, &format!("film{n}"), USES).await.unwrap_err() })
        })
        .collect();
    let mut had_no_turn = 0;
    for task in asked {
        let error = task.await.unwrap();
        assert_eq!(error.kind, Kind::Timeout);
        had_no_turn += usize::from(error.detail.contains("no turn to ask within 300 ms"));
    }
    // 16 have a turn, each tries twice.
    assert!(server.count() <= 32, "{} requests", server.count());
    assert_eq!(had_no_turn, TITLES - 16);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_nothing_else() {
    let with = |modes: &[Mode], retries| {
        let server = Server::start(modes);
        let settings = KeyProvider { retries, ..server.settings() };
        (server, open(&settings))
    };
    let (server, cpix) = with(&[Mode::Status(503), Mode::BreaksOff, Mode::Well], 2);
    assert!(ask(&cpix, "film", USES).await.is_ok());
    assert_eq!(server.count(), 3);
    let (server, cpix) = with(&[Mode::Status(503), Mode::Status(503), Mode::Well], 1);
    assert_eq!(ask(&cpix, "film", USES).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(server.count(), 2);
    for mode in [Mode::Status(403), Mode::Status(400), Mode::OneShort] {
        let (server, cpix) = with(&[mode, Mode::Well], 3);
        assert!(ask(&cpix, "film", USES).await.is_err());
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_again_later() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = KeyProvider {
        url: Some(format!("http://127.0.0.1:{port}/").parse().unwrap()),
        retries: 0,
        ..KeyProvider::default()
    };
    let error = ask(&open(&settings), "film", USES).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.detail.contains("cannot be reached"), "{error}");
}

/// A reload reads secrets again, and does not send everybody to the key server again.
#[tokio::test]
async fn what_was_told_stays_known_over_a_reload() {
    let server = Server::start(&[Mode::Well]);
    let settings = [(name(), server.settings())].into();
    let ring = KeyRing::open(&settings, &KeyRing::default()).unwrap();
    let title = "film".parse().unwrap();
    let wanted = Wanted {
        domain: "vip",
        scheme: Scheme::Cbcs,
        systems: &[],
        title: &title,
        version: VersionId::from_u128(7),
        session: None,
    };
    let keys = ring.provider("main").unwrap().keys(&wanted, USES).await.unwrap();
    let again = KeyRing::open(&settings, &ring).unwrap();
    server.be(Mode::Status(500));
    assert_eq!(again.provider("main").unwrap().keys(&wanted, USES).await.unwrap(), keys);
    assert_eq!(server.count(), 1);
    let other = Server::start(&[Mode::Status(500)]);
    let elsewhere = KeyRing::open(&[(name(), other.settings())].into(), &again).unwrap();
    let error = elsewhere.provider("main").unwrap().keys(&wanted, USES).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "another server knows nothing of it");
}

#[test]
fn a_header_that_cannot_be_sent_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let server = Server::start(&[Mode::Well]);
    for (value, said) in [("hunter2\nhunter2", "not the value of a header"), (" ", "is empty")] {
        std::fs::write(&secret, value).unwrap();
        let settings = KeyProvider {
            header_secrets: vec![headwater_config::HeaderSecret {
                name: "authorization".parse().unwrap(),
                secret: SecretSource::File(secret.clone()),
            }],
            ..server.settings()
        };
        let Err(error) = Cpix::open(&name(), &settings, None) else { panic!("{value:?}") };
        let error = error.to_string();
        assert!(error.starts_with("`keys.main.header_secrets`: file:/"), "{error}");
        assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
    }
}
