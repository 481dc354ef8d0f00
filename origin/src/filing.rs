//! Segments that are asked for often are moved into files of memory, from which plain HTTP/1.1 sends
//! them without a copy. All else reads them there as it would from the heap.
//!
//! Moving takes a copy, and the kernel a moment to find huge pages: it happens beside the threads that
//! serve, one at a time, and until it is done, or where it cannot be, a segment is served from where it
//! lies. So nothing waits for it, and nothing fails by it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use std::{fmt, io};

use bytes::Bytes;
use prometheus::IntCounterVec;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bodies::{Bodies, Room};
use crate::limits;
use crate::memory_file::{self, MemoryFile};
use crate::metrics::Metrics;
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
    refusals: IntCounterVec,
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
    pub fn new(bodies: Arc<Bodies>, metrics: &Metrics) -> Self {
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
            refusals: metrics.memory_file_refusals.clone(),
        }))
    }

    /// Files there are.
    pub fn files(&self) -> usize {
        self.0.most_files - self.0.places.available_permits()
    }

    /// Whether one is being moved.
    #[cfg(test)]
    pub fn is_moving(&self) -> bool {
        self.0.turn.available_permits() == 0
    }

    /// Begins to move what would gain by it, unless something else is being moved; none where there is
    /// no room, or the system refuses.
    pub fn begin(
        &self,
        made: &Arc<Representation>,
    ) -> Option<impl Future<Output = Option<Moved>> + Send + 'static> {
        if !gains(made) {
            return None;
        }
        let office = &self.0;
        let turn = Arc::clone(&office.turn).try_acquire_owned().ok()?;
        if office.is_paused() {
            return None;
        }
        let len_bytes = usize::try_from(made.body.len_bytes()).ok()?;
        let room = office.bodies.spare_room(MemoryFile::resident_bytes_of(len_bytes));
        let room = room.or_else(|| office.refused("room"))?;
        let place = Arc::clone(&office.places).try_acquire_owned().ok();
        let place = place.or_else(|| office.refused("places"))?;
        let (office, made) = (Arc::clone(office), Arc::clone(made));
        Some(async move {
            let body = made.body.clone();
            let copying = tokio::task::spawn_blocking(move || office.copied(&body));
            let filed = Filed { file: copying.await.ok()??, _room: room, _place: place };
            let body = Slices::of_file(Arc::new(filed));
            Some(Moved { made: Representation::of_media(made.facts.clone(), body), _turn: turn })
        })
    }
}

/// Whether a response is better off in a file: media that is large, and in none.
fn gains(made: &Representation) -> bool {
    let is_large = made.body.len_bytes() >= memory_file::LEAST_BYTES as u64;
    is_large && !made.is_text() && made.body.filed().is_none()
}

/// A response whose body was moved. Nothing else is, before it was put where it is looked for: who asks
/// meanwhile would have it moved again.
pub struct Moved {
    /// The response.
    pub made: Representation,
    _turn: OwnedSemaphorePermit,
}

impl Filed {
    /// All of it, in one slice.
    pub fn bytes(self: &Arc<Self>) -> Bytes {
        Bytes::from_owner(Slice(Arc::clone(self)))
    }
}

impl Office {
    fn copied(&self, body: &Slices) -> Option<MemoryFile> {
        let copied = MemoryFile::copy_of(body.parts());
        copied.inspect_err(|error| self.pause(error)).ok()
    }

    fn pause(&self, error: &io::Error) {
        self.refused::<()>("system");
        let resumes = Some(Instant::now() + limits::MEMORY_FILES_PAUSE);
        *self.resumes.lock().unwrap_or_else(PoisonError::into_inner) = resumes;
        if !self.was_told.swap(true, Ordering::Relaxed) {
            tracing::info!(
                %error,
                "the system has no file of memory for a segment, which is copied when it is sent; \
                 `memory_file_refusals_total` counts on"
            );
        }
    }

    fn refused<T>(&self, reason: &str) -> Option<T> {
        self.refusals.with_label_values(&[reason]).inc();
        None
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bodies::Bounds;

    const LARGE: usize = memory_file::LEAST_BYTES;

    fn filing(most_bytes: u64, spare_bytes: u64) -> (Filing, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        let bodies = Bodies::new(Bounds { most_bytes, spare_bytes }, Arc::clone(&metrics));
        (Filing::new(bodies, &metrics), metrics)
    }

    fn media(len: usize) -> Arc<Representation> {
        Arc::new(Representation::of_bytes("video/mp4", vec![7; len]))
    }

    #[tokio::test]
    async fn large_media_gains_and_is_moved_once() {
        let (filing, _) = filing(1 << 30, 0);
        let text = Representation::of_text("text/plain", vec![b'a'; LARGE]);
        assert!(filing.begin(&Arc::new(text)).is_none());
        assert!(filing.begin(&media(LARGE - 1)).is_none());
        let made = media(LARGE);
        let moving = filing.begin(&made).unwrap();
        assert!(filing.begin(&media(LARGE)).is_none(), "one at a time");
        let Some(moved) = moving.await else { return };
        assert!(moved.made.body.parts().concat() == made.body.parts().concat());
        assert_eq!(moved.made.facts, made.facts);
        assert_eq!(filing.files(), 1);
        assert!(filing.begin(&media(LARGE)).is_none(), "until it is in its place");
        let Moved { made, _turn } = moved;
        drop(_turn);
        let made = Arc::new(made);
        assert!(filing.begin(&made).is_none(), "it is in a file");
        assert!(filing.begin(&media(LARGE)).is_some());
        let slice = made.body.parts()[0].slice(5..6);
        drop(made);
        assert_eq!(filing.files(), 1, "a slice keeps it");
        drop(slice);
        assert_eq!(filing.files(), 0);
    }

    #[tokio::test]
    async fn nothing_is_moved_where_room_would_be_missed() {
        let resident = MemoryFile::resident_bytes_of(LARGE);
        let (just_enough, _) = filing(resident + 10, 10);
        assert!(just_enough.begin(&media(LARGE)).is_some());
        let (too_little, metrics) = filing(resident + 10, 11);
        assert!(too_little.begin(&media(LARGE)).is_none());
        assert_eq!(metrics.memory_file_refusals.with_label_values(&["room"]).get(), 1);
        assert_eq!((metrics.body_bytes.get(), too_little.files()), (0, 0), "all is given back");
    }

    #[tokio::test]
    async fn what_the_system_refuses_is_not_asked_for_again_at_once() {
        let (filing, metrics) = filing(1 << 30, 0);
        filing.0.pause(&io::ErrorKind::OutOfMemory.into());
        assert_eq!(metrics.memory_file_refusals.with_label_values(&["system"]).get(), 1);
        assert!(filing.begin(&media(LARGE)).is_none());
        *filing.0.resumes.lock().unwrap() = Some(Instant::now());
        assert!(filing.begin(&media(LARGE)).is_some());
    }
}
