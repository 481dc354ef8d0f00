//! How long to wait before another attempt.

use super::task::TaskKey;
use super::terms::Terms;

/// The pause before the next attempt after `failures` of them (at least 1): doubled each time, up to
/// the cap, less up to a quarter that differs by task, so that what failed together does not come
/// back together. The same task pauses the same time wherever it is computed.
pub(super) fn pause_ms(key: &TaskKey, failures: u32, terms: &Terms) -> i64 {
    let doublings = failures.saturating_sub(1).min(30);
    let whole_ms = terms.backoff_ms.saturating_mul(1 << doublings).min(terms.backoff_cap_ms);
    let named = format!("{} {} {} {failures}", key.job, key.kind.as_str(), key.index);
    let off_ms = whole_ms / 4 * i64::from(crc32c::crc32c(named.as_bytes()) % 1024) / 1024;
    whole_ms - off_ms
}

#[cfg(test)]
mod tests {
    use headwater_packager::ids::VersionId;

    use super::super::task::Kind;
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_differ_by_task() {
        let terms = Terms { backoff_ms: 1_000, backoff_cap_ms: 60_000, ..Terms::default() };
        let key = |index| TaskKey { job: VersionId::from_u128(7), kind: Kind::Chunk, index };
        for failures in 1..100 {
            let whole_ms = (1_000 << (failures - 1).min(6)).min(60_000);
            let pause_ms = pause_ms(&key(0), failures, &terms);
            assert!((whole_ms * 3 / 4..=whole_ms).contains(&pause_ms), "{failures}: {pause_ms}");
        }
        let pauses: std::collections::BTreeSet<_> =
            (0..50).map(|index| pause_ms(&key(index), 1, &terms)).collect();
        assert!(pauses.len() > 25, "{pauses:?}");
    }
}
