//! Movie headers: ftyp, moov and below (14496-12 8.2 to 8.8.3; CMAF header, 23000-19 7.3).
//!
//! [`parse`] takes from a moov what the mezzanine keeps; sample entries stay as they came, byte
//! for byte, so that colr, pasp, btrt and boxes unknown here survive. [`write_init`] emits
//! `ftyp moov(mvhd trak(tkhd [edts] mdia(mdhd hdlr minf)) mvex(trex))` with no samples in it.

use super::boxes::{self, Boxed};
use crate::error::Error;
use crate::limits;
use crate::wire::{BoxWriter, Reader};

/// The unity matrix of tkhd and mvhd, 16.16 and 2.30 fixed point (14496-12 8.2.2).
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// What kind of media a track carries, by its handler (14496-12 8.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// `vide`
    Video,
    /// `soun`
    Audio,
    /// Anything else.
    Other,
}

/// A track of a moov.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackHeader {
    /// track_ID, referred to by tfhd.
    pub track_id: u32,
    /// From hdlr.
    pub handler: Handler,
    /// Ticks per second, from mdhd; never zero.
    pub timescale: u32,
    /// Sample entries, each a whole box as it came.
    pub sample_entries: Vec<Vec<u8>>,
    /// media_time of the one edit that shifts the track, if it has one (14496-12 8.6.6).
    pub edit_media_time: Option<i64>,
    /// Defaults of the track's fragments; zeros without a trex.
    pub defaults: Defaults,
}

/// trex: what a fragment inherits (14496-12 8.8.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Ticks.
    pub duration_ticks: u32,
    /// Bytes.
    pub size_bytes: u32,
    /// sample_flags (14496-12 8.8.3.1).
    pub flags: u32,
}

/// Reads every track of a `moov` box's payload.
pub fn parse(moov: &[u8]) -> Result<Vec<TrackHeader>, Error> {
    let mut tracks = Vec::new();
    for child in boxes::children(moov) {
        let child = child.map_err(|e| e.within("moov"))?;
        if &child.kind == b"trak" {
            if tracks.len() == limits::TRACKS {
                return Err(Error::too_large(
                    "moov",
                    format!("more than {} tracks", limits::TRACKS),
                ));
            }
            tracks.push(parse_trak(child.payload)?);
        }
    }
    if let Some(mvex) = boxes::find(moov, b"mvex")? {
        for child in boxes::children(mvex.payload) {
            let child = child.map_err(|e| e.within("moov/mvex"))?;
            if &child.kind == b"trex" {
                parse_trex(child.payload, &mut tracks)?;
            }
        }
    }
    Ok(tracks)
}

fn parse_trak(trak: &[u8]) -> Result<TrackHeader, Error> {
    const AT: &str = "moov/trak";
    let mdia = boxes::need(trak, b"mdia", AT)?;
    let minf = boxes::need(mdia.payload, b"minf", "moov/trak/mdia")?;
    let stbl = boxes::need(minf.payload, b"stbl", "moov/trak/mdia/minf")?;
    let stsd = boxes::need(stbl.payload, b"stsd", "moov/trak/mdia/minf/stbl")?;
    Ok(TrackHeader {
        track_id: parse_tkhd(boxes::need(trak, b"tkhd", AT)?)?,
        handler: parse_hdlr(boxes::need(mdia.payload, b"hdlr", "moov/trak/mdia")?)?,
        timescale: parse_mdhd(boxes::need(mdia.payload, b"mdhd", "moov/trak/mdia")?)?,
        sample_entries: parse_stsd(stsd)?,
        edit_media_time: match boxes::find(trak, b"edts")? {
            Some(edts) => match boxes::find(edts.payload, b"elst")? {
                Some(elst) => parse_elst(elst)?,
                None => None,
            },
            None => None,
        },
        defaults: Defaults::default(),
    })
}

fn parse_tkhd(tkhd: Boxed<'_>) -> Result<u32, Error> {
    let mut r = Reader::new(tkhd.payload, "moov/trak/tkhd");
    let (version, _) = r.version_and_flags();
    r.take(if version == 1 { 16 } else { 8 }); // creation_time, modification_time
    let track_id = r.u32();
    r.finish()?;
    Ok(track_id)
}

fn parse_mdhd(mdhd: Boxed<'_>) -> Result<u32, Error> {
    let mut r = Reader::new(mdhd.payload, "moov/trak/mdia/mdhd");
    let (version, _) = r.version_and_flags();
    r.take(if version == 1 { 16 } else { 8 });
    let timescale = r.u32();
    r.finish()?;
    if timescale == 0 || timescale > limits::TIMESCALE {
        return Err(Error::damaged(
            "moov/trak/mdia/mdhd/timescale",
            format!("expected 1 to {}, got {timescale}", limits::TIMESCALE),
        ));
    }
    Ok(timescale)
}

