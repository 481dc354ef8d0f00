//! Every codec under every scheme: two decryptors that are not ours find the clear samples, and
//! Shaka Packager protects the same bytes of the same file.
//!
//! Odd cases are in the clips: several slices, several tiles, SEI in every picture and a long one (a
//! clear range above 65,535 bytes), samples below a block, and a key that changes with every
//! fragment.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use headwater_packager::bmff::boxes;
use headwater_packager::bmff::protection::{self, Subsample};
use headwater_packager::ids::KeyId;
use headwater_packager::protect::Scheme;
use headwater_packager::subsample::{Finder, Tail};
use headwater_tests::clips::Clip;
use headwater_tests::measured;
use headwater_tests::{ffmpeg, run, scratch, skip};

use crate::protected::{samples, shaka_packager};

const NOISE: &str = "testsrc2=s=320x180:r=24:d=1.5,noise=alls=20:allf=t";
/// Hardly anything changes: samples of a few bytes.
const STILL: &str = "color=s=64x64:r=24:d=1.5";
/// Frames of a few bytes.
const SILENCE: &str = "anullsrc=r=48000:cl=mono";
const SINE: &str = "sine=f=440:r=48000:d=1.5";
const KEYS: [([u8; 16], KeyId); 2] =
    [(*b"first key 16byte", KeyId([0x1d; 16])), (*b"other key 16byte", KeyId([0x2e; 16]))];

/// A clip's name, its source, and how it is encoded.
pub type Recipe = (&'static str, &'static str, &'static str);

pub const CLIPS: [Recipe; 16] = [
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
    ("aac-silence", SILENCE, "-c:a aac -t 1.5"),
    ("he-aac", SINE, "-ar 24000 -c:a aac"),
    ("opus", SINE, "-c:a libopus -b:a 64k"),
    ("opus-silence", SILENCE, "-c:a libopus -b:a 16k -vbr on -t 1.5"),
    ("ac-3", SINE, "-ac 6 -c:a ac3"),
    ("e-ac-3", SINE, "-ac 6 -c:a eac3"),
];

/// Every clip, made once.
pub fn clips() -> &'static [Clip] {
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
    match name {
        "he-aac" => Clip::changed(folder, name, &args, say_sbr),
        _ => Clip::make(folder, name, &args),
    }
}

/// No encoder of HE-AAC is free to be here: AAC-LC of half the rate, whose AudioSpecificConfig says
/// behind it (14496-3 1.6.6.1) that spectral band replication makes 48 kHz of it, in place of none.
fn say_sbr(file: &mut [u8]) {
    const NONE: [u8; 3] = [0x56, 0xe5, 0x00];
    let at =
        file.windows(3).position(|bytes| bytes == NONE).expect("ffmpeg says that there is none");
    file[at + 2] = 0x98;
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
            for ((key, id), (init, protected)) in KEYS.iter().zip(&under) {
                let hidden = put("hidden.mp4", init, protected);
                let output = folder.path().join("out.mp4");
                let kind = if clip.track().is_video() { "video" } else { "audio" };
                let (input, to) = (hidden.display(), output.display());
                let mut command = run::command(packager);
                command
                    .arg(format!("in={input},stream={kind},output={to}"))
                    .args(["--enable_raw_key_decryption", "--keys"])
                    .arg(format!("label=:key_id={}:key={}", hex(&id.0), hex(key)));
                run::succeed(&mut command);
                let wanted = samples(&put("clear.mp4", &clear_init, clear), None);
                assert_eq!(samples(&output, None), wanted, "{} {scheme:?}", recipe.0);
                by_shaka += wanted.len();
            }
        }
    }
    measured(format_args!(
        "samples decrypted: {by_ffmpeg} by ffmpeg, {by_shaka} by Shaka Packager"
    ));
}

