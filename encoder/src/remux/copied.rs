//! A rung that is the source's own pictures: ffmpeg's copy of the stream, cut where the title is. Each picture
//! gets the time of its place on the grid, so that nothing tells it from an encoded rung but its bytes.
//!
//! Checked of every picture, as nobody encoded it for us: its NAL units are slices and what may stand between
//! them in an `avc1` track, it is shown in its own fragment and no other, and each fragment starts with an
//! IDR picture.

use std::path::Path;

use headwater_packager::avc::{self, ParameterSets};
use headwater_packager::bmff::boxes;
use headwater_packager::bmff::fragment::{Fragment, NON_SYNC, SYNC, Sample};
use headwater_packager::bmff::movie::{Handler, Init, InitMedia, write_init};
use headwater_packager::codec::{SampleEntry, Video, VideoConfig, inner_boxes};

use super::raw::Raw;
use super::track::TrackWriter;
use super::{Made, PictureTrack, opinion};
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::grid::Grid;
use crate::ladder::Rung;
use crate::plan::{object_name, raw_name};

/// Makes `rung`'s track file in `folder`, where ffmpeg's copy lies; refuses pictures that cannot be it.
pub fn copied(folder: &Path, grid: &Grid, rung: &Rung, cancel: &Cancel) -> Result<Made, Error> {
    let refuse = |what: String| Error::new(Kind::Refused, what);
    let mut raw = Raw::open(&folder.join(raw_name(&rung.track))).map_err(refuse)?;
    let (entry, config) = check_header(&raw, grid, rung).map_err(refuse)?;
    let timescale = grid.rate().timescale();
    let (width, height) = (entry.width, entry.height);
    let init = write_init(&Init {
        timescale,
        media: InitMedia::Video { width, height },
        language: *b"und",
        sample_entry: &raw.entry,
        edit_media_time: None,
    });
    let path = folder.join(object_name(&rung.track));
    let mut writer = TrackWriter::create(&path, init, timescale, grid.fragments(), 0)?;
    let mut pictures =
        Pictures { config, zero_ticks: None, samples: Vec::new(), slots: Vec::new() };
    let (mut read, mut payload) = (Vec::new(), Vec::new());
    for i in 0..grid.fragments() {
        cancel.check()?;
        let frames = grid.fragment(i);
        let wanted = usize::try_from(frames.end - frames.start).expect("a GOP's frames");
        pictures.samples.clear();
        pictures.slots.clear();
        payload.clear();
        while pictures.samples.len() < wanted {
            let next = raw.next(&mut read).map_err(refuse)?;
            let ended = || refuse(format!("it ends in fragment {i} of {}", grid.fragments()));
            let fragment = next.ok_or_else(ended)?;
            pictures.take(&fragment, &read, (grid, raw.header.timescale)).map_err(refuse)?;
            payload.extend_from_slice(&read);
        }
        pictures.place(grid, i).map_err(|what| refuse(format!("fragment {i}: {what}")))?;
        writer.fragment(&pictures.samples, &payload)?;
    }
    if raw.next(&mut read).map_err(refuse)?.is_some() {
        return Err(refuse(format!("it has more than {} pictures", grid.frames())));
    }
    let file = writer.finish()?;
    let (size, rate) = ((rung.width, rung.height), grid.rate());
    let of = PictureTrack { track: &rung.track, entry: &entry, size, rate, timescale };
    Ok(Made::of_pictures(&of, file, path))
}

/// The pictures of a fragment, gathered.
struct Pictures {
    config: avc::Config,
    /// When the first picture of all is shown, in ticks of ffmpeg's file.
    zero_ticks: Option<i128>,
    samples: Vec<Sample>,
    /// Which frame of the title each is.
    slots: Vec<i128>,
}

impl Pictures {
    /// Takes what ffmpeg put between two packets that the source calls key frames.
    fn take(
        &mut self,
        fragment: &Fragment,
        payload: &[u8],
        (grid, timescale): (&Grid, u32),
    ) -> Result<(), String> {
        let mut rest = payload;
        let mut decoded = i128::from(fragment.decode_ticks);
        for sample in &fragment.samples {
            let size = usize::try_from(sample.size_bytes).expect("u32 fits");
            let picture = rest.split_at_checked(size).ok_or("a picture is cut off")?;
            rest = picture.1;
            let is_idr = check_units(picture.0, self.config)?;
            let shown = decoded + i128::from(sample.composition_offset_ticks);
            decoded += i128::from(sample.duration_ticks);
            let zero = *self.zero_ticks.get_or_insert(shown);
            // Seconds times rate, to the nearest frame.
            let frames = (shown - zero) * i128::from(grid.rate().num());
            let one = i128::from(grid.rate().den()) * i128::from(timescale);
            self.slots.push((2 * frames + one).div_euclid(2 * one));
            let flags = if is_idr { SYNC } else { NON_SYNC };
            self.samples.push(Sample { flags, ..*sample });
        }
        Ok(())
    }

