//! Every seed of the fuzz targets, the findings of earlier runs among them, as an ordinary test.
#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use headwater_fuzzing::TARGETS;

/// Bytes that a seed may have.
const SEED_BYTES: usize = 20 * 1024;

#[test]
fn every_seed_passes() {
    let corpus = corpus();
    for (name, run) in TARGETS {
        let (mut accepted, mut refused) = (0, 0);
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() <= SEED_BYTES, "{} is too large for a seed", path.display());
            // Named before it runs, so that a panic says which one it was.
            println!("{}", path.display());
            *if run(&bytes) { &mut accepted } else { &mut refused } += 1;
            // As libFuzzer begins: shorter, and with a byte changed.
            for at in (0..bytes.len()).step_by(bytes.len() / 64 + 1) {
                run(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                run(&changed);
            }
        }
        assert!(accepted > 0, "{name}: {refused} seeds and none is accepted");
    }
}

/// Each target has a function, a corpus and a file in `tests/fuzz`, all of one name.
#[test]
fn targets_corpora_and_functions_are_the_same() {
    let fuzz = corpus().join("..");
    let functions: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&corpus()), functions);
    assert_eq!(names(&fuzz.join("fuzz_targets")), functions);
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for name in functions {
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "tests/fuzz/Cargo.toml has no {name}");
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |entry: fs::DirEntry| {
        let path = entry.path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    };
    fs::read_dir(folder).unwrap().map(|entry| stem(entry.unwrap())).collect()
}

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}
