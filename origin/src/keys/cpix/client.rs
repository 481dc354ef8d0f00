//! Asks a key server over HTTP/1.1, again after a pause where that may help.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use headwater_config::{KeyProvider, Name};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::keys::{KeyError, Kind, NotReady};
use crate::limits;
use crate::peer::{Broken, Peer};

const XML: HeaderValue = HeaderValue::from_static("application/xml");
/// What a request says beside its secrets.
static FIELDS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_TYPE, XML),
    (ACCEPT, XML),
    (HeaderName::from_static("x-speke-version"), HeaderValue::from_static("2.0")),
];

/// One key server, and how it is asked.
pub(super) struct Client {
    name: Name,
    peer: Peer,
    timeout: Duration,
    retries: u32,
    turns: Semaphore,
    /// The last trouble that was the server's own, and until when it is believed.
    trouble: Mutex<Option<(Instant, KeyError)>>,
}

impl Client {
    pub(super) fn open(name: &Name, settings: &KeyProvider) -> Result<Self, NotReady> {
        let not_ready = |key: &str, detail| NotReady { key: format!("keys.{name}.{key}"), detail };
        let url = settings.url.as_ref().ok_or_else(|| not_ready("url", "is needed".to_owned()))?;
        let peer = Peer::open(url, settings.ca_file(), &settings.header_secrets)
            .map_err(|unready| not_ready(unready.key, unready.detail))?;
        Ok(Self {
            name: name.clone(),
            peer,
            timeout: Duration::from_millis(settings.timeout_ms.into()),
            retries: settings.retries,
            turns: Semaphore::new(limits::KEY_REQUESTS),
            trouble: Mutex::new(None),
        })
    }

    pub(super) fn url(&self) -> &str {
        self.peer.url().as_str()
    }

    /// Whether what one was told holds for the other.
    pub(super) fn is_to_the_same(&self, other: &Self) -> bool {
        // Another tenant's secrets may find other keys.
        self.peer.is_to_the_same(&other.peer)
    }

    pub(super) fn error(&self, kind: Kind, detail: &str) -> KeyError {
        let detail = format!("{}: {detail}", self.peer.url().authority());
        KeyError { kind, provider: self.name.clone(), detail }
    }

    /// Sends a document, again after a pause where that may help; answers the answer's body. A
    /// turn is waited for no longer than an answer is, and a server that nothing could be asked of
    /// a moment ago is left alone: else each viewer would wait through all tries anew.
    pub(super) async fn post(&self, document: String) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.check_trouble(Instant::now())?;
        let turn = tokio::time::timeout(self.timeout, self.turns.acquire()).await;
        let turn = turn.map_err(|_| {
            let waited_ms = self.timeout.as_millis();
            self.error(Kind::Timeout, &format!("no turn to ask within {waited_ms} ms"))
        })?;
        let _turn = turn.expect("turns are never closed");
        self.check_trouble(Instant::now())?;
        let failed = match self.tries(Bytes::from(document)).await {
            Ok(body) => {
                *self.trouble() = None;
                return Ok(body);
            }
            Err(failed) => failed,
        };
        let error = self.error(failed.kind, &failed.detail);
        if failed.for_all {
            *self.trouble() = Some((Instant::now() + limits::KEY_TROUBLE, error.clone()));
        }
        Err(error)
    }

    fn check_trouble(&self, now: Instant) -> Result<(), KeyError> {
        match &*self.trouble() {
            Some((until, error)) if *until > now => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<(Instant, KeyError)>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tries(&self, document: Bytes) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let mut tries = 0;
        loop {
            let outcome = match tokio::time::timeout(self.timeout, self.attempt(&document)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let waited_ms = self.timeout.as_millis();
                    Err(Failed::of_all(Kind::Timeout, format!("no answer within {waited_ms} ms")))
                }
            };
            let failed = match outcome {
                Ok(body) => return Ok(body),
                Err(failed) => failed,
            };
            if !failed.may_pass || tries == self.retries {
                let detail = format!("{} (tried {} times)", failed.detail, tries + 1);
                return Err(Failed { detail, ..failed });
            }
            tokio::time::sleep(pause(tries)).await;
            tries += 1;
        }
    }

    async fn attempt(&self, document: &Bytes) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let answered = self.peer.post(&FIELDS, document.clone(), limits::CPIX_BYTES).await;
        let answered = answered.map_err(|broken| match broken {
            Broken::Connection(detail) => Failed::of_all(Kind::Unavailable, detail),
            Broken::TooLong(detail) => Failed::for_good(Kind::Wrong, detail),
        })?;
        match answered.status {
            StatusCode::OK => Ok(answered.body),
            status => Err(refused(status)),
        }
    }
}

/// Why an attempt came to nothing.
struct Failed {
    kind: Kind,
    detail: String,
    /// Whether another attempt may fare better.
    may_pass: bool,
    /// Whether any other document would have fared the same just now.
    for_all: bool,
}

impl Failed {
    fn again(kind: Kind, detail: String) -> Self {
        Self { kind, detail, may_pass: true, for_all: false }
    }

    fn of_all(kind: Kind, detail: String) -> Self {
        Self { kind, detail, may_pass: true, for_all: true }
    }

    fn for_good(kind: Kind, detail: String) -> Self {
        Self { kind, detail, may_pass: false, for_all: false }
    }
}

fn refused(status: StatusCode) -> Failed {
    let detail = format!("answered {}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failed::of_all(Kind::Unavailable, detail),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failed::for_good(Kind::Denied, detail),
        _ if status.is_server_error() => Failed::again(Kind::Unavailable, detail),
        _ => Failed::for_good(Kind::Wrong, detail),
    }
}

/// A pause that grows, and is another one on each node: half to one and a half of the mean.
fn pause(tries: u32) -> Duration {
    let mean = limits::KEY_RETRY_PAUSE * 2u32.pow(tries.min(limits::KEY_RETRY_DOUBLINGS));
    let chance = RandomState::new().build_hasher().finish() % 1_024;
    mean / 2 + mean.mul_f64(chance as f64 / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        for tries in 0..40 {
            let mean = limits::KEY_RETRY_PAUSE * 2u32.pow(tries.min(limits::KEY_RETRY_DOUBLINGS));
            let pause = pause(tries);
            assert!(pause >= mean / 2 && pause < mean * 3 / 2, "{tries}: {pause:?}");
        }
    }
}
