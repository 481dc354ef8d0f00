//! Delivery policies, ready to serve: the operator's settings, the `rev` that stands for those of
//! them that shape bytes, and how long manifests may be kept.

use std::collections::BTreeMap;
use std::fmt;

use headwater_config::{self as config, CorsOrigins, Name, Profile as Settings};
use headwater_packager::FORMAT_VERSION;
use headwater_packager::ids::Rev;
use headwater_packager::protect::{Form, Scheme};
use http::HeaderValue;
use prometheus::IntCounter;
use sha2::{Digest, Sha256};

use crate::access::{Access, SecretError};
use crate::metrics::Metrics;
use crate::respond::Lifetime;
use crate::titles::Cut;

/// The policies by name.
#[derive(Debug)]
pub struct Profiles {
    by_name: BTreeMap<Name, Profile>,
    cors_origins: CorsOrigins,
}

/// One policy.
#[derive(Debug)]
pub struct Profile {
    /// What it is called.
    pub name: Name,
    /// What the operator wrote.
    pub settings: Settings,
    /// The rev of what needs no keys: asked for with every request.
    clear_rev: Rev,
    /// How long manifests may be kept.
    pub manifest_lifetime: Lifetime,
    /// Who may have responses.
    pub access: Access,
    /// How often the response cache had what was asked for.
    pub lookups: Lookups,
}

/// Looks into the response cache.
#[derive(Clone, Debug)]
pub struct Lookups {
    /// It was there.
    pub hits: IntCounter,
    /// It was not.
    pub misses: IntCounter,
}

/// A policy that lacks a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    profile: Name,
    error: SecretError,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`profiles.{}.access.cdn_secrets`: {}", self.profile, self.error)
    }
}

impl Profiles {
    /// Every policy of a configuration, with the secrets that it names.
    pub fn new(settings: &BTreeMap<Name, Settings>) -> Result<Self, NotReady> {
        let ready = |(name, settings): (&Name, &Settings)| {
            let not_ready = |error| NotReady { profile: name.clone(), error };
            Ok((name.clone(), Profile::new(name.clone(), settings.clone()).map_err(not_ready)?))
        };
        let by_name = settings.iter().map(ready).collect::<Result<_, _>>()?;
        Ok(Self { by_name, cors_origins: CorsOrigins::of_any(settings.values()) })
    }

    /// The same, with looks into the response cache counted by profile.
    #[must_use]
    pub fn counted(mut self, metrics: &Metrics) -> Self {
        for (name, profile) in &mut self.by_name {
            let of = |outcome| metrics.profile_lookups.with_label_values(&[name.as_str(), outcome]);
            profile.lookups = Lookups { hits: of("hit"), misses: of("miss") };
        }
        self
    }

    /// The pages that may read answers which belong to no profile: those of any.
    pub fn cors_origins(&self) -> &CorsOrigins {
        &self.cors_origins
    }

    /// The policy of this name.
    pub fn named(&self, name: &str) -> Option<&Profile> {
        self.by_name.get(name)
    }

    /// All policies in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Profile)> {
        self.by_name.iter()
    }
}

