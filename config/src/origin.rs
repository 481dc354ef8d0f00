//! `[origin]`: the HTTP service, its caches, limits and logs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::telemetry::Telemetry;
use crate::tokens::Tokens;

use crate::caches::{Cache, Prefetch, WarmUp};
use crate::limits::MAX_NODE_NAME_BYTES;
use crate::{Network, Tls};

/// `[origin]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Origin {
    /// Addresses that players and CDNs ask; `/healthz` and `/readyz` answer here too.
    pub listen: Vec<SocketAddr>,
    /// Listeners on which each connection begins with a PROXY header.
    pub proxy_protocol: Vec<SocketAddr>,
    /// Address of `/metrics`. Loopback unless the network around it is trusted.
    pub admin_listen: SocketAddr,
    /// Who may purge and warm up there, beside the machine itself.
    pub admin_from: Vec<Network>,
    /// Whether `/` and `/titles.json` are served: every title that needs no token is listed.
    pub page: bool,
    /// What `Cache-Status` and `CDN-Loop` call this service.
    pub name: NodeName,
    /// Whose word on a client's address and a request's id is taken.
    pub trusted_proxies: Vec<Network>,
    /// Where those proxies write the client's address.
    pub forwarded_header: ForwardedHeader,
    /// Whether manifests and other texts are sent as gzip to those who accept it.
    pub gzip: bool,
    /// The headers that name a response's title, version and profile, for purges.
    pub cache_tags: Vec<CacheTags>,
    /// Threads that serve; 0 is one for each core.
    pub workers: u32,
    /// Seconds that running responses are given to end after a stop was asked for.
    pub grace_s: u32,
    /// Seconds until a process that is to take over must serve.
    pub upgrade_timeout_s: u32,
    /// Where the access log goes, one JSON object a line.
    pub access_log: AccessLog,
    /// The least level of the service's own log.
    pub log_level: LogLevel,
    /// Listeners that speak TLS.
    pub tls: Tls,
    /// What is kept in memory.
    pub cache: Cache,
    /// What is made before it is asked for.
    pub prefetch: Prefetch,
    /// Titles that are made ready at a start and a reload.
    pub warm_up: WarmUp,
    /// What a client may take.
    pub limits: Limits,
    /// How the store is read.
    pub store: StoreReads,
    /// Spans for a collector.
    pub telemetry: Telemetry,
    /// What viewers show to protected profiles.
    pub tokens: Tokens,
}

/// `[origin.limits]`: one connection's and one request's share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Seconds from a request's first byte to the end of its header.
    pub header_timeout_s: u32,
    /// Seconds that a kept-alive connection may stay silent.
    pub idle_timeout_s: u32,
    /// Seconds that a client may take no byte of a response that waits for it.
    pub write_timeout_s: u32,
    /// Bytes of a request's header, request line included.
    pub max_header_bytes: u32,
    /// Fields in a request's header.
    pub max_headers: u32,
    /// Bytes of a request's path and query; longer is a 414.
    pub max_uri_bytes: u32,
    /// Connections at one time; a further one is closed at once.
    pub max_connections: u32,
    /// Requests at one time on an HTTP/2 connection.
    pub max_streams: u32,
    /// KiB a second that a client takes at least of a response that waits for it; 0 sets no floor.
    pub min_send_kib_s: u32,
    /// MiB of segments that are being read or sent beside what the response cache holds.
    pub max_body_mib: u32,
    /// Responses that are being made at one time; others wait their turn.
    pub max_concurrent_fills: u32,
    /// Responses that wait for it; a further one is refused at once.
    pub max_waiting_fills: u32,
    /// Milliseconds that a response waits for its turn at most.
    pub fill_wait_ms: u32,
    /// How late the serving threads may be, in milliseconds, for a while; 0 for no limit.
    pub max_lag_ms: u32,
    /// Requests of one client's address that are being answered at one time; 0 sets no limit.
    pub max_client_requests: u32,
    /// Connections of one address at one time; 0 sets no limit.
    pub max_client_connections: u32,
}

