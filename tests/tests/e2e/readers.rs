//! What we write, read by others: mp4-atom, mp4, ffprobe, m3u8-rs, xmllint.

use std::fs;

use headwater_packager::heads::Media as Kind;
use headwater_packager::title::Track;
use headwater_tests::dash::Mpd;
use headwater_tests::fragments::{self, Fragment, Init};
use headwater_tests::hls::Master;
use headwater_tests::origin::Origin;
use headwater_tests::titles::{Rate, Title};
use headwater_tests::{ffmpeg, skip};
use mp4_atom::Codec;

/// A track as it is served, whole.
struct Served {
    init: Vec<u8>,
    segments: Vec<Vec<u8>>,
}

fn each_track(mut check: impl FnMut(&Title, &Track, &Served)) {
    for rate in [Rate::Ntsc, Rate::Film] {
        let title = rate.title();
        let origin = Origin::start(&title.store);
        let web = origin.web();
        let playlists = Master::fetch(web, &title.master()).all_media(web);
        assert_eq!(playlists.len(), title.heads.tracks().len());
        for media in playlists {
            let track = title.heads.track(&media.track().parse().unwrap()).unwrap();
            let served = Served {
                init: web.body(&media.init_path()),
                segments: media.segment_paths().iter().map(|path| web.body(path)).collect(),
            };
            check(title, track, &served);
        }
    }
}

#[test]
fn mp4_atom_reads_each_init() {
    each_track(|_, track, served| {
        let init = Init::read(&served.init);
        assert_eq!(init.len_bytes, served.init.len(), "nothing follows moov");
        let brands = &init.ftyp.compatible_brands;
        assert!(brands.contains(&b"cmfc".into()), "CMAF's structural brand: {brands:?}");
        assert_eq!(init.timescale(), track.timescale());
        let mvex = init.moov.mvex.as_ref().expect("a fragmented file");
        assert_eq!(mvex.trex.len(), 1);
        let trak = &init.moov.trak[0];
        assert_eq!(trak.tkhd.track_id, mvex.trex[0].track_id);
        let stbl = &trak.mdia.minf.stbl;
        assert_eq!(stbl.stts.entries.len(), 0, "no sample lies in moov");
        let [codec] = &stbl.stsd.codecs[..] else { panic!("one sample entry") };
        match (track.media(), codec) {
            (Kind::Video { width, height, .. }, Codec::Avc1(avc1)) => {
                let coded = (u32::from(avc1.visual.width), u32::from(avc1.visual.height));
                assert_eq!(coded, (*width, *height));
                let shown = (trak.tkhd.width.integer(), trak.tkhd.height.integer());
                assert_eq!((u32::from(shown.0), u32::from(shown.1)), (*width, *height));
                let avcc = &avc1.avcc;
                let codecs = format!(
                    "avc1.{:02X}{:02X}{:02X}",
                    avcc.avc_profile_indication,
                    avcc.profile_compatibility,
                    avcc.avc_level_indication
                );
                assert_eq!(codecs, track.codecs());
            }
            (Kind::Audio { sample_rate, channels }, Codec::Mp4a(mp4a)) => {
                assert_eq!(u32::from(mp4a.audio.sample_rate.integer()), *sample_rate);
                assert_eq!(mp4a.audio.channel_count, *channels);
                let decoder = &mp4a.esds.es_desc.dec_config;
                assert_eq!(decoder.object_type_indication, 0x40);
                let object_type = decoder.dec_specific.as_ref().unwrap().profile;
                assert_eq!(format!("mp4a.40.{object_type}"), track.codecs());
            }
            (kind, codec) => panic!("{kind:?} with {codec:?}"),
        }
    });
}

#[test]
fn mp4_atom_reads_each_fragment() {
    each_track(|_, track, served| {
        let (mut number, mut decode_ticks, mut sequence) = (0, 0, 0);
        for fragment in served.segments.iter().flat_map(|segment| fragments::read(segment)) {
            let row = track.row(number);
            let Fragment { moof, samples, .. } = &fragment;
            assert_eq!(moof.mfhd.sequence_number, sequence + 1, "mfhd rises by one");
            sequence = moof.mfhd.sequence_number;
            let tfhd = &moof.traf[0].tfhd;
            assert!(tfhd.default_base_is_moof && tfhd.base_data_offset.is_none());
            assert_eq!(tfhd.track_id, 1);
            assert_eq!(fragment.decode_ticks(), decode_ticks, "tfdt goes on where it ended");
            decode_ticks += fragment.duration_ticks();
            assert_eq!(fragment.duration_ticks(), u64::from(row.duration_ticks));
            assert_eq!(samples.len(), usize::from(row.samples));
            assert_eq!(fragment.size_bytes(), usize::try_from(row.size_bytes).unwrap());
            assert_eq!(fragment.moof_bytes, usize::from(row.moof_bytes));
            assert_eq!(samples[0].size_bytes, usize::try_from(row.first_sample_bytes).unwrap());
            // The samples fill the mdat, from its first byte to its last.
            let payload_at = fragment.start_bytes + fragment.moof_bytes + 8;
            assert_eq!(samples[0].start_bytes, payload_at);
            let end = samples.last().map(|s| s.start_bytes + s.size_bytes).unwrap();
            assert_eq!(end, fragment.start_bytes + fragment.size_bytes());
            assert!(samples[0].sync, "a fragment starts with a sync sample");
            if track.is_video() {
                assert!(!samples[1..].iter().any(|s| s.sync), "one IDR a fragment");
            }
            number += 1;
        }
        assert_eq!(number, track.fragments());
        assert_eq!(decode_ticks, track.duration_ticks());
    });
}

