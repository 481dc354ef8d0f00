//! The rules: each takes the tree's files and answers its offences, one line each.

use std::collections::BTreeMap;

use crate::tokens::{closing, names_at, product_tokens, tokens};

/// Text files by their path from the root.
pub type Tree = BTreeMap<String, String>;

/// What each crate of ours may depend on, of ours. They meet in the stored title and nowhere else.
const CRATES: &[(&str, &[&str])] = &[
    ("packager", &[]),
    ("packager/bench", &["headwater-packager"]),
    ("config", &[]),
    ("config/store", &["headwater-config"]),
    ("origin", &["headwater-config", "headwater-packager", "headwater-store"]),
    ("encoder", &["headwater-config", "headwater-packager", "headwater-store"]),
    // It runs against any server, and knows none of ours.
    ("bench", &[]),
    ("tests", &["headwater-config", "headwater-packager"]),
];

/// What the packager stands on. Each further one is argued for where it is added.
/// `aes` and `zeroize` encrypt; `hmac` and `sha2` make IVs and keys; `base64` is how a manifest
/// carries boxes.
const PACKAGER_STANDS_ON: &[&str] = &[
    "aes",
    "base64",
    "bytes",
    "crc32c",
    "hmac",
    "quick-xml",
    "serde",
    "serde_json",
    "sha2",
    "zeroize",
];

/// What has no place in the packager: waiting, the outside, clocks, chance, logs.
const IMPURE_STD: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];
const IMPURE: &[&str] = &[
    "tokio",
    "async",
    "await",
    "rand",
    "log",
    "tracing",
    "SystemTime",
    "Instant",
    "println",
    "eprintln",
];

/// The one file that may waive the lint against it.
const UNSAFE_FILE: &str = "origin/src/memory_file.rs";

/// A reason to ask is 500 lines; this is the end.
const MAX_LINES: usize = 700;

pub fn crates_know_only_those_below_them(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree {
        let Some(folder) = path.strip_suffix("/Cargo.toml") else { continue };
        let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == folder) else {
            if folder.contains('/') {
                continue;
            }
            offences.push(format!("{path}: a new crate: say in CRATES what it may depend on"));
            continue;
        };
        for (_, dependency) in dependencies(text).filter(|(_, name)| name.starts_with("headwater-"))
        {
            if !allowed.contains(&dependency) {
                offences.push(format!("{path}: {folder} must not know {dependency}"));
            }
        }
    }
    offences
}

pub fn packager_stands_on_little(tree: &Tree) -> Vec<String> {
    let path = "packager/Cargo.toml";
    let text = tree.get(path).map_or("", String::as_str);
    dependencies(text)
        .filter(|(table, name)| *table == "[dependencies]" && !PACKAGER_STANDS_ON.contains(name))
        .map(|(_, name)| format!("{path}: {name}: argue for it, then add it to PACKAGER_STANDS_ON"))
        .collect()
}

pub fn packager_is_pure(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, source) in packager_sources(tree) {
        let tokens = product_tokens(source);
        for (i, token) in tokens.iter().enumerate() {
            if IMPURE.contains(token) && tokens.get(i + 1) != Some(&":") {
                offences
                    .push(format!("{path}: `{token}`: the shells wait, log and look at clocks"));
            }
            if *token == "std" && tokens.get(i + 1) == Some(&"::") {
                for name in names_at(&tokens, i + 2) {
                    if IMPURE_STD.contains(&name) {
                        offences.push(format!(
                            "{path}: `std::{name}`: the core asks for bytes, it never reads"
                        ));
                    }
                }
            }
        }
    }
    offences
}

pub fn packager_modules_use_only_those_above(tree: &Tree) -> Vec<String> {
    let lib = tree.get("packager/src/lib.rs").map_or("", String::as_str);
    let lib = product_tokens(lib);
    let modules: Vec<&str> =
        lib.windows(3).filter(|w| w[0] == "mod" && w[2] == ";").map(|w| w[1]).collect();
    let mut offences = Vec::new();
    for (path, source) in packager_sources(tree) {
        let inside = path.trim_start_matches("packager/src/").trim_end_matches(".rs");
        let own = inside.split('/').next().unwrap_or(inside);
        let Some(own_place) = modules.iter().position(|module| *module == own) else {
            continue;
        };
        // `super` of a module that lies right below the root is the root.
        let at_top = inside == own;
        let tokens = product_tokens(source);
        for (i, token) in tokens.iter().enumerate() {
            let from_root = *token == "crate" || (at_top && *token == "super");
            if !from_root || tokens.get(i + 1) != Some(&"::") {
                continue;
            }
            for name in names_at(&tokens, i + 2) {
                let used = exported_by(&lib, name).unwrap_or(name);
                if modules.iter().position(|module| *module == used) > Some(own_place) {
                    offences.push(format!(
                        "{path}: `{own}` uses `{used}`, which lib.rs lists below it"
                    ));
                }
            }
        }
        if tokens.windows(3).any(|w| w == ["super", "::", "super"]) {
            offences.push(format!(
                "{path}: `super::super`: write `crate::`, so that this rule sees it"
            ));
        }
    }
    offences
}

