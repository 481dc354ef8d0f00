//! What is not a good answer, by kind. Nothing that was asked for disappears from the counts.

use std::collections::BTreeMap;
use std::fmt;

use crate::limits::MAX_EXAMPLES;

/// Why a request brought no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No connection, or no handshake.
    Connect,
    /// Not whole within the time-out.
    Timeout,
    /// The connection ended or broke before the answer began.
    NoAnswer,
    /// The body ended before its length, or was reset.
    CutBody,
    /// Another status than was wanted.
    Status(u16),
    /// Other bytes than the checksum says.
    WrongBody,
    /// A manifest that cannot be read.
    Manifest,
    /// This harness did not send it: too many were on their way (`--max-in-flight`).
    NotSent,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Timeout => f.write_str("timeout"),
            Self::NoAnswer => f.write_str("no_answer"),
            Self::CutBody => f.write_str("cut_body"),
            Self::Status(status) => write!(f, "status_{status}"),
            Self::WrongBody => f.write_str("wrong_body"),
            Self::Manifest => f.write_str("manifest"),
            Self::NotSent => f.write_str("not_sent"),
        }
    }
}

impl Failure {
    /// Whether an assertion may ask for a name although no such failure was counted.
    pub fn is_name(name: &str) -> bool {
        let status = name.strip_prefix("status_").and_then(|code| code.parse::<u16>().ok());
        let named = [
            Self::Connect,
            Self::Timeout,
            Self::NoAnswer,
            Self::CutBody,
            Self::WrongBody,
            Self::Manifest,
            Self::NotSent,
        ];
        status.is_some() || named.iter().any(|kind| kind.to_string() == name)
    }
}

/// Failures counted by kind, each with its first occurrence in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    counts: BTreeMap<Failure, u64>,
    examples: BTreeMap<Failure, String>,
}

impl Failures {
    /// Counts one; `what` says which request, and what came.
    pub fn count(&mut self, kind: Failure, what: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_default() += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.entry(kind).or_insert_with(what);
        }
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.counts {
            *self.counts.entry(*kind).or_default() += count;
        }
        for (kind, example) in &other.examples {
            self.examples.entry(*kind).or_insert_with(|| example.clone());
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many of a kind.
    pub fn of(&self, kind: Failure) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Kind, count and first occurrence.
    pub fn rows(&self) -> impl Iterator<Item = (Failure, u64, &str)> {
        self.counts.iter().map(|(kind, count)| {
            (*kind, *count, self.examples.get(kind).map_or("", String::as_str))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_keep_the_first_example() {
        let mut all = Failures::default();
        for (n, kind) in
            [Failure::Status(503), Failure::WrongBody, Failure::Status(503)].iter().enumerate()
        {
            all.count(*kind, || format!("request {n}"));
        }
        let mut sum = all.clone();
        sum.add(&all);
        let rows: Vec<_> = sum.rows().collect();
        assert_eq!(
            rows,
            [(Failure::Status(503), 4, "request 0"), (Failure::WrongBody, 2, "request 1")]
        );
        assert_eq!((sum.total(), sum.of(Failure::Timeout)), (6, 0));
    }

    #[test]
    fn names_are_known() {
        for (name, known) in
            [("status_503", true), ("cut_body", true), ("status_x", false), ("failed", false)]
        {
            assert_eq!(Failure::is_name(name), known, "{name}");
        }
    }
}
