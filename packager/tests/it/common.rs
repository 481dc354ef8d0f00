//! Made-up titles: real boxes around payloads of noise, so that laws can be checked byte by byte.

use bytes::Bytes;
use headwater_packager::bmff::fragment::{self, Sample};
use headwater_packager::bmff::movie::{Init, InitMedia, write_init};
use headwater_packager::colour::Colour;
use headwater_packager::encrypt::ContentKey;
use headwater_packager::heads::{HeadsWriter, Media, ObjectHead, Role, Row, TrackHead};
use headwater_packager::ids::{KeyId, VersionId};
use headwater_packager::label::Label;
use headwater_packager::layout::ChannelLayout;
use headwater_packager::period::Periods;
use headwater_packager::protect::{Form, Scheme};
use headwater_packager::signalling::{KeyUse, LabelKey, Protection, Signals, System, Told};
use headwater_packager::timeline::Timeline;
use headwater_packager::title::Title;
use headwater_packager::wire::BoxWriter;
use proptest::prelude::*;

/// A track to be made.
#[derive(Clone, Debug)]
pub struct TrackSpec {
    pub id: &'static str,
    pub media: Media,
    pub codecs: &'static str,
    pub language: Option<&'static str>,
    pub role: Role,
    pub colour: Option<Colour>,
    pub joc: Option<u8>,
    pub layout: Option<ChannelLayout>,
    pub timescale: u32,
    /// Samples of each fragment.
    pub fragments: Vec<Vec<Sample>>,
    /// Fragments after which another object begins.
    pub cuts: Vec<usize>,
    /// Whether every fragment starts with an IDR picture.
    pub independent: bool,
}

/// A title with its objects' bytes.
#[derive(Clone, Debug)]
pub struct Made {
    pub title: Title,
    pub heads: Bytes,
    /// Objects of each track, in order.
    pub objects: Vec<Vec<Bytes>>,
}

pub const VERSION: VersionId = VersionId::from_u128(0x01939c2e_7f00_7abc_8def_0123456789ab);

/// What stands before the media in an object here.
pub const BEFORE_MEDIA: &[u8] = b"ftyp, moov and sidx stand here";

pub fn make(specs: &[TrackSpec]) -> Made {
    let mut writer = HeadsWriter::new("made-up".parse().unwrap(), VERSION, 1);
    let mut objects = Vec::new();
    for spec in specs {
        let payloads: Vec<_> = spec.fragments.iter().zip(1..).map(noise).collect();
        let (head, rows, bytes) =
            make_track(spec, &payloads, |_| usize::from(matches!(spec.media, Media::Video { .. })));
        writer.track(head, &init(spec), &rows).unwrap();
        objects.push(bytes);
    }
    let heads = Bytes::from(writer.finish());
    Made { title: Title::open(&heads).unwrap(), heads, objects }
}

/// A title of one track with these bytes of each sample of each fragment.
pub fn make_of(
    spec: &TrackSpec,
    init: &[u8],
    payloads: &[Vec<Vec<u8>>],
    map_entries: impl Fn(&[u8]) -> usize,
) -> Made {
    let mut writer = HeadsWriter::new("made-up".parse().unwrap(), VERSION, 1);
    let (head, rows, bytes) = make_track(spec, payloads, map_entries);
    writer.track(head, init, &rows).unwrap();
    let heads = Bytes::from(writer.finish());
    Made { title: Title::open(&heads).unwrap(), heads, objects: vec![bytes] }
}

fn noise((samples, sequence): (&Vec<Sample>, u64)) -> Vec<Vec<u8>> {
    let mut bytes = (0..).map(|b: u64| (b.wrapping_mul(31) + sequence).to_le_bytes()[0]);
    samples.iter().map(|s| bytes.by_ref().take(s.size_bytes as usize).collect()).collect()
}

