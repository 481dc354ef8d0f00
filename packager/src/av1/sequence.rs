//! The sequence header OBU (AV1 5.5).

use crate::bits::BitReader;
use crate::colour::Colour;
use crate::error::Error;

/// seq_force_screen_content_tools and seq_force_integer_mv: each frame says (6.4.1).
const SELECT: u8 = 2;

/// A sequence header: what frames' headers are read with, and what manifests say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the bitstream")]
pub struct Sequence {
    /// seq_profile.
    pub profile: u8,
    /// reduced_still_picture_header.
    pub reduced_still_picture_header: bool,
    /// seq_level_idx of the first operating point.
    pub level: u8,
    /// seq_tier of the first operating point.
    pub high_tier: bool,
    /// equal_picture_interval.
    pub equal_picture_interval: bool,
    /// decoder_model_info, where there is one.
    pub decoder_model: Option<DecoderModel>,
    /// Operating points: idc, and whether a decoder model is present for it.
    pub operating_points: Vec<(u16, bool)>,
    /// frame_width_bits, frame_height_bits.
    pub size_bits: (u32, u32),
    /// max_frame_width, max_frame_height.
    pub size: (u32, u32),
    /// Bits of delta_frame_id and of a frame's id, where frames have ids.
    pub frame_id_bits: Option<(u32, u32)>,
    /// use_128x128_superblock.
    pub superblocks_of_128: bool,
    /// enable_warped_motion.
    pub warped_motion: bool,
    /// OrderHintBits, 0 without enable_order_hint.
    pub order_hint_bits: u32,
    /// enable_ref_frame_mvs.
    pub ref_frame_mvs: bool,
    /// seq_force_screen_content_tools; 2 where each frame says.
    pub screen_content_tools: u8,
    /// seq_force_integer_mv; 2 where each frame says.
    pub integer_mv: u8,
    /// enable_superres.
    pub superres: bool,
    /// enable_cdef.
    pub cdef: bool,
    /// enable_restoration.
    pub restoration: bool,
    /// Bits of a sample.
    pub bit_depth: u8,
    /// mono_chrome.
    pub monochrome: bool,
    /// color_description_present_flag.
    pub has_colour: bool,
    /// Code points of colour; 2 where nothing is said.
    pub colour: Colour,
    /// subsampling_x, subsampling_y.
    pub subsampling: (bool, bool),
    /// chroma_sample_position.
    pub chroma_sample_position: u8,
    /// separate_uv_delta_q.
    pub separate_uv_delta_q: bool,
    /// film_grain_params_present.
    pub film_grain: bool,
}

/// decoder_model_info() (5.5.4), as far as headers' lengths depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderModel {
    /// buffer_delay_length.
    pub buffer_delay_bits: u32,
    /// buffer_removal_time_length.
    pub buffer_removal_time_bits: u32,
    /// frame_presentation_time_length.
    pub frame_presentation_time_bits: u32,
}

/// Which operating points there are.
#[derive(Default)]
struct Operation {
    equal_picture_interval: bool,
    decoder_model: Option<DecoderModel>,
    points: Vec<(u16, bool)>,
    level: u8,
    high_tier: bool,
}

/// enable_warped_motion to order_hint_bits.
struct Tools {
    warped_motion: bool,
    ref_frame_mvs: bool,
    screen_content_tools: u8,
    integer_mv: u8,
    order_hint_bits: u32,
}

/// color_config().
struct ColourConfig {
    bit_depth: u8,
    monochrome: bool,
    has_colour: bool,
    colour: Colour,
    subsampling: (bool, bool),
    chroma_sample_position: u8,
    separate_uv_delta_q: bool,
}

impl Sequence {
    /// Reads an OBU's payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::plain(payload, "sequence header");
        let profile = byte(&mut r, 3);
        r.flag(); // still_picture
        let reduced = r.flag();
        let operation = if reduced {
            let points = vec![(0, false)];
            Operation { level: byte(&mut r, 5), points, ..Operation::default() }
        } else {
            operation(&mut r)
        };
        let size_bits = (r.bits(4) + 1, r.bits(4) + 1);
        let size = (r.bits(size_bits.0) + 1, r.bits(size_bits.1) + 1);
        let frame_id_bits = (!reduced && r.flag()).then(|| {
            let delta = r.bits(4) + 2;
            (delta, r.bits(3) + delta + 1)
        });
        let superblocks_of_128 = r.flag();
        r.skip(2); // enable_filter_intra, enable_intra_edge_filter
        let tools = if reduced { Tools::of_a_still() } else { tools(&mut r) };
        let (superres, cdef, restoration) = (r.flag(), r.flag(), r.flag());
        let colours = colour_config(&mut r, profile);
        let film_grain = r.flag();
        r.finish()?;
        if profile > 2 {
            let detail = format!("profile {profile}: expected 0, 1 or 2");
            return Err(Error::unsupported("sequence header", detail));
        }
        Ok(Self {
            profile,
            reduced_still_picture_header: reduced,
            level: operation.level,
            high_tier: operation.high_tier,
            equal_picture_interval: operation.equal_picture_interval,
            decoder_model: operation.decoder_model,
            operating_points: operation.points,
            size_bits,
            size,
            frame_id_bits,
            superblocks_of_128,
            warped_motion: tools.warped_motion,
            order_hint_bits: tools.order_hint_bits,
            ref_frame_mvs: tools.ref_frame_mvs,
            screen_content_tools: tools.screen_content_tools,
            integer_mv: tools.integer_mv,
            superres,
            cdef,
            restoration,
            bit_depth: colours.bit_depth,
            monochrome: colours.monochrome,
            has_colour: colours.has_colour,
            colour: colours.colour,
            subsampling: colours.subsampling,
            chroma_sample_position: colours.chroma_sample_position,
            separate_uv_delta_q: colours.separate_uv_delta_q,
            film_grain,
        })
    }
}

