//! Whether a source's own pictures can be the top rung, by its headers and packets. Narrow on purpose: what
//! is not sure to be as good as encoded pictures is encoded. What only a bitstream tells is looked at when
//! they are copied ([`crate::remux::copied`]).

use headwater_config::VideoCodec;
use headwater_packager::time;

use crate::grid::Grid;
use crate::ladder::Rung;
use crate::plan::Plan;
use crate::probe::{Probe, Stream};
use crate::scan::Scan;
use crate::source::{Light, Timing, VideoSource};

/// `Err` is the first reason why the pictures of `plan`'s source, which is `video` of what was probed and
/// scanned, are to be encoded.
pub fn judge(probe: &Probe, video: &Stream, scan: &Scan, plan: &Plan) -> Result<(), String> {
    let top = plan.rungs.first().filter(|rung| rung.codec == VideoCodec::H264);
    let top = top.ok_or("its ladder has no H.264")?;
    if plan.rungs.len() == 1 {
        return Err("nothing else would be encoded of it".to_owned());
    }
    let source = &plan.source.video;
    coded(probe, video, source)?;
    shown(video, source, top)?;
    timed(video, scan, source)?;
    keys(scan, &plan.grid)?;
    let (peak_kbps, track, max_kbps) = (source.peak_kbps, &top.track, top.max_kbps);
    if peak_kbps > max_kbps {
        return Err(format!(
            "its busiest group of pictures has {peak_kbps} kbit/s, and {track} at most {max_kbps}"
        ));
    }
    Ok(())
}

/// As each player of H.264 decodes it, and as the other rungs are.
fn coded(probe: &Probe, video: &Stream, source: &VideoSource) -> Result<(), String> {
    if video.codec() != "h264" {
        return Err(format!("it is {}, not H.264", video.codec()));
    }
    let container = &probe.format.format_name;
    if !container.split(',').any(|name| matches!(name, "mp4" | "matroska")) {
        return Err(format!(
            "parameter sets stand among the pictures of its container ({container})"
        ));
    }
    let samples = video.pix_fmt.as_deref().unwrap_or("unknown");
    if samples != "yuv420p" || source.is_full_range {
        return Err(format!("its samples are {samples}, not yuv420p of limited range"));
    }
    if source.is_interlaced {
        return Err("it is interlaced".to_owned());
    }
    if source.light != Light::Sdr {
        return Err(format!("its light is {}, not sdr", source.light.as_str()));
    }
    if source.is_untagged {
        return Err("it does not say what its colours are, and other renditions do".to_owned());
    }
    if video.closed_captions == Some(1) {
        return Err("it carries captions, which manifests do not tell of".to_owned());
    }
    Ok(())
}

/// As it is, in the top rung's size.
fn shown(video: &Stream, source: &VideoSource, top: &Rung) -> Result<(), String> {
    if let Some(shape) =
        video.sample_aspect_ratio.as_deref().filter(|s| !matches!(*s, "1:1" | "0:1"))
    {
        return Err(format!("its pixels are of shape {shape}"));
    }
    let held = (video.width.unwrap_or(0), video.height.unwrap_or(0));
    if held != (source.width, source.height)
        || video.side_data_list.iter().any(|data| data.rotation.is_some_and(|by| by != 0.0))
    {
        return Err("it is to be turned".to_owned());
    }
    if held != (top.width, top.height) {
        let Rung { track, width, height, .. } = top;
        return Err(format!("it is {}x{}, and {track} is {width}x{height}", held.0, held.1));
    }
    Ok(())
}

/// Each of its pictures is one of the title's.
fn timed(video: &Stream, scan: &Scan, source: &VideoSource) -> Result<(), String> {
    match source.timing {
        Timing::Numbered { every: 1 } => {}
        Timing::Numbered { every } => {
            return Err(format!("one of {every} of its pictures is taken"));
        }
        Timing::Timed => return Err("its rate varies".to_owned()),
    }
    if source.is_guessed {
        return Err("its packets do not say when they are shown".to_owned());
    }
    let packets = scan.coded_packets(video.index);
    if packets != source.frames {
        let frames = source.frames;
        return Err(format!("of its {packets} packets {frames} are pictures that are shown"));
    }
    Ok(())
}

/// It can be cut where the title is.
fn keys(scan: &Scan, grid: &Grid) -> Result<(), String> {
    let starts = || (0..grid.fragments()).map(|i| grid.fragment(i).start);
    let at = |frame| {
        let ms = time::millis(grid.ticks(frame), grid.rate().timescale());
        format!("{}.{:03} s", ms / 1000, ms % 1000)
    };
    if let Some(frame) = starts().find(|frame| !scan.is_key(*frame)) {
        return Err(format!(
            "its picture at {}, where it is to be cut, is no key frame",
            at(frame)
        ));
    }
    match scan.first_open(starts()) {
        Some(frame) => {
            Err(format!("pictures before {} are decoded behind it: an open GOP", at(frame)))
        }
        None => Ok(()),
    }
}
