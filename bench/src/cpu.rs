//! CPU seconds from Linux' process table.

use std::fs;
use std::io;

use crate::limits::MAX_PROCESSES;
use crate::process_table::{Stat, parse, tree_ticks};

/// CPU seconds.
#[derive(Clone, Copy, Debug)]
pub struct Seconds {
    /// In programs and in the kernel for them.
    pub all: f64,
    /// In programs alone.
    pub user: f64,
}

impl Seconds {
    /// What passed since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { all: self.all - before.all, user: self.user - before.user }
    }
}

/// Those of a process and all below it.
pub fn tree_seconds(pid: u32) -> Result<Seconds, String> {
    let table = table().map_err(|error| format!("/proc: {error}"))?;
    let ticks = tree_ticks(&table, pid).ok_or_else(|| format!("there is no process {pid}"))?;
    Ok(Seconds { all: seconds(ticks.user + ticks.system), user: seconds(ticks.user) })
}

/// This process's own, user and system; 0 where it cannot be known.
pub fn own_seconds() -> f64 {
    let own = fs::read_to_string("/proc/self/stat").ok().and_then(|line| parse(&line));
    own.map_or(0.0, |stat| seconds(stat.ticks.user + stat.ticks.system))
}

/// The smallest difference that the kernel's account shows.
pub fn tick_seconds() -> f64 {
    seconds(1)
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Every process; one that ends while we look is left out.
fn table() -> io::Result<Vec<Stat>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")?.take(MAX_PROCESSES) {
        let path = entry?.path();
        let is_process = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|c| c.is_ascii_digit()));
        if is_process && let Ok(line) = fs::read_to_string(path.join("stat")) {
            all.extend(parse(&line));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen() {
        let before = own_seconds();
        let mut sum = 0_u64;
        while own_seconds() < before + 3.0 * tick_seconds() {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let tree = tree_seconds(std::process::id()).unwrap().all;
        assert!(sum > 0 && tree >= before + 3.0 * tick_seconds(), "{before}, {tree}");
        assert!(tree_seconds(u32::MAX).unwrap_err().contains("no process"));
    }
}
