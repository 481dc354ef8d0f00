//! Embeds the built player page: every file of `web/dist` goes into a table that `src/page.rs`
//! includes. Without a built page the table is empty and the binary says how to build one.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let crate_folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let dist = crate_folder.join("web/dist");
    // Cargo takes a missing path for a changed one and would build this crate anew every time.
    // Where the sources cannot be written that is all that happens.
    let _ = fs::create_dir_all(&dist);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=web/dist");
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    // Copies, because the page may be built again between this script and the compiler.
    let out = PathBuf::from(variable("OUT_DIR"));
    let mut table = String::from("[\n");
    for (i, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&dist).map_err(io::Error::other)?.to_string_lossy();
        let copy = out.join(format!("page_file_{i}"));
        fs::write(&copy, fs::read(file)?)?;
        let _ = writeln!(table, "    ({name:?}, include_bytes!({copy:?}).as_slice()),");
    }
    table.push_str("]\n");
    fs::write(out.join("page_files.rs"), table)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("cargo sets it for build scripts")
}
