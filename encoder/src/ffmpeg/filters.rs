//! The filter graph of an encode: from decoded frames and samples to what each encoder gets.
//!
//! ```text
//! picture ─ whole frames ─ on the grid ─┬─ SDR, 8 bits:  largest ─ next ─ ...
//!                                       ├─ SDR, 10 bits: largest ─ next ─ ...
//!                                       └─ HDR:          largest ─ next ─ ...
//! each sound ─ on the picture's clock ─ its channels
//! ```
//!
//! Each size is made from the next larger one, which costs less than from the source each time.
//! ffmpeg turns pictures upright before the graph, as their headers say.

use headwater_config::{AudioCodec, VideoCodec};

use super::command::pixel_format;
use crate::audio::SAMPLE_RATE;
use crate::ladder::{Look, Rung};
use crate::plan::{AudioPlan, Plan};
use crate::source::{Colours, Light, Timing, VideoSource, usual_colours};

/// The graph of `plan`. Its outputs are `[v0]`, `[v1]`, ... and `[a0]`, `[a1]`, ...
pub fn graph(plan: &Plan) -> String {
    let mut graph = pictures(plan, &timing(plan), 0);
    for (i, sound) in plan.sounds.iter().enumerate() {
        graph.push_str(&format!(";{}[a{i}]", sound_filters(plan, sound)));
    }
    graph
}

/// The part of it that makes pictures, out of the frames that `timing` takes: `[v0]`, `[v1]`, ... The
/// first `warm_frames` of them do not go to encoders that are not warmed up.
pub(super) fn pictures(plan: &Plan, timing: &str, warm_frames: u64) -> String {
    let video = &plan.source.video;
    let chains = chains(&plan.rungs);
    let mut graph = format!("[0:{}]{timing}", video.index);
    if chains.len() > 1 {
        let outputs: String = (0..chains.len()).map(|k| format!("[c{k}]")).collect();
        graph.push_str(&format!(",split={}{outputs}", chains.len()));
    }
    for (k, (look, rungs)) in chains.iter().enumerate() {
        match chains.len() {
            1 => graph.push(','),
            _ => graph.push_str(&format!(";[c{k}]")),
        }
        graph.push_str(&chain(video, *look, rungs, k, warm_frames));
    }
    graph
}

/// Rungs of one look, with their numbers, the largest first.
fn chains(rungs: &[Rung]) -> Vec<(Look, Vec<(usize, &Rung)>)> {
    let looks = [Look::Flat, Look::Deep, Look::Hdr];
    let of = |look: Look| {
        let mut rungs: Vec<(usize, &Rung)> =
            rungs.iter().enumerate().filter(|(_, rung)| rung.look == look).collect();
        rungs.sort_by_key(|(_, rung)| std::cmp::Reverse(rung.width * rung.height));
        (look, rungs)
    };
    looks.into_iter().map(of).filter(|(_, rungs)| !rungs.is_empty()).collect()
}

/// From decoded frames to those of the grid. Where the rate is constant frames are numbered, not
/// timed, so that each decoded frame is one of the title; one that fails to decode makes every
/// rung short, which is seen.
fn timing(plan: &Plan) -> String {
    let video = &plan.source.video;
    let (num, den) = (video.rate.num(), video.rate.den());
    let whole = whole(video);
    let numbered = format!("settb={den}/{num},setpts=N,fps={num}/{den}");
    match video.timing {
        Timing::Numbered { every: 1 } => format!("{whole}{numbered}"),
        Timing::Numbered { every } => format!("{whole}framestep={every},{numbered}"),
        Timing::Timed => {
            let start = video.start;
            let (base_num, base_den) = start.base;
            // How long the last frame stands is a matter of opinion; the plan has decided.
            let more = video.rate.frames_in(2000);
            format!(
                "{whole}setpts=PTS-round(({ticks}*{base_num}/{base_den})/TB),\
                 fps={num}/{den}:round=near:start_time=0,\
                 tpad=stop={more}:stop_mode=clone,trim=end_frame={frames},{numbered}",
                ticks = start.ticks,
                frames = plan.grid.frames(),
            )
        }
    }
}

/// Whole pictures without captions: those in a bitstream would belie the manifests, which say that there
/// are none. x264 and newer releases of x265 would write them.
pub(super) fn whole(video: &VideoSource) -> String {
    let mut whole = "sidedata=mode=delete:type=A53_CC,".to_owned();
    if video.is_interlaced {
        whole.push_str("bwdif=mode=send_frame:parity=auto:deint=interlaced,");
    }
    whole
}

