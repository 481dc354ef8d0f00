//! Names under which a CDN can purge a response: its title's, its version's, its profile's.
//!
//! A tag begins with what it names, and holds nothing that a CDN's tags must not hold: Akamai
//! refuses `:` and `/`, and tags of more than 128 bytes, which a title's is from an id of 123 on.

use std::sync::Arc;

use headwater_config::CacheTags as Configured;
use headwater_packager::ids::{TitleId, VersionId};
use http::{HeaderName, HeaderValue};

/// Which fields carry tags.
#[derive(Clone, Debug, Default)]
pub struct TagFields(Vec<(HeaderName, &'static str)>);

/// Fields of a response, made once; cheap to clone.
pub type Tags = Arc<[(HeaderName, HeaderValue)]>;

impl TagFields {
    /// The configured fields.
    pub fn new(configured: &[Configured]) -> Self {
        let field = |tags: &Configured| match tags {
            Configured::SurrogateKey => (HeaderName::from_static("surrogate-key"), " "),
            Configured::CacheTag => (HeaderName::from_static("cache-tag"), ","),
            Configured::EdgeCacheTag => (HeaderName::from_static("edge-cache-tag"), ","),
        };
        Self(configured.iter().map(field).collect())
    }

    /// The fields of a response of this title.
    pub fn of(&self, profile: &str, title: &TitleId, version: VersionId) -> Tags {
        let field = |(name, between): &(HeaderName, &'static str)| {
            let text = format!("title-{title}{between}version-{version}{between}profile-{profile}");
            let value = HeaderValue::try_from(text).expect("names are visible ASCII");
            (name.clone(), value)
        };
        self.0.iter().map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_separator() {
        let title: TitleId = "big.buck_bunny-1".parse().unwrap();
        let version = VersionId::from_u128(0x01939c2e_7f00_7abc_8def_0123456789ab);
        let configured = [Configured::SurrogateKey, Configured::CacheTag, Configured::EdgeCacheTag];
        let tags = TagFields::new(&configured).of("vip", &title, version);
        let text: Vec<_> = tags
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        let version = "version-01939c2e-7f00-7abc-8def-0123456789ab";
        assert_eq!(
            text,
            [
                format!("surrogate-key: title-big.buck_bunny-1 {version} profile-vip"),
                format!("cache-tag: title-big.buck_bunny-1,{version},profile-vip"),
                format!("edge-cache-tag: title-big.buck_bunny-1,{version},profile-vip"),
            ]
        );
        assert!(TagFields::new(&[]).of("vip", &title, VersionId::from_u128(1)).is_empty());
    }
}
