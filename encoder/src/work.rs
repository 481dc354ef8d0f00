//! A private folder for one encode, and the sweeping up after encodes that were killed.
//!
//! ```text
//! <work_dir>/lock                 held (flock) for a moment, while a folder is made or swept up
//! <work_dir>/<version>/lock       held as long as the encode lives; the kernel lets go of it
//! <work_dir>/<version>/job.json   title, version, store: what to take back if it dies
//! <work_dir>/<version>/...        what ffmpeg and the remuxer write
//! ```
//!
//! A folder whose lock is free belongs to nobody alive: its version, which no pointer names, is
//! removed from the store, and then the folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use headwater_config as config;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::publish;
use crate::store::{self, Store};

/// The folder of one encode.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    _lock: File,
}

/// What an encode will publish, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The title.
    pub title: TitleId,
    /// Its new version.
    pub version: VersionId,
    /// The store, as the configuration writes it.
    pub store: config::Store,
}

impl Work {
    /// Makes the folder for `job` in `root`.
    pub fn create(root: &Path, job: &Job) -> Result<Self, Error> {
        Self::locked(root, job.version, |folder| {
            fs::write(folder.join("job.json"), serde_json::to_vec(job)?)
        })
    }

    fn locked(
        root: &Path,
        name: VersionId,
        fill: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(|e| Error::storage(root.display(), e))?;
        let folder = root.join(name.to_string());
        let made = || -> io::Result<Self> {
            let _root_lock = lock_root(&root)?;
            fs::create_dir(&folder)?;
            let lock = File::create(folder.join("lock"))?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            fill(&folder)?;
            Ok(Self { folder: folder.clone(), _lock: lock })
        };
        made().map_err(|e| Error::storage(format!("work folder {}", folder.display()), e))
    }

    /// Makes a folder for one attempt at a task, which answers for nothing in a store.
    pub fn scratch(root: &Path) -> Result<Self, Error> {
        let name = VersionId::from_u128(uuid::Uuid::now_v7().as_u128());
        Self::locked(root, name, |_| Ok(()))
    }

    /// Where to write.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes everything in it, for another attempt.
    pub fn empty(&self) -> Result<(), Error> {
        let emptied = || -> io::Result<()> {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(entry.path())?,
                    false if entry.file_name() == "lock" => {}
                    false => fs::remove_file(entry.path())?,
                }
            }
            Ok(())
        };
        emptied().map_err(|e| Error::storage(self.folder.display(), e))
    }

    /// Removes the folder and everything in it.
    pub fn remove(self) -> Result<(), Error> {
        remove(&self.folder)
    }
}

/// Takes back what dead encodes left in `root` and in the stores they wrote to; says what, and
/// what it could not take back: that stays for the next time and is nobody's hindrance.
pub async fn sweep(root: &Path) -> Result<Vec<String>, Error> {
    let mut said = Vec::new();
    if !root.exists() {
        return Ok(said);
    }
    for folder in leftovers(root).map_err(|e| Error::storage(root.display(), e))? {
        match sweep_one(root, &folder).await {
            Ok(swept) => said.extend(swept),
            Err(e) => said.push(format!(
                "could not take back what a killed encode had left in {}: {e}; the next encode \
                 tries again, and removing that folder ends it",
                folder.display()
            )),
        }
    }
    Ok(said)
}

async fn sweep_one(root: &Path, folder: &Path) -> Result<Option<String>, Error> {
    let Some(_lock) = dead(root, folder)? else {
        return Ok(None);
    };
    let said = match read_job(folder) {
        Some(job) => {
            let store = store::open(&job.store)?;
            let Job { title, version, .. } = &job;
            if take_back(store.as_ref(), title, *version).await? {
                format!(
                    "took back an unfinished version of {title} ({version}) that a killed encode \
                     had left"
                )
            } else {
                format!("removed {}, left behind after its version went live", folder.display())
            }
        }
        // Killed before it wrote down what it was about, so before it wrote to a store.
        None => format!("removed {}, left by a killed encode", folder.display()),
    };
    remove(folder)?;
    Ok(Some(said))
}

/// Removes a version from the store unless the title's pointer names it; says whether it did.
pub async fn take_back(
    store: &dyn Store,
    title: &TitleId,
    version: VersionId,
) -> Result<bool, Error> {
    let pointer = publish::pointer(store, title).await?;
    let named = pointer.is_some_and(|p| p.live == Some(version) || p.growing == Some(version));
    if !named {
        store::delete_all(store, &stored::version_prefix(title, version)).await?;
    }
    Ok(!named)
}

/// Folders in `root` that are named like versions.
fn leftovers(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_version = name.to_str().is_some_and(|n| n.parse::<VersionId>().is_ok());
        if is_version && entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// The folder's lock, when nobody alive holds it.
fn dead(root: &Path, folder: &Path) -> Result<Option<File>, Error> {
    let locked = || -> io::Result<Option<File>> {
        // Nobody is between making a folder and locking it.
        let _root_lock = lock_root(root)?;
        let lock =
            File::options().write(true).create(true).truncate(false).open(folder.join("lock"));
        let lock = match lock {
            // Swept up by another process just now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock?,
        };
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e.into()),
        }
    };
    locked().map_err(|e| Error::storage(folder.display(), e))
}

fn lock_root(root: &Path) -> io::Result<File> {
    fs::create_dir_all(root)?;
    let lock = File::options().write(true).create(true).truncate(false).open(root.join("lock"))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

fn read_job(folder: &Path) -> Option<Job> {
    serde_json::from_slice(&fs::read(folder.join("job.json")).ok()?).ok()
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::storage(folder.display(), e)),
        _ => Ok(()),
    }
}
