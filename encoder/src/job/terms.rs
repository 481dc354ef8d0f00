//! The numbers that a queue runs by. All processes on one queue should have the same.

/// How long things may take, and how often they may fail. Durations are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a task is held without a word of its worker.
    pub lease_ms: i64,
    /// How long a held task may stand still: no frame, no byte out, no byte in.
    pub stall_ms: i64,
    /// Pause before the second attempt; doubled for each further one.
    pub backoff_ms: i64,
    /// The longest such pause.
    pub backoff_cap_ms: i64,
    /// Real failures after which a task is given up.
    pub failures: u32,
    /// Leases that may run out, one after the other, before a task is given up: it kills its
    /// workers. More than `failures`, because machines die without a task's fault.
    pub losses: u32,
    /// How long a task waits in its lane before it moves to the next.
    pub age_ms: i64,
    /// How long a viewer's wish lasts. Players give up after 18 to 30 s, and ask again.
    pub want_ms: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lease_ms: 30_000,
            stall_ms: 60_000,
            backoff_ms: 5_000,
            backoff_cap_ms: 300_000,
            failures: 3,
            losses: 10,
            age_ms: 6 * 3_600_000,
            want_ms: 30_000,
        }
    }
}
