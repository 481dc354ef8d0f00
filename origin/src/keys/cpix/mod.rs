//! Keys of a key server that speaks SPEKE v2: a CPIX 2.3 document goes there with the ids of keys,
//! and comes back with the keys.
//!
//! ```text
//! ids of keys -> kept? ──► request -> client (timeout, again after a pause) -> response -> kept
//! ```
//! All keys that are asked for together are one request, and those who ask for the same ones
//! meanwhile wait for its answer. Ids follow from what keys are for, without a secret, so every
//! node asks for the same ones.

mod client;
mod request;
pub mod response;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use headwater_config::{KeyProvider, Name, Scheme, System};
use headwater_packager::ids::{KeyId, TitleId};
use headwater_packager::signalling::KeyUse;
use moka::Expiry;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest, Sha256};

use super::{KeyError, Kind, NotReady, Provider, TrackKey, Wanted};
use crate::limits;
use client::Client;

type Kept = Cache<Vec<KeyId>, Answer>;

/// What a server said of one title.
#[derive(Clone)]
struct Answer {
    keys: Arc<[TrackKey]>,
    is_of_session: bool,
}

/// A title's keys stay as long as there is room, so that a server may be away; those of a session
/// that nobody asks for any more do not.
struct Idle;

/// A key server.
#[derive(Clone)]
pub struct Cpix {
    client: Arc<Client>,
    kept: Kept,
}

/// A request's matter, owned: its task goes on when who asked has left.
#[derive(Clone, Debug)]
struct Asked {
    title: TitleId,
    scheme: Scheme,
    systems: Vec<System>,
    keys: Vec<(KeyId, KeyUse)>,
    is_of_session: bool,
}

impl Cpix {
    /// Reads what is needed to ask. What `before` had got from the same server stays known.
    pub fn open(
        name: &Name,
        settings: &KeyProvider,
        before: Option<&Self>,
    ) -> Result<Self, NotReady> {
        let client = Client::open(name, settings)?;
        let same = before.filter(|before| before.client.is_to_the_same(&client));
        let kept = match same {
            Some(before) => before.kept.clone(),
            // The newest is kept always: what was asked for once, long ago, keeps no session out.
            None => Cache::builder()
                .max_capacity(settings.cache_entries.into())
                .weigher(|ids: &Vec<KeyId>, answer: &Answer| answer.kilobytes(ids.len()))
                .expire_after(Idle)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        };
        Ok(Self { client: Arc::new(client), kept })
    }

    async fn ask(self, asked: Asked) -> Result<Answer, KeyError> {
        let ids = asked.keys.iter().map(|(id, _)| *id).collect();
        let client = Arc::clone(&self.client);
        let answer = async move {
            let document = request::document(&asked);
            let body = client.post(document).await?;
            let wrong = |detail: String| client.error(Kind::Wrong, &detail);
            let keys = response::parse(&body, asked.scheme.as_str()).map_err(wrong)?;
            let keys = pick(&keys, &asked.keys).map_err(wrong)?;
            Ok(Answer { keys, is_of_session: asked.is_of_session })
        };
        self.kept.try_get_with(ids, answer).await.map_err(|error| KeyError::clone(&error))
    }
}

#[async_trait]
impl Provider for Cpix {
    async fn keys(&self, wanted: &Wanted<'_>, uses: &[KeyUse]) -> Result<Vec<TrackKey>, KeyError> {
        let mut keys: Vec<_> = uses.iter().map(|of| (key_id(wanted, *of), *of)).collect();
        keys.sort_unstable_by_key(|(_, of)| *of);
        keys.dedup();
        let ids: Vec<_> = keys.iter().map(|(id, _)| *id).collect();
        let got = match self.kept.get(&ids).await {
            Some(got) => got,
            None => {
                let asked = Asked {
                    title: wanted.title.clone(),
                    scheme: wanted.scheme,
                    systems: wanted.systems.to_vec(),
                    keys,
                    is_of_session: wanted.session.is_some(),
                };
                let task = tokio::spawn(self.clone().ask(asked));
                task.await
                    .map_err(|error| self.client.error(Kind::Unavailable, &error.to_string()))??
            }
        };
        let of = |of: &KeyUse| {
            let id = key_id(wanted, *of);
            let found = got.keys.iter().find(|key| key.id == id).cloned();
            found.ok_or_else(|| self.client.error(Kind::Wrong, &format!("no key {id}")))
        };
        uses.iter().map(of).collect()
    }

