//! `[origin.tokens]`: what viewers show to profiles that this service protects by itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::access::FieldName;
use crate::limits::{
    MAX_AUDIENCE_BYTES, MAX_FIELD_NAME_BYTES, MAX_TOKEN_KEY_ID_BYTES, MAX_TOKEN_NAME_BYTES,
};
use crate::secret::SecretSource;

/// `[origin.tokens]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// Shared secrets that sign tokens.
    pub keys: Vec<TokenKey>,
    /// Where sets of JSON Web Keys are.
    pub jwks: Vec<SecretSource>,
    /// Ids of secrets that sign what the service itself hands to viewers: the first signs, all are
    /// taken.
    pub own_keys: Vec<TokenKeyId>,
    /// What the names of cookies begin with that carry a viewer's token on.
    pub session_cookie: TokenName,
    /// From which sites' pages those cookies are sent.
    pub session_cookie_sites: CookieSites,
    /// Seconds between looks at whether keys changed; 0 reads them at the start alone.
    pub look_s: u32,
    /// Seconds by which an issuer's clock may differ.
    pub skew_s: u32,
    /// The cookie that carries a token.
    pub cookie: TokenName,
    /// The query parameter that carries a token.
    pub query: TokenName,
    /// What this service is called in a token's `aud`; empty where it has no such name.
    pub audience: Audience,
    /// The request header field in which trusted proxies say the client's country; empty for none.
    pub country_header: CountryField,
    /// The request header field that says which session a request belongs to.
    pub session_header: FieldName,
}

/// From which pages a browser sends a cookie to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CookieSites {
    /// Pages of the same site: `SameSite=Lax`.
    #[default]
    Same,
    /// Pages of every site: `SameSite=None; Secure`, so over HTTPS alone.
    All,
}

/// One shared secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenKey {
    /// The name that tokens call it by.
    pub id: TokenKeyId,
    /// Where it is.
    pub secret: SecretSource,
}

impl Default for Tokens {
    fn default() -> Self {
        let name = |text: &str| TokenName(text.to_owned());
        Self {
            keys: Vec::new(),
            jwks: Vec::new(),
            own_keys: Vec::new(),
            session_cookie: name("headwater-session"),
            session_cookie_sites: CookieSites::Same,
            look_s: 10,
            skew_s: 10,
            cookie: name("headwater-token"),
            query: name("token"),
            audience: Audience::default(),
            country_header: CountryField::default(),
            session_header: "x-playback-session-id".parse().expect("a private field's name"),
        }
    }
}

/// A text of few characters.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:expr, $lengths:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let lengths = $lengths;
                if lengths.contains(&text.len()) && text.bytes().all($allowed) {
                    return Ok(Self(text.to_owned()));
                }
                Err(format!(
                    concat!("`{}` is no ", $what, ", {} to {} of them"),
                    text, lengths.start(), lengths.end()
                ))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.0
            }
        }
    };
}

word! {
    /// A key's name in tokens.
    TokenKeyId, "key id: A-Z, a-z, 0-9, '.', '_' and '-'",
    |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'),
    1..=MAX_TOKEN_KEY_ID_BYTES
}
word! {
    /// The name of a cookie or query parameter that needs no encoding anywhere.
    TokenName, "name of a cookie or parameter: A-Z, a-z, 0-9, '_' and '-'",
    |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'),
    1..=MAX_TOKEN_NAME_BYTES
}
word! {
    /// A service's name in tokens; empty for none.
    #[derive(Default)]
    Audience, "audience: visible characters without a comma",
    |b: u8| b.is_ascii_graphic() && b != b',',
    0..=MAX_AUDIENCE_BYTES
}
word! {
    /// A header field's name in lower case; empty for none.
    #[derive(Default)]
    CountryField, "header field: a-z, 0-9 and '-'",
    |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-',
    0..=MAX_FIELD_NAME_BYTES
}

impl CountryField {
    /// The name, where there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

impl Audience {
    /// The name, where there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert!("issuer-2026.a_B".parse::<TokenKeyId>().is_ok());
        let long = "k".repeat(65);
        for bad in ["", "a/b", "a b", "~", "\u{e4}", &long] {
            assert!(bad.parse::<TokenKeyId>().is_err(), "{bad}");
        }
        for bad in ["", "a.b", "a=b", "a;b", "a%20"] {
            assert!(bad.parse::<TokenName>().is_err(), "{bad}");
        }
        assert_eq!("".parse::<Audience>().expect("none").name(), None);
        assert_eq!("https://a/".parse::<Audience>().expect("one").name(), Some("https://a/"));
        assert!("a,b".parse::<Audience>().is_err());
    }

    #[test]
    fn a_secret_never_stands_in_a_configuration() {
        let wrong = "keys = [{ id = \"k1\", secret = \"0123456789abcdef0123456789abcdef\" }]";
        let said = toml::from_str::<Tokens>(wrong).expect_err("no source").to_string();
        assert!(said.contains("file:/absolute/path"), "{said}");
    }
}
