//! Protection against a decryptor of a few lines, written from ISO/IEC 23001-7 and reading nothing
//! but the boxes that a player reads.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use bytes::{Bytes, BytesMut};
use headwater_packager::bmff::boxes;
use headwater_packager::bmff::fragment::{self, Sample};
use headwater_packager::bmff::movie::{Defaults, Init, InitMedia, write_init};
use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::KeyId;
use headwater_packager::period::Suffix;
use headwater_packager::protect::{Form, Protector, Scheme};
use headwater_packager::signalling::System;
use headwater_packager::subsample::{Finder, Tail};
use headwater_packager::timeline::Timeline;
use headwater_packager::title::{Title, Track};
use headwater_packager::{hls, plan};
use proptest::prelude::*;

use crate::common::{self, TrackSpec, VERSION, avc1, mp4a};

const KEY: [u8; 16] = *b"sixteen byte key";
const KEY_ID: KeyId = KeyId([0x1d; 16]);

/// One sample's bytes: NAL units of a kind and a length, or plain noise for sound.
#[derive(Clone, Debug)]
pub enum Made {
    Picture(Vec<(bool, usize)>),
    Sound(usize),
}

impl Made {
    fn bytes(&self, seed: u64) -> Vec<u8> {
        // Bytes of noise hold no three zeros in a row.
        let noise =
            |len: usize| (0..len as u64).map(move |i| ((i * 31 + seed) % 250 + 1).to_le_bytes()[0]);
        match self {
            Self::Sound(len) => noise(*len).collect(),
            Self::Picture(nals) => nals
                .iter()
                .flat_map(|&(slice, len)| {
                    let head: &[u8] = if slice { &[0x65, 0x88, 0x84, 0xaa] } else { &[6] };
                    let nal: Vec<u8> = head.iter().copied().chain(noise(len)).collect();
                    let len = u32::try_from(nal.len()).unwrap();
                    len.to_be_bytes().into_iter().chain(nal).collect::<Vec<_>>()
                })
                .collect(),
        }
    }
}

/// A title of one track of real samples, and its clear object without what stands before media.
fn title(fragments: &[Vec<Made>], video: bool) -> (Title, Bytes) {
    titled(fragments, video, 0, 1024)
}

/// The same with samples of so many ticks.
pub fn title_of(fragments: &[Vec<Made>], video: bool, sample_ticks: u32) -> (Title, Bytes) {
    titled(fragments, video, 0, sample_ticks)
}

/// The same, whose heads count `more` entries too many for each sample.
fn titled(fragments: &[Vec<Made>], video: bool, more: usize, sample_ticks: u32) -> (Title, Bytes) {
    let entry = if video { avc1() } else { mp4a() };
    let finder = Finder::new(&entry).unwrap();
    let media = if video { InitMedia::Video { width: 16, height: 16 } } else { InitMedia::Audio };
    let init = write_init(&Init {
        timescale: 48_000,
        media,
        language: *b"und",
        sample_entry: &entry,
        edit_media_time: None,
    });
    let payloads: Vec<Vec<Vec<u8>>> = fragments
        .iter()
        .map(|samples| samples.iter().zip(1..).map(|(made, seed)| made.bytes(seed)).collect())
        .collect();
    let spec = |samples: &Vec<Vec<u8>>| -> Vec<Sample> {
        let mut shaped = common::samples(u32::try_from(samples.len()).unwrap(), sample_ticks, 0, 0);
        for (sample, bytes) in shaped.iter_mut().zip(samples) {
            sample.size_bytes = u32::try_from(bytes.len()).unwrap();
        }
        shaped
    };
    let track = TrackSpec {
        fragments: payloads.iter().map(spec).collect(),
        ..if video {
            common::video("v1", 16, (25, 1), &[1], 1)
        } else {
            common::audio("a-en", None, (25, 1), &[1])
        }
    };
    let made = common::make_of(&track, &init, &payloads, |sample| {
        let mut map = Vec::new();
        finder.fragment().map(sample, Tail::Aligned, &mut map).unwrap();
        map.len() + more
    });
    (made.title, made.objects[0][0].slice(common::BEFORE_MEDIA.len()..))
}

/// What a player does: reads saiz, saio and senc where there are any, and tenc of the init.
fn decrypt(init: &[u8], fragment: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(find(init, b"tenc")[8..24], KEY_ID.0);
    decrypt_by(&KEY, init, fragment)
}

