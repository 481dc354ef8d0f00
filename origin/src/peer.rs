//! Another service that documents are posted to, over HTTP/1.1: a key server, a collector. Each
//! document has a connection of its own: they are few, and a pool would only hold idle sockets.
//!
//! Redirects are not followed and no proxy is looked for: secrets go where the configuration says.
//! Time limits, and whether to ask again, are the caller's.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_config::{HeaderSecret, Url};
use http::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
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
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::access::secret;
use crate::limits;

/// A service, and how it is spoken to.
pub struct Peer {
    url: Url,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    secrets: HeaderMap,
}

/// Why a service cannot be spoken to as it is configured.
#[derive(Debug)]
pub struct Unready {
    /// The key's last part: `url`, `ca_file` or `header_secrets`.
    pub key: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// What a service answered.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    /// The body of a 200, empty with any other status.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Broken {
    /// No connection, or it broke off: another one may fare better.
    Connection(String),
    /// The answer is longer than any that is looked for.
    TooLong(String),
}

impl Peer {
    /// Whether both speak to the same service as the same client.
    pub fn is_to_the_same(&self, other: &Self) -> bool {
        self.url == other.url && self.secrets == other.secrets
    }

    /// Reads what is needed to speak to the service at `url`: the authorities of a file and no
    /// others, or the system's, and the secrets that say who asks.
    pub fn open(
        url: &Url,
        ca_file: Option<&Path>,
        header_secrets: &[HeaderSecret],
    ) -> Result<Self, Unready> {
        let unready = |key, detail| Unready { key, detail };
        let (host, port) = host_and_port(url)
            .ok_or_else(|| unready("url", format!("{url}: the port is no number")))?;
        let tls = if url.has_tls() {
            ServerName::try_from(host.clone())
                .map_err(|_| unready("url", format!("{host} is no name of a server")))?;
            let roots = roots(ca_file).map_err(|why| unready("ca_file", why))?;
            Some(TlsConnector::from(Arc::new(client_config(roots))))
        } else {
            None
        };
        let secrets = secrets(header_secrets).map_err(|why| unready("header_secrets", why))?;
        Ok(Self { url: url.clone(), host, port, tls, secrets })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Posts a document with these fields beside the secret ones. An answer of more than
    /// `most_bytes` is none.
    pub async fn post(
        &self,
        fields: &[(HeaderName, HeaderValue)],
        document: Bytes,
        most_bytes: usize,
    ) -> Result<Answered, Broken> {
        let request = self.request(fields, document);
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| Broken::Connection(format!("cannot be reached: {error}")))?;
        let Some(tls) = &self.tls else { return exchange(stream, request, most_bytes).await };
        let name = ServerName::try_from(self.host.clone()).expect("it was checked");
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| Broken::Connection(format!("no TLS connection: {error}")))?;
        exchange(stream, request, most_bytes).await
    }

    fn request(
        &self,
        fields: &[(HeaderName, HeaderValue)],
        document: Bytes,
    ) -> Request<Full<Bytes>> {
        let path = self.url.as_str().split_once("://").map_or("", |(_, rest)| rest);
        let path = path.find(['/', '?']).map_or("/", |at| &path[at..]);
        let path = path.split('#').next().unwrap_or("/");
        let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
        let mut request = Request::new(Full::new(document));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let header = request.headers_mut();
        header.clone_from(&self.secrets);
        let host = HeaderValue::from_str(self.url.authority());
        header.insert(HOST, host.expect("an address is visible ASCII"));
        header.insert(USER_AGENT, HeaderValue::from_static("headwater"));
        header.extend(fields.iter().cloned());
        request
    }
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    most_bytes: usize,
) -> Result<Answered, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error| Broken::Connection(format!("the exchange broke off: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with this exchange, also where the time is over.
    let _driver = Driver(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let (parts, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    let body = match parts.status {
        StatusCode::OK => read(body, most_bytes).await?,
        _ => Zeroizing::default(),
    };
    Ok(Answered { status: parts.status, headers: parts.headers, body })
}

/// A connection's task; ended when dropped.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(mut body: Incoming, most_bytes: usize) -> Result<Zeroizing<Vec<u8>>, Broken> {
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most_bytes));
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Broken::Connection(format!("the answer broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most_bytes {
            return Err(Broken::TooLong(format!("the answer has more than {most_bytes} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
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

fn secrets(header_secrets: &[HeaderSecret]) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for header in header_secrets {
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
}
