//! Which build of the tools makes the bytes: all parts of a version come from one, and are joined by one.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// What this encoder asks of ffmpeg, makes of its output, and keeps in plans and parts: raised when a
/// change of any changes bytes, or what is read back, so that one version is never made in two ways. A
/// release that changes none goes on with what the one before began.
const FORMAT: u32 = 3;

/// Instructions for which x264, x265 or ffmpeg's scaler have code of their own. Others come with
/// kernels and microcode, and change nothing.
const INSTRUCTIONS: [&str; 36] = [
    "mmx",
    "sse",
    "sse2",
    "pni",
    "ssse3",
    "sse4_1",
    "sse4_2",
    "sse4a",
    "avx",
    "avx2",
    "fma",
    "fma4",
    "xop",
    "f16c",
    "bmi1",
    "bmi2",
    "abm",
    "popcnt",
    "avx512f",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512vl",
    "avx512_vbmi",
    "avx512_vbmi2",
    "avx512_vnni",
    "avx512_bitalg",
    "avx512_vpopcntdq",
    "gfni",
    "vaes",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
    "sve2",
    "neon",
];

/// A name for ffmpeg's build (the first line of its `-version`), what is asked of it, and the kind of
/// processor: encoders and scalers take other ways on other ones.
pub(super) fn of(build: &str) -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    named(build, FORMAT, &cpuinfo)
}

fn named(build: &str, format: u32, cpuinfo: &str) -> String {
    let mut sum = Sha256::new();
    sum.update(build);
    sum.update(format.to_be_bytes());
    sum.update(std::env::consts::ARCH);
    sum.update(instructions(cpuinfo).join(" "));
    let digest = sum.finalize();
    // Of `ffmpeg version 5.1.9-0+deb12u1 Copyright ...` the version.
    let version = build.split(' ').nth(2).unwrap_or("unknown");
    let mut name = format!("ffmpeg-{version:.64}-");
    for byte in &digest[..6] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The instructions that matter, as the kernel lists them; none where it does not.
fn instructions(cpuinfo: &str) -> Vec<&str> {
    let line =
        cpuinfo.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    let listed = line.and_then(|line| line.split_once(':')).map_or("", |(_, list)| list);
    let mut words: Vec<_> =
        listed.split_whitespace().filter(|word| INSTRUCTIONS.contains(word)).collect();
    words.sort_unstable();
    words
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
        let cpu = |flags: &str| named("ffmpeg version 7", 1, &format!("flags\t\t: {flags}\n"));
        assert_eq!(cpu("avx2 sse2 md_clear"), cpu("sse2 flush_l1d avx2"), "a newer kernel");
        assert_ne!(cpu("avx2 sse2"), cpu("sse2"));
        let build = "ffmpeg version 7";
        assert_ne!(named(build, 1, ""), named(build, 2, ""));
        assert!(of(&"x ".repeat(9_000)).len() <= limits::WORKER_BYTES);
        assert!(of(&format!("a b {}", "x".repeat(9_000))).len() <= limits::WORKER_BYTES);
    }
}
