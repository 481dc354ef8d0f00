//! The rules that packagers break, each by its number in docs/rules.md, on what is served.

use headwater_tests::dash::{self, Mpd, Representation};
use headwater_tests::ffmpeg::{self, ffmpeg};
use headwater_tests::fragments::{self, Fragment, Init};
use headwater_tests::hls::{self, Master, Media};
use headwater_tests::origin::Origin;
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::Web;
use mp4_atom::Codec;

fn each_title(mut check: impl FnMut(&Title, &Web)) {
    for rate in [Rate::Ntsc, Rate::Film, Rate::Sixty] {
        let title = rate.title();
        let origin = Origin::start(&title.store);
        check(title, origin.web());
    }
}

/// Every playlist of media: segments and I-frames.
fn all_playlists(title: &Title, web: &Web) -> Vec<Media> {
    let master = Master::fetch(web, &title.master());
    let mut all = master.all_media(web);
    all.extend(master.all_iframes(web));
    assert_eq!(all.len(), 7, "three renditions twice, and sound");
    all
}

/// EXT-X-VERSION is the highest that a playlist's own features need, and no higher
/// (8216bis 8).
#[test]
fn rule_01_version_is_what_the_playlist_needs() {
    each_title(|title, web| {
        for media in all_playlists(title, web) {
            let needs = [
                ("#EXT-X-MAP", if media.has("#EXT-X-I-FRAMES-ONLY") { 5 } else { 6 }),
                ("#EXT-X-I-FRAMES-ONLY", 4),
                ("#EXT-X-BYTERANGE", 4),
                ("#EXTINF", if media.text.contains('.') { 3 } else { 1 }),
            ];
            let needed = needs.iter().filter(|(tag, _)| media.has(tag)).map(|n| n.1).max();
            assert_eq!(media.playlist.version, needed, "{}", media.path);
            for newer in ["#EXT-X-KEY", "#EXT-X-DEFINE", "#EXT-X-SKIP", "#EXT-X-PART"] {
                assert!(!media.has(newer), "{}: {newer} is not counted here", media.path);
            }
        }
        let master = Master::fetch(web, &title.master());
        assert_eq!(master.playlist.version, None, "nothing in it needs more than version 1");
        for newer in ["SERVICE", "#EXT-X-DEFINE", "REQ-", "STABLE-"] {
            assert!(!master.text.contains(newer), "{newer} is not counted here");
        }
    });
}

/// TARGETDURATION: no EXTINF rounds to more, all renditions say the same, and it is neither a
/// ceiling nor more than what there is.
#[test]
fn rule_02_target_duration() {
    each_title(|title, web| {
        let all = all_playlists(title, web);
        let rounded = |us: u64| (us + 500_000) / 1_000_000;
        let longest = all.iter().flat_map(Media::extinfs_us).map(rounded).max();
        for media in &all {
            assert_eq!(Some(media.playlist.target_duration), longest, "{}", media.path);
        }
    });
}

/// EXTINF is the real duration of the bytes, with at least five decimals, and every sum of them
/// rounds to a boundary of the media.
#[test]
fn rule_03_extinf_is_the_real_duration() {
    each_title(|title, web| {
        for media in Master::fetch(web, &title.master()).all_media(web) {
            let timescale = u64::from(Init::read(&web.body(&media.init_path())).timescale());
            let (mut sum_us, mut end_ticks) = (0, 0);
            for (extinf, path) in media.extinfs().into_iter().zip(media.segment_paths()) {
                let decimals = extinf.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                assert!(decimals >= 5, "{path}: {extinf}");
                sum_us += hls::micros(extinf);
                let fragments = fragments::read(&web.body(&path));
                end_ticks += fragments.iter().map(Fragment::duration_ticks).sum::<u64>();
                let sum_ticks = (sum_us * timescale + 500_000) / 1_000_000;
                assert_eq!(sum_ticks, end_ticks, "{path}");
            }
        }
    });
}

