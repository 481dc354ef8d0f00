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
        let filed = body.filed().filter(|_| body.len_bytes() >= limits::LEAST_UNCOPIED_BYTES);
        let filed = filed.map(Arc::downgrade).unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = filed;
    }

    /// The first of `slices` that lies in the file, and is worth a call of its own.
    pub fn find(&self, slices: &[IoSlice<'_>]) -> Option<Found> {
        let worth = |slice: &IoSlice<'_>| slice.len() >= limits::LEAST_SENDFILE_BYTES;
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

#[cfg(test)]
pub mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::bodies::{Bodies, Bounds};
    use crate::filing::Filing;
    use crate::metrics::Metrics;
    use crate::representation::Representation;

    const LEN: usize = 2 << 20;

    /// Two bodies in files; none where this system makes no such files.
    pub async fn bodies() -> Option<[Slices; 2]> {
        let metrics = Arc::new(Metrics::new());
        let bounds = Bounds { most_bytes: 1 << 30, spare_bytes: 0 };
        let filing = Filing::new(Bodies::new(bounds, Arc::clone(&metrics)), &metrics);
        let made = Arc::new(Representation::of_bytes("video/mp4", vec![7; LEN]));
        let first = filing.begin(&made)?.await?.made.body;
        Some([first, filing.begin(&made)?.await?.made.body])
    }

    #[tokio::test]
    async fn slices_of_the_body_that_is_sent_are_found() {
        let Some([body, other]) = bodies().await else { return };
        let bytes = |body: &Slices| body.parts()[0].clone();
        let (ours, theirs) = (bytes(&body), bytes(&other));
        let heap = Bytes::from(vec![7; LEN]);
        let outgoing = Outgoing::default();
        let found = |slices: &[&[u8]]| {
            let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            outgoing.find(&slices).map(|found| (found.index, found.offset))
        };
        assert_eq!(found(&[&ours]), None, "before it begins");
        outgoing.begin(&body);
        assert_eq!(found(&[&ours]), Some((0, 0)));
        assert_eq!(found(&[b"head", &ours[70_000..]]), Some((1, 70_000)));
        assert_eq!(found(&[&heap, &theirs, &ours[1..]]), Some((2, 1)));
        assert_eq!(found(&[&heap, &theirs]), None);
        assert_eq!(found(&[&ours[..16_383]]), None, "too short for a call of its own");
        outgoing.begin(&body.cut(&(0..(1 << 20) - 1)));
        assert_eq!(found(&[&ours]), None, "too short an answer");
        outgoing.begin(&body.cut(&(5..5 + (1 << 20))));
        assert_eq!(found(&[&ours[5..]]), Some((0, 5)));
        outgoing.begin(&Slices::from(heap.clone()));
        assert_eq!(found(&[&ours]), None, "another body");
        outgoing.begin(&other);
        drop((other, theirs));
        assert_eq!(found(&[&heap]), None, "a connection keeps no body");
        assert!(outgoing.0.lock().unwrap().upgrade().is_none());
    }
}
