//! Keys that stand in a file: JSON, read at a start and again at a reload.
//!
//! ```text
//! {"keys": [
//!   {"title": "film", "label": "SD", "kid": "<UUID or 32 hex digits>", "key": "<32 hex digits>"},
//!   {"title": "show-*", "label": ["HD", "UHD1"], "period": 0, "kid": "...", "key": "..."}
//! ]}
//! ```
//! An exact title goes before the beginning of one, and a longer beginning before a shorter one. An
//! entry without `label` is for all of them, one without `period` for all periods; the more exact
//! one is taken.

use std::collections::HashMap;

use async_trait::async_trait;
use headwater_config::{Name, SecretSource, TitleRule};
use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::{KeyId, TitleId};
use headwater_packager::label::Label;
use headwater_packager::signalling::{KeyUse, Told};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KeyError, Kind, NotReady, Provider, TrackKey, Wanted};
use crate::access::key::secret_bytes;
use crate::access::secret;
use crate::limits;

/// The keys of a file.
pub struct StaticFile {
    name: Name,
    keys: Keys,
}

impl StaticFile {
    /// Reads the file.
    pub fn open(name: &Name, source: &SecretSource) -> Result<Self, NotReady> {
        let not_ready = |detail: String| NotReady {
            key: format!("keys.{name}.file"),
            detail: format!("{source}: {detail}"),
        };
        let text = secret::read_up_to(source, limits::KEY_FILE_BYTES)
            .map_err(|error| not_ready(error.detail))?;
        Ok(Self { name: name.clone(), keys: Keys::parse(&text).map_err(not_ready)? })
    }
}

#[async_trait]
impl Provider for StaticFile {
    async fn keys(&self, wanted: &Wanted<'_>, uses: &[KeyUse]) -> Result<Vec<TrackKey>, KeyError> {
        let missing =
            |detail| KeyError { kind: Kind::Missing, provider: self.name.clone(), detail };
        if wanted.session.is_some() {
            return Err(missing("a file has no keys for single sessions".to_owned()));
        }
        let title = wanted.title;
        let find = |of: &KeyUse| {
            self.keys
                .find(title, *of)
                .ok_or_else(|| missing(format!("the file has no key of title {title}, {of}")))
        };
        uses.iter().map(find).collect()
    }

    fn has_one_identity(&self) -> bool {
        false
    }

    /// A key for another title changes nothing for this one.
    fn identity(&self, domain: &str, title: &TitleId) -> [u8; 16] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(b"headwater static keys");
        part(domain.as_bytes());
        // Which rule an entry stands in decides which key is found first.
        for rule in self.keys.of(title) {
            let mut entries: Vec<_> = rule.iter().collect();
            part(&(entries.len() as u64).to_be_bytes());
            // Two entries of a rule for the same are refused, so their order in it tells nothing.
            entries.sort_unstable_by_key(|e| (e.key.id.0, e.period, e.labels.clone()));
            for entry in entries {
                let labels = entry.labels.as_ref().map(|labels| {
                    let mut labels: Vec<_> = labels.iter().map(|label| label.as_str()).collect();
                    labels.sort_unstable();
                    labels.join(",")
                });
                part(labels.unwrap_or_default().as_bytes());
                part(entry.period.map(|p| p.to_string()).unwrap_or_default().as_bytes());
                part(&entry.key.id.0);
                part(entry.key.key.expose());
            }
        }
        let sum = hash.finalize();
        std::array::from_fn(|at| sum[at])
    }
}

/// Keys by what they are for.
#[derive(Default)]
struct Keys {
    exact: HashMap<String, Vec<Entry>>,
    prefixes: HashMap<String, Vec<Entry>>,
}

struct Entry {
    /// Counting from 1, as a person does.
    number: usize,
    /// None: all.
    labels: Option<Vec<Label>>,
    /// None: all.
    period: Option<u32>,
    key: TrackKey,
}

