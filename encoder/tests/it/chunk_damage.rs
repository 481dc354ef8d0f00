//! A chunk that lacks pictures is never published, although as many come out as were planned.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::lab::{Lab, ffmpeg, films, from_sample};
use crate::service::{job, quick, submit};

/// A script in place of ffmpeg or ffprobe.
fn script(lab: &Lab, name: &str, text: &str) -> PathBuf {
    let path = lab.path(name);
    fs::write(&path, format!("#!/bin/bash\n{text}\nexec {} \"$@\"\n", &name[4..])).unwrap();
    // Where we are root, ffmpeg is somebody else.
    for path in [&lab.path(""), &path] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    path
}

/// Nine seconds, a key frame in each.
fn film(name: &str, options: &str, damage: Option<usize>) -> PathBuf {
    let film = films().join(name);
    let picture = "testsrc2=size=160x96:rate=24:duration=9,noise=alls=20:allf=t";
    let args = ["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "veryfast", "-g", "24"];
    let options = Vec::from_iter(options.split(' '));
    ffmpeg(&[&args[..], &options, &[film.to_str().unwrap()]].concat());
    if let Some(percent) = damage {
        let mut bytes = fs::read(&film).unwrap();
        let at = bytes.len() * percent / 100;
        bytes[at..at + 20_000].fill(0);
        fs::write(&film, bytes).unwrap();
    }
    film
}

/// Its state and fault when it could not be made.
fn fails(lab: &Lab, film: &Path, env: &[(&str, &Path)]) -> (String, String) {
    let id = submit(lab, film, "film");
    let mut command = quick(lab, &["worker", "--drain"]);
    command.env("HEADWATER_ENCODER__QUEUE__FAILURES", "2").envs(env.iter().copied());
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    let made = job(lab, &id);
    assert!(lab.pointer("film").is_none(), "{made:#}");
    (made["state"].to_string(), made["fault"].to_string())
}

#[test]
fn damage_is_not_forgiven_where_it_cannot_be_looked_at() {
    let film = film("damaged.mp4", "-movflags +faststart", Some(60));
    let lab = Lab::new();
    let (state, fault) = fails(&lab, &film, &[]);
    assert_eq!(state, "\"failed\"");
    assert!(fault.contains("stream 0 (video, h264 160x96) is damaged at "), "{fault}");
    let lab = Lab::new();
    let dies = "case \" $* \" in *' -show_log '*) exit 1;; esac";
    let ffprobe = script(&lab, "the-ffprobe", dies);
    let (state, fault) = fails(&lab, &film, &[("HEADWATER_ENCODER__FFPROBE", &ffprobe)]);
    assert_eq!(state, "\"failed\"");
    assert!(fault.contains("ffprobe failed"), "{fault}");
    // It ends well and has seen nothing.
    let lab = Lab::new();
    let blind = "case \" $* \" in *' -show_log '*) exit 0;; esac";
    let ffprobe = script(&lab, "the-ffprobe", blind);
    let (state, fault) = fails(&lab, &film, &[("HEADWATER_ENCODER__FFPROBE", &ffprobe)]);
    assert_eq!(state, "\"failed\"");
    assert!(fault.contains("nothing is seen behind"), "{fault}");
}

#[test]
fn a_frame_that_another_stands_in_for_is_missed() {
    let varying = "-vf select=mod(n+1\\,7) -fps_mode vfr";
    let film = film("holes.mkv", varying, None);
    let lab = Lab::new();
    // One frame fails to decode, in silence, and fps repeats the one before.
    let lacks = "args=(); for a in \"$@\"; do args+=(\"${a/showinfo=/select=lt(n\\\\\\,40)+gt(n\\\\\\,40),showinfo=}\"); done\nexec ffmpeg \"${args[@]}\"";
    let path = script(&lab, "the-ffmpeg", lacks);
    let (state, fault) = fails(&lab, &film, &[("HEADWATER_ENCODER__FFMPEG", &path)]);
    assert_eq!(state, "\"failed\"");
    assert!(fault.contains("frames from 0.000 to 2.000 s could be decoded"), "{fault}");
}

/// A track that is passed through is made again after a fault that passes, and left out, with a word in the
/// title's facts, where ffmpeg always fails. What its task finds out is in the facts as well.
#[test]
fn a_passing_fault_costs_no_track() {
    let film = from_sample("dolby.mkv", &["-c:v", "copy", "-c:a", "ac3", "-af", "atrim=0:4"]);
    for (stops, is_there) in [("mkdir FOLDER/once 2>/dev/null && exit 1", true), ("exit 1", false)]
    {
        let lab = Lab::new();
        let folder = lab.path("").display().to_string();
        let fails = format!(
            "case \" $* \" in *' -c copy '*) {};; esac",
            stops.replace("FOLDER", folder.trim_end_matches('/'))
        );
        let ffmpeg = script(&lab, "the-ffmpeg", &fails);
        fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        let toml = format!(
            "[encoder]\nffmpeg = \"{}\"\n[encoder.recipes.wish]\n\
             ladder = [{{ height = 180, max_bitrate_kbps = 400, crf = 30 }}]\n\
             audio = [{{ codec = \"aac\" }}, {{ codec = \"dolby\" }}]\n\
             [[encoder.rules]]\nrecipe = \"wish\"\n",
            ffmpeg.display()
        );
        let config = lab.path("headwater.toml");
        fs::write(&config, toml).unwrap();
        let id = submit(&lab, &film, "film");
        let mut worker = quick(&lab, &["worker", "--drain", "--config", config.to_str().unwrap()]);
        worker.env("HEADWATER_ENCODER__QUEUE__FAILURES", "2");
        assert_eq!(worker.output().unwrap().status.code(), Some(0));
        assert_eq!(job(&lab, &id)["state"], "published", "{stops}: {:#}", job(&lab, &id));
        let live = lab.live("film");
        let has_it = live.tracks().iter().any(|track| track.id().to_string() == "a-und-ac3");
        assert_eq!(has_it, is_there, "{stops}");
        let facts = fs::read_to_string(lab.live_file("film", "facts.json")).unwrap();
        assert_eq!(facts.contains("is not passed through: "), !is_there, "{stops}: {facts}");
        assert_eq!(facts.contains(" ms before the picture"), is_there, "{stops}: {facts}");
        assert!(facts.contains("made in 2 chunks"), "{facts}");
    }
}