/// BANDWIDTH is the peak of what is really sent over any run of segments that lasts 0.5 to 1.5
/// target durations, with the worst member of the group; AVERAGE-BANDWIDTH is within 10 %.
#[test]
fn rule_04_bandwidth_is_what_is_sent() {
    each_title(|title, web| {
        let master = Master::fetch(web, &title.master());
        for variant in master.variants() {
            let picture = Sent::measure(web, &master.media(web, &variant.uri));
            let group = variant.audio.as_deref().expect("the title has sound");
            let sounds: Vec<Sent> = master
                .group(group)
                .map(|m| Sent::measure(web, &master.media(web, m.uri.as_deref().unwrap())))
                .collect();
            let worst = |rate: fn(&Sent) -> u64| sounds.iter().map(rate).max().unwrap();
            let peak = picture.peak_bps() + worst(Sent::peak_bps);
            assert!(
                (peak..=peak + 2).contains(&variant.bandwidth),
                "{}: BANDWIDTH={}, sent {peak}",
                variant.uri,
                variant.bandwidth
            );
            let average = picture.average_bps() + worst(Sent::average_bps);
            let said = variant.average_bandwidth.expect("AVERAGE-BANDWIDTH is given");
            assert!(said.abs_diff(average) * 10 <= average, "{}: {said} {average}", variant.uri);
            assert!(said <= variant.bandwidth);
        }
        for representation in Mpd::fetch(web, &title.mpd()).representations() {
            let bandwidth: u64 = representation.element.need("bandwidth").parse().unwrap();
            let playlist = representation.init_path().replace("init.mp4", "index.m3u8");
            let peak = Sent::measure(web, &Media::fetch(web, &playlist)).peak_bps();
            assert!((peak..=peak + 1).contains(&bandwidth), "{}", representation.id());
        }
    });
}

/// Segments as they were sent.
struct Sent {
    target_us: u64,
    /// Microseconds and bytes of each.
    segments: Vec<(u64, u64)>,
}

impl Sent {
    fn measure(web: &Web, media: &Media) -> Self {
        let bytes = media.segment_paths().into_iter().map(|path| {
            let answer = web.get(&path);
            let len_bytes = answer.body.len() as u64;
            assert_eq!(answer.content_length(), Some(len_bytes), "{path}");
            len_bytes
        });
        let segments = media.extinfs_us().into_iter().zip(bytes).collect();
        Self { target_us: media.playlist.target_duration * 1_000_000, segments }
    }

    fn peak_bps(&self) -> u64 {
        let all = &self.segments;
        let runs = (0..all.len()).flat_map(|i| (i + 1..=all.len()).map(move |j| &all[i..j]));
        let peak = runs
            .filter(|run| {
                let us: u64 = run.iter().map(|s| s.0).sum();
                us * 2 >= self.target_us && us * 2 <= self.target_us * 3
            })
            .map(bps)
            .max();
        peak.unwrap_or(0).max(self.average_bps())
    }

    fn average_bps(&self) -> u64 {
        bps(&self.segments)
    }
}

fn bps(run: &[(u64, u64)]) -> u64 {
    let (us, bytes) = run.iter().fold((0, 0), |(us, bytes), s| (us + s.0, bytes + s.1));
    (bytes * 8_000_000).div_ceil(us)
}

/// CODECS names every codec of every group, as the bitstream says; the other attributes are the
/// stream's own; captions are said not to be there.
#[test]
fn rule_05_codecs_are_the_bitstreams() {
    each_title(|title, web| {
        let master = Master::fetch(web, &title.master());
        let mut sound = Vec::new();
        for media in master.playlist.alternatives.iter() {
            let url = web.url(&master.media(web, media.uri.as_deref().unwrap()).path);
            let stream = stream(&url);
            assert_eq!((&stream["codec_name"], &stream["profile"]), (&"aac".into(), &"LC".into()));
            let channels = stream["channels"].to_string();
            assert_eq!(media.channels.as_deref(), Some(channels.as_str()));
            sound.push("mp4a.40.2".to_owned());
        }
        sound.dedup();
        assert_eq!(sound.len(), 1, "one codec of sound");
        for variant in &master.playlist.variants {
            let media = master.media(web, &variant.uri);
            let url = web.url(&media.path.replace("iframes.m3u8", "index.m3u8"));
            let mut wanted = vec![avc_codecs(&url)];
            if !variant.is_i_frame {
                wanted.extend(sound.iter().cloned());
                assert_eq!(
                    variant.closed_captions,
                    Some(m3u8_rs::ClosedCaptionGroupId::None),
                    "{}",
                    variant.uri
                );
                expect_frame_rate(title, variant.frame_rate);
            }
            assert_eq!(variant.codecs.as_deref(), Some(wanted.join(",").as_str()));
            let stream = stream(&url);
            let resolution = variant.resolution.expect("RESOLUTION is given");
            assert_eq!(stream["width"], resolution.width);
            assert_eq!(stream["height"], resolution.height);
        }
        for representation in Mpd::fetch(web, &title.mpd()).representations() {
            let url = web.url(&representation.init_path().replace("init.mp4", "index.m3u8"));
            let wanted =
                if representation.is_video() { avc_codecs(&url) } else { "mp4a.40.2".to_owned() };
            assert_eq!(representation.element.need("codecs"), wanted);
        }
    });
}

