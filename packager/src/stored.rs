//! Where a title lies in the store, and its pointer `title.json`.
//!
//! ```text
//! titles/<title>/title.json               the pointer: replacing it is the commit point
//! titles/<title>/<version>/heads.bin      immutable once the version is finished
//! titles/<title>/<version>/<name>         track files, facts.json
//! ```

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ids::{TitleId, VersionId};
use crate::limits;

/// The folder that holds every title.
pub const TITLES_PREFIX: &str = "titles/";

/// Everything of a title.
pub fn title_prefix(title: &TitleId) -> String {
    format!("{TITLES_PREFIX}{title}/")
}

/// Everything of one version.
pub fn version_prefix(title: &TitleId, version: VersionId) -> String {
    format!("{TITLES_PREFIX}{title}/{version}/")
}

/// The title's pointer.
pub fn pointer_key(title: &TitleId) -> String {
    format!("{TITLES_PREFIX}{title}/title.json")
}

/// The version's heads.
pub fn heads_key(title: &TitleId, version: VersionId) -> String {
    object_key(title, version, "heads.bin")
}

/// An object of a version; `name` comes from heads, which admit only plain names.
pub fn object_key(title: &TitleId, version: VersionId, name: &str) -> String {
    format!("{TITLES_PREFIX}{title}/{version}/{name}")
}

/// The format number this release writes into pointers.
pub const POINTER_FORMAT: u32 = 1;

/// `title.json`: which version is live. Small, replaced atomically, the commit point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// [`POINTER_FORMAT`]; a higher one is refused.
    pub format: u32,
    /// The version that unversioned URLs lead to.
    pub live: Option<VersionId>,
    /// A version that is still being encoded and may be watched already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing: Option<VersionId>,
    /// Which kind of profile may hand out the live manifests; `None` leaves it to the profile's
    /// own rule. URLs that name a version follow the class in that version's heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_class: Option<String>,
    /// A tombstone: the title is gone although old versions may still lie in the store.
    #[serde(default)]
    pub deleted: bool,
}

impl Pointer {
    /// A pointer to a finished version.
    pub fn to_live(version: VersionId, access_class: Option<String>) -> Self {
        Self {
            format: POINTER_FORMAT,
            live: Some(version),
            growing: None,
            access_class,
            deleted: false,
        }
    }

    /// Reads a `title.json`.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        if json.len() > limits::POINTER_BYTES {
            return Err(Error::too_large(
                "title.json",
                format!("{} bytes, at most {}", json.len(), limits::POINTER_BYTES),
            ));
        }
        let format: FormatOnly = serde_json::from_slice(json)
            .map_err(|e| Error::damaged("title.json", e.to_string()))?;
        if format.format != POINTER_FORMAT {
            return Err(Error::unsupported(
                "title.json/format",
                format!("expected {POINTER_FORMAT}, got {}", format.format),
            ));
        }
        serde_json::from_slice(json).map_err(|e| Error::damaged("title.json", e.to_string()))
    }

    /// The bytes of `title.json`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a pointer is plain data")
    }
}

/// Looked at first, so that a later format is reported as such and not as damage.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_round_trip_and_refuse_what_they_do_not_know() {
        let pointer = Pointer::to_live(VersionId::from_u128(7), Some("premium".into()));
        assert_eq!(Pointer::parse(&pointer.to_json()).unwrap(), pointer);
        let cases = [
            ("{\"format\":2,\"novel\":1}", "title.json/format: expected 1, got 2"),
            ("{\"format\":1,\"live\":null,\"novel\":1}", "title.json: unknown field `novel`"),
            ("{\"format\":1,\"live\":\"x\"}", "title.json: version: \"x\" is not"),
            ("", "title.json: EOF"),
        ];
        for (json, wanted) in cases {
            let error = Pointer::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{json}: {error}");
        }
    }
}
