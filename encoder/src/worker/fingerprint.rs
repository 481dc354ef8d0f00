//! Which build of the tools makes the bytes: all chunks of a version come from one.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// A name for ffmpeg's build (the first line of its `-version`), this encoder and the kind of
/// processor: encoders and scalers take other ways on other ones.
pub(super) fn of(build: &str) -> String {
    let mut sum = Sha256::new();
    sum.update(build);
    sum.update(env!("CARGO_PKG_VERSION"));
    sum.update(std::env::consts::ARCH);
    sum.update(features());
    let digest = sum.finalize();
    // Of `ffmpeg version 5.1.9-0+deb12u1 Copyright ...` the version.
    let version = build.split(' ').nth(2).unwrap_or("unknown");
    let mut name = format!("ffmpeg-{version:.64}-");
    for byte in &digest[..6] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The instructions that this processor has, as the kernel lists them; empty where it does not.
fn features() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, list)| {
        let mut words: Vec<_> = list.split_whitespace().collect();
        words.sort_unstable();
        words.join(" ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn builds_have_names_of_their_own() {
        let one = of("ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026");
        assert!(one.starts_with("ffmpeg-5.1.9-0+deb12u1-"), "{one}");
        assert_eq!(one, of("ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026"));
        assert_ne!(one, of("ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2027"));
        assert!(of(&"x ".repeat(9_000)).len() <= limits::WORKER_BYTES);
        assert!(of(&format!("a b {}", "x".repeat(9_000))).len() <= limits::WORKER_BYTES);
    }
}
