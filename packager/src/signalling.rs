//! A version under one profile's keys: who encrypts each track, and what players are told of it.
//!
//! Manifests and init segments must say the same of a key, so both ask here.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::drm::{self, SystemId};
use crate::encrypt::ContentKey;
use crate::error::Error;
use crate::ids::{KeyId, TrackId};
use crate::label::Label;
use crate::period::{Period, Periods, Suffix};
use crate::protect::{Protector, Scheme};
use crate::title::{Title, Track};

/// A licence system that players may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum System {
    /// Google's.
    Widevine,
    /// Microsoft's.
    PlayReady,
    /// Apple's: HLS and cbcs alone.
    FairPlay,
    /// Keys that this origin hands out in the clear (W3C EME 9.1), to who may have them.
    ClearKey,
    /// Nothing but key ids: players choose the system by what they know themselves.
    Common,
}

/// What an operator chose to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// The systems, in the order in which they are written.
    pub systems: Vec<System>,
    /// The URI of FairPlay's keys; `{kid}`, `{title}` and `{label}` stand for the key's own.
    pub fairplay_uri: String,
    /// Where Widevine's licences are, for an MPD.
    pub widevine_la_url: Option<String>,
    /// Where PlayReady's licences are.
    pub playready_la_url: Option<String>,
    /// Where clear keys are, for an MPD: an absolute URL.
    pub clearkey_la_url: Option<String>,
    /// Whether `clearkey` and `<track>/key` answer, so that HLS may name them.
    pub delivers_keys: bool,
}

/// What a key of a version is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyUse {
    /// The key period, from 0.
    pub period: u32,
    /// Which tracks.
    pub label: Label,
}

/// A key of a version.
#[derive(Clone, Debug)]
pub struct LabelKey {
    /// What it is for.
    pub of: KeyUse,
    /// Its id.
    pub key_id: KeyId,
    /// The key.
    pub key: ContentKey,
    /// What its licence server wants players to be told, in place of what is made here.
    pub told: Told,
}

/// What a licence server says of a key; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Whole pssh boxes of Widevine and PlayReady, each found good by [`drm::pssh_data`].
    pub pssh: Vec<(SystemId, Vec<u8>)>,
    /// FairPlay's URI: visible ASCII without a quotation mark.
    pub fairplay_uri: Option<String>,
}

/// A plausible share of memory of a track's finder; HEVC's with many reference sets is the largest.
const FINDER_BYTES: usize = 8 * 1024;

/// A version under keys.
#[derive(Debug)]
pub struct Protection {
    scheme: Scheme,
    signals: Signals,
    title: String,
    periods: Periods,
    /// What licence servers say of keys, where they say something.
    told: Vec<(KeyId, Told)>,
    /// Of each period, in the order of [`Title::tracks`].
    tracks: Vec<Vec<ProtectedTrack>>,
}

/// A track under its key of a period.
#[derive(Debug)]
pub struct ProtectedTrack {
    id: TrackId,
    /// Which key.
    pub label: Label,
    /// The key itself, for who may be told it.
    pub key: ContentKey,
    /// What encrypts it.
    pub protector: Arc<Protector>,
}

impl Told {
    /// Memory this value pins.
    pub fn resident_bytes(&self) -> usize {
        let boxes = self.pssh.iter().map(|(_, pssh)| pssh.len() + size_of::<(SystemId, Vec<u8>)>());
        let uri = self.fairplay_uri.as_ref().map_or(0, String::len);
        size_of::<Self>() + boxes.sum::<usize>() + uri
    }
}

impl Protection {
    /// Every track of a version under the keys of its label, one for each period.
    ///
    /// # Errors
    ///
    /// A track without a key, or of a kind that cannot be encrypted.
    pub fn new(
        title: &Title,
        scheme: Scheme,
        signals: Signals,
        periods: Periods,
        keys: &[LabelKey],
    ) -> Result<Self, Error> {
        let under = |before: Option<&Protector>, track: &Track, period: &Period| {
            let of = KeyUse { period: period.number(), label: Label::of(track.media()) };
            let found = keys.iter().find(|key| key.of == of);
            let LabelKey { key, key_id, .. } =
                found.ok_or_else(|| Error::invalid("keys", format!("none for {of}")))?;
            let version = title.version();
            let protector = match before {
                // How samples are read is the track's, and made once.
                Some(before) => before.under(key, *key_id, version, track.id()),
                None => Protector::new(scheme, key, *key_id, version, track)
                    .map_err(|e| e.within(track.id().as_str()))?,
            };
            let (id, label, key) = (track.id().clone(), of.label, key.clone());
            Ok(ProtectedTrack { id, label, key, protector: Arc::new(protector) })
        };
        let mut tracks: Vec<Vec<ProtectedTrack>> = Vec::new();
        for period in periods.iter() {
            let first = |at: usize| tracks.first().map(|period| &*period[at].protector);
            let of_period = title.tracks().iter().enumerate();
            let made = of_period.map(|(at, track)| under(first(at), track, period));
            let made = made.collect::<Result<_, Error>>()?;
            tracks.push(made);
        }
        let says = |key: &&LabelKey| key.told != Told::default();
        let told = keys.iter().filter(says).map(|key| (key.key_id, key.told.clone())).collect();
        Ok(Self { scheme, signals, title: title.id().to_string(), periods, told, tracks })
    }

