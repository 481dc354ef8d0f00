//! The sound track: ffmpeg's fragments are taken apart, its encoder's warm-up is dropped and the
//! frames are dealt out to the grid that all tracks share.

use std::path::Path;

use headwater_packager::bmff::fragment::Sample;
use headwater_packager::bmff::movie::{Handler, Init, InitMedia, write_init};
use headwater_packager::codec::{Audio, AudioConfig, SampleEntry};
use headwater_packager::heads::{Media, ObjectHead, Role, TrackHead};

use super::raw::Raw;
use super::track::TrackWriter;
use super::{Made, opinion, unlike_plan};
use crate::audio::{FRAME_SAMPLES, PRIMING_FRAMES, SAMPLE_RATE};
use crate::cancel::Cancel;
use crate::error::Error;
use crate::plan::{AudioPlan, object_name, raw_name};

/// sample_depends_on 2, a sync sample (14496-12 8.8.3.1): every AAC frame can be decoded alone.
const SYNC: u32 = 0x0200_0000;
/// audioObjectType of AAC-LC.
const AAC_LC: u8 = 2;

/// Makes the sound's track file in `folder`, where ffmpeg's file lies; `done` is told of each
/// fragment.
pub fn sound(
    folder: &Path,
    audio: &AudioPlan,
    fragments: u32,
    cancel: &Cancel,
    done: &mut dyn FnMut(),
) -> Result<Made, Error> {
    let unlike = |what: String| unlike_plan(&audio.track, what);
    let mut raw = Raw::open(&folder.join(raw_name(&audio.track))).map_err(unlike)?;
    let (entry, channels) = check_header(&raw, audio).map_err(unlike)?;
    let init = write_init(&Init {
        timescale: SAMPLE_RATE,
        media: InitMedia::Audio,
        language: audio.language.as_ref().map_or(*b"und", |language| language.code),
        sample_entry: &raw.entry,
        edit_media_time: None,
    });
    let path = folder.join(object_name(&audio.track));
    let mut writer = TrackWriter::create(&path, init, SAMPLE_RATE, fragments)?;
    let mut pending = Pending::default();
    let priming = usize::try_from(PRIMING_FRAMES).expect("u32 fits");
    let expected = audio.grid.frames() + u64::from(PRIMING_FRAMES);
    let wrong_count = |got: String| unlike(format!("expected {expected} frames, got {got}"));
    if pending.fill(priming, &mut raw).map_err(unlike)? {
        pending.drop_first(priming);
    }
    for i in 0..usize::try_from(fragments).expect("u32 fits") {
        cancel.check()?;
        let wanted = usize::try_from(audio.grid.fragment_frames(i)).expect("bounded by the source");
        if !pending.fill(wanted, &mut raw).map_err(unlike)? {
            return Err(wrong_count(pending.frames_read.to_string()));
        }
        let (samples, payload) = pending.first(wanted);
        writer.fragment(samples, payload)?;
        pending.drop_first(wanted);
        done();
    }
    if pending.fill(1, &mut raw).map_err(unlike)? {
        return Err(wrong_count(format!("at least {}", pending.frames_read)));
    }
    let file = writer.finish()?;
    Ok(Made {
        head: TrackHead {
            id: audio.track.clone(),
            media: Media::Audio { sample_rate: SAMPLE_RATE, channels },
            codecs: entry.codecs(),
            timescale: SAMPLE_RATE,
            language: audio.language.as_ref().map(|language| language.tag.clone()),
            role: Role::Main,
            colour: None,
            joc: None,
            // Every frame of AAC-LC starts afresh.
            independent: true,
            start_offset_ticks: 0,
            init_bytes: 0,
            objects: vec![ObjectHead {
                name: object_name(&audio.track),
                len_bytes: file.len_bytes,
                media_offset_bytes: file.media_offset_bytes,
                fragments,
            }],
        },
        init: file.init,
        rows: file.rows,
        path,
    })
}

fn check_header(raw: &Raw, audio: &AudioPlan) -> Result<(SampleEntry, u16), String> {
    if raw.header.handler != Handler::Audio {
        return Err(format!("expected a sound track, got {:?}", raw.header.handler));
    }
    let entry = SampleEntry::parse(&raw.entry).map_err(|e| e.to_string())?;
    let SampleEntry::Audio(Audio {
        sample_rate: SAMPLE_RATE,
        channels,
        config: AudioConfig::Aac { object_type: AAC_LC },
    }) = entry
    else {
        return Err(format!("expected AAC-LC at {SAMPLE_RATE} Hz, got {entry:?}"));
    };
    if u32::from(channels) != audio.channels || raw.header.timescale != SAMPLE_RATE {
        return Err(format!(
            "expected {} channels and timescale {SAMPLE_RATE}, got {channels} and {}",
            audio.channels, raw.header.timescale
        ));
    }
    opinion::agrees(&raw.start, &entry, SAMPLE_RATE)?;
    Ok((entry, channels))
}

/// Frames that were read and not yet written: at most those of a fragment and of one of ffmpeg's.
#[derive(Default)]
struct Pending {
    samples: Vec<Sample>,
    payload: Vec<u8>,
    read: Vec<u8>,
    frames_read: u64,
}

impl Pending {
    /// Reads until `frames` are pending; false when the file ends before.
    fn fill(&mut self, frames: usize, raw: &mut Raw) -> Result<bool, String> {
        while self.samples.len() < frames {
            if !self.more(raw)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads one of ffmpeg's fragments; false at the end.
    fn more(&mut self, raw: &mut Raw) -> Result<bool, String> {
        let Some(fragment) = raw.next(&mut self.read)? else {
            return Ok(false);
        };
        let start = self.frames_read * u64::from(FRAME_SAMPLES);
        if fragment.decode_ticks != start {
            return Err(format!(
                "expected frames from tick {start}, got {}",
                fragment.decode_ticks
            ));
        }
        for sample in fragment.samples {
            let is_frame =
                sample.duration_ticks == FRAME_SAMPLES && sample.composition_offset_ticks == 0;
            if !is_frame {
                let frame = self.frames_read;
                return Err(format!(
                    "frame {frame}: expected {FRAME_SAMPLES} samples, got {sample:?}"
                ));
            }
            self.samples.push(Sample { flags: SYNC, ..sample });
            self.frames_read += 1;
        }
        self.payload.extend_from_slice(&self.read);
        Ok(true)
    }

    fn first(&self, frames: usize) -> (&[Sample], &[u8]) {
        (&self.samples[..frames], &self.payload[..self.bytes(frames)])
    }

    fn drop_first(&mut self, frames: usize) {
        let bytes = self.bytes(frames);
        self.payload.drain(..bytes);
        self.samples.drain(..frames);
    }

    fn bytes(&self, frames: usize) -> usize {
        let bytes: u64 = self.samples[..frames].iter().map(|s| u64::from(s.size_bytes)).sum();
        usize::try_from(bytes).expect("these bytes are in memory")
    }
}
