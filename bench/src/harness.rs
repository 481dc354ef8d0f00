//! What the harness itself takes: times that it could not have measured better are said to be so.

use std::time::Instant;

use crate::cpu;
use crate::number::ratio;

/// Share of its one core from which on times are partly the harness's own.
const BUSY: f64 = 0.85;

/// The harness's own CPU over a run.
#[derive(Clone, Copy, Debug)]
pub struct Harness {
    started: Instant,
    before_s: f64,
}

impl Harness {
    /// From now on.
    pub fn start() -> Self {
        Self { started: Instant::now(), before_s: cpu::own_seconds() }
    }

    /// Share of one core that it took.
    pub fn share(&self) -> f64 {
        ratio(cpu::own_seconds() - self.before_s, self.started.elapsed().as_secs_f64())
    }

    /// What must be said of such a share.
    pub fn note(share: f64) -> Option<String> {
        (share >= BUSY).then(|| {
            format!(
                "the harness took {:.0} % of its one core: rates and times are its own limit as much \
                 as the server's; CPU seconds of the server still count",
                share * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_harness_says_so() {
        assert_eq!(Harness::note(0.5), None);
        assert!(Harness::note(0.91).unwrap().contains("91 %"));
    }
}
