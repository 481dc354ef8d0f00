//! What a URL stands for at this moment (RFC 9110 3.2): facts that a HEAD tells, and the bytes.

use http::HeaderValue;

use crate::etag::EntityTag;
use crate::slices::Slices;

/// What can be said about a body without having it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Content-Type.
    pub content_type: HeaderValue,
    /// The body's strong tag.
    pub etag: EntityTag,
    /// The body's length.
    pub len_bytes: u64,
}

/// Facts and body.
#[derive(Clone, Debug)]
pub struct Representation {
    /// What the header says.
    pub facts: Facts,
    /// The bytes.
    pub body: Slices,
}

impl Representation {
    /// A representation that is wholly known by its bytes, such as a manifest.
    pub fn of_bytes(content_type: &'static str, bytes: Vec<u8>) -> Self {
        let facts = Facts {
            content_type: HeaderValue::from_static(content_type),
            etag: EntityTag::of_bytes(&bytes),
            len_bytes: bytes.len() as u64,
        };
        Self { facts, body: bytes.into() }
    }
}