pub fn nothing_is_left_undone(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, source) in rust_sources(tree) {
        for pair in tokens(source).windows(2) {
            if matches!(pair, ["todo" | "unimplemented", "!"]) {
                offences
                    .push(format!("{path}: `{}!`: finish it, or leave the feature out", pair[0]));
            }
        }
    }
    offences
}

pub fn every_waiver_has_a_reason(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, source) in rust_sources(tree) {
        let tokens = tokens(source);
        for (i, pair) in tokens.windows(2).enumerate() {
            let open = match pair {
                ["#", "["] => i + 1,
                ["#", "!"] if tokens.get(i + 2) == Some(&"[") => i + 2,
                _ => continue,
            };
            let attribute = &tokens[open..closing(&tokens, open)];
            let waives = attribute.windows(2).any(|w| matches!(w, ["allow" | "expect", "("]));
            if waives && !attribute.contains(&"reason") {
                offences.push(format!("{path}: {}: add `reason = \"...\"`", attribute.concat()));
            }
        }
    }
    offences
}

pub fn unsafe_code_is_one_file(tree: &Tree) -> Vec<String> {
    rust_sources(tree)
        .filter(|(path, _)| path.as_str() != UNSAFE_FILE)
        .filter(|(_, source)| tokens(source).contains(&"unsafe_code"))
        .map(|(path, _)| format!("{path}: unsafe code has its place in {UNSAFE_FILE}"))
        .collect()
}

pub fn files_are_short(tree: &Tree) -> Vec<String> {
    tree.iter()
        .filter(|(path, _)| is_written_by_hand(path) && !path.ends_with("LICENSE"))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| {
            format!("{path}: {lines} lines, at most {MAX_LINES}: a file holds one noun")
        })
        .collect()
}

pub fn whitespace_is_plain(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| is_written_by_hand(path)) {
        for (i, line) in text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                offences.push(format!("{path}:{}: white space at the end", i + 1));
            }
            // Recipes of make begin with one.
            if line.contains('\t') && !path.ends_with("Makefile") {
                offences.push(format!("{path}:{}: a tab", i + 1));
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            offences.push(format!("{path}: ends with one line break, neither none nor two"));
        }
    }
    offences
}

/// The words are in pieces here, or this file would break its own rule.
pub fn no_word_of_elsewhere(tree: &Tree) -> Vec<String> {
    let words: Vec<String> = [
        // Hosts of package registries: a mirror or a vendored tree must do as well.
        ["crates", ".io"],
        ["npm", "js."],
        ["py", "pi.org"],
        ["python", "hosted.org"],
        ["deb.", "debian.org"],
        ["docker", ".io"],
        // Where and by whom the work is done is no part of it.
        ["/work", "/main"],
        ["/work", "/shared"],
        ["/work", "/."],
        ["work", "place"],
        ["claude", ""],
        ["anthropic", ""],
    ]
    .map(|pieces| pieces.concat())
    .to_vec();
    let mut offences = Vec::new();
    // Cargo writes where it found a crate into its lock; nobody else may.
    for (path, text) in tree.iter().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        for (i, line) in text.lines().enumerate() {
            let line = line.to_ascii_lowercase();
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                // The list above, when the file is this one.
                if !line.contains(&format!("[\"{word}\", \"\"]")) {
                    offences.push(format!("{path}:{}: `{word}`", i + 1));
                }
            }
        }
    }
    offences
}

pub fn links_between_files_resolve(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { resolve(folder, file) };
            let inside = format!("{}/", target.trim_end_matches('/'));
            match tree.get(&target) {
                Some(text)
                    if heading.is_empty() || headings(text).any(|found| found == heading) => {}
                None if target.is_empty()
                    || tree.keys().any(|known| known.starts_with(&inside)) => {}
                _ => offences.push(format!("{path}: the link to `{link}` leads nowhere")),
            }
        }
    }
    offences
}

/// (table, name) of each line in a manifest's tables of dependencies.
fn dependencies(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut table = "";
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            table = line;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = &line[..line.find(|c| !is_name(c)).unwrap_or(line.len())];
        (table.ends_with("dependencies]") && !name.is_empty()).then_some((table, name))
    })
}

fn rust_sources(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.iter().filter(|(path, _)| path.ends_with(".rs"))
}

fn packager_sources(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    rust_sources(tree)
        .filter(|(path, _)| path.starts_with("packager/src/") && !path.ends_with("/tests.rs"))
}

/// The module from which lib.rs takes a name that it offers at the root (`pub use a::{B, C}`).
fn exported_by<'a>(lib: &[&'a str], name: &str) -> Option<&'a str> {
    lib.windows(4)
        .enumerate()
        .filter(|(_, w)| w[0] == "use" && w[2] == "::")
        .find(|(i, _)| names_at(lib, i + 3).contains(&name))
        .map(|(_, w)| w[1])
}

/// Not made by a tool, and not input or wanted output of a test.
fn is_written_by_hand(path: &str) -> bool {
    let made = ["Cargo.lock", "package-lock.json"];
    let parts =
        ["golden", "goldens", "corpus", "seeds", "fixtures", "testdata", "proptest-regressions"];
    !made.iter().any(|name| path.ends_with(name))
        && !path.split('/').any(|part| parts.contains(&part))
}

/// The local targets of a text's links, outside of code.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    markdown
        .lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// The anchors of a text's headings, as forges make them.
fn headings(markdown: &str) -> impl Iterator<Item = String> {
    markdown.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
