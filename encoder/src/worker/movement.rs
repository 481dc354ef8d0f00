//! What moved while a task was worked on: counted by the work, told by the beats.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ffmpeg;
use crate::job::Progress;

/// Counters that only rise.
#[derive(Debug, Default)]
pub(super) struct Movement {
    frames: AtomicU64,
    out_bytes: AtomicU64,
    in_bytes: AtomicU64,
    read_bytes: AtomicU64,
    cpu_ms: AtomicU64,
}

impl Movement {
    /// CPU time that a child took.
    pub(super) fn took(&self, cpu_ms: u64) {
        self.cpu_ms.fetch_add(cpu_ms, Ordering::Relaxed);
    }

    /// CPU time of all children so far.
    pub(super) fn cpu_ms(&self) -> u64 {
        self.cpu_ms.load(Ordering::Relaxed)
    }

    /// What ffmpeg says.
    pub(super) fn ffmpeg(&self, progress: &ffmpeg::Progress) {
        self.frames.fetch_max(progress.frames, Ordering::Relaxed);
        // Media time moves where the first output does not: both count as output.
        let out = progress.out_bytes + progress.out_time_us;
        self.out_bytes.fetch_max(out, Ordering::Relaxed);
        self.read_bytes.fetch_max(progress.in_bytes, Ordering::Relaxed);
    }

    /// Bytes that were read, or moved otherwise.
    pub(super) fn bytes(&self, len_bytes: u64) {
        self.in_bytes.fetch_add(len_bytes, Ordering::Relaxed);
    }

    /// So far.
    pub(super) fn so_far(&self) -> Progress {
        Progress {
            frames: self.frames.load(Ordering::Relaxed),
            out_bytes: self.out_bytes.load(Ordering::Relaxed),
            in_bytes: self.in_bytes.load(Ordering::Relaxed)
                + self.read_bytes.load(Ordering::Relaxed),
        }
    }

    /// Work that watches itself and says nothing meanwhile counts as movement, for `at_most`.
    pub(super) async fn trust<T>(&self, at_most: Duration, work: impl Future<Output = T>) -> T {
        self.trust_moving(at_most, || 0, work).await
    }

    /// The same, for `at_most` since what `seen` gives has last changed.
    pub(super) async fn trust_moving<T>(
        &self,
        at_most: Duration,
        seen: impl Fn() -> u64,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(work);
        let mut trust = Trust { at_most, left: at_most, last: seen() };
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(LOOK) => self.bytes(trust.look(seen()).into()),
            }
        }
    }
}

/// How often silent work is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// For how long silence is still movement.
struct Trust {
    at_most: Duration,
    left: Duration,
    last: u64,
}

impl Trust {
    /// A look at what changes where something moves: whether this one counts as movement.
    fn look(&mut self, seen: u64) -> bool {
        if seen != self.last {
            (self.left, self.last) = (self.at_most, seen);
        }
        let counts = !self.left.is_zero();
        self.left = self.left.saturating_sub(LOOK);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_trusted_for_a_while_and_anew_where_something_is_seen() {
        let at_most = 3 * LOOK;
        let mut trust = Trust { at_most, left: at_most, last: 7 };
        let counted = [7, 7, 7, 7, 6, 5, 5, 5, 5, 4].map(|seen| trust.look(seen));
        assert_eq!(counted, [true, true, true, false, true, true, true, true, false, true]);
    }
}
