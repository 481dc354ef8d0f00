use super::*;
use crate::wire::BoxWriter;

/// A video entry of 640x360 with `inside` behind its fields.
fn video(kind: &[u8; 4], inside: impl FnOnce(&mut BoxWriter)) -> Vec<u8> {
    let mut w = BoxWriter::default();
    w.boxed(kind, |w| {
        w.zeros(24);
        w.u16(640);
        w.u16(360);
        w.zeros(video::FIELDS_BYTES - 28);
        inside(w);
    });
    w.into_bytes()
}

fn audio(kind: &[u8; 4], record: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut w = BoxWriter::default();
    w.boxed(kind, |w| {
        w.zeros(audio::FIELDS_BYTES);
        w.boxed(record, |w| w.slice(payload));
    });
    w.into_bytes()
}

fn avcc(w: &mut BoxWriter) {
    w.boxed(b"avcC", |w| {
        w.slice(&[1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x1f, 0]);
    });
}

/// SVT-AV1 in 10 bits, BT.2020 and PQ, as av1C says it.
fn av1c(w: &mut BoxWriter) {
    w.boxed(b"av1C", |w| {
        w.slice(&[0x81, 0, 0x4c, 0, 0x0a, 0x0e, 0, 0, 0, 4, 0x3c, 0xfe, 0xcc, 2, 0xf8]);
        w.slice(&[0x50, 0x91, 0, 0x90, 0x40]);
    });
}

fn pair(w: &mut BoxWriter, kind: &[u8; 4], (a, b): (u32, u32)) {
    w.boxed(kind, |w| {
        w.u32(a);
        w.u32(b);
    });
}

#[test]
fn sound() {
    let esds = [
        &[0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 0x16, 0, 1, 0][..],
        &[4, 17, 0x40, 0x15, 0, 0, 0, 0, 1, 0xf4, 0, 0, 1, 0xf4, 0],
        &[5, 2, 0x11, 0x90],
    ]
    .concat();
    type Case<'a> = (&'a [u8; 4], &'a [u8; 4], &'a [u8], &'a str, u16);
    let cases: [Case<'_>; 4] = [
        (b"mp4a", b"esds", &esds, "mp4a.40.2", 2),
        (b"Opus", b"dOps", &[0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0], "opus", 2),
        (b"ac-3", b"dac3", &[0x10, 0x3d, 0xe0], "ac-3", 6),
        (b"ec-3", b"dec3", &[0x0e, 0, 0x20, 0x0f, 0], "ec-3", 6),
    ];
    for (kind, record, payload, codecs, channels) in cases {
        let whole = audio(kind, record, payload);
        let entry = SampleEntry::parse(&whole).unwrap();
        assert_eq!(entry.codecs(), codecs);
        let SampleEntry::Audio(got) = entry else { panic!("sound") };
        assert_eq!((got.sample_rate, got.channels), (48_000, channels));
        for len in 0..whole.len() {
            assert!(SampleEntry::parse(&whole[..len]).is_err(), "{codecs} {len}");
        }
        assert!(SampleEntry::parse(&audio(kind, b"free", payload)).is_err(), "{codecs}");
        let mut quicktime = whole.clone();
        quicktime[8 + 9] = 1;
        assert!(SampleEntry::parse(&quicktime).unwrap_err().to_string().contains("version 1"));
    }
}

#[test]
fn pictures() {
    let whole = video(b"avc1", |w| {
        avcc(w);
        pair(w, b"pasp", (16, 15));
    });
    let SampleEntry::Video(avc) = SampleEntry::parse(&whole).unwrap() else { panic!("video") };
    assert_eq!(avc.codecs(), "avc1.64001F");
    assert_eq!((avc.width, avc.height, avc.pixel_aspect), (640, 360, (16, 15)));
    assert_eq!((avc.bit_depth, avc.range()), (8, VideoRange::Sdr));
    assert!(
        SampleEntry::parse(&video(b"avc1", |w| {
            avcc(w);
            pair(w, b"pasp", (0, 1));
        }))
        .is_err()
    );
    let whole = video(b"avc1", avcc);
    for len in 0..whole.len() {
        assert!(SampleEntry::parse(&whole[..len]).is_err(), "{len}");
    }
}

#[test]
fn colour_is_the_boxs_or_else_the_bitstreams() {
    let coded = SampleEntry::parse(&video(b"av01", av1c)).unwrap();
    let SampleEntry::Video(coded) = coded else { panic!("video") };
    assert_eq!((coded.bit_depth, coded.range()), (10, VideoRange::Pq));
    let boxed = video(b"av01", |w| {
        av1c(w);
        w.boxed(b"colr", |w| w.slice(b"nclx\0\x09\0\x12\0\x09\0"));
    });
    let SampleEntry::Video(boxed) = SampleEntry::parse(&boxed).unwrap() else { panic!("video") };
    assert_eq!(boxed.range(), VideoRange::Hlg);
}

#[test]
fn refusals_give_their_reason() {
    let cases: [(&[u8; 4], &str); 4] = [
        (b"hev1", "its parameter sets may stand in samples: expected hvc1, which has all"),
        (b"avc3", "its parameter sets may stand in samples: expected avc1, which has all"),
        (b"encv", "is encrypted: expected clear media"),
        (b"vp09", "expected avc1, hvc1, av01, mp4a, Opus, ac-3 or ec-3"),
    ];
    for (kind, reason) in cases {
        let name = std::str::from_utf8(kind).unwrap();
        assert_eq!(
            SampleEntry::parse(&video(kind, avcc)).unwrap_err().to_string(),
            format!("stsd: sample entry `{name}`: {reason}")
        );
    }
}
