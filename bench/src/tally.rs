//! What became of requests: each is one good answer or one failure, and nothing else.

use std::time::Duration;

use crate::failure::{Failure, Failures};
use crate::figures::Figures;
use crate::latency::Latency;
use crate::number::ratio;
use crate::series::Series;
use crate::sums::{Compared, Sum, Sums};

/// How one request went.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// What its body is known by.
    pub key: &'a str,
    /// The status that a good answer has.
    pub wanted_status: u16,
    /// From when it was due to the answer's begin.
    pub ttfb: Duration,
    /// From when it was due to its end.
    pub time: Duration,
    /// When it ended, since the start of the run.
    pub at: Duration,
    /// Status and sum of the body, or what went wrong.
    pub result: Result<(u16, Sum), (Failure, String)>,
}

/// Counts of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bodies that were compared with an earlier or listed one.
    pub verified: u64,
    /// Bytes of good bodies.
    pub bytes: u64,
    /// What failed.
    pub failures: Failures,
    /// First byte of good answers.
    pub ttfb: Latency,
    /// Good answers whole.
    pub time: Latency,
    /// Second by second.
    pub series: Series,
    /// What bodies must be.
    pub sums: Sums,
    good: u64,
    /// Requests that were due before this are not counted, since the start of the run.
    settled_at: Duration,
}

impl Tally {
    /// A tally that knows some bodies.
    pub fn with(sums: Sums) -> Self {
        Self { sums, ..Self::default() }
    }

    /// One that counts what is due from then on. A wrong body counts whenever it comes.
    #[must_use]
    pub fn settling(self, settled_at: Duration) -> Self {
        Self { settled_at, ..self }
    }

    /// Counts one; whether it was good.
    pub fn count(&mut self, delivery: Delivery<'_>) -> bool {
        let Delivery { key, wanted_status, ttfb, time, at, result } = delivery;
        let due = at.saturating_sub(time);
        let sum = match result {
            Ok((status, sum)) if status == wanted_status => sum,
            Ok((status, _)) => {
                let what = || format!("{key}: {status}, expected {wanted_status}");
                return self.failed((due, at), Failure::Status(status), what);
            }
            Err((kind, what)) => {
                return self.failed((due, at), kind, || format!("{key}: {what}"));
            }
        };
        match self.sums.compare(key, sum) {
            Compared::First => {}
            Compared::Equal => self.verified += u64::from(due >= self.settled_at),
            Compared::Differs(wanted) => {
                let what = || {
                    format!(
                        "{key}: {} bytes with CRC32C {:08x}, expected {} with {:08x}",
                        sum.len_bytes, sum.crc32c, wanted.len_bytes, wanted.crc32c
                    )
                };
                return self.failed((due, at), Failure::WrongBody, what);
            }
        }
        if due < self.settled_at {
            return true;
        }
        self.good += 1;
        self.bytes += sum.len_bytes;
        self.ttfb.record(ttfb);
        self.time.record(time);
        self.series.good(at, ttfb, sum.len_bytes);
        true
    }

    /// Counts a failure; never good.
    pub fn fail(&mut self, at: Duration, kind: Failure, what: impl FnOnce() -> String) -> bool {
        self.failed((at, at), kind, what)
    }

    fn failed(
        &mut self,
        (due, at): (Duration, Duration),
        kind: Failure,
        what: impl FnOnce() -> String,
    ) -> bool {
        if due < self.settled_at && kind != Failure::WrongBody {
            return false;
        }
        self.failures.count(kind, what);
        self.series.failed(at);
        false
    }

    /// Good answers and failures.
    pub fn requests(&self) -> u64 {
        self.good + self.failures.total()
    }

    /// Good answers.
    pub fn good(&self) -> u64 {
        self.good
    }

    /// What every command says of its requests.
    pub fn say(&self, figures: &mut Figures, elapsed: Duration) {
        let elapsed_s = elapsed.saturating_sub(self.settled_at).as_secs_f64();
        let (requests, failed) = (self.requests() as f64, self.failures.total() as f64);
        figures.say("requests", requests);
        figures.say("good", self.good as f64);
        figures.say("failed", failed);
        figures.say("failed_share", ratio(failed, requests));
        figures.say("verified", self.verified as f64);
        figures.say("bytes", self.bytes as f64);
        figures.say("elapsed_s", elapsed_s);
        figures.say("rate_per_s", ratio(self.good as f64, elapsed_s));
        figures.say("gbit_s", ratio(self.bytes as f64 * 8e-9, elapsed_s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200s with good and bad bytes, other statuses, cut bodies: none is lost, none is good that
    /// is not.
    #[test]
    fn each_request_is_counted_once() {
        let mut tally = Tally::default();
        let (good, bad) = (Sum::default().with(b"good"), Sum::default().with(b"evil"));
        let cases = [
            (Ok((200, good)), true),
            (Ok((200, good)), true),
            (Ok((200, bad)), false),
            (Ok((503, bad)), false),
            (Ok((206, good)), false),
            (Err((Failure::CutBody, "after 3 bytes".to_owned())), false),
            (Ok((200, good)), true),
        ];
        for (n, (result, wanted)) in cases.into_iter().enumerate() {
            let ms = Duration::from_millis(10);
            let delivery =
                Delivery { key: "/a", wanted_status: 200, ttfb: ms, time: 2 * ms, at: ms, result };
            assert_eq!(tally.count(delivery), wanted, "{n}");
        }
        assert_eq!((tally.requests(), tally.good(), tally.verified, tally.bytes), (7, 3, 2, 12));
        let rows: Vec<_> = tally.failures.rows().map(|(kind, count, _)| (kind, count)).collect();
        let wanted = [
            (Failure::CutBody, 1),
            (Failure::Status(206), 1),
            (Failure::Status(503), 1),
            (Failure::WrongBody, 1),
        ];
        assert_eq!(rows, wanted);
        assert_eq!((tally.ttfb.count(), tally.time.count()), (3, 3));
        let mut figures = Figures::default();
        tally.say(&mut figures, Duration::from_secs(2));
        for (name, wanted) in [("requests", 7.0), ("failed", 4.0), ("rate_per_s", 1.5)] {
            assert_eq!(figures.value(name, &tally.failures), Some(wanted), "{name}");
        }
    }
    /// What was due before counts for nothing, but for bytes that are not those.
    #[test]
    fn what_was_due_while_it_settles_is_not_counted() {
        let ms = Duration::from_millis;
        let (good, bad) = (Sum::default().with(b"good"), Sum::default().with(b"evil"));
        let mut tally = Tally::default().settling(ms(1_000));
        for (due, took, result, counted) in [
            (0, 10, Ok((200, good)), false),
            (999, 500, Ok((200, good)), false),
            (998, 500, Ok((503, bad)), false),
            (997, 1, Err((Failure::CutBody, String::new())), false),
            (996, 1, Ok((200, bad)), true),
            (1_000, 1, Ok((200, good)), true),
            (1_001, 1, Ok((503, bad)), true),
        ] {
            let before = tally.requests();
            let (time, at) = (ms(took), ms(due + took));
            let delivery = Delivery { key: "/a", wanted_status: 200, ttfb: time, time, at, result };
            tally.count(delivery);
            assert_eq!(tally.requests() - before, u64::from(counted), "due at {due} ms");
        }
        tally.fail(ms(999), Failure::NotSent, String::new);
        assert_eq!((tally.requests(), tally.good(), tally.time.count()), (3, 1, 1));
        let mut figures = Figures::default();
        tally.say(&mut figures, ms(3_000));
        assert_eq!(figures.value("rate_per_s", &tally.failures), Some(0.5));
    }
}