fn make_track(
    spec: &TrackSpec,
    payloads: &[Vec<Vec<u8>>],
    map_entries: impl Fn(&[u8]) -> usize,
) -> (TrackHead, Vec<Row>, Vec<Bytes>) {
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    let mut heads: Vec<ObjectHead> = Vec::new();
    let mut object = BEFORE_MEDIA.to_vec();
    let mut held = 0;
    let mut decode_ticks = 0;
    for (i, samples) in spec.fragments.iter().enumerate() {
        let sequence = u32::try_from(i + 1).unwrap();
        let mut bytes = fragment::write(sequence, decode_ticks, samples).unwrap();
        let moof_bytes = u16::try_from(bytes.len() - 8).unwrap();
        bytes.extend(payloads[i].concat());
        let entries: usize = payloads[i].iter().map(|sample| map_entries(sample)).sum();
        let duration: u64 = samples.iter().map(|s| u64::from(s.duration_ticks)).sum();
        decode_ticks += duration;
        rows.push(Row {
            duration_ticks: u32::try_from(duration).unwrap(),
            size_bytes: u32::try_from(bytes.len()).unwrap(),
            first_sample_bytes: samples[0].size_bytes,
            crc32c: crc32c::crc32c(&bytes),
            moof_bytes,
            samples: u16::try_from(samples.len()).unwrap(),
            map_entries: u16::try_from(entries).unwrap(),
        });
        object.extend_from_slice(&bytes);
        held += 1;
        if i + 1 == spec.fragments.len() || spec.cuts.contains(&(i + 1)) {
            heads.push(ObjectHead {
                name: format!("{}.{}.mp4", spec.id, objects.len()),
                len_bytes: object.len() as u64,
                media_offset_bytes: BEFORE_MEDIA.len() as u64,
                fragments: held,
            });
            objects.push(Bytes::from(std::mem::replace(&mut object, BEFORE_MEDIA.to_vec())));
            held = 0;
        }
    }
    let head = TrackHead {
        id: spec.id.parse().unwrap(),
        media: spec.media.clone(),
        codecs: spec.codecs.into(),
        timescale: spec.timescale,
        language: spec.language.map(str::to_owned),
        role: spec.role,
        colour: spec.colour,
        joc: spec.joc,
        layout: spec.layout,
        independent: spec.independent,
        start_offset_ticks: 0,
        init_bytes: 0,
        objects: heads,
    };
    (head, rows, objects)
}

/// An avc1 entry whose parameter sets make slice headers short, with boxes nobody here knows.
pub fn avc1() -> Vec<u8> {
    // profile 66, level 30; ids 0; frame_num 4 bits; order type 2; 1 reference; 1x1; frames only.
    const SPS: [u8; 6] = [0x67, 66, 0xc0, 30, 0b1101_1010, 0b0111_1001];
    // ids 0; CAVLC; no groups; 1 reference each; no weights; QP 0; no deblocking control.
    const PPS: [u8; 4] = [0x68, 0b1100_1110, 0b0011_1000, 0b0100_0000];
    let mut w = BoxWriter::default();
    w.boxed(b"avc1", |w| {
        w.zeros(24);
        w.u16(16);
        w.u16(16);
        w.zeros(50);
        w.boxed(b"avcC", |w| {
            w.slice(&[1, 66, 0xc0, 30, 0xff, 0xe1, 0, 6]);
            w.slice(&SPS);
            w.slice(&[1, 0, 4]);
            w.slice(&PPS);
        });
        w.boxed(b"colr", |w| w.slice(b"nclx stays as it is"));
    });
    w.into_bytes()
}

/// An mp4a entry of AAC-LC.
pub fn mp4a() -> Vec<u8> {
    let mut w = BoxWriter::default();
    w.boxed(b"mp4a", |w| {
        w.zeros(28);
        w.full_box(b"esds", 0, 0, |w| {
            w.slice(&[3, 22, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 1, 0xf4, 0, 0, 1, 0xf4, 0]);
            w.slice(&[5, 2, 0x11, 0x90]);
        });
    });
    w.into_bytes()
}

/// An init segment with real sample entries, so that it can be protected.
fn init(spec: &TrackSpec) -> Vec<u8> {
    let (media, sample_entry) = match spec.media {
        Media::Video { width, height, .. } => {
            let [width, height] = [width, height].map(|side| u16::try_from(side).unwrap());
            (InitMedia::Video { width, height }, avc1())
        }
        Media::Audio { .. } => (InitMedia::Audio, mp4a()),
    };
    let timescale = spec.timescale;
    let (language, edit_media_time) = (*b"und", None);
    write_init(&Init { timescale, media, language, sample_entry: &sample_entry, edit_media_time })
}

/// A title under keys that follow from their labels.
pub fn protection(title: &Title, scheme: Scheme, systems: &[System]) -> Protection {
    let timeline = Timeline::new(title, 6000, Form::Protected(scheme));
    protection_by(title, &timeline, 0, scheme, systems)
}

