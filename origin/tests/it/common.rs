//! A made-up title in a folder of its own, an origin around it, and a small HTTP client.
//!
//! Payloads are noise: nothing in the origin looks into media.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use headwater_config::Config;
use headwater_origin::access_log::AccessLog;
use headwater_origin::exchange::{Answer, Request};
use headwater_origin::metrics::Metrics;
use headwater_origin::rooms::{self, Rooms};
use headwater_packager::bmff::movie::{Init, InitMedia, write_init};
use headwater_packager::heads::{HeadsWriter, Media, ObjectHead, Role, Row, TrackHead};
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored::{self, Pointer};
use headwater_packager::wire::BoxWriter;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tempfile::TempDir;

pub const VERSION: VersionId = VersionId::from_u128(0x01939c2e_7f00_7abc_8def_0123456789ab);
pub const OTHER_VERSION: VersionId = VersionId::from_u128(0x01939c2e_7f00_7abc_8def_0123456789ac);
/// Fragments of each track, about 2 s each; a segment is three.
pub const FRAGMENTS: u32 = 12;
pub const SEGMENTS: u32 = 4;
const MOOF_BYTES: u16 = 120;
const FIRST_SAMPLE_BYTES: u32 = 300;

/// What a track was made of.
#[derive(Clone)]
pub struct MadeTrack {
    pub id: &'static str,
    pub init: Vec<u8>,
    pub fragments: Vec<Vec<u8>>,
    /// Object name and its bytes.
    pub objects: Vec<(String, Vec<u8>)>,
    head: TrackHead,
    rows: Vec<Row>,
}

impl MadeTrack {
    /// Segment `n`'s bytes, put together here and not by the code under test.
    pub fn segment(&self, n: usize) -> Vec<u8> {
        self.fragments[(n - 1) * 3..n * 3].concat()
    }
}

pub fn title_id(id: &str) -> TitleId {
    id.parse().unwrap()
}

/// Bytes that look like nothing, the same for the same seed; they repeat after 4 KiB.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    let block: Vec<u8> = (0..len.min(4096)).map(|_| next()).collect();
    block.into_iter().cycle().take(len).collect()
}

/// Two renditions and a sound track. The second rendition lies in two objects, and one of its
/// segments in both. `scale` multiplies the size of fragments.
pub fn tracks(scale: usize) -> Vec<MadeTrack> {
    let video = |height| Media::Video { width: height * 16 / 9, height, frame_rate: (25, 1) };
    let sound = Media::Audio { sample_rate: 48_000, channels: 2 };
    vec![
        track("v720", video(720), "avc1.64001f", 90_000, &[FRAGMENTS], 4000 * scale),
        track("v360", video(360), "avc1.64001e", 90_000, &[5, 7], 2000 * scale),
        track("a-en", sound, "mp4a.40.2", 48_000, &[FRAGMENTS], 900 * scale),
    ]
}

fn track(
    id: &'static str,
    media: Media,
    codecs: &str,
    timescale: u32,
    split: &[u32],
    size: usize,
) -> MadeTrack {
    let seed = id.bytes().fold(1, |seed: u64, b| seed * 31 + u64::from(b));
    let init = noise(seed, 700);
    let fragments: Vec<Vec<u8>> = (0..u64::from(FRAGMENTS))
        .map(|i| noise(seed * 1000 + i, size + usize::try_from(i * 37 % 101).unwrap()))
        .collect();
    let is_audio = matches!(media, Media::Audio { .. });
    // Sound is cut at its own frame nearest to two seconds.
    let boundary = |i: u32| if is_audio { (i * 96_000 + 512) / 1024 * 1024 } else { i * 180_000 };
    let rows = (0..FRAGMENTS)
        .zip(&fragments)
        .map(|(i, bytes)| Row {
            duration_ticks: boundary(i + 1) - boundary(i),
            size_bytes: u32::try_from(bytes.len()).unwrap(),
            first_sample_bytes: FIRST_SAMPLE_BYTES,
            crc32c: crc32c::crc32c(bytes),
            moof_bytes: MOOF_BYTES,
            samples: 50,
            map_entries: 0,
        })
        .collect();
    let mut objects = Vec::new();
    let mut heads = Vec::new();
    let mut at = 0;
    for (k, &count) in split.iter().enumerate() {
        let name = if split.len() == 1 { format!("{id}.mp4") } else { format!("{id}.{k}.mp4") };
        let header = [&init[..], &noise(seed + 7, 80)].concat();
        let end = at + usize::try_from(count).unwrap();
        let bytes = [header.clone(), fragments[at..end].concat()].concat();
        heads.push(ObjectHead {
            name: name.clone(),
            len_bytes: bytes.len() as u64,
            media_offset_bytes: header.len() as u64,
            fragments: count,
        });
        objects.push((name, bytes));
        at = end;
    }
    let head = TrackHead {
        id: id.parse().unwrap(),
        media,
        codecs: codecs.to_owned(),
        timescale,
        language: is_audio.then(|| "en".to_owned()),
        role: Role::Main,
        colour: None,
        joc: None,
        layout: None,
        independent: true,
        start_offset_ticks: 0,
        init_bytes: 0,
        objects: heads,
    };
    MadeTrack { id, init, fragments, objects, head, rows }
}

