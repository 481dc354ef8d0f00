//! A worker's log: a line for each thing that happens to a task, with its job's id.

use serde_json::json;

use crate::job::TaskKey;
use crate::report::{Report, Step, print_json};

/// Where the lines go, and how they look.
#[derive(Clone, Copy, Debug)]
pub enum Journal {
    /// On standard error, for people.
    Text,
    /// On standard output, a JSON object a line.
    Json,
    /// Nowhere.
    Silent,
}

impl Journal {
    /// Something of the worker itself.
    pub fn say(self, text: &str) {
        match self {
            Self::Text => eprintln!("{text}"),
            Self::Json => {
                print_json(&json!({"event": "worker", "at_ms": super::now_ms(), "text": text}));
            }
            Self::Silent => {}
        }
    }

    /// Something of a task.
    pub(super) fn task(self, key: &TaskKey, attempt: u32, what: &str, text: &str) {
        match self {
            Self::Text => {
                let space = if text.is_empty() { "" } else { ": " };
                eprintln!(
                    "{} {} {}, attempt {attempt}, {what}{space}{text}",
                    key.job,
                    key.kind.as_str(),
                    key.index
                );
            }
            Self::Json => print_json(&json!({
                "event": "task", "at_ms": super::now_ms(), "job": key.job,
                "kind": key.kind.as_str(), "index": key.index, "attempt": attempt,
                "what": what, "text": text,
            })),
            Self::Silent => {}
        }
    }
}

/// Who is told of what nobody watches: the queue and its beats say how far a task is.
pub(super) struct Silent;

impl Report for Silent {
    fn step(&self, _: &Step) {}
    fn notice(&self, _: &str) {}
    fn end(&self) {}
}