/// A title under keys that follow from their labels and periods.
pub fn protection_by(
    title: &Title,
    timeline: &Timeline,
    key_period_s: u32,
    scheme: Scheme,
    systems: &[System],
) -> Protection {
    let periods = Periods::new(title, timeline, key_period_s);
    let key = |of: KeyUse| {
        let n = 1 + Label::ALL.iter().position(|label| *label == of.label).unwrap();
        let (n, period) = (u8::try_from(n).unwrap(), u8::try_from(of.period).unwrap());
        let (mut id, mut key) = ([n; 16], [0xa0 | n; 16]);
        (id[0], key[0]) = (n + (period << 4), (0xa0 | n) ^ (period << 4));
        (id[1], key[1]) = (n + (period >> 4), key[1] + (period >> 4));
        LabelKey { of, key_id: KeyId(id), key: ContentKey::new(key), told: Told::default() }
    };
    let keys: Vec<_> = Protection::uses(title, &periods).into_iter().map(key).collect();
    let signals = Signals {
        systems: systems.to_vec(),
        fairplay_uri: "skd://{title}/{label}/{kid}".to_owned(),
        widevine_la_url: Some("https://licences.example/widevine?a=1&b=2".to_owned()),
        playready_la_url: Some("https://licences.example/playready?a=1&b=2".to_owned()),
        clearkey_la_url: (scheme == Scheme::Cbcs)
            .then(|| "https://origin.example/clearkey".to_owned()),
        delivers_keys: true,
    };
    Protection::new(title, scheme, signals, periods, &keys).unwrap()
}

/// `count` samples of equal duration; sizes follow a fixed pattern, the first is a key frame.
pub fn samples(count: u32, duration_ticks: u32, key_bytes: u32, bytes: u32) -> Vec<Sample> {
    (0..count)
        .map(|i| Sample {
            duration_ticks,
            size_bytes: if i == 0 { key_bytes } else { bytes + i % 7 },
            flags: if i == 0 { 0x0200_0000 } else { 0x0101_0000 },
            composition_offset_ticks: 0,
        })
        .collect()
}

/// A track of video-like fragments whose lengths are given in frames.
pub fn video(
    id: &'static str,
    height: u32,
    rate: (u32, u32),
    gops: &[u32],
    weight: u32,
) -> TrackSpec {
    TrackSpec {
        id,
        media: Media::Video { width: height * 16 / 9 / 2 * 2, height, frame_rate: rate },
        codecs: "avc1.64001F",
        language: None,
        role: Role::Main,
        colour: None,
        joc: None,
        layout: None,
        timescale: rate.0,
        fragments: gops.iter().map(|&n| samples(n, rate.1, weight * 9, weight)).collect(),
        cuts: Vec::new(),
        independent: true,
    }
}

/// Sound that follows a video's fragments: cut at the frame nearest the video's boundary.
pub fn audio(
    id: &'static str,
    language: Option<&'static str>,
    rate: (u32, u32),
    gops: &[u32],
) -> TrackSpec {
    let mut fragments = Vec::new();
    let (mut frames, mut done) = (0u64, 0u64);
    for &gop in gops {
        frames += u64::from(gop);
        let ticks = frames * u64::from(rate.1) * 48_000;
        let target = (ticks + u64::from(rate.0) * 512) / (u64::from(rate.0) * 1024);
        if target == done {
            break; // a last GOP shorter than half an audio frame has no sound of its own
        }
        fragments.push(samples(u32::try_from(target - done).unwrap(), 1024, 300, 290));
        done = target;
    }
    TrackSpec {
        id,
        media: Media::Audio { sample_rate: 48_000, channels: 2 },
        codecs: "mp4a.40.2",
        language,
        role: Role::Main,
        colour: None,
        joc: None,
        layout: None,
        timescale: 48_000,
        fragments,
        cuts: Vec::new(),
        independent: true,
    }
}

/// Any plausible title: rates, GOP lengths (even or ragged), weights, objects cut anywhere.
pub fn any_title() -> impl Strategy<Value = Made> {
    let rate = prop_oneof![
        Just((24u32, 1u32)),
        Just((25, 1)),
        Just((30_000, 1001)),
        Just((24_000, 1001)),
        Just((25, 2)),
        Just((60_000, 1001)),
    ];
    let even = (1..60usize, 1..24u32).prop_map(|(count, last)| {
        let mut gops = vec![48; count];
        gops.push(last);
        gops
    });
    let ragged = prop::collection::vec(12..200u32, 1..40);
    let gops = prop_oneof![even, ragged];
    (rate, gops, 1..40u32, prop::collection::vec(1..60usize, 0..4)).prop_map(
        |(rate, gops, weight, cuts)| {
            let mut low = video("v360", 360, rate, &gops, weight);
            low.cuts.clone_from(&cuts);
            let mut sound = audio("a-en", Some("en"), rate, &gops);
            sound.cuts = cuts.iter().map(|c| c / 2 + 1).collect();
            make(&[video("v720", 720, rate, &gops, weight * 3), low, sound])
        },
    )
}
