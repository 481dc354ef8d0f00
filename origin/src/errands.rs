//! Work that is done once for all who want it at the same time, in a task of its own: it is done to its
//! end, whoever leaves. What comes of it is told to those who wait, and then forgotten; who wants to keep
//! it does so in the work itself.
//!
//! Who asks after a purge does not join what was begun before it.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use crate::purges::Since;
use crate::within;

/// Work under way, by what it is for. Cheap to clone; clones share everything.
pub struct Errands<K, V>(Arc<Mutex<UnderWay<K, V>>>);

type UnderWay<K, V> = HashMap<(K, Since), Errand<V>>;

/// What will come of an errand.
pub type Errand<V> = Shared<BoxFuture<'static, Result<V, BrokenOff>>>;

/// An errand that ended without a word; the text says how.
#[derive(Clone, Debug)]
pub struct BrokenOff(Arc<str>);

impl<K, V> Errands<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the errand for `key` that is under way, or begins it with `work`; whether it was begun.
    pub fn run(
        &self,
        key: K,
        since: Since,
        work: impl Future<Output = V> + Send + 'static,
    ) -> (Errand<V>, bool) {
        let of = (key, since);
        let (tell, told) = oneshot::channel();
        let told =
            told.map(|told| told.unwrap_or_else(|_| Err(BrokenOff("it was dropped".into()))));
        let errand = {
            let mut under_way = self.under_way();
            if let Some(errand) = under_way.get(&of) {
                return (errand.clone(), false);
            }
            let errand = told.boxed().shared();
            under_way.insert(of.clone(), errand.clone());
            errand
        };
        let leaving = Leaving(self.clone(), of);
        // Not under the lock: a runtime that shuts down drops it here and now.
        tokio::spawn(within::carried(async move {
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            drop(leaving);
            // Those who asked may all have left.
            let _nobody = tell.send(ended.map_err(|panic| BrokenOff(words(&*panic).into())));
        }));
        (errand, true)
    }

    /// The errand for `key` that is under way.
    pub fn of(&self, key: K, since: Since) -> Option<Errand<V>> {
        self.under_way().get(&(key, since)).cloned()
    }
}

impl<K, V> Errands<K, V> {
    fn under_way(&self) -> MutexGuard<'_, UnderWay<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an errand off the list, however it ends.
struct Leaving<K: Eq + Hash, V>(Errands<K, V>, (K, Since));

impl<K: Eq + Hash, V> Drop for Leaving<K, V> {
    fn drop(&mut self) {
        let gone = self.0.under_way().remove(&self.1);
        // Not under the lock: what is dropped may be a body.
        drop(gone);
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked")
}

impl<K, V> Clone for Errands<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Errands<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> fmt::Debug for Errands<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errands({} under way)", self.under_way().len())
    }
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purges::Purges;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn one_for_all_who_ask_meanwhile_and_done_whoever_leaves() {
        let (errands, purges) = (Errands::default(), Purges::default());
        let (go_on, begun) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        let run = |since| {
            let (go_on, begun) = (Arc::clone(&go_on), Arc::clone(&begun));
            errands.run("a", since, async move {
                let nth = begun.fetch_add(1, Ordering::SeqCst);
                go_on.notified().await;
                nth
            })
        };
        let before = purges.since();
        let (first, is_begun) = run(before);
        assert!(is_begun);
        drop(first);
        let (second, is_begun) = run(before);
        assert!(!is_begun && errands.of("a", before).is_some());
        drop(purges.begin().await);
        let (after, is_begun) = run(purges.since());
        assert!(is_begun, "who asks after a purge does not join");
        while begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        go_on.notify_waiters();
        assert_eq!((second.await.unwrap(), after.await.unwrap()), (0, 1));
        assert!(errands.under_way().is_empty());
    }

    #[tokio::test]
    async fn what_breaks_off_is_told_and_is_not_in_the_way() {
        let (errands, purges) = (Errands::<_, ()>::default(), Purges::default());
        let (errand, _) = errands.run("a", purges.since(), async { panic!("on purpose") });
        assert!(errand.await.unwrap_err().to_string().contains("on purpose"));
        let (errand, is_begun) = errands.run("a", purges.since(), async {});
        assert!(is_begun && errand.await.is_ok());
    }

    /// Others share the list, and go on.
    #[test]
    fn what_a_runtime_that_ends_drops_is_told_and_is_not_in_the_way() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (errands, purges) = (Errands::<_, ()>::default(), Purges::default());
        let ending = runtime();
        let handle = ending.handle().clone();
        let entered = handle.enter();
        let (begun_before, _) = errands.run("a", purges.since(), std::future::pending());
        ending.shutdown_background();
        let (begun_after, is_begun) = errands.run("b", purges.since(), std::future::pending());
        assert!(is_begun && errands.under_way().is_empty());
        drop(entered);
        for errand in [begun_before, begun_after] {
            assert!(runtime().block_on(errand).is_err());
        }
    }
}
