//! Sound that is committed run by run while its ffmpeg goes on: the bytes are those of one piece, also
//! where an attempt begins behind another one's end.

use std::fs::{self, File, Permissions};
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use headwater_encoder::audio::{AudioGrid, Frames, SAMPLE_RATE};
use headwater_encoder::cancel;
use headwater_encoder::chunks::{self, Lengths};
use headwater_encoder::grid::{Grid, Rate};
use headwater_encoder::plan::raw_name;
use headwater_encoder::remux::{self, Made, Runs, Sound, Written};
use headwater_packager::heads::Role;
use headwater_packager::ids::TrackId;
use serde_json::Value;

use crate::lab::{Lab, ffmpeg, films};
use crate::service::{drained, job, quick, submit, tracks, wait_until};

/// 40 s of sound as ffmpeg writes it, as `track`'s file in `folder`.
fn raw_sound(folder: &Path, track: &TrackId, grid: &AudioGrid) -> PathBuf {
    let raw = folder.join(raw_name(track));
    fs::create_dir(raw.parent().unwrap()).unwrap();
    let noise = format!("anoisesrc=r={SAMPLE_RATE}:seed=1:d=50,aformat=channel_layouts=stereo");
    let end = format!("atrim=end_sample={}", grid.end_sample());
    let input = ["-f", "lavfi", "-i", &noise, "-af", &end];
    let codec = ["-c:a", "aac", "-profile:a", "aac_low", "-b:a", "128k", "-fflags", "+bitexact"];
    let file = ["-f", "mp4", "-movflags", "+cmaf", "-use_editlist", "0"];
    let last = ["-frag_duration", "2000000", raw.to_str().unwrap()];
    ffmpeg(&[&input[..], &codec, &file, &last].concat());
    raw
}

/// Where each moof of a file begins and ends.
fn moofs(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let end = at + usize::try_from(size).unwrap();
        if &bytes[at + 4..at + 8] == b"moof" {
            found.push(at..end);
        }
        at = end;
    }
    found
}

/// A file grows, and the sizes of what is not closed are filled in late: nothing is read before.
#[test]
fn runs_of_a_growing_file_are_the_track() {
    let (_canceller, cancel) = cancel::pair();
    let folder = tempfile::tempdir().unwrap();
    let track: TrackId = "a-und".parse().unwrap();
    let grid = Grid::new(Rate::parse("24").unwrap(), 40 * 24, 2_000);
    let sound_grid = AudioGrid::new(&grid, Frames::AAC);
    let raw = raw_sound(folder.path(), &track, &sound_grid);
    let bytes = fs::read(&raw).unwrap();
    let sound = Sound {
        track: &track,
        language: None,
        role: Role::Main,
        grid: &sound_grid,
        gap_ticks: 0,
        dropped_frames: 1,
        may_be_longer: false,
    };
    let whole = remux::sound(folder.path(), sound, |_| Ok(()), &cancel, &mut || ()).unwrap();
    let found = moofs(&bytes);
    assert!(found.len() > 10, "{found:?}");
    fs::remove_file(&raw).unwrap();
    let open = |is_over| Written::open(folder.path(), &track, is_over).unwrap();
    assert!(open(false).is_none(), "it is not there");
    let growing = File::create_new(&raw).unwrap();
    assert!(open(false).is_none(), "it is empty");
    let spans = chunks::cut(&grid, &Lengths::of_sound());
    let ends: Vec<u32> = spans.iter().map(|span| span.fragments.end).collect();
    assert_eq!(ends, [1, 3, 7, 15, 20]);
    let mut runs: Option<Runs> = None;
    let mut made: Vec<(Made, u32, usize)> = Vec::new();
    // Looked at within a moof, within its mdat, anywhere.
    let mut lens: Vec<usize> = (0..bytes.len()).step_by(7_001).chain([bytes.len()]).collect();
    lens.extend(found.iter().flat_map(|moof| [moof.end - 1, moof.end, moof.end + 9]));
    lens.sort_unstable();
    for len in lens {
        let mut there = bytes[..len].to_vec();
        if let Some(open) = found.iter().find(|moof| (moof.start + 8..moof.end).contains(&len)) {
            there[open.start..open.start + 4].fill(0);
        }
        growing.write_all_at(&there, 0).unwrap();
        if runs.is_none()
            && let Some(written) = open(false)
        {
            assert_eq!(written.delay_ticks(), 0);
            let place = (folder.path(), "sound-0-1".to_owned(), ends.clone());
            runs = Some(Runs::new(written, sound, place, |_| Ok(())).unwrap());
        }
        while let Some((run, end)) =
            runs.as_mut().and_then(|runs| runs.next(false, &cancel).unwrap())
        {
            made.push((run, end, len));
        }
    }
    let mut runs = runs.unwrap();
    assert_eq!(made.len(), 4, "what follows the last one is not known");
    assert!(made[0].2 < bytes.len() / 8 && made[2].2 < bytes.len() / 2, "each when it is closed");
    let (run, end) = runs.next(true, &cancel).unwrap().unwrap();
    made.push((run, end, bytes.len()));
    assert!(runs.is_done() && runs.next(true, &cancel).unwrap().is_none());
    let object = whole.object();
    let media =
        &fs::read(&whole.path).unwrap()[usize::try_from(object.media_offset_bytes).unwrap()..];
    let pieces: Vec<u8> = made.iter().flat_map(|(run, ..)| fs::read(&run.path).unwrap()).collect();
    assert!(pieces == media, "byte for byte");
    let rows: Vec<_> = made.iter().flat_map(|(run, ..)| run.rows.clone()).collect();
    assert_eq!(rows, whole.rows);
    assert_eq!(made.iter().map(|(_, end, _)| *end).collect::<Vec<_>>(), ends);
    assert!(made.iter().all(|(run, ..)| run.init == whole.init));
    // One that ends too early is refused, and so is one that does not end.
    for (grid, dropped_frames) in [(&sound_grid, 2), (&sound_grid, 0)] {
        let sound = Sound { grid, dropped_frames, ..sound };
        let place = (folder.path(), "sound-0-2".to_owned(), vec![20]);
        let mut runs = Runs::new(open(true).unwrap(), sound, place, |_| Ok(())).unwrap();
        let error = runs.next(true, &cancel).unwrap_err().to_string();
        assert!(error.contains(" frames, got "), "{error}");
    }
}

