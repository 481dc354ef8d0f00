//! The body of a request, where the answer depends on one: short, and in time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http_body::{Body, Frame};
use tokio::time::timeout;

/// All of a body; `None` where it is longer than `max_bytes`, breaks off or is not here in time.
pub async fn read<B>(body: B, max_bytes: usize, patience: Duration) -> Option<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
{
    timeout(patience, collect(body, max_bytes)).await.ok().flatten()
}

async fn collect<B>(mut body: B, max_bytes: usize) -> Option<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.ok()?.into_data() {
            if whole.len() + data.len() > max_bytes {
                return None;
            }
            whole.extend_from_slice(&data);
        }
    }
    Some(whole.freeze())
}

/// What an HTTP/2 stream receives.
#[derive(Debug)]
pub struct H2Body(pub RecvStream);

impl Body for H2Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(data) = ready!(self.0.poll_data(cx)) else { return Poll::Ready(None) };
        let data = data.and_then(|data| {
            self.0.flow_control().release_capacity(data.len())?;
            Ok(Frame::data(data))
        });
        Poll::Ready(Some(data))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
