//! The sound track: ffmpeg's fragments are taken apart, its encoder's warm-up is dropped and the
//! frames are dealt out to the grid that all tracks share.

use std::path::Path;

use headwater_config::AudioCodec;
use headwater_packager::bmff::fragment::{SYNC, Sample};
use headwater_packager::bmff::movie::{Handler, Init, InitMedia, write_init};
use headwater_packager::codec::{Audio, AudioConfig, SampleEntry};
use headwater_packager::heads::{Media, ObjectHead, Role, TrackHead};
use headwater_packager::ids::TrackId;

use super::raw::Raw;
use super::track::TrackWriter;
use super::{Made, opinion, unlike_plan};
use crate::audio::{AudioGrid, Frames, OPUS_PRE_SKIP, SAMPLE_RATE};
use crate::cancel::Cancel;
use crate::error::Error;
use crate::language::Language;
use crate::plan::{object_name, raw_name};

/// audioObjectType of AAC-LC.
const AAC_LC: u8 = 2;
/// audioObjectType of HE-AAC.
const SBR: u8 = 5;

/// A sound track to make from a file that ffmpeg wrote.
#[derive(Clone, Copy, Debug)]
pub struct Sound<'a> {
    /// Its id.
    pub track: &'a TrackId,
    /// Its language, where known.
    pub language: Option<&'a Language>,
    /// What it is for.
    pub role: Role,
    /// Where it is cut.
    pub grid: &'a AudioGrid,
    /// How much longer than a frame the file's first one lasts: a gap behind it, in ticks.
    pub gap_ticks: u32,
    /// Frames of the file before the first that is kept.
    pub dropped_frames: u64,
    /// Whether frames may be left in the file behind the last that is kept.
    pub may_be_longer: bool,
}

/// Makes the track file in `folder`, where ffmpeg's file lies; `expects` judges its sample entry,
/// `done` is told of each fragment.
pub fn sound(
    folder: &Path,
    sound: Sound<'_>,
    expects: impl FnOnce(&Audio) -> Result<(), String>,
    cancel: &Cancel,
    done: &mut dyn FnMut(),
) -> Result<Made, Error> {
    let Sound { track, grid, .. } = sound;
    let raw = Raw::open_shifted(&folder.join(raw_name(track)));
    let raw = raw.map_err(|what| unlike_plan(track, what))?;
    let mut dealer = Dealer::new(raw, sound, expects)?;
    let Frames { timescale, hidden_ticks, .. } = grid.counts();
    let path = folder.join(object_name(track));
    let init = dealer.init.clone();
    let mut writer = TrackWriter::create(&path, init, timescale, grid.fragments(), hidden_ticks)?;
    for _ in 0..grid.fragments() {
        cancel.check()?;
        if !dealer.fragment(&mut writer)? {
            return Err(dealer.too_few());
        }
        done();
    }
    dealer.end()?;
    let file = writer.finish()?;
    let head = dealer.head(file.object(object_name(track)));
    Ok(Made { head, init: file.init, rows: file.rows, path })
}

/// ffmpeg's frames, dealt out to the fragments of a grid, one after the other.
pub(super) struct Dealer {
    /// What ffmpeg wrote.
    pub(super) raw: Raw,
    /// ftyp and moov of the track.
    pub(super) init: Vec<u8>,
    /// Where it is cut.
    pub(super) grid: AudioGrid,
    /// Fragments that were dealt.
    pub(super) dealt: u32,
    entry: Audio,
    track: TrackId,
    language: Option<String>,
    role: Role,
    dropped_frames: u64,
    may_be_longer: bool,
    pending: Pending,
    /// Frames that are still to be dropped.
    to_drop: u64,
}

