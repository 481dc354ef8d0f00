//! Segments that are encrypted whole (`aes-128`), those of several requests side by side. A segment is
//! one chain, in which a block waits for the block before it, so the processor's AES unit idles for
//! most of the time; four chains take it hardly longer than one. Where requests are few that
//! changes nothing, and where they are many it is most of what the scheme costs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use headwater_packager::protect::{Protector, SIDE_BY_SIDE, wholes_together};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::failure::Failure;
use crate::threads::behind_all_that_is_ready;

/// Segments that wait to be encrypted, for a moment.
#[derive(Default)]
pub struct Chains {
    waiting: Mutex<Vec<Waiting>>,
}

/// A segment that was read and checked.
struct Waiting {
    by: Arc<Protector>,
    number: u32,
    bytes: BytesMut,
    done: oneshot::Sender<BytesMut>,
}

impl Chains {
    /// Encrypts segment `number`, whose checked bytes are `bytes`, and with it what waits already.
    pub async fn encrypt(
        &self,
        by: &Arc<Protector>,
        number: u32,
        bytes: BytesMut,
    ) -> Result<BytesMut, Failure> {
        // Dropped after the channel's end, which says whether anybody waits.
        let _leaving = Leaving(self);
        let (done, mut encrypted) = oneshot::channel();
        self.waiting().push(Waiting { by: Arc::clone(by), number, bytes, done });
        // Others whose segments have been read come as far as this, on this thread or another.
        behind_all_that_is_ready().await;
        loop {
            match encrypted.try_recv() {
                Ok(bytes) => return Ok(bytes),
                // Others' segments may come first: what else this thread has to do is not kept waiting.
                Err(TryRecvError::Empty) if self.encrypt_some() => {
                    behind_all_that_is_ready().await;
                }
                // Another thread is at it.
                Err(_) => break,
            }
        }
        let given_up = |_| Failure::Internal("an encryption was given up".to_owned());
        encrypted.await.map_err(given_up)
    }

    /// Encrypts as many as run side by side of those that wait; whether there were any.
    fn encrypt_some(&self) -> bool {
        let mut some: Vec<_> = {
            let mut waiting = self.waiting();
            let count = waiting.len().min(SIDE_BY_SIDE);
            waiting.drain(..count).collect()
        };
        wholes_together(some.iter_mut().map(|one| (&*one.by, one.number, &mut one.bytes)));
        let any = !some.is_empty();
        for Waiting { bytes, done, .. } in some {
            // Who asked may be gone.
            let _ = done.send(bytes);
        }
        any
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chains({} waiting)", self.waiting().len())
    }
}

/// Somebody who goes, and whose segment need not be encrypted if it still waits.
struct Leaving<'a>(&'a Chains);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.waiting().retain(|one| !one.done.is_closed());
    }
}
