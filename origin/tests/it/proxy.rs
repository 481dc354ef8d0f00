//! PROXY headers on the wire: who is believed, and what becomes of the rest.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_config::Config;
use headwater_origin::adapter::{Door, Terms};
use http::Method;
use rustls::version::TLS13;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Client, Stored};
use crate::net::{
    Certificates, TERMS, Wired, ask, client_config, h2_over, until, wired_behind, wired_logging,
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc6\x33\x64\x01\xdc\x04\x01\xbb";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const PROXY_DOOR: Door = Door { proxy: true, tls: false };

fn trusting(network: &str) -> Terms {
    Terms { trusted_proxies: vec![network.parse().unwrap()], ..TERMS }
}

/// The addresses in the access log, in order.
fn remotes(log: &Path, count: usize) -> Vec<String> {
    let lines = || fs::read_to_string(log).unwrap_or_default();
    until("requests are logged", || lines().lines().count() >= count);
    let remote = |line: &str| -> String {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        json["remote"].as_str().unwrap().to_owned()
    };
    lines().lines().map(remote).collect()
}

fn logging(stored: &Stored) -> (Config, PathBuf) {
    let log = stored.folder.path().join("access.log");
    let mut config = stored.config("");
    config.origin.access_log = headwater_config::AccessLog::File(log.clone());
    (config, log)
}

#[test]
fn the_client_is_who_the_header_says() {
    let stored = Stored::with_movie();
    let (config, log) = logging(&stored);
    let wired = wired_logging(&config, trusting("127.0.0.0/8"), PROXY_DOOR, None);
    for header in [V1, V2, LOCAL] {
        let mut client = Client::connect(wired.address);
        client.0.write_all(header).unwrap();
        // Twice: the header stands before the connection, not before each request.
        assert_eq!(client.ask("GET", "/healthz").status, 200);
        assert_eq!(client.ask("GET", "/healthz").status, 200);
    }
    // A byte at a time, and HTTP/2 behind it.
    wired.runtime.block_on(async {
        let mut stream = TcpStream::connect(wired.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in V2 {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let client = h2_over(stream).await;
        assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
    });
    let own = "127.0.0.1";
    let wanted = ["192.0.2.7", "192.0.2.7", "192.0.2.8", "192.0.2.8", own, own, "192.0.2.8"];
    assert_eq!(remotes(&log, 7), wanted);
}

#[test]
fn the_header_stands_before_the_handshake() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let a = files.write("a", &["a.example"], 90);
    let (config, log) = logging(&stored);
    let tls = headwater_config::Tls { certificates: vec![a.clone()], ..Default::default() };
    let door = Door { proxy: true, tls: true };
    let wired = wired_logging(&config, trusting("127.0.0.1"), door, Some(&tls));
    wired.runtime.block_on(async {
        let mut stream = TcpStream::connect(wired.address).await.unwrap();
        stream.write_all(V1).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(client_config(&[&a], &["h2"], &[&TLS13]));
        let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
        let client = h2_over(connector.connect(name, stream).await.unwrap()).await;
        assert_eq!(ask(&client, Method::GET, "/healthz").await.unwrap().status, 200);
    });
    assert_eq!(remotes(&log, 1), ["192.0.2.7"]);
}

fn refused(wired: &Wired, sent: &[u8], fault: &str) {
    let before = wired.faults(fault);
    wired.runtime.block_on(async {
        let mut stream = TcpStream::connect(wired.address).await.unwrap();
        let _ = stream.write_all(sent).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{fault}: {}", String::from_utf8_lossy(&answer));
    });
    until(fault, || wired.faults(fault) == before + 1);
}

#[test]
fn who_is_not_trusted_or_sends_no_header_is_not_served() {
    let stored = Stored::with_movie();
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let with_header = [V1, request].concat();
    let strict = wired_behind(&stored, trusting("10.0.0.0/8"), PROXY_DOOR, None);
    refused(&strict, &with_header, "proxy_untrusted");
    let terms = Terms { header_timeout: Duration::from_millis(500), ..trusting("127.0.0.1") };
    let wired = wired_behind(&stored, terms, PROXY_DOOR, None);
    refused(&wired, request, "proxy_malformed");
    refused(&wired, &V1[..20], "header_timeout");
    // Without such a door the header is no request, whoever sends it.
    let plain = wired_behind(&stored, trusting("127.0.0.1"), Door::default(), None);
    let mut client = Client::connect(plain.address);
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n\r\n");
    assert_eq!(client.read(false).status, 400);
}
