//! Whether there is disk and memory for another task: looked at before it is claimed, since one that
//! fails for want of them costs its work and counts as a failure.

use std::fs;
use std::path::Path;

use headwater_config::Encoder;

/// What is lacking, in words; `None` for nothing, and where it cannot be known.
pub(super) fn lacks(config: &Encoder) -> Option<String> {
    let queue = &config.queue;
    let short = |what: &str, free_mib: Option<u64>, least_mib: u32| {
        let free_mib = free_mib.filter(|free_mib| *free_mib < u64::from(least_mib))?;
        Some(format!("{free_mib} MiB {what}, less than {least_mib}"))
    };
    let disk =
        short("are free in encoder.work_dir", disk_mib(&config.work_dir), queue.min_disk_mib);
    disk.or_else(|| short("of memory are available", memory_mib(), queue.min_memory_mib))
}

/// What is lacking for a copy of so many bytes, beside what must stay free.
pub(super) fn lacks_for(config: &Encoder, len_bytes: u64) -> Option<String> {
    let (len_mib, least_mib) = (len_bytes >> 20, u64::from(config.queue.min_disk_mib));
    let free_mib = disk_mib(&config.work_dir)?;
    let is_short = len_mib.saturating_add(least_mib) > free_mib;
    is_short.then(|| {
        format!(
            "{len_mib} MiB of it are to be read into encoder.work_dir, where {free_mib} MiB are free \
             and {least_mib} are to stay so (min_disk_mib); make room there, or give the worker a \
             larger disk"
        )
    })
}

/// Free for us on the disk of a folder, which need not be there yet.
fn disk_mib(folder: &Path) -> Option<u64> {
    let folder = std::path::absolute(folder).ok()?;
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize) >> 20)
}

/// What the kernel could give without swapping (proc(5), MemAvailable).
fn memory_mib() -> Option<u64> {
    available_mib(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_said() {
        let mut config = Encoder::default();
        (config.queue.min_disk_mib, config.queue.min_memory_mib) = (0, 0);
        assert_eq!(lacks(&config), None);
        config.queue.min_memory_mib = u32::MAX;
        let said = lacks(&config).expect("nobody has so much");
        assert!(said.ends_with("MiB of memory are available, less than 4294967295"), "{said}");
        assert_eq!(lacks_for(&config, 1 << 20), None);
        let said = lacks_for(&config, u64::MAX).expect("no disk is so large");
        assert!(said.starts_with("17592186044415 MiB of it are to be read into"), "{said}");
        config.queue.min_disk_mib = u32::MAX;
        assert!(lacks_for(&config, 1).is_some());
        let said = lacks(&config).expect("nobody has so much");
        assert!(said.contains("are free in encoder.work_dir"), "{said}");
    }

    #[test]
    fn the_kernels_words() {
        assert_eq!(available_mib("MemTotal: 9 kB\nMemAvailable:   22722 kB\n"), Some(22));
        assert_eq!(available_mib("MemTotal: 9 kB\n"), None);
    }
}