#[test]
fn mp4_reads_init_and_segments() {
    each_track(|_, track, served| {
        let media = served.segments.concat();
        let read = fragments::read_by_mp4(&served.init, &media);
        let [mp4_track] = &read.tracks().values().collect::<Vec<_>>()[..] else {
            panic!("one track")
        };
        assert_eq!(mp4_track.timescale(), track.timescale());
        let samples: u32 = track.rows(0..track.fragments()).map(|r| u32::from(r.samples)).sum();
        assert_eq!(mp4_track.sample_count(), samples);
        assert_eq!(read.moofs.len(), usize::try_from(track.fragments()).unwrap());
        match *track.media() {
            Kind::Video { width, height, .. } => {
                assert_eq!(mp4_track.media_type().unwrap(), mp4::MediaType::H264);
                let size = (u32::from(mp4_track.width()), u32::from(mp4_track.height()));
                assert_eq!(size, (width, height));
                let sps = mp4_track.sequence_parameter_set().unwrap();
                let codecs = format!("avc1.{:02X}{:02X}{:02X}", sps[1], sps[2], sps[3]);
                assert_eq!(codecs, track.codecs());
            }
            Kind::Audio { sample_rate, channels } => {
                assert_eq!(mp4_track.media_type().unwrap(), mp4::MediaType::AAC);
                assert_eq!(mp4_track.sample_freq_index().unwrap().freq(), sample_rate);
                let configuration = mp4_track.channel_config().unwrap();
                assert_eq!(configuration as u16, channels);
            }
        }
    });
}

/// A track file is `ftyp moov sidx (moof mdat)*`, plays by itself, and its index adds up to it.
#[test]
fn stored_track_files_are_cmaf_with_a_true_index() {
    for rate in [Rate::Ntsc, Rate::Film] {
        let title = rate.title();
        for track in title.heads.tracks() {
            let file = fs::read(title.track_file(track.id().as_str())).unwrap();
            let (init, sidx, fragments) = fragments::read_track(&file);
            assert_eq!(init.timescale(), track.timescale());
            assert_eq!(sidx.timescale, track.timescale());
            assert_eq!((sidx.earliest_presentation_time, sidx.first_offset), (0, 0));
            assert_eq!(sidx.references.len(), fragments.len());
            assert_eq!(fragments.len(), usize::try_from(track.fragments()).unwrap());
            for (reference, fragment) in sidx.references.iter().zip(&fragments) {
                assert!(!reference.reference_type && reference.starts_with_sap);
                assert_eq!((reference.sap_type, reference.sap_delta_time), (1, 0));
                let size = usize::try_from(reference.referenced_size).unwrap();
                assert_eq!(size, fragment.size_bytes());
                assert_eq!(u64::from(reference.subsegment_duration), fragment.duration_ticks());
            }
            let media: usize = fragments.iter().map(Fragment::size_bytes).sum();
            let [object] = track.objects() else { panic!("one object") };
            assert_eq!(object.len_bytes, file.len() as u64);
            assert_eq!(object.media_offset_bytes, (file.len() - media) as u64);
            assert_eq!(file[..init.len_bytes], track.init()[..], "heads hold the file's own init");
        }
    }
}

/// ffprobe counts, times and measures the same packets as heads say.
#[test]
fn ffprobe_agrees_with_heads() {
    for rate in [Rate::Ntsc, Rate::Film] {
        let title = rate.title();
        for track in title.heads.tracks() {
            let path = title.track_file(track.id().as_str());
            let read = ffmpeg::packets(ffmpeg::path(&path), "0");
            assert_eq!(read.timescale, track.timescale());
            let mut packets = read.packets.iter();
            for (i, row) in (0..).zip(track.rows(0..track.fragments())) {
                let these: Vec<_> = packets.by_ref().take(usize::from(row.samples)).collect();
                assert_eq!(these.len(), usize::from(row.samples), "fragment {i}");
                let start = i64::try_from(track.position(i).ticks).unwrap();
                assert_eq!(these[0].dts_ticks, start, "fragment {i}");
                let bytes: u64 = these.iter().map(|p| p.size_bytes).sum();
                let payload = row.size_bytes - u32::from(row.moof_bytes) - 8;
                assert_eq!(bytes, u64::from(payload), "fragment {i}");
                assert_eq!(these[0].size_bytes, u64::from(row.first_sample_bytes));
                assert!(these[0].key, "fragment {i}");
            }
            assert!(packets.next().is_none(), "no packet is beyond the rows");
            let stream = &ffmpeg::ffprobe(ffmpeg::path(&path), &["-show_streams"])["streams"][0];
            assert_eq!(stream["duration_ts"], track.duration_ticks());
            match *track.media() {
                Kind::Video { width, height, frame_rate: (numerator, denominator) } => {
                    assert_eq!(stream["codec_name"], "h264");
                    assert_eq!(
                        (&stream["width"], &stream["height"]),
                        (&width.into(), &height.into())
                    );
                    assert_eq!(stream["r_frame_rate"], format!("{numerator}/{denominator}"));
                    assert_eq!(stream["sample_aspect_ratio"], "1:1");
                }
                Kind::Audio { sample_rate, channels } => {
                    assert_eq!(
                        (&stream["codec_name"], &stream["profile"]),
                        (&"aac".into(), &"LC".into())
                    );
                    assert_eq!(stream["sample_rate"], sample_rate.to_string());
                    assert_eq!(stream["channels"], channels);
                }
            }
        }
    }
}

