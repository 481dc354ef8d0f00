//! A collector: takes spans over HTTP/1.1 and reads them with OpenTelemetry's own types.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use headwater_config::{Certificate, Telemetry};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::common::Origin;
use crate::net::until;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Takes the spans.
    Well,
    /// Takes all but so many.
    Rejects(i64),
    /// Answers this status and these fields.
    Says(u16, &'static str),
    /// Answers 200 and this.
    Page(&'static [u8]),
    /// Says nothing until the client has gone.
    Silent,
    /// Answers 200 and never ends.
    Endless,
    /// Closes without a word.
    Hangs,
}

pub struct Collector {
    pub port: u16,
    modes: Arc<Mutex<Vec<Mode>>>,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request to it.
#[derive(Clone)]
pub struct Asked {
    pub head: String,
    pub body: Vec<u8>,
}

impl Collector {
    /// Does as the modes say, one a request; the last one stays.
    pub fn start(modes: &[Mode]) -> Self {
        Self::with(modes, None)
    }

    /// The same over TLS, with this certificate.
    pub fn over_tls(certificate: &Certificate) -> Self {
        let chain = vec![CertificateDer::from_pem_file(&certificate.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::with(&[Mode::Well], Some(Arc::new(config)))
    }

    fn with(modes: &[Mode], tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Self {
            port: listener.local_addr().unwrap().port(),
            modes: Arc::new(Mutex::new(modes.to_vec())),
            asked: Arc::default(),
        };
        let (modes, asked) = (Arc::clone(&collector.modes), Arc::clone(&collector.asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (modes, asked, tls) = (Arc::clone(&modes), Arc::clone(&asked), tls.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    match tls {
                        None => serve(stream, &modes, &asked),
                        Some(config) => {
                            let session = rustls::ServerConnection::new(config).unwrap();
                            serve(rustls::StreamOwned::new(session, stream), &modes, &asked);
                        }
                    }
                });
            }
        });
        collector
    }

    pub fn be(&self, mode: Mode) {
        *self.modes.lock().unwrap() = vec![mode];
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Every request is traced, and sent soon.
    pub fn settings(&self) -> Telemetry {
        Telemetry {
            endpoint: Some(format!("http://127.0.0.1:{}/v1/traces", self.port).parse().unwrap()),
            sample_per_million: 1_000_000,
            batch_wait_ms: 10,
            ..Telemetry::default()
        }
    }

    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let asked = self.asked.lock().unwrap();
        let decode = |asked: &Asked| ExportTraceServiceRequest::decode(&asked.body[..]).unwrap();
        asked.iter().map(decode).collect()
    }

    /// All spans that came.
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.requests().into_iter();
        let resources = requests.flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Those of requests, once there are so many.
    pub fn servers(&self, wanted: usize) -> Vec<Span> {
        let servers = || self.spans().into_iter().filter(|span| span.kind == 2);
        until("spans of requests", || servers().count() >= wanted);
        servers().collect()
    }
}

fn serve(stream: impl Read + Write, modes: &Mutex<Vec<Mode>>, asked: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let mode = {
        let mut modes = modes.lock().unwrap();
        if modes.len() > 1 { modes.remove(0) } else { modes[0].clone() }
    };
    asked.lock().unwrap().push(Asked { head, body });
    let mut stream = reader.into_inner();
    let mut say = |head: &str, body: &[u8]| {
        let length = body.len();
        let _ = write!(stream, "HTTP/1.1 {head}content-length: {length}\r\n\r\n");
        let _ = stream.write_all(body).and_then(|()| stream.flush());
    };
    match mode {
        Mode::Well => say("200 X\r\n", b""),
        Mode::Rejects(rejected_spans) => {
            let partial =
                ExportTracePartialSuccess { rejected_spans, error_message: "too old".to_owned() };
            let answer = ExportTraceServiceResponse { partial_success: Some(partial) };
            say("200 X\r\n", &answer.encode_to_vec());
        }
        Mode::Says(status, fields) => say(&format!("{status} X\r\n{fields}"), b""),
        Mode::Page(body) => say("200 X\r\n", body),
        Mode::Silent => {
            // Ends when the client hangs up.
            let _ = stream.read(&mut [0]);
        }
        Mode::Endless => {
            let _ = write!(stream, "HTTP/1.1 200 X\r\n\r\n");
            while stream.write_all(&[0; 4096]).is_ok() {}
        }
        Mode::Hangs => {}
    }
}

/// Attributes as text by name, each once.
pub fn attributes(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref() {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", attribute.key),
    };
    let all: BTreeMap<_, _> = attributes.iter().map(|a| (a.key.as_str(), text(a))).collect();
    assert_eq!(all.len(), attributes.len(), "a name stands there twice");
    all
}

pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What became of spans.
pub fn spans_of(origin: &Origin, outcome: &str) -> u64 {
    origin.counted(&format!("telemetry_spans_total{{outcome=\"{outcome}\"}}"))
}
