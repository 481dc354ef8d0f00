//! What is stored of a title, for people and programs.

use std::collections::{BTreeMap, BTreeSet};

use headwater_packager::heads::Media;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored;
use headwater_packager::title::{Title, Track};
use serde_json::{Value, json};

use crate::audit;
use crate::error::{Error, Kind};
use crate::publish;
use crate::store::Store;

/// A title as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// The title.
    pub title: TitleId,
    /// The version that unversioned URLs lead to.
    pub live: Option<VersionId>,
    /// Whether it was deleted: no viewer finds it, and its versions go after their grace.
    pub is_deleted: bool,
    /// Why the pointer that would say so cannot be read.
    pub pointer_damage: Option<Error>,
    /// Every version, the oldest first; `Err` says why its heads cannot be opened.
    pub versions: Vec<(VersionId, Result<Title, Error>)>,
    /// Texts, by version: WebVTT that is kept with it.
    pub texts: BTreeMap<VersionId, Vec<String>>,
}

/// Looks at every version of a title.
pub async fn inspect(store: &dyn Store, title: &TitleId) -> Result<Stored, Error> {
    let (pointer, pointer_damage) = match publish::pointer(store, title).await {
        Ok(pointer) => (pointer, None),
        // What is needed to mend it is found here.
        Err(e) if e.kind() == Kind::StoredDamage => (None, Some(e)),
        Err(e) => return Err(e),
    };
    let prefix = stored::title_prefix(title);
    let mut texts: BTreeMap<VersionId, Vec<String>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for entry in store.list(&prefix).await? {
        let Some(name) = entry.key.strip_prefix(&prefix) else { continue };
        let (version, object) = name.split_once('/').unwrap_or((name, ""));
        let Ok(version) = version.parse() else { continue };
        ids.insert(version);
        if object.starts_with("t-") && object.ends_with(".vtt") {
            texts.entry(version).or_default().push(object.to_owned());
        }
    }
    let mut versions = Vec::new();
    for version in ids {
        let opened = audit::open(store, title, version).await.and_then(|opened| {
            opened.ok_or_else(|| Error::new(Kind::NotFound, "not finished: it has no heads"))
        });
        versions.push((version, opened));
    }
    if pointer.is_none() && pointer_damage.is_none() && versions.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("there is no title {title} in the store")));
    }
    let is_deleted = pointer.as_ref().is_some_and(|pointer| pointer.deleted);
    let live = pointer.and_then(|pointer| pointer.live);
    Ok(Stored { title: title.clone(), live, is_deleted, pointer_damage, versions, texts })
}

impl Stored {
    /// For people.
    pub fn to_text(&self) -> String {
        let deleted = if self.is_deleted { ", deleted" } else { "" };
        let mut text = format!("title {}{deleted}\n", self.title);
        if let Some(damage) = &self.pointer_damage {
            text += &format!("damaged: {damage}\n");
        }
        for (version, opened) in &self.versions {
            let live = match &self.pointer_damage {
                Some(_) => "?",
                None if self.live == Some(*version) => "live",
                None => "old",
            };
            text += &format!("\n{live:5}{version}  made {}\n", made_at(*version));
            match opened {
                Ok(title) => text += &version_text(title),
                Err(why) => text += &format!("     {why}\n"),
            }
            for name in self.texts.get(version).into_iter().flatten() {
                text += &format!("     {name}\n");
            }
        }
        text
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let versions: Vec<Value> = self
            .versions
            .iter()
            .map(|(version, opened)| {
                let mut value = match opened {
                    Ok(title) => version_json(title),
                    Err(why) => json!({"error": why.to_string()}),
                };
                value["version"] = json!(version);
                value["live"] = json!(self.live == Some(*version));
                value["made"] = json!(made_at(*version));
                value["texts"] = json!(self.texts.get(version).map_or(&[][..], Vec::as_slice));
                value
            })
            .collect();
        let damage = self.pointer_damage.as_ref().map(Error::to_string);
        json!({
            "title": self.title, "live": self.live, "deleted": self.is_deleted,
            "pointer_error": damage, "versions": versions,
        })
    }
}

