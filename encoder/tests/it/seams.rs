//! What cutting into chunks costs: at each seam the GOP behind it keeps the cap of its rendition, and is as
//! good as the same GOP of one pass, both against the source.

use std::path::{Path, PathBuf};

use headwater_packager::title::Track;
use serde_json::Value;

use crate::lab::{Lab, ffmpeg, ffprobe, films};
use crate::service::{job, quick, submit};

/// Worse than in one pass by no more.
const WORSE_DB: f64 = 0.5;

/// Where one pass takes more than this share of the cap, its buffer was fuller than the half that a chunk
/// begins with: what keeps the cap costs more there.
const FULL: f64 = 0.75;
/// Worse there by no more.
const FULL_WORSE_DB: f64 = 1.25;

/// Real footage where it is there, made pictures otherwise.
fn film(footage: &Path) -> PathBuf {
    let film = films().join("seams.mkv");
    let noise = "testsrc2=size=854x480:rate=24:duration=16,noise=alls=12:allf=t";
    let input = match footage.exists() {
        true => vec!["-i", footage.to_str().unwrap(), "-an", "-t", "16", "-vf", "scale=854:480"],
        false => vec!["-f", "lavfi", "-i", noise],
    };
    let codec = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", film.to_str().unwrap()];
    ffmpeg(&[&input[..], &codec].concat());
    film
}

/// The likeness of a run of frames to the source's, in dB, GOP by GOP.
fn likeness(track: &Path, source: &Path, log: &Path, gop: usize) -> Vec<f64> {
    let size = ffprobe(&[
        "-show_entries",
        "stream=width,height",
        "-of",
        "csv=p=0:s=x",
        track.to_str().unwrap(),
    ]);
    let size = size.trim().replace('x', ":");
    let filter = format!(
        "[1:v]scale={size}:flags=bicubic,settb=1/24,setpts=N[s];[0:v]settb=1/24,setpts=N[t];\
         [t][s]psnr=shortest=1:stats_file={}",
        log.display()
    );
    let inputs = ["-i", track.to_str().unwrap(), "-i", source.to_str().unwrap()];
    ffmpeg(&[&inputs[..], &["-lavfi", &filter, "-f", "null", "-"]].concat());
    let stats = std::fs::read_to_string(log).unwrap();
    let error = |line: &str| -> f64 {
        line.split(' ').find_map(|field| field.strip_prefix("mse_avg:")).unwrap().parse().unwrap()
    };
    let errors: Vec<f64> = stats.lines().map(error).collect();
    let of = |run: &[f64]| {
        let mean = run.iter().sum::<f64>() / f64::from(u32::try_from(run.len()).unwrap());
        10.0 * (255.0 * 255.0 / mean.max(1e-3)).log10()
    };
    errors.chunks(gop).map(of).collect()
}

fn kbps_of(track: &Track, fragment: u64) -> f64 {
    let row = track.row(u32::try_from(fragment).unwrap());
    let seconds = f64::from(row.duration_ticks) / f64::from(track.timescale());
    f64::from(row.size_bytes) * 8.0 / 1000.0 / seconds
}

#[test]
fn a_seam_keeps_its_cap_and_is_as_good_as_in_one_pass() {
    if std::env::var_os("HEADWATER_TEST_LONG").is_none() {
        println!("skipped: seams are compared with HEADWATER_TEST_LONG=1");
        return;
    }
    let footage = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/bbb-1080p.mp4");
    if !footage.exists() {
        println!("skipped: there is no {}: made pictures instead", footage.display());
    }
    let film = film(&footage);
    let lab = Lab::new();
    let id = submit(&lab, &film, "cut");
    let worked = quick(&lab, &["worker", "--drain"]).output().unwrap();
    assert_eq!(worked.status.code(), Some(0));
    lab.encode(&film, "whole");
    let made = job(&lab, &id);
    let chunks =
        made["task_list"].as_array().unwrap().iter().filter(|task| task["kind"] == "chunk");
    let seams: Vec<u64> = chunks.map(|task| task["first_fragment"].as_u64().unwrap()).collect();
    assert!(seams.len() > 3, "{made:#}");
    let facts = std::fs::read(lab.live_file("cut", "facts.json")).unwrap();
    let facts: Value = serde_json::from_slice(&facts).unwrap();
    let gop = usize::try_from(facts["recipe"]["gop_frames"].as_u64().unwrap()).unwrap();
    let (cut, whole) = (lab.live("cut"), lab.live("whole"));
    let (mut worst_db, mut fullest) = (f64::NEG_INFINITY, 0.0_f64);
    for rung in facts["recipe"]["rungs"].as_array().unwrap() {
        let (name, cap_kbps) =
            (rung["track"].as_str().unwrap(), rung["max_kbps"].as_f64().unwrap());
        let of = |title: &str| {
            let track = lab.live_file(title, &format!("{name}.mp4"));
            likeness(&track, &film, &lab.path("psnr.log"), gop)
        };
        let (in_cut, in_whole) = (of("cut"), of("whole"));
        assert_eq!(in_cut.len(), in_whole.len(), "{name}");
        let track = cut.tracks().iter().find(|track| track.id().to_string() == name).unwrap();
        let other = whole.tracks().iter().find(|track| track.id().to_string() == name).unwrap();
        assert_eq!(track.fragments(), other.fragments(), "{name}");
        let of = |row: &headwater_packager::heads::Row| (row.duration_ticks, row.samples);
        assert!(
            track
                .rows(0..track.fragments())
                .map(|row| of(&row))
                .eq(other.rows(0..other.fragments()).map(|row| of(&row)))
        );
        for &seam in &seams {
            let kbps = kbps_of(track, seam);
            fullest = fullest.max(kbps / cap_kbps);
            assert!(kbps <= cap_kbps, "{name}: fragment {seam} has {kbps:.0} kbit/s of {cap_kbps}");
            let at = usize::try_from(seam).unwrap();
            let worse_db = in_whole[at] - in_cut[at];
            worst_db = worst_db.max(worse_db);
            let bound_db = match kbps_of(other, seam) > FULL * cap_kbps {
                true => FULL_WORSE_DB,
                false => WORSE_DB,
            };
            assert!(
                worse_db <= bound_db,
                "{name}: fragment {seam} has {:.2} dB, in one pass {:.2}",
                in_cut[at],
                in_whole[at]
            );
        }
    }
    println!(
        "measured: {} seams: the worst is {worst_db:.2} dB below one pass, the fullest has {fullest:.2} of its cap",
        seams.len()
    );
}
