//! A look at something slow, taken again only when the last one is too old; those who ask at the
//! same time share it.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The last look.
#[derive(Debug)]
pub struct Recent<T> {
    ttl: Duration,
    last: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Recent<T> {
    /// Nothing was seen yet; a look lasts for `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, last: Mutex::new(None) }
    }

    /// The last look if it is recent enough, or else a new one.
    pub async fn seen(&self, now: Instant, look: impl Future<Output = T>) -> T {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, seen)) if now.duration_since(*at) < self.ttl => seen.clone(),
            _ => {
                let seen = look.await;
                *last = Some((now, seen.clone()));
                seen
            }
        }
    }
}
