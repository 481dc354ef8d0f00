//! How late the serving threads are: what is ready to run waits for so long until it runs.
//!
//! Turns at a gate count what is being made; they do not see that processors have more to do than they can.
//! Then everything that is ready waits in the runtime's queue, all answers come later and later, and the next
//! bound is that of connections. So a task that does nothing asks for its turn again and again, and where it has
//! waited for too long each time for a while, media is refused as long as it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::Histogram;
use tokio::time;

use crate::limits;
use crate::metrics::Metrics;
use crate::threads::behind_all_that_is_ready;

/// How late it is.
#[derive(Debug)]
pub struct Lag {
    is_watched: AtomicBool,
    /// What times are counted from.
    start: Instant,
    /// How late it may be, in microseconds; 0 for as late as it gets.
    most_us: AtomicU64,
    /// Whether it has been later for a while: a burst, or a pause of the machine, is no overload.
    stands: AtomicBool,
    /// Since when the task waits, in microseconds; [`NOT_WAITING`] between two times.
    waits_since_us: AtomicU64,
    /// How long it waited the last time.
    last_us: AtomicU64,
    told: Histogram,
}

const NOT_WAITING: u64 = u64::MAX;

impl Lag {
    /// Nobody waits yet.
    pub fn new(most: Duration, metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            is_watched: AtomicBool::new(false),
            start: Instant::now(),
            most_us: AtomicU64::new(micros(most)),
            stands: AtomicBool::new(false),
            waits_since_us: AtomicU64::new(NOT_WAITING),
            last_us: AtomicU64::new(0),
            told: metrics.lag_seconds.clone(),
        })
    }

    /// Another limit, from now on.
    pub fn set(&self, most: Duration) {
        self.most_us.store(micros(most), Ordering::Relaxed);
    }

    /// Whether more media would make all of it late. The first to ask on a runtime that serves has it watched
    /// for as long as there is a limit.
    pub fn is_too_much(self: &Arc<Self>) -> bool {
        let most_us = self.most_us.load(Ordering::Relaxed);
        if most_us == 0 {
            return false;
        }
        let is_watched = self.is_watched.load(Ordering::Relaxed);
        if !is_watched && !self.is_watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(Arc::clone(self).watch());
        }
        if !self.stands.load(Ordering::Relaxed) {
            return false;
        }
        // A wait that has not ended is known to be that long.
        let us = match self.waits_since_us.load(Ordering::Relaxed) {
            NOT_WAITING => self.last_us.load(Ordering::Relaxed),
            since_us => self.us(Instant::now()).saturating_sub(since_us),
        };
        us > most_us
    }

    async fn watch(self: Arc<Self>) {
        let mut late = Late::default();
        loop {
            let stands = self.stands.load(Ordering::Relaxed);
            time::sleep(if stands { limits::LAG_SHORT_PAUSE } else { limits::LAG_PAUSE }).await;
            let began = Instant::now();
            self.waits_since_us.store(self.us(began), Ordering::Relaxed);
            behind_all_that_is_ready().await;
            let now = Instant::now();
            let waited = now.duration_since(began);
            self.told.observe(waited.as_secs_f64());
            let most_us = self.most_us.load(Ordering::Relaxed);
            if most_us == 0 {
                break;
            }
            let is_late = micros(waited) > most_us;
            self.stands.store(late.stands(is_late, began, now), Ordering::Relaxed);
            self.last_us.store(micros(waited), Ordering::Relaxed);
            self.waits_since_us.store(NOT_WAITING, Ordering::Relaxed);
        }
        self.stands.store(false, Ordering::Relaxed);
        self.waits_since_us.store(NOT_WAITING, Ordering::Relaxed);
        self.is_watched.store(false, Ordering::Relaxed);
    }

    fn us(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.start))
    }
}