/// As it is written. Texts are borrowed from the file, so that no copy of a key stays behind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    keys: Vec<Written<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    title: &'a str,
    #[serde(borrow, default)]
    label: Option<OneOrMore<'a>>,
    period: Option<u32>,
    kid: &'a str,
    key: &'a str,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<'a> {
    #[serde(borrow)]
    One(&'a str),
    #[serde(borrow)]
    More(Vec<&'a str>),
}

impl Keys {
    fn parse(text: &[u8]) -> Result<Self, String> {
        // The parser's own words may repeat a key, so only the place is said.
        let file: File<'_> = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!(
                "line {line}, column {column}: not what a file of keys looks like; docs/keys.md has its format"
            )
        })?;
        if file.keys.len() > limits::KEY_FILE_ENTRIES {
            return Err(format!("more than {} entries", limits::KEY_FILE_ENTRIES));
        }
        let mut keys = Self::default();
        let mut by_id: HashMap<KeyId, (usize, ContentKey)> = HashMap::new();
        for (number, written) in (1..).zip(&file.keys) {
            let (rule, entry) = Entry::read(number, written)
                .map_err(|why| format!("entry {number} (title {:.140?}): {why}", written.title))?;
            let (first, key) =
                by_id.entry(entry.key.id).or_insert_with(|| (number, entry.key.key.clone()));
            if *key != entry.key.key {
                return Err(format!(
                    "entries {first} and {number} give the kid {} two different keys",
                    entry.key.id
                ));
            }
            keys.add(rule, entry)?;
        }
        Ok(keys)
    }

    fn add(&mut self, rule: TitleRule, entry: Entry) -> Result<(), String> {
        let entries = match rule {
            TitleRule::Exact(id) => self.exact.entry(id).or_default(),
            TitleRule::Prefix(stem) => self.prefixes.entry(stem).or_default(),
        };
        if let Some(other) = entries.iter().find(|other| other.is_for_the_same(&entry)) {
            return Err(format!(
                "entries {} and {} are for the same title, label and period; remove one",
                other.number, entry.number
            ));
        }
        entries.push(entry);
        Ok(())
    }

    /// The entries that may be of a title, the most exact rule's first.
    fn of<'a>(&'a self, title: &'a TitleId) -> impl Iterator<Item = &'a Vec<Entry>> {
        let title = title.as_str();
        let prefixes = (0..=title.len()).rev().filter_map(|end| self.prefixes.get(&title[..end]));
        self.exact.get(title).into_iter().chain(prefixes)
    }

    fn find(&self, title: &TitleId, of: KeyUse) -> Option<TrackKey> {
        let found = self.of(title).find_map(|entries| {
            let fits = entries.iter().filter(|entry| entry.is_for(of));
            fits.max_by_key(|entry| (entry.labels.is_some(), entry.period.is_some()))
        })?;
        Some(found.key.clone())
    }
}

impl Entry {
    fn read(number: usize, written: &Written<'_>) -> Result<(TitleRule, Self), String> {
        let Written { title, label, period, kid, key } = written;
        let rule: TitleRule = title.parse()?;
        let words = match label {
            None => None,
            Some(OneOrMore::One(word)) => Some(std::slice::from_ref(word)),
            Some(OneOrMore::More(words)) => Some(words.as_slice()),
        };
        let labels: Option<Vec<Label>> = words
            .map(|words| words.iter().map(|word| word.parse()).collect::<Result<_, _>>())
            .transpose()
            .map_err(|_| {
                "label: expected AUDIO, SD, HD, UHD1, UHD2 or a list of them".to_owned()
            })?;
        if labels.as_ref().is_some_and(Vec::is_empty) {
            return Err("label: an empty list is for nothing; leave it out for all".to_owned());
        }
        let id: KeyId =
            kid.parse().map_err(|_| "kid: expected a UUID or 32 hex digits".to_owned())?;
        let bytes: Option<Zeroizing<[u8; 16]>> = secret_bytes(key.as_bytes())
            .and_then(|bytes| bytes.as_slice().try_into().ok().map(Zeroizing::new));
        let bytes = bytes.ok_or_else(|| "key: expected 32 hex digits".to_owned())?;
        let key = TrackKey { id, key: ContentKey::new(*bytes), told: Told::default() };
        Ok((rule, Self { number, labels, period: *period, key }))
    }

    fn is_for(&self, KeyUse { period, label }: KeyUse) -> bool {
        self.labels.as_ref().is_none_or(|labels| labels.contains(&label))
            && self.period.is_none_or(|only| only == period)
    }

