//! `[profiles.<name>.protection]`: whether and how a profile's media is encrypted, whose keys, and
//! which licence systems are told of them.

use serde::{Deserialize, Serialize};

use crate::blank;
use crate::profile::{Format, Name};
use crate::url::{KeyUri, Url};

/// `[profiles.<name>.protection]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protection {
    /// How media is encrypted.
    pub scheme: Scheme,
    /// The provider of keys, one of `[keys.<name>]`.
    #[serde(with = "blank")]
    pub keys: Option<Name>,
    /// What keys are bound to beside the title; the profile's own name where none is set.
    #[serde(with = "blank")]
    pub key_domain: Option<Name>,
    /// The licence systems that manifests and init sections speak to, in this order.
    pub systems: Vec<System>,
    /// How HLS calls a key of FairPlay.
    pub fairplay_uri: KeyUri,
    /// The licence server that PlayReady's header and MPDs name.
    #[serde(with = "blank")]
    pub playready_la_url: Option<Url>,
    /// The licence server of Widevine that MPDs name.
    #[serde(with = "blank")]
    pub widevine_la_url: Option<Url>,
    /// The licence server of ClearKey that MPDs name.
    #[serde(with = "blank")]
    pub clearkey_la_url: Option<Url>,
    /// Whether this origin hands the keys out.
    pub deliver_keys: bool,
    /// After how many seconds of a title its keys change, at the start of a segment; 0: never.
    pub key_period_s: u32,
    /// Who shares a title's keys.
    pub key_scope: KeyScope,
}

impl Protection {
    /// Whether anything is encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.scheme != Scheme::None
    }

    /// What keys are bound to beside the title. `profile` is the name of the profile that this
    /// stands in.
    #[must_use]
    pub fn domain<'a>(&'a self, profile: &'a Name) -> &'a Name {
        self.key_domain.as_ref().unwrap_or(profile)
    }

    /// Whether some key of the profile is for a system that keeps keys from its viewers.
    #[must_use]
    pub fn has_drm(&self) -> bool {
        self.systems.iter().any(|system| system.is_drm())
    }

    /// Whether each viewer has keys of his own.
    #[must_use]
    pub fn is_of_sessions(&self) -> bool {
        self.is_on() && self.key_scope == KeyScope::Session
    }

    /// Whether players are handed keys as they are.
    #[must_use]
    pub fn gives_keys_away(&self) -> bool {
        self.deliver_keys
            || self.scheme == Scheme::Aes128
            || self.systems.contains(&System::Clearkey)
    }

    /// The settings that shape bytes; none where nothing is encrypted. Which keys there are is not
    /// said here: their provider does.
    pub(crate) fn shape(&self) -> Vec<(&'static str, String)> {
        // Taken apart, so that a new setting does not compile until someone decides here.
        let Self {
            scheme,
            keys: _,
            key_domain,
            systems,
            fairplay_uri,
            playready_la_url,
            widevine_la_url,
            clearkey_la_url,
            deliver_keys,
            key_period_s,
            key_scope,
        } = self;
        if *scheme == Scheme::None {
            return Vec::new();
        }
        let url = |url: &Option<Url>| url.as_ref().map(ToString::to_string).unwrap_or_default();
        let systems: Vec<_> = systems.iter().map(|system| system.as_str()).collect();
        let mut shape = vec![
            ("scheme", scheme.as_str().to_owned()),
            ("key_domain", key_domain.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("systems", systems.join(",")),
            ("fairplay_uri", fairplay_uri.to_string()),
            ("playready_la_url", url(playready_la_url)),
            ("widevine_la_url", url(widevine_la_url)),
            ("clearkey_la_url", url(clearkey_la_url)),
            ("deliver_keys", deliver_keys.to_string()),
        ];
        // Left out where it shapes nothing.
        if *key_period_s > 0 {
            shape.push(("key_period_s", key_period_s.to_string()));
        }
        if *key_scope == KeyScope::Session {
            shape.push(("key_scope", "session".to_owned()));
        }
        shape
    }
}

