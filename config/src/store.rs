//! `[store]`: where titles lie.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::s3::{Bucket, S3};

/// `[store]`, shared by the origin (which only reads) and the encoder (the only writer).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `s3://bucket/prefix`, `file:///absolute/path`, or a plain path; a relative one starts at
    /// the working directory.
    pub url: StoreUrl,
    /// How an S3 store is reached.
    pub s3: S3,
}

/// Which store, and where. Default: the folder `./data/store`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum StoreUrl {
    /// A folder; titles are in `<folder>/titles/`.
    File(PathBuf),
    /// A bucket; titles are in `<bucket>/<prefix>titles/`.
    S3(Bucket),
}

impl StoreUrl {
    /// The folder of a file store.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(folder) => Some(folder),
            Self::S3(_) => None,
        }
    }
}

impl Default for StoreUrl {
    fn default() -> Self {
        Self::File(PathBuf::from("./data/store"))
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() {
                Err("a store needs a place: `file:///absolute/path`, or a path".to_owned())
            } else {
                Ok(Self::File(PathBuf::from(text)))
            };
        };
        match scheme {
            "file" if !rest.starts_with('/') => Err(format!(
                "`{text}` names a host: write `file:///absolute/path` with three slashes, or a plain path"
            )),
            // A store folder is a path, not a web address: nothing is percent-decoded, so that
            // what is written is what is opened.
            "file" => Ok(Self::File(PathBuf::from(rest))),
            "s3" => Bucket::parse(rest).map(Self::S3).map_err(|why| {
                format!("{why}; an S3 store is `s3://bucket` or `s3://bucket/prefix`")
            }),
            _ => Err(format!(
                "`{text}`: no store is reached by `{scheme}://`; use `s3://bucket/prefix` or \
                 `file:///absolute/path`"
            )),
        }
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StoreUrl> for String {
    fn from(url: StoreUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(folder) if folder.is_absolute() => {
                write!(f, "file://{}", folder.display())
            }
            Self::File(folder) => write!(f, "{}", folder.display()),
            Self::S3(bucket) => write!(f, "s3://{bucket}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let table: &[(&str, Result<&str, &str>)] = &[
            ("file:///srv/store", Ok("file:///srv/store")),
            ("/srv/store", Ok("file:///srv/store")),
            ("./data/store", Ok("./data/store")),
            ("file:///srv/a%20b", Ok("file:///srv/a%20b")),
            ("file://srv/store", Err("three slashes")),
            ("s3://bucket", Ok("s3://bucket")),
            ("s3://bucket/a/prefix/", Ok("s3://bucket/a/prefix")),
            ("s3://", Err("is no bucket")),
            ("s3://bucket/../x", Err("is no prefix")),
            ("https://host/", Err("`https://`")),
            ("", Err("needs a place")),
        ];
        for (text, wanted) in table {
            match (text.parse::<StoreUrl>(), wanted) {
                (Ok(url), Ok(printed)) => {
                    assert_eq!(url.to_string(), *printed, "{text}");
                    assert_eq!(printed.parse(), Ok(url), "{text} is printed as it is read");
                }
                (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                (got, wanted) => panic!("{text}: got {got:?}, wanted {wanted:?}"),
            }
        }
    }
}
