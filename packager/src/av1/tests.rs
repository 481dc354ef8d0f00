use super::*;

/// SVT-AV1 at 320x180, 8 bits: av1C's payload.
const SVT: &str = "81000c000a0b000000043cfecc02f80040";
/// The same in 10 bits, BT.2020 and PQ.
const SVT_PQ: &str = "81004c000a0e000000043cfecc02f85091009040";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn records_of_svt() {
    let plain = Config::parse(&hex(SVT)).unwrap();
    assert_eq!(plain.codecs(None), "av01.0.00M.08");
    let s = &plain.sequence;
    assert_eq!((s.size, s.bit_depth, s.superblocks_of_128), ((320, 180), 8, false));
    let pq = Config::parse(&hex(SVT_PQ)).unwrap();
    assert_eq!(pq.codecs(None), "av01.0.00M.10.0.110.09.16.09.0");
    assert_eq!(pq.sequence.colour.range(), crate::colour::VideoRange::Pq);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let good = hex(SVT);
    for (at, value) in [(0, 0x80), (1, 0x20), (2, 0x4c), (4, 0x12), (5, 0x7f)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert!(Config::parse(&bad).is_err(), "byte {at}");
    }
    assert!(Config::parse(&good[..4]).is_err(), "no sequence header");
    for len in 0..good.len() {
        assert!(Config::parse(&good[..len]).is_err(), "{len}");
    }
}

#[test]
fn codecs_strings() {
    let base = Config::parse(&hex(SVT)).unwrap().sequence;
    let codecs = |change: fn(&mut Sequence)| {
        let mut sequence = base.clone();
        change(&mut sequence);
        Config { sequence }.codecs(None)
    };
    // The example of section 5: 4:2:0 at the left, BT.2100 PQ.
    let example = codecs(|s| {
        s.has_colour = true;
        (s.level, s.bit_depth, s.chroma_sample_position) = (4, 10, 2);
        s.colour = Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false };
    });
    assert_eq!(example, "av01.0.04M.10.0.112.09.16.09.0");
    assert_eq!(codecs(|s| (s.level, s.high_tier) = (19, true)), "av01.0.19H.08");
    let colr = Colour { primaries: 9, transfer: 18, matrix: 9, full_range: false };
    let boxed = Config { sequence: base.clone() }.codecs(Some(colr));
    assert_eq!(boxed, "av01.0.00M.08.0.110.09.18.09.0");
    let monochrome = codecs(|s| s.monochrome = true);
    assert_eq!(monochrome, "av01.0.00M.08.1.110.01.01.01.0");
    let full_444 = codecs(|s| {
        (s.profile, s.subsampling, s.colour.full_range) = (1, (false, false), true);
        s.chroma_sample_position = 3;
    });
    assert_eq!(full_444, "av01.1.00M.08.0.000.01.01.01.1");
}

#[test]
fn where_a_player_can_start() {
    let config = Config::parse(&hex(SVT)).unwrap();
    let sequence = &hex(SVT)[4..];
    let delimiter = [0x12, 0];
    // show_existing_frame, frame_type, show_frame.
    let frame = |kind: u8, bits: u8| vec![kind << 3 | 2, 1, bits << 4];
    let cases = [
        ("a key frame", vec![sequence.to_vec(), frame(obu::FRAME, 0b0001)], Ok(true)),
        ("its header apart", vec![sequence.to_vec(), frame(obu::FRAME_HEADER, 1)], Ok(true)),
        ("no sequence header", vec![frame(obu::FRAME, 0b0001)], Ok(false)),
        ("a forward key frame", vec![sequence.to_vec(), frame(obu::FRAME, 0b0000)], Ok(false)),
        ("an inter frame", vec![sequence.to_vec(), frame(obu::FRAME, 0b0011)], Ok(false)),
        ("an intra-only frame", vec![sequence.to_vec(), frame(obu::FRAME, 0b0101)], Ok(false)),
        ("a frame shown again", vec![sequence.to_vec(), frame(3, 0b1000)], Ok(false)),
        ("no frame", vec![sequence.to_vec()], Err(())),
        ("a frame without a header", vec![sequence.to_vec(), vec![0x32, 0]], Err(())),
    ];
    for (name, obus, wanted) in cases {
        let sample = [delimiter.to_vec(), obus.concat()].concat();
        assert_eq!(starts_independent(&sample, &config).map_err(drop), wanted, "{name}");
    }
}
