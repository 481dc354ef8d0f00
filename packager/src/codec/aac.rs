//! esds: MPEG-4 audio (14496-14 5.6, 14496-3 1.6), with what it signals of SBR and parametric
//! stereo.

use super::audio::{Audio, AudioConfig};
use crate::bits::BitReader;
use crate::error::Error;
use crate::layout::ChannelLayout;
use crate::wire::Reader;

// Descriptor tags (14496-1 7.2.2.1).
const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC_INFO: u8 = 5;
/// objectTypeIndication of MPEG-4 audio.
const MPEG4_AUDIO: u8 = 0x40;

pub(super) fn esds(payload: &[u8]) -> Result<Audio, Error> {
    audio_specific_config(decoder_specific_info(payload)?)
}

/// Walks ES_Descriptor, DecoderConfigDescriptor, DecoderSpecificInfo (14496-1 7.2.6).
fn decoder_specific_info(esds: &[u8]) -> Result<&[u8], Error> {
    let mut r = Reader::new(esds, "mp4a/esds");
    r.version_and_flags();
    let mut es = Reader::new(descriptor(&mut r, ES_DESCRIPTOR)?, "mp4a/esds/ES_Descriptor");
    es.u16(); // ES_ID
    let flags = es.u8();
    if flags & 0x80 != 0 {
        es.u16(); // dependsOn_ES_ID
    }
    if flags & 0x40 != 0 {
        let url_len = es.u8();
        es.take(usize::from(url_len));
    }
    if flags & 0x20 != 0 {
        es.u16(); // OCR_ES_Id
    }
    let mut config = Reader::new(descriptor(&mut es, DECODER_CONFIG)?, "mp4a/esds/DecoderConfig");
    let object_type_indication = config.u8();
    config.take(12); // streamType, bufferSizeDB, maxBitrate, avgBitrate
    config.finish()?;
    if object_type_indication != MPEG4_AUDIO {
        return Err(Error::unsupported(
            "mp4a/esds",
            format!(
                "objectTypeIndication {object_type_indication:#04x}: expected 0x40, MPEG-4 audio"
            ),
        ));
    }
    descriptor(&mut config, DECODER_SPECIFIC_INFO)
}

/// A descriptor's payload; sizes are up to four groups of seven bits (14496-1 8.3.3).
fn descriptor<'a>(r: &mut Reader<'a>, tag: u8) -> Result<&'a [u8], Error> {
    let got = r.u8();
    let mut len = 0usize;
    for _ in 0..4 {
        let byte = r.u8();
        len = len << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let payload = r.take(len);
    r.finish()?;
    if got != tag {
        return Err(Error::damaged("mp4a/esds", format!("expected descriptor {tag}, got {got}")));
    }
    Ok(payload)
}

const AT: &str = "mp4a/esds/AudioSpecificConfig";
/// samplingFrequencyIndex (14496-3 table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// samplingFrequencyIndex before a rate in full.
const ESCAPE: u32 = 15;
/// Channels by channelConfiguration (14496-3 table 1.19); 0 where there are none or a
/// program_config_element says.
const CHANNELS: [u16; 16] = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0];
/// audioObjectType of spectral band replication.
const SBR: u8 = 5;
/// audioObjectType of parametric stereo, which comes with SBR.
const PS: u8 = 29;
/// audioObjectType values of which GASpecificConfig follows and players know: Main, LC, SSR, LTP.
const PLAIN: std::ops::RangeInclusive<u8> = 1..=4;
/// syncExtensionType before backward-compatible SBR, and before parametric stereo.
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

/// AudioSpecificConfig (14496-3 1.6.2.1).
fn audio_specific_config(bytes: &[u8]) -> Result<Audio, Error> {
    let mut r = BitReader::plain(bytes, AT);
    let mut object_type = audio_object_type(&mut r);
    let mut sample_rate = sampling_frequency(&mut r);
    let channel_configuration = r.bits(4);
    let mut core = object_type;
    if object_type == SBR || object_type == PS {
        // Signalled explicitly: the rate that leaves the decoder, then what SBR stands on.
        sample_rate = sampling_frequency(&mut r);
        core = audio_object_type(&mut r);
    }
    r.finish()?;
    let channels = CHANNELS[usize::try_from(channel_configuration).expect("4 bits")];
    let (true, Some(mut rate), true) = (PLAIN.contains(&core), sample_rate, channels > 0) else {
        return Err(Error::unsupported(
            AT,
            format!(
                "object type {core}, a rate of {} Hz, channel configuration \
                 {channel_configuration}: expected AAC with SBR or without",
                sample_rate.unwrap_or(0)
            ),
        ));
    };
    if object_type == core
        && let Some((extension, extended_rate)) = backward_compatible(&mut r, core)
    {
        (object_type, rate) = (extension, extended_rate);
    }
    // Parametric stereo makes two channels of one.
    let (channels, configuration) = match (object_type, channel_configuration) {
        (PS, 1) => (2, 2),
        (_, configuration) => (channels, configuration),
    };
    // Those that are taken are ChannelConfiguration's own numbers.
    let layout = ChannelLayout::Cicp(u8::try_from(configuration).expect("4 bits"));
    Ok(Audio { sample_rate: rate, channels, layout, config: AudioConfig::Aac { object_type } })
}

