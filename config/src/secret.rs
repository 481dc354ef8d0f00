//! Where a secret comes from. The secret itself never stands in a configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Variables that begin so are settings, not secrets.
const SETTINGS_PREFIX: &str = "HEADWATER_";

/// `file:/absolute/path` or `env:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretSource {
    /// The file's whole content, without white space at its end.
    File(PathBuf),
    /// This environment variable.
    Variable(String),
}

impl FromStr for SecretSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match text.split_once(':') {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(PathBuf::from(path))),
            Some(("env", name)) if name.starts_with(SETTINGS_PREFIX) => Err(format!(
                "variables that begin with {SETTINGS_PREFIX} are settings; give the secret's variable another name"
            )),
            Some(("env", name)) if !name.is_empty() && name.chars().all(is_word) => {
                Ok(Self::Variable(name.to_owned()))
            }
            // What was written is not repeated: it may be the secret itself.
            _ => Err("write `file:/absolute/path` or `env:NAME`: a secret itself never stands in \
                      a configuration"
                .to_owned()),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Variable(name) => write!(f, "env:{name}"),
        }
    }
}

impl TryFrom<String> for SecretSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SecretSource> for String {
    fn from(source: SecretSource) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_printed_as_they_are_read() {
        for text in ["file:/run/secrets/cdn", "env:CDN_SECRET", "env:cdn2"] {
            assert_eq!(text.parse::<SecretSource>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_secret_in_the_place_of_its_source_is_refused_and_not_repeated() {
        let secrets = ["hunter2hunter2hunter2", "env:", "env:a b", "file:relative", "file:", ""];
        for text in secrets.into_iter().chain(["env:HEADWATER_SECRET"]) {
            let said = text.parse::<SecretSource>().expect_err(text);
            assert!(text.len() < 9 || !said.contains(text), "{said}");
        }
    }
}
