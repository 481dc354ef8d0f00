//! An object that is a source: found once, and then read in ranges of that one alone.

use std::ops::Range;

use bytes::Bytes;
use headwater_config::S3;
use headwater_store::{self as s3, Fault};
use serde::{Deserialize, Serialize};

use super::Address;
use crate::error::{Error, Kind};
use crate::limits;

/// An object as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Where.
    pub address: Address,
    /// How long it is.
    pub len_bytes: u64,
    /// Its entity tag: another object has another one.
    pub tag: String,
}

/// The way to an object. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    reader: s3::Reader,
    address: Address,
}

impl Place {
    /// The way to `address`, by the settings of the store. Nothing is asked for yet.
    pub fn new(address: &Address, settings: &S3) -> Result<Self, Error> {
        let reader = s3::Reader::new(address.bucket(), settings);
        let reader = reader.map_err(|e| Error::new(Kind::Storage, e.to_string()))?;
        Ok(Self { reader, address: address.clone() })
    }

    /// What is there.
    pub async fn find(&self) -> Result<Object, Error> {
        let found = self.reader.find(self.address.key()).await.map_err(|e| match e.fault() {
            Fault::NotFound => Error::new(Kind::NotFound, format!("there is no such source: {e}")),
            _ => Error::new(Kind::Storage, format!("the source cannot be read: {e}")),
        })?;
        let (address, s3::Found { len_bytes, tag }) = (self.address.clone(), found);
        let refused = |what: String| Error::new(Kind::Refused, format!("{address}: {what}"));
        if len_bytes == 0 {
            let text = format!("{address} is empty; send the whole file");
            return Err(Error::new(Kind::SourceDamaged, text));
        }
        if len_bytes > limits::OBJECT_BYTES {
            let most = limits::OBJECT_BYTES;
            return Err(refused(format!("{len_bytes} bytes, at most {most} are taken")));
        }
        if tag.is_empty() {
            let what = "the server gives no ETag, without which nobody could see that another object \
                        has taken its place; copy the source to a disk of the workers";
            return Err(refused(what.to_owned()));
        }
        Ok(Object { address, len_bytes, tag })
    }

    /// These bytes of `object`, which must still be the one that was found.
    pub async fn read(&self, object: &Object, bytes: Range<u64>) -> Result<Bytes, Error> {
        let at = bytes.start;
        let read = self.reader.range_of(self.address.key(), bytes, &object.tag).await;
        read.map_err(|e| match e.fault() {
            Fault::Precondition | Fault::Short => Error::new(
                Kind::SourceDamaged,
                format!(
                    "{} is not the object that was planned for ({} bytes, ETag {}), seen at byte \
                     {at}; submit it again",
                    object.address, object.len_bytes, object.tag
                ),
            ),
            Fault::NotFound => Error::new(
                Kind::SourceDamaged,
                format!(
                    "{} is gone, seen at byte {at}; put it there and submit it again",
                    object.address
                ),
            ),
            _ => Error::new(Kind::Storage, format!("the source cannot be read at byte {at}: {e}")),
        })
    }
}
