//! A rendition of the ladder: its key frames found, and its samples cut where the ladder is cut.
//!
//! Two readings of the file that ffmpeg copied it to. The first looks at every sample that is marked
//! as a key frame, and believes the bitstream; the second writes.

use std::path::Path;

use headwater_packager::bmff::fragment::{Fragment, NON_SYNC, SYNC, Sample};
use headwater_packager::bmff::movie::{Handler, Init, InitMedia, write_init};
use headwater_packager::codec::{SampleEntry, Video};
use headwater_packager::ids::TrackId;

use super::keys::{Key, Keys};
use super::times::{self, Untimely};
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::grid::Rate;
use crate::limits;
use crate::plan::{object_name, raw_name};
use crate::remux::{Made, PictureTrack, Raw, TrackWriter, agrees};

/// A rendition that was looked at.
#[derive(Clone, Debug)]
pub struct Rendition {
    /// Its track.
    pub track: TrackId,
    /// What its sample entry says.
    pub entry: Video,
    /// Where it can be cut.
    pub keys: Keys,
    /// Pictures.
    pub frames: u64,
    /// Time of the first picture in ffmpeg's file, in ticks.
    zero_ticks: i64,
    /// Pictures of the ladder's film a second.
    pub rate: Rate,
}

/// Reads the file of `track` in `folder` to its end. `rate` is what its source claims.
pub fn survey(
    folder: &Path,
    track: &TrackId,
    rate: Option<Rate>,
    cancel: &Cancel,
) -> Result<Rendition, Error> {
    let refuse = |what: String| Error::new(Kind::Refused, format!("{track}: {what}"));
    let mut raw = Raw::open(&folder.join(raw_name(track))).map_err(refuse)?;
    let entry = entry(&raw).map_err(refuse)?;
    let mut payload = Vec::new();
    let mut surveyed = Surveyed::default();
    while let Some(fragment) = raw.next(&mut payload).map_err(refuse)? {
        cancel.check()?;
        let independent = starts_independent(&entry, &fragment, &payload).map_err(refuse)?;
        surveyed.fragment(&fragment, independent);
    }
    let Surveyed { keys, frames, zero_ticks, last_ticks, frame_ticks, .. } = surveyed;
    let (Some(zero_ticks), Some(frame_ticks)) = (zero_ticks, frame_ticks) else {
        return Err(refuse("it has no picture".to_owned()));
    };
    let from_zero = |ticks: i64| u64::try_from(ticks.saturating_sub(zero_ticks)).ok();
    let keys: Vec<Key> = keys
        .into_iter()
        .filter_map(|(ticks, fragment)| Some(Key { ticks: from_zero(ticks)?, fragment }))
        .collect();
    if keys.first().map(|key| (key.ticks, key.fragment)) != Some((0, 0)) {
        return Err(refuse(
            "decoding cannot start at its first picture, which is no IDR picture or comes after \
             others; encode with closed GOPs"
                .to_owned(),
        ));
    }
    let timescale = raw.header.timescale;
    let end_ticks = from_zero(last_ticks).unwrap_or(0).saturating_add(frame_ticks.into());
    let length_s = end_ticks / u64::from(timescale);
    if length_s > limits::SECONDS.into() {
        let most = limits::SECONDS;
        return Err(refuse(format!(
            "it lasts {length_s} s; cut it into parts of at most {most} s"
        )));
    }
    let rate = measured(frames, end_ticks, timescale, rate)
        .ok_or_else(|| refuse("its frame rate cannot be told".to_owned()))?;
    let keys = Keys { timescale, frame_ticks: frame_ticks.into(), keys, end_ticks };
    Ok(Rendition { track: track.clone(), entry, keys, frames, zero_ticks, rate })
}

/// What the first reading finds.
#[derive(Default)]
struct Surveyed {
    /// When it is shown, and which fragment it starts.
    keys: Vec<(i64, usize)>,
    fragments: usize,
    frames: u64,
    zero_ticks: Option<i64>,
    last_ticks: i64,
    /// The shortest picture but for the last.
    frame_ticks: Option<u32>,
}

impl Surveyed {
    fn fragment(&mut self, fragment: &Fragment, independent: bool) {
        for (k, ticks) in shown(fragment).enumerate() {
            // The first key frame is the title's zero.
            let zero = *self.zero_ticks.get_or_insert(ticks);
            self.last_ticks = if self.frames == 0 { zero } else { self.last_ticks.max(ticks) };
            if k == 0 && independent {
                self.keys.push((ticks, self.fragments));
            }
            let duration = fragment.samples[k].duration_ticks;
            if duration > 0 {
                self.frame_ticks = Some(self.frame_ticks.map_or(duration, |d| d.min(duration)));
            }
            self.frames += 1;
        }
        self.fragments += 1;
    }
}

