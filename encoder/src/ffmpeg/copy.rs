//! ffmpeg as a reader of containers: each stream of a ladder's file as a fragmented MP4 of its own,
//! its samples as they are.

use std::ffi::OsString;
use std::path::Path;

use headwater_packager::ids::TrackId;

use super::command::{args, file_url, guarded};
use super::{Limits, Log, Tools};
use crate::cancel::Cancel;
use crate::error::Error;
use crate::limits;
use crate::plan;

/// A stream and the track that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its index in the file.
    pub index: u32,
    /// Its track.
    pub track: TrackId,
    /// Whether it is pictures.
    pub is_video: bool,
    /// Whether its samples are HEVC.
    pub is_hevc: bool,
}

/// ffmpeg: `streams` of `input` into `into`, without decoding.
///
/// Fragments of pictures start at sync samples. Sound waits for its first frame with the moov, as
/// Dolby's configuration is found there. Times start at zero in each file: what lay between the
/// streams is known from the packets of the source.
pub fn arguments(input: &Path, streams: &[Copied], into: &Path) -> Vec<OsString> {
    let mut all = args(&["-nostdin", "-hide_banner", "-nostats", "-v", "level+warning", "-y"]);
    all.extend(args(&["-progress", "pipe:1", "-stats_period", "0.5"]));
    all.extend(guarded());
    all.push("-i".into());
    all.push(file_url(input));
    for stream in streams {
        all.extend(args(&["-map", &format!("0:{}", stream.index), "-c", "copy"]));
        all.extend(args(&["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]));
        if stream.is_hevc {
            // Parameter sets in the sample entry; other players do not look for them elsewhere.
            all.extend(args(&["-tag:v", "hvc1"]));
        }
        all.extend(if stream.is_video {
            args(&["-f", "mp4", "-movflags", "+cmaf+frag_keyframe"])
        } else {
            args(&["-f", "mp4", "-movflags", "+cmaf+delay_moov", "-frag_duration", "2000000"])
        });
        all.extend(args(&["-use_editlist", "0"]));
        all.push(file_url(&into.join(plan::raw_name(&stream.track))));
    }
    all
}

impl Tools {
    /// Copies `streams` of `input` into files of their own in `into`; `on_seconds` is told how many
    /// seconds of the source are through.
    pub async fn copy(
        &self,
        input: &Path,
        streams: &[Copied],
        into: &Path,
        cancel: &Cancel,
        on_seconds: &mut dyn FnMut(f64),
    ) -> Result<Log, Error> {
        self.sandbox.admit(into)?;
        let mut tell = |progress: &super::Progress| on_seconds(progress.out_time_s());
        // Copies take no more bytes than the source, but for their boxes.
        let packets = Limits::packets(input);
        let source_bytes = std::fs::metadata(input).map_or(0, |file| file.len());
        let limits = Limits { file_bytes: 2 * source_bytes + limits::COPY_BYTES, ..packets };
        let end = self.watch(arguments(input, streams, into), limits, cancel, &mut tell).await?;
        if end.log.damage().is_none() {
            end.success("ffmpeg")?;
        }
        Ok(end.log)
    }
}
