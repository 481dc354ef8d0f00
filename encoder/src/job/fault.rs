//! Why an attempt ended without a result, and what counts.

use crate::error::Kind as ErrorKind;

/// What kind of fault it is: decides whether there is another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The source is refused or damaged: no other attempt would fare better.
    Source,
    /// ffmpeg failed, or made something else than was planned.
    Tool,
    /// A store or a disk could not be read or written.
    Storage,
    /// Nothing moved for too long.
    Stalled,
    /// The lease ran out: the worker died, or could not reach the queue.
    Lost,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Source, Self::Tool, Self::Storage, Self::Stalled, Self::Lost];

    /// The word for it in the API and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Tool => "tool",
            Self::Storage => "storage",
            Self::Stalled => "stalled",
            Self::Lost => "lost",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether a further attempt cannot help.
    pub fn is_final(self) -> bool {
        self == Self::Source
    }
}

/// A fault, in words that an operator can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// What happened, at most [`crate::limits::FAULT_BYTES`] of it.
    pub text: String,
}

impl Fault {
    /// A fault; of a long text its beginning is kept.
    pub fn new(kind: FaultKind, text: &str) -> Self {
        let end = text.floor_char_boundary(crate::limits::FAULT_BYTES);
        Self { kind, text: text[..end].to_owned() }
    }

    /// The fault that an error of the encoder is; `None` for one that is no fault: a signal stopped
    /// the work, or it is another one's turn.
    pub fn of(error: &crate::Error) -> Option<Self> {
        let kind = match error.kind() {
            ErrorKind::Refused | ErrorKind::SourceDamaged | ErrorKind::NotFound => {
                FaultKind::Source
            }
            ErrorKind::Tool | ErrorKind::Usage => FaultKind::Tool,
            ErrorKind::Storage | ErrorKind::StoredDamage => FaultKind::Storage,
            ErrorKind::Interrupted | ErrorKind::Taken => return None,
        };
        Some(Self::new(kind, &error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_no_fault_and_a_refused_source_is_final() {
        let error = |kind| crate::Error::new(kind, "what");
        assert_eq!(Fault::of(&error(ErrorKind::Interrupted)), None);
        assert!(Fault::of(&error(ErrorKind::Refused)).expect("a fault").kind.is_final());
        assert!(!Fault::of(&error(ErrorKind::Tool)).expect("a fault").kind.is_final());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "ä".repeat(crate::limits::FAULT_BYTES);
        let text = Fault::new(FaultKind::Tool, &long).text;
        assert!(text.len() <= crate::limits::FAULT_BYTES && long.starts_with(&text));
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_word(kind.as_str()), Some(kind));
        }
    }
}
