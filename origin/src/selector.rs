//! What a purge names: titles, one of their versions, a profile, or all there is. What lies in a cache is
//! found by the names in its key, the way URLs and the store spell them.

use std::collections::BTreeSet;

use headwater_config::Name;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored;
use serde::Serialize;

/// Everything that agrees with each kind of name that is given; with none it is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// These titles'.
    pub titles: BTreeSet<TitleId>,
    /// This version's.
    pub version: Option<VersionId>,
    /// This profile's.
    pub profile: Option<Name>,
}

/// How much of each cache a purge let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// Responses, those that were made ahead among them.
    pub responses: u64,
    /// Ranges of stored media.
    pub sources: u64,
    /// Opened versions.
    pub versions: u64,
    /// Pointers of titles.
    pub pointers: u64,
}

impl Selector {
    /// Whether it names a response by its key: `/<profile>/<title>/<version>.<rev>/...`, or
    /// `/<profile>/<title>/<manifest>@<version>.<rev>/` for the live version's.
    pub fn of_responses(&self) -> impl Fn(&str) -> bool {
        // Keys are many, and ids become text slowly.
        let wanted_version = self.version.map(|version| version.to_string());
        move |key| {
            let mut parts = key.split('/').skip(1);
            let (profile, title, bound) = (parts.next(), parts.next(), parts.next());
            let bound = bound.unwrap_or_default();
            let version = bound.rsplit_once('@').map_or(bound, |(_, version)| version);
            let version = version.split_once('.').map_or(version, |(version, _rev)| version);
            self.profile.as_ref().is_none_or(|wanted| profile == Some(wanted.as_str()))
                && self.has(title.unwrap_or_default())
                && wanted_version.as_ref().is_none_or(|wanted| version == wanted)
        }
    }

    /// Whether it names an object of the store by its key. Objects belong to no profile.
    pub fn of_objects(&self) -> impl Fn(&str) -> bool {
        let wanted_version = self.version.map(|version| version.to_string());
        move |key| {
            let mut parts = key.strip_prefix(stored::TITLES_PREFIX).unwrap_or(key).split('/');
            let (title, version) = (parts.next(), parts.next());
            self.profile.is_none()
                && self.has(title.unwrap_or_default())
                && wanted_version.as_ref().is_none_or(|wanted| version == Some(wanted))
        }
    }

    /// Whether it names an opened version.
    pub fn names_version(&self, title: &TitleId, version: VersionId) -> bool {
        self.profile.is_none() && self.names(title, version)
    }

    /// Whether it names a version as a profile has it.
    pub fn names_under(&self, profile: &Name, title: &TitleId, version: VersionId) -> bool {
        self.profile.as_ref().is_none_or(|wanted| wanted == profile) && self.names(title, version)
    }

    fn names(&self, title: &TitleId, version: VersionId) -> bool {
        self.has(title.as_str()) && self.version.is_none_or(|wanted| wanted == version)
    }

    fn has(&self, title: &str) -> bool {
        self.titles.is_empty() || self.titles.contains(title)
    }

    /// Whether it names a title's pointer. One that names a version leaves it: which version is live
    /// is another matter.
    pub fn names_pointer(&self, title: &TitleId) -> bool {
        self.profile.is_none() && self.version.is_none() && self.has(title.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "01939c2e-7f00-7abc-8def-0123456789ab";
    const OTHER: &str = "01939c2e-7f00-7abc-8def-0123456789ac";

    fn selector(title: &str, version: &str, profile: &str) -> Selector {
        Selector {
            titles: title.parse().ok().into_iter().collect(),
            version: version.parse().ok(),
            profile: profile.parse().ok(),
        }
    }

    #[test]
    fn what_is_named() {
        let segment = format!("/clear/movie/{VERSION}.00c0ffee/v720/1.m4s");
        let live = format!("/clear/movie/master.m3u8@{VERSION}.00c0ffee/");
        let reference = format!("{live}?");
        let two = ["movie", "other"].map(|title| title.parse().unwrap());
        // selector, whether it names each of the three
        let table = [
            (selector("", "", ""), true),
            (selector("movie", "", ""), true),
            (selector("movi", "", ""), false),
            (selector("movie2", "", ""), false),
            (Selector { titles: two.into(), ..Selector::default() }, true),
            (selector("", VERSION, ""), true),
            (selector("", OTHER, ""), false),
            (selector("", "", "clear"), true),
            (selector("", "", "clea"), false),
            (selector("movie", VERSION, "clear"), true),
            (selector("movie", VERSION, "other"), false),
            (selector("other", VERSION, "clear"), false),
        ];
        for (selector, wanted) in table {
            for key in [&segment, &live, &reference] {
                assert_eq!(selector.of_responses()(key), wanted, "{selector:?} {key}");
            }
            let object = format!("titles/movie/{VERSION}/v720.mp4");
            let of_objects = wanted && selector.profile.is_none();
            assert_eq!(selector.of_objects()(&object), of_objects, "{selector:?}");
            let (title, version) = ("movie".parse().unwrap(), VERSION.parse().unwrap());
            assert_eq!(selector.names_version(&title, version), of_objects, "{selector:?}");
            let of_pointers = of_objects && selector.version.is_none();
            assert_eq!(selector.names_pointer(&title), of_pointers, "{selector:?}");
        }
    }
}
