//! Why a run could not be made. What servers do wrong is no error: it is counted.

use std::fmt;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line, or a file that it names.
    Usage,
    /// A server that cannot be reached at all, a process that is not there, a report that cannot
    /// be written.
    Run,
}

/// An error with its remedy in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Whose fault.
    pub kind: Kind,
    /// What was expected and what came.
    pub what: String,
}

impl Error {
    /// The command line's fault.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, what: what.into() }
    }

    /// The run could not be made.
    pub fn run(what: impl Into<String>) -> Self {
        Self { kind: Kind::Run, what: what.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}
