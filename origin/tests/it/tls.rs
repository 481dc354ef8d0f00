//! TLS: what is shown to whom, what is negotiated, and how certificates change.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use headwater_config::{Certificate, Tls as Settings, TlsVersion};
use headwater_origin::adapter::{Door, Terms};
use http::Method;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Stored, skip};
use crate::net::{
    Certificates, TERMS, Wired, ask, client_config, h2_over, tls_to, until, wired_behind,
};

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];
const TLS_DOOR: Door = Door { proxy: false, tls: true };

fn settings(certificates: Vec<Certificate>) -> Settings {
    Settings { certificates, ..Settings::default() }
}

fn wired_with(stored: &Stored, settings: &Settings) -> Wired {
    wired_behind(stored, TERMS, TLS_DOOR, Some(settings))
}

fn handshakes(wired: &Wired, outcome: &str) -> u64 {
    wired.origin.counted(&format!("tls_handshakes_total{{outcome=\"{outcome}\"}}"))
}

/// One request in HTTP/1.1 over whatever stream; the whole of what comes back.
async fn get<S>(mut stream: S, path: &str) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_it_asks_for() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let a = files.write("a", &["a.example", "also-a.example"], 90);
    let wild = files.write("wild", &["*.b.example"], 90);
    let exact = files.write("exact", &["one.b.example", "A.example"], 90);
    let wired = wired_with(&stored, &settings(vec![a.clone(), wild.clone(), exact.clone()]));
    wired.runtime.block_on(async {
        for (name, shown) in [
            ("a.example", Some(&a)),
            ("A.EXAMPLE", Some(&a)),
            ("also-a.example", Some(&a)),
            ("one.b.example", Some(&exact)),
            ("two.b.example", Some(&wild)),
            // No certificate has this name, so no client believes the first one, which is shown.
            ("deep.two.b.example", None),
            ("c.example", None),
        ] {
            for certificate in [&a, &wild, &exact] {
                let believes = client_config(&[certificate], &[], BOTH);
                let connected = tls_to(wired.address, &believes, name).await;
                let wanted = shown.is_some_and(|shown| shown == certificate);
                assert_eq!(connected.is_ok(), wanted, "{name} {:?}", certificate.cert);
            }
        }
    });
}

#[test]
fn versions_and_protocols_are_negotiated() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let a = files.write("a", &["a.example"], 90);
    let old_too = wired_with(&stored, &settings(vec![a.clone()]));
    let only_new = Settings { min_version: TlsVersion::V1_3, ..settings(vec![a.clone()]) };
    let only_new = wired_with(&stored, &only_new);
    old_too.runtime.block_on(async {
        for versions in [&[&TLS12][..], &[&TLS13], BOTH] {
            let config = client_config(&[&a], &["h2", "http/1.1"], versions);
            let stream = tls_to(old_too.address, &config, "a.example").await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let newest = if versions.contains(&&TLS13) {
                ProtocolVersion::TLSv1_3
            } else {
                ProtocolVersion::TLSv1_2
            };
            assert_eq!(stream.get_ref().1.protocol_version(), Some(newest));
            let client = h2_over(stream).await;
            let master = ask(&client, Method::GET, "/clear/movie/master.m3u8").await.unwrap();
            assert!(master.status == 200 && master.body.starts_with(b"#EXTM3U"));
            let refused = tls_to(only_new.address, &config, "a.example").await.is_err();
            assert_eq!(refused, newest == ProtocolVersion::TLSv1_2);
        }
        for alpn in [&[][..], &["http/1.1"]] {
            let config = client_config(&[&a], alpn, BOTH);
            let stream = tls_to(old_too.address, &config, "a.example").await.unwrap();
            let answer = get(stream, "/healthz").await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
        }
        let strange = client_config(&[&a], &["h3"], BOTH);
        assert!(tls_to(old_too.address, &strange, "a.example").await.is_err());
    });
    until("failures are counted", || {
        (handshakes(&old_too, "failed"), handshakes(&only_new, "failed")) == (1, 1)
    });
    let protocols = |name: &str| {
        old_too.origin.counted(&format!("connection_protocols_total{{protocol=\"{name}\"}}"))
    };
    assert_eq!((protocols("h2"), protocols("http/1.1")), (3, 2));
}

#[test]
fn sessions_are_resumed_also_after_a_change_of_certificates() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let a = files.write("a", &["a.example"], 90);
    let settings = settings(vec![a.clone()]);
    let wired = wired_with(&stored, &settings);
    wired.runtime.block_on(async {
        for versions in [&[&TLS12][..], &[&TLS13]] {
            let config = client_config(&[&a], &[], versions);
            for _ in 0..3 {
                let stream = tls_to(wired.address, &config, "a.example").await.unwrap();
                get(stream, "/healthz").await;
                wired.tls.as_ref().unwrap().read_again(&settings).unwrap();
            }
        }
    });
    assert_eq!((handshakes(&wired, "full"), handshakes(&wired, "resumed")), (2, 4));
}