    /// Gives the samples of fragment `i` their times.
    fn place(&mut self, grid: &Grid, i: u32) -> Result<(), String> {
        let frames = grid.fragment(i);
        let (start, end) = (i128::from(frames.start), i128::from(frames.end));
        let got = self.samples.len();
        if i128::try_from(got).ok() != Some(end - start) {
            return Err(format!("{got} pictures up to a key frame, not {}", end - start));
        }
        if self.samples.first().is_none_or(|first| first.flags != SYNC) {
            return Err("it does not start with an IDR picture".to_owned());
        }
        let mut order = self.slots.clone();
        order.sort_unstable();
        if self.slots.first() != Some(&start) || !order.iter().copied().eq(start..end) {
            return Err("pictures of it are shown before or behind it: an open GOP".to_owned());
        }
        let frame_ticks = grid.rate().frame_ticks();
        for ((decoded, slot), sample) in (start..).zip(&self.slots).zip(&mut self.samples) {
            let offset = (slot - decoded) * i128::from(frame_ticks);
            let long = |_| "a picture is shown long after it is decoded".to_owned();
            sample.composition_offset_ticks = i32::try_from(offset).map_err(long)?;
            sample.duration_ticks = frame_ticks;
        }
        Ok(())
    }
}

/// What the header says, and the parameter sets that all pictures share.
fn check_header(raw: &Raw, grid: &Grid, rung: &Rung) -> Result<(Video, avc::Config), String> {
    if raw.header.handler != Handler::Video {
        return Err(format!("expected a video track, got {:?}", raw.header.handler));
    }
    let entry = SampleEntry::parse(&raw.entry).map_err(|e| e.to_string())?;
    opinion::agrees(&raw.start, &entry, raw.header.timescale)?;
    let SampleEntry::Video(video) = entry else { return Err("it is no picture".to_owned()) };
    let VideoConfig::Avc(config) = video.config else {
        return Err(format!("it is {}", video.codecs()));
    };
    let (got, wanted) = ((video.width.into(), video.height.into()), (rung.width, rung.height));
    if got != wanted || video.pixel_aspect.0 != video.pixel_aspect.1 {
        return Err(format!("expected {wanted:?} square pixels, got {got:?}"));
    }
    let text = |e: headwater_packager::Error| e.to_string();
    let inner = inner_boxes(&raw.entry).map_err(text)?;
    let record = boxes::need(inner, b"avcC", "sample entry").map_err(text)?;
    let sets = ParameterSets::parse(record.payload).map_err(text)?;
    let [sps] = sets.sps.as_slice() else {
        return Err(format!("it has {} sequence parameter sets", sets.sps.len()));
    };
    if !sps.frame_mbs_only {
        return Err("its pictures may be fields".to_owned());
    }
    if config.bit_depth != 8 || sps.chroma_array_type != 1 {
        return Err("it is not 4:2:0 of 8 bits".to_owned());
    }
    let [profile, constraints, level] = config.profile_compatibility_level;
    let is_constrained = constraints & 0x40 != 0;
    if !(matches!(profile, 77 | 100) || profile == 66 && is_constrained) {
        return Err(format!("its profile is {profile}, not constrained baseline, main or high"));
    }
    let most = most_level(rung, grid);
    if level > most {
        return Err(format!("its level is {level}, at most {most} is for such pictures"));
    }
    Ok((video, config))
}

/// Levels from 4.1 on, which every player of HD has, with the macroblocks that they decode a second and hold in
/// a picture (H.264 table A-1).
const LEVELS: [(u8, u64, u64); 4] =
    [(41, 245_760, 8_192), (42, 522_240, 8_704), (51, 983_040, 36_864), (52, 2_073_600, 36_864)];

/// The level that pictures of this size and rate need, and no more: a higher one may be refused by players
/// that could show them.
fn most_level(rung: &Rung, grid: &Grid) -> u8 {
    let blocks = |side: u32| u64::from(side.div_ceil(16));
    let held = blocks(rung.width) * blocks(rung.height);
    let (num, den) = (u64::from(grid.rate().num()), u64::from(grid.rate().den()));
    let is_enough = |level: &&(u8, u64, u64)| held <= level.2 && held * num <= level.1 * den;
    LEVELS.iter().find(is_enough).map_or(52, |level| level.0)
}

