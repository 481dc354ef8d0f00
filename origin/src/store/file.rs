//! A store that is a folder: `<folder>/titles/<title>/...`.
//!
//! Reads are `pread`s on the runtime's blocking threads, never more at a time than allowed. A read
//! keeps its place until the disk answers, also when nobody waits for it any more, so a hung disk
//! takes a bounded number of threads.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_packager::encrypt::BLOCK_BYTES;
use headwater_packager::ids::TitleId;
use headwater_packager::stored;
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use tokio::task;

use super::{Fault, Key, Places, Small, Stamp, Store, StoreError};
use crate::limits;

/// A folder of titles.
#[derive(Debug)]
pub struct FileStore {
    folder: Arc<Folder>,
    places: Places,
}

/// The store's folder, which may be a disk that goes away and leaves its empty mount point.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// The folder of titles was there once. A new store has none yet; one that had it and has it
    /// no more is away.
    had_titles: AtomicBool,
}

impl FileStore {
    /// The store in `folder`, read by at most `max_concurrent_reads` at a time. The folder is not
    /// looked at yet; see [`Store::probe`].
    pub fn new(folder: PathBuf, max_concurrent_reads: usize) -> Self {
        let folder = Folder { path: folder, had_titles: AtomicBool::new(false) };
        Self { folder: Arc::new(folder), places: Places::new(max_concurrent_reads) }
    }

    /// Runs a read of what lies under `key`, if it has one, where it may block.
    async fn blocking<T, F>(&self, key: Option<&Key>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    {
        let place = self.places.take(key).await;
        let folder = Arc::clone(&self.folder);
        let running = task::spawn_blocking(move || {
            let outcome = read(&folder);
            drop(place);
            outcome
        });
        running.await.unwrap_or_else(|broken| {
            Err(StoreError::new(Fault::Unavailable, format!("the read was given up: {broken}")))
        })
    }
}

#[async_trait]
impl Store for FileStore {
    async fn read_range(&self, key: &Key, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        let (this, key) = (key, key.clone());
        self.blocking(Some(this), move |folder| {
            let file = folder.open(&key)?;
            let wanted = bytes.end - bytes.start;
            let read = read_at(&file, bytes.start, wanted).map_err(|e| failed(&key, &e))?;
            if read.len() as u64 == wanted {
                return Ok(Bytes::from(read));
            }
            let detail = format!(
                "{key}: expected {wanted} bytes from byte {}, got {}",
                bytes.start,
                read.len()
            );
            Err(StoreError::new(Fault::Short, detail))
        })
        .await
    }

    async fn read_small(
        &self,
        key: &Key,
        max_bytes: u64,
        known: Option<&Stamp>,
    ) -> Result<Small, StoreError> {
        let (this, key) = (key, key.clone());
        let known = known.cloned();
        self.blocking(Some(this), move |folder| {
            let file = folder.open(&key)?;
            let read = read_to_end(&file, max_bytes).map_err(|e| failed(&key, &e))?;
            if read.len() as u64 > max_bytes {
                let detail = format!("{key}: more than {max_bytes} bytes");
                return Err(StoreError::new(Fault::TooLarge, detail));
            }
            let stamp = Stamp(format!("{}-{:08x}", read.len(), crc32c::crc32c(&read)));
            Ok(match known {
                Some(known) if known == stamp => Small::Unchanged,
                _ => Small::Bytes(Bytes::from(read), stamp),
            })
        })
        .await
    }

    async fn list_titles(&self, max: usize) -> Result<Vec<TitleId>, StoreError> {
        self.blocking(None, move |folder| {
            let titles = folder.titles();
            let names = match fs::read_dir(&titles) {
                Ok(names) => {
                    folder.had_titles.store(true, Ordering::Relaxed);
                    names.take(limits::LISTED_NAMES)
                }
                // Nothing was ever published here.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return folder.check_new().map(|()| Vec::new());
                }
                Err(e) => return Err(unavailable(&titles, &e)),
            };
            let mut ids: Vec<TitleId> =
                names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
            ids.sort_unstable();
            ids.truncate(max);
            Ok(ids)
        })
        .await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.blocking(None, Folder::check_present).await
    }
}

impl Folder {
    fn titles(&self) -> PathBuf {
        self.path.join(stored::TITLES_PREFIX)
    }