/// timing_info_present_flag to the last operating point.
fn operation(r: &mut BitReader<'_>) -> Operation {
    let mut to = Operation::default();
    if r.flag() {
        r.skip(64); // num_units_in_display_tick, time_scale
        to.equal_picture_interval = r.flag();
        if to.equal_picture_interval {
            r.ue(); // num_ticks_per_picture_minus_1
        }
        to.decoder_model = r.flag().then(|| {
            let buffer_delay_bits = r.bits(5) + 1;
            r.skip(32); // num_units_in_decoding_tick
            DecoderModel {
                buffer_delay_bits,
                buffer_removal_time_bits: r.bits(5) + 1,
                frame_presentation_time_bits: r.bits(5) + 1,
            }
        });
    }
    let has_display_delays = r.flag();
    for i in 0..=r.bits(5) {
        let idc = u16::try_from(r.bits(12)).expect("12 bits");
        let level = byte(r, 5);
        let high_tier = level > 7 && r.flag();
        let mut has_model = false;
        if let Some(model) = to.decoder_model {
            has_model = r.flag();
            if has_model {
                r.skip(2 * model.buffer_delay_bits + 1); // operating_parameters_info()
            }
        }
        if has_display_delays && r.flag() {
            r.skip(4); // initial_display_delay_minus_1
        }
        if i == 0 {
            (to.level, to.high_tier) = (level, high_tier);
        }
        to.points.push((idc, has_model));
    }
    to
}

impl Tools {
    fn of_a_still() -> Self {
        Self {
            warped_motion: false,
            ref_frame_mvs: false,
            screen_content_tools: SELECT,
            integer_mv: SELECT,
            order_hint_bits: 0,
        }
    }
}

fn tools(r: &mut BitReader<'_>) -> Tools {
    r.skip(2); // enable_interintra_compound, enable_masked_compound
    let warped_motion = r.flag();
    r.flag(); // enable_dual_filter
    let has_order_hints = r.flag();
    let mut ref_frame_mvs = false;
    if has_order_hints {
        r.flag(); // enable_jnt_comp
        ref_frame_mvs = r.flag();
    }
    let mut select_or_flag = || if r.flag() { SELECT } else { u8::from(r.flag()) };
    let screen_content_tools = select_or_flag();
    let integer_mv = if screen_content_tools > 0 { select_or_flag() } else { SELECT };
    let order_hint_bits = if has_order_hints { r.bits(3) + 1 } else { 0 };
    Tools { warped_motion, ref_frame_mvs, screen_content_tools, integer_mv, order_hint_bits }
}

/// color_config() (5.5.2).
fn colour_config(r: &mut BitReader<'_>, profile: u8) -> ColourConfig {
    let high = r.flag();
    let bit_depth = match (profile, high) {
        (_, false) => 8,
        (2, true) if r.flag() => 12,
        (_, true) => 10,
    };
    let monochrome = profile != 1 && r.flag();
    let has_colour = r.flag();
    let (primaries, transfer, matrix): (u16, u16, u16) = if has_colour {
        (byte(r, 8).into(), byte(r, 8).into(), byte(r, 8).into())
    } else {
        (2, 2, 2)
    };
    let mut to = ColourConfig {
        bit_depth,
        monochrome,
        has_colour,
        colour: Colour { primaries, transfer, matrix, full_range: true },
        subsampling: (true, true),
        chroma_sample_position: 0,
        separate_uv_delta_q: false,
    };
    if monochrome {
        to.colour.full_range = r.flag();
        return to;
    }
    // sRGB in identity is 4:4:4 in full range without a word.
    if (primaries, transfer, matrix) == (1, 13, 0) {
        to.subsampling = (false, false);
    } else {
        to.colour.full_range = r.flag();
        to.subsampling = match (profile, bit_depth) {
            (0, _) => (true, true),
            (1, _) => (false, false),
            (_, 12) => {
                let x = r.flag();
                (x, x && r.flag())
            }
            _ => (true, false),
        };
        if to.subsampling == (true, true) {
            to.chroma_sample_position = byte(r, 2);
        }
    }
    to.separate_uv_delta_q = r.flag();
    to
}

fn byte(r: &mut BitReader<'_>, count: u32) -> u8 {
    u8::try_from(r.bits(count)).expect("at most 8 bits")
}
