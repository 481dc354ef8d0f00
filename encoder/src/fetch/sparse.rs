//! A file of this machine that holds some blocks of an object, for every process that works on its job.
//!
//! ```text
//! <folder>/.users     held shared (flock) by whoever uses the file; whoever removes it holds it alone
//! <folder>/.object    which object, and since which start of the machine; replaced as a whole
//! <folder>/.blocks    which blocks are there; held (flock) by the one who fills
//! <folder>/<name>     the file, as long as the object, with holes
//! ```
//!
//! A block is written before the map says so, and the map is believed only until the machine starts
//! again: so whatever is killed, a block that is said to be there is there.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Blocks, Object, Place};
use crate::error::Error;
use crate::limits;

/// The file. While one of these lives, nobody removes it.
#[derive(Debug)]
pub struct Sparse {
    object: Object,
    path: PathBuf,
    place: Place,
    file: Arc<File>,
    map: File,
    turn: Mutex<()>,
    /// Asked for, and not told of yet.
    asked_bytes: AtomicU64,
    _users: File,
}

/// What one turn of filling did.
#[derive(Debug)]
pub struct Filled {
    /// Bytes that were read of the object.
    pub read_bytes: u64,
    /// Why it is not more.
    pub failed: Option<Error>,
}

/// What a file is of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Of {
    object: Object,
    boot: String,
}

impl Sparse {
    /// Where the file lies in `folder`.
    pub fn path_of(folder: &Path, object: &Object) -> PathBuf {
        folder.join(object.address.file_name())
    }

    /// Opens the file of `object` in `folder`, which is made where it is not there. One of another
    /// object, or of a time before the machine started, is begun anew.
    pub async fn open(folder: &Path, object: &Object, place: Place) -> Result<Self, Error> {
        let path = Self::path_of(folder, object);
        let failed =
            |e: io::Error| Error::storage(format!("{}, for {}", path.display(), object.address), e);
        let (users, map) = used(folder).map_err(failed)?;
        // Who fills it holds the lock nearly always, and what is begun needs none.
        let file = match known(folder, &path, object, &map).map_err(failed)? {
            Some(file) => file,
            None => {
                let _lock = locked(&map).await.map_err(failed)?;
                begun(folder, &path, object, &map).map_err(failed)?
            }
        };
        let (object, turn, file) = (object.clone(), Mutex::new(()), Arc::new(file));
        let asked_bytes = AtomicU64::new(0);
        Ok(Self { object, path, place, file, map, turn, asked_bytes, _users: users })
    }

    /// What it holds blocks of.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The blocks that are there.
    pub fn blocks(&self) -> Result<Blocks, Error> {
        let mut bits = vec![0; Blocks::none(self.object.len_bytes).bits().len()];
        self.map.read_exact_at(&mut bits, 0).map_err(|e| self.storage(&e))?;
        let no_map = || self.storage(&io::Error::from(ErrorKind::InvalidData));
        Blocks::of(self.object.len_bytes, &bits).ok_or_else(no_map)
    }

    /// Bytes that were asked for since this was last taken, whatever became of them: who is stopped in the
    /// middle has asked for more than has come.
    pub fn take_asked_bytes(&self) -> u64 {
        self.asked_bytes.swap(0, Ordering::Relaxed)
    }

    /// Reads some of what is missing of `wanted`; nothing where all of it is there. What came is kept
    /// also where something fails.
    pub async fn fill_some(&self, wanted: &[Range<u64>]) -> Filled {
        let mut filled = Filled { read_bytes: 0, failed: None };
        if let Err(error) = self.turn(wanted, &mut filled).await {
            filled.failed.get_or_insert(error);
        }
        filled
    }

