//! `[origin.cache]`, `[origin.prefetch]`, `[origin.warm_up]`: what is kept in memory, and what is made
//! before it is asked for.

use serde::{Deserialize, Serialize};

use crate::profile::is_title_id;

/// `[origin.cache]`: sizes in MiB of bytes really pinned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Segments, init sections and manifests; 0 keeps none.
    pub responses_mib: u32,
    /// Stored media that leaves under keys, as it was read and checked; 0 keeps none.
    pub sources_mib: u32,
    /// Opened titles: heads, ready to plan from.
    pub titles_mib: u32,
    /// How long a title's pointer (which version is live) is believed without asking the store.
    pub pointer_ttl_ms: u32,
    /// How long after that it is still used while the store is asked in the background.
    pub pointer_stale_ms: u32,
    /// How long it is used while the store cannot be asked.
    pub pointer_stale_if_error_s: u32,
    /// How long "there is no such title or version" is believed.
    pub not_found_ttl_ms: u32,
}

/// `[origin.prefetch]`: the segments that a player asks for next.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prefetch {
    /// Segments ahead of one that is asked for; 0 makes nothing ahead.
    pub segments: u32,
    /// MiB of segments that were made ahead and not asked for yet.
    pub memory_mib: u32,
    /// Segments that are being made ahead at one time.
    pub max_concurrent: u32,
}

/// `[origin.warm_up]`: titles whose beginning is made ready.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarmUp {
    /// Their ids.
    pub titles: Vec<TitleName>,
    /// Segments of each track; manifests and init sections are always made.
    pub segments: u32,
    /// Responses that are being made for it at one time.
    pub max_concurrent: u32,
}

/// A title's id: `[A-Za-z0-9._-]{1,128}`, never `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TitleName(String);

impl TitleName {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TitleName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_title_id(&text) {
            Ok(Self(text))
        } else {
            Err(format!("`{text}` is no title's id: 1 to 128 letters, digits, '.', '_' and '-'"))
        }
    }
}

impl From<TitleName> for String {
    fn from(name: TitleName) -> Self {
        name.0
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            responses_mib: 256,
            sources_mib: 0,
            titles_mib: 64,
            pointer_ttl_ms: 2_000,
            pointer_stale_ms: 0,
            pointer_stale_if_error_s: 43_200,
            not_found_ttl_ms: 1_000,
        }
    }
}

impl Default for Prefetch {
    fn default() -> Self {
        Self { segments: 0, memory_mib: 64, max_concurrent: 16 }
    }
}

impl Default for WarmUp {
    fn default() -> Self {
        Self { titles: Vec::new(), segments: 1, max_concurrent: 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_titles() {
        for good in ["a", "Big.Buck_Bunny-1", "...", &"x".repeat(128)] {
            assert_eq!(TitleName::try_from(good.to_owned()).expect(good).as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a*", "\u{e9}", &"x".repeat(129)] {
            assert!(TitleName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