/// The rungs of one look, one after the other.
fn chain(
    video: &VideoSource,
    look: Look,
    rungs: &[(usize, &Rung)],
    k: usize,
    warm_frames: u64,
) -> String {
    let mut chain = String::new();
    for (at, (i, rung)) in rungs.iter().enumerate() {
        chain.push_str(&format!("scale={}:{}:flags=bicubic", rung.width, rung.height));
        if at == 0 {
            chain.push_str(&colours(video, look));
        }
        // An even width can be a hair from the source's shape; players would scale for it.
        chain.push_str(",setsar=1");
        let is_cold = warm_frames > 0 && rung.codec == VideoCodec::Av1;
        let cold = format!("trim=start_frame={warm_frames},setpts=PTS-STARTPTS[v{i}]");
        match (at + 1 < rungs.len(), is_cold) {
            (true, false) => chain.push_str(&format!(",split[v{i}][s{k}_{at}];[s{k}_{at}]")),
            (true, true) => {
                chain.push_str(&format!(",split[w{i}][s{k}_{at}];[w{i}]{cold};[s{k}_{at}]"));
            }
            (false, false) => chain.push_str(&format!("[v{i}]")),
            (false, true) => chain.push_str(&format!(",{cold}")),
        }
    }
    chain
}

/// To limited range and 4:2:0, tagged as what it then is; RGB by the matrix that players assume.
fn colours(video: &VideoSource, look: Look) -> String {
    let format = pixel_format(look);
    let transfer = match video.light {
        Light::Pq => "smpte2084",
        Light::Hlg => "arib-std-b67",
        Light::Wide => "bt709",
        Light::Sdr if video.is_rgb => {
            return format!(
                ":out_range=tv:out_color_matrix=bt709,format={format},\
                 setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
            );
        }
        Light::Sdr => {
            let range = if video.is_full_range { ":out_range=tv" } else { "" };
            return format!("{range},format={format}{}", said(video));
        }
    };
    if look == Look::Hdr {
        return format!(
            ":out_range=tv:out_color_matrix=bt2020,format={format},\
             setparams=range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}"
        );
    }
    // All is said of what comes in: tags are often missing or half right.
    let known = format!("zscale=rin=limited:min=bt2020nc:pin=bt2020:tin={transfer}");
    let tones = if video.light == Light::Wide {
        format!("{known}:p=bt709:t=bt709:m=bt709:r=limited")
    } else {
        format!(
            "{known}:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
             tonemap=tonemap=mobius:desat=0,zscale=t=bt709:m=bt709:r=limited"
        )
    };
    format!(":out_range=tv:out_color_matrix=bt2020,format=yuv420p10le,{tones},format={format}")
}

/// Colours of a source that does not say them, as they are to be said of each rung.
fn said(video: &VideoSource) -> String {
    if !video.is_untagged {
        return String::new();
    }
    let Colours { matrix, primaries, transfer, .. } = usual_colours(video.width.min(video.height));
    format!(",setparams=colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}")
}

/// Sound on the picture's clock: late starts and holes filled with silence, what lies before or
/// behind the picture cut. Samples are counted by N alone: N/SR/TB is a fraction that rounds a
/// sample too low after a minute.
pub(super) fn sound_filters(plan: &Plan, sound: &AudioPlan) -> String {
    let start = plan.source.video.start;
    let (num, den) = start.base;
    let layout = match sound.channels {
        1 => "mono",
        6 => "5.1",
        _ => "stereo",
    };
    let format = match sound.codec {
        AudioCodec::Aac | AudioCodec::Dolby => "fltp",
        AudioCodec::HeAac => "s16",
        AudioCodec::Opus => "flt",
    };
    format!(
        "[0:{stream}]asetpts=PTS-({ticks}*{num}/{den})/TB,\
         aresample={SAMPLE_RATE}:async=1:min_hard_comp=0.1:first_pts=0,\
         aformat=sample_fmts={format}:channel_layouts={layout},apad,\
         atrim=end_sample={end},asetpts=N",
        stream = sound.stream,
        ticks = start.ticks,
        end = sound.grid.end_sample_for(sound.codec),
    )
}
