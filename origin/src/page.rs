//! The player page, embedded when the binary is built (build.rs, origin/web).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::representation::Representation;
use crate::respond::{self, Lifetime};

/// Name and bytes of every file of the built page.
static FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/page_files.rs"));
/// The page's entry.
const INDEX: &str = "index.html";
/// Where the build puts files whose names hold a hash of their content.
const HASHED: &str = "assets/";
/// Shown where the binary was built without the page.
const NOT_BUILT: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>Headwater</title>
<h1>The player page is not in this binary</h1>
<p>It is built with Node from <code>origin/web</code>: run <code>make run</code>, or
<code>npm ci &amp;&amp; npm run build</code> in that folder, then build <code>headwater-origin</code>
again. Titles are served all the same: <a href=\"/titles.json\">/titles.json</a> lists them.</p>
</html>
";

/// The page's files by name.
#[derive(Debug)]
pub struct Page(BTreeMap<&'static str, Representation>);

impl Page {
    /// The page that was embedded, or one that says how to embed it.
    pub fn embedded() -> Self {
        Self::of(FILES)
    }

    /// Whether a page was embedded.
    pub fn is_built() -> bool {
        FILES.iter().any(|(name, _)| *name == INDEX)
    }

    /// A file by its name, without the leading slash, and its Cache-Control; the page itself has
    /// no name.
    pub fn file(&self, name: &str) -> Option<(&Representation, &'static Lifetime)> {
        let name = if name.is_empty() { INDEX } else { name };
        let lifetime =
            if name.starts_with(HASHED) { &respond::IMMUTABLE } else { &respond::NO_CACHE };
        Some((self.0.get(name)?, lifetime))
    }

    fn of(files: &[(&'static str, &'static [u8])]) -> Self {
        let ready = |&(name, bytes)| (name, representation(name, bytes));
        let mut files: BTreeMap<_, _> = files.iter().map(ready).collect();
        files.entry(INDEX).or_insert_with(|| representation(INDEX, NOT_BUILT.as_bytes()));
        Self(files)
    }
}

fn representation(name: &str, bytes: &'static [u8]) -> Representation {
    let (content_type, bytes) = (content_type(name), Bytes::from_static(bytes));
    if is_text(content_type) {
        Representation::of_text(content_type, bytes)
    } else {
        Representation::of_bytes(content_type, bytes)
    }
}

/// Whether gzip shortens it: pictures and fonts are compressed in themselves.
fn is_text(content_type: &str) -> bool {
    let texts = ["text/", "application/json", "image/svg+xml", "application/wasm"];
    texts.iter().any(|text| content_type.starts_with(text))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_files_are_kept_and_the_entry_is_asked_for_each_time() {
        let page = Page::of(&[("index.html", b"<html>"), ("assets/a-1x.js", b"let a")]);
        let (index, lifetime) = page.file("").unwrap();
        assert_eq!(
            (index.body.parts()[0].as_ref(), lifetime),
            (&b"<html>"[..], &respond::NO_CACHE)
        );
        let (script, lifetime) = page.file("assets/a-1x.js").unwrap();
        assert_eq!(script.facts.content_type, "text/javascript; charset=utf-8");
        assert_eq!(lifetime, &respond::IMMUTABLE);
        assert!(page.file("assets/b.js").is_none());
    }

    #[test]
    fn a_binary_without_the_page_says_how_to_build_it() {
        let page = Page::of(&[]);
        let (index, _) = page.file("").unwrap();
        assert!(String::from_utf8_lossy(&index.body.parts()[0]).contains("npm run build"));
    }
}