/// `[origin.store]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreReads {
    /// Milliseconds for one ranged read; a slower one is a 504.
    pub read_timeout_ms: u32,
    /// Reads at one time, over all requests; the others wait their turn.
    pub max_concurrent_reads: u32,
    /// Reads that wait for it; a further one is refused at once.
    pub max_waiting_reads: u32,
    /// Milliseconds that a read waits for its turn at most.
    pub read_wait_ms: u32,
}

/// Where the access log goes: `"stdout"`, `"off"`, or the path of a file that is appended to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(from = "String", into = "String")]
pub enum AccessLog {
    /// Standard output.
    #[default]
    Stdout,
    /// Not written.
    Off,
    /// Appended to this file.
    File(PathBuf),
}

/// A token (RFC 9110 5.6.2) or host name that tells one cache from another: a letter, then
/// letters, digits, `.` and `-`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

impl NodeName {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NodeName {
    fn default() -> Self {
        Self("headwater".to_owned())
    }
}

impl TryFrom<String> for NodeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if starts && text.len() <= MAX_NODE_NAME_BYTES && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(format!(
                "`{text}` is no name of a cache: a letter, then a-z, 0-9, '.' and '-', at most {MAX_NODE_NAME_BYTES} in all"
            ))
        }
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

/// Where trusted proxies write the client's address. Only one is read: a proxy that adds to one of
/// them hands on whatever a client wrote into the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// A header that caches purge by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheTags {
    /// `Surrogate-Key`, separated by spaces: Fastly, Varnish.
    SurrogateKey,
    /// `Cache-Tag`, separated by commas: Cloudflare, Google.
    CacheTag,
    /// `Edge-Cache-Tag`, separated by commas: Akamai.
    EdgeCacheTag,
}

/// The least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs a person.
    Error,
    /// What may soon need one.
    Warn,
    /// Starts, stops and changes.
    #[default]
    Info,
    /// Each request's way.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word in the file, which is also `tracing`'s.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))],
            proxy_protocol: Vec::new(),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            admin_from: Vec::new(),
            page: false,
            name: NodeName::default(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            gzip: true,
            cache_tags: Vec::new(),
            workers: 0,
            grace_s: 30,
            upgrade_timeout_s: 60,
            access_log: AccessLog::default(),
            log_level: LogLevel::default(),
            tls: Tls::default(),
            cache: Cache::default(),
            prefetch: Prefetch::default(),
            warm_up: WarmUp::default(),
            limits: Limits::default(),
            store: StoreReads::default(),
            telemetry: Telemetry::default(),
            tokens: Tokens::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout_s: 10,
            idle_timeout_s: 75,
            write_timeout_s: 30,
            max_header_bytes: 16_384,
            max_headers: 64,
            max_uri_bytes: 4_096,
            max_connections: 16_384,
            max_streams: 128,
            min_send_kib_s: 4,
            max_body_mib: 1_024,
            max_concurrent_fills: 256,
            max_waiting_fills: 4_096,
            fill_wait_ms: 1_000,
            max_lag_ms: 0,
            max_client_requests: 0,
            max_client_connections: 0,
        }
    }
}

impl Default for StoreReads {
    fn default() -> Self {
        Self {
            read_timeout_ms: 5_000,
            max_concurrent_reads: 256,
            max_waiting_reads: 4_096,
            read_wait_ms: 2_000,
        }
    }
}

impl From<String> for AccessLog {
    fn from(text: String) -> Self {
        match text.as_str() {
            "stdout" => Self::Stdout,
            "off" => Self::Off,
            _ => Self::File(PathBuf::from(text)),
        }
    }
}

impl From<AccessLog> for String {
    fn from(log: AccessLog) -> Self {
        match log {
            AccessLog::Stdout => "stdout".to_owned(),
            AccessLog::Off => "off".to_owned(),
            AccessLog::File(path) => path.display().to_string(),
        }
    }
}
