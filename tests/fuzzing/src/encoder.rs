//! What the encoder reads: ffprobe's words, ffmpeg's words, ffmpeg's files.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use headwater_config::VideoCodec;
use headwater_encoder::audio::{AudioGrid, Frames, PRIMING_FRAMES};
use headwater_encoder::cancel::{self, Cancel};
use headwater_encoder::ffmpeg::{Log, Progress, locate::Locate};
use headwater_encoder::grid::{Grid, Rate};
use headwater_encoder::import::{keys, ladder, pictures, sounds};
use headwater_encoder::ladder::{Look, Rung};
use headwater_encoder::plan::{RAW, raw_name};
use headwater_encoder::probe::Probe;
use headwater_encoder::remux::{self as remuxing, Made, Sound};
use headwater_encoder::scan::Scan;
use headwater_encoder::source::{self, Stamp};
use headwater_packager::heads::{HeadsWriter, Role};
use headwater_packager::ids::{TrackId, VersionId};
use headwater_packager::title::Title;

/// ffprobe's JSON up to the first line of `%`, then its lines of packets, then after another `%`
/// what it wrote to stderr. A source that is accepted is one that can be planned.
pub fn probe(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\n%\n");
    let mut next = || parts.next().unwrap_or("");
    let Ok(probe) = Probe::parse(next().as_bytes()) else { return false };
    let Ok(selected) = source::select(&probe, &[]) else { return false };
    let mut scan = Scan::new(selected.video.index);
    for line in next().lines() {
        if scan.line(line).is_err() {
            return false;
        }
    }
    scan.finish();
    let mut log = Log::default();
    next().lines().for_each(|line| log.line(line));
    let measured = source::measure(&probe, &selected, &scan, &log, 2000);
    let Ok((source, _)) = measured else { return false };
    let video = source.video;
    assert!(video.frames > 0 && video.width > 0 && video.height > 0);
    assert!(video.rate.num() > 0 && video.rate.den() > 0 && video.rate.timescale() > 0);
    let grid = Grid::new(video.rate, video.frames, 2000);
    assert!(grid.fragments() > 0);
    assert_eq!(grid.fragment(grid.fragments() - 1).end, video.frames);
    assert!(AudioGrid::new(&grid, Frames::AAC).frames() > 0);
    assert!(source.sounds.iter().all(|sound| (1..=8).contains(&sound.channels)));
    true
}

/// Lines that ffmpeg and ffprobe write while they work.
pub fn said(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let (mut log, mut progress) = (Log::default(), Progress::default());
    let mut locate = Locate::new(vec![0, 1]);
    for line in text.lines() {
        log.line(line);
        let before = (progress.frames, progress.out_time_us, progress.out_bytes);
        let moved = progress.line(line);
        let after = (progress.frames, progress.out_time_us, progress.out_bytes);
        assert_eq!(moved, before != after);
        locate.line(line);
    }
    assert!(log.lines().count() <= headwater_encoder::limits::LOG_LINES);
    assert!(locate.first().is_none_or(|place| place.stream <= 1));
    true
}

/// A fragmented file of ffmpeg's, of 25 pictures of 64x64 in GOPs of 10, or of sound as long. What
/// is accepted is a track that opens and whose rows are its file.
pub fn remux(bytes: &[u8]) -> bool {
    let folder = scratch();
    let grid = Grid::new(Rate::new(25, 1).unwrap(), 25, 400);
    let (_canceller, cancel) = cancel::pair();
    let rung = Rung {
        track: "v64".parse().unwrap(),
        width: 64,
        height: 64,
        max_kbps: 100,
        crf: 30,
        codec: VideoCodec::H264,
        look: Look::Flat,
    };
    fs::write(folder.join(raw_name(&rung.track)), bytes).unwrap();
    let is_avc = |video: &_| remuxing::is_of(video, VideoCodec::H264);
    let video = remuxing::video(&folder, &grid, 0, &rung, is_avc, &cancel, &mut || {}).map(opens);
    let track = "a-und".parse().unwrap();
    fs::write(folder.join(raw_name(&track)), bytes).unwrap();
    let sound = Sound {
        track: &track,
        language: None,
        role: Role::Main,
        grid: &AudioGrid::new(&grid, Frames::AAC),
        gap_ticks: 0,
        dropped_frames: PRIMING_FRAMES.into(),
        may_be_longer: false,
    };
    let expects = |entry: &_| remuxing::is_our_aac(entry, 2);
    let sound = remuxing::sound(&folder, sound, expects, &cancel, &mut || {}).map(opens);
    let imported = import_pictures(&folder, &rung.track, &cancel);
    let imported = import_sound(&folder, &track, &cancel) || imported;
    video.is_ok() || sound.is_ok() || imported
}

/// A rendition of whatever length, rate and GOPs.
fn import_pictures(folder: &Path, track: &TrackId, cancel: &Cancel) -> bool {
    let Ok(rendition) = pictures::survey(folder, track, None, cancel) else { return false };
    let Ok(cuts) = keys::cuts(std::slice::from_ref(&rendition.keys), 2.0, 10.0) else {
        return false;
    };
    let cuts: Vec<_> = cuts.iter().map(|keys| keys[0]).collect();
    pictures::cut(folder, &rendition, &cuts, cancel, &mut || {}).map(opens).is_ok()
}

/// Sound beside a picture of a second, which it starts 20 ms before.
fn import_sound(folder: &Path, track: &TrackId, cancel: &Cancel) -> bool {
    let sound = ladder::Sound {
        track: track.clone(),
        name: "a file".to_owned(),
        language: None,
        role: Role::Main,
        early: Stamp { ticks: 20, base: (1, 1000) },
        packets: 48,
    };
    let ends = sounds::Ends { ticks: &[10, 20, 25], timescale: 25 };
    let made = sounds::cut(folder, &sound, ends, cancel, &mut || {});
    made.map(|(made, _)| opens(made)).is_ok()
}

fn opens(made: Made) {
    let file = fs::read(&made.path).unwrap();
    let object = made.object();
    assert_eq!(object.len_bytes, u64::try_from(file.len()).unwrap());
    assert!(file.starts_with(&made.init));
    let mut at = usize::try_from(object.media_offset_bytes).unwrap();
    for row in &made.rows {
        let end = at + usize::try_from(row.size_bytes).unwrap();
        assert_eq!(crc32c::crc32c(&file[at..end]), row.crc32c);
        at = end;
    }
    assert_eq!(at, file.len());
    let title = "fuzzed".parse().unwrap();
    let mut writer = HeadsWriter::new(title, VersionId::from_u128(7), 1);
    writer.track(made.head, &made.init, &made.rows).unwrap();
    Title::open(&Bytes::from(writer.finish())).unwrap();
}

/// A folder of this thread's own.
pub(crate) fn scratch() -> std::path::PathBuf {
    thread_local! {
        static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
    }
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join(RAW)).unwrap();
            folder
        });
        Path::to_owned(folder.path())
    })
}
