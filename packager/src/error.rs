//! The one error of this crate: whose fault, where, and what was expected against what came.

use std::borrow::Cow;
use std::fmt;

/// What kind of fault an [`Error`] reports; shells turn kinds into answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stored or given bytes contradict themselves: short, overlong, wrong checksum, wrong box.
    Damaged,
    /// Well formed, but a version or feature this release does not handle.
    Unsupported,
    /// A count or size above its bound in [`crate::limits`].
    TooLarge,
    /// A value from a caller or a user that breaks the rules of its type.
    Invalid,
}

/// A fault with its place. Prints as `place: detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    place: Cow<'static, str>,
    detail: Cow<'static, str>,
}

impl Error {
    /// Bytes that contradict themselves; `place` names object, box path or field.
    pub fn damaged(
        place: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Kind::Damaged, place, detail)
    }

    /// Well formed, but not handled by this release.
    pub fn unsupported(
        place: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Kind::Unsupported, place, detail)
    }

    /// Above a bound of [`crate::limits`].
    pub fn too_large(
        place: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Kind::TooLarge, place, detail)
    }

    /// A value that breaks the rules of its type.
    pub fn invalid(
        place: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Kind::Invalid, place, detail)
    }

    /// Which kind of fault this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same fault seen from further out: `outer/place: detail`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.place = format!("{outer}/{}", self.place).into();
        self
    }

    fn new(
        kind: Kind,
        place: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { kind, place: place.into(), detail: detail.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.detail)
    }
}

impl std::error::Error for Error {}