/// The same, by any key.
fn decrypt_by(key: &[u8; 16], init: &[u8], fragment: &[u8]) -> Vec<Vec<u8>> {
    let tenc = find(init, b"tenc");
    let (pattern, iv_bytes, constant) = (tenc[5], tenc[7], &tenc[24..]);
    let parsed = fragment::parse(fragment, Defaults::default()).unwrap();
    let moof = boxes::need(fragment, b"moof", "fragment").unwrap();
    let traf = boxes::need(moof.payload, b"traf", "moof").unwrap();
    let child = |kind| boxes::find(traf.payload, kind).unwrap().map(|found| found.payload);
    let mut aux: Vec<&[u8]> = vec![&[]; parsed.samples.len()];
    if let (Some(saiz), Some(saio)) = (child(b"saiz"), child(b"saio")) {
        let count = u32::from_be_bytes(saiz[5..9].try_into().unwrap()) as usize;
        assert_eq!(count, parsed.samples.len());
        let at = u32::from_be_bytes(saio[8..12].try_into().unwrap()) as usize;
        let senc = child(b"senc").expect("senc stands with saiz");
        let mut rest = &fragment[at..];
        assert_eq!(rest.as_ptr(), senc[8..].as_ptr(), "saio points at the first sample in senc");
        for (i, aux) in aux.iter_mut().enumerate() {
            let size = if saiz[4] == 0 { saiz[9 + i] } else { saiz[4] };
            (*aux, rest) = rest.split_at(size.into());
        }
        assert_eq!(senc.len() - 8, aux.iter().map(|aux| aux.len()).sum::<usize>());
    } else {
        // Nothing but how many samples there are.
        assert_eq!(child(b"senc").expect("senc stands anyway")[..4], [0; 4]);
    }
    let mut at = parsed.data_offset as usize;
    let decrypted = parsed.samples.iter().zip(aux).map(|(sample, aux)| {
        let mut bytes = fragment[at..at + sample.size_bytes as usize].to_vec();
        at += bytes.len();
        let (iv, map) = aux.split_at(iv_bytes.into());
        let mut ranges = Vec::new();
        let mut start = 0;
        for entry in map.get(2..).unwrap_or(&[]).chunks(6) {
            start += usize::from(u16::from_be_bytes([entry[0], entry[1]]));
            let len = u32::from_be_bytes(entry[2..].try_into().unwrap()) as usize;
            ranges.push(start..start + len);
            start += len;
        }
        if map.is_empty() {
            ranges.push(0..bytes.len());
            start = bytes.len();
        }
        assert_eq!(start, bytes.len(), "the map covers the sample");
        let aes = Aes128::new(key.into());
        if constant.is_empty() {
            let first = u128::from_be_bytes(iv.try_into().unwrap());
            // One stream over all protected bytes of the sample.
            let places: Vec<usize> = ranges.into_iter().flatten().collect();
            for (counter, block) in (first..).zip(places.chunks(16)) {
                let mut stream = counter.to_be_bytes().into();
                aes.encrypt_block(&mut stream);
                block.iter().zip(stream).for_each(|(&place, key)| bytes[place] ^= key);
            }
        } else {
            assert_eq!(constant[0], 16);
            let stride = if pattern == 0 { 1 } else { (pattern >> 4) + (pattern & 15) };
            for range in ranges {
                let mut last: [u8; 16] = constant[1..].try_into().unwrap();
                let blocks = range.clone().step_by(16).filter(|at| at + 16 <= range.end);
                for at in blocks.step_by(stride.into()) {
                    let sealed: [u8; 16] = bytes[at..at + 16].try_into().unwrap();
                    let mut block = sealed.into();
                    aes.decrypt_block(&mut block);
                    for i in 0..16 {
                        bytes[at + i] = block[i] ^ last[i];
                    }
                    last = sealed;
                }
            }
        }
        bytes
    });
    decrypted.collect()
}

/// The payload of the first box of this type, however deep.
fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
    let at = bytes.windows(4).position(|window| window == kind).expect("the box is there");
    let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    &bytes[at + 4..at - 4 + size]
}

fn protector(scheme: Scheme, track: &Track) -> Protector {
    Protector::new(scheme, &ContentKey::new(KEY), KEY_ID, VERSION, track).unwrap()
}

