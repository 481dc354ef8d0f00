//! What a compiler does not hold: who may know whom, what a file looks like, what is never said.
//! One table: a rule, an offence that it must find, and a near miss that it must let pass.

mod rules;
mod tokens;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rules::Tree;

type Rule = fn(&Tree) -> Vec<String>;
type Files = &'static [(&'static str, &'static str)];

const RULES: &[(&str, Rule, Files, Files)] = &[
    (
        "crates know only those below them",
        rules::crates_know_only_those_below_them,
        &[("origin/Cargo.toml", "[dev-dependencies]\nheadwater-encoder.workspace = true\n")],
        &[("origin/Cargo.toml", "[dependencies]\nheadwater-packager.workspace = true\n")],
    ),
    (
        "the store crate knows no side of it",
        rules::crates_know_only_those_below_them,
        &[("config/store/Cargo.toml", "[dependencies]\nheadwater-packager.workspace = true\n")],
        &[("config/store/Cargo.toml", "[dependencies]\nheadwater-config.workspace = true\n")],
    ),
    (
        "a new crate is placed",
        rules::crates_know_only_those_below_them,
        &[("metrics/Cargo.toml", "[package]\n")],
        &[(
            "tests/fuzz/Cargo.toml",
            "[dependencies]\nheadwater-origin = { path = \"../../origin\" }\n",
        )],
    ),
    (
        "the packager stands on little",
        rules::packager_stands_on_little,
        &[("packager/Cargo.toml", "[dependencies]\nbytes = \"1\"\nchrono = \"1\"\n")],
        &[(
            "packager/Cargo.toml",
            "[dependencies]\nbytes = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n",
        )],
    ),
    (
        "the packager is pure: std",
        rules::packager_is_pure,
        &[("packager/src/a.rs", "use std::{fmt, fs::File};\n")],
        &[(
            "packager/src/a.rs",
            "use std::fmt; // std::fs\n#[cfg(test)]\nmod tests { use std::fs; }\n",
        )],
    ),
    (
        "the packager is pure: words",
        rules::packager_is_pure,
        &[("packager/src/a.rs", "fn now() -> u64 { Instant::now() }\n")],
        &[("origin/src/a.rs", "fn now() -> u64 { Instant::now() }\n")],
    ),
    (
        "packager's modules use only those above",
        rules::packager_modules_use_only_those_above,
        &[
            ("packager/src/lib.rs", "pub mod a;\npub mod b;\n"),
            ("packager/src/a.rs", "use crate::{b::B};\n"),
        ],
        &[
            ("packager/src/lib.rs", "pub mod a;\npub mod b;\n"),
            ("packager/src/b/c.rs", "use crate::a::A;\n"),
        ],
    ),
    (
        "packager's modules use only those above, also by the root's names",
        rules::packager_modules_use_only_those_above,
        &[
            ("packager/src/lib.rs", "mod a;\nmod b;\npub use b::{B, C};\n"),
            ("packager/src/a/x.rs", "fn f() -> crate::C {}\n"),
        ],
        &[
            ("packager/src/lib.rs", "mod a;\nmod b;\npub use b::{B, C};\nconst D: u8 = 0;\n"),
            ("packager/src/a/x.rs", "fn f() -> super::b::C { crate::D }\n"),
        ],
    ),
    (
        "nothing is left undone",
        rules::nothing_is_left_undone,
        &[("a/src/b.rs", "fn f() { todo!() }\n")],
        &[("a/src/b.rs", "/// No todo!() here.\nfn f() -> &str { \"todo!\" }\n")],
    ),
    (
        "every waiver has a reason",
        rules::every_waiver_has_a_reason,
        &[("a/src/b.rs", "#![cfg_attr(test, allow(dead_code))]\n")],
        &[(
            "a/src/b.rs",
            "#[expect(dead_code, reason = \"later\")]\nfn f() { x.expect(\"y\"); }\n",
        )],
    ),
    (
        "unsafe code is one file",
        rules::unsafe_code_is_one_file,
        &[("a/src/b.rs", "#![expect(unsafe_code, reason = \"fast\")]\n")],
        &[("origin/src/memory_file.rs", "#![expect(unsafe_code, reason = \"sealed\")]\n")],
    ),
    (
        "files are short",
        rules::files_are_short,
        &[("a.js", LONG)],
        &[("a/package-lock.json", LONG)],
    ),
    ("no tab", rules::whitespace_is_plain, &[("a.md", "a\tb\n")], &[("Makefile", "a:\n\tb\n")]),
    (
        "no white space at the end",
        rules::whitespace_is_plain,
        &[("a.toml", "a = 1 \n")],
        &[("a/golden/b.txt", "a \n")],
    ),
    ("one line break at the end", rules::whitespace_is_plain, &[("a.sh", "a")], &[("a.sh", "a\n")]),
    (
        "no word of elsewhere",
        rules::no_word_of_elsewhere,
        &[("a.md", concat!("from https://Crates", ".io/x\n"))],
        &[("Cargo.lock", concat!("crates", ".io\n")), ("a.md", "crates, work\n")],
    ),
    (
        "links between files resolve",
        rules::links_between_files_resolve,
        &[("docs/a.md", "[b](b.md)\n"), ("b.md", "")],
        &[
            ("docs/a.md", "[b](../b.md#one-two), [c](.)\n```\n[x](y)\n```\n"),
            ("b.md", "# One, two\n"),
        ],
    ),
    (
        "links to headings resolve",
        rules::links_between_files_resolve,
        &[("a.md", "[b](#c)\n")],
        &[("a.md", "[b](#b-1)\n## `b` 1\n")],
    ),
];

/// More lines than a file may have.
const LONG: &str = match str::from_utf8(&[b'\n'; 701]) {
    Ok(lines) => lines,
    Err(_) => "",
};

#[test]
fn the_house_is_in_order() {
    let tree = tree();
    assert!(tree.len() > 50, "only {} files found", tree.len());
    let offences: BTreeSet<_> = RULES.iter().flat_map(|(_, rule, _, _)| rule(&tree)).collect();
    let lines: Vec<_> = offences.iter().map(String::as_str).collect();
    assert!(lines.is_empty(), "{} offences:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn each_rule_finds_its_offence_and_nothing_else() {
    let tree = |files: Files| {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    };
    for (name, rule, offence, near_miss) in RULES {
        assert_eq!(rule(&tree(offence)).len(), 1, "{name}: must be found");
        assert_eq!(rule(&tree(near_miss)), [] as [String; 0], "{name}: must pass");
    }
}

/// Every text file that is in git, or would be added to it.
fn tree() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git: {}", String::from_utf8_lossy(&listed.stderr));
    let paths = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let read = |path: &str| Some((path.to_owned(), std::fs::read_to_string(root.join(path)).ok()?));
    paths.split_terminator('\0').filter_map(read).collect()
}
