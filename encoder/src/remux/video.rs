//! A rung: ffmpeg's fragment is a GOP, and each GOP must be exactly the one that was planned.
//!
//! Checked of every fragment: the number of frames, each frame's duration, that it starts where
//! the grid says, that its first slice is IDR by its NAL units, and that the pictures shown are
//! those of this fragment and no other (a closed GOP).

use std::path::Path;

use headwater_config::VideoCodec;
use headwater_packager::bmff::fragment::Fragment;
use headwater_packager::bmff::movie::{Handler, Init, InitMedia, write_init};
use headwater_packager::codec::{SampleEntry, Video, VideoConfig};

use super::raw::Raw;
use super::track::TrackWriter;
use super::{Made, PictureTrack, opinion, unlike_plan};
use crate::cancel::Cancel;
use crate::error::Error;
use crate::grid::Grid;
use crate::ladder::Rung;
use crate::plan::{object_name, raw_name};

/// Makes `rung`'s track file in `folder`, where ffmpeg's file lies; `expects` judges its sample
/// entry, `done` is told of each fragment. A first fragment of `warm_frames` is dropped.
pub fn video(
    folder: &Path,
    grid: &Grid,
    warm_frames: u64,
    rung: &Rung,
    expects: impl FnOnce(&Video) -> Result<(), String>,
    cancel: &Cancel,
    done: &mut dyn FnMut(),
) -> Result<Made, Error> {
    let unlike = |what: String| unlike_plan(&rung.track, what);
    let mut raw = Raw::open(&folder.join(raw_name(&rung.track))).map_err(unlike)?;
    let entry = check_header(&raw, grid, rung).map_err(unlike)?;
    expects(&entry).map_err(unlike)?;
    let side = |pixels: u32| u16::try_from(pixels).map_err(|e| unlike(e.to_string()));
    let init = write_init(&Init {
        timescale: raw.header.timescale,
        media: InitMedia::Video { width: side(rung.width)?, height: side(rung.height)? },
        language: *b"und",
        sample_entry: &raw.entry,
        edit_media_time: None,
    });
    let path = folder.join(object_name(&rung.track));
    let mut writer = TrackWriter::create(&path, init, raw.header.timescale, grid.fragments(), 0)?;
    let mut payload = Vec::new();
    if warm_frames > 0 {
        let warm = raw.next(&mut payload).map_err(unlike)?;
        let got = warm.map_or(0, |warm| len_u64(warm.samples.len()));
        if got != warm_frames {
            return Err(unlike(format!("expected a warm-up of {warm_frames} frames, got {got}")));
        }
    }
    for i in 0..grid.fragments() {
        cancel.check()?;
        let at = |what: String| unlike(format!("fragment {i}: {what}"));
        let mut fragment = raw.next(&mut payload).map_err(at)?.ok_or_else(|| {
            let frames = grid.fragment(i).start;
            unlike(format!("expected {} frames, got {frames}", grid.frames()))
        })?;
        let start = fragment.decode_ticks.checked_sub(grid.ticks(warm_frames));
        fragment.decode_ticks = start.ok_or_else(|| at("it lies in the warm-up".to_owned()))?;
        check_fragment(&fragment, grid, i).map_err(at)?;
        let first_bytes = fragment.samples.first().map_or(0, |s| s.size_bytes);
        let first = payload.get(..usize::try_from(first_bytes).expect("u32 fits"));
        if !entry.starts_independent(first).map_err(|e| at(e.to_string()))? {
            return Err(at("expected an IDR picture first, got another".to_owned()));
        }
        writer.fragment(&fragment.samples, &payload)?;
        done();
    }
    if raw.next(&mut payload).map_err(unlike)?.is_some() {
        return Err(unlike(format!("expected {} frames, got more", grid.frames())));
    }
    let file = writer.finish()?;
    // check_fragment: the first picture is IDR, and shown when decoding starts.
    let of = PictureTrack {
        track: &rung.track,
        entry: &entry,
        size: (rung.width, rung.height),
        rate: grid.rate(),
        timescale: raw.header.timescale,
    };
    Ok(Made::of_pictures(&of, file, path))
}

/// Whether pictures are coded as was asked for.
pub fn is_of(video: &Video, codec: VideoCodec) -> Result<(), String> {
    let is_it = matches!(
        (&video.config, codec),
        (VideoConfig::Avc(_), VideoCodec::H264)
            | (VideoConfig::Hevc(_), VideoCodec::Hevc)
            | (VideoConfig::Av1(_), VideoCodec::Av1)
    );
    if is_it { Ok(()) } else { Err(format!("expected {codec:?}, got {}", video.codecs())) }
}

