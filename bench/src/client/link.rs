//! One client's connection: kept while the server keeps it, and opened anew when it does not.
//! A request that was never sent, since the server had closed the kept connection, is sent again on
//! another one, as every client does (RFC 9112 9.3.1). One that was sent is never sent again.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::header::{CONNECTION, HOST, LOCATION, RANGE};
use hyper::{Request, Response};
use tokio::sync::Mutex;
use url::Url;

use super::network::{Network, Place, Sender, Version};
use crate::failure::Failure;
use crate::limits::{MAX_MANIFEST_BYTES, MAX_RECONNECTS};
use crate::manifest::Piece;
use crate::sums::Sum;
use crate::viewer::visit::line_time;

/// A connection of HTTP/2 that several links use.
pub type Shared = Rc<Mutex<Option<http2::SendRequest<Empty<Bytes>>>>>;

/// A request, ready to be sent many times.
#[derive(Clone, Debug)]
pub struct Ask {
    place: Rc<Place>,
    request: Request<Empty<Bytes>>,
}

/// Whether a body is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Summed up and forgotten.
    Sum,
    /// Kept, up to [`MAX_MANIFEST_BYTES`].
    Whole,
}

/// What came back whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Of its body.
    pub sum: Sum,
    /// The body, where it was to be kept.
    pub body: Vec<u8>,
}

/// What came back, and when.
#[derive(Debug)]
pub struct Reply {
    /// When the answer began.
    pub first_byte: Instant,
    /// When it was whole, or had failed.
    pub end: Instant,
    /// The answer, or what went wrong.
    pub result: Result<Answer, (Failure, String)>,
}

/// A client's way to servers.
pub struct Link {
    network: Rc<Network>,
    open: Option<(Rc<Place>, Sender)>,
    shared: Option<Shared>,
}