    /// Another server, or another domain, has other keys of every title.
    fn identity(&self, domain: &str, _title: &TitleId) -> [u8; 16] {
        sum(&["headwater/1", "cpix identity", self.client.url(), domain])
    }

    fn has_one_identity(&self) -> bool {
        true
    }
}

impl Answer {
    /// Its memory: keys, what is told of them, and their ids once more as what it is found by.
    fn kilobytes(&self, ids: usize) -> u32 {
        let keys = self.keys.iter().map(|key| size_of::<TrackKey>() + key.told.resident_bytes());
        let bytes = keys.sum::<usize>() + ids * size_of::<KeyId>();
        u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
    }

    fn idle(&self) -> Option<Duration> {
        self.is_of_session.then_some(limits::KEYS_IDLE)
    }
}

impl Expiry<Vec<KeyId>, Answer> for Idle {
    fn expire_after_create(&self, _: &Vec<KeyId>, answer: &Answer, _: Instant) -> Option<Duration> {
        answer.idle()
    }

    fn expire_after_read(
        &self,
        _: &Vec<KeyId>,
        answer: &Answer,
        _: Instant,
        _: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        answer.idle()
    }
}

/// The keys that were asked for, out of those that came.
fn pick(got: &[TrackKey], asked: &[(KeyId, KeyUse)]) -> Result<Arc<[TrackKey]>, String> {
    let of = |(id, of): &(KeyId, KeyUse)| {
        let found = got.iter().find(|key| key.id == *id).cloned();
        found.ok_or_else(|| format!("the answer has no key {id}, which was asked for as {of}"))
    };
    asked.iter().map(of).collect()
}

/// A key's id: a UUID of version 8 (RFC 9562 5.8) over all that the key is bound to.
fn key_id(wanted: &Wanted<'_>, of: KeyUse) -> KeyId {
    let Wanted { domain, scheme, systems: _, title, version, session } = *wanted;
    let KeyUse { period, label } = of;
    let (version, period) = (version.to_string(), period.to_string());
    let mut parts = vec!["headwater/1", "cpix kid", domain, scheme.as_str(), title.as_str()];
    parts.extend([version.as_str(), label.as_str(), &period]);
    parts.extend(session);
    let mut id = sum(&parts);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    KeyId(id)
}

/// The beginning of SHA-256 over parts, each with its length before it.
fn sum(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let sum = hash.finalize();
    std::array::from_fn(|at| sum[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_packager::drm;
    use headwater_packager::encrypt::ContentKey;
    use headwater_packager::signalling::Told;

    #[test]
    fn an_answer_weighs_what_it_holds_and_a_session_goes_idle() {
        let of = |keys: usize, pssh_bytes: usize, is_of_session| {
            let pssh = vec![(drm::WIDEVINE, vec![0; pssh_bytes]); usize::from(pssh_bytes > 0)];
            let told = Told { pssh, fairplay_uri: None };
            let key = TrackKey { id: KeyId([0; 16]), key: ContentKey::new([0; 16]), told };
            Answer { keys: vec![key; keys].into(), is_of_session }
        };
        assert_eq!(of(5, 0, false).kilobytes(5), 1);
        assert!((30..60).contains(&of(320, 0, false).kilobytes(320)));
        assert!(of(5, 16_384, false).kilobytes(5) >= 80);
        assert_eq!(of(1, 0, false).idle(), None);
        assert_eq!(of(1, 0, true).idle(), Some(limits::KEYS_IDLE));
    }
}
