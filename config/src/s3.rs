//! `[store.s3]`: how a store with an `s3://` address is reached. No secret stands here:
//! credentials come from the environment, as for every AWS tool.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_BUCKET_BYTES, MAX_PREFIX_BYTES, MAX_REGION_BYTES, MIN_BUCKET_BYTES};

/// `[store.s3]`. Without effect where `store.url` is a folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// The server's address; empty for AWS itself.
    pub endpoint: Endpoint,
    /// The region that requests are signed for; empty to take it from the environment.
    pub region: Region,
    /// Whether the bucket's name stands in the path instead of the host name.
    pub path_style: bool,
    /// PEM file of the authorities that the server's certificate must come from; empty for the
    /// system's.
    pub ca_file: PathBuf,
    /// Milliseconds until a connection must stand.
    pub connect_timeout_ms: u32,
    /// Milliseconds until an answer must begin, for one attempt.
    pub attempt_timeout_ms: u32,
    /// Milliseconds that a body on its way may stand still.
    pub stall_timeout_ms: u32,
    /// Milliseconds for all attempts of one request together, until an answer begins.
    pub operation_timeout_ms: u32,
    /// How often a request is sent at most, the first time included.
    pub max_attempts: u32,
    /// MiB of one part of an upload; what is smaller is sent whole.
    pub part_size_mib: u32,
    /// Parts of one upload that are sent at the same time.
    pub parallel_parts: u32,
}

impl S3 {
    /// The authorities' file, where one is set.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&*self.ca_file)
    }
}

/// Where an S3 store begins: a bucket and what stands before every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    name: String,
    prefix: String,
}

/// The address of an S3 server; empty for AWS itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(String);

/// A region's name; empty where none is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Bucket {
    /// The bucket.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands before every key: empty, or with a `/` at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `bucket` or `bucket/prefix`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        check_bucket_name(name)?;
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return Ok(Self { name: name.to_owned(), prefix: String::new() });
        }
        check_prefix(prefix)?;
        Ok(Self { name: name.to_owned(), prefix: format!("{prefix}/") })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.prefix.strip_suffix('/') {
            Some(prefix) => write!(f, "/{prefix}"),
            None => Ok(()),
        }
    }
}

impl Endpoint {
    /// The address, where one is set.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

impl Region {
    /// The name, where one is set.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = host.map(|host| host.strip_suffix('/').unwrap_or(host));
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        match host {
            Some(host) if !host.is_empty() && host.chars().all(is_plain) => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            // A name and a password before the host are not repeated: this text reaches logs.
            _ => Err("write `https://host`, `http://host:port`, or nothing for AWS; a bucket \
                      belongs into `store.url`, credentials into the environment"
                .to_owned()),
        }
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if text.len() > MAX_REGION_BYTES || !text.chars().all(is_plain) {
            return Err(format!(
                "`{text}` is no region: at most {MAX_REGION_BYTES} of a-z, 0-9 and -, such as `eu-central-1`"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0
    }
}

impl TryFrom<String> for Region {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            region: Region::default(),
            path_style: false,
            ca_file: PathBuf::new(),
            connect_timeout_ms: 1_000,
            attempt_timeout_ms: 2_000,
            stall_timeout_ms: 2_000,
            operation_timeout_ms: 30_000,
            max_attempts: 3,
            part_size_mib: 16,
            parallel_parts: 2,
        }
    }
}

/// Amazon S3 User Guide, "General purpose bucket naming rules", the part that every server holds.
fn check_bucket_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let ends_well = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = (MIN_BUCKET_BYTES..=MAX_BUCKET_BYTES).contains(&name.len())
        && name.chars().all(is_plain)
        && name.starts_with(ends_well)
        && name.ends_with(ends_well)
        && !name.contains("..");
    if good {
        return Ok(());
    }
    Err(format!(
        "`{name}` is no bucket: {MIN_BUCKET_BYTES} to {MAX_BUCKET_BYTES} of a-z, 0-9, - and ., with a letter or digit at both ends"
    ))
}

/// Characters that need no coding in a URL or in a policy's resource name.
fn check_prefix(prefix: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(is_plain);
    if prefix.len() <= MAX_PREFIX_BYTES && prefix.split('/').all(good) {
        return Ok(());
    }
    Err(format!(
        "`{prefix}` is no prefix: names of A-Z, a-z, 0-9, -, _ and . with one / between them, at most {MAX_PREFIX_BYTES} characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let table: &[(&str, Option<&str>)] = &[
            ("", Some("")),
            ("https://s3.example.com", Some("https://s3.example.com")),
            ("http://127.0.0.1:9000/", Some("http://127.0.0.1:9000")),
            ("http://[::1]:9000", Some("http://[::1]:9000")),
            ("s3.example.com", None),
            ("https://", None),
            ("https://host/bucket", None),
            ("https://key:secret@host", None),
            ("ftp://host", None),
        ];
        for (text, wanted) in table {
            let got = text.parse::<Endpoint>();
            assert_eq!(got.as_ref().ok().map(|e| e.0.as_str()), *wanted, "{text}: {got:?}");
            assert!(got.err().is_none_or(|message| !message.contains("secret")), "{text}");
        }
    }

    #[test]
    fn buckets() {
        let table: &[(&str, Option<(&str, &str)>)] = &[
            ("bucket", Some(("bucket", ""))),
            ("bucket/", Some(("bucket", ""))),
            ("my.bucket-1/a/b", Some(("my.bucket-1", "a/b/"))),
            ("bucket/a/b/", Some(("bucket", "a/b/"))),
            ("b", None),
            ("Bucket", None),
            ("-bucket", None),
            ("bu..cket", None),
            ("", None),
            ("bucket//a", None),
            ("bucket/a//b", None),
            ("bucket/../b", None),
            ("bucket/a b", None),
            ("bucket/a?b", None),
        ];
        for (text, wanted) in table {
            let got = Bucket::parse(text);
            let parts = got.as_ref().ok().map(|b| (b.name(), b.prefix()));
            assert_eq!(parts, *wanted, "{text}: {got:?}");
        }
    }
}