/// Writes `rendition`'s track file in `folder`, cut at `cuts`; `done` is told of each fragment.
pub fn cut(
    folder: &Path,
    rendition: &Rendition,
    cuts: &[Key],
    cancel: &Cancel,
    done: &mut dyn FnMut(),
) -> Result<Made, Error> {
    let Rendition { track, entry, keys, .. } = rendition;
    let refuse = |what: String| Error::new(Kind::Refused, format!("{track}: {what}"));
    let mut raw = Raw::open(&folder.join(raw_name(track))).map_err(refuse)?;
    let (width, height) = display_size(entry).map_err(refuse)?;
    let init = write_init(&Init {
        timescale: keys.timescale,
        media: InitMedia::Video { width, height },
        language: *b"und",
        sample_entry: &raw.entry,
        edit_media_time: None,
    });
    let path = folder.join(object_name(track));
    let fragments = u32::try_from(cuts.len()).map_err(|e| refuse(e.to_string()))?;
    let mut writer = TrackWriter::create(&path, init, keys.timescale, fragments, 0)?;
    let mut gathered = Gathered::default();
    for (i, from) in cuts.iter().enumerate() {
        cancel.check()?;
        let to = cuts.get(i + 1);
        let until = to.map_or(usize::MAX, |key| key.fragment);
        gathered.clear();
        gathered.take(&mut raw, entry, from.fragment..until).map_err(refuse)?;
        let ticks = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        let (start, end) = (ticks(from.ticks), ticks(to.map_or(keys.end_ticks, |key| key.ticks)));
        let shown: Vec<i64> =
            gathered.shown.iter().map(|t| t.saturating_sub(rendition.zero_ticks)).collect();
        times::set(&mut gathered.samples, &shown, start, end)
            .map_err(|e| refuse(untimely(e, keys.timescale)))?;
        writer.fragment(&gathered.samples, &gathered.payload)?;
        done();
    }
    let file = writer.finish()?;
    let of = PictureTrack {
        track,
        entry,
        size: (width.into(), height.into()),
        rate: rendition.rate,
        timescale: keys.timescale,
    };
    Ok(Made::of_pictures(&of, file, path))
}

/// The claimed rate where the pictures bear it out to 1 %, or else their average, in thousandths.
fn measured(frames: u64, end_ticks: u64, timescale: u32, claimed: Option<Rate>) -> Option<Rate> {
    let thousandths =
        u128::from(frames) * u128::from(timescale) * 1000 / u128::from(end_ticks.max(1));
    let average = Rate::new(u32::try_from(thousandths).ok()?, 1000)?;
    let is_near = |rate: Rate| {
        let claimed = u128::from(rate.num()) * 1000 / u128::from(rate.den());
        claimed.abs_diff(thousandths) * 100 <= thousandths
    };
    claimed.filter(|rate| is_near(*rate)).or(Some(average))
}

fn entry(raw: &Raw) -> Result<Video, String> {
    if raw.header.handler != Handler::Video {
        return Err(format!("expected a video track, got {:?}", raw.header.handler));
    }
    let entry = SampleEntry::parse(&raw.entry).map_err(|e| e.to_string())?;
    agrees(&raw.start, &entry, raw.header.timescale)?;
    match entry {
        SampleEntry::Video(video) => Ok(video),
        other => Err(format!("expected pictures, got {}", other.codecs())),
    }
}

/// Width and height as shown: pixels need not be square.
fn display_size(entry: &Video) -> Result<(u16, u16), String> {
    let (h, v) = entry.pixel_aspect;
    let width = (u64::from(entry.width) * u64::from(h) + u64::from(v) / 2) / u64::from(v);
    let width = u16::try_from(width).map_err(|_| format!("it is shown {width} pixels wide"))?;
    Ok((width.max(1), entry.height))
}

fn starts_independent(entry: &Video, fragment: &Fragment, payload: &[u8]) -> Result<bool, String> {
    let mut rest = payload;
    let samples = fragment.samples.iter().map_while(|sample| {
        let size = usize::try_from(sample.size_bytes).expect("u32 fits");
        let (sample, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(sample)
    });
    entry.starts_independent(samples).map_err(|e| e.to_string())
}

/// When each sample is shown, in ticks of ffmpeg's file.
fn shown(fragment: &Fragment) -> impl Iterator<Item = i64> + '_ {
    let mut decoded = i64::try_from(fragment.decode_ticks).unwrap_or(i64::MAX);
    fragment.samples.iter().map(move |sample| {
        let shown = decoded.saturating_add(sample.composition_offset_ticks.into());
        decoded = decoded.saturating_add(sample.duration_ticks.into());
        shown
    })
}

/// Samples of one fragment of ours.
#[derive(Default)]
struct Gathered {
    samples: Vec<Sample>,
    shown: Vec<i64>,
    payload: Vec<u8>,
    read: Vec<u8>,
    /// Fragments of the file that were read.
    fragments: usize,
}

impl Gathered {
    fn clear(&mut self) {
        self.samples.clear();
        self.shown.clear();
        self.payload.clear();
    }

    /// Takes the file's fragments up to number `which.end`, or its end.
    fn take(
        &mut self,
        raw: &mut Raw,
        entry: &Video,
        which: std::ops::Range<usize>,
    ) -> Result<(), String> {
        while self.fragments < which.end {
            let Some(fragment) = raw.next(&mut self.read)? else { break };
            let independent = starts_independent(entry, &fragment, &self.read)?;
            self.shown.extend(shown(&fragment));
            for (k, sample) in fragment.samples.iter().enumerate() {
                // What a container marks need not be so.
                let flags = if k == 0 && independent { SYNC } else { NON_SYNC };
                self.samples.push(Sample { flags, ..*sample });
            }
            self.payload.extend_from_slice(&self.read);
            self.fragments += 1;
        }
        Ok(())
    }
}

fn untimely(what: Untimely, timescale: u32) -> String {
    let at = |ticks: i64| {
        let ms = i128::from(ticks) * 1000 / i128::from(timescale);
        format!("{}.{:03} s", ms / 1000, (ms % 1000).abs())
    };
    match what {
        Untimely::First => "a key frame is not the first picture of its GOP that is shown; encode \
                            with closed GOPs"
            .to_owned(),
        Untimely::Outside { ticks } => format!(
            "the picture at {} is shown outside of its GOP: an open GOP; encode with closed ones",
            at(ticks)
        ),
        Untimely::Twice { ticks } => {
            format!("two pictures are shown at {}; remux the file", at(ticks))
        }
        Untimely::Long { ticks } => {
            format!("the picture at {} is shown for longer than a file can say", at(ticks))
        }
    }
}