impl Ask {
    /// A GET of a piece with further header fields.
    pub async fn new(
        network: &Network,
        piece: &Piece,
        fields: &[(&'static str, String)],
    ) -> Result<Self, String> {
        let place = network.place(&piece.url).await?;
        let path = &piece.url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = match network.version {
            Version::H1 => Request::get(path).header(HOST, &place.authority),
            // RFC 9113 8.3.1: scheme and authority are pseudo-header fields.
            Version::H2 => Request::get(format!("{}://{}{path}", place.scheme, place.authority)),
        };
        if let Some(range) = &piece.range {
            let last = range.end.saturating_sub(1);
            request = request.header(RANGE, format!("bytes={}-{last}", range.start));
        }
        for (name, value) in fields {
            request = request.header(*name, value);
        }
        let request =
            request.body(Empty::new()).map_err(|error| format!("{}: {error}", piece.url))?;
        Ok(Self { place, request })
    }

    /// A GET of a whole resource.
    pub async fn of(network: &Network, url: &Url) -> Result<Self, String> {
        Self::new(network, &Piece { url: url.clone(), range: None }, &[]).await
    }
}

impl Link {
    /// A connection of its own.
    pub fn own(network: &Rc<Network>) -> Self {
        Self { network: Rc::clone(network), open: None, shared: None }
    }

    /// A part in a connection of HTTP/2, to one server.
    pub fn sharing(network: &Rc<Network>, shared: &Shared) -> Self {
        Self { network: Rc::clone(network), open: None, shared: Some(Rc::clone(shared)) }
    }

    /// Sends a request and reads the answer, at most at `bytes_per_s`.
    pub async fn get(&mut self, ask: &Ask, keep: Keep, bytes_per_s: Option<f64>) -> Reply {
        let timeout = self.network.timeout;
        let mut first_byte = None;
        let got =
            tokio::time::timeout(timeout, self.exchange(ask, keep, bytes_per_s, &mut first_byte));
        let result = got.await.unwrap_or_else(|_| {
            Err((Failure::Timeout, format!("nothing whole after {} s", timeout.as_secs_f64())))
        });
        let end = Instant::now();
        Reply { first_byte: first_byte.unwrap_or(end), end, result }
    }

    async fn exchange(
        &mut self,
        ask: &Ask,
        keep: Keep,
        bytes_per_s: Option<f64>,
        first_byte: &mut Option<Instant>,
    ) -> Result<Answer, (Failure, String)> {
        // Each turn but the last finds a connection that the server had closed before.
        for _ in 0..MAX_RECONNECTS {
            let sender = self.sender(&ask.place).await.map_err(|what| (Failure::Connect, what))?;
            let Some(mut sender) = sender else { continue };
            let request = ask.request.clone();
            let sent = match &mut sender {
                Sender::H1(sender) => sender.try_send_request(request).await,
                Sender::H2(sender) => sender.try_send_request(request).await,
            };
            match sent {
                Ok(response) => {
                    *first_byte = Some(Instant::now());
                    return self.read(ask, response, sender, keep, bytes_per_s).await;
                }
                Err(mut error) => {
                    if error.take_message().is_none() {
                        return Err((Failure::NoAnswer, chain(error.error())));
                    }
                }
            }
        }
        Err((Failure::Connect, "connections were closed before a request could be sent".to_owned()))
    }

    /// The connection, or a new one; `None` if the server has closed the kept one.
    async fn sender(&mut self, place: &Rc<Place>) -> Result<Option<Sender>, String> {
        let Some(shared) = self.shared.clone() else {
            let mut sender = match self.open.take() {
                Some((known, sender)) if Rc::ptr_eq(&known, place) => sender,
                _ => self.network.connect(place).await?,
            };
            return Ok(ready(&mut sender).await.then_some(sender));
        };
        // Who comes while it is being opened waits here, and shares it.
        let mut held = shared.lock().await;
        let mut sender = match held.as_ref() {
            Some(sender) => Sender::H2(sender.clone()),
            None => self.network.connect(place).await?,
        };
        if !ready(&mut sender).await {
            *held = None;
            return Ok(None);
        }
        if let Sender::H2(sender) = &sender
            && !self.network.fresh
        {
            *held = Some(sender.clone());
        }
        Ok(Some(sender))
    }

    async fn read(
        &mut self,
        ask: &Ask,
        response: Response<Incoming>,
        sender: Sender,
        keep: Keep,
        bytes_per_s: Option<f64>,
    ) -> Result<Answer, (Failure, String)> {
        let (head, mut body) = response.into_parts();
        let began = Instant::now();
        let location = head.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let mut answer = Answer {
            status: head.status.as_u16(),
            location: location.map(str::to_owned),
            sum: Sum::default(),
            body: Vec::new(),
        };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let got = answer.sum.len_bytes;
                (Failure::CutBody, format!("after {got} bytes: {}", chain(&error)))
            })?;
            let Some(data) = frame.data_ref() else { continue };
            answer.sum = answer.sum.with(data);
            if keep == Keep::Whole {
                if answer.body.len() + data.len() > MAX_MANIFEST_BYTES {
                    let what = format!("longer than {MAX_MANIFEST_BYTES} bytes");
                    return Err((Failure::Manifest, what));
                }
                answer.body.extend_from_slice(data);
            }
            if let Some(bytes_per_s) = bytes_per_s {
                let due = began + line_time(bytes_per_s, answer.sum.len_bytes);
                tokio::time::sleep_until(due.into()).await;
            }
        }
        let closes = head.headers.get(CONNECTION).is_some_and(|value| value == "close");
        if self.shared.is_none() && !closes && !self.network.fresh {
            self.open = Some((Rc::clone(&ask.place), sender));
        }
        Ok(answer)
    }
}

async fn ready(sender: &mut Sender) -> bool {
    match sender {
        Sender::H1(sender) => sender.ready().await.is_ok(),
        Sender::H2(sender) => sender.ready().await.is_ok(),
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