/// Sound whose init segment is a real one, so that it can be put under keys.
fn sound() -> MadeTrack {
    let mut entry = BoxWriter::default();
    entry.boxed(b"mp4a", |w| {
        w.zeros(28);
        w.full_box(b"esds", 0, 0, |w| {
            w.slice(&[3, 22, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 1, 0xf4, 0, 0, 1, 0xf4, 0]);
            w.slice(&[5, 2, 0x11, 0x90]);
        });
    });
    let sample_entry = &entry.into_bytes()[..];
    let (media, language, edit_media_time) = (InitMedia::Audio, *b"und", None);
    let init = Init { timescale: 48_000, media, language, sample_entry, edit_media_time };
    let sound = tracks(1).into_iter().find(|track| track.id == "a-en").unwrap();
    MadeTrack { init: write_init(&init), ..sound }
}

/// Says, past the harness's capture, that a test lacks what it needs: such lines are counted.
pub fn skip(why: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Heads of a title made of these tracks.
pub fn heads(title: &TitleId, version: VersionId, seq: u64, tracks: &[MadeTrack]) -> Vec<u8> {
    heads_with_class(title, version, seq, tracks, None)
}

fn heads_with_class(
    title: &TitleId,
    version: VersionId,
    seq: u64,
    tracks: &[MadeTrack],
    access_class: Option<&str>,
) -> Vec<u8> {
    let writer = HeadsWriter::new(title.clone(), version, seq);
    let mut writer = writer.access_class(access_class.map(str::to_owned));
    for track in tracks {
        writer.track(track.head.clone(), &track.init, &track.rows).unwrap();
    }
    writer.finish()
}

/// A store in a folder that goes away at the end.
pub struct Stored {
    pub folder: TempDir,
    pub tracks: Vec<MadeTrack>,
}

impl Stored {
    /// With one published title, `movie`.
    pub fn with_movie() -> Self {
        Self::with_movie_scaled(1)
    }

    pub fn with_movie_scaled(scale: usize) -> Self {
        let stored = Self { folder: tempfile::tempdir().unwrap(), tracks: tracks(scale) };
        stored.publish("movie", VERSION, None);
        stored
    }

    /// Writes a version and makes it live.
    pub fn publish(&self, title: &str, version: VersionId, access_class: Option<&str>) {
        self.publish_tracks(title, version, &self.tracks, access_class);
    }

    /// The same of sound alone, which can be put under keys.
    pub fn publish_sound(&self, title: &str, version: VersionId) {
        self.publish_tracks(title, version, &[sound()], None);
    }

    /// The same, its track called otherwise.
    pub fn publish_sound_as(&self, title: &str, version: VersionId, id: &'static str) {
        let mut sound = MadeTrack { id, ..sound() };
        sound.head.id = id.parse().unwrap();
        self.publish_tracks(title, version, &[sound], None);
    }

    fn publish_tracks(
        &self,
        title: &str,
        version: VersionId,
        tracks: &[MadeTrack],
        access_class: Option<&str>,
    ) {
        let title = title_id(title);
        for (name, bytes) in tracks.iter().flat_map(|track| &track.objects) {
            self.write(&stored::object_key(&title, version, name), bytes);
        }
        let heads = heads_with_class(&title, version, 1, tracks, access_class);
        self.write(&stored::heads_key(&title, version), &heads);
        let pointer = Pointer::to_live(version, access_class.map(str::to_owned));
        self.write(&stored::pointer_key(&title), &pointer.to_json());
    }

    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(key)
    }

    pub fn write(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, key: &str) -> Vec<u8> {
        fs::read(self.path(key)).unwrap()
    }

    pub fn track(&self, id: &str) -> &MadeTrack {
        self.tracks.iter().find(|track| track.id == id).unwrap()
    }

    /// A configuration of this store: the page on, no access log, pointers read each time.
    pub fn config(&self, more: &str) -> Config {
        let toml = self.folder.path().join("config.toml");
        let store = format!("store.url = {:?}\n", self.folder.path());
        fs::write(&toml, format!("{store}{DEFAULTS}{more}")).unwrap();
        Config::load(Some(&toml), std::iter::empty()).unwrap()
    }

    pub fn origin(&self) -> Origin {
        Origin::new(&self.config(""))
    }
}

