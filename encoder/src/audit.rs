//! Reads every byte of a stored version and compares it with its heads: before a version goes
//! live, and whenever `verify` asks.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::plan::{self, Damage, SourceRange};
use headwater_packager::stored;
use headwater_packager::title::{Title, Track};
use headwater_packager::{heads::ObjectHead, limits as packager_limits};
use serde::Deserialize;

use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::facts;
use crate::limits;
use crate::remux;
use crate::store::Store;

/// Opens the heads of a version; `None` when there are none. Heads that lie are an error.
pub async fn open(
    store: &dyn Store,
    title: &TitleId,
    version: VersionId,
) -> Result<Option<Title>, Error> {
    let key = stored::heads_key(title, version);
    let Some(bytes) = store.small(&key, packager_limits::HEADS_BYTES).await? else {
        return Ok(None);
    };
    let damaged = |what: String| Error::new(Kind::StoredDamage, format!("{key}: {what}"));
    let opened = Title::open(&bytes).map_err(|e| damaged(e.to_string()))?;
    if opened.id() != title || opened.version() != version {
        return Err(damaged(format!("holds heads of {} {}", opened.id(), opened.version())));
    }
    Ok(Some(opened))
}

/// Everything that is wrong with the objects of an opened version; `on_bytes` is told how many
/// bytes were read.
pub async fn audit(
    store: &dyn Store,
    title: &Title,
    cancel: &Cancel,
    on_bytes: &mut (dyn FnMut(u64) + Send),
) -> Result<Vec<Damage>, Error> {
    let prefix = stored::version_prefix(title.id(), title.version());
    let listed = store.list(&prefix).await?;
    let sizes: BTreeMap<String, u64> =
        listed.into_iter().map(|entry| (entry.key, entry.len_bytes)).collect();
    let mut damages = Vec::new();
    for track in title.tracks() {
        for (index, object) in track.objects().iter().enumerate() {
            let key = stored::object_key(title.id(), title.version(), &object.name);
            match sizes.get(&key) {
                Some(&len) if len == object.len_bytes => {
                    let audit = Audit { store, track, index, object, key: &key, cancel };
                    audit.head(&mut damages, on_bytes).await?;
                    audit.fragments(&mut damages, on_bytes).await?;
                }
                Some(&len) => damages.push(damage(
                    object,
                    len.min(object.len_bytes),
                    format!("expected {} bytes, the object has {len}", object.len_bytes),
                )),
                None => damages.push(damage(object, 0, "the object is missing".to_owned())),
            }
        }
    }
    Ok(damages)
}

/// Everything that is wrong with the texts of a version, by the sums in its `facts.json`.
pub async fn texts(
    store: &dyn Store,
    title: &TitleId,
    version: VersionId,
) -> Result<Vec<Damage>, Error> {
    let damage =
        |object: &str, detail: String| Damage { object: object.to_owned(), offset: 0, detail };
    let key = stored::object_key(title, version, facts::NAME);
    let facts = match store.small(&key, facts::MAX_BYTES).await? {
        None => return Ok(vec![damage(facts::NAME, "the object is missing".to_owned())]),
        Some(bytes) => serde_json::from_slice::<FactsOfTexts>(&bytes),
    };
    let texts = match facts {
        Err(e) => return Ok(vec![damage(facts::NAME, e.to_string())]),
        Ok(facts) => facts.recipe.texts,
    };
    let mut damages = Vec::new();
    for Sum { name, crc32c: expected } in texts {
        let key = stored::object_key(title, version, &name);
        match store.small(&key, WEBVTT_BYTES).await? {
            None => damages.push(damage(&name, "the object is missing".to_owned())),
            Some(bytes) => {
                let got = crc32c::crc32c(&bytes);
                if got != expected {
                    let detail = format!("expected CRC-32C {expected:08x}, got {got:08x}");
                    damages.push(damage(&name, detail));
                }
            }
        }
    }
    Ok(damages)
}

/// Written anew with whole times and line ends, a text grows: cues of one letter by less than this.
const WEBVTT_BYTES: usize = 8 * (16 << 20);

/// What `facts.json` says of texts; of an import nothing.
#[derive(Deserialize)]
struct FactsOfTexts {
    #[serde(default)]
    recipe: RecipeOfTexts,
}

#[derive(Default, Deserialize)]
struct RecipeOfTexts {
    #[serde(default)]
    texts: Vec<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    name: String,
    crc32c: u32,
}

/// Bytes of all track objects of a version.
pub fn media_bytes(title: &Title) -> u64 {
    title.tracks().iter().flat_map(Track::objects).map(|object| object.len_bytes).sum()
}

/// One object under audit.
struct Audit<'a> {
    store: &'a dyn Store,
    track: &'a Track,
    index: usize,
    object: &'a ObjectHead,
    key: &'a str,
    cancel: &'a Cancel,
}

impl Audit<'_> {
    /// ftyp, moov and sidx, which heads hold or make.
    async fn head(
        &self,
        damages: &mut Vec<Damage>,
        on_bytes: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Error> {
        let rows = self.track.rows(self.track.object_fragments(self.index));
        let mut expected = self.track.init().to_vec();
        expected.extend(remux::index(self.track.timescale(), rows)?);
        let got = self.store.read(self.key, 0..self.object.media_offset_bytes).await?;
        on_bytes(self.object.media_offset_bytes);
        let differs = expected.iter().zip(&got).position(|(a, b)| a != b);
        let shorter = expected.len().min(got.len());
        let differs = differs.or((expected.len() != got.len()).then_some(shorter));
        if let Some(at) = differs {
            let at = u64::try_from(at).expect("a position fits");
            damages.push(damage(self.object, at, "ftyp, moov or sidx differ".to_owned()));
        }
        Ok(())
    }

    /// Every fragment, several with one read.
    async fn fragments(
        &self,
        damages: &mut Vec<Damage>,
        on_bytes: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Error> {
        let held = self.track.object_fragments(self.index);
        let base = self.track.position(held.start).bytes;
        let at = |i| self.object.media_offset_bytes + self.track.position(i).bytes - base;
        let mut from = held.start;
        while from < held.end {
            self.cancel.check()?;
            let mut to = from + 1;
            while to < held.end && at(to + 1) - at(from) <= limits::READ_BYTES {
                to += 1;
            }
            let bytes = self.store.read(self.key, at(from)..at(to)).await?;
            for i in from..to {
                let read = SourceRange {
                    object: self.index,
                    bytes: at(i)..at(i + 1),
                    fragments: i..i + 1,
                };
                let these = part(&bytes, at(i) - at(from), at(i + 1) - at(from));
                if let Err(damage) = plan::verify(self.track, &read, &these) {
                    damages.push(damage);
                }
            }
            on_bytes(at(to) - at(from));
            from = to;
        }
        Ok(())
    }
}

/// Bytes `from..to`, fewer where they end.
fn part(bytes: &Bytes, from: u64, to: u64) -> Bytes {
    let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(clamp(from)..clamp(to))
}

fn damage(object: &ObjectHead, offset: u64, detail: String) -> Damage {
    Damage { object: object.name.clone(), offset, detail }
}
