//! From a file's text and the environment to a [`Config`].
//!
//! Both become one TOML table in which each key remembers where it was set; that table is
//! compared with the known keys, then read into the types. The first thing wrong is the answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use crate::error::{ConfigError, Place, Problem};
use crate::limits::MAX_FILE_BYTES;
use crate::schema::{KeyPath, Schema};
use crate::{Config, env};

impl Config {
    /// Reads the file, lays the `HEADWATER_` variables over it, and checks every key. Without a
    /// file the base is [`Config::embedded`].
    ///
    /// # Errors
    /// The first unreadable, unknown, mistyped or out-of-range setting, with its place.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let schema = Schema::new();
        let mut settings = match path {
            Some(path) => Settings::parse(path, &read(path)?)?,
            None => Settings::embedded(),
        };
        settings.lay_over(env, &schema)?;
        settings.into_config(&schema)
    }
}

/// The file's text, bounded.
fn read(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let outcome =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
    let why = match outcome {
        Err(error) => error.to_string(),
        Ok(len_bytes) if u64::try_from(len_bytes).is_ok_and(|len| len <= MAX_FILE_BYTES) => {
            return Ok(text);
        }
        Ok(_) => format!("more than {MAX_FILE_BYTES} bytes are no configuration"),
    };
    Err(ConfigError { place: whole(path), key: String::new(), problem: Problem::Unreadable(why) })
}

/// What was set, and where.
struct Settings {
    table: Table,
    /// By exact key path. A key that is missing stands where its parent stands.
    places: BTreeMap<String, Place>,
    base: Place,
}

impl Settings {
    fn embedded() -> Self {
        let table = toml::from_str("origin.page = true").expect("this is TOML");
        Self { table, places: BTreeMap::new(), base: Place::Defaults }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let line = |offset: usize| Place::File {
            path: path.to_owned(),
            line: 1 + text.bytes().take(offset).filter(|&b| b == b'\n').count(),
        };
        let failed = |error: toml::de::Error| ConfigError {
            place: error.span().map_or_else(|| whole(path), |span| line(span.start)),
            key: String::new(),
            problem: Problem::Syntax(error.message().to_owned()),
        };
        let spans = DeTable::parse(text).map_err(failed)?;
        let table = toml::from_str(text).map_err(failed)?;
        let mut places = BTreeMap::new();
        note_table(&KeyPath::default(), spans.get_ref(), &mut |at, offset| {
            places.insert(at.exact.clone(), line(offset));
        });
        let base = whole(path);
        Ok(Self { table, places, base })
    }

    /// Sets what the variables say, in the order of their names: a table's variable comes before
    /// those of its keys.
    fn lay_over(
        &mut self,
        env: impl Iterator<Item = (String, String)>,
        schema: &Schema,
    ) -> Result<(), ConfigError> {
        let mut variables: Vec<_> =
            env.filter_map(|(name, text)| Some((env::key_path(&name)?, name, text))).collect();
        variables.sort();
        for (path, name, text) in variables {
            let value = env::value(&text, schema.known(&path));
            let at = path.iter().fold(KeyPath::default(), |at, key| at.key(key));
            if !set(&mut self.table, &path, value) {
                return Err(ConfigError {
                    place: Place::Variable(name),
                    key: at.exact,
                    problem: Problem::UnknownKey { nearest: None },
                });
            }
            let inside = |key: &str| {
                key.strip_prefix(&at.exact)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            self.places.retain(|key, _| !inside(key));
            self.places.insert(at.exact, Place::Variable(name));
        }
        Ok(())
    }

    fn into_config(self, schema: &Schema) -> Result<Config, ConfigError> {
        if let Err((at, problem)) = schema.check(&self.table) {
            return Err(self.error(at.exact, problem));
        }
        serde_path_to_error::deserialize(Value::Table(self.table.clone())).map_err(|error| {
            let key = error.path().to_string();
            let why = error.inner().message().to_owned();
            self.error(key, Problem::Invalid(why))
        })
    }

    fn error(&self, key: String, problem: Problem) -> ConfigError {
        let mut at = key.as_str();
        let place = loop {
            match (self.places.get(at), at.rfind(['.', '['])) {
                (Some(place), _) => break place.clone(),
                (None, Some(end)) => at = &at[..end],
                (None, None) => break self.base.clone(),
            }
        };
        ConfigError { place, key, problem }
    }
}

/// Puts a value at a path, a table over a table key by key. False if a value that is no table
/// stands in the way.
fn set(table: &mut Table, path: &[String], value: Value) -> bool {
    let Some((key, below)) = path.split_first() else {
        return false;
    };
    if !below.is_empty() {
        let next = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
        return next.as_table_mut().is_some_and(|next| set(next, below, value));
    }
    match (table.get_mut(key), value) {
        (Some(Value::Table(old)), Value::Table(new)) => {
            new.into_iter().all(|(key, value)| set(old, &[key], value))
        }
        (_, value) => {
            table.insert(key.clone(), value);
            true
        }
    }
}

fn note_table(at: &KeyPath, table: &DeTable<'_>, note: &mut impl FnMut(&KeyPath, usize)) {
    for (key, value) in table {
        let at = at.key(key.get_ref());
        note(&at, key.span().start);
        note_value(&at, value, note);
    }
}

fn note_value(at: &KeyPath, value: &Spanned<DeValue<'_>>, note: &mut impl FnMut(&KeyPath, usize)) {
    match value.get_ref() {
        DeValue::Table(table) => note_table(at, table, note),
        DeValue::Array(array) => {
            for (i, value) in array.iter().enumerate() {
                let at = at.entry(i);
                note(&at, value.span().start);
                note_value(&at, value, note);
            }
        }
        _ => {}
    }
}

fn whole(path: &Path) -> Place {
    Place::File { path: path.to_owned(), line: 0 }
}
