//! Every codec under every scheme: two decryptors that are not ours find the clear samples, and
//! Shaka Packager protects the same bytes of the same file.
//!
//! Odd cases are in the clips: several slices, several tiles, long SEI (a clear range above 65,535
//! bytes), samples below a block, and a key that changes with every fragment.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use headwater_packager::bmff::boxes;
use headwater_packager::ids::KeyId;
use headwater_packager::protect::Scheme;
use headwater_tests::clips::Clip;
use headwater_tests::measured;
use headwater_tests::{run, scratch, skip};

use crate::protected::{samples, shaka_packager};

const NOISE: &str = "testsrc2=s=320x180:r=24:d=1.5,noise=alls=20:allf=t";
/// Hardly anything changes: samples of a few bytes.
const STILL: &str = "color=s=64x64:r=24:d=1.5";
const SINE: &str = "sine=f=440:r=48000:d=1.5";
const KEYS: [([u8; 16], KeyId); 2] =
    [(*b"first key 16byte", KeyId([0x1d; 16])), (*b"other key 16byte", KeyId([0x2e; 16]))];

/// A clip's name, its source, and how it is encoded.
type Recipe = (&'static str, &'static str, &'static str);

const CLIPS: [Recipe; 13] = [
    ("avc-slices", NOISE, "-c:v libx264 -g 12 -preset fast -x264-params slices=3 -pix_fmt yuv420p"),
    ("avc-still", STILL, "-c:v libx264 -g 12 -preset fast -pix_fmt yuv420p"),
    ("avc-sei", STILL, "-c:v libx264 -g 12 -preset fast -pix_fmt yuv420p -bsf:v SEI"),
    (
        "hevc-slices",
        NOISE,
        "-c:v libx265 -preset fast -tag:v hvc1 -pix_fmt yuv420p \
         -x265-params log-level=none:keyint=12:open-gop=0:slices=2:wpp=1:weightb=1",
    ),
    (
        "hevc-10-bit",
        NOISE,
        "-c:v libx265 -preset slow -b:v 300k -tag:v hvc1 -pix_fmt yuv420p10le -x265-params \
         log-level=none:keyint=12:open-gop=0:wpp=0:hrd=1:vbv-maxrate=500:vbv-bufsize=500",
    ),
    (
        "hevc-still",
        STILL,
        "-c:v libx265 -preset fast -tag:v hvc1 -pix_fmt yuv420p \
         -x265-params log-level=none:keyint=12:open-gop=0",
    ),
    (
        "av1-svt-tiles",
        NOISE,
        "-c:v libsvtav1 -preset 10 -g 12 -pix_fmt yuv420p -svtav1-params tile-columns=1:tile-rows=1",
    ),
    ("av1-aom-tiles", NOISE, "-c:v libaom-av1 -cpu-used 8 -g 12 -s 512x256 -tiles 2x2 -t 0.7"),
    (
        "av1-aom-lossless",
        STILL,
        "-c:v libaom-av1 -cpu-used 8 -g 12 -crf 0 -aom-params lossless=1:film-grain-test=1",
    ),
    ("aac", SINE, "-c:a aac"),
    ("opus", SINE, "-c:a libopus -b:a 64k"),
    ("ac-3", SINE, "-ac 6 -c:a ac3"),
    ("e-ac-3", SINE, "-ac 6 -c:a eac3"),
];

/// Every clip, made once.
fn clips() -> &'static [Clip] {
    static CLIPS_MADE: OnceLock<Vec<Clip>> = OnceLock::new();
    let make = || {
        let folder = scratch::lasting("clips");
        CLIPS.into_iter().map(|recipe| clip(&folder, recipe)).collect()
    };
    CLIPS_MADE.get_or_init(make)
}

fn clip(folder: &Path, (name, source, encode): Recipe) -> Clip {
    let sei = format!(
        "h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+{}",
        "x".repeat(70_000)
    );
    let mut args = vec!["-f", "lavfi", "-i", source];
    args.extend(encode.split_whitespace().map(|arg| if arg == "SEI" { &sei } else { arg }));
    Clip::make(folder, name, &args)
}

#[test]
fn every_codec_under_every_scheme_is_the_clear_one_to_two_decryptors() {
    let folder = scratch::folder();
    let packager = shaka_packager();
    if packager.is_none() {
        skip::skip("Shaka Packager is not here: `.ci/setup long` installs it");
    }
    let (mut by_ffmpeg, mut by_shaka) = (0, 0);
    for (recipe, clip) in CLIPS.iter().zip(clips()) {
        let put = |name: &str, init: &[u8], fragments: &[Vec<u8>]| {
            let file = folder.path().join(name);
            fs::write(&file, [init, &fragments.concat()].concat()).unwrap();
            file
        };
        let (clear_init, clear) = clip.clear();
        assert!(clear.len() > 1, "{}: one fragment", recipe.0);
        for scheme in [Scheme::Cenc, Scheme::Cbcs] {
            let under = KEYS.map(|(key, id)| clip.protected(scheme, key, id));
            for (i, clear) in clear.iter().enumerate() {
                // The key changes with every fragment.
                let ((key, _), (init, protected)) = (KEYS[i % 2], &under[i % 2]);
                let place = format!("{} {scheme:?} fragment {i}", recipe.0);
                let clear = put("clear.mp4", &clear_init, std::slice::from_ref(clear));
                let hidden = put("hidden.mp4", init, std::slice::from_ref(&protected[i]));
                let wanted = samples(&clear, None);
                assert_eq!(samples(&hidden, Some(&hex(&key))), wanted, "{place}");
                by_ffmpeg += wanted.len();
            }
            let Some(packager) = &packager else { continue };
            let (init, protected) = &under[0];
            let hidden = put("hidden.mp4", init, protected);
            let output = folder.path().join("out.mp4");
            let kind = if clip.track().is_video() { "video" } else { "audio" };
            let mut command = run::command(packager);
            command
                .arg(format!("in={},stream={kind},output={}", hidden.display(), output.display()))
                .args(["--enable_raw_key_decryption", "--keys"])
                .arg(format!("label=:key_id={}:key={}", hex(&KEYS[0].1.0), hex(&KEYS[0].0)));
            run::succeed(&mut command);
            let wanted = samples(&put("clear.mp4", &clear_init, clear), None);
            assert_eq!(samples(&output, None), wanted, "{} {scheme:?}", recipe.0);
            by_shaka += wanted.len();
        }
    }
    measured(format_args!(
        "samples decrypted: {by_ffmpeg} by ffmpeg, {by_shaka} by Shaka Packager"
    ));
}