    async fn turn(&self, wanted: &[Range<u64>], filled: &mut Filled) -> Result<(), Error> {
        if self.blocks()?.missing_bytes(wanted) == 0 {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        let _lock = locked(&self.map).await.map_err(|e| self.storage(&e))?;
        let mut blocks = self.blocks()?;
        let runs = blocks.missing(wanted, limits::FETCHES_AT_ONCE, limits::FETCH_BYTES);
        let mut fetches = JoinSet::new();
        for run in runs {
            let (place, object, file) =
                (self.place.clone(), self.object.clone(), Arc::clone(&self.file));
            self.asked_bytes.fetch_add(run.end - run.start, Ordering::Relaxed);
            fetches.spawn(async move {
                let bytes = place.read(&object, run.clone()).await?;
                let len_bytes = run.end - run.start;
                let start = run.start;
                let written = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, start));
                match written.await {
                    Ok(Ok(())) => Ok((run, len_bytes)),
                    Ok(Err(e)) => Err(Error::storage(format!("the copy of {}", object.address), e)),
                    Err(e) => Err(Error::tool(format!("the copy of {}: {e}", object.address))),
                }
            });
        }
        while let Some(fetched) = fetches.join_next().await {
            match fetched
                .unwrap_or_else(|e| Err(Error::tool(format!("{}: {e}", self.object.address))))
            {
                Ok((run, len_bytes)) => {
                    blocks.add(&run);
                    filled.read_bytes += len_bytes;
                    self.map.write_all_at(blocks.bits(), 0).map_err(|e| self.storage(&e))?;
                }
                Err(error) => {
                    filled.failed.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    fn storage(&self, e: &io::Error) -> Error {
        Error::storage(format!("the copy of {} in {}", self.object.address, self.path.display()), e)
    }

    /// Removes `folder`, unless somebody uses it; says whether it did.
    pub fn remove(folder: &Path) -> Result<bool, Error> {
        let removed = || -> io::Result<bool> {
            let users = open(&folder.join(".users"))?;
            match rustix::fs::flock(&users, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Ok(false),
                locked => locked?,
            }
            // What makes the rest believed goes first.
            match fs::remove_file(folder.join(".object")) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => fs::remove_dir_all(folder)?,
            }
            Ok(true)
        };
        match removed() {
            // By somebody else.
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(true),
            removed => removed.map_err(|e| Error::storage(folder.display(), e)),
        }
    }
}

struct Locked<'a>(&'a File);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // It is let go of when the process ends at the latest.
        let _ = rustix::fs::flock(self.0, FlockOperation::Unlock);
    }
}

/// The right to use a folder, which is surely still there when this is had, and its map.
fn used(folder: &Path) -> io::Result<(File, File)> {
    loop {
        fs::create_dir_all(folder)?;
        let opened = || -> io::Result<Option<(File, File)>> {
            let users = open(&folder.join(".users"))?;
            rustix::fs::flock(&users, FlockOperation::LockShared)?;
            if users.metadata()?.nlink() == 0 {
                return Ok(None);
            }
            // ffmpeg may be another user, and reads.
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
            Ok(Some((users, open(&folder.join(".blocks"))?)))
        };
        match opened() {
            Ok(Some(opened)) => return Ok(opened),
            // Removed while we came.
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
}

/// The right to fill, against other processes.
async fn locked(map: &File) -> io::Result<Locked<'_>> {
    loop {
        match rustix::fs::flock(map, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Locked(map)),
            Err(Errno::WOULDBLOCK) => tokio::time::sleep(limits::FETCH_TURN).await,
            Err(e) => return Err(e.into()),
        }
    }
}

/// The file, where it is known to be one of this object's.
fn known(folder: &Path, path: &Path, object: &Object, map: &File) -> io::Result<Option<File>> {
    let of = Of { object: object.clone(), boot: boot() };
    let said = fs::read(folder.join(".object")).ok();
    let said = said.and_then(|said| serde_json::from_slice::<Of>(&said).ok());
    if said.as_ref() != Some(&of) || of.boot.is_empty() {
        return Ok(None);
    }
    let file = open(path)?;
    // One that was being removed when all stopped may be there in part.
    let is_all_there = file.metadata()?.len() == object.len_bytes
        && map.metadata()?.len() == Blocks::none(object.len_bytes).bits().len() as u64;
    Ok(is_all_there.then_some(file))
}

