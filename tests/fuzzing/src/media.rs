//! Boxes and the bitstreams in them.

use headwater_packager::avc;
use headwater_packager::bmff::boxes;
use headwater_packager::bmff::fragment::{self as fragments, Fragment};
use headwater_packager::bmff::movie::{self, Defaults, Init, InitMedia};
use headwater_packager::codec::SampleEntry;
use headwater_packager::subsample::{self, Finder, Tail};

/// What a moov holds. A track's entry, put into an init of ours, is read back byte for byte.
pub fn movie(bytes: &[u8]) -> bool {
    let Ok(tracks) = movie::parse(bytes) else { return false };
    for track in &tracks {
        assert!(track.timescale > 0);
        for entry in &track.sample_entries {
            let edit_media_time = track.edit_media_time.and_then(|t| u32::try_from(t).ok());
            let edit_media_time = edit_media_time.filter(|&t| i32::try_from(t).is_ok());
            let init = movie::write_init(&Init {
                timescale: track.timescale,
                media: InitMedia::Video { width: 640, height: 360 },
                language: *b"und",
                sample_entry: entry,
                edit_media_time,
            });
            let moov = boxes::need(&init, b"moov", "file").unwrap().payload;
            let [ours] = &movie::parse(moov).unwrap()[..] else { panic!("one track") };
            assert_eq!(ours.timescale, track.timescale);
            assert_eq!(ours.sample_entries, std::slice::from_ref(entry));
            assert_eq!(ours.edit_media_time, edit_media_time.map(i64::from));
        }
    }
    !tracks.is_empty()
}

/// A moof, after four bytes that say what its samples inherit. Written by us, it says the same.
pub fn fragment(bytes: &[u8]) -> bool {
    let Some((&[duration, size, flags, _], moof)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    let defaults = Defaults {
        duration_ticks: u32::from(duration) * 1001,
        size_bytes: u32::from(size) * 100,
        flags: u32::from(flags) << 16,
    };
    let Ok(read) = fragments::parse(moof, defaults) else { return false };
    let Ok(written) = fragments::write(read.sequence, read.decode_ticks, &read.samples) else {
        return false;
    };
    let again = fragments::parse(&written, Defaults::default()).unwrap();
    let data_offset = u32::try_from(written.len()).unwrap();
    let wanted = Fragment { track_id: movie::TRACK_ID, data_offset, ..read };
    assert_eq!(again, wanted);
    assert_eq!(again.payload_bytes(), wanted.payload_bytes());
    true
}

/// A sample entry: its string is harmless in a manifest. Then the same bytes as a sample.
pub fn sample_entry(bytes: &[u8]) -> bool {
    let mut accepted = false;
    if let Ok(entry) = SampleEntry::parse(bytes) {
        accepted = true;
        let codecs = entry.codecs();
        assert!(codecs.len() <= 64);
        let harmless = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        assert!(codecs.bytes().all(harmless), "{codecs}");
        match entry {
            SampleEntry::Video(video) => {
                let (h, v) = video.pixel_aspect;
                assert!(video.width > 0 && video.height > 0 && h > 0 && v > 0);
                assert!((8..=16).contains(&video.bit_depth));
                // The entry's own bytes are a sample as good as any.
                let _ = video.starts_independent([bytes, bytes]);
            }
            SampleEntry::Audio(audio) => {
                assert!(audio.sample_rate > 0 && audio.channels > 0);
            }
        }
    }
    for nal_length_bytes in [1, 2, 4] {
        let config = avc::Config {
            profile_compatibility_level: [100, 0, 40],
            nal_length_bytes,
            bit_depth: 8,
        };
        // A sample that starts an IDR does so with anything behind it that is left whole.
        if avc::is_idr(bytes, config) == Ok(true) {
            let mut longer = bytes.to_vec();
            longer.extend(std::iter::repeat_n(0, nal_length_bytes));
            assert_eq!(avc::is_idr(&longer, config), Ok(true));
        }
    }
    accepted
}

/// A sample entry, then the samples of a fragment, each behind its length: both maps of what is
/// encrypted cover each sample, have as many entries, and differ by less than a block a range.
pub fn subsamples(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut chunk = || {
        let (len, after) = rest.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap();
        let (chunk, after) = after.split_at_checked(len)?;
        rest = after;
        Some(chunk)
    };
    let Some(Ok(finder)) = chunk().map(Finder::new) else { return false };
    let (mut lefts, mut aligneds) = (finder.fragment(), finder.fragment());
    let map = |samples: &mut subsample::Samples<'_>, sample, tail| {
        let mut map = Vec::new();
        samples.map(sample, tail, &mut map).map(|()| map).map_err(|error| error.kind())
    };
    let mut samples = Vec::new();
    while let Some(sample) = chunk() {
        let left = map(&mut lefts, sample, Tail::Left);
        let aligned = map(&mut aligneds, sample, Tail::Aligned);
        let (Ok(left), Ok(aligned)) = (&left, &aligned) else {
            assert_eq!(left, aligned);
            assert!(finder.entries(samples.into_iter().chain([sample])).is_err());
            return false;
        };
        samples.push(sample);
        assert_eq!(left.len(), aligned.len());
        assert!(left.len() <= subsample::ENTRIES);
        for (left, aligned) in left.iter().zip(aligned) {
            assert_eq!(aligned.protected_bytes, left.protected_bytes / 16 * 16);
        }
        for map in [left, aligned] {
            let lengths =
                map.iter().map(|e| u64::from(e.clear_bytes) + u64::from(e.protected_bytes));
            let wanted = if finder.has_maps() { sample.len() as u64 } else { 0 };
            assert_eq!(lengths.sum::<u64>(), wanted);
        }
    }
    !samples.is_empty()
}
