//! How much of some work is done at one time, who waits for a turn, and who is refused at once.
//!
//! A burst may wait as long as is configured. Where nearly all who come have to wait, and have had to for as
//! long as one may, waiting helps nobody: the queue would only make each answer late. Patience then
//! shrinks to what the work itself takes, and an answer comes within twice its usual time or not at all
//! (controlled delay, as CoDel and Facebook's servers do it). Whoever can be seen to wait longer than that
//! is refused before he waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;
use crate::metrics::Metrics;

/// Turns of one kind of work.
#[derive(Debug)]
pub struct Gate {
    turns: Arc<Semaphore>,
    rules: Mutex<Rules>,
    /// Turns to take away as they come back, after a smaller number was set.
    surplus: AtomicUsize,
    waiting: AtomicUsize,
    /// A moving mean of what the work takes.
    work_us: AtomicU64,
    arrivals: Mutex<Arrivals>,
    counts: Counts,
}

/// How much at one time, and who may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Turns at one time.
    pub most: usize,
    /// Who waits for one.
    pub most_waiting: usize,
    /// How long at most.
    pub patience: Duration,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// Too many wait already.
    QueueFull,
    /// It would have taken too long.
    TooLong,
    /// It took too long.
    WaitedInVain,
}

#[derive(Debug)]
struct Counts {
    taken: IntGauge,
    waiting: IntGauge,
    refused: [IntCounter; 3],
}

/// One turn. Given back when dropped.
#[derive(Debug)]
pub struct Turn {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
    began: Instant,
}

impl Gate {
    /// A gate for the work that metrics call `name`.
    pub fn new(name: &'static str, rules: Rules, metrics: &Metrics) -> Arc<Self> {
        let refused = |why: NoTurn| metrics.turns_refused.with_label_values(&[name, why.as_str()]);
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(rules.most)),
            rules: Mutex::new(rules),
            surplus: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            work_us: AtomicU64::new(0),
            arrivals: Mutex::default(),
            counts: Counts {
                taken: metrics.turns_taken.with_label_values(&[name]),
                waiting: metrics.turns_waiting.with_label_values(&[name]),
                refused: [
                    refused(NoTurn::QueueFull),
                    refused(NoTurn::TooLong),
                    refused(NoTurn::WaitedInVain),
                ],
            },
        })
    }

    /// Other rules, from now on. Who has a turn keeps it.
    pub fn set(&self, rules: Rules) {
        let mut current = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.most > current.most {
            let more = rules.most - current.most;
            let kept = |surplus: usize| Some(surplus.saturating_sub(more));
            let taken = self.surplus.fetch_update(Ordering::AcqRel, Ordering::Acquire, kept);
            let surplus = taken.unwrap_or_else(|surplus| surplus);
            self.turns.add_permits(more.saturating_sub(surplus));
        } else {
            let fewer = current.most - rules.most;
            let gone = self.turns.forget_permits(fewer);
            self.surplus.fetch_add(fewer - gone, Ordering::AcqRel);
        }
        *current = rules;
    }

    /// A turn, when there is one.
    ///
    /// # Errors
    /// Where it takes, or would take, too long.
    pub async fn turn(self: &Arc<Self>) -> Result<Turn, NoTurn> {
        let rules = self.rules();
        if let Some(turn) = self.turn_now() {
            self.arrivals().saw(false, Instant::now(), rules.patience);
            return Ok(turn);
        }
        let stands_for = self.arrivals().saw(true, Instant::now(), rules.patience);
        let Some(_place) = Place::take(self, rules.most_waiting) else {
            return Err(self.refuse(NoTurn::QueueFull));
        };
        let patience = self.patience(&rules, stands_for);
        if self.expected_wait(&rules) > patience {
            return Err(self.refuse(NoTurn::TooLong));
        }
        let turns = Arc::clone(&self.turns);
        match tokio::time::timeout(patience, turns.acquire_owned()).await {
            Ok(permit) => Ok(self.taken(permit.expect("the semaphore is never closed"))),
            Err(_) => Err(self.refuse(NoTurn::WaitedInVain)),
        }
    }

    /// A turn, if nobody waits for one.
    pub fn turn_now(self: &Arc<Self>) -> Option<Turn> {
        let permit = Arc::clone(&self.turns).try_acquire_owned().ok()?;
        Some(self.taken(permit))
    }

    fn taken(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Turn {
        self.counts.taken.inc();
        Turn { gate: Arc::clone(self), permit: Some(permit), began: Instant::now() }
    }

    fn rules(&self) -> Rules {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long one may wait in a queue that has stood for so long.
    fn patience(&self, rules: &Rules, stands_for: Duration) -> Duration {
        if stands_for < rules.patience {
            return rules.patience;
        }
        self.work().clamp(limits::LEAST_PATIENCE.min(rules.patience), rules.patience)
    }

    /// Until those who wait have had their turns, himself among them.
    fn expected_wait(&self, rules: &Rules) -> Duration {
        let waiting = u32::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let most = u32::try_from(rules.most.max(1)).unwrap_or(u32::MAX);
        self.work().saturating_mul(waiting) / most
    }

    fn work(&self) -> Duration {
        Duration::from_micros(self.work_us.load(Ordering::Relaxed))
    }

    fn refuse(&self, why: NoTurn) -> NoTurn {
        self.counts.refused[why as usize].inc();
        why
    }
}

/// Whether those who come find a turn.
#[derive(Debug, Default)]
struct Arrivals {
    /// A moving share of those who had to wait, of [`Self::ALL`].
    waited: u32,
    /// Since when it has been nearly all of them.
    standing_since: Option<Instant>,
    last: Option<Instant>,
}

impl Arrivals {
    const ALL: u32 = 1 << 16;
    const NEARLY_ALL: u32 = Self::ALL / 4 * 3;
    /// Below which the queue is no longer taken to stand: a pause of the machine lets a few through at once.
    const FEW: u32 = Self::ALL / 2;
    /// How many of the last ones count.
    const LAST: u32 = 32;

    /// Sees one more; for how long nearly all have had to wait. A queue in which nobody came for as long as
    /// one may wait stands no more.
    fn saw(&mut self, waits: bool, now: Instant, patience: Duration) -> Duration {
        let last = self.last.replace(now);
        if last.is_some_and(|last| now.saturating_duration_since(last) > patience) {
            *self = Self { last: Some(now), ..Self::default() };
        }
        self.waited -= self.waited / Self::LAST;
        if waits {
            self.waited += Self::ALL / Self::LAST;
        }
        if self.waited < Self::FEW {
            self.standing_since = None;
        } else if self.waited >= Self::NEARLY_ALL {
            self.standing_since.get_or_insert(now);
        }
        self.standing_since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }
}

impl NoTurn {
    /// The word in the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLong => "too_long",
            Self::WaitedInVain => "waited_in_vain",
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let gate = &self.gate;
        gate.counts.taken.dec();
        let took_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mean = gate.work_us.load(Ordering::Relaxed);
        // Rounded towards what is new, so that short work is not forgotten.
        let mean = if mean == 0 { took_us } else { mean - mean / 16 + took_us.div_ceil(16) };
        gate.work_us.store(mean, Ordering::Relaxed);
        let one_less = |surplus: usize| surplus.checked_sub(1);
        let taken = gate.surplus.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less);
        if taken.is_ok()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}

