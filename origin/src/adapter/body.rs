//! Bodies on their way out, as frames.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::wire::{Phase, Progress};
use crate::delivery::Delivery;
use crate::limits;
use crate::slices::Slices;

/// What is left of a body, given out a piece at a time.
pub struct Pieces {
    body: Slices,
    part: usize,
    /// Where in `part` the next piece starts.
    at: usize,
    left_bytes: u64,
}

impl Pieces {
    /// All of a body.
    pub fn new(body: Slices) -> Self {
        Self { left_bytes: body.len_bytes(), body, part: 0, at: 0 }
    }

    /// Bytes not given out yet.
    pub fn left_bytes(&self) -> u64 {
        self.left_bytes
    }

    /// The next piece, of at most `max_bytes`.
    pub fn next(&mut self, max_bytes: usize) -> Option<Bytes> {
        while let Some(part) = self.body.parts().get(self.part) {
            let end = part.len().min(self.at.saturating_add(max_bytes));
            if self.at < end {
                let piece = part.slice(self.at..end);
                self.at = end;
                self.left_bytes -= piece.len() as u64;
                return Some(piece);
            }
            self.part += 1;
            self.at = 0;
        }
        None
    }
}

/// A body for hyper. Its exact size is known, so hyper writes Content-Length.
pub struct SentBody {
    pieces: Pieces,
    piece_bytes: usize,
    delivery: Option<Box<Delivery>>,
    progress: Arc<Progress>,
}

impl SentBody {
    /// All of a body; `progress` is told when it is over.
    pub fn new(body: Slices, delivery: Option<Box<Delivery>>, progress: Arc<Progress>) -> Self {
        progress.outgoing.begin(&body);
        let piece_bytes = match body.filed() {
            Some(_) => limits::FILED_FRAME_BYTES,
            None => limits::FRAME_BYTES,
        };
        Self { pieces: Pieces::new(body), piece_bytes, delivery, progress }
    }
}

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece_bytes = self.piece_bytes;
        let Some(piece) = self.pieces.next(piece_bytes) else { return Poll::Ready(None) };
        if let Some(delivery) = &mut self.delivery {
            delivery.sent(piece.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.left_bytes() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pieces.left_bytes())
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.progress.enter(Phase::Idle);
    }
}
