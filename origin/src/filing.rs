//! Segments that are asked for often are moved into files of memory, from which plain HTTP/1.1 sends
//! them without a copy. All else reads them there as it would from the heap.
//!
//! Moving takes a copy, and the kernel a moment to find huge pages: it happens beside the threads that
//! serve, one at a time, and until it is done, or where it cannot be, a segment is served from where it
//! lies. So nothing waits for it, and nothing fails by it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bodies::{Bodies, Room};
use crate::limits;
use crate::memory_file::{self, MemoryFile};
use crate::representation::Representation;
use crate::slices::Slices;

/// Moves bodies. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Filing(Arc<Office>);

struct Office {
    bodies: Arc<Bodies>,
    /// One for each file: its descriptor, and its mapping.
    places: Arc<Semaphore>,
    most_files: usize,
    /// The one who moves.
    turn: Arc<Semaphore>,
    /// Where the system refused, when it is asked again.
    resumes: Mutex<Option<Instant>>,
    was_told: AtomicBool,
}

/// A body in a file of memory, and what it takes for as long as any piece of it lives.
#[derive(Debug)]
pub struct Filed {
    /// Where it lies.
    pub file: MemoryFile,
    _room: Room,
    _place: OwnedSemaphorePermit,
}

impl Filing {
    /// As many files as there may be of them: a share of the descriptors that the process may have, so
    /// that connections keep theirs.
    pub fn new(bodies: Arc<Bodies>) -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from(descriptors / limits::MEMORY_FILES_SHARE).unwrap_or(usize::MAX);
        let most_files = limits::MEMORY_FILES.min(share);
        Self(Arc::new(Office {
            bodies,
            places: Arc::new(Semaphore::new(most_files)),
            most_files,
            turn: Arc::new(Semaphore::new(1)),
            resumes: Mutex::default(),
            was_told: AtomicBool::new(false),
        }))
    }

    /// Files there are.
    pub fn files(&self) -> usize {
        self.0.most_files - self.0.places.available_permits()
    }

    /// Begins to move what would gain by it, unless something else is being moved; the response with
    /// its body moved, or none where there is no room, or the system refuses.
    pub fn moved(
        &self,
        made: &Arc<Representation>,
    ) -> Option<impl Future<Output = Option<Representation>> + Send + 'static> {
        let gains = made.body.len_bytes() >= memory_file::LEAST_BYTES as u64;
        if made.is_text() || !gains || made.body.filed().is_some() {
            return None;
        }
        let turn = Arc::clone(&self.0.turn).try_acquire_owned().ok()?;
        if self.0.is_paused() {
            return None;
        }
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        let (office, made) = (Arc::clone(&self.0), Arc::clone(made));
        Some(async move {
            let body = made.body.clone();
            let moving = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                office.copied(&body, place)
            });
            Some(Representation::of_media(made.facts.clone(), moving.await.ok()??))
        })
    }
}

impl Filed {
    /// All of it, in one slice.
    pub fn bytes(self: &Arc<Self>) -> Bytes {
        Bytes::from_owner(Slice(Arc::clone(self)))
    }
}

impl Office {
    fn copied(&self, body: &Slices, place: OwnedSemaphorePermit) -> Option<Slices> {
        let len_bytes = usize::try_from(body.len_bytes()).ok()?;
        let room = self.bodies.room(MemoryFile::resident_bytes_of(len_bytes)).ok()?;
        match MemoryFile::copy_of(body.parts()) {
            Ok(file) => Some(Slices::of_file(Arc::new(Filed { file, _room: room, _place: place }))),
            Err(error) => {
                *self.resumes.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Instant::now() + limits::MEMORY_FILES_PAUSE);
                if !self.was_told.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        %error,
                        "segments stay out of files of memory, and are copied when they are sent"
                    );
                }
                None
            }
        }
    }

    fn is_paused(&self) -> bool {
        let resumes = self.resumes.lock().unwrap_or_else(PoisonError::into_inner);
        resumes.is_some_and(|at| Instant::now() < at)
    }
}

impl fmt::Debug for Filing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filing({} of {} files)", self.files(), self.0.most_files)
    }
}

/// What a slice of a file holds on to.
struct Slice(Arc<Filed>);

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self.0.file.as_ref()
    }
}