const DEFAULTS: &str = "\
origin.page = true
origin.access_log = \"off\"
origin.cache.pointer_ttl_ms = 0
origin.cache.not_found_ttl_ms = 0
";

/// An origin without listeners.
pub struct Origin {
    pub rooms: Rooms,
}

impl Origin {
    pub fn new(config: &Config) -> Self {
        let metrics = Arc::new(Metrics::new());
        let log = AccessLog::open(&config.origin.access_log, metrics.access_log_dropped.clone());
        let store = rooms::store(config, &metrics).unwrap();
        Self { rooms: Rooms::with_store(config, store, metrics, log.unwrap()).unwrap() }
    }

    pub fn metrics(&self) -> &Metrics {
        &self.rooms.admin.metrics
    }

    pub fn rev(&self, profile: &str) -> String {
        self.rooms.service.profiles.named(profile).unwrap().rev(None).to_string()
    }

    /// `/clear/movie/<version>.<rev>/`.
    pub fn base(&self) -> String {
        format!("/clear/movie/{VERSION}.{}/", self.rev("clear"))
    }

    pub async fn get(&self, path: &str) -> Seen {
        self.ask(Method::GET, path, &[]).await
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Seen {
        self.ask_at(Instant::now(), method, path, headers).await
    }

    pub async fn ask_at(
        &self,
        now: Instant,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Seen {
        let request = request(method, path, headers);
        Seen::of(self.rooms.service.answer(&request, now, SystemTime::UNIX_EPOCH).await)
    }

    /// A counter's value in the exposition, by its name without prefix and its labels as printed.
    pub fn counted(&self, series: &str) -> u64 {
        let text = String::from_utf8(self.metrics().exposition()).unwrap();
        let wanted = format!("headwater_origin_{series} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&wanted));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

pub fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request {
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        fields.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    Request { method, uri: path.parse().unwrap(), headers: fields, ..Request::default() }
}

/// An answer, taken apart for comparing.
#[derive(Clone, Debug)]
pub struct Seen {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What is another one each time: X-Request-Id and Cache-Status.
    pub request_id: String,
    pub cache_status: String,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        (self.status, &self.headers, &self.body) == (other.status, &other.headers, &other.body)
    }
}

impl Seen {
    pub fn of(answer: Answer) -> Self {
        Self::new(answer.status.as_u16(), answer.headers, answer.body.parts().concat())
    }

    pub fn new(status: u16, mut headers: HeaderMap, body: Vec<u8>) -> Self {
        let mut taken = |name: &str| {
            let value = headers.remove(name);
            value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        let (request_id, cache_status) = (taken("x-request-id"), taken("cache-status"));
        Self { status, headers, body, request_id, cache_status }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `error` of a failure's body.
    pub fn error(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection as a client has it.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    pub fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Asks for `path` and reads the whole answer.
    pub fn ask(&mut self, method: &str, path: &str) -> Seen {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.read(method == "HEAD")
    }

    /// Reads one answer; it must have a length.
    pub fn read(&mut self, head_only: bool) -> Seen {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            let got = self.0.read(&mut byte).unwrap();
            assert_eq!(got, 1, "the connection ended in: {}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let bodiless = head_only || matches!(status, 204 | 304);
        let len =
            headers.get("content-length").map_or(0, |len| len.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; if bodiless { 0 } else { len }];
        self.0.read_exact(&mut body).unwrap();
        Seen::new(status, headers, body)
    }

    /// Whether the other side closed, waiting up to the read time limit.
    pub fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
