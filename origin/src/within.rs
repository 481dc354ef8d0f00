//! The request that a task works for. What reads, opens and makes knows nothing of requests; so the
//! task carries what the service's own log and the spans of reads say of the one that began it.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use crate::delivery::{Books, Caller};
use crate::telemetry::{self, Context, Telemetry};

tokio::task_local! {
    static WITHIN: Option<Within>;
}

/// A request, as far as what is done for it needs to know it. Clones share everything.
#[derive(Clone, Debug)]
pub struct Within(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    caller: Caller,
    span: Option<Context>,
    books: Arc<Books>,
}

impl Within {
    /// A request of this caller, which may have a span, and where it is accounted for.
    pub fn new(caller: Caller, span: Option<Context>, books: &Arc<Books>) -> Self {
        Self(Arc::new(Shared { caller, span, books: Arc::clone(books) }))
    }

    /// Who asked.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The request's own place in a trace, where it has one.
    pub fn context(&self) -> Option<Context> {
        self.0.span
    }

    /// Where it is accounted for.
    pub fn books(&self) -> &Books {
        &self.0.books
    }

    /// Does `work` for it.
    pub fn run<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        WITHIN.scope(Some(self), work)
    }

    /// The request that this task works for; none where it is nobody's.
    pub fn current() -> Option<Self> {
        WITHIN.try_with(Clone::clone).ok().flatten()
    }

    /// As the answer and the access log say it.
    pub fn request_id(&self) -> &str {
        self.0.caller.request_id.to_str().unwrap_or_default()
    }

    /// As the access log says it.
    pub fn trace_id(&self) -> Option<Cow<'_, str>> {
        telemetry::trace_id(self.0.caller.trace(), self.0.span)
    }

    /// The span that others may stand below, and where these go.
    pub fn span(&self) -> Option<(Context, &Telemetry)> {
        self.0.span.map(|span| (span, &*self.0.books.telemetry))
    }
}

/// Work that is about to become a task of its own, done for whom the task that spawns it works.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    WITHIN.scope(Within::current(), work)
}
