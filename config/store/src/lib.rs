//! S3 for both sides: what the origin and the encoder share about it, and nothing else.
//!
//! ```text
//! settings ──► client ──► Reader   range, find, small, list, children, probe   the origin holds this
//!                           ▲
//!                         Writer   put, upload, delete                      the encoder holds this
//!                           │
//!                         Error    one meaning for every failure of either
//! ```
//!
//! It is a crate of its own because origin and encoder must not know each other, and it lies in
//! `config/` because it is what `[store.s3]` means; `headwater-config` itself does no I/O. It knows
//! buckets, keys and bytes, but no titles: what a key is for stays with each side.
//!
//! What is said of S3 here is Amazon S3's API reference (2006-03-01). Where other servers differ,
//! the place says which.

mod body;
mod client;
mod error;
pub mod limits;
mod read;
mod tls;
mod upload;
mod write;

pub use error::{Error, Fault};
pub use read::{Entry, Found, Reader, Small};
pub use tls::install_provider;
pub use write::{Condition, Writer};