/// 30 s: runs of 2, 4, 8 and 16 s.
fn film() -> &'static Path {
    static FILM: OnceLock<PathBuf> = OnceLock::new();
    FILM.get_or_init(make_film)
}

fn make_film() -> PathBuf {
    let film = films().join("runs.mp4");
    let pictures = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=24:duration=30"];
    let sound = ["-f", "lavfi", "-i", "anoisesrc=r=48000:seed=2:d=30"];
    let codec = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-shortest"];
    ffmpeg(&[&pictures[..], &sound, &codec, &[film.to_str().unwrap()]].concat());
    film
}

/// An ffmpeg that makes sound no faster than `rate` times its length, and these of its options others.
fn paced(lab: &Lab, rate: u32, other: &str) -> PathBuf {
    let script = lab.path(&format!("ffmpeg-{rate}"));
    let text = format!(
        "#!/bin/bash\ncase \" $* \" in *' -map [a0] '*) ;; *) exec ffmpeg \"$@\";; esac\n\
         args=()\nfor arg in \"$@\"; do\n\
         [ \"$arg\" = -i ] && args+=(-readrate {rate})\ncase \"$arg\" in {other} esac\n\
         args+=(\"$arg\")\ndone\nexec ffmpeg \"${{args[@]}}\"\n"
    );
    fs::write(&script, text).unwrap();
    // Where we are root, ffmpeg is somebody else.
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    script
}

fn worker(lab: &Lab, ffmpeg: &Path) -> Child {
    quick(lab, &["worker", "--drain"])
        .env("HEADWATER_ENCODER__FFMPEG", ffmpeg)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn sound(shown: &Value) -> Value {
    let tasks = shown["task_list"].as_array().unwrap();
    tasks.iter().find(|task| task["kind"] == "audio").unwrap().clone()
}

/// A worker that is killed when it has committed some of its sound; says how much.
fn killed(lab: &Lab, id: &str, ffmpeg: &Path) -> u64 {
    let mut worker = worker(lab, ffmpeg);
    wait_until("a run of sound", || {
        let shown = job(lab, id);
        let tasks = shown["task_list"].as_array().unwrap();
        tasks.iter().any(|task| {
            task["kind"] == "audio" && task["state"] == "leased" && task["reached"] != 0
        })
    });
    worker.kill().unwrap();
    worker.wait().unwrap();
    let sound = sound(&job(lab, id));
    let reached = sound["reached"].as_u64().unwrap();
    assert!((1..15).contains(&reached), "{sound:#}");
    reached
}

/// The bytes are those of a worker that nobody killed, and nothing is left over.
fn assert_is_as_in_a_quiet_run(lab: &Lab) {
    let quiet = Lab::new();
    submit(&quiet, film(), "film");
    drained(&quiet);
    assert!(tracks(lab, "film") == tracks(&quiet, "film"), "the same bytes");
    assert_eq!((lab.parts(), lab.work()), (Vec::new(), Vec::new()));
}

#[test]
fn sound_is_committed_while_it_is_made_and_goes_on_where_it_was() {
    let lab = Lab::new();
    let id = submit(&lab, film(), "film");
    let slow = paced(&lab, 3, "x) ;;");
    let reached = killed(&lab, &id, &slow);
    let there = |name: &str| lab.parts().iter().any(|part| part.contains(name));
    assert!(there("/sound-0-1.0.heads") && there("/sound-0-1.0.mp4"), "{:?}", lab.parts());
    let mut second = worker(&lab, &slow);
    wait_until("the next run", || sound(&job(&lab, &id))["reached"].as_u64() > Some(reached));
    let shown = sound(&job(&lab, &id));
    assert_eq!((&shown["state"], &shown["attempt"]), (&"leased".into(), &2.into()), "{shown:#}");
    assert!(there("/sound-0-1.0.heads") && !there("/sound-0-2.0."), "{:?}", lab.parts());
    assert_eq!(second.wait().unwrap().code(), Some(0));
    assert_eq!(job(&lab, &id)["state"], "published");
    assert_is_as_in_a_quiet_run(&lab);
}

/// The attempt before had tools that called themselves the same and were not.
#[test]
fn runs_that_differ_are_all_of_one_attempt() {
    let lab = Lab::new();
    let id = submit(&lab, film(), "film");
    killed(&lab, &id, &paced(&lab, 3, "128k|96k|64k) arg=48k;;"));
    let second = worker(&lab, &paced(&lab, 30, "x) ;;")).wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(", differs: run 0 is not what an attempt before made of it"), "{said}");
    assert_eq!(job(&lab, &id)["state"], "published", "{said}");
    assert_is_as_in_a_quiet_run(&lab);
}