    fn open(&self, key: &Key) -> Result<File, StoreError> {
        match File::open(self.path.join(key.as_str())) {
            Ok(file) => {
                self.had_titles.store(true, Ordering::Relaxed);
                Ok(file)
            }
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                self.open_where_titles_are(key)
            }
            Err(e) => Err(failed(key, &e)),
        }
    }

    /// Looks again, below a folder of titles that is held: were it away before and there now, what it has
    /// would seem to be missing.
    fn open_where_titles_are(&self, key: &Key) -> Result<File, StoreError> {
        let missing = || StoreError::new(Fault::NotFound, format!("{key}: no such file"));
        let name = self.titles();
        let held = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let titles = match retry_on_intr(|| rustix::fs::open(&name, held, Mode::empty())) {
            Ok(titles) => titles,
            Err(Errno::NOENT) => return self.check_new().and_then(|()| Err(missing())),
            Err(e) => return Err(unavailable(&name, &e.into())),
        };
        self.had_titles.store(true, Ordering::Relaxed);
        let below = key.as_str().strip_prefix(stored::TITLES_PREFIX).unwrap_or(key.as_str());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        match retry_on_intr(|| rustix::fs::openat(&titles, below, flags, Mode::empty())) {
            Ok(file) => Ok(file.into()),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(missing()),
            Err(e) => Err(failed(key, &e.into())),
        }
    }

    /// An unmounted disk must not look like an empty store.
    fn check_present(&self) -> Result<(), StoreError> {
        let titles = self.titles();
        match fs::metadata(&titles) {
            Ok(_) => {
                self.had_titles.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.check_new(),
            Err(e) => Err(unavailable(&titles, &e)),
        }
    }

    /// The folder of titles was looked for and not found: that of a store that never had one.
    fn check_new(&self) -> Result<(), StoreError> {
        fs::read_dir(&self.path).map_err(|e| unavailable(&self.path, &e))?;
        if !self.had_titles.load(Ordering::Relaxed) {
            return Ok(());
        }
        let titles = self.titles();
        let detail =
            format!("folder {} was there and is gone: is its disk mounted?", titles.display());
        Err(StoreError::new(Fault::Unavailable, detail))
    }
}

fn unavailable(folder: &Path, error: &io::Error) -> StoreError {
    StoreError::new(Fault::Unavailable, format!("folder {}: {error}", folder.display()))
}

fn failed(key: &Key, error: &io::Error) -> StoreError {
    StoreError::new(Fault::Unavailable, format!("{key}: {error}"))
}

