//! What people upload: generated sources in every shape, each ending as a right title or in a
//! refusal that says why. `table` has them; HEADWATER_TEST_LONG=1 takes all, otherwise the core.
//!
//! Right means: every frame of the source in order at every rung, through HLS and through DASH;
//! every beep on its second; the picture upright, of the shape that ffmpeg shows; sound and picture
//! of one length; no rung above the source.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by panicking")]

mod cases;
mod check;
mod film;
mod long;
mod recipes;
mod table;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use headwater_tests::origin::Origin;
use headwater_tests::{encoder, scratch, skip};

use cases::{Case, Want};

/// Small, so that each source has rungs to choose from.
const LADDER: [encoder::Rung; 2] = [
    encoder::Rung { height: 180, max_bitrate_kbps: 400 },
    encoder::Rung { height: 144, max_bitrate_kbps: 250 },
];

#[test]
fn every_source_ends_as_a_right_title_or_in_a_refusal() {
    let all = table::all();
    assert!(all.len() >= 60, "{} cases", all.len());
    let is_all = skip::is_long("sources beyond the core");
    let only = std::env::var("HEADWATER_TEST_SOURCE").ok();
    let chosen: Vec<&Case> = all
        .iter()
        .filter(|case| match &only {
            Some(name) => case.name.contains(name.as_str()),
            None => is_all || case.is_core,
        })
        .collect();
    let folder = scratch::folder();
    let store = folder.path().join("store");
    fs::create_dir(&store).unwrap();
    let origin = Origin::start(&store);
    let mut wrong = Vec::new();
    for case in &chosen {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let source = film::make(case, folder.path());
            let output = encoder::try_encode(&source, case.name, &store, &LADDER);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match &case.want {
                Want::Title(title) => {
                    assert!(output.status.success(), "{said}");
                    check::title(&origin, &store, case.name, title, &said);
                }
                Want::Refused(code, words) => {
                    assert_eq!(output.status.code(), Some(*code), "{said}");
                    assert!(said.contains(words), "expected `{words}`: {said}");
                    assert!(
                        !store.join("titles").join(case.name).exists(),
                        "published all the same"
                    );
                }
            }
            let _ = fs::remove_file(source);
        }));
        if let Err(panic) = outcome {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            wrong.push(format!("{}: {}", case.name, text.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} sources:\n{}", wrong.len(), chosen.len(), wrong.join("\n"));
    println!("measured: sources {} of {}", chosen.len(), all.len());
}
