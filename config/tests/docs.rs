//! What the repository says about settings: every key and variable that a text names exists, a
//! deployment's file loads, and every key is read by a binary.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_config::{Config, ConfigError, Problem, Severity};
use toml::{Table, Value};

/// Folders with nothing of ours to read.
const SKIPPED: &[&str] = &[".git", "target", "data", "node_modules", "dist", "out", "corpus"];
const SECTIONS: &[&str] = &["store.", "origin.", "profiles.", "keys.", "encoder."];
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below a folder with one of these endings, and its text.
fn texts(folder: &Path, endings: &[&str], found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !SKIPPED.contains(&name) {
            texts(&path, endings, found);
        } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
            found.extend(fs::read_to_string(&path).ok().map(|text| (path, text)));
        }
    }
}

/// Whether a variable names a key (or is none of ours to judge).
fn is_known(variable: &str) -> bool {
    let env = [(variable.to_owned(), "no value fits".to_owned())];
    !matches!(
        Config::load(None, env.into_iter()),
        Err(ConfigError { problem: Problem::UnknownKey { .. }, .. })
    )
}

fn words<'a>(text: &'a str, also: &'a [char]) -> impl Iterator<Item = &'a str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && !also.contains(&c))
}

#[test]
fn every_variable_that_is_named_exists() {
    let mut files = Vec::new();
    let endings = [
        ".md",
        ".yaml",
        ".service",
        "Containerfile",
        "demo",
        "test",
        "test-long",
        "Makefile",
        ".js",
        ".rs",
    ];
    texts(&root(), &endings, &mut files);
    let mut named = BTreeSet::new();
    for (path, text) in &files {
        // Wrong ones are wanted in tests of what is said of them.
        let is_rust_test = path.extension().is_some_and(|ending| ending == "rs")
            && path.strip_prefix(root()).is_ok_and(|path| path.iter().any(|part| part == "tests"));
        if is_rust_test || path.starts_with(root().join("config/src")) {
            continue;
        }
        for word in
            words(text, &[]).filter(|word| word.starts_with("HEADWATER_") && word.contains("__"))
        {
            named.insert(word);
            assert!(is_known(word), "{}: {word} sets no key", path.display());
        }
    }
    assert!(named.contains("HEADWATER_STORE__URL"), "found {named:?}");
    assert!(!is_known("HEADWATER_STORE__URI"));
}

#[test]
fn every_key_that_a_text_names_exists() {
    let mut files = Vec::new();
    texts(&root(), &[".md"], &mut files);
    let mut named = BTreeSet::new();
    for (path, text) in &files {
        // Only what stands in backticks, and whole.
        for word in text.split('`').skip(1).step_by(2) {
            let is_key = words(word, &['.', '*']).count() == 1;
            if is_key
                && SECTIONS.iter().any(|section| word.starts_with(section))
                && !word.ends_with(".rs")
            {
                named.insert(word);
                let variable =
                    format!("HEADWATER_{}", word.replace('.', "__").to_ascii_uppercase());
                assert!(is_known(&variable), "{}: `{word}` is no key", path.display());
            }
        }
    }
    assert!(named.contains("origin.grace_s"), "found {named:?}");
}

#[test]
fn the_deployments_file_loads_and_has_no_error() {
    let config = Config::load(Some(&root().join("deploy/headwater.toml")), std::iter::empty())
        .expect("it loads");
    let errors: Vec<_> =
        config.check().into_iter().filter(|f| f.severity == Severity::Error).collect();
    assert_eq!(errors, []);
}

#[test]
fn every_key_is_read_by_a_binary() {
    let mut files = Vec::new();
    texts(&root(), &[".rs"], &mut files);
    // Here keys are declared and tested, not read.
    let elsewhere = ["config/src", "config/tests", "tests"].map(|folder| root().join(folder));
    files.retain(|(path, _)| !elsewhere.iter().any(|folder| path.starts_with(folder)));
    let used: BTreeSet<_> = files.iter().flat_map(|(_, text)| words(text, &[])).collect();
    let defaults = Table::try_from(Config::default()).expect("plain TOML");
    let mut keys = Vec::new();
    leaves(&Value::Table(defaults), &mut keys);
    // A profile answers these by methods, so that each is asked in one way.
    let asked_by = [
        ("titles", "admits"),
        ("access_classes", "admits"),
        ("formats", "offers"),
        ("key_domain", "domain"),
        ("key_scope", "is_of_sessions"),
    ];
    let unused: Vec<_> = keys
        .iter()
        .filter(|key| {
            let method = asked_by.iter().find(|(name, _)| name == *key).map(|(_, method)| *method);
            !used.contains(method.unwrap_or(key.as_str()))
        })
        .collect();
    assert_eq!(unused, [""; 0], "set by operators, read by nobody");
}

fn leaves(value: &Value, keys: &mut Vec<String>) {
    let tables: Vec<&Table> = match value {
        Value::Table(table) => vec![table],
        Value::Array(entries) => entries.iter().filter_map(Value::as_table).collect(),
        _ => return,
    };
    for (key, value) in tables.into_iter().flatten() {
        let is_group =
            value.is_table() || value.as_array().is_some_and(|a| a.iter().any(Value::is_table));
        if !is_group {
            keys.push(key.clone());
        }
        leaves(value, keys);
    }
}
