//! A source's own pictures as the top rung: byte for byte, and told by nothing else from an encoded rung; or
//! encoded, for a reason that is said.

use std::path::Path;

use serde_json::Value;

use crate::bar;
use crate::captions::with_captions;
use crate::lab::{Lab, ffmpeg, ffprobe, films, from_sample};
use crate::service::{job, quick, submit, tracks};

/// The sample's own size on top.
const LADDER: &str =
    "[{height=180,max_bitrate_kbps=900,crf=23},{height=144,max_bitrate_kbps=600,crf=23}]";

const ENV: [(&str, &str); 3] = [
    ("HEADWATER_ENCODER__COPY_TOP_RUNG", "true"),
    ("HEADWATER_ENCODER__LADDER", LADDER),
    ("HEADWATER_ENCODER__PRESET", "ultrafast"),
];

const X264: &str = "-map 0 -c:a copy -c:v libx264 -preset veryfast -bf 2";
/// Key frames at each whole second: at each start of a fragment, and between two.
const GOPS: &str = "-g 24 -keyint_min 24 -sc_threshold 0";
const HD: &str = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv";

/// A film made of the sample by these options of ffmpeg.
fn film(name: &str, options: &[&str]) -> std::path::PathBuf {
    let options = options.join(" ");
    from_sample(name, &options.split(' ').filter(|o| !o.is_empty()).collect::<Vec<_>>())
}

/// Works on everything that was submitted.
fn worked(lab: &Lab) {
    let worked = quick(lab, &["worker", "--drain"]).envs(ENV).output().unwrap();
    assert_eq!(worked.status.code(), Some(0));
}