/// The file, empty unless it is known to be one of this object's. The caller holds the lock.
fn begun(folder: &Path, path: &Path, object: &Object, map: &File) -> io::Result<File> {
    if let Some(file) = known(folder, path, object, map)? {
        return Ok(file);
    }
    let (of, said) = (Of { object: object.clone(), boot: boot() }, folder.join(".object"));
    let file = open(path)?;
    map.set_len(0)?;
    file.set_len(0)?;
    file.set_len(object.len_bytes)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    map.write_all_at(Blocks::none(object.len_bytes).bits(), 0)?;
    let new = folder.join(".object.new");
    fs::write(&new, serde_json::to_vec(&of)?)?;
    fs::rename(new, said)?;
    Ok(file)
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Which start of the machine this is (random(4)); empty where the kernel does not say.
fn boot() -> String {
    let mut said = String::new();
    let file = File::open("/proc/sys/kernel/random/boot_id");
    let _ = file.and_then(|file| file.take(64).read_to_string(&mut said));
    said.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use headwater_config::S3;

    use super::*;

    fn object(len_bytes: u64, tag: &str) -> (Object, Place) {
        let address = "s3://films/a.mp4".parse().unwrap();
        let place = Place::new(&address, &S3::default()).unwrap();
        (Object { address, len_bytes, tag: tag.to_owned() }, place)
    }

    #[tokio::test]
    async fn what_is_there_is_known_until_the_object_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("job");
        let (one, place) = object(3 * Blocks::BYTES, "\"1\"");
        let first = Sparse::open(&folder, &one, place.clone()).await.unwrap();
        first.file.write_all_at(b"film", 0).unwrap();
        let mut blocks = first.blocks().unwrap();
        blocks.add(&(0..Blocks::BYTES));
        first.map.write_all_at(blocks.bits(), 0).unwrap();
        // Also while somebody fills it.
        let filler = locked(&first.map).await.unwrap();
        let second = Sparse::open(&folder, &one, place.clone());
        let second = tokio::time::timeout(Duration::from_secs(20), second).await;
        let second = second.expect("it does not wait").unwrap();
        drop(filler);
        assert_eq!(second.blocks().unwrap(), blocks);
        assert_eq!(fs::metadata(second.path()).unwrap().len(), one.len_bytes);
        // Nor is a file believed that is not there as it was left.
        drop((first, second));
        fs::remove_file(Sparse::path_of(&folder, &one)).unwrap();
        let anew = Sparse::open(&folder, &one, place).await.unwrap();
        assert_eq!(anew.blocks().unwrap(), Blocks::none(one.len_bytes));
        drop(anew);
        // Another object of the same name is none of it.
        let (other, place) = object(2 * Blocks::BYTES, "\"2\"");
        let third = Sparse::open(&folder, &other, place).await.unwrap();
        assert_eq!(third.blocks().unwrap(), Blocks::none(other.len_bytes));
        assert!(fs::read(third.path()).unwrap().iter().all(|&byte| byte == 0));
        assert!(!Sparse::remove(&folder).unwrap(), "it is used");
        drop(third);
        assert!(Sparse::remove(&folder).unwrap());
        assert!(!folder.exists());
        assert!(Sparse::remove(&folder).unwrap(), "again is no error");
    }

    /// What was read before the machine stopped may have been in its memory alone.
    #[tokio::test]
    async fn a_map_of_another_start_of_the_machine_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("job");
        let (one, place) = object(Blocks::BYTES, "\"1\"");
        let sparse = Sparse::open(&folder, &one, place.clone()).await.unwrap();
        sparse.map.write_all_at(&[1], 0).unwrap();
        assert!(
            Sparse::open(&folder, &one, place.clone()).await.unwrap().blocks().unwrap().is_whole()
        );
        let of = Of { object: one.clone(), boot: "another".to_owned() };
        fs::write(folder.join(".object"), serde_json::to_vec(&of).unwrap()).unwrap();
        assert!(!Sparse::open(&folder, &one, place).await.unwrap().blocks().unwrap().is_whole());
    }
}
