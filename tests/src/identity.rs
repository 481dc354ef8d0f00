//! A certificate for 127.0.0.1 as files, from an authority that nobody else knows, and a client
//! that believes it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The files, and who believes them.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The authority's certificate, PEM.
    pub authority: PathBuf,
    client: Arc<ClientConfig>,
}

impl Identity {
    /// A new one in `folder`; its client asks for `protocol`.
    pub fn write(folder: &Path, protocol: &str) -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).expect("a certificate");
        let issuer = rcgen::Issuer::new(params, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let files = ["cert.pem", "key.pem", "authority.pem"].map(|name| folder.join(name));
        fs::write(&files[0], certificate.pem()).unwrap();
        fs::write(&files[1], key.serialize_pem()).unwrap();
        fs::write(&files[2], authority.pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("an authority");
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let [cert, key, authority] = files;
        Self { cert, key, authority, client: Arc::new(client) }
    }

    /// The same, with a client that asks for another protocol.
    #[must_use]
    pub fn speaking(&self, protocol: &str) -> Self {
        let mut client = (*self.client).clone();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { client: Arc::new(client), ..self.clone() }
    }

    /// Connects to a server that has it.
    pub fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let stream = TcpStream::connect(address).expect("somebody listens");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let client = ClientConnection::new(Arc::clone(&self.client), name).expect("a client");
        StreamOwned::new(client, stream)
    }
}