#[test]
fn certificates_change_under_living_connections_and_bad_ones_do_not() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let old = files.write("old", &["a.example"], 90);
    let other = files.write("other", &["a.example"], 60);
    // What the client keeps of the first, whose file is about to change.
    let believes_old = client_config(&[&old], &["h2"], BOTH);
    let settings = settings(vec![old.clone()]);
    let wired = wired_with(&stored, &settings);
    let tls = wired.tls.as_ref().unwrap();
    wired.runtime.block_on(async {
        let living = tls_to(wired.address, &believes_old, "a.example").await.unwrap();
        let living = h2_over(living).await;
        let good = std::fs::read(&old.cert).unwrap();
        let refusals: [(&str, Vec<u8>, &str); 4] = [
            ("another key's", std::fs::read(&other.cert).unwrap(), "old.key: not the key of"),
            ("half a file", good[..good.len() / 2].to_vec(), "old.pem: no PEM certificate"),
            (
                "no certificate",
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
                "old.pem: no X.509",
            ),
            ("a flood", vec![b'\n'; 300 * 1024], "old.pem: more than"),
        ];
        for (name, bytes, said) in refusals {
            std::fs::write(&old.cert, bytes).unwrap();
            let refused = tls.read_again(&settings).unwrap_err().to_string();
            assert!(refused.contains(said), "{name}: {refused}");
            assert!(tls_to(wired.address, &believes_old, "a.example").await.is_ok(), "{name}");
        }
        std::fs::copy(&other.cert, &old.cert).unwrap();
        std::fs::copy(&other.key, &old.key).unwrap();
        tls.read_again(&settings).unwrap();
        let fresh = client_config(&[&other], &["h2"], BOTH);
        assert!(tls_to(wired.address, &fresh, "a.example").await.is_ok());
        assert_eq!(ask(&living, Method::GET, "/healthz").await.unwrap().status, 200);
    });
    let reads = |outcome: &str| {
        wired.origin.counted(&format!("tls_certificate_reads_total{{outcome=\"{outcome}\"}}"))
    };
    assert_eq!((reads("taken"), reads("refused")), (2, 4));
    let file = old.cert.display();
    let expiry =
        wired.origin.counted(&format!("tls_certificate_expiry_seconds{{cert=\"{file}\"}}"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((expiry - now).abs_diff(60 * 86_400) < 3_600, "{expiry}");
}

#[test]
fn a_handshake_has_its_time_and_no_more() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let a = files.write("a", &["a.example"], 90);
    let terms = Terms { handshake_timeout: Duration::from_millis(500), ..TERMS };
    let wired = wired_behind(&stored, terms, TLS_DOOR, Some(&settings(vec![a])));
    wired.runtime.block_on(async {
        for sent in [&b""[..], b"\x16\x03\x01"] {
            let mut stream = TcpStream::connect(wired.address).await.unwrap();
            stream.write_all(sent).await.unwrap();
            assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0);
        }
        let mut plain = TcpStream::connect(wired.address).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let _ = plain.read_to_end(&mut Vec::new()).await;
    });
    until("both are counted", || {
        (handshakes(&wired, "timeout"), handshakes(&wired, "failed")) == (2, 1)
    });
}

/// curl and nghttp are other people's clients.
#[test]
fn curl_and_nghttp_speak_to_it() {
    let (stored, files) = (Stored::with_movie(), Certificates::new());
    let a = files.write("a", &["localhost"], 90);
    let tls = wired_with(&stored, &settings(vec![a.clone()]));
    let plain = wired_behind(&stored, TERMS, Door::default(), None);
    let cacert = a.cert.display().to_string();
    let segment = format!("{}v720/1.m4s", tls.origin.base());
    let wanted = stored.track("v720").segment(1);
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().ok().map(|output| {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
            output.stdout
        })
    };
    let address = |wired: &Wired, scheme: &str| {
        format!("{scheme}://localhost:{}{segment}", wired.address.port())
    };
    let (secure, clear) = (address(&tls, "https"), address(&plain, "http"));
    let said = ["-s", "--cacert", &cacert, "-w", "\n%{http_version} %{http_code}"];
    let cases: HashMap<&str, (Vec<&str>, &str)> = HashMap::from([
        ("h1", (vec!["--http1.1", clear.as_str()], "1.1 200")),
        ("h2c", (vec!["--http2-prior-knowledge", clear.as_str()], "2 200")),
        ("h1 TLS 1.2", (vec!["--http1.1", "--tls-max", "1.2", secure.as_str()], "1.1 200")),
        ("h2 TLS 1.3", (vec!["--http2", "--tlsv1.3", secure.as_str()], "2 200")),
    ]);
    for (name, (arguments, ending)) in cases {
        let Some(got) = run("curl", &[&said[..], &arguments].concat()) else {
            skip("curl is not here");
            return;
        };
        let wanted = [&wanted[..], b"\n", ending.as_bytes()].concat();
        assert!(got == wanted, "{name}: {}", String::from_utf8_lossy(&got[got.len() - 20..]));
    }
    for url in [&secure, &clear] {
        let Some(got) = run("nghttp", &["--no-verify-peer", url]) else {
            skip("nghttp is not here");
            return;
        };
        assert!(got == wanted, "nghttp {url}");
    }
}