fn version_text(title: &Title) -> String {
    let mut text = format!(
        "     {} in {} tracks, {}\n",
        length(title.duration_ms()),
        title.tracks().len(),
        size(audit::media_bytes(title)),
    );
    for track in title.tracks() {
        text += &format!(
            "     {:8} {:12} {:22} {:>5} fragments {:>10}  {} kbit/s, at most {}\n",
            track.id(),
            track.codecs(),
            shape(track),
            track.fragments(),
            size(track_bytes(track)),
            average_kbps(track),
            peak_kbps(track),
        );
    }
    text
}

fn version_json(title: &Title) -> Value {
    let tracks: Vec<Value> = title
        .tracks()
        .iter()
        .map(|track| {
            let mut value = json!({
                "track": track.id(),
                "codecs": track.codecs(),
                "fragments": track.fragments(),
                "bytes": track_bytes(track),
                "average_kbps": average_kbps(track),
                "peak_kbps": peak_kbps(track),
                "duration_ticks": track.duration_ticks(),
                "timescale": track.timescale(),
            });
            match track.media() {
                Media::Video { width, height, frame_rate: (num, den) } => {
                    value["width"] = json!(width);
                    value["height"] = json!(height);
                    value["frame_rate"] = json!(format!("{num}/{den}"));
                }
                Media::Audio { sample_rate, channels } => {
                    value["sample_rate"] = json!(sample_rate);
                    value["channels"] = json!(channels);
                    value["language"] = json!(track.language());
                }
            }
            value
        })
        .collect();
    json!({
        "duration_ms": title.duration_ms(),
        "bytes": audit::media_bytes(title),
        "tracks": tracks,
    })
}

fn shape(track: &Track) -> String {
    match track.media() {
        Media::Video { width, height, frame_rate: (num, 1) } => {
            format!("{width}x{height} {num} fps")
        }
        Media::Video { width, height, frame_rate: (num, den) } => {
            format!("{width}x{height} {num}/{den} fps")
        }
        Media::Audio { sample_rate, channels } => {
            let language = track.language().unwrap_or("und");
            format!("{sample_rate} Hz {channels} ch {language}")
        }
    }
}

fn track_bytes(track: &Track) -> u64 {
    track.objects().iter().map(|object| object.len_bytes).sum()
}

fn average_kbps(track: &Track) -> u64 {
    let whole = track.position(track.fragments());
    kbps(whole.bytes, whole.ticks, track.timescale())
}

/// Of the busiest fragment.
fn peak_kbps(track: &Track) -> u64 {
    let rates = track
        .rows(0..track.fragments())
        .map(|row| kbps(row.size_bytes.into(), row.duration_ticks.into(), track.timescale()));
    rates.max().unwrap_or(0)
}

fn kbps(bytes: u64, ticks: u64, timescale: u32) -> u64 {
    let bits = u128::from(bytes) * 8 * u128::from(timescale);
    u64::try_from(bits / (u128::from(ticks.max(1)) * 1000)).unwrap_or(u64::MAX)
}

fn length(ms: u64) -> String {
    format!("{}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// When a version's encoding started, in UTC: the first 48 bits of a UUIDv7 are Unix time in
/// milliseconds (RFC 9562 5.7).
fn made_at(version: VersionId) -> String {
    let seconds = u64::try_from(version.as_u128() >> 80).expect("48 bits fit") / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second / 60 % 60)
}

/// Year, month and day of a day counted from 1970-01-01 (Gregorian).
fn civil(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let table = [
            (0, "1970-01-01 00:00 UTC"),
            (1_709_164_800_000, "2024-02-29 00:00 UTC"),
            (1_735_689_599_000, "2024-12-31 23:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00 UTC"),
        ];
        for (ms, wanted) in table {
            assert_eq!(made_at(VersionId::from_u128(ms << 80 | 7)), wanted);
        }
    }

    #[test]
    fn rates_and_sizes() {
        assert_eq!(kbps(1_500_000, 48_000, 24_000), 6000);
        assert_eq!(size(9_999), "9999 B");
        assert_eq!(size(12_345_678), "12 MB");
        assert_eq!(length(3_723_004), "1:02:03.004");
    }
}
