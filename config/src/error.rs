//! What can be wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use crate::env;

/// The first thing found wrong. Its text names the place, the key, what is wrong and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the wrong words stand.
    pub place: Place,
    /// The key's whole path (`origin.cache.responses_mib`); empty if the error is about no key.
    pub key: String,
    /// What is wrong.
    pub problem: Problem,
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, and the line if there is one, counting from 1.
    File {
        /// As it was given.
        path: PathBuf,
        /// 0 when the whole file is meant.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The defaults inside the binary.
    Defaults,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The file cannot be read: why.
    Unreadable(String),
    /// It is not TOML: what the parser says.
    Syntax(String),
    /// No such key.
    UnknownKey {
        /// The known key that it resembles most, if any does.
        nearest: Option<String>,
    },
    /// A value of another kind than the key takes.
    WrongType {
        /// What the key takes.
        expected: &'static str,
        /// What was written.
        got: &'static str,
    },
    /// A list or table with too few or too many entries.
    WrongLength {
        /// Its entries.
        got: usize,
        /// The least allowed.
        low: usize,
        /// The most allowed.
        high: usize,
    },
    /// A number out of bounds.
    OutOfRange {
        /// The number.
        got: i64,
        /// The least allowed.
        low: i64,
        /// The most allowed.
        high: i64,
    },
    /// A text that is none of the words allowed: which are, or what it should look like.
    Invalid(String),
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, problem } = self;
        write!(f, "{place}: ")?;
        match problem {
            Problem::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Problem::Syntax(why) => write!(f, "not TOML: {why}"),
            Problem::UnknownKey { nearest } => {
                write!(f, "unknown key `{key}`")?;
                match (nearest, place) {
                    (Some(near), Place::Variable(_)) => {
                        // In another table the whole path is given, in the same one the last word.
                        let whole = match key.rsplit_once('.') {
                            Some((table, _)) if !near.contains('.') => format!("{table}.{near}"),
                            _ => near.clone(),
                        };
                        write!(f, ", did you mean {}?", env::variable(&whole))
                    }
                    (Some(near), _) => write!(f, ", did you mean `{near}`?"),
                    (None, _) => f.write_str("; every key is in headwater.example.toml"),
                }
            }
            Problem::WrongType { expected, got } => {
                write!(f, "`{key}` takes {expected}, got {got}")
            }
            Problem::WrongLength { got, low, high } => {
                write!(f, "`{key}` has {got} entries, allowed: {low} to {high}")
            }
            Problem::OutOfRange { got, low, high } => {
                write!(f, "`{key}` is {got}, allowed: {low} to {high}")
            }
            Problem::Invalid(why) => write!(f, "`{key}`: {why}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Defaults => f.write_str("defaults"),
        }
    }
}