/// How media is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Not at all.
    #[default]
    None,
    /// Common Encryption, AES-CTR (ISO/IEC 23001-7 10.1).
    Cenc,
    /// Common Encryption, AES-CBC of one block in ten (10.4).
    Cbcs,
    /// HLS alone: AES-CBC of whole segments (RFC 8216 4.3.2.4), whose keys this origin hands out.
    #[serde(rename = "aes-128")]
    Aes128,
}

impl Scheme {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cenc => "cenc",
            Self::Cbcs => "cbcs",
            Self::Aes128 => "aes-128",
        }
    }
}

/// Who shares a title's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyScope {
    /// All viewers.
    #[default]
    Title,
    /// Nobody: each session has its own.
    Session,
}

/// A licence system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Google's.
    Widevine,
    /// Microsoft's.
    Playready,
    /// Apple's.
    Fairplay,
    /// Keys that a page is handed as they are (W3C Encrypted Media Extensions 9.1).
    Clearkey,
    /// None in particular: the ids of keys for whoever knows what to do with them.
    Common,
}

impl System {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Widevine => "widevine",
            Self::Playready => "playready",
            Self::Fairplay => "fairplay",
            Self::Clearkey => "clearkey",
            Self::Common => "common",
        }
    }

    /// Whether the system keeps keys from the viewers that it lets watch.
    #[must_use]
    pub fn is_drm(self) -> bool {
        matches!(self, Self::Widevine | Self::Playready | Self::Fairplay)
    }

    /// Whether manifests of this format can speak to the system.
    #[must_use]
    pub fn is_told_by(self, format: Format) -> bool {
        match self {
            Self::Widevine | Self::Playready | Self::Clearkey => true,
            // No key format is registered for it, and nobody reads it from an MPD.
            Self::Fairplay => format == Format::Hls,
            Self::Common => format == Format::Dash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_file() {
        for scheme in [Scheme::None, Scheme::Cenc, Scheme::Cbcs, Scheme::Aes128] {
            let word = toml::Value::try_from(scheme).expect("a word");
            assert_eq!(word.as_str(), Some(scheme.as_str()));
        }
        for system in [
            System::Widevine,
            System::Playready,
            System::Fairplay,
            System::Clearkey,
            System::Common,
        ] {
            let word = toml::Value::try_from(system).expect("a word");
            assert_eq!(word.as_str(), Some(system.as_str()));
        }
    }

    #[test]
    fn what_shapes_bytes() {
        let of = |text: &str| toml::from_str::<Protection>(text).expect("good keys").shape();
        assert_eq!(Protection::default().shape(), []);
        // Nothing is encrypted, so nothing else matters.
        assert_eq!(of("systems = [\"common\"]\ndeliver_keys = true"), []);
        let base = "scheme = \"cbcs\"\n";
        for other in [
            "key_domain = \"b\"",
            "systems = [\"widevine\"]",
            "fairplay_uri = \"skd://{title}\"",
            "playready_la_url = \"https://a/\"",
            "widevine_la_url = \"https://a/\"",
            "clearkey_la_url = \"https://a/\"",
            "deliver_keys = true",
            "key_period_s = 60",
            "key_scope = \"session\"",
        ] {
            assert_ne!(of(base), of(&format!("{base}{other}")), "{other}");
        }
        assert_ne!(of(base), of("scheme = \"cenc\""));
        // A provider may be called another name: its keys say who they are.
        assert_eq!(of(base), of(&format!("{base}keys = \"a\"")));
    }

    #[test]
    fn a_domain_is_the_profiles_own_unless_it_is_set() {
        let profile: Name = "vip".parse().expect("a name");
        let mut protection = Protection::default();
        assert_eq!(protection.domain(&profile).as_str(), "vip");
        protection.key_domain = Some("films".parse().expect("a name"));
        assert_eq!(protection.domain(&profile).as_str(), "films");
    }
}
