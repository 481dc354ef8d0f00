//! Spans that wait for the exporter. A push takes a lock for a moment and never waits for room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_config::Telemetry as Settings;
use tokio::sync::Notify;

use super::Span;
use crate::rooms::count;

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    most_spans: usize,
    batch_spans: usize,
    /// Told when a batch is full, and at the end.
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    // A pointer each: moving a batch out is short.
    spans: VecDeque<Box<Span>>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            waiting: Mutex::default(),
            most_spans: count(settings.queue_spans),
            batch_spans: count(settings.batch_spans),
            news: Notify::new(),
        }
    }

    /// Whether there was room.
    pub(super) fn push(&self, span: Span) -> bool {
        let span = Box::new(span);
        let mut waiting = self.waiting();
        if waiting.spans.len() >= self.most_spans || waiting.is_closed {
            return false;
        }
        waiting.spans.push_back(span);
        let is_batch = waiting.spans.len() == self.batch_spans;
        drop(waiting);
        // The exporter is not woken for each span.
        if is_batch {
            self.news.notify_one();
        }
        true
    }

    /// Ends when a batch is full, when `most` has passed, or at the end.
    pub(super) async fn gathered(&self, most: Duration) {
        if !self.has_batch() && !self.is_closed() {
            // That the time is over is as good as a batch.
            let _ = tokio::time::timeout(most, self.news.notified()).await;
        }
    }

    /// Ends after `pause`, or at the end.
    pub(super) async fn pause(&self, pause: Duration) {
        let closed = async {
            while !self.is_closed() {
                self.news.notified().await;
            }
        };
        let _ = tokio::time::timeout(pause, closed).await;
    }

    pub(super) fn has_batch(&self) -> bool {
        self.waiting().spans.len() >= self.batch_spans
    }

    pub(super) fn is_closed(&self) -> bool {
        self.waiting().is_closed
    }

    /// The oldest spans, at most a batch.
    #[expect(clippy::vec_box, reason = "they are moved while others want to push")]
    pub(super) fn batch(&self) -> Vec<Box<Span>> {
        let mut waiting = self.waiting();
        let spans = waiting.spans.len().min(self.batch_spans);
        waiting.spans.drain(..spans).collect()
    }

    /// Takes no more, and has the exporter end with what is there.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.news.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics halfway.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
