//! What a connection sends out of a file of memory, and how: by its own socket, past the codec's copy.

use std::io::IoSlice;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::stream::Stream as TcpStream;

use crate::filing::Filed;
use crate::limits;
use crate::slices::Slices;

/// The file of the body that is being sent, if it lies in one. The body's own slices keep it.
#[derive(Debug, Default)]
pub struct Outgoing(Mutex<Weak<Filed>>);

/// A slice that lies in a file.
pub struct Found {
    /// In which.
    pub filed: Arc<Filed>,
    /// Which of the slices it is.
    pub index: usize,
    /// Where it begins in the file.
    pub offset: usize,
}

impl Outgoing {
    /// A body begins.
    pub fn begin(&self, body: &Slices) {
        let filed = body.filed().map(Arc::downgrade).unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = filed;
    }

    /// The first of `slices` that lies in the file, and is worth a call of its own.
    pub fn find(&self, slices: &[IoSlice<'_>]) -> Option<Found> {
        let worth = |slice: &IoSlice<'_>| slice.len() >= limits::LEAST_UNCOPIED_BYTES;
        if !slices.iter().any(worth) {
            return None;
        }
        let filed = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
        let place = |(index, slice): (usize, &IoSlice<'_>)| {
            let offset = worth(slice).then(|| filed.file.offset_of(slice)).flatten()?;
            Some((index, offset))
        };
        let (index, offset) = slices.iter().enumerate().find_map(place)?;
        Some(Found { filed, index, offset })
    }
}

/// A stream that may be a connection of TCP with nothing in between.
pub trait Direct {
    /// The connection, where what is written to it is what leaves.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl Direct for Stream {
    fn tcp(&self) -> Option<&TcpStream> {
        self.as_any().downcast_ref()
    }
}

/// What is written to it leaves under keys.
impl<S> Direct for tokio_rustls::server::TlsStream<S> {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

#[cfg(test)]
impl Direct for tokio::io::DuplexStream {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}
