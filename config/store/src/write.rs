//! Writing: whole objects that appear at once or not at all.

use std::path::Path;

use aws_sdk_s3::config::Builder;
use bytes::Bytes;
use headwater_config::{Bucket, S3};

use crate::error::{Error, Fault};
use crate::read::Reader;
use crate::upload;

/// A bucket to read from and write to.
#[derive(Clone, Debug)]
pub struct Writer {
    pub(crate) reader: Reader,
}

/// When a write may replace what is there. Some servers ignore it: never the only lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Always.
    None,
    /// Only where there is no object.
    Absent,
    /// Only where the object still has this entity tag.
    Is(&'a str),
}

impl Writer {
    /// The store in `bucket`. Nothing is asked for yet.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn new(bucket: &Bucket, settings: &S3) -> Result<Self, Error> {
        Ok(Self { reader: Reader::new(bucket, settings)? })
    }

    /// The same store, to read from.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Writes an object in one request, and gives its entity tag. Readers see the old object or
    /// the new one.
    ///
    /// # Errors
    /// [`Fault::Precondition`] where `condition` does not hold and the server looks at it.
    pub async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<String, Error> {
        let place = &self.reader.place;
        let len_bytes = bytes.len() as u64;
        let mut request = place
            .client()
            .await
            .put_object()
            .bucket(place.bucket.name())
            .key(place.key(key))
            .body(bytes.into());
        request = match condition {
            Condition::None => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Is(tag) => request.if_match(tag),
        };
        let config = Builder::new().timeout_config(place.upload_timeouts(len_bytes));
        let sent = request.customize().config_override(config).send().await;
        let output = sent.map_err(|e| self.reader.refused(key, &e))?;
        Ok(output.e_tag.unwrap_or_default())
    }

    /// Writes an object from a file: in parts where it is larger than one. Until the last request
    /// there is no object; what fails or is dropped before takes its parts back. For keys that are
    /// written once: an object of the same length counts as this one where an answer was lost.
    ///
    /// # Errors
    /// As any request; a file that cannot be read, or changes meanwhile, is
    /// [`Fault::Unavailable`] with the file's name.
    pub async fn upload(&self, key: &str, file: &Path) -> Result<(), Error> {
        upload::upload(self, key, file).await
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// As any request.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        let place = &self.reader.place;
        let request = place.client().await.delete_object();
        let sent = request.bucket(place.bucket.name()).key(place.key(key)).send().await;
        match sent.map_err(|e| self.reader.refused(key, &e)) {
            Err(e) if e.fault() != Fault::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}
