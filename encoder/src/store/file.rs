//! A folder as a store. Objects appear by rename, after their bytes and before their folder are
//! synced, so that a power cut leaves the old object or the new one.
//!
//! ```text
//! <folder>/titles/<title>/...   the objects
//! <folder>/leases/<title>       locked (flock) by whoever writes the title; never removed
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_packager::ids::TitleId;
use rustix::fs::FlockOperation;

use super::{Entry, Lease, Store};
use crate::error::{Error, Kind};

/// The folder.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: PathBuf,
}

impl FileStore {
    /// A store in `folder`, which the first write creates.
    pub fn new(folder: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(folder).map_err(|e| Error::storage(folder.display(), e))?;
        Ok(Self { root })
    }

    fn path(&self, key: &str) -> Result<PathBuf, Error> {
        let plain = |name: &str| !matches!(name, "" | "." | "..");
        if !key.split('/').all(plain) {
            return Err(Error::storage(key, "is no key: a name in it is empty or dots"));
        }
        Ok(self.root.join(key))
    }
}

#[async_trait]
impl Store for FileStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        let path = self.path(key)?;
        let waiting = Waiting::default();
        let wanted = waiting.0.clone();
        blocking(path, move |path| {
            let (temporary, mut file) = beside(path)?;
            let written =
                file.write_all(&bytes).and_then(|()| settle(&file, &temporary, path, &wanted));
            if written.is_err() {
                let _ = fs::remove_file(&temporary);
            }
            written
        })
        .await
    }

    async fn put_file(&self, key: &str, from: &Path) -> Result<(), Error> {
        let path = self.path(key)?;
        let from = from.to_owned();
        let waiting = Waiting::default();
        let wanted = waiting.0.clone();
        blocking(path, move |path| {
            let mut source = File::open(&from)?;
            fs::create_dir_all(folder_of(path))?;
            match settle(&source, &from, path, &wanted) {
                Err(e) if e.kind() == ErrorKind::CrossesDevices => {
                    let (temporary, mut file) = beside(path)?;
                    let copied = io::copy(&mut source, &mut file)
                        .and_then(|_| settle(&file, &temporary, path, &wanted));
                    if copied.is_err() {
                        let _ = fs::remove_file(&temporary);
                    }
                    copied
                }
                done => done,
            }
        })
        .await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let path = self.path(key)?;
        blocking(path, move |path| {
            let file = File::open(path)?;
            let end = range.end.min(file.metadata()?.len());
            let len = usize::try_from(end.saturating_sub(range.start)).map_err(io::Error::other)?;
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(bytes.into())
        })
        .await
    }

    async fn small(&self, key: &str, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        let path = self.path(key)?;
        blocking(path, move |path| {
            let file = match File::open(path) {
                Err(e) if is_absent(&e) => return Ok(None),
                file => file?,
            };
            let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
            let mut bytes = Vec::new();
            file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
            if bytes.len() > limit_bytes {
                return Err(io::Error::other(format!("larger than {limit_bytes} bytes")));
            }
            Ok(Some(bytes.into()))
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        let folder = self.path(prefix.trim_end_matches('/'))?;
        let prefix = prefix.to_owned();
        blocking(folder, move |folder| {
            let mut entries = Vec::new();
            collect(folder, &prefix, &mut entries)?;
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            Ok(entries)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key)?;
        let root = self.root.clone();
        blocking(path, move |path| {
            match fs::remove_file(path) {
                Err(e) if is_absent(&e) => {}
                removed => removed?,
            }
            // Folders are no objects: the last one takes its folder with it. `titles/` itself stays:
            // without it an origin takes the disk for gone, and serves what it last knew.
            let mut folder = folder_of(path);
            let stays = |folder: &Path| folder == root || folder_of(folder) == root;
            while !stays(folder) && fs::remove_dir(folder).is_ok() {
                folder = folder_of(folder);
            }
            Ok(())
        })
        .await
    }

    async fn lease(&self, title: &TitleId) -> Result<Lease, Error> {
        let path = self.root.join("leases").join(title.as_str());
        let held = blocking(path, |path| {
            fs::create_dir_all(folder_of(path))?;
            let file = File::options().write(true).create(true).truncate(false).open(path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
                Err(e) => Err(e.into()),
            }
        })
        .await?;
        let file = held.ok_or_else(|| {
            Error::new(
                Kind::Taken,
                format!("title {title} is being encoded by another process; wait for it or stop it first"),
            )
        })?;
        Ok(Lease::held_by(file))
    }
}

/// Runs file work off the async thread; errors name the path.
async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let shown = path.display().to_string();
    let done = tokio::task::spawn_blocking(move || work(&path)).await;
    done.map_err(|e| Error::storage(&shown, e))?.map_err(|e| Error::storage(&shown, e))
}

/// A new file in the folder where `path` is to be, under a name nobody else uses.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{}-{number}.tmp", std::process::id()));
    let file = File::options().write(true).create(true).truncate(true).open(&temporary)?;
    Ok((temporary, file))
}

