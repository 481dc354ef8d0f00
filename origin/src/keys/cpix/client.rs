//! Asks a key server over HTTP/1.1: a connection for each request, since a title's keys are asked
//! for once. Redirects are not followed: secrets go where the configuration says.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_config::{KeyProvider, Name, Url};
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::access::secret;
use crate::keys::{KeyError, Kind, NotReady};
use crate::limits;

const XML: HeaderValue = HeaderValue::from_static("application/xml");
const SPEKE_VERSION: HeaderName = HeaderName::from_static("x-speke-version");

/// One key server, and how it is asked.
pub(super) struct Client {
    name: Name,
    url: Url,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    fields: HeaderMap,
    timeout: Duration,
    retries: u32,
    turns: Semaphore,
}

impl Client {
    pub(super) fn open(name: &Name, settings: &KeyProvider) -> Result<Self, NotReady> {
        let not_ready = |key: &str, detail| NotReady { key: format!("keys.{name}.{key}"), detail };
        let url = settings.url.clone().ok_or_else(|| not_ready("url", "is needed".to_owned()))?;
        let (host, port) = host_and_port(&url)
            .ok_or_else(|| not_ready("url", format!("{url}: the port is no number")))?;
        let tls = if url.has_tls() {
            ServerName::try_from(host.clone())
                .map_err(|_| not_ready("url", format!("{host} is no name of a server")))?;
            let roots = roots(settings.ca_file()).map_err(|why| not_ready("ca_file", why))?;
            Some(TlsConnector::from(Arc::new(client_config(roots))))
        } else {
            None
        };
        let fields = fields(settings).map_err(|why| not_ready("header_secrets", why))?;
        Ok(Self {
            name: name.clone(),
            url,
            host,
            port,
            tls,
            fields,
            timeout: Duration::from_millis(settings.timeout_ms.into()),
            retries: settings.retries,
            turns: Semaphore::new(limits::KEY_REQUESTS),
        })
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Whether what one was told holds for the other.
    pub(super) fn is_to_the_same(&self, other: &Self) -> bool {
        self.url == other.url
    }

    pub(super) fn error(&self, kind: Kind, detail: &str) -> KeyError {
        let detail = format!("{}: {detail}", self.url.authority());
        KeyError { kind, provider: self.name.clone(), detail }
    }

    /// Sends a document, again after a pause where that may help; answers the answer's body.
    pub(super) async fn post(&self, document: String) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let _turn = self.turns.acquire().await.expect("turns are never closed");
        let document = Bytes::from(document);
        let mut tries = 0;
        loop {
            let outcome = match tokio::time::timeout(self.timeout, self.attempt(&document)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let waited_ms = self.timeout.as_millis();
                    Err(Failed::again(Kind::Timeout, format!("no answer within {waited_ms} ms")))
                }
            };
            let failed = match outcome {
                Ok(body) => return Ok(body),
                Err(failed) => failed,
            };
            if !failed.may_pass || tries == self.retries {
                let detail = format!("{} (tried {} times)", failed.detail, tries + 1);
                return Err(self.error(failed.kind, &detail));
            }
            tokio::time::sleep(pause(tries)).await;
            tries += 1;
        }
    }

    async fn attempt(&self, document: &Bytes) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let unavailable = |what: &str, error: &dyn std::fmt::Display| {
            Failed::again(Kind::Unavailable, format!("{what}: {error}"))
        };
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| unavailable("cannot be reached", &error))?;
        let Some(tls) = &self.tls else { return self.exchange(stream, document).await };
        let name = ServerName::try_from(self.host.clone()).expect("it was checked");
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| unavailable("no TLS connection", &error))?;
        self.exchange(stream, document).await
    }

    async fn exchange<S>(&self, stream: S, document: &Bytes) -> Result<Zeroizing<Vec<u8>>, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| {
            Failed::again(Kind::Unavailable, format!("the exchange broke off: {error}"))
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Ends with this exchange, also where the time is over.
        let _driver = Driver(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let response = sender.send_request(self.request(document)).await.map_err(broken)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(refused(status));
        }
        read(response.into_body()).await
    }

    fn request(&self, document: &Bytes) -> Request<Full<Bytes>> {
        let path = self.url.as_str().split_once("://").map_or("", |(_, rest)| rest);
        let path = path.find(['/', '?']).map_or("/", |at| &path[at..]);
        let path = path.split('#').next().unwrap_or("/");
        let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
        let mut request = Request::new(Full::new(document.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let fields = request.headers_mut();
        fields.clone_from(&self.fields);
        let host = HeaderValue::from_str(self.url.authority());
        fields.insert(HOST, host.expect("an address is visible ASCII"));
        fields.insert(CONTENT_TYPE, XML);
        fields.insert(ACCEPT, XML);
        fields.insert(USER_AGENT, HeaderValue::from_static("headwater"));
        fields.insert(SPEKE_VERSION, HeaderValue::from_static("2.0"));
        request
    }
}

/// Why an attempt came to nothing, and whether another one may fare better.
struct Failed {
    kind: Kind,
    detail: String,
    may_pass: bool,
}

impl Failed {
    fn again(kind: Kind, detail: String) -> Self {
        Self { kind, detail, may_pass: true }
    }

    fn for_good(kind: Kind, detail: String) -> Self {
        Self { kind, detail, may_pass: false }
    }
}

/// A connection's task; ended when dropped.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn refused(status: StatusCode) -> Failed {
    let detail = format!("answered {}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS => Failed::again(Kind::Unavailable, detail),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failed::for_good(Kind::Denied, detail),
        _ if status.is_server_error() => Failed::again(Kind::Unavailable, detail),
        _ => Failed::for_good(Kind::Wrong, detail),
    }
}

