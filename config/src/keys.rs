//! `[keys.<name>]`: where content keys come from. No key and no secret stands here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::blank;
use crate::limits::MAX_FIELD_NAME_BYTES;
use crate::secret::SecretSource;
use crate::url::Url;

/// `[keys.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyProvider {
    /// Which kind of provider.
    pub provider: ProviderKind,
    /// The secret that keys are derived from.
    #[serde(with = "blank")]
    pub master: Option<SecretSource>,
    /// The file of keys.
    #[serde(with = "blank")]
    pub file: Option<SecretSource>,
    /// The key server.
    #[serde(with = "blank")]
    pub url: Option<Url>,
    /// Request header fields that show the key server who asks.
    pub header_secrets: Vec<HeaderSecret>,
    /// PEM file of the authorities that the key server's certificate must come from; empty for the
    /// system's.
    pub ca_file: PathBuf,
    /// Milliseconds for one request to the key server.
    pub timeout_ms: u32,
    /// How often a request that failed for a moment is sent again.
    pub retries: u32,
    /// Answers of the key server that are kept; one of more than a kilobyte counts as several.
    pub cache_entries: u32,
}

impl KeyProvider {
    /// The authorities' file, where one is set.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&*self.ca_file)
    }
}

impl Default for KeyProvider {
    fn default() -> Self {
        Self {
            provider: ProviderKind::default(),
            master: None,
            file: None,
            url: None,
            header_secrets: Vec::new(),
            ca_file: PathBuf::new(),
            timeout_ms: 3_000,
            retries: 2,
            cache_entries: 10_000,
        }
    }
}

/// Which kind of provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Keys are worked out from a secret: the same on every node, and nothing to keep.
    #[default]
    Derived,
    /// Keys stand in a file.
    Static,
    /// Keys are asked for: CPIX as SPEKE v2 says.
    Cpix,
}

impl ProviderKind {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Derived => "derived",
            Self::Static => "static",
            Self::Cpix => "cpix",
        }
    }
}

/// A request header field with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSecret {
    /// The field's name.
    pub name: SentField,
    /// Where the field's whole value is.
    pub secret: SecretSource,
}

/// The name of a request header field that we may send: `[a-z0-9-]`, in lower case, and none that
/// says how the request itself is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SentField(String);

/// What the request's own writer sets (RFC 9110 and 9112).
const TAKEN: &[&str] = &[
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl SentField {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SentField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SentField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_sized = (1..=MAX_FIELD_NAME_BYTES).contains(&name.len());
        if !is_sized || !name.bytes().all(is_plain) || TAKEN.contains(&name.as_str()) {
            return Err(format!(
                "`{text}` is no field to send a secret in: such as `authorization`; a-z, 0-9 and -, at most {MAX_FIELD_NAME_BYTES}, and none that says how a request is read"
            ));
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for SentField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SentField> for String {
    fn from(name: SentField) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_file() {
        for kind in [ProviderKind::Derived, ProviderKind::Static, ProviderKind::Cpix] {
            let word = toml::Value::try_from(kind).expect("a word");
            assert_eq!(word.as_str(), Some(kind.as_str()));
        }
    }

    #[test]
    fn fields() {
        assert_eq!(
            "Authorization".parse::<SentField>().expect("a field").as_str(),
            "authorization"
        );
        for bad in ["", "Host", "content-length", "a b", "a:", "a_b", &"a".repeat(65)] {
            assert!(bad.parse::<SentField>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_never_stands_in_a_configuration() {
        for (key, secret) in [
            ("master", "master = \"000102030405060708090a0b0c0d0e0f\""),
            ("file", "file = \"000102030405060708090a0b0c0d0e0f\""),
            ("header", "header_secrets = [{ name = \"x-a\", secret = \"000102030405060708\" }]"),
        ] {
            let said = toml::from_str::<KeyProvider>(secret).expect_err(key).message().to_owned();
            assert!(said.contains("file:/absolute/path") && !said.contains("0001"), "{said}");
        }
    }
}