/// Whether it is late for good.
#[derive(Debug, Default)]
struct Late {
    /// How many waits in a row were too long, and since when.
    in_a_row: u32,
    since: Option<Instant>,
    /// When one was last, if it stands.
    last: Option<Instant>,
}

impl Late {
    /// After one more wait. Once it stands it is late now and then only, for media is refused whenever it is.
    fn stands(&mut self, is_late: bool, began: Instant, now: Instant) -> bool {
        if is_late {
            let since = *self.since.get_or_insert(began);
            self.in_a_row += 1;
            // One long wait is a pause of the machine, whatever comes behind it.
            let is_standing = self.in_a_row >= limits::LAG_WAITS
                && now.duration_since(since) >= limits::LAG_STANDS;
            if self.last.is_some() || is_standing {
                self.last = Some(now);
            }
        } else {
            (self.in_a_row, self.since) = (0, None);
            let is_over = |last: &mut Instant| now.duration_since(*last) > limits::LAG_IS_OVER;
            self.last.take_if(is_over);
        }
        self.last.is_some()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_for_a_while_stands_until_it_has_not_been_late_for_a_while() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut late = Late::default();
        let mut saw =
            |is_late, from_ms, to_ms| late.stands(is_late, start + ms(from_ms), start + ms(to_ms));
        assert!(!saw(true, 0, 60), "a pause");
        assert!(!saw(false, 61, 61));
        assert!(!saw(true, 62, 63), "a burst");
        assert!(!saw(true, 63, 64));
        assert!(!saw(true, 64, 65));
        assert!(!saw(false, 65, 65));
        assert!(!saw(true, 66, 140), "a longer pause");
        assert!(!saw(true, 141, 150), "and what came meanwhile");
        assert!(saw(true, 152, 170), "late each time, for 104 ms");
        assert!(saw(false, 172, 172), "for a moment there was nothing to do");
        assert!(saw(true, 174, 200));
        assert!(saw(false, 1_200, 1_200));
        assert!(!saw(false, 1_202, 1_202), "not late for a second");
        assert!(!saw(true, 1_204, 1_250));
    }

    #[test]
    fn a_wait_that_has_not_ended_is_as_long_as_it_has_lasted() {
        let lag = Lag::new(Duration::from_millis(5), &Metrics::new());
        lag.is_watched.store(true, Ordering::Relaxed);
        lag.stands.store(true, Ordering::Relaxed);
        assert!(!lag.is_too_much(), "the last was none");
        lag.waits_since_us.store(0, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(10));
        assert!(lag.is_too_much());
        lag.stands.store(false, Ordering::Relaxed);
        assert!(!lag.is_too_much(), "a pause");
    }

    /// More than the one thread can do, many short things, and then no more. The runtime is that which serves.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_thread_that_has_too_much_to_do_is_seen() {
        let lag = Lag::new(Duration::from_millis(20), &Metrics::new());
        let watched = Arc::clone(&lag);
        assert!(!tokio::spawn(async move { watched.is_too_much() }).await.unwrap());
        let hogs: Vec<_> = (0..400)
            .map(|_| {
                tokio::spawn(async {
                    loop {
                        std::thread::sleep(Duration::from_micros(100));
                        behind_all_that_is_ready().await;
                    }
                })
            })
            .collect();
        let began = Instant::now();
        while !lag.is_too_much() {
            assert!(began.elapsed() < Duration::from_secs(60), "never seen");
            time::sleep(Duration::from_millis(1)).await;
        }
        assert!(began.elapsed() >= limits::LAG_STANDS, "a burst is not refused");
        lag.set(Duration::from_secs(3600));
        assert!(!lag.is_too_much(), "it may be as late as that");
        lag.set(Duration::ZERO);
        assert!(!lag.is_too_much(), "no limit");
        lag.set(Duration::from_millis(20));
        hogs.iter().for_each(tokio::task::JoinHandle::abort);
        while lag.is_too_much() {
            assert!(began.elapsed() < Duration::from_secs(60), "never over");
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}
