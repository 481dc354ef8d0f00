//! dac3 and dec3: AC-3 and Enhanced AC-3 in ISOBMFF (ETSI TS 102 366 annex F).

use super::audio::{Audio, AudioConfig};
use crate::bits::BitReader;
use crate::error::Error;
use crate::layout::ChannelLayout;

/// Samples per second by fscod (4.4.1.3). 3 is reserved, or a halved rate of E-AC-3 that dec3
/// cannot tell.
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Full-range channels by acmod (4.4.2.3), as places of a [`ChannelLayout::Dolby`]: two programmes (as left
/// and right), C, L R, L C R, L R Cs, L C R Cs, L R Ls Rs, L C R Ls Rs.
const PLACES: [u16; 8] = [0xa000, 0x4000, 0xa000, 0xe000, 0xa100, 0xe100, 0xb800, 0xf800];
/// The place of LFE.
const LFE: u16 = 1;
/// Places that each bit of chan_loc adds, from its lowest (F.6.2.13): Lc/Rc, Lrs/Rrs, Cs, Ts,
/// Lsd/Rsd, Lw/Rw, Lvh/Rvh, Cvh, LFE2.
const LOCATIONS: [u16; 9] = [0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10, 0x08, 0x02];
/// Places of two channels.
const PAIRS: u16 = 0x0670;

/// AC3SpecificBox (F.4).
pub(super) fn dac3(payload: &[u8]) -> Result<Audio, Error> {
    const AT: &str = "ac-3/dac3";
    let mut r = BitReader::plain(payload, AT);
    let fscod = r.bits(2);
    r.skip(8); // bsid, bsmod
    let places = places(&mut r);
    r.skip(10); // bit_rate_code, reserved
    r.finish()?;
    audio(sample_rate(fscod, AT)?, places, AudioConfig::Ac3)
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
        let mut places = places(&mut r);
        r.skip(3);
        if r.bits(4) > 0 {
            let locations = r.bits(9);
            let added = LOCATIONS.iter().enumerate().filter(|(i, _)| locations >> i & 1 == 1);
            places |= added.fold(0, |places, (_, place)| places | place);
        } else {
            r.skip(1);
        }
        first.get_or_insert((fscod, places));
    }
    r.finish()?;
    let (fscod, places) = first.expect("at least one substream was read");
    // ETSI TS 103 420 8.3.1: flag_ec3_extension_type_a says that objects follow.
    let mut joc = None;
    if r.bits_left() >= 16 {
        r.skip(7);
        let flag = r.flag();
        let complexity = u8::try_from(r.bits(8)).expect("8 bits");
        joc = flag.then_some(complexity);
    }
    audio(sample_rate(fscod, AT)?, places, AudioConfig::Eac3 { joc })
}

/// acmod and lfeon.
fn places(r: &mut BitReader<'_>) -> u16 {
    let acmod = usize::try_from(r.bits(3)).expect("3 bits");
    PLACES[acmod] | if r.flag() { LFE } else { 0 }
}

fn audio(sample_rate: u32, places: u16, config: AudioConfig) -> Result<Audio, Error> {
    let channels = places.count_ones() + (places & PAIRS).count_ones();
    let channels = u16::try_from(channels).expect("at most two for each bit");
    Ok(Audio { sample_rate, channels, layout: ChannelLayout::Dolby(places), config })
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

    /// As many channels may stand in other places.
    #[test]
    fn places_of_ac3() {
        for (acmod, lfe, channels, places) in [
            (1u8, 0u8, 1, 0x4000),
            (2, 0, 2, 0xa000),
            (2, 1, 3, 0xa001),
            (3, 0, 3, 0xe000),
            (4, 0, 3, 0xa100),
            (3, 1, 4, 0xe001),
            (5, 0, 4, 0xe100),
            (6, 0, 4, 0xb800),
            (6, 1, 5, 0xb801),
            (7, 0, 5, 0xf800),
            (7, 1, 6, 0xf801),
        ] {
            // fscod 0 in two bits, bsid 8 in five, bsmod 0 in three, then acmod, lfeon.
            let audio = dac3(&[0x10, acmod << 3 | lfe << 2, 0xe0]).unwrap();
            let got = (audio.channels, audio.layout);
            assert_eq!(got, (channels, ChannelLayout::Dolby(places)), "acmod {acmod}, lfeon {lfe}");
        }
    }

    #[test]
    fn eac3() {
        let facts = |bytes: &[u8]| {
            let audio = dec3(bytes).unwrap();
            let AudioConfig::Eac3 { joc } = audio.config else { panic!("E-AC-3") };
            let ChannelLayout::Dolby(places) = audio.layout else { panic!("in Dolby's words") };
            (audio.sample_rate, audio.channels, places, joc)
        };
        // data_rate 448, one substream: fscod 0, bsid 16, acmod 7, lfeon 1, no dependent one.
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 0]), (48_000, 6, 0xf801, None));
        // The same with objects of complexity 16.
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 0, 1, 16]), (48_000, 6, 0xf801, Some(16)));
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 0, 0, 16]), (48_000, 6, 0xf801, None));
        // A dependent substream: at Lrs/Rrs it makes 7.1, at Lvh/Rvh 5.1.2, at Cs 6.1.
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 2, 2]), (48_000, 8, 0xfa01, None));
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 2, 0x40]), (48_000, 8, 0xf811, None));
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 2, 4]), (48_000, 7, 0xf901, None));
        assert_eq!(facts(&[0x0e, 0, 0x20, 0x0f, 3, 0]), (48_000, 7, 0xf803, None));
        for len in 0..5 {
            assert!(dec3(&[0x0e, 0, 0x20, 0x0f, 0][..len]).is_err(), "{len}");
        }
        assert!(dec3(&[0x0e, 0, 0xe0, 0x0f, 0]).is_err(), "fscod 3");
    }
}
