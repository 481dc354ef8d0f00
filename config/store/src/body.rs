//! Bodies: read once, into memory of the right size, and never believed without counting.

use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use bytes::Bytes;

/// Why a body is of no use.
#[derive(Debug)]
pub(crate) enum Spoiled {
    /// It broke off after so many bytes.
    Broken(usize, ByteStreamError),
    /// It ended, without an error, after so many bytes.
    Ended(usize),
    /// It went on.
    TooLong,
    /// There is no memory for it.
    NoMemory,
}

/// A body of exactly `len` bytes, which the caller has found reasonable.
pub(crate) async fn exactly(body: ByteStream, len: usize) -> Result<Bytes, Spoiled> {
    let read = at_most(body, len, len).await?;
    if read.len() == len { Ok(read) } else { Err(Spoiled::Ended(read.len())) }
}

/// A body of at most `max` bytes, of which `likely` are promised.
pub(crate) async fn at_most(
    mut body: ByteStream,
    likely: usize,
    max: usize,
) -> Result<Bytes, Spoiled> {
    let mut read = Vec::new();
    read.try_reserve_exact(likely.min(max)).map_err(|_| Spoiled::NoMemory)?;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| Spoiled::Broken(read.len(), e))?;
        if chunk.len() > max - read.len() {
            return Err(Spoiled::TooLong);
        }
        read.extend_from_slice(&chunk);
    }
    // What is kept must not pin more than it holds.
    read.shrink_to_fit();
    Ok(read.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_are_counted() {
        let body = || ByteStream::from_static(b"0123456789");
        assert_eq!(exactly(body(), 10).await.unwrap(), "0123456789");
        assert!(matches!(exactly(body(), 11).await, Err(Spoiled::Ended(10))));
        assert!(matches!(exactly(body(), 9).await, Err(Spoiled::TooLong)));
        assert_eq!(at_most(body(), 0, 10).await.unwrap(), "0123456789");
        assert!(matches!(at_most(body(), 10, 9).await, Err(Spoiled::TooLong)));
        // A promise is no reason to take memory.
        assert!(at_most(body(), usize::MAX, 10).await.is_ok());
        assert!(matches!(at_most(body(), usize::MAX, usize::MAX).await, Err(Spoiled::NoMemory)));
    }
}
