//! Faults by chance between origin and bucket. Whatever happens, what is answered with 200 is
//! right to the byte, and everything else is a row of the failure table that no cache keeps.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use headwater_tests::s3_proxy::Fault;
use headwater_tests::{measured, skip};

use crate::common::{Bench, HASTY};

/// Faults in every run; ten times as many where time does not matter.
const FAULTS: usize = 1_000;
const CLIENTS: usize = 12;

#[test]
fn a_thousand_faults_and_no_wrong_byte() {
    try_faults(FAULTS);
}

#[test]
fn ten_thousand_faults_and_no_wrong_byte() {
    if skip::is_long("10,000 random faults") {
        try_faults(10 * FAULTS);
    }
}

fn try_faults(wanted_faults: usize) {
    let bench = Bench::new();
    let wanted: Vec<_> = bench.wanted().all().into_iter().collect();
    let limits = "[origin.store]\nread_timeout_ms = 2500\n";
    let mut origin = bench.origin(HASTY, 0, limits);
    origin.wait_until_ready();
    let injected: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let mut chance = Chance(0x5EED_CAFE);
    bench.proxy.inject(move |_| {
        let fault = chance.fault();
        injected.fetch_add(usize::from(fault != Fault::Pass), Ordering::Relaxed);
        fault
    });
    let outcomes = Mutex::new(BTreeMap::<(u16, String), usize>::new());
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while injected.load(Ordering::Relaxed) < wanted_faults {
                    let n = asked.fetch_add(1, Ordering::Relaxed);
                    let (path, body) = &wanted[n % wanted.len()];
                    let answer = origin.web().get(path);
                    let error = match answer.status {
                        200 => {
                            assert!(answer.body == *body, "{path}: wrong bytes with a 200");
                            String::new()
                        }
                        _ => answer.error(),
                    };
                    assert!(answer.status == 200 || answer.is_no_store(), "{path}: {error}");
                    *outcomes.lock().unwrap().entry((answer.status, error)).or_default() += 1;
                }
            });
        }
    });
    bench.proxy.heal();
    let outcomes = outcomes.into_inner().unwrap();
    let asked = asked.into_inner();
    measured(format_args!(
        "s3: {} faults, {asked} requests: {outcomes:?}",
        injected.load(Ordering::Relaxed)
    ));
    let rows = [
        (200, ""),
        (502, "source_damaged"),
        (503, "store_unavailable"),
        (503, "store_denied"),
        (503, "store_throttled"),
        (504, "store_timeout"),
    ];
    for (status, error) in outcomes.keys() {
        assert!(rows.contains(&(*status, error)), "{status} {error}");
    }
    for row in rows {
        assert!(outcomes.contains_key(&(row.0, row.1.to_owned())), "never seen: {row:?}");
    }
    for (path, body) in &wanted {
        assert!(origin.web().body(path) == *body, "{path}: afterwards");
    }
}

/// xorshift64*: the same faults in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }

    /// Two requests of three are spoiled.
    fn fault(&mut self) -> Fault {
        let at = usize::try_from(self.below(1000)).expect("it is small");
        match self.below(60) {
            0..20 => Fault::Pass,
            20..25 => Fault::Reset,
            25..29 => Fault::LoseAnswer,
            29..35 => Fault::Cut(at),
            35..43 => Fault::Flip(at),
            43 => Fault::Late(800),
            44 => Fault::Stall(at),
            45..48 => Fault::Status(403, "AccessDenied"),
            48 => Fault::Status(403, "RequestTimeTooSkewed"),
            49..51 => Fault::Status(404, ""),
            51..53 => Fault::Status(429, "TooManyRequests"),
            53..56 => Fault::Status(500, "InternalError"),
            56..58 => Fault::Status(503, "SlowDown"),
            _ => Fault::Status(503, "ServiceUnavailable"),
        }
    }
}