/// Written down they may differ: of fewer than 16 bytes no block is encrypted under either scheme,
/// and where a long clear range is split does not matter to a decryptor.
///
/// Under cenc Shaka Packager 3.8 leaves what fills no block clear at the end of slice data, we at
/// its start, as AV1 in ISOBMFF 4.3 demands and CMAF allows: so each range is looked for in that of
/// cbcs, where both protect all of it.
#[test]
fn protected_bytes_are_those_that_shaka_packager_protects() {
    let Some(packager) = shaka_packager() else {
        return skip::skip("Shaka Packager is not here: `.ci/setup long` installs it");
    };
    let folder = scratch::folder();
    let (mut compared, mut ranges) = (0, 0);
    for (recipe, clip) in CLIPS.iter().zip(clips()) {
        if !clip.track().is_video() {
            continue;
        }
        let mut data = Vec::new();
        for (scheme, name) in [(Scheme::Cbcs, "cbcs"), (Scheme::Cenc, "cenc")] {
            let output = folder.path().join("out.mp4");
            let mut command = run::command(&packager);
            command
                .arg(format!(
                    "in={},stream=video,output={},drm_label=X",
                    clip.file.display(),
                    output.display()
                ))
                .args(["--enable_raw_key_encryption", "--clear_lead", "0"])
                .args(["--protection_scheme", name, "--keys"])
                .arg(format!("label=X:key_id={}:key={}", hex(&KEYS[0].1.0), hex(&KEYS[0].0)));
            run::succeed(&mut command);
            let theirs = protected_ranges(&fs::read(&output).unwrap());
            let (init, fragments) = clip.protected(scheme, KEYS[0].0, KEYS[0].1);
            let ours = protected_ranges(&[&init[..], &fragments.concat()].concat());
            assert_eq!(ours.len(), clip.samples.len());
            assert_eq!(ours.len(), theirs.len(), "{} {name}", recipe.0);
            if scheme == Scheme::Cbcs {
                for (k, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                    assert_eq!(ours, theirs, "{} {name} sample {k}", recipe.0);
                }
                ranges += ours.iter().map(Vec::len).sum::<usize>();
                data.clone_from(&ours);
            } else {
                let blocks = |data: &Range<usize>| data.len() / 16 * 16;
                for (k, data) in data.iter().enumerate() {
                    let at_end = data.iter().map(|data| data.end - blocks(data)..data.end);
                    let at_start = data.iter().map(|data| data.start..data.start + blocks(data));
                    assert_eq!(ours[k], at_end.collect::<Vec<_>>(), "{} sample {k}", recipe.0);
                    assert_eq!(theirs[k], at_start.collect::<Vec<_>>(), "{} sample {k}", recipe.0);
                }
            }
            compared += ours.len();
        }
    }
    assert!(ranges > 300, "{ranges}");
    measured(format_args!("samples whose protected bytes are Shaka Packager's: {compared}"));
}

/// The ranges of at least a block that each sample's map protects, by tenc and senc.
fn protected_ranges(file: &[u8]) -> Vec<Vec<Range<usize>>> {
    let tenc = file.windows(4).position(|kind| kind == b"tenc").unwrap() + 4;
    let iv_bytes = usize::from(file[tenc + 7]);
    let mut samples = Vec::new();
    for moof in boxes::children(file).map(Result::unwrap).filter(|found| &found.kind == b"moof") {
        let traf = boxes::need(moof.payload, b"traf", "moof").unwrap();
        let senc = boxes::need(traf.payload, b"senc", "traf").unwrap().payload;
        let mut rest = &senc[8..];
        let mut take = |len: usize| {
            let (field, after) = rest.split_at(len);
            rest = after;
            field.iter().fold(0, |value, &byte| value << 8 | usize::from(byte))
        };
        for _ in 0..u32::from_be_bytes(senc[4..8].try_into().unwrap()) {
            take(iv_bytes / 2);
            take(iv_bytes - iv_bytes / 2);
            let (mut at, mut ranges) = (0, Vec::new());
            for _ in 0..take(2) {
                at += take(2);
                let len = take(4);
                if len >= 16 {
                    ranges.push(at..at + len);
                }
                at += len;
            }
            samples.push(ranges);
        }
    }
    samples
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