/// Whether a sample is an IDR picture. What else than slices may stand in it: delimiters, filler, and SEI
/// without captions, of which manifests say that there are none. Parameter sets stand in the sample entry
/// alone (14496-15 5.3.3).
fn check_units(sample: &[u8], config: avc::Config) -> Result<bool, String> {
    const A53_CAPTIONS: [u8; 7] = [0xb5, 0x00, 0x31, b'G', b'A', b'9', b'4'];
    for unit in avc::nal_units(sample, config.nal_length_bytes) {
        let unit = unit.map_err(|e| e.to_string())?;
        match unit.first().map_or(0, |header| header & 0x1f) {
            6 if unit.windows(A53_CAPTIONS.len()).any(|at| at == A53_CAPTIONS) => {
                return Err("it carries captions".to_owned());
            }
            1 | 5 | 6 | 9 | 12 => {}
            7 | 8 => return Err("parameter sets stand among its pictures".to_owned()),
            other => return Err(format!("NAL units of type {other} are in it")),
        }
    }
    avc::is_idr(sample, config).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Rate;

    const CONFIG: avc::Config = avc::Config {
        profile_compatibility_level: [100, 0, 31],
        nal_length_bytes: 4,
        bit_depth: 8,
    };

    /// A sample of NAL units with these headers and contents.
    fn sample(units: &[&[u8]]) -> Vec<u8> {
        let with_length = |unit: &&[u8]| {
            let len = u32::try_from(unit.len()).unwrap();
            [&len.to_be_bytes(), *unit].concat()
        };
        units.iter().flat_map(with_length).collect()
    }

    #[test]
    fn what_may_stand_in_a_picture() {
        let (idr, other) = (&[0x65, 1][..], &[0x41, 1][..]);
        let captions = &[0x06, 4, 9, 0xb5, 0x00, 0x31, b'G', b'A', b'9', b'4', 3, 0x80][..];
        type Units<'a> = &'a [&'a [u8]];
        let table: [(Units<'_>, Result<bool, &str>); 8] = [
            (&[&[0x09, 0xf0], &[0x06, 5, 1, 0, 0x80], idr, idr, &[0x0c, 0xff]], Ok(true)),
            (&[other], Ok(false)),
            (&[captions, idr], Err("it carries captions")),
            (&[&[0x67, 1], idr], Err("parameter sets stand among its pictures")),
            (&[&[0x68, 1], idr], Err("parameter sets stand among its pictures")),
            (&[&[0x42, 1]], Err("NAL units of type 2 are in it")),
            (&[idr, &[0x74, 1]], Err("NAL units of type 20 are in it")),
            (&[&[0x09, 0xf0]], Err("no coded slice in it")),
        ];
        for (units, wanted) in table {
            let got = check_units(&sample(units), CONFIG);
            match (&got, wanted) {
                (Ok(got), Ok(wanted)) => assert_eq!(*got, wanted, "{units:?}"),
                (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{got}"),
                _ => panic!("{units:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn each_picture_has_its_place() {
        let grid = Grid::new(Rate::parse("24").unwrap(), 8, 167);
        let place = |slots: &[i128], syncs: &[usize]| {
            let flags = |k| if syncs.contains(&k) { SYNC } else { NON_SYNC };
            let sample = |k| Sample {
                duration_ticks: 512,
                size_bytes: 9,
                flags: flags(k),
                composition_offset_ticks: 0,
            };
            let samples = (0..slots.len()).map(sample).collect();
            let (slots, zero_ticks) = (slots.to_vec(), Some(0));
            let mut pictures = Pictures { config: CONFIG, zero_ticks, samples, slots };
            pictures.place(&grid, 1)?;
            let times = |s: &Sample| (s.duration_ticks, s.composition_offset_ticks);
            Ok::<_, String>(pictures.samples.iter().map(times).collect::<Vec<_>>())
        };
        // I P B B, and two GOPs in one fragment.
        let wanted = [(1000, 0), (1000, 2000), (1000, -1000), (1000, -1000)];
        assert_eq!(place(&[4, 7, 5, 6], &[0]), Ok(wanted.to_vec()));
        assert_eq!(place(&[4, 5, 6, 7], &[0, 2]), Ok(vec![(1000, 0); 4]));
        let table: [(&[i128], &[usize], &str); 7] = [
            (&[4, 5, 6], &[0], "3 pictures up to a key frame, not 4"),
            (&[4, 5, 6, 7, 8], &[0], "5 pictures up to a key frame, not 4"),
            (&[4, 5, 6, 7], &[], "it does not start with an IDR picture"),
            (&[5, 4, 6, 7], &[0], "an open GOP"),
            (&[4, 3, 5, 6], &[0], "an open GOP"),
            (&[4, 5, 6, 8], &[0], "an open GOP"),
            (&[4, 5, 5, 7], &[0], "an open GOP"),
        ];
        for (slots, syncs, wanted) in table {
            let got = place(slots, syncs).unwrap_err();
            assert!(got.ends_with(wanted), "{slots:?}: {got}");
        }
    }

    #[test]
    fn levels_follow_from_size_and_rate() {
        let table = [
            ((1920, 1080), "30", 41),
            ((1920, 1080), "60", 42),
            ((320, 180), "24", 41),
            ((3840, 2160), "30", 51),
            ((3840, 2160), "60", 52),
        ];
        for ((width, height), rate, wanted) in table {
            let rung = Rung {
                track: "v".parse().unwrap(),
                width,
                height,
                max_kbps: 1,
                crf: 1,
                codec: headwater_config::VideoCodec::H264,
                look: crate::ladder::Look::Flat,
            };
            let grid = Grid::new(Rate::parse(rate).unwrap(), 1, 2000);
            assert_eq!(most_level(&rung, &grid), wanted, "{width}x{height} {rate}");
        }
    }
}
