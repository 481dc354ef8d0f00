//! A source that lies in a bucket, as a file of this machine: filled with the ranges that are needed,
//! each of them read once.
//!
//! ```text
//! address   s3://bucket/key, or a path
//! object    what was found there, and ranges of that alone (If-Match)
//! blocks    which parts of it are here, pure
//! sparse    the file, and the map of its blocks beside it
//! reach     which bytes a part of the title needs, pure
//! ```
//!
//! ffmpeg reads that file and nothing else: it has no network and no credentials. A hole reads as
//! zeros, so a part is made over holes only where its bytes are known by the packets' positions, and
//! made again over the whole file when anything is wrong with it.

mod address;
mod blocks;
mod object;
mod reach;
mod sparse;

pub use address::{Address, Input};
pub use blocks::Blocks;
pub use object::{Object, Place};
pub use reach::{Extent, Extents, Reach, structure};
pub use sparse::{Filled, Sparse};
