//! A real S3 server (s3s-fs) over a scratch folder, and the settings that lead to it.
//!
//! Its objects are files, `<root>/<bucket>/<key>`, so that a test can see what is stored, and put
//! there what a file store holds.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::titles::{Title, copy_folder};
use crate::{encoder, run, scratch};

/// Who may use it.
pub const ACCESS_KEY: &str = "AKIAHEADWATERTESTS01";
/// What must never be in a log.
pub const SECRET_KEY: &str = "thisSecretMustNeverAppearInAnyLog/0123+4";
/// The bucket.
pub const BUCKET: &str = "films";
/// What stands before every key.
pub const PREFIX: &str = "vod/one";

/// A running server. It ends with the process: its thread holds nothing but memory.
#[derive(Debug)]
pub struct Server {
    root: TempDir,
    address: SocketAddr,
}

impl Server {
    /// Starts one with an empty bucket.
    pub fn start() -> Self {
        let root = scratch::folder();
        fs::create_dir_all(root.path().join(BUCKET)).unwrap();
        let address = serve(root.path(), None);
        Self { root, address }
    }

    /// Starts one that holds a copy of a title and speaks TLS, by an authority that nobody else
    /// knows; and that authority's certificate, as PEM.
    pub fn with_tls(title: &Title) -> (Self, String) {
        let root = scratch::folder();
        fs::create_dir_all(root.path().join(BUCKET)).unwrap();
        let (config, authority) = certified();
        let address = serve(root.path(), Some(config));
        let server = Self { root, address };
        title.copy(&server.folder());
        (server, authority)
    }

    /// Starts one that holds a copy of a title.
    pub fn with(title: &Title) -> Self {
        Self::holding(&title.store)
    }

    /// Starts one that holds a copy of a folder's store.
    pub fn holding(store: &Path) -> Self {
        let server = Self::start();
        copy_folder(store, &server.folder());
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder that its bucket's prefix is.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join(BUCKET).join(PREFIX)
    }

    /// What lies beside the bucket: parts of unfinished uploads among it.
    pub fn unfinished(&self) -> Vec<String> {
        let names = fs::read_dir(self.root.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".upload")).collect()
    }

    /// Every object, by its key behind the prefix.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        files(&self.folder(), "", &mut keys);
        keys.sort();
        keys
    }
}

/// How the store is reached, as `[store]` and `[store.s3]` say it; `more` are further lines.
pub fn settings(address: SocketAddr, more: &str) -> String {
    format!(
        "[store]\nurl = \"s3://{BUCKET}/{PREFIX}\"\n[store.s3]\nendpoint = \"http://{address}\"\n\
         path_style = true\n{more}\n"
    )
}

/// The environment with this server's credentials, and without any other's.
pub fn env() -> [(&'static str, &'static str); 5] {
    [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
    ]
}

/// The encoder with these arguments, and a configuration of these tables and a small ladder.
pub fn encoder(folder: &Path, args: &[&str], store: &str, ladder: &str) -> Command {
    let config = folder.join("headwater.toml");
    let work = folder.join("work");
    let text = format!(
        "{store}\n[encoder]\nwork_dir = \"{}\"\npreset = \"ultrafast\"\n{ladder}\n",
        work.display()
    );
    // As a whole: one that was started before may be about to read it.
    let new = tempfile::NamedTempFile::new_in(folder).unwrap();
    fs::write(&new, text).unwrap();
    new.persist(&config).unwrap();
    let mut command = encoder::command(args);
    command.arg("--config").arg(&config).envs(env());
    command
}

/// Runs a command, and gives its exit code and all that it said.
pub fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let output = run::finish(command);
    let text = [output.stdout, output.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
    (output.status.code(), text.concat())
}

/// A certificate for 127.0.0.1 from an authority of its own, and that authority.
fn certified() -> (ServerConfig, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("a certificate");
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .expect("the key is the certificate's");
    (config, authority.pem())
}

/// The service in a thread of its own.
fn serve(root: &Path, tls: Option<ServerConfig>) -> SocketAddr {
    let mut service = S3ServiceBuilder::new(FileSystem::new(root).expect("the folder is there"));
    service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = service.build();
    let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let run = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let (tls, service) = (tls.clone(), service.clone());
            tokio::spawn(async move {
                let Some(stream) = shaken(stream, tls).await else { return };
                // A client that goes away is none of the server's business.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(run);
    });
    address
}

/// The stream, behind TLS where it is wanted; none where the client does not trust it.
async fn shaken(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    Some(Box::new(tls.accept(stream).await.ok()?))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

fn files(folder: &Path, prefix: &str, keys: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let key = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), &format!("{key}/"), keys);
        } else {
            keys.push(key);
        }
    }
}
