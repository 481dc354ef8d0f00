//! Ordinary sources in many shapes: the right pictures at the right time, the sound with them.

use headwater_encoder::audio::FRAME_SAMPLES;
use headwater_packager::title::Track;

use crate::bar::{assert_beeps, assert_codes};
use crate::lab::{Lab, ffmpeg, films, from_sample, sample};

/// The container does not matter, nor where its clock starts.
#[test]
fn containers() {
    let copies: [(&str, &[&str]); 5] = [
        ("plain.mkv", &["-c", "copy"]),
        ("later.mkv", &["-c", "copy", "-copyts", "-output_ts_offset", "11.3"]),
        ("plain.ts", &["-c", "copy"]),
        ("fragmented.mp4", &["-c", "copy", "-movflags", "+frag_keyframe+delay_moov"]),
        (
            "vp9.webm",
            &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"],
        ),
    ];
    let lab = Lab::new();
    for (name, options) in copies {
        let film = from_sample(name, options);
        lab.encode(&film, name);
        assert_codes(&lab.live_file(name, "v180.mp4"), 0..120);
        // In webm ffmpeg writes the sound 7 ms before the picture: its start cannot be negative.
        let early_ms = if name == "vp9.webm" { 7 } else { 0 };
        let wanted = [0, 1000, 2000, 3000, 4000].map(|ms: usize| ms.saturating_sub(early_ms));
        assert_beeps(&lab.live_file(name, "a-und.mp4"), &wanted);
    }
}

/// A rate stays the exact fraction that it is, and sound never leaves the picture's grid.
#[test]
fn rates() {
    let lab = Lab::new();
    let table = [
        ("30000/1001", 90, (30_000, 1001), [60, 30].as_slice()),
        ("12.5", 38, (25_000, 2000), &[25, 13]),
        ("50", 150, (50_000, 1000), &[100, 50]),
    ];
    for (rate, frames, (timescale, frame_ticks), gops) in table {
        let title = format!("rate-{frames}");
        let film = films().join(format!("{title}.mp4"));
        let film = film.to_str().unwrap();
        let shape = ["--seconds", "3", "--width", "160", "--height", "90", "--rate", rate];
        assert_eq!(lab.run(&[&["sample", film], &shape[..]].concat()).code, Some(0));
        lab.encode(film.as_ref(), &title);
        assert_codes(&lab.live_file(&title, "v90.mp4"), 0..frames);
        let opened = lab.live(&title);
        let video = opened.track(&"v90".parse().unwrap()).unwrap();
        let sound = opened.track(&"a-und".parse().unwrap()).unwrap();
        assert_eq!(video.timescale(), timescale, "{rate}");
        let rows: Vec<_> = video.rows(0..video.fragments()).collect();
        assert_eq!(rows.iter().map(|r| r.samples).collect::<Vec<_>>(), gops, "{rate}");
        for row in rows {
            assert_eq!(row.duration_ticks, u32::from(row.samples) * frame_ticks, "{rate}");
        }
        assert_on_one_grid(video, sound);
    }
}

fn assert_on_one_grid(video: &Track, sound: &Track) {
    assert_eq!(video.fragments(), sound.fragments());
    for i in 0..=video.fragments() {
        let video_at = i128::from(video.position(i).ticks) * i128::from(sound.timescale());
        let sound_at = i128::from(sound.position(i).ticks) * i128::from(video.timescale());
        let half_frame = i128::from(FRAME_SAMPLES / 2) * i128::from(video.timescale());
        assert!((video_at - sound_at).abs() <= half_frame, "fragment {i}");
    }
}

