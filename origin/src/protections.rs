//! Versions under a profile's keys, ready to encrypt: made when first asked for, then kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use headwater_config::{self as config, Config, Name};
use headwater_packager as packager;
use headwater_packager::ids::{Rev, TitleId, VersionId};
use headwater_packager::period::Periods;
use headwater_packager::protect::{Form, Scheme};
use headwater_packager::signalling::{LabelKey, Protection, Signals, System};
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::access::scope::SessionId;
use crate::errands::Errands;
use crate::failure::{Cause, Failure, Part};
use crate::keys::{KeyRing, NotReady, Provider, Wanted};
use crate::limits;
use crate::profile::Profile;
use crate::purges::{Purges, Purging, Since};
use crate::selector::Selector;
use crate::store::Key;
use crate::titles::{Cut, Opened};

/// Everything under keys.
pub struct Protections {
    /// Where keys come from.
    pub ring: KeyRing,
    made: Cache<Of, Arc<Protection>>,
    making: Errands<Of, Result<Arc<Protection>, Failure>>,
    purges: Purges,
    /// Of each profile under keys: every request for a version asks for one.
    revs: BTreeMap<Name, Revs>,
}

impl Protections {
    /// Reads what the configured providers of keys name; what a key server said to those `before`
    /// stays known.
    ///
    /// # Errors
    /// Where a provider cannot be opened, or a profile's is not there.
    pub fn open(config: &Config, before: &KeyRing, purges: Purges) -> Result<Self, NotReady> {
        let ring = KeyRing::open(&config.keys, before)?;
        let mut revs = BTreeMap::new();
        for (name, profile) in &config.profiles {
            if !profile.protection.is_on() {
                continue;
            }
            let provider = profile.protection.keys.as_ref();
            let provider = provider.and_then(|provider| ring.provider(provider.as_str()));
            let provider = provider.ok_or_else(|| NotReady {
                key: format!("profiles.{name}.protection.keys"),
                detail: "a protected profile names one of [keys.<name>]".to_owned(),
            })?;
            let known = match provider.has_one_identity() {
                true => Revs::One(OnceLock::new()),
                false => Revs::Each(RwLock::default()),
            };
            revs.insert(name.clone(), known);
        }
        let kilobytes = |_: &_, made: &Arc<Protection>| {
            u32::try_from(made.resident_bytes().div_ceil(1024)).unwrap_or(u32::MAX)
        };
        let made = Cache::builder()
            .max_capacity(limits::PROTECTED_KB)
            .weigher(kilobytes)
            .time_to_idle(limits::KEYS_IDLE)
            // The newest comes in always: sessions that ended would else keep out those that begin.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Ok(Self { ring, made, making: Errands::default(), purges, revs })
    }

    /// What stands for a profile's settings and keys in the URLs of a title.
    pub fn rev(&self, profile: &Profile, title: &TitleId) -> Rev {
        let work_out = || {
            let provider = self.provider(profile);
            let domain = profile.key_domain().as_str();
            profile.rev(provider.map(|provider| provider.identity(domain, title)))
        };
        match self.revs.get(&profile.name) {
            Some(Revs::One(known)) => *known.get_or_init(work_out),
            Some(Revs::Each(known)) => of_title(known, title, work_out),
            None => work_out(),
        }
    }

    /// A version, opened `since`, as a profile protects it, under the keys of a session where that has
    /// its own; `None` where it does not.
    pub async fn of(
        &self,
        profile: &Profile,
        (opened, since): (&Arc<Opened>, Since),
        session: Option<&SessionId>,
    ) -> Result<Option<Arc<Protection>>, Failure> {
        let (Form::Protected(scheme), Some(provider)) =
            (profile.cut().form, self.provider(profile))
        else {
            return Ok(None);
        };
        let title = &opened.title;
        // A version that grows may have other tracks and segments under another `seq`.
        let of = Of {
            profile: profile.name.clone(),
            title: title.id().clone(),
            version: title.version(),
            seq: title.seq(),
            session: session.cloned(),
        };
        if let Some(made) = self.made.get(&of).await {
            return Ok(Some(made));
        }
        let making = Making {
            provider: Arc::clone(provider),
            domain: profile.key_domain().clone(),
            settings: profile.settings.protection.clone(),
            cut: profile.cut(),
            scheme,
            opened: Arc::clone(opened),
            session: session.cloned(),
        };
        let (purges, kept, key) = (self.purges.clone(), self.made.clone(), of.clone());
        let making = async move {
            let made = making.make().await?;
            purges.keep(since, kept.insert(key, Arc::clone(&made))).await;
            Ok(made)
        };
        let (making, _) = self.making.run(of, since, making);
        let made = making.await.map_err(|broken_off| {
            Failure::Internal(format!("putting a version under keys broke off: {broken_off}"))
        })?;
        made.map(Some)
    }

