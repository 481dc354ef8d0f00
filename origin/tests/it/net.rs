//! The adapter on real sockets, without Pingora's listeners (`binary` has those), and clients that
//! speak TLS and HTTP/2.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use arc_swap::ArcSwap;
use bytes::Bytes;
use h2::client::SendRequest;
use headwater_config::{Certificate, Config, Tls as TlsSettings};
use headwater_origin::adapter::{Adapter, Door, Terms};
use headwater_origin::tls::Tls;
use http::{Method, Request, Response};
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::stream::Stream as Accepted;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::common::{Origin, Seen, Stored};

/// An adapter and the listener in front of it.
pub struct Wired {
    pub address: SocketAddr,
    pub origin: Origin,
    pub stop: watch::Sender<bool>,
    /// Set before a stop, it says that a successor listens.
    pub handed_over: Arc<AtomicBool>,
    pub tls: Option<Arc<Tls>>,
    pub runtime: Runtime,
}

/// So long that nothing ends by them unless a test shortens one.
pub const TERMS: Terms = Terms {
    header_timeout: Duration::from_secs(20),
    idle_timeout: Duration::from_secs(20),
    write_timeout: Duration::from_secs(20),
    max_header_bytes: 16_384,
    max_headers: 64,
    handshake_timeout: Duration::from_secs(20),
    max_connections: 1000,
    max_client_connections: 0,
    max_streams: 100,
    min_send_bytes_s: 0,
    trusted_proxies: Vec::new(),
};

pub fn wired(stored: &Stored, terms: Terms) -> Wired {
    wired_behind(stored, terms, Door::default(), None)
}

pub fn wired_behind(stored: &Stored, terms: Terms, door: Door, tls: Option<&TlsSettings>) -> Wired {
    wired_logging(&stored.config(""), terms, door, tls)
}

/// With a configuration of its own, for the sake of its access log.
pub fn wired_logging(
    config: &Config,
    terms: Terms,
    door: Door,
    tls: Option<&TlsSettings>,
) -> Wired {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let origin = Origin::new(config);
    let metrics = Arc::clone(&origin.rooms.admin.metrics);
    let tls = tls.map(|tls| Arc::new(Tls::new(tls, Arc::clone(&metrics)).unwrap()));
    let handed_over = Arc::new(AtomicBool::new(false));
    let terms = Arc::new(ArcSwap::from_pointee(terms));
    let adapter = Adapter::new(Arc::clone(&origin.rooms.service), terms, metrics)
        .behind(headwater_origin::adapter::Doors::default(), tls.clone())
        .succeeded(Arc::clone(&handed_over));
    let adapter = Arc::new(adapter);
    let (stop, stopped) = watch::channel(false);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        loop {
            let (stream, remote) = listener.accept().await.unwrap();
            let (adapter, stopped) = (Arc::clone(&adapter), stopped.clone());
            let remote = Some(remote.ip());
            let stream: Stream = Box::new(Accepted::from(stream));
            tokio::spawn(async move { adapter.serve(stream, remote, door, stopped).await });
        }
    });
    Wired { address, origin, stop, handed_over, tls, runtime }
}

impl Wired {
    pub fn faults(&self, fault: &str) -> u64 {
        self.origin.counted(&format!("connection_faults_total{{fault=\"{fault}\"}}"))
    }

    pub fn stream_faults(&self, fault: &str) -> u64 {
        self.origin.counted(&format!("stream_faults_total{{fault=\"{fault}\"}}"))
    }

    pub fn open(&self) -> i64 {
        self.origin.metrics().connections_open.get()
    }

    /// An HTTP/2 connection without TLS.
    pub async fn h2c(&self) -> SendRequest<Bytes> {
        h2_over(TcpStream::connect(self.address).await.unwrap()).await
    }
}

/// HTTP/2 on a stream; the connection is driven in the background.
pub async fn h2_over<S>(stream: S) -> SendRequest<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) =
        h2::client::Builder::new().handshake::<_, Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One request over HTTP/2, its answer read whole.
pub async fn ask(
    client: &SendRequest<Bytes>,
    method: Method,
    path: &str,
) -> Result<Seen, h2::Error> {
    ask_with(client, method, path, &[]).await
}

pub async fn ask_with(
    client: &SendRequest<Bytes>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Seen, h2::Error> {
    let mut request = Request::builder().method(method).uri(format!("http://test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut ready = client.clone().ready().await?;
    let (answer, _) = ready.send_request(request.body(()).unwrap(), true)?;
    read(answer.await?).await
}

/// The whole of an answer.
pub async fn read(answer: Response<h2::RecvStream>) -> Result<Seen, h2::Error> {
    let (parts, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(Seen::new(parts.status.as_u16(), parts.headers, body))
}

/// Certificates in a folder that goes away at the end.
pub struct Certificates {
    pub folder: TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A fresh certificate for these names, which expires in `days`, as `<file>.pem` and `.key`.
    pub fn write(&self, file: &str, names: &[&str], days: i64) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        let now = std::time::SystemTime::now();
        params.not_before = (now - Duration::from_secs(86_400 * 1000)).into();
        params.not_after = if days < 0 {
            (now - Duration::from_secs(86_400 * days.unsigned_abs())).into()
        } else {
            (now + Duration::from_secs(86_400 * days.unsigned_abs() + 60)).into()
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let (cert, key_path) =
            (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        fs::write(&cert, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
        Certificate { cert, key: key_path }
    }
}

/// A client that believes exactly these certificates and offers these protocols.
pub fn client_config(
    believed: &[&Certificate],
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    for certificate in believed {
        roots.add(CertificateDer::from_pem_file(&certificate.cert).unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A TLS connection that asks for `name`.
pub async fn tls_to(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// Waits for something that happens in another thread.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