/// Sound that starts or ends elsewhere than the picture is put right, and that is said.
#[test]
fn sound_that_does_not_fit() {
    let film = sample().to_str().unwrap();
    let shift = |name: &str, args: &[&str]| {
        let out = films().join(name);
        ffmpeg(&[args, &["-c", "copy", out.to_str().unwrap()]].concat());
        out
    };
    let (late, early) = ("0.7", "0.7");
    let cut = from_sample("cut-sound.m4a", &["-vn", "-c:a", "aac", "-t", "3"]);
    let table = [
        (
            "late",
            shift(
                "late.mkv",
                &["-i", film, "-itsoffset", late, "-i", film, "-map", "0:v", "-map", "1:a"],
            ),
            [700, 1700, 2700, 3700, 4700].as_slice(),
            "after the picture: silence is put before it",
        ),
        (
            "early",
            shift(
                "early.mp4",
                &["-itsoffset", early, "-i", film, "-i", film, "-map", "0:v", "-map", "1:a"],
            ),
            &[300, 1300, 2300, 3300],
            "before the picture: its start is cut",
        ),
        (
            "short",
            shift(
                "short.mp4",
                &["-i", film, "-i", cut.to_str().unwrap(), "-map", "0:v", "-map", "1:a"],
            ),
            &[0, 1000, 2000],
            "before the picture: silence is put behind it",
        ),
        (
            "long",
            from_sample("long.mp4", &["-c:v", "copy", "-af", "apad=pad_dur=2", "-c:a", "aac"]),
            &[0, 1000, 2000, 3000, 4000],
            "after the picture: its end is cut",
        ),
    ];
    let lab = Lab::new();
    for (title, film, beeps_ms, words) in table {
        let run = lab.encode(&film, title);
        assert!(run.notices().iter().any(|notice| notice.contains(words)), "{title}: {run:?}");
        assert_codes(&lab.live_file(title, "v180.mp4"), 0..120);
        assert_beeps(&lab.live_file(title, "a-und.mp4"), beeps_ms);
        let opened = lab.live(title);
        let [video, sound] = opened.tracks() else { panic!("two tracks") };
        assert_on_one_grid(video, sound);
    }
}

/// One channel stays one, more become two; any sample rate becomes 48 kHz.
#[test]
fn channels() {
    let lab = Lab::new();
    let table =
        [("mono", ["-ac", "1", "-ar", "44100"], 1), ("six", ["-ac", "6", "-ar", "96000"], 2)];
    for (title, shape, channels) in table {
        let options = [&["-c:v", "copy", "-c:a", "aac"], &shape[..]].concat();
        lab.encode(&from_sample(&format!("{title}.mp4"), &options), title);
        assert_beeps(&lab.live_file(title, "a-und.mp4"), &[0, 1000, 2000, 3000, 4000]);
        let media = lab.live(title).tracks()[1].media().clone();
        let wanted = headwater_packager::heads::Media::Audio { sample_rate: 48_000, channels };
        assert_eq!(media, wanted, "{title}");
    }
}

