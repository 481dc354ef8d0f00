//! The memory that segments take, from before they are read until nobody needs them any more.
//!
//! A reader that takes nothing keeps its body in memory, also when the response cache has let it
//! go: many readers of different segments could have all the memory there is. So each body is
//! counted while it lives, in the cache or outside it, and what would be too much is not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::slices::Slices;

/// How much there may be, and how much there is.
#[derive(Debug)]
pub struct Bodies {
    most_bytes: AtomicU64,
    /// What is no need leaves so much free.
    spare_bytes: AtomicU64,
    held_bytes: AtomicU64,
    metrics: Arc<Metrics>,
}

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes in all.
    pub most_bytes: u64,
    /// Bytes of it that are left to what is needed.
    pub spare_bytes: u64,
}

/// Room for one body. Given back when dropped.
#[derive(Debug)]
pub struct Room {
    bodies: Arc<Bodies>,
    len_bytes: u64,
}

impl Bodies {
    /// At most so many bytes at one time.
    pub fn new(bounds: Bounds, metrics: Arc<Metrics>) -> Arc<Self> {
        let [most_bytes, spare_bytes] = [bounds.most_bytes, bounds.spare_bytes].map(AtomicU64::new);
        Arc::new(Self { most_bytes, spare_bytes, held_bytes: AtomicU64::new(0), metrics })
    }

    /// Other bounds, from now on.
    pub fn set(&self, bounds: Bounds) {
        self.most_bytes.store(bounds.most_bytes, Ordering::Relaxed);
        self.spare_bytes.store(bounds.spare_bytes, Ordering::Relaxed);
    }

    /// Room for a body that is about to be read.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] where there is none.
    pub fn room(self: &Arc<Self>, len_bytes: u64) -> Result<Room, Failure> {
        let most_bytes = self.most_bytes.load(Ordering::Relaxed);
        self.room_within(most_bytes, len_bytes).ok_or(Failure::Overloaded)
    }

    /// Room for what is no need; none where it would be missed.
    pub fn spare_room(self: &Arc<Self>, len_bytes: u64) -> Option<Room> {
        let most_bytes = self.most_bytes.load(Ordering::Relaxed);
        let spare_bytes = self.spare_bytes.load(Ordering::Relaxed);
        self.room_within(most_bytes.saturating_sub(spare_bytes), len_bytes)
    }

    fn room_within(self: &Arc<Self>, most_bytes: u64, len_bytes: u64) -> Option<Room> {
        let more = |held: u64| held.checked_add(len_bytes).filter(|sum| *sum <= most_bytes);
        let taken = self.held_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok()?;
        self.metrics.body_bytes.add(gauged(len_bytes));
        Some(Room { bodies: Arc::clone(self), len_bytes })
    }
}

impl Room {
    /// A body that takes the room for as long as any piece of it lives, be it in a codec's queue.
    pub fn hold(self, body: &Slices) -> Slices {
        let room = Arc::new(self);
        let hold = |bytes: &Bytes| {
            Bytes::from_owner(Held { bytes: bytes.clone(), _room: Arc::clone(&room) })
        };
        body.parts().iter().map(hold).collect()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.bodies.held_bytes.fetch_sub(self.len_bytes, Ordering::Relaxed);
        self.bodies.metrics.body_bytes.sub(gauged(self.len_bytes));
    }
}

/// Bytes, and the room that they take.
struct Held {
    bytes: Bytes,
    _room: Arc<Room>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn gauged(len_bytes: u64) -> i64 {
    i64::try_from(len_bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_until_the_last_piece_is_gone() {
        let metrics = Arc::new(Metrics::new());
        let bounds = Bounds { most_bytes: 10, spare_bytes: 3 };
        let bodies = Bodies::new(bounds, Arc::clone(&metrics));
        let body: Slices =
            [Bytes::from_static(b"abc"), Bytes::from_static(b"def")].into_iter().collect();
        let held = bodies.room(6).unwrap().hold(&body);
        assert_eq!(held.parts().concat(), b"abcdef");
        assert_eq!(bodies.room(5).unwrap_err(), Failure::Overloaded);
        assert_eq!(bodies.room(u64::MAX).unwrap_err(), Failure::Overloaded);
        let piece = held.parts()[1].slice(1..2);
        drop(held);
        assert_eq!(metrics.body_bytes.get(), 6, "a piece keeps the whole");
        drop(piece);
        assert_eq!(metrics.body_bytes.get(), 0);
        assert!(bodies.spare_room(8).is_none() && bodies.spare_room(7).is_some());
        let whole = bodies.room(10).unwrap();
        assert!(bodies.room(1).is_err());
        drop(whole);
        assert!(bodies.room(1).is_ok());
    }
}
