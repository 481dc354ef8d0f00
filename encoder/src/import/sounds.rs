//! A sound of the ladder: its frames stand where they stood against the picture, and are dealt out to
//! the ladder's fragments.
//!
//! What lies before the picture's start is dropped by whole frames, and hidden by an edit list where
//! it is less than one. Among it is what encoders put first: 1,024 samples of AAC, 256 of AC-3. What
//! Opus's put first its decoders leave out.

use std::path::Path;

use headwater_packager::bmff::movie::Handler;
use headwater_packager::codec::{Audio, AudioConfig, SampleEntry};

use super::ladder::Sound;
use crate::audio::{AudioGrid, Frames};
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::plan::raw_name;
use crate::remux::{self, Made, Raw};
use crate::source::Stamp;

/// Where fragments end.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// From the title's start.
    pub ticks: &'a [u64],
    /// Ticks a second.
    pub timescale: u32,
}

/// Sound may start so much after the picture and be placed at its start: less than anybody sees.
const LATE_MS: u64 = 1;

/// Makes the track file of `sound` in `folder`; says what the operator should know.
pub fn cut(
    folder: &Path,
    sound: &Sound,
    ends: Ends<'_>,
    cancel: &Cancel,
    done: &mut dyn FnMut(),
) -> Result<(Made, Vec<String>), Error> {
    let refuse = |what: String| Error::new(Kind::Refused, format!("{}: {what}", sound.name));
    let Counted { timescale, frame_ticks, gap_ticks, skipped_ticks } =
        count(folder, sound).map_err(refuse)?;
    let Stamp { ticks: early, base: (num, den) } = sound.early;
    let scaled = i128::from(early) * i128::from(num) * i128::from(timescale);
    let first = (2 * scaled + i128::from(den)).div_euclid(2 * i128::from(den));
    // The gap lies before the first frame instead, which so starts later.
    let early_ticks = first - i128::from(gap_ticks) - i128::from(skipped_ticks);
    let mut notices = Vec::new();
    let early_ticks = match u64::try_from(early_ticks) {
        Ok(early_ticks) => early_ticks,
        Err(_) => {
            let late_ticks = early_ticks.unsigned_abs();
            let late_ms = late_ticks * 1000 / u128::from(timescale);
            if late_ticks > u128::from(frame_ticks) {
                return Err(refuse(format!(
                    "it starts {late_ms} ms after the picture; put silence before it \
                     (ffmpeg -af aresample=async=1:first_pts=0), or encode the source with \
                     `headwater-encoder encode`"
                )));
            }
            if late_ms > u128::from(LATE_MS) {
                let name = &sound.name;
                notices.push(format!(
                    "{name}: starts {late_ms} ms late; moved to the picture's start"
                ));
            }
            0
        }
    };
    let dropped_frames = early_ticks / u64::from(frame_ticks);
    let hidden_ticks =
        u32::try_from(early_ticks % u64::from(frame_ticks)).expect("less than a frame");
    let left = sound.packets.saturating_sub(dropped_frames);
    let counts = Frames { timescale, frame_ticks, hidden_ticks, skipped_ticks: 0 };
    let whole = AudioGrid::cut(ends.ticks.iter().copied(), ends.timescale, counts);
    let missing = whole.frames().saturating_sub(left);
    let grid = whole.at_most(left);
    if grid.frames() == 0 {
        return Err(refuse("it ends before the picture starts".to_owned()));
    }
    let missing_ms = missing * u64::from(frame_ticks) * 1000 / u64::from(timescale);
    if missing_ms > 100 {
        notices.push(format!("{}: ends {missing_ms} ms before the picture", sound.name));
    }
    let wanted = remux::Sound {
        track: &sound.track,
        language: sound.language.as_ref(),
        role: sound.role,
        grid: &grid,
        gap_ticks,
        dropped_frames,
        may_be_longer: true,
    };
    let made = remux::sound(folder, wanted, |_| Ok(()), cancel, done);
    let made = made.map_err(|e| Error::new(e.kind(), format!("{}: {e}", sound.name)))?;
    Ok((made, notices))
}

/// How a file of ffmpeg's counts its sound.
struct Counted {
    timescale: u32,
    frame_ticks: u32,
    /// By how much its first frame is longer than the others. ffmpeg has long written fragmented files
    /// whose sound starts with its encoder's warm-up at 0 and goes on where the picture starts.
    gap_ticks: u32,
    /// What a decoder leaves out by itself: Opus's PreSkip.
    skipped_ticks: u32,
}

fn count(folder: &Path, sound: &Sound) -> Result<Counted, String> {
    let mut raw = Raw::open(&folder.join(raw_name(&sound.track)))?;
    if raw.header.handler != Handler::Audio {
        return Err(format!("expected sound, got {:?}", raw.header.handler));
    }
    let timescale = raw.header.timescale;
    let mut payload = Vec::new();
    let mut durations = Vec::new();
    while durations.len() < 2 {
        let Some(fragment) = raw.next(&mut payload)? else { break };
        durations.extend(fragment.samples.iter().map(|sample| sample.duration_ticks));
    }
    let first_ticks = durations.first().copied().ok_or("it has no frame")?;
    // The last frame of a file may be cut: the longer of two is whole, unless there are more.
    let frame_ticks = match durations[1..] {
        [] => first_ticks,
        [only] if sound.packets == 2 => only.max(first_ticks),
        [second, ..] => second,
    };
    if frame_ticks == 0 {
        return Err("its frames have no duration".to_owned());
    }
    let skipped_ticks = skipped_ticks(&raw)?;
    let gap_ticks = first_ticks.saturating_sub(frame_ticks);
    Ok(Counted { timescale, frame_ticks, gap_ticks, skipped_ticks })
}

/// PreSkip in the track's ticks (RFC 7845 4.2); decoders take it from dOps. Chromium (156) and libavformat
/// (5.1) do so whether an edit list hides the same samples or not: with one, sound comes 6.5 ms early.
fn skipped_ticks(raw: &Raw) -> Result<u32, String> {
    let pre_skip = match SampleEntry::parse(&raw.entry).map_err(|e| e.to_string())? {
        SampleEntry::Audio(Audio { config: AudioConfig::Opus { pre_skip_samples }, .. }) => {
            u64::from(pre_skip_samples)
        }
        _ => 0,
    };
    let ticks = (pre_skip * u64::from(raw.header.timescale) + 24_000) / 48_000;
    u32::try_from(ticks).map_err(|e| e.to_string())
}