/// AES-128 encrypts whole segments: openssl finds every byte of init and segments by the IV that a
/// playlist says, and ffmpeg every sample by that playlist, in which the key changes with every
/// segment.
#[test]
fn every_codec_in_whole_encrypted_segments_is_the_clear_one_to_openssl_and_ffmpeg() {
    let folder = scratch::folder();
    let at = |name: &str| folder.path().join(name);
    for (k, (key, _)) in KEYS.iter().enumerate() {
        fs::write(at(&format!("key{k}")), key).unwrap();
    }
    let (mut opened, mut played) = (0, 0);
    for (recipe, clip) in CLIPS.iter().zip(clips()) {
        let (clear_init, clear) = clip.clear();
        let under = KEYS.map(|(key, id)| clip.protected(Scheme::Aes128, key, id));
        let by = KEYS.map(|(key, id)| clip.protector(Scheme::Aes128, key, id));
        let head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n";
        let (mut hidden_list, mut clear_list) = (head.to_owned(), head.to_owned());
        for (i, clear) in clear.iter().enumerate() {
            let (k, number) = (i % 2, u32::try_from(i + 1).unwrap());
            for (what, n, hidden, clear, tag) in [
                ("i", 0, &under[k].0[..], &clear_init[..], "#EXT-X-MAP:URI="),
                ("m", number, &under[k].1[i], clear, "#EXTINF:0.5,"),
            ] {
                let iv = hex(&by[k].segment_iv(n).expect("each has its own"));
                let name = format!("{what}{number}.mp4");
                fs::write(at(&name), hidden).unwrap();
                fs::write(at(&format!("clear-{name}")), clear).unwrap();
                let mut openssl = run::command("openssl");
                openssl.args([
                    "enc",
                    "-d",
                    "-aes-128-cbc",
                    "-K",
                    &hex(&KEYS[k].0),
                    "-iv",
                    &iv,
                    "-in",
                ]);
                let ran = run::finish(openssl.arg(at(&name)));
                assert!(ran.status.success(), "{} {name}", recipe.0);
                assert!(ran.stdout == clear, "{} {name}: other bytes", recipe.0);
                opened += 1;
                let name_in = |list: &str| match what {
                    "i" => format!("{tag}\"{list}{name}\"\n"),
                    _ => format!("{tag}\n{list}{name}\n"),
                };
                let key = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"key{k}\",IV=0x{iv}\n");
                hidden_list += &(key + &name_in(""));
                clear_list += &name_in("clear-");
            }
        }
        let play = |name: &str, list: String| {
            let list = list + "#EXT-X-ENDLIST\n";
            fs::write(at(name), list).unwrap();
            let file = at(name);
            let mut args = vec!["-allowed_extensions", "ALL", "-protocol_whitelist", "file,crypto"];
            args.extend(["-i", ffmpeg::path(&file), "-c", "copy", "-f", "framemd5", "-"]);
            let text = String::from_utf8(ffmpeg::ffmpeg(&args)).unwrap();
            let sums = text.lines().filter(|line| !line.starts_with('#'));
            sums.map(str::to_owned).collect::<Vec<_>>()
        };
        let (hidden, clear) = (play("hidden.m3u8", hidden_list), play("clear.m3u8", clear_list));
        assert_eq!(hidden, clear, "{}", recipe.0);
        assert_eq!(clear.len(), clip.samples.len(), "{}", recipe.0);
        played += clear.len();
    }
    measured(format_args!(
        "under AES-128: {opened} files decrypted by openssl, {played} samples by ffmpeg"
    ));
}

/// What makes a clip odd is there, and not only meant.
#[test]
fn odd_cases_are_in_the_clips() {
    let clip = |name: &str| {
        let at = CLIPS.iter().position(|recipe| recipe.0 == name).expect("a clip of that name");
        &clips()[at]
    };
    for name in ["aac-silence", "opus-silence"] {
        let small = clip(name).samples.iter().filter(|sample| sample.len() < 16).count();
        assert!(small > 0, "{name}: no sample below a block");
    }
    let maps = |name: &str| {
        let clip = clip(name);
        let entry = protection::sample_entry(clip.track().init()).unwrap();
        let finder = Finder::new(entry).unwrap();
        let map = |sample: &Vec<u8>| {
            let mut map = Vec::new();
            finder.fragment().map(sample, Tail::Left, &mut map).unwrap();
            map
        };
        clip.samples.iter().map(map).collect::<Vec<_>>()
    };
    let protected = |map: &Vec<Subsample>| map.iter().filter(|e| e.protected_bytes > 0).count();
    assert!(maps("avc-slices").iter().all(|map| protected(map) == 3));
    assert!(maps("hevc-slices").iter().any(|map| protected(map) == 2));
    assert!(maps("avc-still").iter().any(|map| protected(map) == 0), "data below a block");
    assert!(maps("hevc-still").iter().any(|map| protected(map) == 0), "data below a block");
    let long =
        maps("avc-sei").into_iter().filter(|map| map[0].protected_bytes == 0 && map.len() > 1);
    assert!(long.count() > 0, "no clear range in two entries");
    assert_eq!(clip("he-aac").track().codecs(), "mp4a.40.5");
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
