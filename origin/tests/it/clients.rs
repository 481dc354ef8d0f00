//! Other people's HTTP clients: reqwest and hyper, curl and nghttp (on nghttp2), seen alike.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use bytes::Bytes;
use headwater_config::Certificate;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::common::{Seen, skip};
use crate::net::{client_config, tls_to};

/// Header fields of a request; one may stand there twice.
pub type Fields = Vec<(&'static str, String)>;

/// A client of a listener.
pub trait Ask {
    /// Its name and the protocol that it speaks.
    fn name(&self) -> String;
    /// Whether it gives a body as it came: some take a coding off.
    fn shows_coded(&self) -> bool {
        true
    }
    /// The answer to one request; `body` is empty for none.
    fn send(&mut self, method: &Method, path: &str, fields: &Fields, body: &str) -> Seen;
    /// The same without a body.
    fn ask(&mut self, method: &Method, path: &str, fields: &Fields) -> Seen {
        self.send(method, path, fields, "")
    }
}

/// reqwest, one connection kept.
pub struct Reqwest {
    client: reqwest::blocking::Client,
    base: String,
}

impl Reqwest {
    pub fn http1(address: SocketAddr) -> Self {
        let none = reqwest::redirect::Policy::none();
        let client = reqwest::blocking::Client::builder().no_proxy().http1_only().redirect(none);
        Self { client: client.build().unwrap(), base: format!("http://{address}") }
    }
}

impl Ask for Reqwest {
    fn name(&self) -> String {
        "reqwest HTTP/1.1".to_owned()
    }

    fn send(&mut self, method: &Method, path: &str, fields: &Fields, body: &str) -> Seen {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        let answer = request.body(body.to_owned()).send().unwrap();
        assert_eq!(answer.version(), http::Version::HTTP_11);
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Seen::new(status, headers, answer.bytes().unwrap().to_vec())
    }
}

/// hyper, one connection kept.
pub struct Hyper {
    runtime: Runtime,
    sender: Sender,
    version: http::Version,
    base: &'static str,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Hyper {
    pub fn http1_over_tls(address: SocketAddr, believed: &Certificate) -> Self {
        let config = client_config(&[believed], &["http/1.1"], &[&TLS12]);
        Self::over("https://a.example", http::Version::HTTP_11, async move {
            tls_to(address, &config, "a.example").await.unwrap()
        })
    }

    pub fn h2c(address: SocketAddr) -> Self {
        let connect = async move { TcpStream::connect(address).await.unwrap() };
        Self::over("http://a.example", http::Version::HTTP_2, connect)
    }

    pub fn h2_over_tls(address: SocketAddr, believed: &Certificate) -> Self {
        let config = client_config(&[believed], &["h2"], &[&TLS13]);
        let connect = async move { tls_to(address, &config, "a.example").await.unwrap() };
        Self::over("https://a.example", http::Version::HTTP_2, connect)
    }

    fn over<S>(base: &'static str, version: http::Version, connect: impl Future<Output = S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // One worker, which drives the connection.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TokioIo::new(connect.await);
            if version == http::Version::HTTP_11 {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                return Sender::Http1(sender);
            }
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            Sender::Http2(sender)
        });
        Self { runtime, sender, version, base }
    }
}

impl Sender {
    async fn send(&mut self, request: http::Request<Full<Bytes>>) -> http::Response<Incoming> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
            Self::Http2(sender) => sender.send_request(request).await.unwrap(),
        }
    }
}

impl Ask for Hyper {
    fn name(&self) -> String {
        format!("hyper {:?} {}", self.version, self.base)
    }

    fn send(&mut self, method: &Method, path: &str, fields: &Fields, body: &str) -> Seen {
        let mut request = http::Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        let request = match self.version {
            // It writes the target as it is given, and no Host of its own.
            http::Version::HTTP_11 => request.uri(path).header("host", "a.example"),
            _ => request.uri(format!("{}{path}", self.base)),
        };
        let request = request.body(Full::from(body.to_owned())).unwrap();
        self.runtime.block_on(async {
            let (parts, body) = self.sender.send(request).await.into_parts();
            assert_eq!(parts.version, self.version);
            let body = body.collect().await.unwrap().to_bytes();
            Seen::new(parts.status.as_u16(), parts.headers, body.to_vec())
        })
    }
}