/// AES-128-CBC with PKCS #7, block by block.
fn unpadded(key: &[u8; 16], iv: [u8; 16], bytes: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(key.into());
    let mut last = iv;
    let mut clear = Vec::new();
    for block in bytes.chunks(16) {
        let hidden: [u8; 16] = block.try_into().expect("whole blocks");
        let mut block = hidden.into();
        cipher.decrypt_block(&mut block);
        clear.extend(block.iter().zip(last).map(|(a, b)| a ^ b));
        last = hidden;
    }
    let padding = *clear.last().expect("padding at least");
    let data = clear.len() - usize::from(padding);
    assert!((1..=16).contains(&padding) && clear[data..].iter().all(|byte| *byte == padding));
    clear.truncate(data);
    clear
}

fn samples_of(media: &[u8], track: &Track, i: u32) -> Vec<Vec<u8>> {
    cut_samples(&media[usize::try_from(track.position(i).bytes).unwrap()..])
}

fn cut_samples(fragment: &[u8]) -> Vec<Vec<u8>> {
    let parsed = fragment::parse(fragment, Defaults::default()).unwrap();
    let mut at = parsed.data_offset as usize;
    let cut = parsed.samples.iter().map(|sample| {
        let end = at + sample.size_bytes as usize;
        let bytes = fragment[at..end].to_vec();
        at = end;
        bytes
    });
    cut.collect()
}

