//! The test film itself: what it shows and sounds is what it promises.

use crate::bar::{assert_codes, beeps};
use crate::lab::{Lab, sample};

#[test]
fn each_frame_shows_its_number() {
    assert_codes(sample(), 0..120);
}

/// To the sample, but for what the AAC encoder smears.
#[test]
fn each_second_beeps() {
    let starts = beeps(sample());
    assert_eq!(starts.len(), 5, "{starts:?}");
    for (second, start) in starts.iter().enumerate() {
        assert!(start.abs_diff(second * 48_000) < 48, "{starts:?}");
    }
}

/// Sizes that are no multiple of the strip's ninth or the twenty cells.
#[test]
fn other_shapes_and_rates() {
    let lab = Lab::new();
    let table =
        [("854", "480", "30000/1001", 60), ("202", "360", "12.5", 25), ("64", "64", "60", 120)];
    for (width, height, rate, frames) in table {
        let film = lab.path("film.mp4");
        let shape = ["--seconds", "2", "--width", width, "--height", height, "--rate", rate];
        let run = lab.run(&[&["sample", film.to_str().unwrap()], &shape[..]].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_codes(&film, 0..frames);
    }
}

#[test]
fn impossible_films_are_refused() {
    let lab = Lab::new();
    let table: [&[&str]; 5] = [
        &["--seconds", "0"],
        &["--width", "321"],
        &["--height", "20000"],
        &["--rate", "fast"],
        &["--rate", "0/0"],
    ];
    for options in table {
        let run = lab.run(&[&["sample", "film.mp4"], options].concat());
        assert_eq!(run.code, Some(2), "{options:?}: {run:?}");
        assert!(run.error().starts_with("--"), "{run:?}");
    }
    assert!(!lab.path("film.mp4").exists() && !lab.path("film.mp4.unfinished").exists());
}
