//! Sample entries (14496-12 8.5.2) to codecs strings (RFC 6381) and what manifests say of them.
//!
//! Everything here is read from the bitstream's own configuration: what a muxer or an operator
//! believes about a track plays no part.

use crate::avc;
use crate::bmff::boxes::{self, Boxed};
use crate::error::Error;
use crate::wire::Reader;

/// Bytes of a VisualSampleEntry before its boxes (14496-12 12.1.3).
const VISUAL_BYTES: usize = 78;
/// Bytes of an AudioSampleEntry version 0 before its boxes (14496-12 12.2.3).
const AUDIO_BYTES: usize = 28;

/// A sample entry that this release can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleEntry {
    /// `avc1`: AVC with its parameter sets in the entry (14496-15 5.4).
    Avc {
        /// Coded width in pixels.
        width: u16,
        /// Coded height in pixels.
        height: u16,
        /// Pixel aspect ratio (pasp), 1:1 when there is none.
        pixel_aspect: (u32, u32),
        /// avcC.
        config: avc::Config,
    },
    /// `mp4a` with an AudioSpecificConfig (14496-3 1.6).
    Aac {
        /// audioObjectType: 2 for AAC-LC.
        object_type: u8,
        /// Samples per second.
        sample_rate: u32,
        /// Channels, by channelConfiguration.
        channels: u16,
    },
}

impl SampleEntry {
    /// Reads one sample entry, a whole box.
    pub fn parse(entry: &[u8]) -> Result<Self, Error> {
        let entry = boxes::children(entry)
            .next()
            .ok_or_else(|| Error::damaged("stsd", "no sample entry"))??;
        match &entry.kind {
            b"avc1" => parse_avc1(entry),
            b"mp4a" => parse_mp4a(entry),
            kind => Err(Error::unsupported(
                "stsd",
                format!("sample entry `{}`: expected avc1 or mp4a", boxes::name(*kind)),
            )),
        }
    }

    /// The RFC 6381 codecs string.
    pub fn codecs(&self) -> String {
        match self {
            Self::Avc { config, .. } => config.codecs(),
            // RFC 6381 3.3: mp4a, the object type indication of MPEG-4 audio, the object type.
            Self::Aac { object_type, .. } => format!("mp4a.40.{object_type}"),
        }
    }
}

/// The boxes inside a sample entry, a whole box: its payload behind the fields of its kind.
pub fn inner_boxes(entry: &[u8]) -> Result<&[u8], Error> {
    let entry = boxes::children(entry)
        .next()
        .ok_or_else(|| Error::damaged("stsd", "no sample entry"))??;
    let fields = if &entry.kind == b"avc1" { VISUAL_BYTES } else { AUDIO_BYTES };
    entry.payload.get(fields..).ok_or_else(|| {
        Error::damaged(boxes::name(entry.kind), format!("only {} bytes", entry.payload.len()))
    })
}

fn parse_avc1(entry: Boxed<'_>) -> Result<SampleEntry, Error> {
    let mut r = Reader::new(entry.payload, "avc1");
    r.take(24); // reserved, data_reference_index, pre_defined
    let (width, height) = (r.u16(), r.u16());
    r.take(VISUAL_BYTES - 28);
    let inner = r.rest();
    r.finish()?;
    let config = avc::Config::parse(boxes::need(inner, b"avcC", "avc1")?.payload)?;
    let pixel_aspect = match boxes::find(inner, b"pasp")? {
        None => (1, 1),
        Some(pasp) => {
            let mut r = Reader::new(pasp.payload, "avc1/pasp");
            let ratio = (r.u32(), r.u32());
            r.finish()?;
            ratio
        }
    };
    if width == 0 || height == 0 || pixel_aspect.0 == 0 || pixel_aspect.1 == 0 {
        return Err(Error::damaged("avc1", "a width, height or pixel aspect of zero"));
    }
    Ok(SampleEntry::Avc { width, height, pixel_aspect, config })
}

fn parse_mp4a(entry: Boxed<'_>) -> Result<SampleEntry, Error> {
    let mut r = Reader::new(entry.payload, "mp4a");
    r.take(AUDIO_BYTES);
    let inner = r.rest();
    r.finish()?;
    let esds = boxes::need(inner, b"esds", "mp4a")?;
    let specific = decoder_specific_info(esds.payload)?;
    audio_specific_config(specific)
}