async fn read(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let most = limits::CPIX_BYTES;
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failed::again(Kind::Unavailable, format!("the answer broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            let detail = format!("the answer has more than {most} bytes");
            return Err(Failed::for_good(Kind::Wrong, detail));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A pause that grows, and is another one on each node: half to one and a half of the mean.
fn pause(tries: u32) -> Duration {
    let mean = limits::KEY_RETRY_PAUSE * 2u32.pow(tries.min(limits::KEY_RETRY_DOUBLINGS));
    let chance = RandomState::new().build_hasher().finish() % 1_024;
    mean / 2 + mean.mul_f64(chance as f64 / 1_024.0)
}

fn host_and_port(url: &Url) -> Option<(String, u16)> {
    let authority = url.authority();
    let default = if url.has_tls() { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside an address in brackets is none before a port.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host.to_owned(), port))
}

fn fields(settings: &KeyProvider) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for header in &settings.header_secrets {
        let value = secret::read(&header.secret).map_err(|error| error.to_string())?;
        let wrong = || format!("{}: not the value of a header field", header.secret);
        let name = HeaderName::from_bytes(header.name.as_str().as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
        if value.is_empty() {
            return Err(format!("{}: is empty", header.secret));
        }
        value.set_sensitive(true);
        fields.insert(name, value);
    }
    Ok(fields)
}

fn client_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what the versions need")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The authorities of a file and no others, or the system's.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(
                "the system knows no authority; install its certificates, or name a file".into()
            );
        }
        return Ok(roots);
    };
    let wrong = |what: String| format!("{} {what}", file.display());
    let mut pem = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(limits::PEM_BYTES + 1).read_to_end(&mut pem))
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if pem.len() as u64 > limits::PEM_BYTES {
        return Err(wrong(format!("is larger than {} bytes", limits::PEM_BYTES)));
    }
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(format!("is no PEM: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(format!("holds a bad certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (url, wanted) in [
            ("https://keys.example/v2", Some(("keys.example", 443))),
            ("http://keys.example?a:b", Some(("keys.example", 80))),
            ("https://keys.example:8443", Some(("keys.example", 8443))),
            ("https://[::1]:1/", Some(("::1", 1))),
            ("http://[::1]/", Some(("::1", 80))),
            ("http://keys.example:99999/", None),
        ] {
            let got = host_and_port(&url.parse().unwrap());
            assert_eq!(got, wanted.map(|(host, port)| (host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        for tries in 0..40 {
            let mean = limits::KEY_RETRY_PAUSE * 2u32.pow(tries.min(limits::KEY_RETRY_DOUBLINGS));
            let pause = pause(tries);
            assert!(pause >= mean / 2 && pause < mean * 3 / 2, "{tries}: {pause:?}");
        }
    }
}
