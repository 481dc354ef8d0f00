//! Why the service does not start, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::SecretError;
use crate::keys;
use crate::profile::NotReady;
use crate::store::StoreError;
use crate::telemetry;
use crate::tls::CertificateError;
use crate::upgrade::BadOffer;

/// Why the service does not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The store's folder does not exist.
    NoFolder(PathBuf),
    /// A profile lacks a secret.
    Profile(NotReady),
    /// What is needed to reach the store cannot be read.
    Store(StoreError),
    /// A key of tokens cannot be had.
    Tokens(SecretError),
    /// A provider of keys lacks what its keys are made of.
    Keys(keys::NotReady),
    /// The access log cannot be opened.
    AccessLog(String, io::Error),
    /// Spans cannot be sent.
    Telemetry(telemetry::NotReady),
    /// A certificate cannot be shown.
    Certificate(CertificateError),
    /// There is nothing to take over.
    Offer(BadOffer),
    /// The store does not answer, and a running process serves.
    Unready(StoreError),
    /// The running process did not hand over.
    Unwanted(io::Error),
    /// Pingora does not accept.
    Pingora,
    /// The system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "{address} is in use: stop what listens there, or set `origin.listen` or \
                 `origin.admin_listen` to another address"
            ),
            Self::Listen(address, error) => write!(
                f,
                "cannot listen on {address}: {error}; check `origin.listen` and \
                 `origin.admin_listen`"
            ),
            Self::NoFolder(folder) => write!(
                f,
                "`store.url` = {}: no such folder; create it, run `headwater-encoder encode` to \
                 put a title there, or name another one",
                folder.display()
            ),
            Self::Profile(not_ready) => write!(f, "{not_ready}"),
            Self::Store(error) => f.write_str(&error.detail),
            Self::Tokens(error) => write!(f, "`origin.tokens`: {error}"),
            Self::Keys(not_ready) => write!(f, "{not_ready}"),
            Self::AccessLog(path, error) => write!(
                f,
                "cannot open the access log {path}: {error}; make its folder writable, or set \
                 `origin.access_log` to \"stdout\" or \"off\""
            ),
            Self::Telemetry(not_ready) => write!(f, "{not_ready}"),
            Self::Certificate(error) => write!(f, "{error}"),
            Self::Offer(error) => write!(f, "{error}"),
            Self::Unready(error) => write!(
                f,
                "the store does not answer: {}; the running process goes on with what it holds",
                error.detail
            ),
            Self::Unwanted(error) => write!(
                f,
                "the running process did not hand over ({error}): it was stopped, or did not wait \
                 longer than its `origin.upgrade_timeout_s`"
            ),
            Self::Pingora => f.write_str("the listeners cannot be used; the log says why"),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
