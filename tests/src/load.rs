//! Clients that keep asking over one connection each, strictly: what was sent and is not answered
//! whole is a failure. Two kinds of request are sent again on another connection, as every client
//! does: one that was never sent, since the server had closed the connection (RFC 9112 9.3.1), and
//! one of which GOAWAY says that it was not begun (RFC 9113 6.8; hyper says the same of one that it
//! did not send because GOAWAY had just come). The second kind is counted.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaks {
    /// HTTP/1.1 on a connection that is kept.
    Kept,
    /// HTTP/1.1, a connection for each request.
    Fresh,
    /// HTTP/2 without TLS.
    H2c,
    /// HTTP/1.1 over TLS, kept.
    Tls,
    /// HTTP/2 over TLS.
    TlsH2,
}

impl Speaks {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::Kept, Self::Fresh, Self::H2c, Self::Tls, Self::TlsH2];

    fn is_h2(self) -> bool {
        matches!(self, Self::H2c | Self::TlsH2)
    }

    /// Whether it speaks to a TLS listener.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::TlsH2)
    }
}

enum Sender {
    H1(http1::SendRequest<Empty<Bytes>>),
    H2(http2::SendRequest<Empty<Bytes>>),
}

/// One client.
pub struct LoadClient {
    speaks: Speaks,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    open: Option<Sender>,
    /// Connections that it opened.
    pub connections: usize,
    /// Requests that GOAWAY overtook.
    pub overtaken: usize,
}

impl LoadClient {
    /// A client of the listener at `address`; with TLS it believes what `tls` believes.
    pub fn new(speaks: Speaks, address: SocketAddr, tls: &Arc<ClientConfig>) -> Self {
        Self { speaks, address, tls: Arc::clone(tls), open: None, connections: 0, overtaken: 0 }
    }

    /// How it speaks.
    pub fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// Status and body of a GET, or what went wrong.
    pub async fn get(&mut self, path: &str) -> Result<(u16, Bytes), String> {
        // Each turn but the last finds a connection that the server had closed before.
        for _ in 0..3 {
            let Some(mut sender) = self.sender().await.map_err(|e| format!("connect: {e}"))? else {
                continue;
            };
            let request = self.request(path);
            let sent = match &mut sender {
                Sender::H1(sender) => sender.try_send_request(request).await,
                Sender::H2(sender) => sender.try_send_request(request).await,
            };
            match sent {
                Ok(answer) => return self.read(answer, sender).await,
                Err(mut error) => {
                    if is_unsent(&mut error) {
                        continue;
                    }
                    let error = error.into_error();
                    if !was_not_begun(&error) {
                        return Err(format!("answer: {error:?}"));
                    }
                    self.overtaken += 1;
                }
            }
        }
        Err("three connections were closed before a request could be sent".to_owned())
    }

    /// The connection, or a new one; `None` if the server has closed the kept one.
    async fn sender(&mut self) -> io::Result<Option<Sender>> {
        let mut sender = match self.open.take() {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let ready = match &mut sender {
            Sender::H1(sender) => sender.ready().await,
            Sender::H2(sender) => sender.ready().await,
        };
        Ok(ready.is_ok().then_some(sender))
    }

    async fn connect(&mut self) -> io::Result<Sender> {
        self.connections += 1;
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        if !self.speaks.is_tls() {
            return speak(stream, self.speaks.is_h2()).await;
        }
        let mut config = ClientConfig::clone(&self.tls);
        let protocol: &[u8] = if self.speaks.is_h2() { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("localhost").expect("a host name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        speak(stream, self.speaks.is_h2()).await
    }

    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        let request = if self.speaks.is_h2() {
            Request::get(format!("http://localhost{path}"))
        } else {
            Request::get(path).header(HOST, "localhost")
        };
        request.body(Empty::new()).expect("a path of the origin's")
    }

    async fn read(
        &mut self,
        answer: Response<hyper::body::Incoming>,
        sender: Sender,
    ) -> Result<(u16, Bytes), String> {
        let status = answer.status().as_u16();
        let closes = answer.headers().get(CONNECTION).is_some_and(|value| value == "close");
        let body = answer.into_body().collect().await.map_err(|e| format!("body: {e:?}"))?;
        if !closes && self.speaks != Speaks::Fresh {
            self.open = Some(sender);
        }
        Ok((status, body.to_bytes()))
    }
}

/// Whether nothing of the request reached the wire.
fn is_unsent<B>(error: &mut TrySendError<B>) -> bool {
    error.take_message().is_some()
}

/// Whether the server ended the connection in peace, and this request was not among those that it
/// answers before.
fn was_not_begun(error: &hyper::Error) -> bool {
    let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    h2.is_some_and(|error| {
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// HTTP on a stream; the connection is driven in the background.
async fn speak<S>(stream: S, h2: bool) -> io::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(stream);
    if h2 {
        let opened = http2::handshake(TokioExecutor::new(), stream).await;
        let (sender, connection) = opened.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Sender::H2(sender))
    } else {
        let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Sender::H1(sender))
    }
}

/// What believes exactly these certificates.
pub fn believing(certificates: &[rcgen::Certificate]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.der().clone()).expect("a certificate of our own");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