/// Every way in which some policy has versions cut, once.
pub fn cuts(settings: &BTreeMap<Name, Settings>) -> Vec<Cut> {
    let mut cuts: Vec<_> = settings.values().map(cut).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn cut(settings: &Settings) -> Cut {
    let form = match settings.protection.scheme {
        config::Scheme::None => Form::Clear,
        config::Scheme::Cenc => Form::Protected(Scheme::Cenc),
        config::Scheme::Cbcs => Form::Protected(Scheme::Cbcs),
        config::Scheme::Aes128 => Form::Protected(Scheme::Aes128),
    };
    Cut { segment_ms: settings.segment_ms, form }
}

impl Profile {
    fn new(name: Name, settings: Settings) -> Result<Self, SecretError> {
        Ok(Self {
            manifest_lifetime: manifest_lifetime(&settings),
            access: Access::open(&settings.access)?,
            clear_rev: rev(FORMAT_VERSION, &settings.shape()),
            name,
            settings,
            lookups: Lookups::uncounted(),
        })
    }

    /// How it has versions cut.
    pub fn cut(&self) -> Cut {
        cut(&self.settings)
    }

    /// What its keys are bound to.
    pub fn key_domain(&self) -> &Name {
        self.settings.protection.domain(&self.name)
    }

    /// The part of a versioned URL that stands for everything else that shapes its bytes: the
    /// output format, the settings, and where there are keys, their identity.
    pub fn rev(&self, keys: Option<[u8; 16]>) -> Rev {
        let Some(id) = keys else { return self.clear_rev };
        let mut shape = self.settings.shape();
        shape.push(("keys", format!("{:032x}", u128::from_be_bytes(id))));
        rev(FORMAT_VERSION, &shape)
    }
}

impl Lookups {
    fn uncounted() -> Self {
        let counter = |name| IntCounter::new(name, name).expect("a good name");
        Self { hits: counter("hits"), misses: counter("misses") }
    }

    /// Counts one.
    pub fn count<T>(&self, found: Option<T>) -> Option<T> {
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.inc();
        found
    }
}

fn manifest_lifetime(settings: &Settings) -> Lifetime {
    let value = |max_age_s: u32, stale_s: u32| {
        let mut text = format!("public, max-age={max_age_s}, stale-while-revalidate={stale_s}");
        if settings.manifest_stale_if_error_s > 0 {
            text += &format!(", stale-if-error={}", settings.manifest_stale_if_error_s);
        }
        HeaderValue::try_from(text).expect("words and numbers")
    };
    let for_cdns = || value(settings.cdn_manifest_max_age_s, settings.cdn_manifest_stale_s);
    Lifetime {
        cache_control: value(settings.manifest_max_age_s, settings.manifest_stale_s),
        cdn_cache_control: settings.cdn_cache_control.then(for_cdns),
    }
}

/// The short name of everything but the version that shapes a response's bytes: the first 32 bits
/// of SHA-256 over the output format and each setting, every part with its length before it so
/// that no two lists of settings read the same.
fn rev(format_version: u32, shape: &[(&str, String)]) -> Rev {
    let mut hash = Sha256::new();
    hash.update(b"headwater rev");
    hash.update(format_version.to_be_bytes());
    for part in shape.iter().flat_map(|(key, value)| [key, value.as_str()]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    Rev(u32::from_be_bytes(std::array::from_fn(|i| digest[i])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_config::{CorsOrigins, Format, TitleRule};
    use proptest::prelude::*;

    fn any_settings() -> impl Strategy<Value = Settings> {
        // Few lengths, so that two configurations often agree in what shapes bytes.
        (
            (1..=4u32).prop_map(|s| s * 1_000),
            any::<bool>(),
            0..9u32,
            0..9u32,
            "[a-z]{0,3}",
            any::<bool>(),
        )
            .prop_map(|(segment_ms, hls_only, max_age, stale, title, any_page)| Settings {
                segment_ms,
                formats: if hls_only { vec![Format::Hls] } else { vec![Format::Hls, Format::Dash] },
                manifest_max_age_s: max_age,
                manifest_stale_s: stale,
                cdn_cache_control: any_page,
                cdn_manifest_max_age_s: stale,
                cdn_manifest_stale_s: max_age,
                titles: vec![TitleRule::Prefix(title)],
                access_classes: Vec::new(),
                cors_origins: if any_page {
                    CorsOrigins::Any
                } else {
                    CorsOrigins::Listed(Vec::new())
                },
                ..Settings::default()
            })
    }

    proptest! {
        /// What shapes bytes is in the URL, so two nodes with different settings or different
        /// releases never answer one URL with different bytes; and nothing else is in it, so that
        /// changing a lifetime does not empty every cache.
        #[test]
        fn two_configurations_or_formats_never_share_a_media_url(
            a in any_settings(), b in any_settings(), format_a in 1..5u32, format_b in 1..5u32,
        ) {
            let same_bytes = format_a == format_b && a.shape() == b.shape();
            let same_rev = rev(format_a, &a.shape()) == rev(format_b, &b.shape());
            prop_assert_eq!(same_rev, same_bytes);
        }
    }

    #[test]
    fn other_keys_make_other_urls() {
        let name: Name = "vip".parse().unwrap();
        let profile = Profile::new(name, Settings::default()).unwrap();
        let revs = [profile.rev(None), profile.rev(Some([1; 16])), profile.rev(Some([2; 16]))];
        assert!(revs[0] != revs[1] && revs[1] != revs[2] && revs[0] != revs[2], "{revs:?}");
    }

    #[test]
    fn neighbours_differ_and_the_default_is_pinned() {
        let of = |format, ms: u32| rev(format, &[("segment_ms", ms.to_string())]);
        let mut revs: Vec<u32> =
            (1..=3).flat_map(|format| (1..=60).map(move |s| of(format, s * 1000).0)).collect();
        revs.sort_unstable();
        revs.dedup();
        assert_eq!(revs.len(), 180);
        // Moving the boundary between key and value, or between settings, makes another rev.
        assert_ne!(rev(1, &[("ab", "c".into())]), rev(1, &[("a", "bc".into())]));
        assert_ne!(rev(1, &[("a", "b".into())]), rev(1, &[("a", "b".into()), ("", String::new())]));
        // If this line must change without a new FORMAT_VERSION, nodes of both releases answer
        // each other's URLs with 404 while a deployment rolls.
        assert_eq!(of(1, 6000).to_string(), "a74fbb0e");
    }
}