fn stream(url: &str) -> serde_json::Value {
    ffmpeg::ffprobe(url, &["-show_streams"])["streams"][0].clone()
}

/// `avc1.PPCCLL` from the sequence parameter set inside the stream, checked against what ffprobe
/// makes of profile and level.
fn avc_codecs(url: &str) -> String {
    let raw = ffmpeg(&[
        "-i",
        url,
        "-map",
        "0:v:0",
        "-c",
        "copy",
        "-bsf:v",
        "h264_mp4toannexb",
        "-frames:v",
        "1",
        "-f",
        "h264",
        "pipe:1",
    ]);
    let at = raw.windows(4).position(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 7);
    let sps = &raw[at.expect("a sequence parameter set") + 4..];
    let stream = stream(url);
    let profile = match stream["profile"].as_str() {
        Some("High") => 100,
        Some("Main") => 77,
        Some("Constrained Baseline" | "Baseline") => 66,
        other => panic!("{url}: profile {other:?}"),
    };
    assert_eq!((&stream["level"], profile), (&sps[2].into(), sps[0]), "{url}");
    format!("avc1.{:02X}{:02X}{:02X}", sps[0], sps[1], sps[2])
}

/// FRAME-RATE is the source's, to three decimals (8216bis 4.4.6.2).
fn expect_frame_rate(title: &Title, said: Option<f64>) {
    let (numerator, denominator) = title.rate;
    let exact = f64::from(numerator) / f64::from(denominator);
    let said = said.expect("FRAME-RATE is given");
    assert!((said - exact).abs() <= 0.0005 + f64::EPSILON, "{said} for {exact}");
}

/// EXT-X-INDEPENDENT-SEGMENTS stands where, and only where, every segment starts with an IDR
/// picture and shows nothing before it.
#[test]
fn rule_09_independent_segments_start_with_an_idr() {
    each_title(|title, web| {
        let master = Master::fetch(web, &title.master());
        assert!(master.playlist.independent_segments);
        for media in master.all_media(web) {
            assert!(media.playlist.independent_segments, "{}", media.path);
            let init = Init::read(&web.body(&media.init_path()));
            let codec = &init.moov.trak[0].mdia.minf.stbl.stsd.codecs[0];
            let Codec::Avc1(_) = codec else { continue };
            for path in media.segment_paths() {
                let bytes = web.body(&path);
                for fragment in fragments::read(&bytes) {
                    let first = fragment.samples[0];
                    let sample = &bytes[first.start_bytes..first.start_bytes + first.size_bytes];
                    assert_eq!(first_slice(sample), 5, "{path}: an IDR slice comes first");
                    let shown = fragment.samples.iter().map(|s| s.present_ticks).min();
                    assert_eq!(shown, Some(first.present_ticks), "{path}: nothing is shown before");
                }
            }
        }
    });
}

/// nal_unit_type of a sample's first slice (ITU-T H.264 table 7-1); lengths have four bytes.
fn first_slice(sample: &[u8]) -> u8 {
    let mut rest = sample;
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let kind = after[0] & 0x1f;
        if (1..=5).contains(&kind) {
            return kind;
        }
        rest = &after[u32::from_be_bytes(*len) as usize..];
    }
    panic!("a sample without a slice")
}

