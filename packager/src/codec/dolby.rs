//! dac3 and dec3: AC-3 and Enhanced AC-3 in ISOBMFF (ETSI TS 102 366 annex F).

use super::audio::{Audio, AudioConfig};
use crate::bits::BitReader;
use crate::error::Error;

/// Samples per second by fscod (4.4.1.3). 3 is reserved, or a halved rate of E-AC-3 that dec3
/// cannot tell.
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Full-range channels by acmod (4.4.2.3).
const CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// Channels that each bit of chan_loc adds, from its lowest (F.6.2.13): Lc/Rc, Lrs/Rrs, Cs, Ts,
/// Lsd/Rsd, Lw/Rw, Lvh/Rvh, Cvh, LFE2.
const LOCATIONS: [u16; 9] = [2, 2, 1, 1, 2, 2, 2, 1, 1];

/// AC3SpecificBox (F.4).
pub(super) fn dac3(payload: &[u8]) -> Result<Audio, Error> {
    const AT: &str = "ac-3/dac3";
    let mut r = BitReader::plain(payload, AT);
    let fscod = r.bits(2);
    r.skip(8); // bsid, bsmod
    let channels = channels(&mut r);
    r.skip(10); // bit_rate_code, reserved
    r.finish()?;
    Ok(Audio { sample_rate: sample_rate(fscod, AT)?, channels, config: AudioConfig::Ac3 })
}

/// EC3SpecificBox (F.6): what the first independent substream carries, with those that depend on
/// it; further ones are other programmes.
pub(super) fn dec3(payload: &[u8]) -> Result<Audio, Error> {
    const AT: &str = "ec-3/dec3";
    let mut r = BitReader::plain(payload, AT);
    r.skip(13); // data_rate
    let mut first = None;
    for _ in 0..=r.bits(3) {
        let fscod = r.bits(2);
        r.skip(10); // bsid, reserved, asvc, bsmod
        let mut channels = channels(&mut r);
        r.skip(3);
        if r.bits(4) > 0 {
            let locations = r.bits(9);
            let added = LOCATIONS.iter().enumerate();
            channels +=
                added.map(|(i, &n)| if locations >> i & 1 == 1 { n } else { 0 }).sum::<u16>();
        } else {
            r.skip(1);
        }
        first.get_or_insert((fscod, channels));
    }
    r.finish()?;
    let (fscod, channels) = first.expect("at least one substream was read");
    // ETSI TS 103 420 8.3.1: flag_ec3_extension_type_a says that objects follow.
    let mut joc = None;
    if r.bits_left() >= 16 {
        r.skip(7);
        let flag = r.flag();
        let complexity = u8::try_from(r.bits(8)).expect("8 bits");
        joc = flag.then_some(complexity);
    }
    let config = AudioConfig::Eac3 { joc };
    Ok(Audio { sample_rate: sample_rate(fscod, AT)?, channels, config })
}

/// acmod and lfeon.
fn channels(r: &mut BitReader<'_>) -> u16 {
    let acmod = usize::try_from(r.bits(3)).expect("3 bits");
    CHANNELS[acmod] + u16::from(r.flag())
}

fn sample_rate(fscod: u32, place: &'static str) -> Result<u32, Error> {
    let rate = usize::try_from(fscod).ok().and_then(|at| SAMPLE_RATES.get(at));
    let rate = rate.copied();
    rate.ok_or_else(|| Error::unsupported(place, format!("fscod {fscod}: a reduced sample rate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ac3() {
        // fscod 0, bsid 8, bsmod 0, acmod 7, lfeon 1, bit_rate_code 15.
        let surround = dac3(&[0x10, 0x3d, 0xe0]).unwrap();
        assert_eq!((surround.sample_rate, surround.channels), (48_000, 6));
        // fscod 1, acmod 2.
        let stereo = dac3(&[0x50, 0x11, 0xe0]).unwrap();
        assert_eq!((stereo.sample_rate, stereo.channels), (44_100, 2));
        assert!(dac3(&[0xd0, 0x3d, 0xe0]).is_err());
        assert!(dac3(&[0x10, 0x3d]).is_err());
    }

    #[test]
    fn eac3() {
        let facts = |bytes: &[u8]| {
            let audio = dec3(bytes).unwrap();
            let AudioConfig::Eac3 { joc } = audio.config else { panic!("E-AC-3") };
            (audio.sample_rate, audio.channels, joc)
        };
        // data_rate 448, one substream: fscod 0, bsid 16, acmod 7, lfeon 1, no dependent one.
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 0]), (48_000, 6, None));
        // The same with objects of complexity 16.
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 0, 1, 16]), (48_000, 6, Some(16)));
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 0, 0, 16]), (48_000, 6, None));
        // A dependent substream at Lrs/Rrs: 7.1.
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 2, 2]), (48_000, 8, None));
        for len in 0..5 {
            assert!(dec3(&[0x0e, 0, 0x20, 0x0f, 0][..len]).is_err(), "{len}");
        }
        assert!(dec3(&[0x0e, 0, 0xe0, 0x0f, 0]).is_err(), "fscod 3");
    }
}
