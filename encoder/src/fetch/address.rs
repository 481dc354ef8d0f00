//! What a job names as its source: a path of this machine, or an object of a bucket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use headwater_config::{Bucket, StoreUrl};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// Where a source lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An absolute path.
    File(PathBuf),
    /// An object.
    Object(Address),
}

/// `s3://bucket/key`. Nothing in it is decoded: what is written is what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    bucket: Bucket,
    key: String,
}

/// Bytes of a key (Amazon S3 User Guide, "Naming Amazon S3 objects").
const KEY_BYTES: usize = 1024;
/// Bytes of a local file's name.
const NAME_BYTES: usize = 100;

impl Address {
    /// The bucket, with nothing before its keys.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A name for a copy of it, which begins with none of `.` and `-` and ends as the key does: readers
    /// believe that.
    pub fn file_name(&self) -> String {
        let last = self.key.rsplit('/').next().unwrap_or_default();
        let plain = |c: char| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '_',
        };
        let name: String = last.chars().map(plain).collect();
        let name = &name[name.len().saturating_sub(NAME_BYTES)..];
        match name.starts_with(['.', '-']) || name.is_empty() {
            true => format!("source{name}"),
            false => name.to_owned(),
        }
    }

    /// Whether it lies in a folder of a bucket.
    pub fn is_in(&self, folder: &Bucket) -> bool {
        let is_below = |prefix: &str| self.key.len() > prefix.len() && self.key.starts_with(prefix);
        self.bucket.name() == folder.name() && is_below(folder.prefix())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("{text:.200}: {why}; name an object as s3://bucket/key, undecoded");
        let (bucket, key) = text
            .strip_prefix("s3://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| wrong("it names no object"))?;
        if key.is_empty() || key.ends_with('/') {
            return Err(wrong("it names no object"));
        }
        if key.len() > KEY_BYTES || key.chars().any(char::is_control) {
            return Err(wrong("a key has at most 1024 bytes, and no control characters"));
        }
        // Proxies and servers may take them for steps.
        if key.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(wrong("`.` and `..` are no part of a key"));
        }
        match format!("s3://{bucket}").parse()? {
            StoreUrl::S3(bucket) => Ok(Self { bucket, key: key.to_owned() }),
            StoreUrl::File(_) => Err(wrong("it names no object")),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket.name(), self.key)
    }
}

impl Input {
    /// Reads what a job names.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |text: String| Error::new(Kind::Refused, text);
        if text.starts_with("s3://") {
            return text.parse().map(Self::Object).map_err(refused);
        }
        let path = Path::new(text.strip_prefix("file://").unwrap_or(text));
        if !path.is_absolute() {
            let text = format!(
                "{text:.200}: name the source by its absolute path, or an object as s3://bucket/key"
            );
            return Err(refused(text));
        }
        Ok(Self::File(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let table = [
            ("s3://films/a/b c%20.mp4", Ok(("films", "a/b c%20.mp4", "b_c_20.mp4"))),
            ("s3://films/x//.mkv", Ok(("films", "x//.mkv", "source.mkv"))),
            ("s3://films/ä.ts", Ok(("films", "ä.ts", "_.ts"))),
            ("s3://films", Err("names no object")),
            ("s3://films/", Err("names no object")),
            ("s3://films/a/", Err("names no object")),
            ("s3://films/a/../b", Err("no part of a key")),
            ("s3://films/./b", Err("no part of a key")),
            ("s3://films/a\nb", Err("control")),
            ("s3:///b", Err("is no bucket")),
            ("/films/b", Err("names no object")),
        ];
        for (text, wanted) in table {
            match (text.parse::<Address>(), wanted) {
                (Ok(address), Ok((bucket, key, name))) => {
                    let got = (address.bucket().name(), address.key(), &*address.file_name());
                    assert_eq!(got, (bucket, key, name), "{text}");
                    assert_eq!(address.to_string(), text);
                }
                (Err(said), Err(part)) => assert!(said.contains(part), "{text}: {said}"),
                (got, wanted) => panic!("{text}: got {got:?}, wanted {wanted:?}"),
            }
        }
        let long = format!("s3://films/{}", "x".repeat(KEY_BYTES + 1));
        assert!(long.parse::<Address>().is_err());
    }

    #[test]
    fn folders() {
        let bucket = |text: &str| match text.parse() {
            Ok(StoreUrl::S3(bucket)) => bucket,
            other => panic!("{other:?}"),
        };
        let address: Address = "s3://films/in/a.mp4".parse().unwrap();
        let table = [
            ("s3://films", true),
            ("s3://films/in", true),
            ("s3://films/i", false),
            ("s3://films/in/a.mp4", false),
            ("s3://other/in", false),
        ];
        for (folder, wanted) in table {
            assert_eq!(address.is_in(&bucket(folder)), wanted, "{folder}");
        }
    }

    #[test]
    fn inputs() {
        assert_eq!(Input::parse("/a/b").unwrap(), Input::File("/a/b".into()));
        assert_eq!(Input::parse("file:///a/b").unwrap(), Input::File("/a/b".into()));
        assert!(matches!(Input::parse("s3://films/b"), Ok(Input::Object(_))));
        for wrong in ["a/b", "file://a/b", "https://host/a", "s3://films"] {
            assert_eq!(Input::parse(wrong).unwrap_err().kind(), Kind::Refused, "{wrong}");
        }
    }
}
