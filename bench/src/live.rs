//! A run while it goes on: what is counted, what is on its way, and the line that tells of it.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write, stderr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::report::digits;
use crate::series::Second;
use crate::tally::Tally;

/// Seconds between lines where they cannot be written over: a log.
const LOG_EVERY_S: usize = 10;

/// Shared by everything that asks.
#[derive(Debug)]
pub struct Live {
    /// When it began.
    pub started: Instant,
    /// Its counts.
    pub tally: RefCell<Tally>,
    /// Requests or players on their way.
    pub active: Cell<usize>,
    /// Players that stall.
    pub stalled: Cell<usize>,
}

impl Live {
    /// A run that begins now.
    pub fn start(tally: Tally) -> Rc<Self> {
        Rc::new(Self {
            started: Instant::now(),
            tally: RefCell::new(tally),
            active: Cell::new(0),
            stalled: Cell::new(0),
        })
    }

    /// Time since it began.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Tells of each second on standard error, where `shown`; stop it with [`JoinHandle::abort`].
    pub fn watch(self: &Rc<Self>, shown: bool) -> JoinHandle<()> {
        let live = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let terminal = stderr().is_terminal();
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            tick.tick().await;
            loop {
                tick.tick().await;
                let told = {
                    let mut tally = live.tally.borrow_mut();
                    tally.series.active(live.now(), live.active.get(), live.stalled.get());
                    tally
                        .series
                        .last()
                        .map(|second| (second.at_s, line(second, tally.failures.total())))
                };
                let Some((at_s, line)) = told.filter(|_| shown) else { continue };
                // Nobody is told where nobody listens.
                if terminal {
                    let _ = write!(stderr(), "\r\x1b[K{line}");
                } else if (at_s + 1).is_multiple_of(LOG_EVERY_S) {
                    let _ = writeln!(stderr(), "{line}");
                }
            }
        })
    }

    /// The counts, when nothing asks any more.
    pub fn finish(&self) -> Tally {
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
        self.tally.take()
    }
}

/// One second in words.
fn line(second: &Second, failed: u64) -> String {
    let stalled =
        if second.stalled > 0 { format!(", {} stalled", second.stalled) } else { String::new() };
    format!(
        "{:>5} s  {:>7}/s  {:>8} Mbit/s  first byte {} / {} ms  {} on their way{stalled}  {failed} failed",
        second.at_s + 1,
        second.good,
        digits((second.bytes as f64 * 8e-6).round()),
        digits(second.p50_ttfb_ms),
        digits(second.p99_ttfb_ms),
        second.active,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_in_words() {
        let second = Second {
            at_s: 11,
            good: 3812,
            bytes: 12_500_000,
            p50_ttfb_ms: 0.5,
            p99_ttfb_ms: 3.25,
            active: 16,
            stalled: 2,
            ..Second::default()
        };
        let wanted = "   12 s     3812/s       100 Mbit/s  first byte 0.5000 / 3.250 ms  16 on their way, 2 stalled  1 failed";
        assert_eq!(line(&second, 1), wanted);
    }
}
