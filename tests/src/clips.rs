//! Short clips of every codec, as one-track titles of the packager's own, without encoder or origin.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use headwater_packager::bmff::boxes;
use headwater_packager::bmff::fragment;
use headwater_packager::bmff::movie::{self, Handler, Init, InitMedia, TrackHeader, write_init};
use headwater_packager::codec::SampleEntry;
use headwater_packager::encrypt::ContentKey;
use headwater_packager::heads::{HeadsWriter, Media, ObjectHead, Role, Row, TrackHead};
use headwater_packager::ids::{KeyId, VersionId};
use headwater_packager::protect::{Protector, Scheme};
use headwater_packager::subsample::Finder;
use headwater_packager::title::{Title, Track};

use crate::{ffmpeg, run};

/// A clip as ffmpeg made it, and as a title.
#[derive(Debug)]
pub struct Clip {
    /// What ffmpeg wrote.
    pub file: PathBuf,
    /// Its samples, in order.
    pub samples: Vec<Vec<u8>>,
    title: Title,
    fragments: Vec<Vec<u8>>,
}

impl Clip {
    /// Runs ffmpeg with these arguments, and cuts what it made in our form.
    pub fn make(folder: &Path, name: &str, args: &[&str]) -> Self {
        Self::changed(folder, name, args, |_| ())
    }

    /// The same of a file in which something is changed, for what no encoder here makes.
    pub fn changed(
        folder: &Path,
        name: &str,
        args: &[&str],
        change: impl FnOnce(&mut [u8]),
    ) -> Self {
        let file = folder.join(format!("{name}.mp4"));
        let mut command = run::command("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y"]).args(args);
        command.args(["-movflags", "+frag_keyframe+empty_moov+default_base_moof+delay_moov"]);
        run::succeed(command.args(["-frag_duration", "500000", ffmpeg::path(&file)]));
        let mut bytes = fs::read(&file).expect("ffmpeg wrote it");
        change(&mut bytes);
        fs::write(&file, &bytes).expect("the folder can be written");
        Self::cut(file, &bytes)
    }

    fn cut(file: PathBuf, bytes: &[u8]) -> Self {
        let moov = boxes::need(bytes, b"moov", "file").expect("a moov").payload;
        let header = movie::parse(moov).expect("a moov").remove(0);
        let entry = header.sample_entries.first().expect("an entry");
        let finder = Finder::new(entry).expect("a codec that can be encrypted");
        let (mut samples, mut fragments, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let (mut at, mut decode_ticks) = (0, 0);
        for found in boxes::children(bytes) {
            let found = found.expect("whole boxes");
            if &found.kind == b"moof" {
                let read = fragment::parse(found.whole, header.defaults).expect("a moof");
                let mut rest = &bytes[at + usize::try_from(read.data_offset).expect("fits")..];
                let first = samples.len();
                for sample in &read.samples {
                    let len = usize::try_from(sample.size_bytes).expect("fits");
                    samples.push(rest[..len].to_vec());
                    rest = &rest[len..];
                }
                let sequence = u32::try_from(fragments.len() + 1).expect("few");
                let head = fragment::write(sequence, decode_ticks, &read.samples).expect("few");
                decode_ticks += read.duration_ticks();
                let payload = samples[first..].iter().map(Vec::as_slice);
                let entries = finder.entries(payload.clone()).expect("samples that can be mapped");
                rows.push(row(&head, &read, entries));
                fragments.push([head, payload.collect::<Vec<_>>().concat()].concat());
            }
            at += found.whole.len();
        }
        let title = title(&header, &fragments, &rows);
        Self { file, samples, title, fragments }
    }

    /// The one track.
    pub fn track(&self) -> &Track {
        &self.title.tracks()[0]
    }

    /// Clear init and fragments.
    pub fn clear(&self) -> (Bytes, &[Vec<u8>]) {
        (self.track().init().clone(), &self.fragments)
    }

    /// What encrypts it.
    pub fn protector(&self, scheme: Scheme, key: [u8; 16], id: KeyId) -> Protector {
        let (key, version) = (ContentKey::new(key), self.title.version());
        Protector::new(scheme, &key, id, version, self.track()).expect("a known codec")
    }

    /// The init and the fragments under a key; each fragment by itself, as a segment of its own.
    pub fn protected(&self, scheme: Scheme, key: [u8; 16], id: KeyId) -> (Bytes, Vec<Vec<u8>>) {
        let (protector, track) = (self.protector(scheme, key, id), self.track());
        let fragments = (0u32..).zip(&self.fragments).map(|(i, clear)| {
            let slices = protector.segment(track, i + 1, i, BytesMut::from(&clear[..]));
            slices.expect("heads and media agree").concat()
        });
        (protector.init(track, b"").expect("our own init"), fragments.collect())
    }
}

fn row(head: &[u8], read: &fragment::Fragment, entries: usize) -> Row {
    let mdat_header = usize::try_from(fragment::MDAT_HEADER_BYTES).expect("a constant");
    let duration = read.duration_ticks();
    let size = u64::try_from(head.len()).expect("fits") + read.payload_bytes();
    Row {
        duration_ticks: u32::try_from(duration).expect("short"),
        size_bytes: u32::try_from(size).expect("small"),
        first_sample_bytes: read.samples.first().map_or(0, |sample| sample.size_bytes),
        crc32c: 0, // nothing is read from a store
        moof_bytes: u16::try_from(head.len() - mdat_header).expect("small"),
        samples: u16::try_from(read.samples.len()).expect("few"),
        map_entries: u16::try_from(entries).expect("few"),
    }
}

fn title(header: &TrackHeader, fragments: &[Vec<u8>], rows: &[Row]) -> Title {
    let entry = &header.sample_entries[0];
    let parsed = SampleEntry::parse(entry).expect("a codec that is served");
    let (media, init_media) = match &parsed {
        SampleEntry::Video(video) => {
            let (width, height) = (video.width, video.height);
            let media =
                Media::Video { width: width.into(), height: height.into(), frame_rate: (24, 1) };
            (media, InitMedia::Video { width, height })
        }
        SampleEntry::Audio(audio) => {
            let (sample_rate, channels) = (audio.sample_rate, audio.channels);
            (Media::Audio { sample_rate, channels }, InitMedia::Audio)
        }
    };
    assert_eq!(header.handler == Handler::Video, matches!(media, Media::Video { .. }));
    let init = write_init(&Init {
        timescale: header.timescale,
        media: init_media,
        language: *b"und",
        sample_entry: entry,
        edit_media_time: None,
    });
    let version = VersionId::from_u128(0x0193_9c2e_7f00_7abc_8def_0123_4567_89ab);
    let mut heads = HeadsWriter::new("clip".parse().expect("an id"), version, 1);
    let len_bytes = fragments.iter().map(|f| u64::try_from(f.len()).expect("fits")).sum();
    let head = TrackHead {
        id: "t".parse().expect("an id"),
        media,
        codecs: parsed.codecs(),
        timescale: header.timescale,
        language: None,
        role: Role::Main,
        colour: None,
        joc: None,
        layout: None,
        independent: true,
        start_offset_ticks: 0,
        init_bytes: 0,
        objects: vec![ObjectHead {
            name: "t.mp4".to_owned(),
            len_bytes,
            media_offset_bytes: 0,
            fragments: u32::try_from(rows.len()).expect("few"),
        }],
    };
    heads.track(head, &init, rows).expect("a small init");
    Title::open(&Bytes::from(heads.finish())).expect("heads that make sense")
}
