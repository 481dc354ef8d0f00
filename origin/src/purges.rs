//! The law of a purge, the same for every tier: **what was begun before a purge ended is in no tier after
//! it.**
//!
//! ```text
//! number         4            5                         6
//! purge                       begins, searches each tier, ends
//! who asks    ─┬─ since 4 ──────────────── made ─► sent to who waits, and kept nowhere
//!              └─ noted before anything is taken from a tier or read
//! ```
//!
//! So what is kept was begun while no purge was at work, and none has begun since: compared while it is put
//! in, which a purge waits for. Which title the purge was for does not matter; what is not kept is made again.
//! All tiers have one number, and so have those that a reload puts in their place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard, RwLock};

/// How many purges began and ended. Cheap to clone; clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Purges(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Odd while a purge is at work.
    number: AtomicU64,
    /// Held to read while something is put in.
    keeping: RwLock<()>,
    /// One purge at a time.
    turn: Arc<Mutex<()>>,
}

/// When something was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Since(u64);

/// A purge at work; ended when dropped.
#[derive(Debug)]
pub struct Purging {
    purges: Purges,
    _turn: OwnedMutexGuard<()>,
}

impl Purges {
    /// Now: to be noted before anything is taken from a tier or read.
    pub fn since(&self) -> Since {
        // In one order with who puts caches in place and then asks for the number, while a purge takes its number
        // and then asks for the caches: one of them sees the other.
        Since(self.0.number.load(Ordering::SeqCst))
    }

    /// Now, as soon as no purge is at work.
    pub async fn quiet(&self) -> Since {
        let _turn = self.0.turn.lock().await;
        self.since()
    }

    /// Puts in what was begun `since`, if that may be kept; whether it did.
    pub async fn keep(&self, since: Since, put_in: impl Future<Output = ()>) -> bool {
        let _keeping = self.0.keeping.read().await;
        let may_be_kept = since.0.is_multiple_of(2) && self.since() == since;
        if may_be_kept {
            put_in.await;
        }
        may_be_kept
    }

    /// Begins a purge: from here on until it is dropped, nothing comes into any tier.
    pub async fn begin(&self) -> Purging {
        let turn = Arc::clone(&self.0.turn).lock_owned().await;
        let _nobody_keeps = self.0.keeping.write().await;
        self.0.number.fetch_add(1, Ordering::SeqCst);
        Purging { purges: self.clone(), _turn: turn }
    }
}

impl Drop for Purging {
    fn drop(&mut self) {
        self.purges.0.number.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_begun_before_a_purge_ended_is_not_kept() {
        let purges = Purges::default();
        let before = purges.since();
        assert!(purges.keep(before, async {}).await);
        let purging = purges.begin().await;
        let meanwhile = purges.since();
        for since in [before, meanwhile] {
            assert!(!purges.keep(since, async { panic!("it was put in") }).await);
        }
        drop(purging);
        for since in [before, meanwhile] {
            assert!(!purges.keep(since, async { panic!("it was put in") }).await);
        }
        assert!(purges.keep(purges.since(), async {}).await);
    }

    #[tokio::test]
    async fn a_purge_waits_for_what_is_being_put_in_and_for_another() {
        let purges = Purges::default();
        let since = purges.since();
        let (go_on, put_in) = tokio::sync::oneshot::channel::<()>();
        let keeping = purges.keep(since, async { put_in.await.unwrap() });
        let purge = async {
            let first = purges.begin().await;
            let second = purges.begin();
            assert!(futures_util::FutureExt::now_or_never(second).is_none(), "one at a time");
            assert!(futures_util::FutureExt::now_or_never(purges.quiet()).is_none());
            drop(first);
            purges.quiet().await
        };
        let ended = std::sync::atomic::AtomicBool::new(false);
        let (kept, quiet, ()) = tokio::join!(
            keeping,
            async {
                let quiet = purge.await;
                ended.store(true, Ordering::SeqCst);
                quiet
            },
            async {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                assert!(!ended.load(Ordering::SeqCst) && purges.since() == since);
                go_on.send(()).unwrap();
            }
        );
        assert!(kept && quiet == purges.since() && quiet != since);
    }
}
