//! `[origin.tls]`: listeners that speak TLS, and the certificates they show.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[origin.tls]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Addresses that speak TLS.
    pub listen: Vec<SocketAddr>,
    /// What is shown, chosen by the name a client asks for; the first to those that ask for none.
    pub certificates: Vec<Certificate>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// Seconds for a handshake.
    pub handshake_timeout_s: u32,
    /// Seconds between looks at whether the files changed; 0 reads them on a reload alone.
    pub certificates_look_s: u32,
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            certificates: Vec::new(),
            min_version: TlsVersion::default(),
            handshake_timeout_s: 10,
            certificates_look_s: 10,
        }
    }
}