/// Up to `len` bytes from `offset`; fewer if the file ends before. Has room for a block behind them:
/// who encrypts them whole need not move them.
fn read_at(file: &File, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut read = Vec::new();
    let capacity = len.saturating_add(BLOCK_BYTES);
    read.try_reserve_exact(capacity).map_err(|_| io::ErrorKind::OutOfMemory)?;
    while read.len() < len {
        let at = offset + read.len() as u64;
        // There is more room than was asked for; what is read beyond is cut off.
        match rustix::io::pread(file, spare_capacity(&mut read), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    read.truncate(len);
    Ok(read)
}

/// The whole file, or its first `max_bytes + 1` bytes.
fn read_to_end(file: &File, max_bytes: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut read = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut read)?;
    read.shrink_to_fit();
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_packager::ids::VersionId;

    const VERSION: VersionId = VersionId::from_u128(7);

    fn title() -> TitleId {
        "t".parse().unwrap()
    }

    fn store_with(name: &str, content: &[u8]) -> (tempfile::TempDir, FileStore, Key) {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::media(&title(), VERSION, name);
        let path = folder.path().join(key.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        let store = FileStore::new(folder.path().to_owned(), 4);
        (folder, store, key)
    }

    #[tokio::test]
    async fn ranges() {
        let (_folder, store, key) = store_with("a.mp4", b"0123456789");
        let cases = [
            (0..10, Ok("0123456789")),
            (3..4, Ok("3")),
            (5..5, Ok("")),
            (9..11, Err(Fault::Short)),
            (10..11, Err(Fault::Short)),
            (100..200, Err(Fault::Short)),
        ];
        for (range, wanted) in cases {
            let got = store.read_range(&key, range.clone()).await;
            assert_eq!(got.map_err(|e| e.fault), wanted.map(Bytes::from), "{range:?}");
        }
    }

    #[tokio::test]
    async fn small_objects_are_bounded_and_compared() {
        let (folder, store, key) = store_with("a.json", b"{}");
        let Small::Bytes(bytes, stamp) = store.read_small(&key, 2, None).await.unwrap() else {
            panic!("nothing was known")
        };
        assert_eq!(bytes, "{}");
        assert_eq!(store.read_small(&key, 2, Some(&stamp)).await, Ok(Small::Unchanged));
        assert_eq!(store.read_small(&key, 1, None).await.unwrap_err().fault, Fault::TooLarge);
        fs::write(folder.path().join(key.as_str()), b"[]").unwrap();
        let changed = store.read_small(&key, 2, Some(&stamp)).await.unwrap();
        assert!(matches!(changed, Small::Bytes(bytes, _) if bytes == "[]"));
    }

    #[tokio::test]
    async fn a_missing_file_is_not_a_missing_store() {
        let (folder, store, _) = store_with("a.mp4", b"");
        let missing = Key::heads(&title(), VERSION);
        assert_eq!(store.read_small(&missing, 9, None).await.unwrap_err().fault, Fault::NotFound);
        assert_eq!(store.probe().await, Ok(()));
        drop(folder);
        assert_eq!(
            store.read_small(&missing, 9, None).await.unwrap_err().fault,
            Fault::Unavailable
        );
        assert_eq!(store.probe().await.unwrap_err().fault, Fault::Unavailable);
        assert_eq!(store.list_titles(9).await.unwrap_err().fault, Fault::Unavailable);
    }

    #[tokio::test]
    async fn a_disk_that_went_away_is_not_an_empty_store() {
        // Whatever saw the titles first: a read, a list or a probe.
        for seen_by in ["read", "list", "probe"] {
            let (folder, store, key) = store_with("a.json", b"{}");
            match seen_by {
                "read" => store.read_small(&key, 9, None).await.map(|_| ()).unwrap(),
                "list" => store.list_titles(9).await.map(|_| ()).unwrap(),
                _ => store.probe().await.unwrap(),
            }
            let (here, away) = (folder.path().join("titles"), folder.path().join("away"));
            fs::rename(&here, &away).unwrap();
            for fault in [
                store.read_small(&key, 9, None).await.unwrap_err().fault,
                store.read_range(&key, 0..2).await.unwrap_err().fault,
                store.list_titles(9).await.unwrap_err().fault,
                store.probe().await.unwrap_err().fault,
            ] {
                assert_eq!(fault, Fault::Unavailable, "{seen_by}");
            }
            fs::rename(&away, &here).unwrap();
            assert_eq!(store.probe().await, Ok(()));
        }
        let folder = tempfile::tempdir().unwrap();
        let new = FileStore::new(folder.path().to_owned(), 4);
        assert_eq!(new.probe().await, Ok(()), "a new store has no titles yet");
        assert_eq!(
            new.read_small(&Key::pointer(&title()), 9, None).await.unwrap_err().fault,
            Fault::NotFound
        );
    }

    /// Whatever is renamed while a read is under way: what lies in the store is never missing.
    #[tokio::test]
    async fn a_disk_that_comes_and_goes_loses_nothing() {
        let (folder, store, key) = store_with("a.json", b"{}");
        store.probe().await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (here, away) = (folder.path().join("titles"), folder.path().join("away"));
        let coming_and_going = std::thread::spawn({
            let over = Arc::clone(&over);
            move || {
                while !over.load(Ordering::Relaxed) {
                    fs::rename(&here, &away).unwrap();
                    fs::rename(&away, &here).unwrap();
                }
            }
        });
        let (mut read, mut unavailable) = (0, 0);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while read + unavailable < 10_000 || read.min(unavailable) < 500 {
            assert!(std::time::Instant::now() < deadline, "{read} read, {unavailable} not");
            let small = store.read_small(&key, 9, None).await.map(|_| ());
            let range = store.read_range(&key, 0..2).await.map(|_| ());
            let listed = store.list_titles(9).await.map(|ids| assert_eq!(ids, [title()]));
            for outcome in [small, range, listed, store.probe().await] {
                match outcome.map_err(|e| e.fault) {
                    Ok(()) => read += 1,
                    Err(Fault::Unavailable) => unavailable += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        coming_and_going.join().unwrap();
    }

    #[tokio::test]
    async fn listing_is_sorted_bounded_and_leaves_out_what_is_no_title() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().to_owned(), 4);
        assert_eq!(store.list_titles(9).await, Ok(Vec::new()));
        for name in ["b", "a", "c", "not a title", "é"] {
            fs::create_dir_all(folder.path().join("titles").join(name)).unwrap();
        }
        let names = |ids: Vec<TitleId>| ids.iter().map(TitleId::to_string).collect::<Vec<_>>();
        assert_eq!(names(store.list_titles(9).await.unwrap()), ["a", "b", "c"]);
        assert_eq!(names(store.list_titles(2).await.unwrap()), ["a", "b"]);
    }
}
