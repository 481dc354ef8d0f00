//! The keys that exist, what they take, and the comparison of a table with them.
//!
//! The known keys are those of the default configuration written as TOML, so a new field of a
//! type is a new key at once. What a text may say is left to the types themselves.

use toml::{Table, Value};

use crate::Config;
use crate::error::Problem;
use crate::limits::{LENGTHS, MAX_LIST, RANGES};

/// Likeness from which a known key is offered in place of an unknown one (1 is the same word).
const LIKE: f64 = 0.7;
/// The tables whose keys are the operator's own words.
const NAMED: &[&str] = &["profiles", "keys", "encoder.recipes"];

/// A place in the tree of settings: as written, and with names and indices left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyPath {
    /// `profiles.vip.titles[2]`
    pub(crate) exact: String,
    /// `profiles.*.titles[]`
    pattern: String,
}

impl KeyPath {
    pub(crate) fn key(&self, key: &str) -> Self {
        let named = if is_named(&self.pattern) { "*" } else { key };
        Self { exact: join(&self.exact, key), pattern: join(&self.pattern, named) }
    }

    pub(crate) fn entry(&self, index: usize) -> Self {
        Self { exact: format!("{}[{index}]", self.exact), pattern: format!("{}[]", self.pattern) }
    }
}

/// The known keys with their defaults.
pub(crate) struct Schema {
    known: Value,
}

impl Schema {
    pub(crate) fn new() -> Self {
        let table = Table::try_from(Config::every_key()).expect("the types are plain TOML");
        Self { known: Value::Table(table) }
    }

    /// The default of the key at a path, if there is such a key.
    pub(crate) fn known(&self, path: &[String]) -> Option<&Value> {
        let mut at = KeyPath::default();
        path.iter().try_fold(&self.known, |known, key| {
            let below = child(&at, known.as_table()?, key);
            at = at.key(key);
            below
        })
    }

    /// The first key of `table` that is unknown, of the wrong kind or out of range.
    pub(crate) fn check(&self, table: &Table) -> Result<(), (KeyPath, Problem)> {
        let root = KeyPath::default();
        self.check_table(&root, table, self.known.as_table().expect("made from a table"))
    }

    fn check_table(
        &self,
        at: &KeyPath,
        found: &Table,
        known: &Table,
    ) -> Result<(), (KeyPath, Problem)> {
        if is_named(&at.pattern) && found.len() > MAX_LIST {
            return Err((
                at.clone(),
                Problem::WrongLength { got: found.len(), low: 0, high: MAX_LIST },
            ));
        }
        for (key, value) in found {
            let here = at.key(key);
            match child(at, known, key) {
                Some(known) => self.check_value(&here, value, known)?,
                None => {
                    let nearest = self.nearest(&here, key, known);
                    return Err((here, Problem::UnknownKey { nearest }));
                }
            }
        }
        Ok(())
    }

    fn check_value(
        &self,
        at: &KeyPath,
        found: &Value,
        known: &Value,
    ) -> Result<(), (KeyPath, Problem)> {
        match (found, known) {
            (Value::Table(found), Value::Table(known)) => self.check_table(at, found, known),
            (Value::Array(found), Value::Array(known)) => {
                check_length(at, found.len())?;
                // Entries of a list are alike; those of a list that is empty by default are
                // checked by their types.
                let Some(known) = known.first() else { return Ok(()) };
                (found.iter().enumerate())
                    .try_for_each(|(i, value)| self.check_value(&at.entry(i), value, known))
            }
            (Value::Integer(number), Value::Integer(_)) => check_number(at, *number),
            (found, known) if found.same_type(known) => Ok(()),
            (found, known) => {
                let (expected, got) = (kind(known), kind(found));
                Err((at.clone(), Problem::WrongType { expected, got }))
            }
        }
    }

    /// What was probably meant: a like key in the same table, the same key in another one, best
    /// below this one, or a key whose whole path is alike (`origin_listen` for `origin.listen`).
    fn nearest(&self, at: &KeyPath, key: &str, siblings: &Table) -> Option<String> {
        if let Some(sibling) = most_like(key, siblings.keys()) {
            return Some(sibling.clone());
        }
        let mut all = Vec::new();
        paths(&KeyPath::default(), &self.known, &mut all);
        let namesakes = all.iter().filter(|path| path.rsplit('.').next() == Some(key));
        let table = at.pattern.strip_suffix(key).unwrap_or_default();
        let elsewhere = namesakes.min_by_key(|path| !path.starts_with(table));
        elsewhere.or_else(|| most_like(&at.pattern, all.iter())).cloned()
    }
}

/// Each key's path pattern, tables included.
pub(crate) fn paths(at: &KeyPath, known: &Value, all: &mut Vec<String>) {
    if !at.pattern.is_empty() {
        all.push(at.pattern.clone());
    }
    match known {
        Value::Table(table) => {
            for (key, below) in table {
                paths(&at.key(key), below, all);
            }
        }
        Value::Array(array) => {
            if let Some(table @ Value::Table(_)) = array.first() {
                paths(&at.entry(0), table, all);
            }
        }
        _ => {}
    }
}