fn parse_hdlr(hdlr: Boxed<'_>) -> Result<Handler, Error> {
    let mut r = Reader::new(hdlr.payload, "moov/trak/mdia/hdlr");
    r.version_and_flags();
    r.u32(); // pre_defined
    let kind: [u8; 4] = r.array();
    r.finish()?;
    Ok(match &kind {
        b"vide" => Handler::Video,
        b"soun" => Handler::Audio,
        _ => Handler::Other,
    })
}

fn parse_stsd(stsd: Boxed<'_>) -> Result<Vec<Vec<u8>>, Error> {
    const AT: &str = "moov/trak/mdia/minf/stbl/stsd";
    let mut r = Reader::new(stsd.payload, AT);
    r.version_and_flags();
    r.u32(); // entry_count: the boxes themselves are counted
    let entries = r.rest();
    r.finish()?;
    boxes::children(entries)
        .take(limits::TRACKS)
        .map(|entry| Ok(entry.map_err(|e| e.within(AT))?.whole.to_vec()))
        .collect()
}

/// The media_time of the first edit that is not empty (-1), as most players honour it.
fn parse_elst(elst: Boxed<'_>) -> Result<Option<i64>, Error> {
    let mut r = Reader::new(elst.payload, "moov/trak/edts/elst");
    let (version, _) = r.version_and_flags();
    for _ in 0..r.u32() {
        let media_time = if version == 1 {
            r.u64();
            i64::from_be_bytes(r.array())
        } else {
            r.u32();
            i64::from(r.i32())
        };
        r.u32(); // media_rate
        r.finish()?;
        if media_time >= 0 {
            return Ok(Some(media_time));
        }
    }
    r.finish()?;
    Ok(None)
}

fn parse_trex(trex: &[u8], tracks: &mut [TrackHeader]) -> Result<(), Error> {
    let mut r = Reader::new(trex, "moov/mvex/trex");
    r.version_and_flags();
    let track_id = r.u32();
    r.u32(); // default_sample_description_index
    let defaults = Defaults { duration_ticks: r.u32(), size_bytes: r.u32(), flags: r.u32() };
    r.finish()?;
    for track in tracks.iter_mut().filter(|t| t.track_id == track_id) {
        track.defaults = defaults;
    }
    Ok(())
}

/// What [`write_init`] puts into a CMAF header. The track's id is 1 always.
#[derive(Clone, Debug)]
pub struct Init<'a> {
    /// Ticks per second.
    pub timescale: u32,
    /// Display size or loudness header.
    pub media: InitMedia,
    /// ISO 639-2/T code, `*b"und"` where unknown (14496-12 8.4.2.3).
    pub language: [u8; 3],
    /// One sample entry, a whole box.
    pub sample_entry: &'a [u8],
    /// media_time of an edit that hides priming samples; none where timestamps start at zero.
    pub edit_media_time: Option<u32>,
}

/// The media header of an [`Init`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitMedia {
    /// Display width and height in pixels (tkhd), after the pixel aspect ratio.
    Video {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// Sound at full volume.
    Audio,
}

/// The track id in everything this crate writes.
pub const TRACK_ID: u32 = 1;

/// Writes `ftyp moov`.
pub fn write_init(init: &Init<'_>) -> Vec<u8> {
    let mut w = BoxWriter::with_capacity(768 + init.sample_entry.len());
    w.boxed(b"ftyp", |w| {
        // CMAF 23000-19 7.2: cmfc as structural brand; iso6 for tfdt and default-base-is-moof.
        w.slice(b"iso6\0\0\0\0iso6cmfcmp41");
    });
    w.boxed(b"moov", |w| {
        write_mvhd(w, init.timescale);
        w.boxed(b"trak", |w| {
            write_tkhd(w, init.media);
            if let Some(media_time) = init.edit_media_time {
                write_edts(w, media_time);
            }
            w.boxed(b"mdia", |w| write_mdia(w, init));
        });
        w.boxed(b"mvex", |w| {
            w.full_box(b"trex", 0, 0, |w| {
                w.u32(TRACK_ID);
                w.u32(1); // default_sample_description_index
                w.zeros(12); // duration, size and flags stand in each fragment
            });
        });
    });
    w.into_bytes()
}

fn write_mvhd(w: &mut BoxWriter, timescale: u32) {
    w.full_box(b"mvhd", 0, 0, |w| {
        w.zeros(8); // creation and modification time: the same bytes whenever made
        w.u32(timescale);
        w.u32(0); // duration: in fragments only
        w.u32(0x0001_0000); // rate 1.0
        w.u16(0x0100); // volume 1.0
        w.zeros(10);
        MATRIX.iter().for_each(|&v| w.u32(v));
        w.zeros(24);
        w.u32(TRACK_ID + 1); // next_track_ID
    });
}

