//! A stream of which some bytes were read ahead, and are still to be read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use pingora_core::protocols::l4::stream::Stream as TcpStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::outgoing::Direct;
use crate::proxy_protocol::{Parsed, Refused};

/// Bytes asked for at a time. Most first requests and every usual PROXY header fit.
const STEP_BYTES: usize = 512;

/// The stream, and what was read of it.
pub struct Ahead<S> {
    read: BytesMut,
    stream: S,
}

impl<S: AsyncRead + Unpin> Ahead<S> {
    /// Nothing was read yet.
    pub fn new(stream: S) -> Self {
        Self { read: BytesMut::new(), stream }
    }

    /// Whether the stream begins so. Reads until it is known; at the stream's end it does not.
    pub async fn begins_with(&mut self, wanted: &[u8]) -> io::Result<bool> {
        loop {
            let common = self.read.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            if common == wanted.len() {
                return Ok(true);
            }
            if common < self.read.len() || !self.read_on().await? {
                return Ok(false);
            }
        }
    }

    /// Takes what `parse` reads at the front. The parser bounds how much that can be.
    pub async fn take_front<T>(
        &mut self,
        parse: impl Fn(&[u8]) -> Result<Parsed<T>, Refused>,
    ) -> io::Result<T> {
        loop {
            match parse(&self.read) {
                Ok(Parsed::Whole(value, len_bytes)) => {
                    self.read.advance(len_bytes);
                    return Ok(value);
                }
                Ok(Parsed::NeedsMore) if self.read_on().await? => {}
                Ok(Parsed::NeedsMore) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(refused) => return Err(io::Error::other(refused)),
            }
        }
    }

    /// Reads a step further; false at the end.
    async fn read_on(&mut self) -> io::Result<bool> {
        self.read.reserve(STEP_BYTES);
        Ok(self.stream.read_buf(&mut self.read).await? > 0)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let len = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..len]);
        self.read.advance(len);
        if self.read.is_empty() {
            // Its memory is not kept for the life of the connection.
            self.read = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Direct> Direct for Ahead<S> {
    fn tcp(&self) -> Option<&TcpStream> {
        self.stream.tcp()
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_looked_at_is_read_again() {
        for (sent, begins) in [
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("PRI", false),
            ("", false),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", true),
            ("PRIX", false),
        ] {
            let mut stream = Ahead::new(sent.as_bytes());
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
            assert_eq!(stream.begins_with(preface).await.unwrap(), begins, "{sent}");
            let mut again = String::new();
            stream.read_to_string(&mut again).await.unwrap();
            assert_eq!(again, sent);
        }
    }
}
