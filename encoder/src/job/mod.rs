//! The work on one version of a title, as states and what changes them.
//!
//! ```text
//!             ┌► audio 0 ──────┐
//! plan ───────┼► chunk 0 ──────┼─► publish ─► published
//!  fan-out    └► chunk 1, 2 … ─┘ fan-in
//! ```
//!
//! A [`Job`] is the making of one version and has its id. Its [`Task`]s are what a worker takes, one
//! at a time, under a lease. [`step`] is the only way in which a task that is held changes: an event
//! goes in, and what is to be done next comes out. Nothing here reads a clock, a database or a file:
//! time is an argument, in milliseconds since 1970 (`now_ms`).
//!
//! Glossary: *fragment*, one GOP, the unit of the title's grid; *frontier*, the fragments from the
//! title's start that every track has; *hold*, one attempt's right to a task; *lane*, what is taken
//! first; *fault*, why an attempt ended without a result.

mod fault;
mod priority;
mod retry;
mod spent;
mod step;
mod task;
mod terms;
mod version;

pub use fault::{Fault, FaultKind};
pub use priority::{Lane, Priority};
pub use spent::Spent;
pub use step::{Event, Next, Refusal, plan, spoiled, step};
pub use task::{Hold, Kind, Progress, State, Task, TaskKey, Tick};
pub use terms::Terms;
pub use version::{Job, JobState, Plan, Publication, Span, Submission};