    /// Whether some label and period would find both, and neither is the more exact one.
    fn is_for_the_same(&self, other: &Self) -> bool {
        let labels = match (&self.labels, &other.labels) {
            (None, None) => true,
            (Some(one), Some(two)) => one.iter().any(|label| two.contains(label)),
            _ => false,
        };
        labels && self.period == other.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_config::Scheme;
    use headwater_packager::ids::VersionId;

    fn entry(title: &str, rest: &str, number: u8) -> String {
        format!(
            "{{\"title\": \"{title}\", {rest} \"kid\": \"{}\", \"key\": \"{}\"}}",
            format!("{number:02x}").repeat(16),
            format!("{:02X}", number + 0x80).repeat(16)
        )
    }

    fn file(entries: &[String]) -> String {
        format!("{{\"keys\": [{}]}}", entries.join(",\n"))
    }

    fn parse(entries: &[String]) -> Keys {
        Keys::parse(file(entries).as_bytes()).unwrap_or_else(|why| panic!("{why}"))
    }

    fn said(text: &str) -> String {
        match Keys::parse(text.as_bytes()) {
            Ok(_) => panic!("{text} is good"),
            Err(why) => why,
        }
    }

    fn number(keys: &Keys, title: &str, label: Label, period: u32) -> Option<u8> {
        let key = keys.find(&title.parse().unwrap(), KeyUse { period, label })?;
        assert_eq!(key.key.expose(), &[key.id.0[0] + 0x80; 16]);
        Some(key.id.0[0])
    }

    #[test]
    fn the_most_exact_entry_is_taken() {
        let keys = parse(&[
            entry("*", "", 1),
            entry("show-*", "\"label\": \"HD\",", 2),
            entry("show-2*", "\"label\": [\"HD\", \"UHD1\"], \"period\": 3,", 3),
            entry("show-2", "\"period\": 0,", 4),
            entry("show-2", "\"label\": \"AUDIO\",", 5),
        ]);
        // name, title, label, period, entry
        let table = [
            ("everything else", "film", Label::Hd, 0, 1),
            ("a beginning", "show-1", Label::Hd, 9, 2),
            ("a beginning, of another label", "show-1", Label::Sd, 9, 1),
            ("a longer beginning", "show-21", Label::Uhd1, 3, 3),
            ("a longer beginning, of another period", "show-21", Label::Hd, 2, 2),
            ("the title", "show-2", Label::Hd, 0, 4),
            ("the title, but its period", "show-2", Label::Hd, 3, 3),
            ("a label goes before a period", "show-2", Label::Audio, 0, 5),
        ];
        for (name, title, label, period, wanted) in table {
            assert_eq!(number(&keys, title, label, period), Some(wanted), "{name}");
        }
        let few = parse(&[entry("film", "\"label\": \"SD\",", 1)]);
        assert_eq!(number(&few, "film", Label::Hd, 0), None);
        assert_eq!(number(&few, "film2", Label::Sd, 0), None);
    }

    #[test]
    fn a_wrong_entry_is_named_and_its_key_is_not() {
        let good = entry("film", "", 1);
        let of = |rest: &str| file(&[good.clone(), rest.to_owned()]);
        let kid = "00112233-4455-6677-8899-aabbccddeeff";
        let cases = [
            (of(&entry("a/b", "", 2)), "entry 2 (title \"a/b\"): `a/b` is no title rule"),
            (of(&entry("x", "\"label\": \"hd\",", 2)), "entry 2 (title \"x\"): label: expected"),
            (of(&entry("x", "\"label\": [],", 2)), "entry 2 (title \"x\"): label: an empty list"),
            (
                of("{\"title\": \"x\", \"kid\": \"12\", \"key\": \"feedface\"}"),
                "entry 2 (title \"x\"): kid: expected a UUID",
            ),
            (
                of(&format!("{{\"title\": \"x\", \"kid\": \"{kid}\", \"key\": \"feedface\"}}")),
                "entry 2 (title \"x\"): key: expected 32 hex digits",
            ),
            (
                of(&format!("{{\"title\": \"x\", \"kid\": \"{kid}\", \"kye\": \"feedface\"}}")),
                "line 2, column",
            ),
            (
                of(&format!("{{\"title\": \"x\", \"period\": \"feedface\", \"kid\": \"{kid}\"}}")),
                "line 2, column",
            ),
            (of(&entry("film", "", 2)), "entries 1 and 2 are for the same title"),
            (
                of(&entry("x", "", 1).replace(&"81".repeat(16), &"feedface".repeat(4))),
                "entries 1 and 2 give the kid 01010101-",
            ),
            ("feedface".to_owned(), "line 1, column"),
        ];
        for (text, wanted) in cases {
            let said = said(&text);
            assert!(said.starts_with(wanted) && !said.contains("feedface"), "{wanted}: {said}");
        }
        assert!(Keys::parse(file(&[good.clone(), entry("x", "", 1)]).as_bytes()).is_ok());
    }

    fn provider(entries: &[String]) -> StaticFile {
        StaticFile { name: "main".parse().unwrap(), keys: parse(entries) }
    }

    #[test]
    fn the_identity_is_of_the_titles_own_keys() {
        let film = "film".parse().unwrap();
        let of = |entries: &[String]| provider(entries).identity("vip", &film);
        let base = of(&[entry("film", "", 1)]);
        assert_eq!(base, of(&[entry("film", "", 1), entry("other", "", 2)]), "another title");
        assert_eq!(base, of(&[entry("film", "", 1), entry("film2*", "", 2)]), "others' beginning");
        assert_ne!(base, of(&[entry("film", "", 2)]), "another key");
        assert_ne!(base, of(&[entry("film", "\"period\": 0,", 1)]), "another period");
        assert_ne!(base, of(&[entry("film", "\"label\": \"SD\",", 1)]), "another label");
        assert_ne!(base, of(&[entry("film", "", 1), entry("fi*", "", 2)]), "its own beginning");
        assert_ne!(base, provider(&[entry("film", "", 1)]).identity("vi", &film), "another domain");
        let (all, sd_of_all) = (|n| entry("fi*", "", n), |n| entry("fi*", "\"label\": \"SD\",", n));
        let exact = |n| entry("film", "", n);
        assert_ne!(of(&[exact(1), all(2)]), of(&[exact(2), all(1)]), "each other's keys");
        let sd = entry("film", "\"label\": \"SD\",", 2);
        assert_ne!(of(&[exact(1), sd_of_all(2)]), of(&[exact(1), sd]), "another rule");
        let [sd, hd] = [("SD", 1), ("HD", 2)]
            .map(|(label, n)| entry("film", &format!("\"label\": \"{label}\","), n));
        assert_eq!(of(&[sd.clone(), hd.clone()]), of(&[hd, sd]), "another order");
        let labels = |labels: &str| of(&[entry("film", &format!("\"label\": [{labels}],"), 1)]);
        assert_eq!(labels("\"SD\", \"HD\""), labels("\"HD\", \"SD\""), "labels in another order");
    }

    #[tokio::test]
    async fn keys_in_the_order_of_labels_or_whose_are_missing() {
        let some = provider(&[
            entry("film", "\"label\": \"SD\",", 1),
            entry("film", "\"label\": \"AUDIO\",", 2),
        ]);
        let title = "film".parse().unwrap();
        let wanted = Wanted {
            domain: "vip",
            scheme: Scheme::Cenc,
            systems: &[],
            title: &title,
            version: VersionId::from_u128(7),
            session: None,
        };
        let of = |label| KeyUse { period: 0, label };
        let keys = some.keys(&wanted, &[of(Label::Audio), of(Label::Sd)]).await.unwrap();
        assert_eq!(keys.iter().map(|key| key.id.0[0]).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(
            format!("{:?}", keys[1]),
            "TrackKey { id: 01010101-0101-0101-0101-010101010101, key: ContentKey(..), told: Told { pssh: [], fairplay_uri: None } }"
        );
        let error = some.keys(&wanted, &[of(Label::Hd)]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Missing);
        assert_eq!(
            error.to_string(),
            "keys.main: the file has no key of title film, label HD, period 0"
        );
        let session = Wanted { session: Some("s"), ..wanted };
        assert!(some.keys(&session, &[of(Label::Sd)]).await.is_err());
    }
}
