//! What is swept: work folders of dead processes, parts of jobs that are over, jobs that ended long
//! ago. Nothing here can fail a job: what could not be removed is removed the next time.

use std::collections::BTreeSet;

use headwater_packager::ids::VersionId;

use super::{Worker, now_ms, part};
use crate::error::Error;
use crate::job::JobState;
use crate::queue::QueueError;
use crate::store;
use crate::work;

/// Sweeps everything.
pub(super) async fn sweep(worker: &Worker) {
    match work::sweep(&worker.config.work_dir).await {
        Ok(swept) => swept.iter().for_each(|swept| worker.journal.say(swept)),
        Err(error) => worker.journal.say(&format!("not swept: {error}")),
    }
    let keep_ms = keep_ms(worker);
    if let Err(error) = worker.queue.forget(now_ms() - keep_ms).await {
        worker.journal.say(&format!("no job is forgotten: {error}"));
    }
    if let Err(error) = sweep_parts(worker).await {
        worker.journal.say(&format!("parts are not swept: {error}"));
    }
}

/// Removes the parts of a job that is over.
pub(super) async fn clear(worker: &Worker, job: VersionId) {
    if let Err(error) = store::delete_all(worker.store.as_ref(), &part::prefix(job)).await {
        worker.journal.say(&format!("parts of {job} are not removed: {error}"));
    }
}

async fn sweep_parts(worker: &Worker) -> Result<(), Error> {
    let listed = worker.store.list(part::PREFIX).await?;
    let named = |key: &str| key.strip_prefix(part::PREFIX)?.split('/').next()?.parse().ok();
    let jobs: BTreeSet<VersionId> = listed.iter().filter_map(|entry| named(&entry.key)).collect();
    for job in jobs {
        let is_over = match worker.queue.job(job).await {
            Ok(view) => matches!(view.job.state, JobState::Published | JobState::Cancelled),
            // Perhaps of another queue on the same store: those are left alone for as long as a
            // queue remembers its jobs.
            Err(QueueError::NoSuchJob(_)) => made_ms(job) < now_ms() - keep_ms(worker),
            Err(_) => false,
        };
        if is_over {
            clear(worker, job).await;
        }
    }
    Ok(())
}

fn keep_ms(worker: &Worker) -> i64 {
    i64::from(worker.config.queue.keep_days) * 24 * 3_600_000
}

/// When an id was made: the first 48 bits of a UUIDv7 (RFC 9562 5.7).
fn made_ms(job: VersionId) -> i64 {
    let text: String = job.to_string().chars().filter(|c| *c != '-').take(12).collect();
    i64::from_str_radix(&text, 16).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_when_they_were_made() {
        assert_eq!(made_ms(VersionId::from_u128(1_700_000_000_000 << 80)), 1_700_000_000_000);
    }
}
