//! A run second by second: what a progress line shows as it happens, and a report afterwards.

use std::time::Duration;

use crate::latency::Latency;
use crate::limits::MAX_SERIES_S;

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Second {
    /// Seconds since the start.
    pub at_s: usize,
    /// Good answers that ended in it.
    pub good: u64,
    /// Failures.
    pub failed: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Requests or players on their way at its end.
    pub active: usize,
    /// Players that had stalled and waited at its end.
    pub stalled: usize,
    /// Half of its good answers began within this; 0 where there was none.
    pub p50_ttfb_ms: f64,
    /// All but a hundredth did.
    pub p99_ttfb_ms: f64,
}

/// The seconds of a run, the running one last.
#[derive(Debug, Default)]
pub struct Series {
    ended: Vec<Second>,
    running: Second,
    ttfb: Latency,
}

impl Series {
    /// A good answer at a time since the start.
    pub fn good(&mut self, at: Duration, ttfb: Duration, bytes: u64) {
        self.roll(at);
        self.running.good += 1;
        self.running.bytes += bytes;
        self.ttfb.record(ttfb);
    }

    /// A failure.
    pub fn failed(&mut self, at: Duration) {
        self.roll(at);
        self.running.failed += 1;
    }

    /// What is on its way now, and how many of it have stalled.
    pub fn active(&mut self, at: Duration, active: usize, stalled: usize) {
        self.roll(at);
        self.running.active = active;
        self.running.stalled = stalled;
    }

    /// The last whole second.
    pub fn last(&self) -> Option<&Second> {
        self.ended.last()
    }

    /// All of them. The last one is shorter than a second, and left out if nothing ended in it.
    pub fn finish(mut self) -> Vec<Second> {
        if self.running.good + self.running.failed > 0 {
            self.close();
        }
        self.ended
    }

    /// Ends the seconds before `at`. What was active stays so until something else is said.
    fn roll(&mut self, at: Duration) {
        let now_s = usize::try_from(at.as_secs()).unwrap_or(usize::MAX).min(MAX_SERIES_S);
        while self.running.at_s < now_s {
            let Second { at_s, active, stalled, .. } = self.running;
            self.close();
            self.running = Second { at_s: at_s + 1, active, stalled, ..Second::default() };
        }
    }

    fn close(&mut self) {
        self.running.p50_ttfb_ms = self.ttfb.quantile_ms(0.5).unwrap_or(0.0);
        self.running.p99_ttfb_ms = self.ttfb.quantile_ms(0.99).unwrap_or(0.0);
        self.ttfb.clear();
        self.ended.push(self.running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own() {
        let ms = Duration::from_millis;
        let mut series = Series::default();
        series.good(ms(100), ms(4), 10);
        series.active(ms(150), 3, 1);
        series.good(ms(999), ms(4), 20);
        series.failed(ms(2_000));
        series.good(ms(2_100), ms(8), 5);
        let seconds = series.finish();
        let told: Vec<_> =
            seconds.iter().map(|s| (s.at_s, s.good, s.failed, s.bytes, s.active)).collect();
        assert_eq!(told, [(0, 2, 0, 30, 3), (1, 0, 0, 0, 3), (2, 1, 1, 5, 3)]);
        let medians: Vec<_> = seconds.iter().map(|s| s.p50_ttfb_ms.round()).collect();
        assert_eq!(medians, [4.0, 0.0, 8.0]);
    }

    #[test]
    fn an_empty_end_is_left_out() {
        let mut series = Series::default();
        series.active(Duration::from_secs(1), 0, 0);
        assert_eq!(series.finish().len(), 1);
    }
}
