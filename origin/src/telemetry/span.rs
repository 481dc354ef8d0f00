//! A span as it waits in the queue.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::Context;
use crate::limits;

/// Something that was done, from when to when, and what is known of it.
#[derive(Clone, Debug)]
pub struct Span {
    /// Where it stands.
    pub context: Context,
    /// What it is called: few different names.
    pub name: Cow<'static, str>,
    /// Whose side of an exchange it is.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub taken: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed by our fault.
    pub is_error: bool,
}

/// Whose side of an exchange a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request that we answer.
    Server,
    /// A request that we send.
    Client,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, at most [`limits::SPAN_TEXT_BYTES`].
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

impl Value {
    /// A word of our own.
    pub fn word(word: &'static str) -> Self {
        Self::Text(Cow::Borrowed(word))
    }

    /// Text from outside, cut to what a span has room for.
    pub fn text(text: &str) -> Self {
        let end = text.floor_char_boundary(limits::SPAN_TEXT_BYTES);
        Self::Text(Cow::Owned(text[..end].to_owned()))
    }

    /// A count; beyond what a number holds it stays there.
    pub fn count(count: u64) -> Self {
        Self::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }
}
