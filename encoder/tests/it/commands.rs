//! The command lines, as text to review: `goldens/commands.txt` is written anew by
//! HEADWATER_TEST_UPDATE=1.

use std::fs;
use std::path::Path;

use headwater_config::Encoder;
use headwater_encoder::ffmpeg::{command, part};
use headwater_encoder::grid::Rate;
use headwater_encoder::plan::Plan;
use headwater_encoder::points::Point;
use headwater_encoder::source::{AudioSource, Light, Role, Source, Stamp, Timing, VideoSource};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/goldens/commands.txt");

/// A full-range 480p film at 29.97 whose clock starts at 1.4 s, with six channels of German.
fn plan(config: &Encoder) -> Plan {
    let source = Source {
        video: VideoSource {
            index: 0,
            codec: "h264".to_owned(),
            width: 854,
            height: 480,
            rate: Rate::parse("30000/1001").unwrap(),
            frames: 1800,
            held_frames: 1800,
            timing: Timing::Numbered { every: 1 },
            start: Stamp { ticks: 126_000, base: (1, 90_000) },
            is_guessed: false,
            is_interlaced: false,
            light: Light::Sdr,
            is_deep: false,
            is_rgb: false,
            is_full_range: true,
            is_untagged: true,
            peak_kbps: 9000,
        },
        sounds: vec![AudioSource {
            index: 2,
            codec: "ac3".to_owned(),
            channels: 6,
            sample_rate: 48_000,
            language: headwater_encoder::language::parse("ger"),
            role: Role::Main,
            coded: None,
        }],
    };
    Plan::new("/films/a: film.mkv".into(), source, config).unwrap()
}

#[test]
fn what_ffmpeg_is_told_of_parts_and_of_one_pass() {
    let plan = plan(&Encoder::default());
    let (into, input) = (Path::new("/work/version"), &plan.input);
    let from = Some(Point { shown: 306_180, decoded: 306_180 });
    let later = part::Cut { plan: &plan, input, fragments: 2..4, from };
    let first = part::Cut { plan: &plan, input, fragments: 0..1, from: None };
    let mut got = String::new();
    for (name, args) in [
        ("the first chunk", part::chunk(&first, into, 1)),
        ("a later chunk", part::chunk(&later, into, 1)),
        ("sound", part::sound(&plan, &plan.sounds[0], into, 1)),
        ("one pass, which tests hold chunks against", command::encode(&plan, into, 2)),
    ] {
        got.push_str(&format!("== {name}"));
        for arg in args {
            let arg = arg.into_string().unwrap();
            // One option a line, its value beside it.
            let is_option =
                arg.strip_prefix('-').is_some_and(|rest| !rest.starts_with(char::is_numeric));
            got.push(if is_option { '\n' } else { ' ' });
            got.push_str(&arg);
        }
        got.push_str("\n\n");
    }
    let got = format!("{}\n", got.trim());
    if std::env::var_os("HEADWATER_TEST_UPDATE").is_some() {
        fs::write(GOLDEN, &got).unwrap();
    }
    assert_eq!(got, fs::read_to_string(GOLDEN).unwrap_or_default(), "differs from {GOLDEN}");
}

/// Every reading of a source is told the same about protocols, formats and sizes, before it opens
/// anything.
#[test]
fn every_reading_is_guarded() {
    let film = Path::new("/films/x.mp4");
    let commands = [
        command::probe(film),
        command::scan(film),
        command::locate(film, 20.0..140.0),
        command::encode(&plan(&Encoder::default()), Path::new("/work"), 1),
    ];
    for args in commands {
        let args: Vec<String> = args.into_iter().map(|a| a.into_string().unwrap()).collect();
        let at = |word: &str| args.iter().position(|arg| arg == word).unwrap_or(usize::MAX);
        let input = args.iter().position(|arg| arg.starts_with("file:/films/")).unwrap();
        for option in ["-protocol_whitelist", "-format_whitelist", "-max_pixels"] {
            assert!(at(option) < input, "{option} before the input: {args:?}");
        }
        assert_eq!(args[at("-protocol_whitelist") + 1], "file");
        assert!(!args[at("-format_whitelist") + 1].contains("hls"));
    }
}
