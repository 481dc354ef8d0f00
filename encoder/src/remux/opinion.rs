//! A second opinion: the crate `mp4` reads ffmpeg's header on its own, and what manifests will
//! claim must be what it sees. It knows AVC and AAC; of the others the crate
//! `mp4-atom` is asked in the tests.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use headwater_packager::codec::{Audio, AudioConfig, SampleEntry, Video, VideoConfig};
use mp4::{Mp4Reader, Mp4Track};

use crate::limits::OPINION_STEPS;

/// audioObjectType of AAC-LC. With SBR the crate `mp4` sees the core alone, at half the rate.
const AAC_LC: u8 = 2;

/// Compares `ours`, where the crate knows its codec, with what the crate `mp4` reads from `start`, a file's ftyp and moov.
pub fn agrees(start: &[u8], ours: &SampleEntry, timescale: u32) -> Result<(), String> {
    let Some(ours) = our_view(ours) else { return Ok(()) };
    let len = u64::try_from(start.len()).expect("a length fits");
    let reader =
        Mp4Reader::read_header(Bounded { inner: Cursor::new(start), steps: OPINION_STEPS }, len)
            .map_err(|e| format!("a second reader cannot read the header: {e}"))?;
    let mut tracks = reader.tracks().values();
    let (Some(track), None) = (tracks.next(), tracks.next()) else {
        return Err("a second reader expected one track".to_owned());
    };
    let theirs = view(track)?;
    if (&ours, timescale) != (&theirs, track.timescale()) {
        return Err(format!(
            "two readers disagree on the header: ours sees {ours:?} at {timescale}, the crate mp4 {theirs:?} at {}",
            track.timescale()
        ));
    }
    Ok(())
}

/// Bytes that end in an error once they were read too often: `mp4` 0.14 goes in circles where a
/// box says that it is empty, in a meta box for example.
struct Bounded<'a> {
    inner: Cursor<&'a [u8]>,
    steps: u32,
}

impl Bounded<'_> {
    fn step(&mut self) -> io::Result<()> {
        let left = self.steps.checked_sub(1);
        self.steps = left.ok_or_else(|| {
            io::Error::other(format!("it is not through after {OPINION_STEPS} steps"))
        })?;
        Ok(())
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.step()?;
        self.inner.read(into)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.step()?;
        self.inner.seek(to)
    }
}

/// What both readers can say.
#[derive(Debug, PartialEq, Eq)]
enum View {
    Avc { width: u16, height: u16, profile_compatibility_level: [u8; 3] },
    Aac { object_type: u8, sample_rate: u32, channels: u16 },
}

/// What `ours` says of it; `None` of a codec that the crate `mp4` does not know.
fn our_view(ours: &SampleEntry) -> Option<View> {
    match ours {
        SampleEntry::Video(Video { width, height, config: VideoConfig::Avc(config), .. }) => {
            Some(View::Avc {
                width: *width,
                height: *height,
                profile_compatibility_level: config.profile_compatibility_level,
            })
        }
        SampleEntry::Audio(Audio {
            sample_rate,
            channels,
            config: AudioConfig::Aac { object_type },
            ..
        }) if *object_type == AAC_LC => {
            let (sample_rate, channels) = (*sample_rate, *channels);
            Some(View::Aac { object_type: *object_type, sample_rate, channels })
        }
        _ => None,
    }
}

fn view(track: &Mp4Track) -> Result<View, String> {
    let stsd = &track.trak.mdia.minf.stbl.stsd;
    if let Some(avc1) = &stsd.avc1 {
        let avcc = &avc1.avcc;
        return Ok(View::Avc {
            width: track.width(),
            height: track.height(),
            profile_compatibility_level: [
                avcc.avc_profile_indication,
                avcc.profile_compatibility,
                avcc.avc_level_indication,
            ],
        });
    }
    let said = |e: mp4::Error| format!("a second reader: {e}");
    Ok(View::Aac {
        object_type: audio_object_type(track)?,
        sample_rate: track.sample_freq_index().map_err(said)?.freq(),
        channels: channels(track.channel_config().map_err(said)?),
    })
}

