//! A look at something slow, taken again only when the last one is too old; those who ask at the
//! same time share it.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The last look, dated by when it was done.
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
                let started = Instant::now();
                let seen = look.await;
                // As old as its end: whoever queued up while it was taken shares it.
                *last = Some((now + started.elapsed(), seen.clone()));
                seen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_look_longer_than_its_time_is_shared_by_all_who_came_meanwhile() {
        let recent = Recent::new(Duration::from_millis(50));
        let looks = AtomicU32::new(0);
        let ask = |after_ms| {
            let (recent, looks) = (&recent, &looks);
            async move {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                let look = async {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    looks.fetch_add(1, Ordering::SeqCst) + 1
                };
                recent.seen(Instant::now(), look).await
            }
        };
        assert_eq!(tokio::join!(ask(0), ask(100), ask(200), ask(300)), (1, 1, 1, 1));
        assert_eq!(ask(100).await, 2, "too old by then");
    }
}
