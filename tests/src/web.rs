//! A client of the origin that follows relative URLs as a player does.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::HeaderMap;

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body; empty for HEAD.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header field's value, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("our header fields are plain text"))
    }

    /// Content-Length as a number.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    /// The `error` of a failure's body.
    pub fn error(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{}: a failure's body is JSON: {e}", self.status));
        assert!(body["detail"].is_string(), "{body}");
        body["error"].as_str().expect("a failure has a name").to_owned()
    }

    /// Whether no cache may keep it.
    pub fn is_no_store(&self) -> bool {
        self.header("cache-control") == Some("no-store")
    }
}

/// An origin's address; paths begin with `/`.
#[derive(Clone, Debug)]
pub struct Web {
    base: String,
}

impl Web {
    /// The origin at `http://127.0.0.1:<port>`.
    pub fn new(port: u16) -> Self {
        Self { base: format!("http://127.0.0.1:{port}") }
    }

    /// The whole URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[])
    }

    /// GET of something that is there.
    pub fn body(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    /// GET of a text that is there.
    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.body(path)).expect("a text")
    }

    /// The status of a GET; `None` while nobody answers.
    pub fn status(&self, path: &str) -> Option<u16> {
        let answer = client().get(self.url(path)).send().ok()?;
        Some(answer.status().as_u16())
    }

    /// GET with header fields.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, path, headers)
    }

    /// Any method, any header fields.
    pub fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = client().request(method, self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::send(path, request)
    }

    /// POST of a text.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        Self::send(path, client().post(self.url(path)).body(body.to_owned()))
    }

    fn send(path: &str, request: RequestBuilder) -> Answer {
        let answer = request.send().unwrap_or_else(|e| panic!("{path}: {e}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().unwrap_or_else(|e| panic!("{path}: {e}")).to_vec();
        Answer { status, headers, body }
    }
}

/// The path that a relative URI in a manifest leads to.
pub fn follow(manifest_path: &str, uri: &str) -> String {
    assert!(
        !uri.starts_with('/') && !uri.contains("://"),
        "{manifest_path}: {uri} is not relative"
    );
    let folder = manifest_path.rfind('/').expect("paths begin with a slash");
    format!("{}/{uri}", &manifest_path[..folder])
}

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let builder = Client::builder().timeout(Duration::from_secs(20)).no_proxy();
        builder.build().expect("a plain HTTP client")
    })
}