/// A static MPD: the period starts at 0 and has a duration, the presentation's duration is exact
/// to the microsecond (so it leads back to the longest track's ticks), durations are in seconds,
/// time codes stay below 2^53.
#[test]
fn rule_11_static_mpd_durations_are_exact() {
    let mut finer_than_ms = false;
    each_title(|title, web| {
        let mpd = Mpd::fetch(web, &title.mpd());
        assert_eq!(mpd.root.need("type"), "static");
        let period = mpd.period();
        assert_eq!(period.need("start"), "PT0S");
        let longest_us = mpd
            .representations()
            .iter()
            .map(|r| {
                let last = r.segment_paths().pop().unwrap();
                let fragments = fragments::read(&web.body(&last));
                let end = fragments.last().unwrap();
                let ticks = end.decode_ticks() + end.duration_ticks();
                let timescale = u64::from(r.timescale());
                (ticks * 1_000_000 + timescale / 2) / timescale
            })
            .max();
        assert_eq!(Some(dash::micros(mpd.root.need("mediaPresentationDuration"))), longest_us);
        assert_eq!(Some(dash::micros(period.need("duration"))), longest_us);
        finer_than_ms |= longest_us.unwrap() % 1000 != 0;
        for representation in mpd.representations() {
            let end = representation.timeline().last().map(|s| s.start_ticks + s.duration_ticks);
            assert!(end.unwrap() < 1 << 53);
        }
    });
    assert!(finer_than_ms, "no title is long enough by a part of a millisecond to see rounding");
}

/// One way of addressing; SegmentTimeline; each S is the segment that is served, to the tick, with
/// neither gap nor overlap.
#[test]
fn rule_12_timeline_is_what_is_served() {
    each_title(|title, web| {
        let mpd = Mpd::fetch(web, &title.mpd());
        assert_eq!(mpd.root.count("SegmentBase") + mpd.root.count("SegmentList"), 0);
        let videos = mpd.representations().into_iter().filter(Representation::is_video).count();
        assert_eq!(videos, 3);
        for set in mpd.period().all("AdaptationSet") {
            let own = set.all("Representation").filter(|r| r.count("SegmentTemplate") > 0).count();
            let shared = set.all("SegmentTemplate").count();
            let all = set.all("Representation").count();
            assert!((own, shared) == (0, 1) || (own, shared) == (all, 0), "{own} and {shared}");
        }
        for representation in mpd.representations() {
            assert!(representation.template.attribute("duration").is_none());
            let init = Init::read(&web.body(&representation.init_path()));
            assert_eq!(init.timescale(), representation.timescale());
            let timeline = representation.timeline();
            let mut end = 0;
            for (s, path) in timeline.iter().zip(representation.segment_paths()) {
                let fragments = fragments::read(&web.body(&path));
                assert_eq!(s.start_ticks, end, "{path}");
                assert_eq!(s.start_ticks, fragments[0].decode_ticks(), "{path}");
                let ticks: u64 = fragments.iter().map(Fragment::duration_ticks).sum();
                assert_eq!(s.duration_ticks, ticks, "{path}");
                end = s.start_ticks + s.duration_ticks;
            }
            let next = representation.segment_paths().pop().unwrap();
            let next = next.replace(
                &format!("/{}.m4s", timeline.len()),
                &format!("/{}.m4s", timeline.len() + 1),
            );
            assert_eq!(web.get(&next).status, 404, "there is none after the last");
        }
    });
}

/// Presentation time = tfdt + composition offset - edit - presentationTimeOffset + period start:
/// in DASH and in HLS frame k is at k / rate, and nothing lies before 0.
#[test]
fn rule_14_presentation_times() {
    each_title(|title, web| {
        for representation in Mpd::fetch(web, &title.mpd()).representations() {
            assert!(representation.template.attribute("presentationTimeOffset").is_none());
            let init = Init::read(&web.body(&representation.init_path()));
            assert!(init.moov.trak[0].edts.is_none(), "no edit shifts {}", representation.id());
            let mut times: Vec<i64> = Vec::new();
            for path in representation.segment_paths() {
                for fragment in fragments::read(&web.body(&path)) {
                    times.extend(fragment.samples.iter().map(|s| s.present_ticks));
                }
            }
            times.sort_unstable();
            assert_eq!(times[0], 0, "{}", representation.id());
            let timescale = i128::from(representation.timescale());
            let (numerator, denominator) = match representation.is_video() {
                true => (i128::from(title.rate.0), i128::from(title.rate.1)),
                false => (timescale, 1024),
            };
            for (k, ticks) in (0i128..).zip(times) {
                let exact = k * timescale * denominator;
                assert_eq!(i128::from(ticks) * numerator, exact, "{} {k}", representation.id());
            }
        }
    });
}

