//! What an encode may take of the machine: worked out from its plan, because a fixed limit ends
//! long titles. (600 CPU seconds are six minutes of a 1080p ladder.)
//!
//! `encoder.cpu_factor` times the CPU that the work was seen to need (5: other machines, other footage), twice the bytes that the caps allow. What is
//! beyond is not this film: a decoder in a loop, a stream made to be expensive.

use headwater_config::{Preset, VideoCodec};

use crate::ffmpeg::Limits;
use crate::plan::Plan;
use crate::probe::Stream;
use crate::sample::Sample;
use crate::source::Light;

/// How much more than its cap a track may hold.
const BYTES_FACTOR: u64 = 2;
/// Nanoseconds of CPU for each pixel that is decoded, converted and scaled once.
const DECODE_NS: u64 = 25;
/// How much dearer codecs of archives and studios are to decode, and those that ffmpeg decodes without
/// a processor's vectors.
const DEAR_DECODERS: [&str; 6] = ["jpeg2000", "vvc", "ffv1", "prores", "dnxhd", "cfhd"];
/// By what factor.
const DEAR: u64 = 12;
/// The same for mapping its tones.
const TONES_NS: u64 = 200;
/// For what a second of sound takes to decode and encode, in milliseconds.
const SOUND_MS: u64 = 50;
/// Starting, stopping and very short films, in CPU seconds.
const START_S: u64 = 60;
/// Headers and very short films, in bytes.
const START_BYTES: u64 = 64 << 20;
/// Address space of a thread: its stack and the arenas that the C library reserves for it.
const THREAD_BYTES: u64 = 160 << 20;
/// Address space of the program, its libraries and small buffers.
const PROGRAM_BYTES: u64 = 4 << 30;
/// Frames that decoders, filters and look-ahead of one track hold at once.
const FRAMES_HELD: u64 = 120;
/// Bytes of a pixel in a decoded frame, at most: three float planes while tones are mapped.
const PIXEL_BYTES: u64 = 12;

/// Limits of the ffmpeg that carries out `plan` with `threads` threads in each part of it.
pub fn encode(plan: &Plan, threads: u32, cpu_factor: u32) -> Limits {
    let video = &plan.source.video;
    let source_pixels = u64::from(video.width) * u64::from(video.height);
    let frames = video.held_frames.max(plan.grid.frames());
    let media_s = plan.grid.duration_ms().div_ceil(1000);
    let tones_ns = if video.light == Light::Sdr { 0 } else { TONES_NS };
    let decode_ns = decode_ns(&video.codec) + tones_ns;
    let mut cpu_ns = source_pixels * decode_ns * frames;
    let mut largest_kbps = 0;
    let mut held_pixels = source_pixels;
    for rung in &plan.rungs {
        let pixels = u64::from(rung.width) * u64::from(rung.height);
        cpu_ns += pixels * (DECODE_NS + encode_ns(plan.preset, rung.codec)) * plan.grid.frames();
        largest_kbps = largest_kbps.max(rung.max_kbps);
        held_pixels += pixels;
    }
    let mut tracks = u64::try_from(plan.rungs.len()).expect("a count fits");
    let mut sound_ms = 0;
    for sound in &plan.sounds {
        sound_ms += SOUND_MS * media_s;
        largest_kbps = largest_kbps.max(sound.kbps);
        tracks += 1;
    }
    Limits {
        cpu_s: START_S + u64::from(cpu_factor) * (cpu_ns / 1_000_000_000 + sound_ms / 1000),
        file_bytes: START_BYTES + BYTES_FACTOR * u64::from(largest_kbps) * 125 * media_s,
        memory_bytes: PROGRAM_BYTES
            + THREAD_BYTES * u64::from(threads) * (tracks + 2)
            + held_pixels * PIXEL_BYTES * FRAMES_HELD,
    }
}

/// Limits of the ffmpeg that makes a test film.
pub fn sample(sample: &Sample, cpu_factor: u32) -> Limits {
    let pixels = u64::from(sample.width) * u64::from(sample.height);
    let ns =
        pixels * (4 * DECODE_NS + encode_ns(Preset::Veryfast, VideoCodec::H264)) * sample.frames();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Limits {
        cpu_s: START_S + u64::from(cpu_factor) * (ns / 1_000_000_000),
        // Nothing caps its rate; a byte a pixel is ten times what it has.
        file_bytes: START_BYTES + pixels * sample.frames(),
        memory_bytes: PROGRAM_BYTES
            + THREAD_BYTES * u64::try_from(cores).unwrap_or(1) * 4
            + pixels * PIXEL_BYTES * FRAMES_HELD,
    }
}

/// Limits of the ffprobe that decodes so many seconds of the neighbourhood of damage again.
pub fn locate(plan: &Plan, seconds: u32, cpu_factor: u32) -> Limits {
    let video = &plan.source.video;
    let pixels = u64::from(video.width) * u64::from(video.height);
    let frames = u64::from(video.rate.frames_in(1000)) * u64::from(seconds);
    Limits {
        cpu_s: START_S
            + u64::from(cpu_factor) * (pixels * decode_ns(&video.codec) * frames / 1_000_000_000),
        ..Limits::headers()
    }
}

/// Limits of the ffprobe that decodes a stream of so many packets.
pub fn frames(video: &Stream, packets: u64, threads: u32, cpu_factor: u32) -> Limits {
    let pixels = u64::from(video.width.unwrap_or(0)) * u64::from(video.height.unwrap_or(0));
    let cpu_s = pixels * decode_ns(video.codec()) * packets / 1_000_000_000;
    Limits {
        cpu_s: START_S + u64::from(cpu_factor) * cpu_s,
        file_bytes: 0,
        memory_bytes: PROGRAM_BYTES
            + THREAD_BYTES * u64::from(threads)
            + pixels * PIXEL_BYTES * FRAMES_HELD,
    }
}

/// Nanoseconds of CPU for each pixel of a source that is decoded and scaled once.
fn decode_ns(codec: &str) -> u64 {
    if DEAR_DECODERS.contains(&codec) { DEAR * DECODE_NS } else { DECODE_NS }
}

/// Nanoseconds of CPU for each pixel that is encoded.
fn encode_ns(preset: Preset, codec: VideoCodec) -> u64 {
    let x264_ns = match preset {
        Preset::Ultrafast | Preset::Superfast => 15,
        Preset::Veryfast | Preset::Faster => 25,
        Preset::Fast | Preset::Medium => 60,
        Preset::Slow => 120,
        Preset::Slower => 250,
        Preset::Veryslow => 500,
    };
    match codec {
        VideoCodec::H264 => x264_ns,
        VideoCodec::Hevc | VideoCodec::Av1 => 8 * x264_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4K in JPEG 2000 takes 200 to 500 ns a pixel: 2 to 4 s a frame.
    #[test]
    fn dear_decoders_get_their_time() {
        let uhd_frame_s = |codec| 8_847_360 * 5 * decode_ns(codec) / 1_000_000_000;
        assert!(uhd_frame_s("jpeg2000") > 4, "{} s", uhd_frame_s("jpeg2000"));
        assert!(uhd_frame_s("h264") < 2, "{} s", uhd_frame_s("h264"));
    }
}