/// A place in the queue. Given back when dropped, also by who goes away.
struct Place<'a>(&'a Gate);

impl<'a> Place<'a> {
    fn take(gate: &'a Gate, most: usize) -> Option<Self> {
        let more = |waiting: usize| (waiting < most).then_some(waiting + 1);
        gate.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        gate.counts.waiting.inc();
        Some(Self(gate))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.counts.waiting.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(most: usize, most_waiting: usize, patience_ms: u64) -> Arc<Gate> {
        let patience = Duration::from_millis(patience_ms);
        Gate::new("fills", Rules { most, most_waiting, patience }, &Metrics::new())
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_turn_waits_and_who_finds_no_place_is_refused() {
        let gate = gate(1, 1, 1_000);
        let first = gate.turn().await.unwrap();
        let second = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.turn().await.map(drop) }
        });
        while gate.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.turn().await.unwrap_err(), NoTurn::QueueFull);
        drop(first);
        assert_eq!(second.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_is_said() {
        let gate = gate(1, 10, 100);
        let _first = gate.turn().await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(gate.turn().await.unwrap_err(), NoTurn::WaitedInVain);
        assert_eq!(began.elapsed(), Duration::from_millis(100));
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_can_be_seen_to_wait_too_long_is_refused_before_he_waits() {
        let gate = gate(1, 10, 1_000);
        let _first = gate.turn().await.unwrap();
        gate.work_us.store(1_001_000, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        assert_eq!(gate.turn().await.unwrap_err(), NoTurn::TooLong);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_queue_that_stands_shortens_patience_to_the_work_itself() {
        let gate = gate(2, 10, 1_000);
        let rules = gate.rules();
        gate.work_us.store(20_000, Ordering::Relaxed);
        let burst = Duration::from_millis(999);
        assert_eq!(gate.patience(&rules, burst), Duration::from_secs(1));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(gate.patience(&rules, second), Duration::from_millis(20));
        // Three who wait for two turns.
        gate.waiting.store(3, Ordering::Relaxed);
        assert_eq!(gate.expected_wait(&rules), Duration::from_millis(30));
        // Nearly all have to wait, for a second; then some do not.
        let mut arrivals = Arrivals::default();
        let mut saw = |waits, at| arrivals.saw(waits, at, second);
        for _ in 0..200 {
            saw(true, start);
        }
        saw(false, start);
        assert_eq!(saw(true, start + second), second, "one of many");
        for n in 0..100 {
            saw(n % 3 == 0, start + second);
        }
        assert_eq!(saw(true, start + second), Duration::ZERO, "most do not");
        for _ in 0..200 {
            saw(true, start + second);
        }
        let next_morning = start + 3600 * second;
        assert_eq!(saw(true, next_morning), Duration::ZERO, "nobody came all night");
    }

    #[tokio::test]
    async fn other_rules_hold_at_once_and_who_has_a_turn_keeps_it() {
        let gate = gate(3, 0, 1_000);
        let mut turns = Vec::new();
        for _ in 0..3 {
            turns.push(gate.turn().await.unwrap());
        }
        gate.set(Rules { most: 1, ..gate.rules() });
        turns.pop();
        turns.pop();
        assert!(gate.turn_now().is_none(), "one is still at work");
        turns.pop();
        let only = gate.turn_now().unwrap();
        assert!(gate.turn_now().is_none());
        gate.set(Rules { most: 2, ..gate.rules() });
        assert!(gate.turn_now().is_some());
        drop(only);
        // Fewer and more again while all are taken.
        let _both = [gate.turn_now().unwrap(), gate.turn_now().unwrap()];
        gate.set(Rules { most: 1, ..gate.rules() });
        gate.set(Rules { most: 3, ..gate.rules() });
        let _third = gate.turn_now().unwrap();
        assert!(gate.turn_now().is_none(), "three at a time");
    }
}