/// Sound is cut on its own frames, each cut at the one nearest to the picture's boundary as it
/// adds up: no drift.
#[test]
fn rule_16_sound_is_cut_nearest_to_the_picture() {
    each_title(|title, web| {
        let playlists = Master::fetch(web, &title.master()).all_media(web);
        let starts = |media: &Media| -> (u64, Vec<u64>) {
            let timescale = Init::read(&web.body(&media.init_path())).timescale();
            let segments = media.segment_paths().into_iter();
            let fragments = segments.flat_map(|path| fragments::read(&web.body(&path)));
            (u64::from(timescale), fragments.map(|f| f.decode_ticks()).collect())
        };
        let (sounds, pictures): (Vec<_>, Vec<_>) =
            playlists.iter().partition(|media| media.track().starts_with('a'));
        let (sound_scale, sound) = starts(sounds[0]);
        for picture in pictures {
            let (scale, picture) = starts(picture);
            assert!(picture.len() - sound.len() <= 1, "a last short picture may have no sound");
            for (i, (&cut, &boundary)) in sound.iter().zip(&picture).enumerate() {
                // In frames of sound: the boundary's exact place, rounded to the nearest frame.
                let frames = boundary * sound_scale;
                let frame = 1024 * scale;
                let nearest = (frames + frame / 2) / frame;
                assert_eq!(cut, nearest * 1024, "fragment {i}");
            }
        }
    });
}

/// Priming: sound that we encode is trimmed before it: tfdt 0, no edit list, and it starts with
/// the picture to less than one frame of sound.
#[test]
fn rule_17_priming_is_trimmed() {
    each_title(|title, web| {
        for media in Master::fetch(web, &title.master()).all_media(web) {
            let init = Init::read(&web.body(&media.init_path()));
            assert!(init.moov.trak[0].edts.is_none(), "{}", media.path);
            let first = fragments::read(&web.body(&media.segment_paths()[0])).swap_remove(0);
            assert_eq!(first.decode_ticks(), 0, "{}", media.path);
            let shown = first.samples.iter().map(|s| s.present_ticks).min();
            assert_eq!(shown, Some(0), "{}: all tracks start at the same time", media.path);
        }
        // As long as the picture, to less than a frame of sound: nothing of the end was lost.
        let mpd = Mpd::fetch(web, &title.mpd());
        let lengths: Vec<f64> = mpd
            .representations()
            .iter()
            .map(|r| {
                let ticks: u64 = r.timeline().iter().map(|s| s.duration_ticks).sum();
                ticks as f64 / f64::from(r.timescale())
            })
            .collect();
        let frame_s = 1024.0 / 48_000.0;
        for length in &lengths {
            assert!((length - lengths[0]).abs() <= frame_s, "{lengths:?}");
        }
    });
}

/// tfdt version 1, default-base-is-moof, data offsets from the moof that lead to the samples.
#[test]
fn rule_18_fragments_are_self_contained() {
    each_title(|title, web| {
        for media in Master::fetch(web, &title.master()).all_media(web) {
            let init = web.body(&media.init_path());
            for path in media.segment_paths() {
                let segment = web.body(&path);
                let versions = fragments::tfdt_versions(&init, &segment);
                assert!(versions.iter().all(|&version| version == 1), "{path}: {versions:?}");
                for fragment in fragments::read(&segment) {
                    let traf = &fragment.moof.traf[0];
                    assert!(traf.tfhd.default_base_is_moof, "{path}");
                    assert!(traf.tfhd.base_data_offset.is_none(), "{path}");
                    let payload = fragment.start_bytes + fragment.moof_bytes + 8;
                    assert_eq!(fragment.samples[0].start_bytes, payload, "{path}");
                }
            }
        }
    });
}