fn audio_object_type(track: &Mp4Track) -> Result<u8, String> {
    let esds = track.trak.mdia.minf.stbl.stsd.mp4a.as_ref().and_then(|mp4a| mp4a.esds.as_ref());
    let esds = esds.ok_or("a second reader finds neither avc1 nor mp4a")?;
    Ok(esds.es_desc.dec_config.dec_specific.profile)
}

fn channels(config: mp4::ChannelConfig) -> u16 {
    match config {
        mp4::ChannelConfig::Mono => 1,
        mp4::ChannelConfig::Stereo => 2,
        mp4::ChannelConfig::Three => 3,
        mp4::ChannelConfig::Four => 4,
        mp4::ChannelConfig::Five => 5,
        mp4::ChannelConfig::FiveOne => 6,
        mp4::ChannelConfig::SevenOne => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_packager::bmff::movie::{Init, InitMedia, write_init};
    use headwater_packager::layout::ChannelLayout;
    use headwater_packager::wire::BoxWriter;

    /// An avc1 of 640x360 with an avcC and one parameter set.
    fn avc1() -> Vec<u8> {
        let mut w = BoxWriter::default();
        w.boxed(b"avc1", |w| {
            w.zeros(24);
            w.u16(640);
            w.u16(360);
            w.zeros(50);
            w.boxed(b"avcC", |w| {
                w.slice(&[1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x1f, 0]);
            });
        });
        w.into_bytes()
    }

    #[test]
    fn readers_that_disagree_are_heard() {
        let entry = avc1();
        let start = write_init(&Init {
            timescale: 24_000,
            media: InitMedia::Video { width: 640, height: 360 },
            language: *b"und",
            sample_entry: &entry,
            edit_media_time: None,
        });
        let ours = SampleEntry::parse(&entry).unwrap();
        assert_eq!(agrees(&start, &ours, 24_000), Ok(()));
        let mut other_level = ours.clone();
        let SampleEntry::Video(Video { config: VideoConfig::Avc(config), .. }) = &mut other_level
        else {
            panic!("an avc1")
        };
        config.profile_compatibility_level[2] += 1;
        let sound = sound(AudioConfig::Aac { object_type: 2 });
        for (theirs, timescale) in [(&ours, 48_000), (&other_level, 24_000), (&sound, 24_000)] {
            let error = agrees(&start, theirs, timescale).unwrap_err();
            assert!(error.starts_with("two readers disagree"), "{error}");
        }
        assert!(agrees(&start[..40], &ours, 24_000).is_err());
        let sbr = self::sound(AudioConfig::Aac { object_type: 5 });
        assert_eq!(agrees(&start, &sbr, 24_000), Ok(()));
        assert_eq!(agrees(&start, &self::sound(AudioConfig::Ac3), 24_000), Ok(()));
    }

    fn sound(config: AudioConfig) -> SampleEntry {
        SampleEntry::Audio(Audio {
            sample_rate: 48_000,
            channels: 2,
            layout: ChannelLayout::Cicp(2),
            config,
        })
    }

    /// Found by fuzzing: this reading never ended.
    #[test]
    fn a_reader_that_goes_in_circles_is_stopped() {
        let mut w = BoxWriter::default();
        w.boxed(b"moov", |w| {
            w.boxed(b"udta", |w| {
                w.boxed(b"meta", |w| {
                    w.zeros(4);
                    w.boxed(b"hdlr", |w| w.zeros(25));
                    // A box whose size is 0.
                    w.zeros(16);
                });
            });
        });
        let sound = sound(AudioConfig::Aac { object_type: 2 });
        let error = agrees(&w.into_bytes(), &sound, 48_000).unwrap_err();
        assert!(error.ends_with("it is not through after 100000 steps"), "{error}");
    }
}
