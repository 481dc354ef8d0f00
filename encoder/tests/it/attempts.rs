//! What `encode` does when a part of its work fails: ffmpeg's fault is mended by another attempt and told
//! of, what is wrong with the source ends it at once, and the clock of another machine hinders nobody.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use headwater_packager::ids::VersionId;
use headwater_packager::stored::{self, Pointer};

use crate::lab::{Lab, Run, sample};

/// Encodes the sample with an ffmpeg that does this before it encodes a chunk's pictures.
fn with_chunks_that(lab: &Lab, first: &str) -> Run {
    let path = lab.path("ffmpeg.sh");
    let script = format!(
        "#!/bin/bash\ncase \" $* \" in *' -map [v0] '*) {first};; esac\nexec ffmpeg \"$@\"\n"
    );
    fs::write(&path, script).unwrap();
    // Where we are root, ffmpeg is somebody else.
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let program = [("HEADWATER_ENCODER__FFMPEG", path.to_str().unwrap())];
    lab.run_with(&["encode", sample().to_str().unwrap(), "--title", "film"], &program)
}

/// How often it was tried again, as it said.
fn again(run: &Run) -> usize {
    run.notices().iter().filter(|notice| notice.contains(" failed and is tried again (")).count()
}

#[test]
fn a_chunk_that_fails_is_made_again_and_told_of() {
    let lab = Lab::new();
    let [once, jobs, seen] =
        ["once", "store/jobs", "seen"].map(|name| lab.path(name).display().to_string());
    let looks = format!("[ -e {jobs} ] && mkdir {seen}");
    let run = with_chunks_that(&lab, &format!("{looks}; mkdir {once} 2>/dev/null && exit 3"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(again(&run), 1, "{run:?}");
    assert!(run.notices().iter().any(|n| n.contains("(1 of 3 times): ffmpeg failed")), "{run:?}");
    lab.live("film");
    assert!(!lab.path("seen").exists(), "what is unfinished never reaches the store");
    assert_eq!((lab.parts(), lab.work()), (Vec::new(), Vec::new()));
}

#[test]
fn what_always_fails_is_tried_three_times() {
    let lab = Lab::new();
    let run = with_chunks_that(&lab, "exit 3");
    assert_eq!(run.code, Some(5), "{run:?}");
    // Of two chunks, the first that is given up ends it.
    assert!((2..=4).contains(&again(&run)), "{run:?}");
    assert!(run.notices().iter().any(|note| note.contains("(2 of 3 times)")), "{run:?}");
    assert!(run.error().starts_with("ffmpeg failed (exit status: 3)"), "{run:?}");
    lab.assert_untouched();
}

#[test]
fn a_damaged_source_ends_it_at_once() {
    let lab = Lab::new();
    let complains = "echo '[error] Error while decoding stream #0:0: Invalid data' >&2";
    let damaged =
        "*' -show_log '*) echo 'frame|stream_index=0|pts_time=1.0|log|context=h264|message=x'";
    let ffprobe = lab.path("ffprobe.sh");
    let script = format!(
        "#!/bin/bash\ncase \" $* \" in {damaged}; echo 'frame|stream_index=0|pts_time=9.0'; exit 0;; esac\n\
         exec ffprobe \"$@\"\n"
    );
    fs::write(&ffprobe, script).unwrap();
    let ffmpeg = lab.path("ffmpeg.sh");
    let script = format!(
        "#!/bin/bash\ncase \" $* \" in *' -map [v0] '*) {complains};; esac\nexec ffmpeg \"$@\"\n"
    );
    fs::write(&ffmpeg, script).unwrap();
    for path in [lab.path(""), ffprobe.clone(), ffmpeg.clone()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let programs = [
        ("HEADWATER_ENCODER__FFPROBE", ffprobe.to_str().unwrap()),
        ("HEADWATER_ENCODER__FFMPEG", ffmpeg.to_str().unwrap()),
    ];
    let run = lab.run_with(&["encode", sample().to_str().unwrap(), "--title", "film"], &programs);
    assert_eq!((run.code, again(&run)), (Some(4), 0), "{run:?}");
    let words = "stream 0 (video, h264 320x180) is damaged at 1.000 s: ";
    assert!(run.error().starts_with(words), "{run:?}");
    lab.assert_untouched();
}

/// A version that a machine made whose clock is ahead is displaced like any other.
#[test]
fn a_version_of_tomorrow_is_displaced() {
    let lab = Lab::new();
    let tomorrow = VersionId::from_u128(u128::from(u64::MAX) << 60);
    let key = lab.store().join(stored::pointer_key(&"film".parse().unwrap()));
    fs::create_dir_all(key.parent().unwrap()).unwrap();
    fs::write(&key, Pointer::to_live(tomorrow, None).to_json()).unwrap();
    lab.encode(sample(), "film");
    assert!(lab.pointer("film").unwrap().live.unwrap() > tomorrow);
    lab.live("film");
}

/// It was written while this one was made, by somebody who did not ask for the title's lease.
#[test]
fn a_later_version_that_came_meanwhile_stays() {
    let lab = Lab::new();
    let later = VersionId::from_u128(u128::from(u64::MAX) << 60);
    let json = Pointer::to_live(later, None).to_json();
    fs::write(lab.path("later.json"), json).unwrap();
    let key = lab.store().join(stored::pointer_key(&"film".parse().unwrap()));
    let folder = key.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    let came = format!("cp {} {}", lab.path("later.json").display(), key.display());
    let run = with_chunks_that(&lab, &came);
    assert_eq!(run.code, Some(6), "{run:?}");
    let words = format!("film got a later version meanwhile, {later}, which stays");
    assert!(run.error().starts_with(&words), "{run:?}");
    assert_eq!(lab.pointer("film").unwrap().live, Some(later));
    assert_eq!(lab.work(), Vec::<String>::new());
}
