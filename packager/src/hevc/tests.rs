use super::*;

/// x265 at 320x180, level 2, 8 bits.
const SPS: &str =
    "42010101600000030090000003000003003ca00a080b9f796566924caf016808000003000800000300c040";
/// The same as HDR10.
const SPS_HDR10: &str =
    "42010102200000030090000003000003003ca00a080b9f6d96566924caf016a122012080000003008000000c04";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// An hvcC's payload with one array of one NAL unit.
fn hvcc(profile_tier_level: &str, nal: &[u8]) -> Vec<u8> {
    let mut record = vec![1];
    record.extend(hex(profile_tier_level));
    record.extend(hex("f000fcfdf8f800000f"));
    record.extend([1, 0xa0 | kind::SPS, 0, 1, 0, u8::try_from(nal.len()).unwrap()]);
    record.extend(nal);
    record
}

#[test]
fn records_of_x265() {
    let main = Config::parse(&hvcc("01600000009000000000003c", &hex(SPS))).unwrap();
    assert_eq!(main.codecs(), "hvc1.1.6.L60.90");
    assert_eq!((main.nal_length_bytes, main.bit_depth, main.colour), (4, 8, None));
    let hdr10 = Config::parse(&hvcc("02200000009000000000003c", &hex(SPS_HDR10))).unwrap();
    assert_eq!(hdr10.codecs(), "hvc1.2.4.L60.90");
    let colour = Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false };
    assert_eq!((hdr10.bit_depth, hdr10.colour), (10, Some(colour)));
    let sps = Sps::parse(&hex(SPS)).unwrap();
    // 320x184 in blocks of 64.
    assert_eq!((sps.picture_ctbs, sps.poc_lsb_bits, sps.chroma_array_type), (15, 8, 1));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let wrong = Config::parse(&hvcc("01600000009000000000005a", &hex(SPS))).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "hvcC: profile, tier and level hvc1.1.6.L90.90 are not the SPS's hvc1.1.6.L60.90"
    );
    let good = hvcc("01600000009000000000003c", &hex(SPS));
    for (at, value) in [(0, 0), (21, 0x0e), (22, 0), (23 + 5, 0x40)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert!(Config::parse(&bad).is_err(), "byte {at}");
    }
    for len in 0..good.len() {
        assert!(Config::parse(&good[..len]).is_err(), "{len}");
    }
}

#[test]
fn strings_of_annex_e() {
    let cases = [
        ("0220000000 b00000000000 78", "hvc1.2.4.L120.B0"),
        ("0160000000 b00000000000 5d", "hvc1.1.6.L93.B0"),
        ("2408000000 9d0800000000 99", "hvc1.4.10.H153.9D.8"),
        ("4370000000 000000000000 1e", "hvc1.A3.E.L30"),
        ("0220000000 000000000010 78", "hvc1.2.4.L120.0.0.0.0.0.10"),
    ];
    for (text, wanted) in cases {
        let bytes = hex(&text.replace(' ', ""));
        let bytes: [u8; 12] = bytes.try_into().unwrap();
        assert_eq!(ProfileTierLevel::from_bytes(bytes).codecs(), wanted);
    }
}

#[test]
fn where_a_player_can_start() {
    const AUD: u8 = 35;
    const TRAIL_R: u8 = 1;
    let config = Config::parse(&hvcc("01600000009000000000003c", &hex(SPS))).unwrap();
    let sample = |kinds: &[u8]| -> Vec<u8> {
        kinds.iter().flat_map(|kind| [0, 0, 0, 3, kind << 1, 1, 0x80]).collect()
    };
    type Case<'a> = (&'a [&'a [u8]], Result<bool, ()>);
    let cases: [Case<'_>; 11] = [
        (&[&[AUD, kind::IDR_W_RADL], &[7]], Ok(true)),
        (&[&[kind::IDR_N_LP, kind::IDR_N_LP], &[TRAIL_R]], Ok(true)),
        (&[&[kind::CRA], &[TRAIL_R], &[9]], Ok(true)),
        (&[&[kind::CRA], &[6], &[TRAIL_R]], Ok(true)),
        (&[&[kind::CRA]], Ok(true)),
        (&[&[kind::CRA], &[AUD, 9]], Ok(false)),
        (&[&[kind::CRA], &[7], &[8]], Ok(false)),
        (&[&[TRAIL_R]], Ok(false)),
        (&[&[16]], Ok(false)), // BLA: made by splicing, never by an encoder
        (&[&[AUD]], Err(())),
        (&[&[]], Err(())),
    ];
    for (kinds, wanted) in cases {
        let samples: Vec<Vec<u8>> = kinds.iter().map(|kinds| sample(kinds)).collect();
        let others = samples[1..].iter().map(Vec::as_slice);
        let got = starts_independent(&samples[0], others, &config).map_err(drop);
        assert_eq!(got, wanted, "{kinds:?}");
    }
}