#[test]
fn m3u8_rs_reads_every_playlist() {
    for rate in Rate::ALL {
        let title = rate.title();
        let origin = Origin::start(&title.store);
        let web = origin.web();
        let master = Master::fetch(web, &title.master());
        assert_eq!(master.variants().count(), 3);
        assert_eq!(master.iframe_variants().count(), 3);
        assert!(master.playlist.unknown_tags.is_empty(), "{:?}", master.playlist.unknown_tags);
        for media in master.all_media(web).iter().chain(&master.all_iframes(web)) {
            let playlist = &media.playlist;
            assert!(playlist.end_list && !playlist.segments.is_empty(), "{}", media.path);
            assert!(playlist.unknown_tags.is_empty(), "{}", media.path);
            assert_eq!(media.extinfs().len(), playlist.segments.len(), "{}", media.path);
        }
    }
}

/// Each byte range of an I-frame playlist is one whole key frame: with the init it decodes to
/// exactly one picture.
#[test]
fn iframe_ranges_decode_to_one_picture() {
    let title = Rate::Film.title();
    let origin = Origin::start(&title.store);
    let web = origin.web();
    let folder = headwater_tests::scratch::folder();
    for media in Master::fetch(web, &title.master()).all_iframes(web) {
        assert!(media.playlist.i_frames_only);
        let init = web.body(&media.init_path());
        let mut shown = 0u16;
        for (segment, path) in media.playlist.segments.iter().zip(media.segment_paths()) {
            let range = segment.byte_range.as_ref().unwrap();
            let first = range.offset.unwrap();
            let header = format!("bytes={first}-{}", first + range.length - 1);
            let picture = web.get_with(&path, &[("range", &header)]);
            assert_eq!(picture.status, 206);
            let file = folder.path().join("picture.h264");
            fs::write(&file, one_picture(&init, &picture.body)).unwrap();
            let numbers =
                headwater_tests::barcode::read(ffmpeg::path(&file), &["0:v:0".to_owned()]);
            assert_eq!(numbers, [[Ok(shown)]], "{} {header}", media.path);
            shown += 48;
        }
        assert!(shown > 48, "{}", media.path);
    }
}

/// The NAL units of a fragment's first sample behind the parameter sets of its init, as a raw
/// AVC stream (ITU-T H.264 annex B).
fn one_picture(init: &[u8], iframe: &[u8]) -> Vec<u8> {
    let moof_bytes = u32::from_be_bytes(iframe[..4].try_into().unwrap()) as usize;
    let init = Init::read(init);
    let Codec::Avc1(avc1) = &init.moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!("AVC") };
    let start_code = [0u8, 0, 0, 1];
    let mut stream = Vec::new();
    let sets = &avc1.avcc;
    for set in sets.sequence_parameter_sets.iter().chain(&sets.picture_parameter_sets) {
        stream.extend_from_slice(&start_code);
        stream.extend_from_slice(set);
    }
    let mut sample = &iframe[moof_bytes + 8..];
    while let Some((len, rest)) = sample.split_first_chunk::<4>() {
        let (nal, after) = rest.split_at(u32::from_be_bytes(*len) as usize);
        stream.extend_from_slice(&start_code);
        stream.extend_from_slice(nal);
        sample = after;
    }
    assert!(sample.is_empty(), "the range ends with a NAL unit");
    stream
}

#[test]
fn mpds_are_valid_against_the_schema() {
    let Some(schema) = skip::shared("schema/DASH-MPD.xsd") else { return };
    for rate in Rate::ALL {
        let title = rate.title();
        let origin = Origin::start(&title.store);
        let live = Mpd::fetch(origin.web(), &title.mpd());
        let segment = &live.representations()[0].segment_paths()[0];
        let versioned = segment.split('/').take(4).collect::<Vec<_>>().join("/");
        let bound = Mpd::fetch(origin.web(), &format!("{versioned}/manifest.mpd"));
        for mpd in [live, bound] {
            mpd.validate(&schema);
        }
    }
}
