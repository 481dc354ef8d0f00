//! Does each piece of work twice: once so that nothing is done for the first time, and once inside
//! `counted`, which `packager/bench/count` has valgrind count. Prints the names, in order.
//!
//! With `--us` prints what each takes of the processor's time instead, in microseconds: median,
//! least and most of some batches, by the kernel's account of this thread, in which what others do
//! on the machine does not stand.
#![expect(clippy::print_stdout, reason = "that is what it is for")]

use headwater_packager_bench::works;
use rustix::time::{ClockId, clock_gettime};

/// Batches, and the nanoseconds that one takes at least.
const BATCHES: usize = 15;
const BATCH_NS: u64 = 20_000_000;

fn main() {
    let timed = std::env::args().nth(1).is_some_and(|argument| argument == "--us");
    for (name, work) in works() {
        work();
        if timed {
            let [median, least, most] = microseconds(&*work);
            println!("{name} {median:.2} {least:.2} {most:.2}");
        } else {
            counted(&*work);
            println!("{name}");
        }
    }
}

/// Instructions between its first and its last are counted.
#[inline(never)]
fn counted(work: &dyn Fn()) {
    work();
}

/// Median, least and most.
fn microseconds(work: &dyn Fn()) -> [f64; 3] {
    let mut times = 1;
    while batch(work, times) < BATCH_NS {
        times *= 2;
    }
    let mut each: Vec<f64> =
        (0..BATCHES).map(|_| batch(work, times) as f64 / f64::from(times) / 1000.0).collect();
    each.sort_by(f64::total_cmp);
    [each[BATCHES / 2], each[0], each[BATCHES - 1]]
}

/// Nanoseconds of this thread for doing it so many times.
fn batch(work: &dyn Fn(), times: u32) -> u64 {
    let before = own_ns();
    (0..times).for_each(|_| work());
    own_ns() - before
}

/// Nanoseconds of this thread on the processor. The kernel's table of processes says the same, but as of
/// its last tick, and a tick is a good part of a batch.
fn own_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}
