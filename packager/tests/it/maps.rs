//! Maps of real samples of HEVC and AV1, against those that Shaka Packager 3.8 wrote under cbcs for
//! the same files.

use headwater_packager::subsample::{Finder, Tail};

/// Clear and protected bytes of each entry.
type Map<'a> = &'a [(u16, u32)];

/// Two slices a picture, with entry points and weights. Shaka Packager writes an entry for 15 bytes
/// too, of which neither scheme encrypts one.
const HEVC: [Map<'_>; 6] = [
    &[(9, 776), (12, 471)],
    &[(13, 234), (16, 108)],
    &[(14, 43), (16, 23)],
    &[(47, 16)],
    &[(15, 19), (17, 41)],
    &[(15, 90), (17, 29)],
];

/// Four tiles a frame, three frames in the second temporal unit, and one that only shows a frame.
const AV1_TILES: [Map<'_>; 6] = [
    &[(31, 1148), (2, 511), (2, 59), (0, 829)],
    &[
        (22, 174),
        (1, 85),
        (1, 42),
        (0, 77),
        (23, 55),
        (1, 35),
        (1, 16),
        (0, 27),
        (21, 6),
        (1, 7),
        (1, 2),
        (0, 7),
    ],
    &[(3, 0)],
    &[(21, 13), (1, 13), (1, 2), (0, 7)],
    &[(21, 4), (1, 9), (1, 1), (0, 6)],
    &[(21, 2), (1, 2), (1, 2), (0, 2)],
];

/// SVT-AV1 in 10 bits with film grain, whose av1C has another sequence header than its samples.
const AV1_GRAIN: [Map<'_>; 6] = [
    &[(129, 1286)],
    &[(139, 220), (132, 54), (121, 27)],
    &[(3, 0)],
    &[(123, 37)],
    &[(3, 0)],
    &[(129, 44)],
];

/// A sample entry and the samples of a fragment, as the fuzzer's seeds hold them.
fn seed(name: &str) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/subsamples");
    let bytes = std::fs::read(format!("{folder}/{name}")).unwrap();
    let mut rest = &bytes[..];
    let mut chunks = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk() {
        let (chunk, after) = after.split_at(u32::from_be_bytes(*len) as usize);
        chunks.push(chunk.to_vec());
        rest = after;
    }
    chunks
}

#[test]
fn protected_bytes_are_those_of_shaka_packager() {
    for (name, wanted) in
        [("hevc-slices", HEVC), ("av1-tiles", AV1_TILES), ("av1-svt-10-bit", AV1_GRAIN)]
    {
        let chunks = seed(name);
        let finder = Finder::new(&chunks[0]).unwrap();
        let samples = &chunks[1..];
        assert_eq!(samples.len(), wanted.len());
        let mut found = finder.fragment();
        for (k, (sample, wanted)) in samples.iter().zip(wanted).enumerate() {
            let mut map = Vec::new();
            found.map(sample, Tail::Left, &mut map).unwrap();
            let map: Vec<_> = map.iter().map(|e| (e.clear_bytes, e.protected_bytes)).collect();
            assert_eq!(map, wanted, "{name} sample {k}");
        }
        let entries: usize = wanted.iter().map(|map| map.len()).sum();
        let slices = samples.iter().map(Vec::as_slice);
        assert_eq!(finder.entries(slices).unwrap(), entries, "{name}");
    }
}

/// Frames that refer to what was not there are refused, not guessed at: a fragment starts with a
/// key frame.
#[test]
fn a_fragment_of_av1_starts_with_a_key_frame() {
    let chunks = seed("av1-tiles");
    let finder = Finder::new(&chunks[0]).unwrap();
    let error = finder.entries([&chunks[2][..]]).unwrap_err();
    assert!(error.to_string().contains("refers to slot"), "{error}");
    assert_eq!(error.kind(), headwater_packager::Kind::Unsupported);
}

/// Every cut of a sample is an error or a map of what is left, never a panic.
#[test]
fn cut_samples_are_no_panic() {
    for name in ["hevc-slices", "av1-tiles", "av1-svt-10-bit"] {
        let chunks = seed(name);
        let finder = Finder::new(&chunks[0]).unwrap();
        for sample in &chunks[1..] {
            for len in 0..sample.len() {
                let _ = finder.entries([&sample[..len]]);
            }
        }
    }
}

/// What could not be read rightly is refused with its reason.
#[test]
fn refusals() {
    let hevc = seed("hevc-slices");
    let finder = Finder::new(&hevc[0]).unwrap();
    let refused = |sample: &[u8]| finder.entries([sample]).unwrap_err();
    // A picture parameter set that is not in hvcC.
    let error = refused(&[0, 0, 0, 3, 34 << 1, 1, 0xc0]);
    assert_eq!(
        error.to_string(),
        "sample 0/sample: a parameter set that is not in hvcC: expected hvc1 to have all"
    );
    assert_eq!(error.kind(), headwater_packager::Kind::Unsupported);
    // A slice segment of layer 1.
    let layered = refused(&[0, 0, 0, 4, 2, 9, 0x80, 0]);
    assert!(layered.to_string().contains("layer 1"), "{layered}");
    // A slice that refers to a picture parameter set that is not there.
    let lost = refused(&[0, 0, 0, 4, 2, 1, 0b1011_0000, 0]);
    assert!(lost.to_string().contains("picture parameter set 2"), "{lost}");

    let av1 = seed("av1-tiles");
    let finder = Finder::new(&av1[0]).unwrap();
    let error = finder.entries([&[0x42, 0][..]]).unwrap_err();
    assert_eq!(error.to_string(), "sample 0/sample: a tile list OBU");
    // The key frame's OBU in a spatial layer: the extension flag, and a byte of it.
    let key = &av1[1];
    let sequence_bytes = 2 + usize::from(key[1]);
    assert_eq!(key[sequence_bytes], 0x32, "a frame OBU with a size");
    let layered = [&key[..sequence_bytes], &[0x36, 1 << 3], &key[sequence_bytes + 1..]].concat();
    let error = finder.entries([&layered[..]]).unwrap_err();
    assert_eq!(error.to_string(), "sample 0/sample: spatial layer 1: expected one layer");
}
