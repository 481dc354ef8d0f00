//! What is kept of a task for the title's `facts.json`: with its result, in bounds.

use serde::{Deserialize, Serialize};

use crate::ffmpeg::Log;
use crate::limits;

/// What was said while a task was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Heard {
    /// Warnings and errors of ffmpeg, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ffmpeg: Vec<String>,
    /// What the uploader should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notices: Vec<String>,
}

impl Heard {
    /// Whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        self.ffmpeg.is_empty() && self.notices.is_empty()
    }

    /// The last words of a child, as far as there is room.
    pub(super) fn ffmpeg(&mut self, log: &Log) {
        for line in log.lines() {
            let line = &line[..line.floor_char_boundary(limits::HEARD_LINE_BYTES)];
            if self.ffmpeg.len() < limits::LOG_LINES && self.ffmpeg.iter().all(|l| l != line) {
                self.ffmpeg.push(line.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_kept_and_each_line_once() {
        let mut heard = Heard::default();
        for _ in 0..3 {
            let mut log = Log::default();
            (0..40).for_each(|i| log.line(&format!("[error] {i} {}", "\u{e4}".repeat(5_000))));
            heard.ffmpeg(&log);
        }
        assert_eq!(heard.ffmpeg.len(), limits::LOG_LINES);
        assert!(heard.ffmpeg.iter().all(|line| line.len() <= limits::HEARD_LINE_BYTES));
        let json = serde_json::to_string(&heard).unwrap();
        assert!(json.len() < limits::RESULT_BYTES / 2, "{}", json.len());
        assert_eq!(serde_json::from_str::<Heard>(&json).unwrap(), heard);
        assert_eq!(serde_json::from_str::<Heard>("{}").unwrap(), Heard::default());
    }
}
