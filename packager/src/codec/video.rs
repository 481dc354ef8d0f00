//! Visual sample entries (14496-12 12.1): avc1, hvc1, av01.

use crate::bmff::boxes::{self, Boxed};
use crate::colour::{Colour, VideoRange};
use crate::error::Error;
use crate::wire::Reader;
use crate::{av1, avc, hevc};

/// Bytes of a VisualSampleEntry before its boxes (14496-12 12.1.3).
pub(super) const FIELDS_BYTES: usize = 78;

/// A video track's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// Coded width in pixels.
    pub width: u16,
    /// Coded height in pixels.
    pub height: u16,
    /// Pixel aspect ratio (pasp), 1:1 when there is none.
    pub pixel_aspect: (u32, u32),
    /// colr.
    pub colr: Option<Colour>,
    /// colr, or what the bitstream says where there is none.
    pub colour: Option<Colour>,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// The codec's own configuration.
    pub config: VideoConfig,
}

/// A codec's decoder configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoConfig {
    /// avcC.
    Avc(avc::Config),
    /// hvcC.
    Hevc(hevc::Config),
    /// av1C.
    Av1(av1::Config),
}

impl Video {
    /// Reads `entry`, whose kind is of video.
    pub(super) fn parse(entry: Boxed<'_>) -> Result<Self, Error> {
        let name = boxes::name(entry.kind);
        let mut r = Reader::new(entry.payload, "video sample entry");
        r.skip(24); // reserved, data_reference_index, pre_defined
        let (width, height) = (r.u16(), r.u16());
        r.skip(FIELDS_BYTES - 28);
        let inner = r.rest();
        r.finish().map_err(|e| e.within(&name))?;
        let record = |kind| Ok::<_, Error>(boxes::need(inner, kind, &name)?.payload);
        let (config, bit_depth, coded) = match &entry.kind {
            b"hvc1" => {
                let config = hevc::Config::parse(record(b"hvcC")?)?;
                let (depth, colour) = (config.bit_depth, config.colour);
                (VideoConfig::Hevc(config), depth, colour)
            }
            b"av01" => {
                let config = av1::Config::parse(record(b"av1C")?)?;
                let (depth, colour) = (config.sequence.bit_depth, config.sequence.colour);
                let said = config.sequence.has_colour;
                (VideoConfig::Av1(config), depth, said.then_some(colour))
            }
            _ => {
                let config = avc::Config::parse(record(b"avcC")?)?;
                (VideoConfig::Avc(config), config.bit_depth, None)
            }
        };
        let pixel_aspect = match boxes::find(inner, b"pasp")? {
            None => (1, 1),
            Some(pasp) => {
                let mut r = Reader::new(pasp.payload, "pasp");
                let ratio = (r.u32(), r.u32());
                r.finish().map_err(|e| e.within(&name))?;
                ratio
            }
        };
        if width == 0 || height == 0 || pixel_aspect.0 == 0 || pixel_aspect.1 == 0 {
            return Err(Error::damaged(name, "a width, height or pixel aspect of zero"));
        }
        let colr = Colour::find(inner).map_err(|e| e.within(&name))?;
        let colour = colr.or(coded);
        Ok(Self { width, height, pixel_aspect, colr, colour, bit_depth, config })
    }

    /// The RFC 6381 codecs string.
    pub fn codecs(&self) -> String {
        match &self.config {
            VideoConfig::Avc(config) => config.codecs(),
            VideoConfig::Hevc(config) => config.codecs(),
            VideoConfig::Av1(config) => config.codecs(self.colr),
        }
    }

    /// The range of its colours.
    pub fn range(&self) -> VideoRange {
        self.colour.map_or(VideoRange::Sdr, Colour::range)
    }

    /// Whether a fragment of these samples, in decode order, can be decoded from its first sample
    /// on with nothing before it, every picture of it included (8216bis 4.4.2.1).
    ///
    /// An IDR picture of AVC or HEVC; a CRA picture of HEVC that no RASL picture follows; of AV1 a
    /// temporal unit with a sequence header whose first frame is a key frame that is shown. Only as
    /// many samples are looked at as the answer needs: one, but for a CRA picture.
    pub fn starts_independent<'a>(
        &self,
        samples: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<bool, Error> {
        let mut samples = samples.into_iter();
        let first = samples.next().unwrap_or(&[]);
        match &self.config {
            VideoConfig::Avc(config) => avc::is_idr(first, *config),
            VideoConfig::Hevc(config) => hevc::starts_independent(first, samples, config),
            VideoConfig::Av1(config) => av1::starts_independent(first, config),
        }
    }
}