impl Dealer {
    /// Nothing is dealt yet; `expects` judges the sample entry.
    pub(super) fn new(
        raw: Raw,
        sound: Sound<'_>,
        expects: impl FnOnce(&Audio) -> Result<(), String>,
    ) -> Result<Self, Error> {
        let Sound { track, language, role, grid, gap_ticks, dropped_frames, may_be_longer } = sound;
        let unlike = |what: String| unlike_plan(track, what);
        let entry = check_header(&raw, grid.counts()).map_err(unlike)?;
        check_edit(&raw, sound).map_err(unlike)?;
        expects(&entry).map_err(unlike)?;
        let Frames { timescale, frame_ticks, hidden_ticks, .. } = grid.counts();
        let init = write_init(&Init {
            timescale,
            media: InitMedia::Audio,
            language: language.map_or(*b"und", |language| language.code),
            sample_entry: &raw.entry,
            edit_media_time: (hidden_ticks > 0).then_some(hidden_ticks),
        });
        Ok(Self {
            raw,
            init,
            grid: grid.clone(),
            dealt: 0,
            entry,
            track: track.clone(),
            language: language.map(|language| language.tag.clone()),
            role,
            dropped_frames,
            may_be_longer,
            pending: Pending::new(frame_ticks, gap_ticks),
            to_drop: dropped_frames,
        })
    }

    /// Writes the next fragment; false where not all of its frames are there, and may be asked again.
    pub(super) fn fragment(&mut self, writer: &mut TrackWriter) -> Result<bool, Error> {
        // One by one: they may be hours of sound, and need no place in memory.
        while self.to_drop > 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            self.pending.drop_first(1);
            self.to_drop -= 1;
        }
        let index = usize::try_from(self.dealt).expect("u32 fits");
        let wanted = self.grid.fragment_frames(index);
        let wanted = usize::try_from(wanted).expect("bounded by the source");
        if !self.fill(wanted)? {
            return Ok(false);
        }
        let (samples, payload) = self.pending.first(wanted);
        writer.fragment(samples, payload)?;
        self.pending.drop_first(wanted);
        self.dealt += 1;
        Ok(true)
    }

    /// Whether nothing is left that should not be.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if !self.may_be_longer && self.fill(1)? {
            return Err(self.wrong_count(&format!("at least {}", self.pending.frames_read)));
        }
        Ok(())
    }

    /// ffmpeg's file ended before its last fragment.
    pub(super) fn too_few(&self) -> Error {
        self.wrong_count(&self.pending.frames_read.to_string())
    }

    /// What heads say of the track as one object.
    pub(super) fn head(&self, object: ObjectHead) -> TrackHead {
        let entry = &self.entry;
        TrackHead {
            id: self.track.clone(),
            media: Media::Audio { sample_rate: entry.sample_rate, channels: entry.channels },
            codecs: entry.codecs(),
            timescale: self.grid.counts().timescale,
            language: self.language.clone(),
            role: self.role,
            colour: None,
            joc: match entry.config {
                AudioConfig::Eac3 { joc } => joc,
                _ => None,
            },
            layout: Some(entry.layout),
            // Every frame of the codecs that are taken starts afresh, or within a frame or two.
            independent: true,
            start_offset_ticks: 0,
            init_bytes: 0,
            objects: vec![object],
        }
    }

    /// ffmpeg's file is not what was planned.
    pub(super) fn unlike(&self, what: impl std::fmt::Display) -> Error {
        unlike_plan(&self.track, what)
    }

    fn fill(&mut self, frames: usize) -> Result<bool, Error> {
        self.pending.fill(frames, &mut self.raw).map_err(|what| unlike_plan(&self.track, what))
    }

    fn wrong_count(&self, got: &str) -> Error {
        let expected = self.grid.frames() + self.dropped_frames;
        self.unlike(format!("expected {expected} frames, got {got}"))
    }
}

/// Whether sound is AAC-LC as we make it, with so many channels.
pub fn is_our_aac(audio: &Audio, channels: u32) -> Result<(), String> {
    is_ours(audio, AudioCodec::Aac, channels)
}

