//! Where servers are, and how connections to them begin.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::tls::{self, Believes};

/// Bytes that a server may send ahead on a stream and on a connection of HTTP/2: more than a
/// segment, so that the server is measured and not our window.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// HTTP/1.1
    #[value(name = "1.1")]
    H1,
    /// HTTP/2: by ALPN over TLS, with prior knowledge without it
    #[value(name = "2")]
    H2,
}

/// How servers are spoken to.
#[derive(Clone, Debug, clap::Args)]
pub struct Speak {
    /// HTTP version; TLS is spoken where a URL begins with https
    #[arg(long, value_enum, default_value_t = Version::H1, value_name = "VERSION")]
    pub http: Version,
    /// Authorities to believe, PEM, instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Believe every certificate
    #[arg(long)]
    insecure: bool,
    /// A connection for each request
    #[arg(long)]
    pub fresh: bool,
    /// Seconds until a request that is not answered whole has failed
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = crate::options::positive)]
    pub timeout_s: f64,
}

/// A server.
#[derive(Debug)]
pub struct Place {
    address: SocketAddr,
    tls: Option<ServerName<'static>>,
    /// Host and port, as the Host header has it.
    pub authority: String,
    /// `http` or `https`.
    pub scheme: String,
}

/// Everything that connections share.
#[derive(Debug)]
pub struct Network {
    tls: Arc<ClientConfig>,
    places: RefCell<HashMap<String, Rc<Place>>>,
    /// HTTP version.
    pub version: Version,
    /// Whether each request has a connection of its own.
    pub fresh: bool,
    /// How long a request may take.
    pub timeout: Duration,
    /// Connections that were opened.
    pub opened: Cell<u64>,
}

/// What sends requests on a connection.
pub(super) enum Sender {
    H1(http1::SendRequest<Empty<Bytes>>),
    H2(http2::SendRequest<Empty<Bytes>>),
}

impl Network {
    /// As the options say.
    pub fn new(speak: &Speak) -> Result<Rc<Self>, String> {
        let believes = match &speak.ca {
            _ if speak.insecure => Believes::Everybody,
            Some(path) => Believes::File(path),
            None => Believes::System,
        };
        let protocol: &[u8] = match speak.http {
            Version::H1 => b"http/1.1",
            Version::H2 => b"h2",
        };
        Ok(Rc::new(Self {
            tls: Arc::new(tls::client(&believes, protocol)?),
            places: RefCell::default(),
            version: speak.http,
            fresh: speak.fresh,
            timeout: crate::number::seconds(speak.timeout_s),
            opened: Cell::new(0),
        }))
    }

    /// The server of a URL; its name is looked up once.
    pub async fn place(&self, url: &Url) -> Result<Rc<Place>, String> {
        let origin = url.origin().ascii_serialization();
        if let Some(known) = self.places.borrow().get(&origin) {
            return Ok(Rc::clone(known));
        }
        let wrong = |what: &dyn std::fmt::Display| format!("{origin}: {what}");
        let host = url.host_str().ok_or_else(|| wrong(&"no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| wrong(&"no port"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found =
            tokio::net::lookup_host((bare, port)).await.map_err(|error| wrong(&error))?.next();
        let address = found.ok_or_else(|| wrong(&"no address"))?;
        let tls = match url.scheme() {
            "https" => Some(ServerName::try_from(bare.to_owned()).map_err(|error| wrong(&error))?),
            _ => None,
        };
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let place = Rc::new(Place { address, tls, authority, scheme: url.scheme().to_owned() });
        self.places.borrow_mut().insert(origin, Rc::clone(&place));
        Ok(place)
    }

    /// A new connection; it is driven in the background.
    pub(super) async fn connect(&self, place: &Place) -> Result<Sender, String> {
        let told = |error: std::io::Error| format!("{}: {error}", place.address);
        self.opened.set(self.opened.get() + 1);
        let stream = TcpStream::connect(place.address).await.map_err(told)?;
        stream.set_nodelay(true).map_err(told)?;
        match &place.tls {
            None => self.speak(stream).await,
            Some(name) => {
                let connector = TlsConnector::from(Arc::clone(&self.tls));
                let stream = connector.connect(name.clone(), stream).await.map_err(told)?;
                if self.version == Version::H2 && stream.get_ref().1.alpn_protocol() != Some(b"h2")
                {
                    return Err(format!("{}: does not offer HTTP/2 (ALPN h2)", place.address));
                }
                self.speak(stream).await
            }
        }
    }

    async fn speak<S>(&self, stream: S) -> Result<Sender, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        match self.version {
            Version::H1 => {
                let opened = http1::handshake(stream).await;
                let (sender, connection) = opened.map_err(|error| error.to_string())?;
                tokio::task::spawn_local(connection);
                Ok(Sender::H1(sender))
            }
            Version::H2 => {
                let opened = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(CONNECTION_WINDOW)
                    .handshake(stream)
                    .await;
                let (sender, connection) = opened.map_err(|error| error.to_string())?;
                tokio::task::spawn_local(connection);
                Ok(Sender::H2(sender))
            }
        }
    }
}
