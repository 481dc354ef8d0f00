//! `Cache-Status` (RFC 9211): what the response cache did for an answer. The few values that there
//! are were made once.

use headwater_config::NodeName;
use http::{HeaderName, HeaderValue};

use crate::delivery::CacheUse;

/// The field's name.
pub static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Every value that this service ever sends.
#[derive(Clone, Debug)]
pub struct CacheStatus {
    hit: HeaderValue,
    /// By whether it was collapsed, then by whether it was stored.
    misses: [[HeaderValue; 2]; 2],
}

impl CacheStatus {
    /// The values of a cache of this name.
    pub fn new(name: &NodeName) -> Self {
        let name = name.as_str();
        let value = |does: &str| {
            let text = format!("{name}; {does}");
            HeaderValue::try_from(text).expect("names and words are visible ASCII")
        };
        let miss = |rest: &str| value(&format!("fwd=uri-miss{rest}"));
        Self {
            hit: value("hit"),
            misses: [
                [miss(""), miss("; stored")],
                [miss("; collapsed"), miss("; stored; collapsed")],
            ],
        }
    }

    /// What is said of this use; nothing where the cache had no part in the answer.
    pub fn of(&self, used: CacheUse) -> Option<&HeaderValue> {
        match used {
            CacheUse::None => None,
            CacheUse::Hit => Some(&self.hit),
            CacheUse::Miss { stored, collapsed } => {
                Some(&self.misses[usize::from(collapsed)][usize::from(stored)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_its_words() {
        let status = CacheStatus::new(&NodeName::default());
        let miss = |stored, collapsed| CacheUse::Miss { stored, collapsed };
        let cases = [
            (CacheUse::None, None),
            (CacheUse::Hit, Some("headwater; hit")),
            (miss(false, false), Some("headwater; fwd=uri-miss")),
            (miss(true, false), Some("headwater; fwd=uri-miss; stored")),
            (miss(false, true), Some("headwater; fwd=uri-miss; collapsed")),
            (miss(true, true), Some("headwater; fwd=uri-miss; stored; collapsed")),
        ];
        for (used, wanted) in cases {
            assert_eq!(status.of(used).map(|value| value.to_str().unwrap()), wanted);
        }
    }
}
