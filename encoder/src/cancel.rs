//! A wish to stop, seen by every stage: ffmpeg is killed, loops over fragments and objects end, and
//! the error takes the ordinary way out, which cleans up.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::Error;

/// The listening side; cheap to clone, works in async and in blocking code.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<bool>);

/// The side that stops.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<watch::Sender<bool>>);

/// A pair of both sides.
pub fn pair() -> (Canceller, Cancel) {
    let (sender, receiver) = watch::channel(false);
    (Canceller(Arc::new(sender)), Cancel(receiver))
}

impl Canceller {
    /// Asks everyone to stop.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancel {
    /// An error once a stop is wished.
    pub fn check(&self) -> Result<(), Error> {
        if *self.0.borrow() {
            return Err(Error::interrupted());
        }
        Ok(())
    }

    /// Waits for the wish; forever where nobody can wish any more.
    pub async fn cancelled(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|&stop| stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