/// The moov against the plan, and a second reader against the moov.
fn check_header(raw: &Raw, grid: &Grid, rung: &Rung) -> Result<Video, String> {
    if raw.header.handler != Handler::Video {
        return Err(format!("expected a video track, got {:?}", raw.header.handler));
    }
    let entry = SampleEntry::parse(&raw.entry).map_err(|e| e.to_string())?;
    opinion::agrees(&raw.start, &entry, raw.header.timescale)?;
    let video = match entry {
        SampleEntry::Video(video) => video,
        other => return Err(format!("expected pictures, got {}", other.codecs())),
    };
    let got = (video.width.into(), video.height.into());
    let (wanted, pixel_aspect) = ((rung.width, rung.height), video.pixel_aspect);
    if got != wanted || pixel_aspect.0 != pixel_aspect.1 {
        return Err(format!(
            "expected {wanted:?} square pixels, got {got:?} of shape {pixel_aspect:?}"
        ));
    }
    let timescale = grid.rate().timescale();
    if raw.header.timescale != timescale {
        return Err(format!("expected timescale {timescale}, got {}", raw.header.timescale));
    }
    Ok(video)
}

/// One GOP, whole and closed, where the grid has it.
fn check_fragment(fragment: &Fragment, grid: &Grid, i: u32) -> Result<(), String> {
    let frames = grid.fragment(i);
    let expected = frames.end - frames.start;
    let got = len_u64(fragment.samples.len());
    if got != expected {
        return Err(format!("expected {expected} frames, got {got}"));
    }
    let start = grid.ticks(frames.start);
    if fragment.decode_ticks != start {
        return Err(format!("expected to start at tick {start}, got {}", fragment.decode_ticks));
    }
    let frame_ticks = grid.rate().frame_ticks();
    let mut shown = Vec::with_capacity(fragment.samples.len());
    let mut decode_ticks = i128::from(start);
    for (k, sample) in fragment.samples.iter().enumerate() {
        if sample.duration_ticks != frame_ticks {
            return Err(format!(
                "frame {k}: expected {frame_ticks} ticks, got {}",
                sample.duration_ticks
            ));
        }
        if sample.is_sync() != (k == 0) {
            return Err(format!("frame {k}: only the first must be marked as a sync sample"));
        }
        shown.push(decode_ticks + i128::from(sample.composition_offset_ticks));
        decode_ticks += i128::from(frame_ticks);
    }
    if shown.first() != Some(&i128::from(start)) {
        return Err(format!("expected the first picture at tick {start}, got {shown:?}"));
    }
    shown.sort_unstable();
    for (wanted, got) in frames.map(|frame| i128::from(grid.ticks(frame))).zip(shown) {
        if wanted != got {
            return Err(format!("expected a picture at tick {wanted}, got {got}"));
        }
    }
    Ok(())
}

fn len_u64(len: usize) -> u64 {
    u64::try_from(len).expect("a length fits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Rate;
    use headwater_packager::bmff::fragment::{NON_SYNC, SYNC, Sample};

    /// I P B B in decode order: shown 0 3 1 2.
    fn gop(decode_ticks: u64) -> Fragment {
        let sample = |flags, frames: i32| Sample {
            duration_ticks: 1000,
            size_bytes: 9,
            flags,
            composition_offset_ticks: frames * 1000,
        };
        Fragment {
            sequence: 1,
            track_id: 1,
            decode_ticks,
            data_offset: 0,
            samples: vec![
                sample(SYNC, 0),
                sample(NON_SYNC, 2),
                sample(NON_SYNC, -1),
                sample(NON_SYNC, -1),
            ],
        }
    }

    #[test]
    fn every_way_a_gop_can_be_wrong() {
        let grid = Grid::new(Rate::parse("24").unwrap(), 8, 167);
        assert_eq!(grid.gop_frames(), 4);
        assert_eq!(check_fragment(&gop(4000), &grid, 1), Ok(()));
        type Break = fn(&mut Fragment);
        let table: [(Break, &str); 7] = [
            (|f| f.samples.truncate(3), "expected 4 frames, got 3"),
            (|f| f.samples.push(f.samples[3]), "expected 4 frames, got 5"),
            (|f| f.decode_ticks += 1, "expected to start at tick 4000, got 4001"),
            (|f| f.samples[2].duration_ticks = 1001, "frame 2: expected 1000 ticks, got 1001"),
            (|f| f.samples[0].flags = NON_SYNC, "frame 0: only the first must be marked"),
            (|f| f.samples[3].flags = SYNC, "frame 3: only the first must be marked"),
            (
                |f| f.samples[1].composition_offset_ticks += 1000,
                "expected a picture at tick 7000, got 8000",
            ),
        ];
        for (break_it, wanted) in table {
            let mut fragment = gop(4000);
            break_it(&mut fragment);
            let error = check_fragment(&fragment, &grid, 1).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
        let mut late = gop(4000);
        late.samples.iter_mut().for_each(|s| s.composition_offset_ticks += 2000);
        assert!(check_fragment(&late, &grid, 1).unwrap_err().starts_with("expected the first"));
    }
}
