//! `verify` finds every byte that is not as it was published, and says where.

use std::fs;
use std::path::Path;

use crate::lab::{Lab, sample};

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let before = fs::read(path).unwrap();
    let mut bytes = before.clone();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
    before
}

#[test]
fn every_kind_of_damage_is_found() {
    let lab = Lab::new();
    lab.encode(sample(), "film");
    assert_eq!(lab.run(&["verify", "film"]).code, Some(0));
    let file = lab.live_file("film", "v180.mp4");
    let title = lab.live("film");
    let track = &title.tracks()[0];
    let media = usize::try_from(track.objects()[0].media_offset_bytes).unwrap();
    let second = media + usize::try_from(track.position(1).bytes).unwrap();
    let len = fs::metadata(&file).unwrap().len();
    let init = track.init().len();
    let flip = |at: usize| move |bytes: &mut Vec<u8>| bytes[at] ^= 1;
    let head = |at: usize| format!("damaged: v180.mp4 from byte {at}: ftyp, moov or sidx differ");
    let fragment = |at: usize, i: u32| {
        format!("damaged: v180.mp4 from byte {at}: fragment {i}: expected CRC32C")
    };
    type Change = Box<dyn FnOnce(&mut Vec<u8>)>;
    let table: Vec<(&str, Change, String)> = vec![
        ("ftyp", Box::new(flip(5)), head(5)),
        ("moov", Box::new(flip(init - 9)), head(init - 9)),
        ("sidx", Box::new(flip(init + 40)), head(init + 40)),
        ("moof", Box::new(flip(media + 30)), fragment(media, 0)),
        ("the second mdat", Box::new(flip(second + 2000)), fragment(second, 1)),
        (
            "last byte",
            Box::new(|b| *b.last_mut().unwrap() ^= 0x80),
            "fragment 2: expected CRC32C".to_owned(),
        ),
        (
            "short",
            Box::new(|b| b.truncate(b.len() - 1)),
            format!("from byte {}: expected {len} bytes", len - 1),
        ),
        (
            "long",
            Box::new(|b| b.push(0)),
            format!("expected {len} bytes, the object has {}", len + 1),
        ),
        (
            "two fragments",
            Box::new(move |b| {
                b[media + 99] ^= 1;
                b[second + 99] ^= 1;
            }),
            "2 damaged places in film".to_owned(),
        ),
    ];
    for (name, damage, words) in table {
        let before = change(&file, damage);
        let run = lab.run(&["verify", "film"]);
        assert_eq!(run.code, Some(1), "{name}: {run:?}");
        assert!(run.out.contains(&words) || run.err.contains(&words), "{name}: {run:?}");
        fs::write(&file, before).unwrap();
    }
    fs::remove_file(&file).unwrap();
    let run = lab.run(&["verify", "film", "--json"]);
    assert_eq!(run.code, Some(1));
    let damage = &run.events()[run.events().len() - 2];
    assert_eq!((&damage["object"], &damage["offset"]), (&"v180.mp4".into(), &0.into()));
    assert_eq!(damage["detail"], "the object is missing");
}

#[test]
fn damaged_texts_are_found() {
    let lab = Lab::new();
    fs::write(lab.path("film.srt"), "1\n00:00:01,000 --> 00:00:02,000\nOne\n").unwrap();
    let args = ["encode", sample().to_str().unwrap(), "--title", "film", "--text", "film.srt:en"];
    assert_eq!(lab.run(&args).code, Some(0));
    assert_eq!(lab.run(&["verify", "film"]).code, Some(0));
    let text = lab.live_file("film", "t-en.vtt");
    let before = change(&text, |bytes| bytes[40] ^= 1);
    let run = lab.run(&["verify", "film"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains("t-en.vtt from byte 0: expected CRC-32C"), "{run:?}");
    fs::write(&text, before).unwrap();
    for name in ["t-en.vtt", "facts.json"] {
        fs::remove_file(lab.live_file("film", name)).unwrap();
        let run = lab.run(&["verify", "film"]);
        assert!(run.out.contains(&format!("{name} from byte 0: the object is missing")), "{run:?}");
    }
}

#[test]
fn damaged_heads_and_pointers() {
    let lab = Lab::new();
    lab.encode(sample(), "film");
    let heads = lab.live_file("film", "heads.bin");
    let before = change(&heads, |bytes| bytes[100] ^= 1);
    let run = lab.run(&["verify", "film"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.error().contains("heads.bin: heads/crc32c: expected"), "{run:?}");
    fs::write(&heads, before).unwrap();

    // Heads of another title in their place.
    lab.encode(sample(), "other");
    fs::copy(lab.live_file("other", "heads.bin"), &heads).unwrap();
    let run = lab.run(&["verify", "film"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.error().contains("holds heads of other"), "{run:?}");

    fs::write(lab.store().join("titles/film/title.json"), "{").unwrap();
    let run = lab.run(&["encode", sample().to_str().unwrap(), "--title", "film"]);
    assert_eq!(run.code, Some(1), "an unreadable pointer is not replaced: {run:?}");
    assert!(run.error().contains("title.json"), "{run:?}");
    assert_eq!(lab.run(&["verify", "nothing"]).code, Some(1));

    // What is needed to write it anew is told, and whether the version is whole.
    let version = fs::read_dir(lab.store().join("titles/film")).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        entry.file_type().unwrap().is_dir().then(|| entry.file_name().into_string().unwrap())
    });
    let version = version.unwrap();
    let run = lab.run(&["inspect", "film"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("damaged: titles/film/title.json"), "{run:?}");
    assert!(run.out.contains(&format!("?    {version}")), "{run:?}");
    assert_eq!(lab.run(&["verify", "film"]).code, Some(1));
    let run = lab.run(&["verify", "film", "--version", &version]);
    assert!(!run.error().contains("title.json"), "{run:?}");
}
