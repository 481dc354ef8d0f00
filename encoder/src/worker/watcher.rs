//! Who waits for what a worker does: `encode`, whose user watches. The workers of a queue have nobody;
//! what they do is in the queue and in the journal.

use std::sync::Arc;

use super::journal::Silent;
use super::plan::Planned;
use crate::error::Error;
use crate::job::Hold;
use crate::publish::Product;
use crate::report::Report;

/// Is told of one job, as it goes.
pub(crate) trait Watcher {
    /// Whether no other worker takes what this one leaves.
    fn has_this_worker_alone(&self) -> bool {
        true
    }

    /// How far the work is, and what the uploader should know.
    fn report(&self) -> &Arc<dyn Report>;

    /// The plan is made.
    fn planned(&self, planned: &Planned);

    /// A chunk has so many frames.
    fn moved(&self, chunk: u32, frames: u64);

    /// An attempt at a task failed.
    fn failed(&self, hold: &Hold, error: &Error);

    /// An attempt at a task was left before its end: what it had asked for may yet be carried out.
    fn left(&self, hold: &Hold);

    /// The title is live.
    fn published(&self, product: &Product);
}

/// Nobody.
pub(super) struct Nobody(Arc<dyn Report>);

impl Default for Nobody {
    fn default() -> Self {
        Self(Arc::new(Silent))
    }
}

impl Watcher for Nobody {
    fn has_this_worker_alone(&self) -> bool {
        false
    }

    fn report(&self) -> &Arc<dyn Report> {
        &self.0
    }

    fn planned(&self, _: &Planned) {}

    fn moved(&self, _: u32, _: u64) {}

    fn failed(&self, _: &Hold, _: &Error) {}

    fn left(&self, _: &Hold) {}

    fn published(&self, _: &Product) {}
}
