//! Addresses of other services, and of keys as FairPlay names them: only as far as they are
//! written into manifests or asked; nothing is resolved here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_URL_BYTES;

/// An absolute `https://` or `http://` address without a name and password before the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url(String);

/// What `EXT-X-KEY` says of a key of FairPlay: an address in which `{kid}`, `{title}` and
/// `{label}` stand for the key's id, the title's and the key's label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyUri(String);

/// What may stand in braces.
const FIELDS: &[&str] = &["kid", "title", "label"];

impl Url {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether TLS protects what is sent there.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether it is this machine's own.
    #[must_use]
    pub fn is_near(&self) -> bool {
        let host = self.authority();
        ["127.0.0.1", "localhost", "[::1]"].into_iter().any(|near| {
            host.strip_prefix(near).is_some_and(|port| port.is_empty() || port.starts_with(':'))
        })
    }

    /// Host and port as they stand in the address.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    }
}

impl KeyUri {
    /// The address of one key.
    #[must_use]
    pub fn expand(&self, kid: &str, title: &str, label: &str) -> String {
        self.0.replace("{kid}", kid).replace("{title}", title).replace("{label}", label)
    }

    /// Whether two keys never have the same address.
    #[must_use]
    pub fn names_key(&self) -> bool {
        self.0.contains("{kid}")
    }

    /// Whether two keys of one version have different addresses, if each label has one key.
    #[must_use]
    pub fn names_label(&self) -> bool {
        self.0.contains("{title}") && self.0.contains("{label}")
    }

    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyUri {
    fn default() -> Self {
        Self("skd://{kid}".to_owned())
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Self(text.to_owned());
        let starts = text.starts_with("https://") || text.starts_with("http://");
        let host = url.authority();
        // A password before the host is not repeated: this text reaches logs and manifests.
        if !starts || host.is_empty() || host.contains('@') || !is_plain(text) {
            return Err(format!(
                "write `https://host/path` without a name and password, at most {MAX_URL_BYTES} visible ASCII characters without quotes, braces, <, > and \\"
            ));
        }
        Ok(url)
    }
}

impl FromStr for KeyUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // RFC 3986 3.1.
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        let rest = FIELDS
            .iter()
            .fold(text.to_owned(), |rest, word| rest.replace(&format!("{{{word}}}"), ""));
        if !is_scheme || !is_plain(&rest) || text.len() > MAX_URL_BYTES {
            return Err(format!(
                "`{text}` is no address of keys: such as `skd://{{kid}}`, at most {MAX_URL_BYTES} visible ASCII characters; {{kid}}, {{title}} and {{label}} are replaced, nothing else stands in braces"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What stands in a playlist's quoted text and, escaped, in XML without surprises.
fn is_plain(text: &str) -> bool {
    let refused = |b: u8| matches!(b, b'"' | b'\'' | b'<' | b'>' | b'\\' | b'{' | b'}' | b'`');
    text.len() <= MAX_URL_BYTES && text.bytes().all(|b| b.is_ascii_graphic() && !refused(b))
}

macro_rules! as_text {
    ($($url:ty),*) => {$(
        impl fmt::Display for $url {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $url {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
        impl From<$url> for String {
            fn from(url: $url) -> Self {
                url.0
            }
        }
    )*};
}
as_text!(Url, KeyUri);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url: Url = "https://keys.example:8443/v2?a=b&c".parse().expect("an address");
        assert_eq!((url.authority(), url.has_tls()), ("keys.example:8443", true));
        assert_eq!("http://[::1]".parse::<Url>().expect("an address").authority(), "[::1]");
        let long = format!("https://a/{}", "x".repeat(MAX_URL_BYTES));
        for bad in [
            "",
            "keys.example",
            "ftp://a/",
            "https://",
            "https:///x",
            "https://a/\"",
            "https://a b",
            "https://a/<",
            "https://a/{kid}",
            "https://\u{e4}/",
            "HTTPS://a/",
            &long,
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
        let said = "https://user:hunter2@host/".parse::<Url>().expect_err("a password");
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn addresses_of_keys() {
        let uri: KeyUri = "skd://{title}/{label}?k={kid}&{kid}".parse().expect("an address");
        assert_eq!(uri.expand("1-2", "film", "HD"), "skd://film/HD?k=1-2&1-2");
        assert_eq!(KeyUri::default().expand("1-2", "film", "HD"), "skd://1-2");
        assert!("skd:fixed".parse::<KeyUri>().is_ok());
        for bad in
            ["", "{kid}", "skd", "://x", "s k:", "skd://{key}", "skd://{kid", "skd://\"", "1:x"]
        {
            assert!(bad.parse::<KeyUri>().is_err(), "{bad}");
        }
    }
}