/// What stands behind GASpecificConfig (1.6.6.1, 4.4.1), if it is an extension that is there: an
/// object type and the rate that leaves the decoder. Whatever else follows means nothing here.
fn backward_compatible(r: &mut BitReader<'_>, core: u8) -> Option<(u8, u32)> {
    r.flag(); // frameLengthFlag
    if r.flag() {
        r.skip(14); // coreCoderDelay
    }
    let _extension_flag = r.flag(); // no payload for object types below 17
    debug_assert!(PLAIN.contains(&core));
    if r.bits(11) != SYNC_SBR || audio_object_type(r) != SBR || !r.flag() {
        return None;
    }
    let rate = sampling_frequency(r);
    r.finish().ok()?;
    let has_ps = r.bits_left() >= 12 && r.bits(11) == SYNC_PS && r.flag();
    Some((if has_ps { PS } else { SBR }, rate?))
}

fn audio_object_type(r: &mut BitReader<'_>) -> u8 {
    let short = r.bits(5);
    let value = if short == 31 { 32 + r.bits(6) } else { short };
    u8::try_from(value).expect("at most 95")
}

fn sampling_frequency(r: &mut BitReader<'_>) -> Option<u32> {
    match r.bits(4) {
        ESCAPE => Some(r.bits(24)).filter(|&rate| rate > 0),
        index => SAMPLE_RATES.get(usize::try_from(index).expect("4 bits")).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits as text to bytes, zeros at the end.
    fn bits(text: &str) -> Vec<u8> {
        let bits: Vec<u8> = text.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
        bits.chunks(8)
            .map(|c| c.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << (7 - i)))
            .collect()
    }

    #[test]
    fn audio_specific_configs() {
        let table = [
            ("AAC-LC, 48 kHz, stereo", "00010 0011 0010 000", (2, 48_000, 2)),
            ("AAC-LC, 44.1 kHz, mono", "00010 0100 0001 000", (2, 44_100, 1)),
            ("7.1", "00010 0011 0111 000", (2, 48_000, 8)),
            ("7.1 of configuration 12", "00010 0011 1100 000", (2, 48_000, 8)),
            ("a rate in full", "00010 1111 000000001011101110000000 0010 000", (2, 48_000, 2)),
            ("SBR, explicit", "00101 0110 0010 0011 00010 000", (5, 48_000, 2)),
            ("SBR and PS, explicit", "11101 0110 0001 0011 00010 000", (29, 48_000, 2)),
            (
                "SBR, backward compatible",
                "00010 0110 0010 000 01010110111 00101 1 0011",
                (5, 48_000, 2),
            ),
            (
                "SBR and PS, backward compatible",
                "00010 0110 0001 000 01010110111 00101 1 0011 10101001000 1",
                (29, 48_000, 2),
            ),
            (
                "SBR that is said to be absent",
                "00010 0011 0010 000 01010110111 00101 0",
                (2, 48_000, 2),
            ),
            ("zeros behind", "00010 0011 0010 000 00000000000 00000 00000000", (2, 48_000, 2)),
        ];
        for (name, config, (object_type, sample_rate, channels)) in table {
            let got = audio_specific_config(&bits(config)).unwrap();
            let wanted = (sample_rate, channels, AudioConfig::Aac { object_type });
            assert_eq!((got.sample_rate, got.channels, got.config), wanted, "{name}");
        }
        for (config, cicp) in [
            ("00010 0011 0100 000", 4),
            ("00010 0011 0111 000", 7),
            ("00010 0011 1011 000", 11),
            ("00010 0011 1100 000", 12),
            ("00010 0011 1110 000", 14),
            ("11101 0110 0001 0011 00010 000", 2),
        ] {
            let got = audio_specific_config(&bits(config)).unwrap().layout;
            assert_eq!(got, ChannelLayout::Cicp(cicp), "{config}");
        }
        for (name, config) in [
            ("channels by a program_config_element", "00010 0011 0000 000"),
            ("a rate of no index", "00010 1101 0010 000"),
            ("USAC", "11111 001010 0011 0010 000"),
            ("SBR on no AAC", "00101 0110 0010 0011 10111 000"),
            ("cut", "00010 001"),
        ] {
            assert!(audio_specific_config(&bits(config)).is_err(), "{name}");
        }
    }
}
