//! What goes wrong behind a task that is done: a part that is damaged or gone is made again, and a
//! publication that fails leaves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::lab::{Lab, sample};
use crate::service::{drained, job, quick, run, submit, tracks};

/// An ffmpeg that fails when it encodes pictures for the second time.
fn fails_once(lab: &Lab) -> PathBuf {
    let (script, ran) = (lab.path("ffmpeg-that-fails"), lab.path("ran"));
    fs::create_dir_all(&ran).unwrap();
    // Where we are root, ffmpeg is somebody else.
    for folder in [lab.path(""), ran.clone()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let text = format!(
        "#!/bin/bash\ncase \" $* \" in *v180.raw.mp4*) ;; *) exec ffmpeg \"$@\";; esac\n\
         mkdir {ran}/0 2>/dev/null && exec ffmpeg \"$@\"\n\
         mkdir {ran}/1 2>/dev/null && exit 1\nexec ffmpeg \"$@\"\n",
        ran = ran.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn task(shown: &Value, kind: &str, index: u64) -> Value {
    let tasks = shown["task_list"].as_array().unwrap();
    tasks.iter().find(|t| t["kind"] == kind && t["index"] == index).unwrap().clone()
}

#[test]
fn a_part_that_is_damaged_or_gone_is_made_again() {
    let quiet = Lab::new();
    submit(&quiet, sample(), "film");
    drained(&quiet);
    for (end, is_gone) in
        [(".v180.mp4", false), (".v180.mp4", true), (".heads", false), (".heads", true)]
    {
        let lab = Lab::new();
        let script = fails_once(&lab);
        let id = submit(&lab, sample(), "film");
        let mut worker = quick(&lab, &["worker", "--drain"]);
        // One at a time, and one failure is enough.
        let worked = worker
            .env("HEADWATER_ENCODER__FFMPEG", &script)
            .env("HEADWATER_ENCODER__QUEUE__PARALLEL", "1")
            .env("HEADWATER_ENCODER__QUEUE__FAILURES", "1")
            .output()
            .unwrap();
        assert_eq!(worked.status.code(), Some(0), "{worked:?}");
        let failed = job(&lab, &id);
        assert_eq!(failed["state"], "failed", "{failed:#}");
        assert_eq!(task(&failed, "chunk", 0)["state"], "done", "{failed:#}");
        let mut parts = lab.parts();
        parts.retain(|name| name.contains("/chunk-0-1") && name.ends_with(end));
        assert_eq!(parts.len(), 1, "{parts:?}");
        let part = lab.store().join("jobs").join(&parts[0]);
        if is_gone {
            fs::remove_file(&part).unwrap();
        } else {
            let mut bytes = fs::read(&part).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&part, bytes).unwrap();
        }
        assert_eq!(run(&lab, &["retry", &id]).code, Some(0));
        let worked = drained(&lab);
        let done = job(&lab, &id);
        assert_eq!(done["state"], "published", "{end}: {worked:?} {done:#}");
        assert_eq!(task(&done, "chunk", 0)["attempt"], 2, "{done:#}");
        let story = done["story"].as_array().unwrap();
        let spoiled = story.iter().filter(|told| told["what"] == "spoiled").count();
        assert_eq!(spoiled, 1, "{done:#}");
        assert!(tracks(&lab, "film") == tracks(&quiet, "film"), "{end}");
        assert_eq!((lab.parts(), lab.work()), (Vec::new(), Vec::new()));
    }
}

/// Objects are written and the facts cannot be: what was written is taken back.
#[test]
fn a_publication_that_fails_leaves_nothing() {
    let lab = Lab::new();
    let id = submit(&lab, sample(), "film");
    let folder = lab.store().join("titles/film").join(&id).join("facts.json");
    fs::create_dir_all(folder.join("in-the-way")).unwrap();
    fs::write(folder.join("in-the-way/x"), "x").unwrap();
    let mut worker = quick(&lab, &["worker", "--drain"]);
    let worked = worker.env("HEADWATER_ENCODER__QUEUE__FAILURES", "1").output().unwrap();
    assert_eq!(worked.status.code(), Some(0), "{worked:?}");
    let failed = job(&lab, &id);
    assert_eq!((&failed["state"], &failed["fault"]["kind"]), (&"failed".into(), &"storage".into()));
    assert_eq!((lab.stored(), lab.work()), (Vec::new(), Vec::new()));
    assert!(!lab.parts().is_empty(), "they are needed when it is tried again");
    assert_eq!(run(&lab, &["retry", &id]).code, Some(0));
    drained(&lab);
    assert_eq!(job(&lab, &id)["state"], "published");
    let verified = lab.run(&["verify", "film"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
