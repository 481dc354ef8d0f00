//! `[profiles.<name>.access]`: who decides which viewers may have a profile's responses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_FIELD_NAME_BYTES;
use crate::secret::SecretSource;
use crate::tokens::TokenKeyId;

/// `[profiles.<name>.access]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Who decides.
    pub enforced_by: EnforcedBy,
    /// The request header field that carries the CDN's secret.
    pub cdn_header: FieldName,
    /// Where the secrets are that open the profile, each by itself: several while one is changed
    /// for another.
    pub cdn_secrets: Vec<SecretSource>,
    /// Keys whose tokens are taken; every key's where none is named.
    pub token_keys: Vec<TokenKeyId>,
    /// Whether a token for a manifest's URL alone is exchanged for one that opens what it leads to.
    pub exchange: bool,
    /// How a token that may be renewed is.
    pub renewal: Renewal,
    /// Seconds that a renewal lasts.
    pub renewal_s: u32,
    /// How manifests pass on a token that came in their query.
    pub propagate_query: PropagateQuery,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            enforced_by: EnforcedBy::None,
            cdn_header: FieldName::default(),
            cdn_secrets: Vec::new(),
            token_keys: Vec::new(),
            exchange: false,
            renewal: Renewal::None,
            renewal_s: 300,
            propagate_query: PropagateQuery::None,
        }
    }
}

impl Access {
    /// Whether viewers are handed tokens of the service's own.
    #[must_use]
    pub fn hands_out(&self) -> bool {
        self.exchange || self.renewal != Renewal::None
    }
}

/// How viewers go on once their token's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Renewal {
    /// With another token of their site's.
    #[default]
    None,
    /// By a cookie beside the token, renewed while requests come.
    Cookie,
    /// By being sent to the same manifest with a token that lasts longer.
    Exchange,
}

/// How manifests pass on a token that came in their query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PropagateQuery {
    /// Not at all: the player adds it to each request.
    #[default]
    None,
    /// By the formats' own means, which leave the bytes the same for every viewer.
    Reference,
    /// Written out behind every URI.
    Inline,
}

/// Who decides which viewers may have a profile's responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnforcedBy {
    /// Nobody: the profile is public.
    #[default]
    None,
    /// The origin, by each request's token; no shared cache may keep a response.
    Origin,
    /// The CDN. Responses are public to it, and every request must show that it comes from there.
    Cdn,
}

impl EnforcedBy {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Origin => "origin",
            Self::Cdn => "cdn",
        }
    }
}

/// The name of a private request header field: `x-` and then `[a-z0-9-]`, so that no field with a
/// meaning of its own can be named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(String);

impl FieldName {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for FieldName {
    fn default() -> Self {
        Self("x-headwater-cdn".to_owned())
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FieldName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let rest = name.strip_prefix("x-").unwrap_or_default();
        if rest.is_empty() || !rest.bytes().all(is_plain) || name.len() > MAX_FIELD_NAME_BYTES {
            return Err(format!(
                "`{text}` is no private header field: `x-` and then a-z, 0-9 and -, at most {MAX_FIELD_NAME_BYTES} in all"
            ));
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names() {
        for (text, wanted) in [("X-Edge-Key", "x-edge-key"), ("x-1", "x-1")] {
            assert_eq!(text.parse::<FieldName>().expect(text).as_str(), wanted);
        }
        for bad in ["", "x-", "host", "range", "authorization", "x-a b", "x-a:", "x-\u{e9}"] {
            assert!(bad.parse::<FieldName>().is_err(), "{bad}");
        }
        assert!(format!("x-{}", "a".repeat(63)).parse::<FieldName>().is_err());
    }

    #[test]
    fn the_words_are_those_of_the_file() {
        for who in [EnforcedBy::None, EnforcedBy::Origin, EnforcedBy::Cdn] {
            let word = toml::Value::try_from(who).expect("a word");
            assert_eq!(word.as_str(), Some(who.as_str()));
        }
    }
}