/// Every sound becomes a track, with the language and role that the film or the uploader says; the
/// default one is the main one and stands first.
#[test]
fn several_sounds() {
    let film = sample().to_str().unwrap();
    let four = films().join("four-sounds.mkv");
    let four = four.to_str().unwrap();
    let maps = ["-map", "0:v", "-map", "0:a", "-map", "1:a", "-map", "1:a", "-map", "0:a"];
    let flags = [
        &["-c", "copy", "-disposition:a:0", "0", "-disposition:a:1", "default"][..],
        &["-disposition:a:2", "comment", "-disposition:a:3", "visual_impaired"],
        &["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"],
        &["-metadata:s:a:2", "language=ger", "-metadata:s:a:3", "language=eng"],
    ];
    ffmpeg(&[&["-i", film, "-i", film], &maps[..], &flags.concat(), &[four]].concat());
    let lab = Lab::new();
    let run = lab.encode(four.as_ref(), "film");
    let opened = lab.live("film");
    let ids: Vec<String> = opened.tracks().iter().map(|t| t.id().to_string()).collect();
    assert_eq!(ids, ["v180", "a-de", "a-en", "a-de-commentary", "a-en-description"], "{run:?}");
    let roles: Vec<_> = opened.tracks().iter().map(|track| track.role().as_str()).collect();
    assert_eq!(roles, ["main", "main", "main", "commentary", "description"]);
    let languages: Vec<_> = opened.tracks().iter().map(Track::language).collect();
    assert_eq!(languages, [None, Some("de"), Some("en"), Some("de"), Some("en")]);
    for id in &ids[1..] {
        assert_beeps(&lab.live_file("film", &format!("{id}.mp4")), &[0, 1000, 2000, 3000, 4000]);
    }
    let said = ["--audio", "1:role=main,lang=fr", "--audio", "2:lang=fr,role=alternate"];
    let run = lab.run(&[&["encode", four, "--title", "said"], &said[..]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let ids: Vec<String> = lab.live("said").tracks().iter().map(|t| t.id().to_string()).collect();
    assert_eq!(ids[1..], ["a-fr", "a-fr-2", "a-de-commentary", "a-en-description"]);
    let run = lab.run(&["encode", four, "--title", "wrong", "--audio", "0:lang=en"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.error().starts_with("--audio 0: no sound has this number"), "{run:?}");
}

/// Texts of the film and beside it are kept as WebVTT, on the title's clock.
#[test]
fn texts() {
    let srt = films().join("words.srt");
    std::fs::write(
        &srt,
        "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n2\n00:00:03,500 --> 00:00:04,000\n<i>Two</i>\n",
    )
    .unwrap();
    let film = sample().to_str().unwrap();
    let both = films().join("texts.mkv");
    let both = both.to_str().unwrap();
    let maps =
        ["-map", "0", "-map", "1", "-map", "1", "-c", "copy", "-c:s:0", "ass", "-c:s:1", "srt"];
    let more = ["-metadata:s:s:0", "language=eng", "-disposition:s:1", "forced"];
    let later = ["-copyts", "-output_ts_offset", "7"];
    let inputs = ["-i", film, "-i", srt.to_str().unwrap()];
    ffmpeg(&[&inputs[..], &maps, &more, &later, &[both]].concat());
    let lab = Lab::new();
    let sidecar = format!("{}:swe", srt.display());
    let run = lab.run(&["encode", both, "--title", "film", "--text", &sidecar]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for name in ["t-en.vtt", "t-sv.vtt", "t-und-forced.vtt"] {
        let text = std::fs::read_to_string(lab.live_file("film", name)).unwrap();
        assert!(
            text.starts_with("WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nOne\n"),
            "{name}: {text}"
        );
        assert!(text.contains("00:00:03.500 --> 00:00:04.000\n<i>Two</i>\n"), "{name}: {text}");
        assert!(lab.run(&["inspect", "film"]).out.contains(name), "{name}");
    }
}

/// What a file tells of itself may be long; it is neither read nor kept.
#[test]
fn a_film_with_a_long_comment() {
    let lab = Lab::new();
    let comment = format!("comment={}", "щ".repeat(9000));
    lab.encode(&from_sample("comment.mp4", &["-c", "copy", "-metadata", &comment]), "film");
    let facts = std::fs::read_to_string(lab.live_file("film", "facts.json")).unwrap();
    assert!(facts.contains("\"codec_name\": \"h264\"") && !facts.contains('щ'), "{facts}");
}

/// ffmpeg repeats a comment line by line, and not every line says that it is one.
#[test]
fn a_comment_that_sounds_like_damage() {
    let lab = Lab::new();
    let comment = "comment=A film\nThis is a partial file\nError while decoding stream #0:0";
    lab.encode(&from_sample("words.mkv", &["-c", "copy", "-metadata", comment]), "film");
}

/// A line of ffprobe's answer that was cut is no answer.
#[test]
fn a_tag_without_end_is_the_sources_fault() {
    let lab = Lab::new();
    let language = format!("language={}", "x".repeat(9000));
    let film = from_sample("tag.mkv", &["-c", "copy", "-metadata:s:a:0", &language]);
    let run = lab.run(&["encode", film.to_str().unwrap(), "--title", "film"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.error().contains("a tag of the source"), "{run:?}");
    lab.assert_untouched();
}

#[test]
fn a_film_without_sound() {
    let lab = Lab::new();
    let run = lab.encode(&from_sample("silent.mp4", &["-an", "-c", "copy"]), "film");
    assert!(
        run.notices().contains(&"the source has no sound; the title will have none"),
        "{run:?}"
    );
    assert_eq!(lab.live("film").tracks().len(), 1);
}

/// Sizes that 4:2:0 cannot have lose a line; other samplings and full range are converted.
#[test]
fn pictures_that_are_converted() {
    let lab = Lab::new();
    let table: [(&str, &[&str], &str); 4] = [
        ("odd.mp4", &["-vf", "scale=321:181,setsar=2896/2889", "-pix_fmt", "yuv444p"], "v180.mp4"),
        ("full.mp4", &["-pix_fmt", "yuvj420p", "-color_range", "pc"], "v180.mp4"),
        ("rgb.mkv", &["-c:v", "libx264rgb"], "v180.mp4"),
        ("portrait.mp4", &["-vf", "scale=180:320,setsar=1"], "v180.mp4"),
    ];
    for (name, options, rung) in table {
        let film = from_sample(name, &[&["-an", "-preset", "ultrafast"], options].concat());
        lab.encode(&film, name);
        let file = lab.live_file(name, rung);
        assert_codes(&file, 0..120);
        let entries = "stream=pix_fmt,color_range,sample_aspect_ratio";
        let said = crate::lab::ffprobe(&[
            "-show_entries",
            entries,
            "-of",
            "csv=p=0",
            file.to_str().unwrap(),
        ]);
        assert!(said.starts_with("1:1,yuv420p,") && !said.contains(",pc"), "{name}: {said}");
    }
}
