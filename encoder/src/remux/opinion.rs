//! A second opinion: the crate `mp4` reads ffmpeg's header on its own, and what manifests will
//! claim must be what it sees.

use std::io::Cursor;

use headwater_packager::codec::SampleEntry;
use mp4::{Mp4Reader, Mp4Track};

/// Compares `ours` with what the crate `mp4` reads from `start`, a file's ftyp and moov.
pub fn agrees(start: &[u8], ours: &SampleEntry, timescale: u32) -> Result<(), String> {
    let len = u64::try_from(start.len()).expect("a length fits");
    let reader = Mp4Reader::read_header(Cursor::new(start), len)
        .map_err(|e| format!("a second reader cannot read the header: {e}"))?;
    let mut tracks = reader.tracks().values();
    let (Some(track), None) = (tracks.next(), tracks.next()) else {
        return Err("a second reader expected one track".to_owned());
    };
    let theirs = view(track)?;
    let ours = match ours {
        SampleEntry::Avc { width, height, config, .. } => View::Avc {
            width: *width,
            height: *height,
            profile_compatibility_level: config.profile_compatibility_level,
        },
        SampleEntry::Aac { object_type, sample_rate, channels } => {
            View::Aac { object_type: *object_type, sample_rate: *sample_rate, channels: *channels }
        }
    };
    if (&ours, timescale) != (&theirs, track.timescale()) {
        return Err(format!(
            "two readers disagree on the header: ours sees {ours:?} at {timescale}, the crate mp4 {theirs:?} at {}",
            track.timescale()
        ));
    }
    Ok(())
}

/// What both readers can say.
#[derive(Debug, PartialEq, Eq)]
enum View {
    Avc { width: u16, height: u16, profile_compatibility_level: [u8; 3] },
    Aac { object_type: u8, sample_rate: u32, channels: u16 },
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