    /// Lets go what is named: heads may have changed that it was made of.
    pub async fn purge(&self, _at_work: &Purging, named: &Selector) {
        let names = |of: &Of| named.names_under(&of.profile, &of.title, of.version);
        for (of, _) in self.made.iter().filter(|(of, _)| names(of)) {
            self.made.invalidate(&*of).await;
        }
    }

    fn provider(&self, profile: &Profile) -> Option<&Arc<dyn Provider>> {
        let protection = &profile.settings.protection;
        let name = protection.keys.as_ref().filter(|_| protection.is_on())?;
        self.ring.provider(name.as_str())
    }
}

/// What is protected, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Of {
    profile: Name,
    title: TitleId,
    version: VersionId,
    seq: u64,
    session: Option<SessionId>,
}

/// What stands for settings and keys in URLs, once it was worked out.
enum Revs {
    /// Of all titles.
    One(OnceLock<Rev>),
    /// Of each.
    Each(RwLock<HashMap<TitleId, Rev>>),
}

fn of_title(
    known: &RwLock<HashMap<TitleId, Rev>>,
    title: &TitleId,
    work_out: impl Fn() -> Rev,
) -> Rev {
    let found = known.read().unwrap_or_else(PoisonError::into_inner).get(title).copied();
    found.unwrap_or_else(|| {
        let rev = work_out();
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        // Requests may name titles that are not there.
        if known.len() >= limits::REVS {
            known.clear();
        }
        known.insert(title.clone(), rev);
        rev
    })
}

/// What a version is put under keys by; an errand's, which outlives who asked.
struct Making {
    provider: Arc<dyn Provider>,
    domain: Name,
    settings: config::Protection,
    cut: Cut,
    scheme: Scheme,
    opened: Arc<Opened>,
    session: Option<SessionId>,
}

impl Making {
    async fn make(self) -> Result<Arc<Protection>, Failure> {
        let Self { provider, domain, settings, cut, scheme, opened, session } = self;
        let title = &opened.title;
        let wanted = Wanted {
            domain: domain.as_str(),
            scheme: settings.scheme,
            systems: &settings.systems,
            title: title.id(),
            version: title.version(),
            session: session.as_ref().map(SessionId::as_str),
        };
        let most = match session {
            Some(_) => packager::limits::KEY_PERIODS_OF_SESSION,
            None => packager::limits::KEY_PERIODS,
        };
        let timeline = opened.timeline(cut);
        let periods = Periods::at_most(most, title, timeline, settings.key_period_s);
        if let Some(from_us) = periods.held_from_us() {
            let (title, from_s) = (title.id().as_str(), from_us / 1_000_000);
            tracing::info!(
                title,
                from_s,
                "keys change no more: all sound, or all video, has ended"
            );
        }
        let uses = Protection::uses(title, &periods);
        let keys = provider.keys(&wanted, &uses).await.map_err(Failure::Keys)?;
        let keys: Vec<_> = uses
            .into_iter()
            .zip(keys)
            .map(|(of, key)| LabelKey { of, key_id: key.id, key: key.key, told: key.told })
            .collect();
        let protection = Protection::new(title, scheme, signals(&settings), periods, &keys);
        let protection = protection.map_err(|error| {
            let key = Key::heads(title.id(), title.version()).to_string();
            Failure::SourceDamaged(Cause { part: Part::Heads, key, detail: error.to_string() })
        })?;
        Ok(Arc::new(protection))
    }
}

fn signals(settings: &config::Protection) -> Signals {
    let url = |url: &Option<config::Url>| url.as_ref().map(ToString::to_string);
    let system = |system: &config::System| match system {
        config::System::Widevine => System::Widevine,
        config::System::Playready => System::PlayReady,
        config::System::Fairplay => System::FairPlay,
        config::System::Clearkey => System::ClearKey,
        config::System::Common => System::Common,
    };
    Signals {
        systems: settings.systems.iter().map(system).collect(),
        fairplay_uri: settings.fairplay_uri.to_string(),
        widevine_la_url: url(&settings.widevine_la_url),
        playready_la_url: url(&settings.playready_la_url),
        clearkey_la_url: url(&settings.clearkey_la_url),
        delivers_keys: settings.deliver_keys,
    }
}
