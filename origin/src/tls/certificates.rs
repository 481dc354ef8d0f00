//! Certificates from files, and which one a client is shown.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_config::Certificate;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::validity::Validity;
use crate::limits;

/// Every configured certificate, in the order of the configuration.
#[derive(Debug)]
pub struct Certificates(Vec<Shown>);

#[derive(Debug)]
struct Shown {
    file: PathBuf,
    key: Arc<CertifiedKey>,
    /// Lower case; a wildcard with its `*.`.
    names: Vec<String>,
    validity: Validity,
}

/// Why a set of certificates is not taken.
#[derive(Debug)]
pub struct CertificateError {
    file: PathBuf,
    why: String,
}

impl CertificateError {
    fn new(file: &Path, why: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), why: why.to_string() }
    }

    /// ring lacks what it needs from the system.
    pub(super) fn no_randomness(error: &rustls::Error) -> Self {
        Self { file: PathBuf::new(), why: error.to_string() }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`origin.tls.certificates`: {}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for CertificateError {}

impl Certificates {
    /// Reads every file; the first that is wrong is the answer.
    pub fn read(settings: &[Certificate]) -> Result<Self, CertificateError> {
        settings.iter().map(read_pair).collect::<Result<_, _>>().map(Self)
    }

    /// The files of the certificates and until when each is good.
    pub fn validities(&self) -> impl Iterator<Item = (&Path, Validity)> {
        self.0.iter().map(|shown| (shown.file.as_path(), shown.validity))
    }

    /// What a client is shown, by the name it asks for.
    pub fn by_name(&self) -> ByName {
        let mut names = HashMap::new();
        for shown in &self.0 {
            for name in &shown.names {
                // Where two have a name, the first is shown.
                names.entry(name.clone()).or_insert_with(|| Arc::clone(&shown.key));
            }
        }
        ByName { names, default: self.0.first().map(|shown| Arc::clone(&shown.key)) }
    }
}

fn read_pair(pair: &Certificate) -> Result<Shown, CertificateError> {
    let in_cert = |why: &dyn fmt::Display| CertificateError::new(&pair.cert, why);
    let in_key = |why: &dyn fmt::Display| CertificateError::new(&pair.key, why);
    let pem = read_file(&pair.cert)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| in_cert(&format!("no PEM certificate: {error}")))?;
    let Some(own) = chain.first() else {
        return Err(in_cert(&"no PEM certificate in it (BEGIN CERTIFICATE)"));
    };
    let names = names(own).map_err(|error| in_cert(&format!("no X.509 certificate: {error}")))?;
    let validity = Validity::read(own)
        .ok_or_else(|| in_cert(&"its validity cannot be read (RFC 5280 4.1)"))?;
    let key = PrivateKeyDer::from_pem_slice(&read_file(&pair.key)?)
        .map_err(|error| in_key(&format!("no PEM private key: {error}")))?;
    let key = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => in_key(&format!(
            "not the key of the certificate in {}; the first in that file must be the server's own",
            pair.cert.display()
        )),
        other => in_key(&other),
    })?;
    Ok(Shown { file: pair.cert.clone(), key: Arc::new(key), names, validity })
}

/// A file, bounded.
fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(limits::PEM_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| CertificateError::new(path, format!("cannot be read: {error}")))?;
    if read as u64 > limits::PEM_BYTES {
        let why = format!("more than {} bytes are no certificate or key", limits::PEM_BYTES);
        return Err(CertificateError::new(path, why));
    }
    Ok(bytes)
}

fn names(own: &CertificateDer<'_>) -> Result<Vec<String>, webpki::Error> {
    let parsed = webpki::EndEntityCert::try_from(own)?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// Chooses by the name in the client's hello (RFC 6066 3).
#[derive(Debug)]
pub struct ByName {
    names: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl ByName {
    /// The certificate for a name: its own, or that of a wildcard for its parent (RFC 6125 6.4.3).
    fn named(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let of_parent = || {
            let (_, parent) = name.split_once('.')?;
            self.names.get(&format!("*.{parent}"))
        };
        self.names.get(&name).or_else(of_parent)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(name));
        named.or(self.default.as_ref()).cloned()
    }
}
