//! dOps: Opus in ISOBMFF (Encapsulation of Opus in ISO Base Media File Format 4.3.2).

use super::audio::{Audio, AudioConfig};
use crate::error::Error;
use crate::layout::ChannelLayout;
use crate::wire::Reader;

/// Opus is always decoded at this rate (RFC 7845 5.1).
const SAMPLE_RATE: u32 = 48_000;

pub(super) fn dops(payload: &[u8]) -> Result<Audio, Error> {
    let mut r = Reader::new(payload, "Opus/dOps");
    let (version, channels, pre_skip_samples) = (r.u8(), r.u8(), r.u16());
    r.skip(6); // InputSampleRate, OutputGain
    let family = r.u8();
    if family != 0 {
        r.skip(2); // StreamCount, CoupledCount
        r.skip(channels.into()); // ChannelMapping
    }
    r.finish()?;
    // RFC 7845 5.1.1: family 0 is mono and stereo, 1 the order of Vorbis, up to 7.1.
    let most = match family {
        _ if version != 0 => 0,
        0 => 2,
        1 => 8,
        _ => 0,
    };
    if channels == 0 || channels > most {
        let detail = format!("version {version}, {channels} channels of mapping family {family}");
        return Err(Error::unsupported("Opus/dOps", detail));
    }
    // The order of Vorbis has quadraphonic sound, 6.1 and 7.1 of shapes of their own (RFC 7845
    // 5.1.1.2).
    let layout = ChannelLayout::Cicp(match channels {
        4 => 9,
        7 => 11,
        8 => 12,
        few => few,
    });
    let config = AudioConfig::Opus { pre_skip_samples };
    Ok(Audio { sample_rate: SAMPLE_RATE, channels: channels.into(), layout, config })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapping_families() {
        let dops = |version, channels: u8, family: u8, tail: &[u8]| {
            dops(&[&[version, channels, 1, 0x38, 0, 0, 0, 0, 0, 0, family], tail].concat())
        };
        let stereo = dops(0, 2, 0, &[]).unwrap();
        assert_eq!((stereo.sample_rate, stereo.channels), (48_000, 2));
        assert_eq!(stereo.config, AudioConfig::Opus { pre_skip_samples: 312 });
        assert_eq!(dops(0, 6, 1, &[4, 2, 0, 4, 1, 2, 3, 5]).unwrap().channels, 6);
        assert_eq!(
            dops(0, 6, 1, &[4, 2, 0, 4, 1, 2, 3, 5]).unwrap().layout,
            ChannelLayout::Cicp(6)
        );
        assert_eq!(dops(0, 4, 1, &[2, 2, 0, 1, 2, 3]).unwrap().layout, ChannelLayout::Cicp(9));
        let eight = dops(0, 8, 1, &[5, 3, 0, 6, 1, 2, 3, 4, 5, 7]).unwrap();
        assert_eq!(eight.layout, ChannelLayout::Cicp(12));
        for (version, channels, family, tail) in [
            (0, 0, 0, &[][..]),
            (0, 3, 0, &[]),
            (1, 2, 0, &[]),
            (0, 6, 1, &[4, 2, 0, 4, 1, 2, 3]),
            (0, 4, 2, &[4, 0, 0, 1, 2, 3]),
        ] {
            assert!(dops(version, channels, family, tail).is_err(), "{channels} of {family}");
        }
    }
}