fn any_fragments() -> impl Strategy<Value = (bool, Vec<Vec<Made>>)> {
    let nal = (any::<bool>(), prop_oneof![9 => 0..400usize, 1 => 65_500..65_540usize]);
    let picture = prop::collection::vec(nal, 1..6).prop_map(Made::Picture);
    let sound = (0..400usize).prop_map(Made::Sound);
    let of =
        |made: BoxedStrategy<Made>| prop::collection::vec(prop::collection::vec(made, 1..12), 1..4);
    prop_oneof![
        of(picture.boxed()).prop_map(|fragments| (true, fragments)),
        of(sound.boxed()).prop_map(|fragments| (false, fragments)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Decrypted is clear, sample for sample; lengths are those that heads promise; what is
    /// protected differs; a fragment made alone is the same as in company.
    #[test]
    fn decrypted_is_clear((video, fragments) in any_fragments()) {
        let (title, media) = title(&fragments, video);
        let track = &title.tracks()[0];
        for scheme in [Scheme::Cenc, Scheme::Cbcs] {
            let protector = protector(scheme, track);
            let init = protector.init(track, b"").unwrap();
            let slices = protector.fragments(track, 0, BytesMut::from(&media[..])).unwrap();
            prop_assert_eq!(slices.len(), 2 * fragments.len());
            for (i, slices) in (0..).zip(slices.chunks(2)) {
                let fragment = slices.concat();
                let row = track.row(i);
                let form = Form::Protected(scheme);
                prop_assert_eq!(fragment.len() as u64, form.fragment_bytes(video, row));
                let head_bytes = slices[0].len() as u64;
                let first_sample_end = head_bytes + u64::from(row.first_sample_bytes);
                prop_assert_eq!(first_sample_end, form.first_sample_end(video, row));
                prop_assert_eq!(decrypt(&init, &fragment), samples_of(&media, track, i));
                let from = usize::try_from(track.position(i).bytes).unwrap();
                let alone = BytesMut::from(&media[from..from + row.size_bytes as usize]);
                let alone = protector.fragments(track, i, alone).unwrap();
                prop_assert_eq!(alone.concat(), fragment);
            }
        }
    }

    /// Each segment is found again by its own period's init and key, and by no other's.
    #[test]
    fn a_segment_is_its_own_periods((video, fragments) in any_fragments()) {
        let (title, media) = title(&fragments, video);
        let track = &title.tracks()[0];
        for scheme in [Scheme::Cenc, Scheme::Cbcs] {
            let timeline = Timeline::new(&title, 1, Form::Protected(scheme));
            // Fragments of pictures last for seconds here, those of sound share a period.
            let protection = common::protection_by(&title, &timeline, 1, scheme, &[System::ClearKey]);
            prop_assert_eq!(protection.periods().iter().count() == 1, !video || fragments.len() == 1);
            for segment in timeline.segments_of(track) {
                let own = protection.of(track, segment.number);
                let from = usize::try_from(segment.start.bytes).unwrap();
                let clear = &media[from..usize::try_from(segment.end.bytes).unwrap()];
                let made = own.protector.fragments(
                    track, segment.fragments.start, BytesMut::from(clear)).unwrap().concat();
                let wanted = samples_of(&media, track, segment.fragments.start);
                for period in protection.periods().iter() {
                    let other = protection.of(track, period.segments.start);
                    let init = protection.init(track, period.suffix()).unwrap().unwrap();
                    prop_assert_eq!(&find(&init, b"tenc")[8..24], other.protector.key_id().0);
                    let found = decrypt_by(other.key.expose(), &init, &made);
                    let is_own = period.segments.contains(&segment.number);
                    // What has nothing to hide is found by every key.
                    let is_clear = cut_samples(&made) == wanted;
                    prop_assert_eq!(found == wanted, is_own || is_clear);
                }
            }
        }
    }

    /// What manifests say of a protected segment is so: its length, and where each I-frame's range
    /// starts and ends.
    #[test]
    fn ranges_of_iframes_are_moof_to_first_sample(
        (_, fragments) in any_fragments().prop_filter("pictures", |(video, _)| *video),
        segment_ms in 1..4000u32,
    ) {
        let (title, media) = title(&fragments, true);
        let track = &title.tracks()[0];
        for scheme in [Scheme::Cenc, Scheme::Cbcs] {
            let timeline = Timeline::new(&title, segment_ms, Form::Protected(scheme));
            let protection = common::protection(&title, scheme, &[System::ClearKey]);
            let playlist = hls::iframes(&timeline, track, Some(&protection)).unwrap();
            let playlist = String::from_utf8(playlist).unwrap();
            let mut lines = playlist.lines();
            let mut ranges = Vec::new();
            while let Some(line) = lines.next() {
                let Some(range) = line.strip_prefix("#EXT-X-BYTERANGE:") else { continue };
                let (len, start) = range.split_once('@').unwrap();
                let number = lines.next().unwrap().strip_suffix(".m4s").unwrap();
                ranges.push((number.parse::<u32>().unwrap(), start.parse::<usize>().unwrap(),
                    len.parse::<usize>().unwrap()));
            }
            prop_assert_eq!(ranges.len(), fragments.len());
            let mut ranges = ranges.into_iter().peekable();
            for number in 1..=timeline.segments() {
                let segment = timeline.segment(track, number).unwrap();
                let bytes = |at: u64| usize::try_from(at).unwrap();
                let clear = &media[bytes(segment.start.bytes)..bytes(segment.end.bytes)];
                let made = protection.of(track, number).protector
                    .fragments(track, segment.fragments.start, BytesMut::from(clear)).unwrap()
                    .concat();
                let plan = plan::segment(&timeline, track, number).unwrap();
                prop_assert_eq!(plan.len_bytes, made.len() as u64);
                for i in segment.fragments {
                    let (of, start, len) = ranges.next().unwrap();
                    prop_assert_eq!(of, number);
                    let range = &made[start..start + len];
                    prop_assert_eq!(&range[4..8], b"moof");
                    let moof = boxes::children(range).next().unwrap().unwrap().whole;
                    let parsed = fragment::parse(moof, Defaults::default()).unwrap();
                    prop_assert_eq!(&range[moof.len() + 4..moof.len() + 8], b"mdat");
                    let end = moof.len() + 8 + parsed.samples[0].size_bytes as usize;
                    prop_assert_eq!(end, range.len(), "fragment {}", i);
                }
            }
        }
    }

    /// Encrypted whole: by what a playlist says of it alone, each segment and the init are found
    /// again; lengths are those that heads promise, and no two IVs are the same.
    #[test]
    fn whole_segments_are_found_by_their_playlist(
        (video, fragments) in any_fragments(), segment_ms in 1..4000u32,
    ) {
        let (title, media) = title(&fragments, video);
        let track = &title.tracks()[0];
        let timeline = Timeline::new(&title, segment_ms, Form::Protected(Scheme::Aes128));
        let protection = common::protection(&title, Scheme::Aes128, &[]);
        let protector = &protection.of(track, 1).protector;
        let key = protection.of(track, 1).key.expose();
        let playlist = String::from_utf8(hls::media(&timeline, track, Some(&protection))).unwrap();
        let (mut iv, mut ivs) = (None, Vec::new());
        for line in playlist.lines() {
            if let Some(rest) = line.strip_prefix("#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x") {
                let next = u128::from_str_radix(rest, 16).unwrap();
                prop_assert!(!ivs.contains(&next), "{}", playlist);
                ivs.push(next);
                iv = Some(next.to_be_bytes());
            } else if line == "#EXT-X-MAP:URI=\"init.mp4\"" {
                let init = protection.init(track, Suffix(None)).unwrap().unwrap();
                prop_assert_eq!(unpadded(key, iv.take().expect("a key"), &init), &track.init()[..]);
            } else if let Some(number) = line.strip_suffix(".m4s") {
                let number = number.parse().unwrap();
                let segment = timeline.segment(track, number).unwrap();
                let bytes = |at: u64| usize::try_from(at).unwrap();
                let clear = &media[bytes(segment.start.bytes)..bytes(segment.end.bytes)];
                let first = segment.fragments.start;
                let made = protector.segment(track, number, first, BytesMut::from(clear)).unwrap();
                let made = made.concat();
                let plan = plan::segment(&timeline, track, number).unwrap();
                prop_assert_eq!(plan.len_bytes, made.len() as u64);
                prop_assert_eq!(unpadded(key, iv.take().expect("a key"), &made), clear);
            }
        }
        prop_assert_eq!(u32::try_from(ivs.len()).unwrap(), timeline.segments() + 1);
        prop_assert!(hls::iframes(&timeline, track, Some(&protection)).is_none());
    }

    /// cenc: no counter block is ever used for two blocks of a track.
    #[test]
    fn counters_of_samples_never_meet(sizes in prop::collection::vec(0..2_000_000u64, 1..200)) {
        let mut last_end = 0u128;
        for (sample, size) in sizes.iter().enumerate() {
            let first = (sample as u128) << 32;
            prop_assert!(first >= last_end);
            last_end = first + u128::from(size.div_ceil(16));
        }
        // What makes it hold: a sample is smaller than 2^36 bytes, for its size has 32 bits.
        prop_assert!(u64::from(u32::MAX).div_ceil(16) < 1 << 32);
    }
}

#[test]
fn an_init_keeps_what_it_held() {
    let (title, _) = title(&[vec![Made::Picture(vec![(true, 40)])]], true);
    let track = &title.tracks()[0];
    let pssh = b"\0\0\0\x0cpsshmade";
    let init = protector(Scheme::Cbcs, track).init(track, pssh).unwrap();
    assert!(init.windows(19).any(|window| window == b"nclx stays as it is"));
    assert!(init.ends_with(pssh));
    assert_eq!(find(&init, b"frma"), b"avc1");
    assert_eq!(find(&init, b"schm")[4..], *b"cbcs\0\x01\0\0");
    assert_eq!(init.windows(4).filter(|window| window == b"avc1").count(), 1, "in frma alone");
    // Every box still fills its parent.
    let moov = boxes::need(&init, b"moov", "init").unwrap();
    assert_eq!(headwater_packager::bmff::movie::parse(moov.payload).unwrap().len(), 1);
}

#[test]
fn tracks_versions_and_schemes_have_ivs_of_their_own() {
    let fragments = [vec![Made::Sound(64)]];
    let (title, media) = title(&fragments, false);
    let track = &title.tracks()[0];
    let key = ContentKey::new(KEY);
    let other = "01939c2e-7f00-7abc-8def-0123456789ac".parse().unwrap();
    let seals = [(Scheme::Cenc, VERSION), (Scheme::Cenc, other), (Scheme::Cbcs, VERSION)];
    let mut payloads: Vec<Bytes> = seals
        .iter()
        .map(|&(scheme, version)| {
            let protector = Protector::new(scheme, &key, KEY_ID, version, track).unwrap();
            let mut slices = protector.fragments(track, 0, BytesMut::from(&media[..])).unwrap();
            slices.pop().unwrap()
        })
        .collect();
    payloads.sort();
    payloads.dedup();
    assert_eq!(payloads.len(), 3);
}

#[test]
fn heads_and_media_that_contradict_each_other_are_damage() {
    let fragments = [vec![Made::Picture(vec![(true, 40)])]];
    let refusal = |title: &Title, media: BytesMut| {
        let track = &title.tracks()[0];
        protector(Scheme::Cenc, track).fragments(track, 0, media).unwrap_err().to_string()
    };
    let (title, media) = title(&fragments, true);
    let short = BytesMut::from(&media[..media.len() - 1]);
    let wanted = "segment: 155 bytes of fragment 0: expected 156";
    assert_eq!(refusal(&title, short), wanted);
    let mut no_slice = BytesMut::from(&media[..]);
    let nal = no_slice.len() - 44;
    no_slice[nal] = 0x62;
    let wanted = "0/sample: slices in data partitions (extended profile)";
    assert_eq!(refusal(&title, no_slice), wanted);
    let (miscounted, media) = titled(&fragments, true, 1, 1024);
    let wanted = "0/rows: 2 entries of encryption maps: expected 1";
    assert_eq!(refusal(&miscounted, BytesMut::from(&media[..])), wanted);
}