/// curl, a process for each request.
pub struct Curl {
    arguments: &'static [&'static str],
    version: &'static str,
    base: String,
}

impl Curl {
    pub fn http1(address: SocketAddr) -> Self {
        let base = format!("http://{address}");
        Self { arguments: &["--http1.1"], version: "HTTP/1.1", base }
    }

    pub fn h2c(address: SocketAddr) -> Self {
        let base = format!("http://{address}");
        Self { arguments: &["--http2-prior-knowledge"], version: "HTTP/2", base }
    }

    pub fn http1_over_tls(address: SocketAddr) -> Self {
        let base = format!("https://{address}");
        Self { arguments: &["--insecure", "--http1.1"], version: "HTTP/1.1", base }
    }

    pub fn h2_over_tls(address: SocketAddr) -> Self {
        let base = format!("https://{address}");
        Self { arguments: &["--insecure", "--http2"], version: "HTTP/2", base }
    }
}

impl Ask for Curl {
    fn name(&self) -> String {
        format!("curl {} {}", self.version, self.base)
    }

    fn send(&mut self, method: &Method, path: &str, fields: &Fields, body: &str) -> Seen {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--path-as-is", "--noproxy", "*"]);
        command.args(self.arguments);
        match *method {
            Method::HEAD => command.arg("--head"),
            _ => command.args(["--request", method.as_str()]),
        };
        for (name, value) in fields {
            command.arg("--header").arg(format!("{name}: {value}"));
        }
        if !body.is_empty() {
            command.args(["--data-raw", body]);
        }
        let output = command.arg(format!("{}{path}", self.base)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{method} {path} {fields:?}: {said}");
        let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let (head, body) = output.stdout.split_at(end + 4);
        let head = std::str::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let (version, rest) = first.split_once(' ').unwrap();
        assert_eq!(version, self.version, "{first}");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Seen::new(rest[..3].parse().unwrap(), map_of(headers), body.to_vec())
    }
}

/// nghttp, two processes for each request: one for the header, one for the body.
pub struct Nghttp {
    base: String,
}

impl Nghttp {
    pub fn h2c(address: SocketAddr) -> Self {
        Self { base: format!("http://{address}") }
    }

    pub fn h2_over_tls(address: SocketAddr) -> Self {
        Self { base: format!("https://{address}") }
    }

    fn output(&self, how: &[&str], asked: (&Method, &str, &Fields, &str)) -> Vec<u8> {
        let (method, path, fields, body) = asked;
        let mut command = Command::new("nghttp");
        command.args(how).arg(format!("--header=:method: {method}"));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        if !body.is_empty() {
            file.write_all(body.as_bytes()).unwrap();
            command.arg("--data").arg(file.path());
        }
        // It would accept gzip of its own accord.
        if !fields.iter().any(|(name, _)| *name == "accept-encoding") {
            command.arg("--header=accept-encoding: identity");
        }
        for (name, value) in fields {
            command.arg(format!("--header={name}: {value}"));
        }
        let output = command.arg(format!("{}{path}", self.base)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{method} {path} {fields:?}: {said}");
        output.stdout
    }
}

impl Ask for Nghttp {
    fn name(&self) -> String {
        format!("nghttp {}", self.base)
    }

    fn shows_coded(&self) -> bool {
        false
    }

    fn send(&mut self, method: &Method, path: &str, fields: &Fields, body: &str) -> Seen {
        let asked = (method, path, fields, body);
        let said = self.output(&["--verbose", "--null-out"], asked);
        let said = String::from_utf8_lossy(&said);
        let received = said
            .lines()
            .filter_map(|line| line.split_once("] recv (stream_id=")?.1.split_once(") "));
        let received: Vec<_> = received.map(|(_, field)| field).collect();
        let status = received.iter().find_map(|field| field.strip_prefix(":status: ")).unwrap();
        let headers = received.iter().filter(|field| !field.starts_with(':'));
        let headers = map_of(headers.filter_map(|field| field.split_once(": ")));
        Seen::new(status.parse().unwrap(), headers, self.output(&[], asked))
    }
}

fn map_of<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let field = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    fields.map(field).collect()
}

/// Whether a program is here, or a counted skip.
pub fn is_here(program: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok();
    if !here {
        skip(format!("{program} is not installed"));
    }
    here
}