fn is_named(pattern: &str) -> bool {
    NAMED.contains(&pattern)
}

fn child<'a>(at: &KeyPath, known: &'a Table, key: &str) -> Option<&'a Value> {
    if is_named(&at.pattern) { known.values().next() } else { known.get(key) }
}

fn check_length(at: &KeyPath, got: usize) -> Result<(), (KeyPath, Problem)> {
    let found = LENGTHS.iter().find(|(pattern, _)| *pattern == at.pattern);
    let (low, high) = found.map_or((0, MAX_LIST), |(_, range)| (*range.start(), *range.end()));
    if (low..=high).contains(&got) {
        Ok(())
    } else {
        Err((at.clone(), Problem::WrongLength { got, low, high }))
    }
}

fn check_number(at: &KeyPath, got: i64) -> Result<(), (KeyPath, Problem)> {
    let found = RANGES.iter().find(|(pattern, _)| *pattern == at.pattern);
    let (_, range) = found.expect("every number has a range: a test holds that");
    if range.contains(&got) {
        Ok(())
    } else {
        let (low, high) = (*range.start(), *range.end());
        Err((at.clone(), Problem::OutOfRange { got, low, high }))
    }
}

fn most_like<'a>(word: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text (\"...\")",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list ([\"...\", \"...\"])",
        Value::Table(_) => "a table of keys",
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const EXAMPLE: &str = include_str!("../headwater.example.toml");

    /// The example with every setting switched on.
    fn opened() -> String {
        let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn patterns(value: &Value) -> BTreeSet<String> {
        let mut all = Vec::new();
        paths(&KeyPath::default(), value, &mut all);
        all.into_iter().collect()
    }

    #[test]
    fn the_example_says_the_defaults() {
        let config = |text: &str| toml::from_str::<Config>(text).expect("the example loads");
        assert_eq!(config(EXAMPLE), Config::default(), "as it is");
        assert_eq!(config(&opened()), Config::every_key(), "with every setting on");
    }

    #[test]
    fn the_example_has_every_key_and_no_other() {
        let example = Value::Table(toml::from_str(&opened()).expect("the example is TOML"));
        assert_eq!(patterns(&example), patterns(&Schema::new().known));
    }

    /// Every number of the default configuration, by pattern.
    fn numbers(at: &KeyPath, value: &Value, all: &mut BTreeSet<String>) {
        match value {
            Value::Integer(_) => {
                all.insert(at.pattern.clone());
            }
            Value::Table(table) => {
                for (key, value) in table {
                    numbers(&at.key(key), value, all);
                }
            }
            Value::Array(array) => {
                for value in array {
                    numbers(&at.entry(0), value, all);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn every_number_has_a_range_and_every_range_a_number() {
        let ranges: BTreeSet<_> = RANGES.iter().map(|(key, _)| (*key).to_owned()).collect();
        let schema = Schema::new();
        let mut known = BTreeSet::new();
        numbers(&KeyPath::default(), &schema.known, &mut known);
        assert_eq!(ranges, known);
        assert_eq!(ranges.len(), RANGES.len(), "each once");
        for (key, _) in LENGTHS {
            assert!(patterns(&schema.known).contains(*key), "{key}");
        }
    }

    #[test]
    fn the_defaults_are_in_range() {
        let schema = Schema::new();
        let outcome = schema.check(schema.known.as_table().expect("a table"));
        assert!(outcome.is_ok(), "{outcome:?}");
    }

    /// The range stands in the prose before the key (for a list's entries, before the list).
    #[test]
    fn the_example_says_every_range() {
        for (key, range) in RANGES {
            let (table, name) = key.rsplit_once('.').expect("every key lies in a table");
            let named = table
                .replace("profiles.*", "profiles.clear")
                .replace("keys.*", "keys.main")
                .replace("recipes.*", "recipes.main");
            let heading = match named.strip_suffix("[]") {
                Some(list) => format!("#[[{list}]]"),
                None => format!("#[{named}]"),
            };
            let before = EXAMPLE.find(&heading).expect("the example has each table");
            let prose = match table.ends_with("[]") {
                true => &EXAMPLE[EXAMPLE[..before].rfind("\n\n").expect("a paragraph")..before],
                false => {
                    let line = format!("\n#{name} = ");
                    let end =
                        before + EXAMPLE[before..].find(&line).expect("the example has each key");
                    &EXAMPLE[EXAMPLE[..end].rfind("\n\n").expect("a paragraph")..end]
                }
            };
            let wanted = format!("{} to {}", range.start(), range.end());
            assert!(prose.contains(&wanted), "{key}: its prose must say `{wanted}`:{prose}");
        }
    }
}