fn facts(lab: &Lab, title: &str) -> Value {
    let bytes = std::fs::read(lab.live_file(title, "facts.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn notices(facts: &Value) -> Vec<&str> {
    facts["notices"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// Of each packet of the picture its length and checksum.
fn packets(film: &Path) -> Vec<String> {
    let args = ["-i", film.to_str().unwrap(), "-map", "0:v:0", "-c", "copy", "-f", "framemd5", "-"];
    let printed = String::from_utf8(ffmpeg(&args)).unwrap();
    let lines = printed.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(',').skip(4).collect::<Vec<_>>().join(" ")).collect()
}

/// When each picture is shown, from the first on, in order: ffprobe shifts all by how far they are reordered.
fn times(film: &Path) -> Vec<u64> {
    let args = ["-select_streams", "v:0", "-show_entries", "packet=pts", "-of", "csv=p=0"];
    let printed = ffprobe(&[&args[..], &[film.to_str().unwrap()]].concat());
    let times = printed.lines().filter_map(|line| line.split(',').next()?.parse().ok());
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times.iter().map(|time| time - times[0]).collect()
}

#[test]
fn fit_pictures_are_taken_as_they_are() {
    let lab = Lab::new();
    let all = [
        ("fit.mp4", film("fit.mp4", &[X264, GOPS, HD])),
        // Times in milliseconds, from half a second on.
        ("fit.mkv", film("fit.mkv", &[X264, GOPS, HD, "-output_ts_offset 0.5"])),
        ("long.mp4", film("long.mp4", &[X264, "-g 48 -keyint_min 48 -sc_threshold 0", HD])),
    ];
    let submitted = all.each_ref().map(|(name, film)| submit(&lab, film, &name.replace('.', "-")));
    worked(&lab);
    for ((name, film), id) in all.iter().zip(submitted) {
        let (title, made) = (name.replace('.', "-"), job(&lab, &id));
        assert_eq!(
            (&made["state"], &made["failures"]),
            (&"published".into(), &0.into()),
            "{made:#}"
        );
        let facts = facts(&lab, &title);
        let said = notices(&facts);
        assert!(!said.iter().any(|said| said.contains("not copied")), "{name}: {said:?}");
        let (top, below) = (&facts["recipe"]["rungs"][0], &facts["recipe"]["rungs"][1]);
        assert_eq!((&top["track"], &top["copied"]), (&"v180".into(), &0.into()), "{facts:#}");
        assert_eq!((&below["track"], &below["copied"]), (&"v144".into(), &Value::Null));
        let (own, encoded) = (lab.live_file(&title, "v180.mp4"), lab.live_file(&title, "v144.mp4"));
        assert_eq!(packets(&own), packets(film), "{name}");
        assert_eq!(times(&own), times(&encoded), "{name}");
        bar::assert_codes(&own, 0..120);
        let live = lab.live(&title);
        let ids: Vec<_> = live.tracks().iter().map(|track| track.id().to_string()).collect();
        assert_eq!(ids, ["v180", "v144", "a-und"], "{name}");
        let (own, encoded) = (&live.tracks()[0], &live.tracks()[1]);
        assert_eq!((own.timescale(), own.fragments()), (encoded.timescale(), 3), "{name}");
        assert!(own.is_independent() && own.codecs().starts_with("avc1.64"), "{}", own.codecs());
        for (own, encoded) in own.rows(0..3).zip(encoded.rows(0..3)) {
            assert_eq!(own.duration_ticks, encoded.duration_ticks, "{name}");
            assert_eq!(own.samples, encoded.samples, "{name}");
        }
        let verified = lab.run(&["verify", &title]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }
    // `encode` makes the same.
    let (_, film) = &all[0];
    let run = lab.run_with(&["encode", film.to_str().unwrap(), "--title", "alone"], &ENV);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(tracks(&lab, "alone") == tracks(&lab, "fit-mp4"));
    // Nobody asked for it.
    let run = lab.run_with(&["probe", film.to_str().unwrap()], &ENV[1..]);
    assert!(run.code == Some(0) && !run.out.contains("as it is in the source"), "{run:?}");
    let run = lab.run_with(&["probe", film.to_str().unwrap()], &ENV);
    assert!(run.out.contains("320x180 as it is in the source"), "{run:?}");
}

/// The film with its sample entry twice, as an editor leaves it that joined two clips.
fn described_twice(film: &str) -> std::path::PathBuf {
    let mut bytes = std::fs::read(film).unwrap();
    // Its moov is at the end: nothing that lies behind is pointed to.
    let mut at = bytes.windows(4).rposition(|kind| kind == b"moov").unwrap() - 4;
    let mut around = Vec::new();
    for kind in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"] {
        at += bytes[at..].windows(4).position(|found| found == kind).unwrap() - 4;
        around.push(at);
    }
    let size = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let added = size(&bytes, around.pop().unwrap());
    let entry = bytes[at..at + added as usize].to_vec();
    for outer in &around {
        let size = size(&bytes, *outer) + added;
        bytes[*outer..outer + 4].copy_from_slice(&size.to_be_bytes());
    }
    // entry_count stands before the first.
    bytes[at - 4..at].copy_from_slice(&2_u32.to_be_bytes());
    bytes.splice(at..at, entry);
    let film = films().join("joined.mp4");
    std::fs::write(&film, bytes).unwrap();
    film
}

#[test]
fn unfit_pictures_are_encoded_and_the_reason_is_said() {
    let lab = Lab::new();
    let open = "-x264-params open-gop=1:keyint=24:min-keyint=24:scenecut=0";
    let sets = "-x264-params repeat-headers=1";
    let table: [(&str, &[&str], &str); 14] = [
        ("codec.mp4", &["-c:v mpeg4 -q:v 4 -g 24", HD], "it is mpeg4, not H.264"),
        (
            "stream.ts",
            &[X264, GOPS, HD],
            "parameter sets stand among the pictures of its container",
        ),
        ("deep.mp4", &[X264, GOPS, HD, "-pix_fmt yuv420p10le"], "its samples are yuv420p10le"),
        ("full.mp4", &[X264, GOPS, "-pix_fmt yuvj420p"], "not yuv420p of limited range"),
        (
            "fields.mp4",
            &[X264, GOPS, HD, "-flags +ildct+ilme -vf setfield=tff -top 1"],
            "it is interlaced",
        ),
        ("untold.mp4", &[X264, GOPS], "it does not say what its colours are"),
        ("wide.mp4", &[X264, GOPS, HD, "-vf setsar=4/3"], "its pixels are of shape 4:3"),
        (
            "large.mp4",
            &[X264, GOPS, HD, "-vf scale=400:226,setsar=1"],
            "it is 400x226, and v180 is 318x180",
        ),
        (
            "varying.mp4",
            &[X264, GOPS, HD, "-vf select=mod(n+1\\,7) -fps_mode vfr"],
            "its rate varies",
        ),
        (
            "rare.mp4",
            &[X264, "-g 250", HD],
            "its picture at 2.000 s, where it is to be cut, is no key frame",
        ),
        ("open.mkv", &[X264, open, HD], "an open GOP"),
        ("fat.mp4", &[X264, GOPS, HD, "-qp 1"], "its busiest group of pictures has "),
        // What its bitstream alone tells.
        ("sets.mp4", &[X264, GOPS, HD, sets], "parameter sets stand among its pictures"),
        ("level.mp4", &[X264, GOPS, HD, "-level 5.1"], "its level is 51, at most 41"),
    ];
    let made = |(name, options, reason)| (name, film(name, options), reason);
    let mut all = Vec::from(table.map(made));
    // What a container alone says of pictures that are fit.
    let upright = film("upright.mp4", &[X264, GOPS, HD]);
    let upright = upright.to_str().unwrap();
    let boxes: [(&str, &[&str], &str); 2] = [
        ("turned.mp4", &["-i", upright, "-metadata:s:v:0", "rotate=90"], "it is to be turned"),
        ("hidden.mp4", &["-ss", "0.5", "-i", upright], "of its 120 packets 108 are pictures"),
    ];
    all.push(("joined.mp4", described_twice(upright), "its pictures have 2 sample entries"));
    let told = films().join("told.h264");
    let plain = [
        "-i", upright, "-map", "0:v", "-c:v", "libx264", "-bf", "0", "-g", "24", "-f", "h264", "-",
    ];
    std::fs::write(&told, with_captions(&ffmpeg(&plain))).unwrap();
    let told = ["-r", "24", "-i", told.to_str().unwrap()];
    let boxes = boxes.into_iter().chain([("told.mp4", &told[..], "it carries captions")]);
    for (name, options, reason) in boxes {
        let film = films().join(name);
        ffmpeg(&[options, &["-c", "copy", film.to_str().unwrap()]].concat());
        all.push((name, film, reason));
    }
    let submitted = all
        .into_iter()
        .map(|(name, film, reason)| (name, reason, submit(&lab, &film, &name.replace('.', "-"))));
    let submitted = Vec::from_iter(submitted);
    worked(&lab);
    let mut wrong = Vec::new();
    for (name, reason, id) in submitted {
        let (title, made) = (name.replace('.', "-"), job(&lab, &id));
        if made["state"] != "published" || made["failures"] != 0 {
            wrong.push(format!("{name}: {made:#}"));
            continue;
        }
        let facts = facts(&lab, &title);
        let said = notices(&facts);
        let is_said = |said: &str| said.contains("not copied: ") && said.contains(reason);
        if said.iter().filter(|said| said.contains("not copied: ")).count() != 1
            || !said.iter().copied().any(is_said)
        {
            wrong.push(format!("{name}: {said:?}"));
        }
        let rungs = facts["recipe"]["rungs"].as_array().unwrap();
        let live = lab.live(&title);
        let pictures = live.tracks().iter().filter(|t| t.id().to_string().starts_with('v')).count();
        if rungs.iter().any(|rung| !rung["copied"].is_null()) || (pictures, rungs.len()) != (2, 2) {
            wrong.push(format!("{name}: {rungs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn damage_is_found_although_nothing_of_the_top_rung_is_decoded() {
    let whole = film("whole.mp4", &[X264, GOPS, HD, "-movflags +faststart"]);
    let mut bytes = std::fs::read(&whole).unwrap();
    let at = bytes.len() / 2;
    bytes[at..at + 3_000].fill(0);
    let damaged = whole.with_file_name("broken.mp4");
    std::fs::write(&damaged, bytes).unwrap();
    let lab = Lab::new();
    let run = lab.run_with(&["encode", damaged.to_str().unwrap(), "--title", "film"], &ENV);
    assert_eq!(run.code, Some(4), "{run:?}");
    lab.assert_untouched();
}
