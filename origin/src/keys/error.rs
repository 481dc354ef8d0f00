//! What is wrong with keys, and whose fault it is. No text here holds a key or a secret.

use std::fmt;

use headwater_config::Name;

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// What kind of trouble.
    pub kind: Kind,
    /// The provider's name in the configuration.
    pub provider: Name,
    /// Expected, got, remedy: for the log.
    pub detail: String,
}

/// Kinds of trouble with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The provider has no such key.
    Missing,
    /// The key server's answer is none that can be used.
    Wrong,
    /// The key server refuses this service.
    Denied,
    /// The key server cannot be reached, or failed.
    Unavailable,
    /// The key server did not answer in time.
    Timeout,
}

/// A provider that cannot be opened: what a start or a reload is refused for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// The key of the configuration that is about it.
    pub key: String,
    /// Where it was looked for, expected, got, remedy.
    pub detail: String,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys.{}: {}", self.provider, self.detail)
    }
}

impl std::error::Error for KeyError {}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.detail)
    }
}

impl std::error::Error for NotReady {}
