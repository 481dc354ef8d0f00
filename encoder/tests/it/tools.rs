//! An ffmpeg that is missing, fails, hangs or lies.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::lab::{Lab, Run, sample};

/// Encodes the sample with a script in ffmpeg's place. `$real` is the real one; `-version` is
/// answered by it.
fn with_script(lab: &Lab, script: &str, env: &[(&str, &str)]) -> Run {
    let path = lab.path("ffmpeg.sh");
    let head = "#!/bin/bash\nreal=ffmpeg\n[ \"$1\" = -version ] && exec $real -version\n";
    fs::write(&path, format!("{head}{script}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let program = [("HEADWATER_ENCODER__FFMPEG", path.to_str().unwrap())];
    let film = sample().to_str().unwrap();
    lab.run_with(&["encode", film, "--title", "film"], &[&program, env].concat())
}

/// ffmpeg's word and exit code are not enough: what it wrote is counted.
#[test]
fn a_lying_ffmpeg_is_caught() {
    let replace = |from: &str, to: &str| {
        format!(
            "args=()\nfor a in \"$@\"; do case $a in {from}) args+=({to});; *) args+=(\"$a\");; esac; done\n"
        )
    };
    let silent = "exec $real \"${args[@]}\" 2>/dev/null";
    let table = [
        (
            "half the film, exit 0",
            replace("-i", "-t 2 -i") + silent,
            5,
            "expected 72 frames, got 0",
        ),
        (
            "half the film, and says so",
            replace("-i", "-t 2 -i") + "exec $real \"${args[@]}\"",
            4,
            "of its 72 frames from 2.000 to 5.000 s could be decoded",
        ),
        (
            "other GOPs",
            replace("48", "240").replace("*)", "expr*) args+=('expr:eq(n,0)');; *)") + silent,
            5,
            "is not what was planned: expected a warm-up of 24 frames, got 96",
        ),
        (
            "half the sound",
            "args=(\"$@\")\nexec $real \"${args[@]/apad/atrim=end_sample=102400}\" 2>/dev/null"
                .to_owned(),
            5,
            "a-und is not what was planned: expected 235 frames, got 101",
        ),
        (
            "a GOP that is not IDR",
            // The last slice that calls itself IDR, renamed: nal_unit_type 5 to 1.
            "$real \"$@\" 2>/dev/null; for a; do case $a in file:*v180.raw.mp4) \
             perl -0777 -pi -e 's/^(.*\\x00.{3})\\x65\\x88/$1\\x41\\x88/s' \"${a#file:}\";; esac; done"
                .to_owned(),
            5,
            "expected an IDR picture first, got another",
        ),
        ("another rate", replace("1:24000", "1:25000") + silent, 5, "expected 1000 ticks, got"),
        (
            "an empty file",
            "for a; do case $a in file:*.raw.mp4) : > \"${a#file:}\";; esac; done".to_owned(),
            5,
            "it has no moov",
        ),
        ("nothing at all", "exit 0".to_owned(), 5, "raw.mp4"),
    ];
    for (name, script, code, words) in table {
        let lab = Lab::new();
        let run = with_script(&lab, &script, &[]);
        assert_eq!(run.code, Some(code), "{name}: {run:?}");
        assert!(run.error().contains(words), "{name}: {}", run.error());
        lab.assert_untouched();
    }
}

#[test]
fn a_failing_ffmpeg_is_quoted() {
    let lab = Lab::new();
    let run = with_script(&lab, "echo '[fatal] the disk is on fire' >&2; exit 3", &[]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert_eq!(run.error(), "ffmpeg failed (exit status: 3); it says: the disk is on fire");
    lab.assert_untouched();
}

/// Its words are kept in bounds, however many.
#[test]
fn a_chatty_ffmpeg_fills_no_memory_and_no_message() {
    let lab = Lab::new();
    let run = with_script(
        &lab,
        "head -c 30000000 /dev/zero | tr '\\0' x >&2; yes error | head -n 500000 >&2; exit 1",
        &[],
    );
    assert_eq!(run.code, Some(5));
    assert!(run.error().len() < 100_000, "{}", run.error().len());
}

/// What is kept of its words, and of the source's headers, is bounded too.
#[test]
fn facts_are_bounded() {
    let lab = Lab::new();
    let words = "for i in {1..50}; do head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; done";
    let run = with_script(&lab, &format!("{words}\nexec $real \"$@\""), &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let facts = fs::read_to_string(lab.live_file("film", "facts.json")).unwrap();
    assert!(facts.contains(&"x".repeat(1_000)), "its words are kept: {facts}");
    assert!(facts.len() < 50_000, "{} bytes of facts", facts.len());

    // Headers in the least space: written out for people they fill twice as much.
    let lab = Lab::new();
    let path = lab.path("ffprobe.sh");
    let script = r##"#!/bin/bash
case "$*" in *stream_tags*) ;; *) exec ffprobe "$@";; esac
ffprobe "$@" | perl -pe 's/"language":\s"und"/
  my $k = "aaaa";
  join("", map { "\"" . $k++ . "\":\"\"," . ($_ % 100 ? "" : "\n") } 1..190000) . "\"z\":\"\""
/gex'
"##;
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let film = sample().to_str().unwrap();
    let program = [("HEADWATER_ENCODER__FFPROBE", path.to_str().unwrap())];
    let run = lab.run_with(&["encode", film, "--title", "film"], &program);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.error().contains("what is to be kept of its headers fills"), "{}", run.error());
    lab.assert_untouched();
}

#[test]
fn a_hung_ffmpeg_is_killed_with_its_children() {
    let lab = Lab::new();
    let started = Instant::now();
    let patience = [("HEADWATER_ENCODER__STALL_S", "5")];
    // A silent child, and words without movement.
    let script =
        "(while :; do sleep 0.3; done) & for i in {1..200}; do echo frame=1; sleep 0.3; done";
    let run = with_script(&lab, script, &patience);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(run.error().contains("showed no movement for 5 s and was killed"), "{run:?}");
    assert!(started.elapsed() < Duration::from_secs(60));
    lab.assert_untouched();
    let script = lab.path("ffmpeg.sh");
    let gone = || {
        fs::read_dir("/proc").unwrap().all(|entry| {
            let line = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
            !String::from_utf8_lossy(&line).contains(script.to_str().unwrap())
        })
    };
    let waited = Instant::now();
    while !gone() {
        assert!(waited.elapsed() < Duration::from_secs(10), "a child of ffmpeg lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A machine or a container that stood still for longer than the patience says nothing of ffmpeg.
#[test]
fn a_pause_of_ours_is_no_hang() {
    let lab = Lab::new();
    // The parent is the encoder, whom a child in our own sandbox may not touch.
    let script = "kill -STOP $PPID; sleep 7; kill -CONT $PPID; sleep 0.5; exec $real \"$@\"";
    let outer = ("HEADWATER_ENCODER__SANDBOX", "outer");
    let run = with_script(&lab, script, &[("HEADWATER_ENCODER__STALL_S", "5"), outer]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_missing_ffmpeg_is_named() {
    let lab = Lab::new();
    let film = sample().to_str().unwrap();
    let nowhere = [("HEADWATER_ENCODER__FFMPEG", "/nowhere/ffmpeg")];
    let run = lab.run_with(&["encode", film, "--title", "film"], &nowhere);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(
        run.error().starts_with("there is no program `/nowhere/ffmpeg`; install ffmpeg"),
        "{run:?}"
    );
}

/// No secret of ours reaches ffmpeg.
#[test]
fn ffmpeg_sees_no_environment_of_ours() {
    let lab = Lab::new();
    let seen = lab.path("environment");
    // Whoever the child is, it may say what it sees.
    fs::set_permissions(lab.path("."), Permissions::from_mode(0o777)).unwrap();
    let script = format!("env > {}; exec $real \"$@\"", seen.display());
    let run = with_script(&lab, &script, &[("AWS_SECRET_ACCESS_KEY", "hush"), ("HOME", "/root")]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let seen = fs::read_to_string(seen).unwrap();
    let mut names: Vec<&str> =
        seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["AV_LOG_FORCE_NOCOLOR", "LC_ALL", "PATH", "SVT_LOG"]);
}

/// The binary's own folders and words: what is wrong is said before any work.
#[test]
fn the_command_line_and_the_configuration() {
    let lab = Lab::new();
    let film = sample().to_str().unwrap();
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);
    let table: [Case<'_>; 5] = [
        (&["encode", film], &[], 2, "--title"),
        (&["encode", film, "--title", "../x"], &[], 2, "title"),
        (&["encode", "missing.mp4", "--title", "x"], &[], 2, "missing.mp4: No such file"),
        (
            &["encode", film, "--title", "x", "--store", "https://host/"],
            &[],
            2,
            "no store is reached",
        ),
        (&["encode", film, "--title", "x"], &[("HEADWATER_ENCODER__PRESETT", "fast")], 2, "preset"),
    ];
    for (args, env, code, words) in table {
        let run = lab.run_with(args, env);
        assert_eq!(run.code, Some(code), "{args:?}: {run:?}");
        assert!(run.err.contains(words), "{args:?}: {}", run.err);
    }
    lab.assert_untouched();
}
