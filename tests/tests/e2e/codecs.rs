//! The codec strings of all codecs (RFC 6381), said by others: Shaka Packager works them out of the file
//! that ffmpeg wrote, and mp4-atom reads the configuration in our init segment, from which they are put
//! together here.

use std::fmt::Write as _;
use std::fs;

use headwater_tests::fragments::Init;
use headwater_tests::{measured, run, scratch, skip};
use mp4_atom::{Av1c, Codec, Hvcc};

use crate::ciphers::{CLIPS, clips};
use crate::protected::shaka_packager;

#[test]
fn codec_strings_are_those_of_mp4_atom() {
    for ((name, ..), clip) in CLIPS.iter().zip(clips()) {
        let init = Init::read(&clip.clear().0);
        let [codec] = &init.moov.trak[0].mdia.minf.stbl.stsd.codecs[..] else {
            panic!("{name}: one sample entry")
        };
        let theirs = match codec {
            Codec::Avc1(avc1) => {
                let avcc = &avc1.avcc;
                let compatibility = avcc.profile_compatibility;
                let profile = avcc.avc_profile_indication;
                format!("avc1.{profile:02X}{compatibility:02X}{:02X}", avcc.avc_level_indication)
            }
            Codec::Hvc1(hvc1) => hevc(&hvc1.hvcc),
            Codec::Av01(av01) => av1(&av01.av1c),
            Codec::Mp4a(mp4a) => {
                let specific = mp4a.esds.es_desc.dec_config.dec_specific.as_ref();
                // It sees the core of HE-AAC alone, which a string may say too, and ours does not.
                let object_type = specific.unwrap_or_else(|| panic!("{name}: no config")).profile;
                let said = if *name == "he-aac" { 5 } else { object_type };
                format!("mp4a.40.{said}")
            }
            Codec::Opus(_) => "opus".to_owned(),
            Codec::Ac3(_) => "ac-3".to_owned(),
            Codec::Eac3(_) => "ec-3".to_owned(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(clip.track().codecs(), theirs, "{name}");
    }
}

/// ISO/IEC 14496-15 E.3.
fn hevc(hvcc: &Hvcc) -> String {
    let flags = u32::from_be_bytes(hvcc.general_profile_compatibility_flags).reverse_bits();
    let tier = if hvcc.general_tier_flag { 'H' } else { 'L' };
    let (profile, level) = (hvcc.general_profile_idc, hvcc.general_level_idc);
    let mut said = format!("hvc1.{profile}.{flags:X}.{tier}{level}");
    let constraints = &hvcc.general_constraint_indicator_flags;
    let count = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..count] {
        write!(said, ".{byte:X}").unwrap();
    }
    said
}

/// AV1 in ISOBMFF 5, its optional end left out where a reader takes the same for granted.
fn av1(av1c: &Av1c) -> String {
    let bits = match (av1c.high_bitdepth, av1c.twelve_bit) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let tier = if av1c.seq_tier_0 { 'H' } else { 'M' };
    format!("av01.{}.{:02}{tier}.{bits:02}", av1c.seq_profile, av1c.seq_level_idx_0)
}

#[test]
fn codec_strings_are_those_of_shaka_packager() {
    let Some(packager) = shaka_packager() else {
        return skip::skip("Shaka Packager is not here: `.ci/setup long` installs it");
    };
    let folder = scratch::folder();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for ((name, ..), clip) in CLIPS.iter().zip(clips()) {
        let kind = if clip.track().is_video() { "video" } else { "audio" };
        let mut command = run::command(&packager);
        let (input, output) = (clip.file.display(), at("out.mp4"));
        command.arg(format!("in={input},stream={kind},output={output}"));
        run::succeed(command.args(["--mpd_output", &at("their.mpd")]));
        let mpd = fs::read_to_string(at("their.mpd")).unwrap();
        let (_, rest) = mpd.split_once(" codecs=\"").unwrap_or_else(|| panic!("{name}: {mpd}"));
        let (theirs, _) = rest.split_once('"').unwrap();
        let ours = clip.track().codecs();
        assert!(same(ours, theirs), "{name}: {ours}, Shaka Packager says {theirs}");
    }
    measured(format_args!("codec strings equal to Shaka Packager's: {}", CLIPS.len()));
}

/// Upper and lower case are the same in hexadecimal digits, and trailing fields of their defaults may be left out.
fn same(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (ours.to_ascii_lowercase(), theirs.to_ascii_lowercase());
    ours == theirs || (ours.starts_with("av01.") && theirs.starts_with(&format!("{ours}.")))
}
