//! Open files: each connection and each read of the store takes one, and shells and service
//! managers allow few unless they are asked.

use headwater_config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits;

/// Files beside connections and reads: listeners, logs, the runtime's own, pooled connections.
const OTHERS: u64 = 256;

/// Takes as many as the system allows without further rights, and tells where that is not enough.
pub fn take(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    let taken = match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let wanted = wanted(config);
    // The rest may be files of memory.
    let for_others = |taken: u64| taken - taken / limits::MEMORY_FILES_SHARE;
    if let Some(open_files) = taken.filter(|&taken| for_others(taken) < wanted) {
        tracing::warn!(
            open_files,
            wanted,
            "more connections and reads are allowed than files may be open: raise the limit of \
             open files (LimitNOFILE of the unit), or lower `origin.limits.max_connections`"
        );
    }
}

fn wanted(config: &Config) -> u64 {
    let connections = u64::from(config.origin.limits.max_connections);
    connections + u64::from(config.origin.store.max_concurrent_reads) + OTHERS
}