// Descriptor tags (14496-1 7.2.2.1).
const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC_INFO: u8 = 5;
/// objectTypeIndication of MPEG-4 audio.
const MPEG4_AUDIO: u8 = 0x40;

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

/// samplingFrequencyIndex (14496-3 table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Channels by channelConfiguration (14496-3 table 1.19).
const CHANNELS: [u16; 8] = [0, 1, 2, 3, 4, 5, 6, 8];

fn audio_specific_config(bytes: &[u8]) -> Result<SampleEntry, Error> {
    const AT: &str = "mp4a/esds/AudioSpecificConfig";
    let &[a, b, ..] = bytes else {
        return Err(Error::damaged(AT, format!("{} bytes, at least 2", bytes.len())));
    };
    let object_type = a >> 3;
    let rate_index = usize::from((a & 7) << 1 | b >> 7);
    let channel_configuration = usize::from(b >> 3 & 15);
    let sample_rate = SAMPLE_RATES.get(rate_index).copied();
    let channels = CHANNELS.get(channel_configuration).copied().filter(|&c| c > 0);
    match (object_type, sample_rate, channels) {
        (1..31, Some(sample_rate), Some(channels)) => {
            Ok(SampleEntry::Aac { object_type, sample_rate, channels })
        }
        _ => Err(Error::unsupported(
            AT,
            format!(
                "object type {object_type}, frequency index {rate_index}, \
                 channel configuration {channel_configuration}"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BoxWriter;

    fn mp4a(config: [u8; 2]) -> Vec<u8> {
        let mut w = BoxWriter::default();
        w.boxed(b"mp4a", |w| {
            w.zeros(AUDIO_BYTES);
            w.full_box(b"esds", 0, 0, |w| {
                w.slice(&[3, 0x80, 0x80, 0x80, 0x16, 0, 1, 0]);
                w.slice(&[4, 17, 0x40, 0x15, 0, 0, 0, 0, 1, 0xf4, 0, 0, 1, 0xf4, 0]);
                w.slice(&[5, 2, config[0], config[1]]);
            });
        });
        w.into_bytes()
    }

    #[test]
    fn audio_configs() {
        let aac = |object_type, sample_rate, channels| SampleEntry::Aac {
            object_type,
            sample_rate,
            channels,
        };
        let cases = [
            ([0x11, 0x90], aac(2, 48_000, 2)),
            ([0x12, 0x08], aac(2, 44_100, 1)),
            ([0x11, 0xb8], aac(2, 48_000, 8)),
        ];
        for (config, wanted) in cases {
            assert_eq!(SampleEntry::parse(&mp4a(config)).unwrap(), wanted);
        }
        assert_eq!(aac(2, 48_000, 2).codecs(), "mp4a.40.2");
        for bad in [[0x11, 0x80], [0xf9, 0x90], [0x17, 0x90]] {
            assert!(SampleEntry::parse(&mp4a(bad)).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn video_entries_and_their_refusals() {
        let avc1 = |kind: &[u8; 4], pasp: Option<(u32, u32)>| {
            let mut w = BoxWriter::default();
            w.boxed(kind, |w| {
                w.zeros(24);
                w.u16(640);
                w.u16(360);
                w.zeros(VISUAL_BYTES - 28);
                w.boxed(b"avcC", |w| {
                    w.slice(&[1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x1f, 0]);
                });
                if let Some((h, v)) = pasp {
                    w.boxed(b"pasp", |w| {
                        w.u32(h);
                        w.u32(v);
                    });
                }
            });
            w.into_bytes()
        };
        let entry = SampleEntry::parse(&avc1(b"avc1", Some((16, 15)))).unwrap();
        assert_eq!(entry.codecs(), "avc1.64001F");
        assert!(matches!(
            entry,
            SampleEntry::Avc { width: 640, height: 360, pixel_aspect: (16, 15), .. }
        ));
        assert_eq!(
            SampleEntry::parse(&avc1(b"hev1", None)).unwrap_err().to_string(),
            "stsd: sample entry `hev1`: expected avc1 or mp4a"
        );
        assert!(SampleEntry::parse(&avc1(b"avc1", Some((0, 1)))).is_err());
        let whole = avc1(b"avc1", None);
        for len in 0..whole.len() {
            assert!(SampleEntry::parse(&whole[..len]).is_err(), "{len}");
        }
    }
}
