//! Whether certificates' files changed, by what the file system says of them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use headwater_config::Certificate;

/// The files as they were last looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Watch(Vec<Option<Stamp>>);

/// Device, inode, length, seconds and nanoseconds of the last change. Links are followed, for that
/// is how certificates are often replaced.
type Stamp = (u64, u64, u64, i64, i64);

impl Watch {
    /// As they are now.
    pub fn new(certificates: &[Certificate]) -> Self {
        let files = certificates.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        let stamp = |meta: fs::Metadata| {
            (meta.dev(), meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec())
        };
        Self(files.map(|file| fs::metadata(file).ok().map(stamp)).collect())
    }

    /// Whether any changed since the last look.
    pub fn changed(&mut self, certificates: &[Certificate]) -> bool {
        let now = Self::new(certificates);
        let changed = now != *self;
        *self = now;
        changed
    }
}
