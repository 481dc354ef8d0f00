//! What restrictions are made of: paths, labels, countries, sessions. Each is parsed once and
//! cannot be wrong afterwards.

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// Which paths, as the origin spells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathScope {
    /// A folder and everything in it: whole elements, so `/a` covers `/a` and `/a/b`, never `/ab`.
    /// Kept without the slash at the end; the root is empty.
    Under(Box<str>),
    /// One URL.
    Url(Box<str>),
}

impl PathScope {
    /// The folder `path`, with or without a slash at its end.
    pub fn under(path: &str) -> Result<Self, NotInScope> {
        let folder = path.strip_suffix('/').unwrap_or(path);
        if !folder.is_empty() {
            check_path(folder)?;
        } else if path != "/" {
            return Err(NotInScope);
        }
        Ok(Self::Under(folder.into()))
    }

    /// The one URL with this path.
    pub fn url(path: &str) -> Result<Self, NotInScope> {
        check_path(path)?;
        Ok(Self::Url(path.into()))
    }

    /// Whether a path lies in it.
    pub fn covers(&self, path: &str) -> bool {
        match self {
            Self::Url(url) => path == &**url,
            Self::Under(folder) => path
                .strip_prefix(&**folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

impl fmt::Display for PathScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Under(folder) => write!(f, "{folder}/"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// A text that is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInScope;

/// Paths are written as the origin spells them (see `route`): nothing encoded, no empty or dot
/// elements. Another spelling would match nothing, or something else than was meant. A comma
/// stands between paths.
fn check_path(path: &str) -> Result<(), NotInScope> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'%' | b'\\' | b'?' | b'#' | b',');
    let relative = path.strip_prefix('/').ok_or(NotInScope)?;
    let whole = |element: &str| !matches!(element, "" | "." | "..");
    if path.bytes().all(plain) && relative.split('/').all(whole) { Ok(()) } else { Err(NotInScope) }
}

/// A type that is a text of few characters.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $allowed:expr, $lengths:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotInScope;

            fn from_str(text: &str) -> Result<Self, NotInScope> {
                let good = $lengths.contains(&text.len()) && text.bytes().all($allowed);
                if good { Ok(Self(text.into())) } else { Err(NotInScope) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word! {
    /// The label of a content key, such as `SD`, `HD` or `AUDIO`.
    Label, |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'), 1..=limits::LABEL_BYTES
}
word! {
    /// A country of ISO 3166-1: two capital letters.
    Country, |b: u8| b.is_ascii_uppercase(), 2..=2
}
word! {
    /// A service that tokens are for (RFC 7519 4.1.3): visible characters without a comma.
    Audience, |b: u8| b.is_ascii_graphic() && b != b',', 1..=limits::AUDIENCE_BYTES
}
word! {
    /// A viewer's session.
    SessionId,
    |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'),
    1..=limits::SESSION_ID_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_covers_whole_elements() {
        let table = [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/a/", "/a/b/c", true),
            ("/a/", "/ab", false),
            ("/a/b", "/a", false),
            ("/a/b", "/a/bc", false),
            ("/a/b", "/A/b", false),
            ("/", "/anything/at.all", true),
            ("/a.b", "/a.b./c", false),
        ];
        for (folder, path, covered) in table {
            assert_eq!(PathScope::under(folder).unwrap().covers(path), covered, "{folder} {path}");
        }
    }

    #[test]
    fn scopes_are_spelled_as_paths_are() {
        let wrong = [
            "",
            "a",
            "//",
            "/a//",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/..",
            "/a%2fb",
            "/%2e%2e/b",
            "/a\\b",
            "/a?b",
            "/a#b",
            "/a b",
            "/ä",
            "/a,/b",
            "/a\0",
        ];
        for text in wrong {
            assert_eq!(PathScope::under(text), Err(NotInScope), "{text:?}");
            assert_eq!(PathScope::url(text), Err(NotInScope), "{text:?}");
        }
        assert_eq!(PathScope::url("/"), Err(NotInScope));
        assert_eq!(PathScope::url("/a/"), Err(NotInScope));
    }

    #[test]
    fn words() {
        assert!("DE".parse::<Country>().is_ok());
        for wrong in ["", "D", "de", "DEU", "D1", "ÄÖ"] {
            assert!(wrong.parse::<Country>().is_err(), "{wrong}");
        }
        assert!("HD-2".parse::<Label>().is_ok());
        for wrong in ["", "H D", "H,D", &"x".repeat(limits::LABEL_BYTES + 1)] {
            assert!(wrong.parse::<Label>().is_err(), "{wrong}");
        }
        assert!("01939c2e.a_b-c".parse::<SessionId>().is_ok());
        for wrong in ["", "a/b", "a~b", "a b", &"x".repeat(limits::SESSION_ID_BYTES + 1)] {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }
}