    /// All that a version needs keys for, each once, in order.
    pub fn uses(title: &Title, periods: &Periods) -> Vec<KeyUse> {
        let mut labels: Vec<_> = title.tracks().iter().map(|t| Label::of(t.media())).collect();
        labels.sort_unstable();
        labels.dedup();
        let of = |period: &Period| {
            let period = period.number();
            labels.iter().map(|&label| KeyUse { period, label }).collect::<Vec<_>>()
        };
        periods.iter().flat_map(of).collect()
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What is told of keys.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The periods in which keys change.
    pub fn periods(&self) -> &Periods {
        &self.periods
    }

    /// The track's key and protector for a segment; `track` is one of the version's.
    pub fn of(&self, track: &Track, segment: u32) -> &ProtectedTrack {
        let tracks = &self.tracks[self.periods.index(segment)];
        let found = tracks.iter().find(|protected| protected.id == *track.id());
        found.expect("a track of the version that was protected")
    }

    /// The track's key and protector for the period that a file's name says.
    pub fn named(&self, track: &Track, suffix: Suffix) -> Option<&ProtectedTrack> {
        self.periods.named(suffix).map(|period| self.of(track, period.segments.start))
    }

    /// Every track in every period, the first period's first.
    pub fn tracks(&self) -> impl Iterator<Item = &ProtectedTrack> {
        self.tracks.iter().flatten()
    }

    /// Memory this value pins, for a cache's weigher.
    pub fn resident_bytes(&self) -> usize {
        let told = self.told.iter().map(|(_, told)| told.resident_bytes()).sum::<usize>();
        let tracks = self.tracks.iter().map(Vec::len).sum::<usize>();
        // How samples are read is kept once for each track: parameter sets and what they refer to.
        let finders = self.tracks.first().map_or(0, Vec::len) * FINDER_BYTES;
        let track = size_of::<ProtectedTrack>() + size_of::<Protector>() + 32;
        size_of::<Self>() + told + tracks * track + finders
    }

    /// The tracks of the first so many periods.
    pub(crate) fn tracks_within(&self, periods: usize) -> impl Iterator<Item = &ProtectedTrack> {
        self.tracks.iter().take(periods).flatten()
    }

    /// A track's init segment of a period: sample entry, scheme and key id, and a pssh for each
    /// system. `None` where no period has this name.
    ///
    /// # Errors
    ///
    /// An init that is not of our own form.
    pub fn init(&self, track: &Track, suffix: Suffix) -> Result<Option<Bytes>, Error> {
        let Some(ProtectedTrack { protector, .. }) = self.named(track, suffix) else {
            return Ok(None);
        };
        let boxes: Vec<u8> =
            self.pssh_boxes(protector.key_id()).into_iter().flat_map(|(_, pssh)| pssh).collect();
        protector.init(track, &boxes).map(Some)
    }

    /// The pssh of each system that has one, the same in init segments and in an MPD.
    pub fn pssh_boxes(&self, key_id: KeyId) -> Vec<(System, Vec<u8>)> {
        let has_common = self.signals.systems.contains(&System::Common);
        let of_system = |&system: &System| {
            let pssh = match system {
                System::Widevine | System::PlayReady
                    if self.told(key_id, system.id()).is_some() =>
                {
                    self.told(key_id, system.id())?.to_vec()
                }
                System::Widevine => {
                    let data = drm::widevine_data(&[key_id], b"", self.scheme);
                    drm::pssh(drm::WIDEVINE, None, &data)
                }
                System::PlayReady => {
                    drm::pssh(drm::PLAYREADY, None, &self.playready_object(key_id))
                }
                System::Common => drm::pssh(drm::COMMON, Some(&[key_id]), b""),
                // Browsers know the common system as the one of clear keys.
                System::ClearKey if !has_common => drm::pssh(drm::COMMON, Some(&[key_id]), b""),
                System::ClearKey | System::FairPlay => return None,
            };
            Some((system, pssh))
        };
        self.signals.systems.iter().filter_map(of_system).collect()
    }

    /// The box that a licence server gave for a key.
    fn told(&self, key_id: KeyId, system: SystemId) -> Option<&[u8]> {
        let (_, told) = self.told.iter().find(|(of, _)| *of == key_id)?;
        told.pssh.iter().find(|(of, _)| *of == system).map(|(_, pssh)| pssh.as_slice())
    }

    /// PlayReady's object for one key.
    pub fn playready_object(&self, key_id: KeyId) -> Vec<u8> {
        let told = self.told(key_id, drm::PLAYREADY);
        if let Some(object) = told.and_then(|pssh| drm::pssh_data(drm::PLAYREADY, pssh).ok()) {
            return object.to_vec();
        }
        drm::playready_object(&[key_id], self.signals.playready_la_url.as_deref(), self.scheme)
    }

    /// FairPlay's URI for one key.
    pub fn fairplay_uri(&self, label: Label, key_id: KeyId) -> String {
        let told = self.told.iter().find(|(of, _)| *of == key_id);
        if let Some(uri) = told.and_then(|(_, told)| told.fairplay_uri.as_ref()) {
            return uri.clone();
        }
        self.signals
            .fairplay_uri
            .replace("{kid}", &key_id.to_string())
            .replace("{title}", &self.title)
            .replace("{label}", label.as_str())
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label {}, period {}", self.label, self.period)
    }
}

impl System {
    /// Its UUID in an MPD (DASH-IF's registry of content protection).
    pub fn id(self) -> SystemId {
        match self {
            Self::Widevine => drm::WIDEVINE,
            Self::PlayReady => drm::PLAYREADY,
            Self::FairPlay => drm::FAIRPLAY,
            Self::ClearKey => drm::CLEARKEY,
            Self::Common => drm::COMMON,
        }
    }
}

/// Boxes and objects as manifests carry them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}