/// Whether sound is coded as we have it coded, with so many channels.
pub fn is_ours(audio: &Audio, codec: AudioCodec, channels: u32) -> Result<(), String> {
    let config = match codec {
        AudioCodec::Aac | AudioCodec::Dolby => AudioConfig::Aac { object_type: AAC_LC },
        AudioCodec::HeAac => AudioConfig::Aac { object_type: SBR },
        AudioCodec::Opus => AudioConfig::Opus { pre_skip_samples: OPUS_PRE_SKIP },
    };
    let channels = u16::try_from(channels).unwrap_or(u16::MAX);
    // Where they are heard is the codec's to say.
    let layout = audio.layout;
    let wanted = Audio { sample_rate: SAMPLE_RATE, channels, layout, config };
    if *audio == wanted { Ok(()) } else { Err(format!("expected {wanted:?}, got {audio:?}")) }
}

/// What an edit list hides is what the caller leaves out: whole frames, and a part of one.
fn check_edit(raw: &Raw, sound: Sound<'_>) -> Result<(), String> {
    let Frames { frame_ticks, hidden_ticks, .. } = sound.grid.counts();
    let left_out = sound.dropped_frames * u64::from(frame_ticks) + u64::from(hidden_ticks);
    match raw.header.edit_media_time {
        Some(ticks) if u64::try_from(ticks) != Ok(left_out) => {
            Err(format!("expected an edit list from {left_out} or none, got one from {ticks}"))
        }
        _ => Ok(()),
    }
}

fn check_header(raw: &Raw, counts: Frames) -> Result<Audio, String> {
    if raw.header.handler != Handler::Audio {
        return Err(format!("expected a sound track, got {:?}", raw.header.handler));
    }
    if raw.header.timescale != counts.timescale {
        let (wanted, got) = (counts.timescale, raw.header.timescale);
        return Err(format!("expected timescale {wanted}, got {got}"));
    }
    let entry = SampleEntry::parse(&raw.entry).map_err(|e| e.to_string())?;
    opinion::agrees(&raw.start, &entry, raw.header.timescale)?;
    match entry {
        SampleEntry::Audio(audio) => Ok(audio),
        other => Err(format!("expected sound, got {}", other.codecs())),
    }
}

/// Frames that were read and not yet written: at most those of a fragment and of one of ffmpeg's.
struct Pending {
    frame_ticks: u32,
    gap_ticks: u32,
    samples: Vec<Sample>,
    payload: Vec<u8>,
    read: Vec<u8>,
    frames_read: u64,
    /// A frame shorter than the others came: it is the last.
    ended: bool,
}

impl Pending {
    fn new(frame_ticks: u32, gap_ticks: u32) -> Self {
        Self {
            frame_ticks,
            gap_ticks,
            samples: Vec::new(),
            payload: Vec::new(),
            read: Vec::new(),
            frames_read: 0,
            ended: false,
        }
    }

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
        let gap_ticks = if self.frames_read > 0 { u64::from(self.gap_ticks) } else { 0 };
        let start = self.frames_read * u64::from(self.frame_ticks) + gap_ticks;
        if fragment.decode_ticks != start {
            return Err(format!(
                "expected frames from tick {start}, got {}",
                fragment.decode_ticks
            ));
        }
        let frame_ticks = self.frame_ticks;
        for sample in fragment.samples {
            let gap_ticks = if self.frames_read == 0 { self.gap_ticks } else { 0 };
            let is_frame = sample.duration_ticks <= frame_ticks + gap_ticks
                && sample.composition_offset_ticks == 0;
            if !is_frame || self.ended {
                let frame = self.frames_read;
                return Err(format!("frame {frame}: expected {frame_ticks} ticks, got {sample:?}"));
            }
            // What a container cuts off the last frame is decoded all the same.
            self.ended = sample.duration_ticks < frame_ticks;
            self.samples.push(Sample { flags: SYNC, duration_ticks: frame_ticks, ..sample });
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
