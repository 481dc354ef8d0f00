//! TLS with rustls and ring: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, resumption by
//! tickets (and, for 1.2 without them, by a cache of sessions), certificates by name.
//!
//! Certificates are read at the start, on a reload, and when their files change. A set that does not
//! fit (a key of another certificate, a file half written) is refused as a whole, and the old one
//! stays. Connections keep what they were opened with; tickets of before are taken on.

mod certificates;
mod validity;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use headwater_config::{Tls as Settings, TlsVersion};
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::limits;
use crate::metrics::Metrics;

pub use certificates::{CertificateError, Certificates};
pub use validity::Validity;
pub use watch::Watch;

/// What is offered to clients, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The server's side of TLS.
pub struct Tls {
    current: ArcSwap<ServerConfig>,
    /// Kept over changes of certificates, so that clients resume.
    sessions: Arc<dyn StoresServerSessions>,
    tickets: Arc<dyn ProducesTickets>,
    metrics: Arc<Metrics>,
}

impl Tls {
    /// With the certificates of these settings.
    pub fn new(settings: &Settings, metrics: Arc<Metrics>) -> Result<Self, CertificateError> {
        let sessions = ServerSessionMemoryCache::new(limits::TLS_SESSIONS);
        let tickets = Ticketer::new().map_err(|error| CertificateError::no_randomness(&error))?;
        let certificates = read(settings, &metrics)?;
        let config =
            config(settings, &certificates, Arc::clone(&sessions) as _, Arc::clone(&tickets))?;
        tell(&certificates, &metrics);
        Ok(Self { current: ArcSwap::from_pointee(config), sessions, tickets, metrics })
    }

    /// Reads the files and takes what they hold, or nothing of it.
    pub fn read_again(&self, settings: &Settings) -> Result<(), CertificateError> {
        let certificates = read(settings, &self.metrics)?;
        let (sessions, tickets) = (Arc::clone(&self.sessions), Arc::clone(&self.tickets));
        self.current.store(Arc::new(config(settings, &certificates, sessions, tickets)?));
        tell(&certificates, &self.metrics);
        Ok(())
    }

    /// The same, where nobody waits for the outcome but the log.
    pub fn read_and_tell(&self, settings: &Settings) {
        match self.read_again(settings) {
            Ok(()) => tracing::info!("certificates were read again and are shown from now on"),
            Err(error) => {
                let error = error.to_string();
                tracing::error!(error, "certificates are as before: these do not fit");
            }
        }
    }

    /// Shakes hands with a client, and counts it.
    pub async fn accept<S>(&self, stream: S, limit: Duration) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accepting = TlsAcceptor::from(self.current.load_full()).accept(stream);
        let accepted: Option<io::Result<_>> = tokio::time::timeout(limit, accepting).await.ok();
        let outcome = match &accepted {
            None => "timeout",
            Some(Err(_)) => "failed",
            Some(Ok(stream)) => match stream.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => "resumed",
                _ => "full",
            },
        };
        self.metrics.tls_handshakes.with_label_values(&[outcome]).inc();
        accepted?.ok()
    }
}

fn read(settings: &Settings, metrics: &Metrics) -> Result<Certificates, CertificateError> {
    let read = Certificates::read(&settings.certificates);
    let outcome = if read.is_ok() { "taken" } else { "refused" };
    metrics.tls_certificate_reads.with_label_values(&[outcome]).inc();
    read
}

fn config(
    settings: &Settings,
    certificates: &Certificates,
    sessions: Arc<dyn StoresServerSessions>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, CertificateError> {
    let versions: &[&SupportedProtocolVersion] = match settings.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .map_err(|error| CertificateError::no_randomness(&error))?;
    let mut config =
        builder.with_no_client_auth().with_cert_resolver(Arc::new(certificates.by_name()));
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = sessions;
    config.ticketer = tickets;
    Ok(config)
}

/// Metric and log: until when each certificate is good.
fn tell(certificates: &Certificates, metrics: &Metrics) {
    let expiry = &metrics.tls_certificate_expiry_seconds;
    expiry.reset();
    let now = SystemTime::now();
    for (file, validity) in certificates.validities() {
        expiry.with_label_values(&[&file.display().to_string()]).set(validity.expires_unix_s());
        if let Some(worry) = validity.worry(now) {
            tracing::warn!(cert = %file.display(), worry, "certificate");
        }
    }
}
