//! The one error of the encoder: whose fault, in words an uploader can act on.

use std::fmt;

/// Whose fault it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Command line or configuration.
    Usage,
    /// A source that this version does not take.
    Refused,
    /// A source that is cut off or corrupt.
    SourceDamaged,
    /// ffmpeg is missing, failed, hung, or made something else than was asked for.
    Tool,
    /// Store or work folder cannot be read or written.
    Storage,
    /// Somebody else writes the title at this moment.
    Taken,
    /// Stored bytes are not what they were when they were published.
    StoredDamage,
    /// No such title, version or track in the store.
    NotFound,
    /// Stopped by a signal.
    Interrupted,
}

impl Kind {
    /// The process's exit code, listed in `--help`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::StoredDamage | Self::NotFound => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::SourceDamaged => 4,
            Self::Tool => 5,
            Self::Storage | Self::Taken => 6,
            // As a shell reports a program that Ctrl-C ended.
            Self::Interrupted => 130,
        }
    }

    /// The word for it in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::SourceDamaged => "source_damaged",
            Self::Tool => "tool",
            Self::Storage | Self::Taken => "storage",
            Self::StoredDamage => "stored_damage",
            Self::NotFound => "not_found",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A fault and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    text: String,
    is_unsure: bool,
}

impl Error {
    /// A fault of `kind`; `text` names what, where and the remedy.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), is_unsure: false }
    }

    /// ffmpeg's fault.
    pub fn tool(text: impl Into<String>) -> Self {
        Self::new(Kind::Tool, text)
    }

    /// Reading or writing `what` failed.
    pub fn storage(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(Kind::Storage, format!("{what}: {cause}"))
    }

    /// Stopped by a signal.
    pub fn interrupted() -> Self {
        Self::new(
            Kind::Interrupted,
            "interrupted: nothing was published, the title is as it was before",
        )
    }

    /// The same fault of a request whose outcome nobody knows: it may still be carried out.
    #[must_use]
    pub fn unsure(mut self) -> Self {
        self.is_unsure = true;
        self
    }

    /// Whether what failed may yet be carried out.
    pub fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    /// Whose fault it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same fault, told of what it has another name for: of a copy, its original.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        self.text = self.text.replace(from, to);
        self
    }

    /// The same fault seen from further out: `outer: text`.
    #[must_use]
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        self.text = format!("{outer}: {}", self.text);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
