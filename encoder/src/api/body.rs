//! What is sent: a text as a whole, or events as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// An answer's body.
#[derive(Debug)]
pub struct ApiBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Events(mpsc::Receiver<Bytes>),
}

impl ApiBody {
    /// A text.
    pub(super) fn whole(text: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(Some(text.into())))
    }

    /// What comes through a channel, until its sender ends.
    pub(super) fn events(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self(Kind::Events(receiver))
    }
}

impl Body for ApiBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.0 {
            Kind::Whole(text) => Poll::Ready(text.take()),
            Kind::Events(receiver) => receiver.poll_recv(context),
        };
        next.map(|data| data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}