fn write_tkhd(w: &mut BoxWriter, media: InitMedia) {
    // Flags: enabled, in movie, in preview (14496-12 8.3.2).
    w.full_box(b"tkhd", 0, 7, |w| {
        w.zeros(8);
        w.u32(TRACK_ID);
        w.zeros(4 + 4 + 8); // reserved, duration, reserved
        w.zeros(4); // layer, alternate_group
        let (volume, width, height) = match media {
            InitMedia::Video { width, height } => (0, width, height),
            InitMedia::Audio => (0x0100, 0, 0),
        };
        w.u16(volume);
        w.u16(0);
        MATRIX.iter().for_each(|&v| w.u32(v));
        w.u32(u32::from(width) << 16);
        w.u32(u32::from(height) << 16);
    });
}

fn write_edts(w: &mut BoxWriter, media_time: u32) {
    w.boxed(b"edts", |w| {
        w.full_box(b"elst", 0, 0, |w| {
            w.u32(1);
            w.u32(0); // segment_duration 0: to the end of the fragments (14496-12 8.6.6.1)
            w.u32(media_time);
            w.u32(0x0001_0000); // media_rate 1.0
        });
    });
}

fn write_mdia(w: &mut BoxWriter, init: &Init<'_>) {
    let (handler, name): (&[u8; 4], &[u8]) = match init.media {
        InitMedia::Video { .. } => (b"vide", b"VideoHandler\0"),
        InitMedia::Audio => (b"soun", b"SoundHandler\0"),
    };
    w.full_box(b"mdhd", 0, 0, |w| {
        w.zeros(8);
        w.u32(init.timescale);
        w.u32(0);
        w.u16(packed_language(init.language));
        w.u16(0);
    });
    w.full_box(b"hdlr", 0, 0, |w| {
        w.u32(0);
        w.slice(handler);
        w.zeros(12);
        w.slice(name);
    });
    w.boxed(b"minf", |w| {
        match init.media {
            InitMedia::Video { .. } => w.full_box(b"vmhd", 0, 1, |w| w.zeros(8)),
            InitMedia::Audio => w.full_box(b"smhd", 0, 0, |w| w.zeros(4)),
        }
        w.boxed(b"dinf", |w| {
            w.full_box(b"dref", 0, 0, |w| {
                w.u32(1);
                w.full_box(b"url ", 0, 1, |_| {}); // flag 1: media is in this file
            });
        });
        w.boxed(b"stbl", |w| {
            w.full_box(b"stsd", 0, 0, |w| {
                w.u32(1);
                w.slice(init.sample_entry);
            });
            w.full_box(b"stts", 0, 0, |w| w.u32(0));
            w.full_box(b"stsc", 0, 0, |w| w.u32(0));
            w.full_box(b"stsz", 0, 0, |w| w.zeros(8));
            w.full_box(b"stco", 0, 0, |w| w.u32(0));
        });
    });
}

/// Three 5-bit letters, each less 0x60 (14496-12 8.4.2.3); anything else is `und`.
fn packed_language(code: [u8; 3]) -> u16 {
    let code = if code.iter().all(u8::is_ascii_lowercase) { code } else { *b"und" };
    code.iter().fold(0, |packed, &letter| packed << 5 | u16::from(letter - 0x60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(edit: Option<u32>) -> Vec<u8> {
        write_init(&Init {
            timescale: 24_000,
            media: InitMedia::Video { width: 1920, height: 1080 },
            language: *b"eng",
            sample_entry: b"\0\0\0\x0cavc1\x01\x02\x03\x04",
            edit_media_time: edit,
        })
    }

    #[test]
    fn what_is_written_is_read_back() {
        for edit in [None, Some(312)] {
            let bytes = init(edit);
            let moov = boxes::need(&bytes, b"moov", "file").unwrap();
            let tracks = parse(moov.payload).unwrap();
            assert_eq!(
                tracks,
                [TrackHeader {
                    track_id: TRACK_ID,
                    handler: Handler::Video,
                    timescale: 24_000,
                    sample_entries: vec![b"\0\0\0\x0cavc1\x01\x02\x03\x04".to_vec()],
                    edit_media_time: edit.map(i64::from),
                    defaults: Defaults::default(),
                }]
            );
        }
    }

    #[test]
    fn a_cut_moov_is_an_error_and_never_a_panic() {
        let bytes = init(Some(1));
        let moov = boxes::need(&bytes, b"moov", "file").unwrap().payload;
        for len in 1..moov.len() {
            let cut = parse(&moov[..len]);
            // A cut exactly between two children leaves a shorter list of whole boxes.
            assert!(cut.is_err() || cut.is_ok_and(|t| t.len() <= 1), "{len}");
        }
    }

    #[test]
    fn languages_are_packed() {
        assert_eq!(packed_language(*b"und"), 0x55c4);
        assert_eq!(packed_language(*b"ENG"), 0x55c4);
    }
}
