//! A span's place: its trace, itself, its parent (W3C Trace Context 3.2.2).

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::trace::Trace;

/// Numbers that no client can foresee: a keyed hash of a count, with a key of this run's own.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
static DRAWN: AtomicU64 = AtomicU64::new(0);

/// A trace's or span's id; its hexadecimal digits are in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id<const BYTES: usize>(pub [u8; BYTES]);

/// Where a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace that it belongs to.
    pub trace_id: Id<16>,
    /// The span itself.
    pub span_id: Id<8>,
    /// Who asked for it, if anybody said.
    pub parent_id: Option<Id<8>>,
}

impl Context {
    /// A new span below the caller's, or the root of a new trace.
    pub(super) fn under(trace: Option<Trace<'_>>) -> Self {
        Self {
            trace_id: trace.and_then(|trace| Id::parse(trace.trace_id)).unwrap_or_else(Id::new),
            span_id: Id::new(),
            parent_id: trace.and_then(|trace| Id::parse(trace.parent_id)),
        }
    }

    /// A new span below this one.
    pub(super) fn child(&self) -> Self {
        Self { trace_id: self.trace_id, span_id: Id::new(), parent_id: Some(self.span_id) }
    }
}

impl<const BYTES: usize> Id<BYTES> {
    /// A new one, not all 0.
    pub(super) fn new() -> Self {
        let mut bytes = [0; BYTES];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&draw().max(1).to_be_bytes()[..part.len()]);
        }
        Self(bytes)
    }

    /// Reads as many hexadecimal digits as it has.
    fn parse(digits: &str) -> Option<Self> {
        let mut bytes = [0; BYTES];
        if digits.len() != 2 * BYTES {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl<const BYTES: usize> fmt::Display for Id<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The trace that a request belongs to: its caller's, or the one that its span begins.
pub fn trace_id<'a>(caller: Option<Trace<'a>>, span: Option<Context>) -> Option<Cow<'a, str>> {
    match caller {
        Some(trace) => Some(trace.trace_id.into()),
        None => span.map(|span| span.trace_id.to_string().into()),
    }
}

/// A random number.
pub(super) fn draw() -> u64 {
    KEY.hash_one(DRAWN.fetch_add(1, Ordering::Relaxed))
}

/// A random UUID (RFC 9562 5.4).
pub(super) fn uuid() -> String {
    let mut id = Id::<16>::new();
    id.0[6] = id.0[6] & 0x0f | 0x40;
    id.0[8] = id.0[8] & 0x3f | 0x80;
    let digits = id.to_string();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace;

    #[test]
    fn a_span_stands_below_its_caller() {
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = Context::under(trace::parse(caller));
        assert_eq!(context.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent_id.unwrap().to_string(), "00f067aa0ba902b7");
        let child = context.child();
        assert_eq!((child.trace_id, child.parent_id), (context.trace_id, Some(context.span_id)));
        let (one, two) = (Context::under(None), Context::under(None));
        assert_eq!(one.parent_id, None);
        assert_ne!((one.trace_id, one.span_id), (two.trace_id, two.span_id));
    }

    #[test]
    fn uuids_are_of_version_4() {
        let uuid = uuid();
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
        assert!(uuid[14..].starts_with('4') && uuid[19..].starts_with(['8', '9', 'a', 'b']));
    }
}