/// Held by the one who waits for a write. File work goes on when its waiter is gone; an object must
/// not appear then, as whoever was stopped has taken the others back.
struct Waiting(Arc<Mutex<bool>>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(true)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.0.lock().expect("nothing panics while holding it") = false;
    }
}

/// Makes a written file durable and gives it its name, if that is still `wanted`.
fn settle(file: &File, from: &Path, to: &Path, wanted: &Mutex<bool>) -> io::Result<()> {
    file.sync_all()?;
    let wanted = wanted.lock().expect("nothing panics while holding it");
    if !*wanted {
        return Err(io::Error::from(ErrorKind::Interrupted));
    }
    fs::rename(from, to)?;
    drop(wanted);
    File::open(folder_of(to))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("keys lie in a folder")
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn collect(folder: &Path, prefix: &str, entries: &mut Vec<Entry>) -> io::Result<()> {
    let listing = match fs::read_dir(folder) {
        Err(e) if is_absent(&e) => return Ok(()),
        listing => listing?,
    };
    for item in listing {
        let item = item?;
        let name = item.file_name();
        let key = format!("{prefix}{}", name.to_string_lossy());
        if item.file_type()?.is_dir() {
            collect(&item.path(), &format!("{key}/"), entries)?;
        } else {
            let data = item.metadata()?;
            let since = data.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let modified_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            entries.push(Entry { key, len_bytes: data.len(), modified_ms });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn objects_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path()).unwrap();
        run(async {
            let key = "titles/a/v/heads.bin";
            assert_eq!(store.small(key, 10).await.unwrap(), None);
            assert_eq!(store.list("titles/").await.unwrap(), []);
            store.put(key, Bytes::from_static(b"one")).await.unwrap();
            store.put(key, Bytes::from_static(b"0123456789")).await.unwrap();
            assert_eq!(store.small(key, 10).await.unwrap().unwrap(), "0123456789");
            assert!(store.small(key, 9).await.is_err(), "larger than allowed");
            assert_eq!(store.read(key, 2..5).await.unwrap(), "234");
            assert_eq!(store.read(key, 8..50).await.unwrap(), "89", "the object ends");
            let made = folder.path().join("made");
            fs::write(&made, "film").unwrap();
            store.put_file("titles/a/v/v1.mp4", &made).await.unwrap();
            let wanted = [(key, 10), ("titles/a/v/v1.mp4", 4)]
                .map(|(key, len_bytes)| (key.to_owned(), len_bytes));
            let listed = store.list("titles/a/").await.unwrap();
            let now_ms = i64::try_from(crate::version::unix_ms()).unwrap();
            assert!(listed.iter().all(|entry| (now_ms - entry.modified_ms).abs() < 3_600_000));
            let listed: Vec<_> = listed.into_iter().map(|e| (e.key, e.len_bytes)).collect();
            assert_eq!(listed, wanted, "and no temporary files");
            super::super::delete_all(&store, "titles/a/v/").await.unwrap();
            store.delete(key).await.unwrap();
            let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap()).collect();
            assert_eq!(left.len(), 1, "no empty folders");
            assert_eq!(fs::read_dir(left[0].path()).unwrap().count(), 0, "but titles/");
        });
    }

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path()).unwrap();
        for key in ["../x", "titles/../../x", "/etc/passwd", "titles//x", "titles/./x", ""] {
            assert!(run(store.put(key, Bytes::new())).is_err(), "{key}");
            assert!(run(store.small(key, 1)).is_err(), "{key}");
        }
    }

    /// Stopped in the middle of a write, nothing appears later.
    #[test]
    fn what_nobody_waits_for_does_not_appear() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path()).unwrap();
        let made = folder.path().join("made");
        fs::write(&made, vec![7; 1 << 20]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut put = store.put_file("titles/a/v/v1.mp4", &made);
            // Begun, and dropped before it is done.
            let begun = std::future::poll_fn(|context| {
                std::task::Poll::Ready(put.as_mut().poll(context).is_pending())
            });
            assert!(begun.await);
        });
        // Waits for the file work that is still under way.
        drop(runtime);
        let object = folder.path().join("titles/a/v/v1.mp4");
        assert!(!object.exists());
        assert_eq!(fs::read(made).unwrap().len(), 1 << 20);
    }

    #[test]
    fn one_writer_a_title() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path()).unwrap();
        let (one, two) = ("one".parse().unwrap(), "two".parse().unwrap());
        let held = run(store.lease(&one)).unwrap();
        let refused = run(store.lease(&one)).unwrap_err().to_string();
        assert_eq!(
            refused,
            "title one is being encoded by another process; wait for it or stop it first"
        );
        run(store.lease(&two)).unwrap();
        drop(held);
        run(store.lease(&one)).unwrap();
    }
}
